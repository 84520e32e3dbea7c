"""Gaps as they are kept: the state of each, what happened to it, and whose are to be looked at again."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text

revision = "0004"
down_revision = "0003"

_SERIAL = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    """Everybody is looked at once; no gap has a past."""
    op.create_table("gap_stale", Column("person", Text, primary_key=True))
    op.execute("INSERT INTO gap_stale (person) SELECT DISTINCT person FROM resource WHERE deleted = 0")
    op.create_table(
        "gap",
        Column("subject", Text, primary_key=True), Column("rule", Text, primary_key=True), Column("item", Text, primary_key=True),
        Column("state", Text, nullable=False), Column("verdict", Text, nullable=False),
        Column("reason", Text, nullable=False, server_default=""), Column("due", BigInteger),
        Column("evidence", Text, nullable=False, server_default=""),
        Column("responsible_org", Text, nullable=False, server_default=""),
        Column("responsible_party", Text, nullable=False, server_default=""),
        Column("since", BigInteger, nullable=False), Column("opened", BigInteger),
        Column("assigned", Text, nullable=False, server_default=""), Column("snoozed", BigInteger),
        Column("snooze_reason", Text, nullable=False, server_default=""),
    )
    op.create_index("gap_by_due", "gap", ["state", "due"])
    op.create_index("gap_by_snooze", "gap", ["snoozed"])
    op.create_index("gap_by_organization", "gap", ["responsible_org", "state"])
    op.create_table(
        "gap_event",
        Column("seq", _SERIAL, primary_key=True, autoincrement=True), Column("at", BigInteger, nullable=False),
        Column("subject", Text, nullable=False), Column("rule", Text, nullable=False), Column("item", Text, nullable=False),
        Column("what", Text, nullable=False), Column("state", Text, nullable=False), Column("actor", Text, nullable=False),
        Column("why", Text, nullable=False, server_default=""),
    )
    op.create_index("gap_event_by_gap", "gap_event", ["subject", "rule", "item"])
