"""Months of reports that were frozen: who did it and when, and the rows as they were."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """No month is frozen."""
    op.create_table(
        "report_freeze",
        Column("report", Text, primary_key=True), Column("month", Integer, primary_key=True),
        Column("at", BigInteger, nullable=False), Column("actor", Text, nullable=False),
    )
    op.create_table(
        "report_frozen_row",
        Column("report", Text, primary_key=True), Column("month", Integer, primary_key=True),
        Column("measure", Text, primary_key=True), Column("organization", Text, primary_key=True),
        Column("member_id", Text, primary_key=True), Column("area", Text, nullable=False),
        Column("numerator", Integer, nullable=False), Column("finding", Text, nullable=False),
        Column("evidence", Text, nullable=False),
    )
