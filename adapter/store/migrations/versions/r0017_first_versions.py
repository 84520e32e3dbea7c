"""First versions without an entry in an index by resource: a resource says where its first one stands."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text, text

revision = "0017"
down_revision = "0016"

_COLUMNS = "seq, resource_type, id, version, updated, body"
_LATER = text("version > 1")


def upgrade() -> None:
    """On SQLite the table is made anew: what keeps its rows unique there is part of it."""
    op.add_column("resource", Column("first_version", BigInteger, nullable=False, server_default="0"))
    op.execute("UPDATE resource SET first_version = COALESCE((SELECT own.seq FROM resource_version AS own WHERE own.version = 1 "
               "AND own.resource_type = resource.resource_type AND own.id = resource.id), 0)")
    if op.get_bind().dialect.name == "sqlite":
        _anew()
    else:
        op.drop_constraint("resource_version_resource_type_id_version_key", "resource_version")
    op.create_index("resource_version_later", "resource_version", ["resource_type", "id", "version"], unique=True,
                    postgresql_where=_LATER, sqlite_where=_LATER)


def _anew() -> None:
    op.drop_index("resource_version_by_time", "resource_version")
    op.rename_table("resource_version", "resource_version_before")
    op.create_table(
        "resource_version",
        Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("resource_type", Text, nullable=False), Column("id", Text, nullable=False),
        Column("version", Integer, nullable=False), Column("updated", BigInteger, nullable=False), Column("body", Text))
    op.execute(f"INSERT INTO resource_version ({_COLUMNS}) SELECT {_COLUMNS} FROM resource_version_before ORDER BY seq")
    op.drop_table("resource_version_before")
    op.create_index("resource_version_by_time", "resource_version", ["updated", "seq"])
