"""Findings by what they name: each batch asks which resources want one that stands now."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Without this index every batch read all findings there are."""
    op.create_index("finding_by_detail", "finding", ["code", "detail"])
