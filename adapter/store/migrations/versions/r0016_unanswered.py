"""What was sent to a FHIR server for the first time and has no answer yet."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Text

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """An empty table."""
    op.create_table("unanswered", *(Column(name, Text, primary_key=True) for name in ("target", "resource_type", "id", "hash")))
