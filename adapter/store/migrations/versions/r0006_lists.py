"""Lists of many persons (Groups): which are to be composed again, and from when on."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, SmallInteger, Text

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """All that was said before is composed, so none is known yet."""
    op.create_table(
        "person_list",
        Column("resource_type", Text, primary_key=True), Column("key", Text, primary_key=True),
        Column("stale", SmallInteger, nullable=False), Column("due", BigInteger, nullable=False),
    )
