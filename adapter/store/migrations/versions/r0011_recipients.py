"""Whose a subscription is, and how many notices were withheld from it."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Text

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Those that stand belong to nobody known until the gateway starts, and reads from its settings whose they are."""
    op.add_column("subscription", Column("recipients", Text, nullable=False, server_default=""))
    op.add_column("subscription", Column("withheld", BigInteger, nullable=False, server_default="0"))
