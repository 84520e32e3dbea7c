"""The search index without an index by resource: a resource's rows stand side by side, and it says where."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text, text

revision = "0014"
down_revision = "0013"

_BYTES_ORDER = Text().with_variant(Text(collation="C"), "postgresql")
_COLUMNS = "resource_type, id, param, value, low, high"


def upgrade() -> None:
    """Rows are numbered by type and id."""
    for name in ("index_first", "index_last"):
        op.add_column("resource", Column(name, BigInteger, nullable=False, server_default="0"))
    for name in ("search_by_value", "search_by_date", "search_by_resource"):
        op.drop_index(name, "search_index")
    op.rename_table("search_index", "search_index_before")
    op.create_table(
        "search_index",
        Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
        Column("resource_type", Text, nullable=False), Column("id", Text, nullable=False), Column("param", Text, nullable=False),
        Column("value", _BYTES_ORDER, nullable=False), Column("low", BigInteger), Column("high", BigInteger))
    op.execute(f"INSERT INTO search_index (seq, {_COLUMNS}) SELECT ROW_NUMBER() OVER (ORDER BY resource_type, id), {_COLUMNS} "
               "FROM search_index_before")
    op.drop_table("search_index_before")
    op.create_index("search_by_value", "search_index", ["resource_type", "param", "value"])
    op.create_index("search_by_date", "search_index", ["resource_type", "param", "low"],
                    postgresql_where=text("low IS NOT NULL"), sqlite_where=text("low IS NOT NULL"))
    op.execute("UPDATE resource SET index_first = own.first_seq, index_last = own.last_seq FROM (SELECT resource_type, id, "
               "MIN(seq) AS first_seq, MAX(seq) AS last_seq FROM search_index GROUP BY resource_type, id) AS own "
               "WHERE own.resource_type = resource.resource_type AND own.id = resource.id")
