"""Raw bytes: which key seals them, when they were purged; and the ages of journal entries, by marks."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Text

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """What is there is not sealed; its age counts from the first mark."""
    op.add_column("journal", Column("raw_key", Text, nullable=False, server_default=""))
    op.add_column("journal", Column("purged", BigInteger))
    op.create_table("journal_mark", Column("at", BigInteger, primary_key=True, autoincrement=False),
                    Column("journal", BigInteger, nullable=False))
