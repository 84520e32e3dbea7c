"""First versions without an entry in an index by resource: a resource says where its first one stands."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text, text

revision = "0017"
down_revision = "0016"

_COLUMNS = "seq, resource_type, id, version, updated, body"
_LATER = text("version > 1")
_AT_ONCE = 5000
"""Versions in one statement: what it changes is held in memory until it ends."""


def upgrade() -> None:
    """On SQLite the table is made anew: what keeps its rows unique there is part of it."""
    op.add_column("resource", Column("first_version", BigInteger, nullable=False, server_default="0"))
    _in_portions("UPDATE resource SET first_version = own.seq FROM resource_version AS own WHERE own.version = 1 AND {these} "
                 "AND own.resource_type = resource.resource_type AND own.id = resource.id")
    if op.get_bind().dialect.name == "sqlite":
        _anew()
    else:
        op.drop_constraint("resource_version_resource_type_id_version_key", "resource_version")
    op.create_index("resource_version_later", "resource_version", ["resource_type", "id", "version"], unique=True,
                    postgresql_where=_LATER, sqlite_where=_LATER)


def _in_portions(*statements: str, table: str = "resource_version") -> None:
    """Run statements for all rows of a table in turn, a portion at a time; `own` names it in them."""
    connection = op.get_bind()
    last = connection.scalar(text(f"SELECT MAX(seq) FROM {table}")) or 0
    for after in range(0, last, _AT_ONCE):
        for statement in statements:
            connection.execute(text(statement.format(these="own.seq > :after AND own.seq <= :to")),
                               {"after": after, "to": after + _AT_ONCE})


def _anew() -> None:
    op.drop_index("resource_version_by_time", "resource_version")
    op.rename_table("resource_version", "resource_version_before")
    op.create_table(
        "resource_version",
        Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("resource_type", Text, nullable=False), Column("id", Text, nullable=False),
        Column("version", Integer, nullable=False), Column("updated", BigInteger, nullable=False), Column("body", Text))
    copied = f"INSERT INTO resource_version ({_COLUMNS}) SELECT {_COLUMNS} FROM resource_version_before AS own WHERE {{these}}"
    _in_portions(copied, "DELETE FROM resource_version_before AS own WHERE {these}", table="resource_version_before")
    op.drop_table("resource_version_before")
    op.create_index("resource_version_by_time", "resource_version", ["updated", "seq"])
