"""The index of senders and control ids holds rows of files alone on SQLite: messages are found by the beginning of identity."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """On PostgreSQL, whose order of texts is its locale's, it stays as it is."""
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index("journal_by_control")
        op.create_index("journal_by_control", "journal", ["sender", "control_id"], sqlite_where=text("kind = 'csv'"))
