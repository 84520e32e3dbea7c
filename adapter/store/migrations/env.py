"""Runs the migrations on the connection (inside its transaction) that `store.engine.migrate` hands over."""

from __future__ import annotations

from alembic import context

from adapter.store import schema_gaps  # noqa: F401  its tables belong to the same metadata
from adapter.store.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
