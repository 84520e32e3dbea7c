"""Ids that a FHIR server gave to what we pushed there."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, SmallInteger, Text

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """What was pushed before stands there under the ids that we gave it, and needs no row."""
    op.create_table(
        "server_id",
        Column("target", Text, primary_key=True),
        Column("resource_type", Text, primary_key=True),
        Column("server_id", Text, primary_key=True),
        Column("id", Text, nullable=False),
        Column("gone", SmallInteger, nullable=False, server_default="0"),
    )
    op.create_index("server_id_by_id", "server_id", ["target", "resource_type", "id"])
