"""Notices of what happened, who subscribed to them, and which of them is which event of a subscription."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text

revision = "0005"
down_revision = "0004"

_SERIAL = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    """What happened before is not told."""
    op.create_table(
        "notice",
        Column("seq", _SERIAL, primary_key=True, autoincrement=True), Column("at", BigInteger, nullable=False),
        Column("topic", Text, nullable=False), Column("what", Text, nullable=False), Column("focus", Text, nullable=False),
        Column("subject", Text, nullable=False), Column("keys", Text, nullable=False),
    )
    op.create_index("notice_by_focus", "notice", ["focus", "seq"])
    op.create_table(
        "subscription",
        Column("id", Text, primary_key=True), Column("body", Text, nullable=False), Column("status", Text, nullable=False),
        Column("version", Integer, nullable=False), Column("updated", BigInteger, nullable=False),
        Column("base", Text, nullable=False), Column("events", BigInteger, nullable=False, server_default="0"),
        Column("sent", BigInteger, nullable=False, server_default="0"), Column("due", BigInteger),
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("error", Text, nullable=False, server_default=""),
    )
    op.create_index("subscription_by_due", "subscription", ["due"])
    op.create_table(
        "subscription_event",
        Column("subscription", Text, primary_key=True), Column("number", BigInteger, primary_key=True),
        Column("notice", BigInteger, nullable=False),
    )
