"""Improvement plans: everything that was done to each, who did it and when."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text

revision = "0009"
down_revision = "0008"

_SERIAL = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    """There is no plan."""
    op.create_table(
        "improvement_event",
        Column("seq", _SERIAL, primary_key=True, autoincrement=True), Column("plan", Integer, nullable=False),
        Column("at", BigInteger, nullable=False), Column("actor", Text, nullable=False), Column("what", Text, nullable=False),
        Column("organization", Text, nullable=False), Column("measure", Text, nullable=False),
        Column("said", Text, nullable=False),
        Column("owner", Text, nullable=False, server_default=""), Column("review", BigInteger),
    )
    op.create_index("improvement_event_by_plan", "improvement_event", ["plan", "seq"])
