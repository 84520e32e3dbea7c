"""Identities of statements begin with the patient's, so that a batch touches few pages of their index."""

from __future__ import annotations

import hashlib

from alembic import op
from sqlalchemy import text

revision = "0013"
down_revision = "0012"

_AT_ONCE = 5000


def upgrade() -> None:
    """Sixteen digits of the patient's hash, or the key's where it names none, before those of what was said."""
    connection, last = op.get_bind(), 0
    query = text("SELECT id, identity, patient, key FROM contribution WHERE id > :last ORDER BY id LIMIT :most")
    while rows := connection.execute(query, {"last": last, "most": _AT_ONCE}).all():
        connection.execute(text("UPDATE contribution SET identity = :identity WHERE id = :id"), [
            {"id": row.id, "identity": hashlib.sha256((row.patient or row.key).encode()).hexdigest()[:16] + row.identity[:48]}
            for row in rows])
        last = rows[-1].id
