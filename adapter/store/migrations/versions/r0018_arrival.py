"""Messages that are settled are found by when they came: of half a year they are read, and not all that the journal holds."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """It holds no message that waits, so that accepting one writes no more than before."""
    told = text("kind = 'hl7v2' AND state IN ('done', 'refused')")
    op.create_index("journal_by_arrival", "journal", ["state", "arrival"], postgresql_where=told, sqlite_where=told)
