"""Lanes: what waits in the journal is claimed lane by lane; and the state of each FHIR server that is pushed to."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text, text

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """What waits already gets lanes of its own, entry by entry: the order of processing changes nothing."""
    op.add_column("journal", Column("lane", Text, nullable=False, server_default=""))
    waiting = text("state = 'waiting'")
    op.create_index("journal_by_lane", "journal", ["lane", "id"], postgresql_where=waiting, sqlite_where=waiting)
    op.create_table(
        "lane",
        Column("name", Text, primary_key=True), Column("feed", Text, nullable=False, server_default=""),
        Column("due", BigInteger, nullable=False), Column("owner", Text, nullable=False, server_default=""),
        Column("added", Integer, nullable=False, server_default="1"),
    )
    op.create_index("lane_by_due", "lane", ["due"])
    op.create_table(
        "target",
        Column("name", Text, primary_key=True), Column("owner", Text, nullable=False, server_default=""),
        Column("until", BigInteger, nullable=False, server_default="0"),
        Column("failures", Integer, nullable=False, server_default="0"),
        Column("closed", BigInteger, nullable=False, server_default="0"),
    )
    op.execute("UPDATE journal SET lane = identity WHERE state = 'waiting'")
    op.execute("INSERT INTO lane (name, feed, due) SELECT identity, CASE WHEN kind IN ('csv', 'snapshot') THEN feed ELSE '' END,"
               " arrival FROM journal WHERE state = 'waiting'")
