"""What was sent and has no answer is noted with the version that it builds on: updates too, not creations alone."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Text, text

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """What is noted already are creations, which build on none."""
    rows = op.get_bind().execute(text("SELECT target, resource_type, id, hash FROM unanswered")).mappings().all()
    op.drop_table("unanswered")
    table = op.create_table("unanswered", *(
        Column(name, Text, primary_key=True) for name in ("target", "resource_type", "id", "hash", "base")))
    if rows:
        op.bulk_insert(table, [{**row, "base": ""} for row in rows])
