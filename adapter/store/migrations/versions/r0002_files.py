"""Big files: how far a load is, up to when a snapshot file ends what its source said, and when each statement was last made."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """A file begun before is read again from its beginning; a statement was last made when its last order says."""
    op.add_column("csv_file", Column("position", Integer, nullable=False, server_default="0"))
    op.create_index("csv_file_by_arrival", "csv_file", ["feed", "arrival"])
    op.add_column("contribution", Column("seen", BigInteger, nullable=False, server_default="0"))
    op.execute("UPDATE contribution SET seen = arrival")
    op.create_table(
        "snapshot",
        Column("source", Text, primary_key=True),
        Column("arrival", BigInteger, nullable=False),
    )
