"""Runs the migrations on the connection (inside its transaction) that `store.engine.migrate` hands over."""

from __future__ import annotations

from alembic import context

from adapter.store import schema_gaps

context.configure(connection=context.config.attributes["connection"], target_metadata=schema_gaps.METADATA)
context.run_migrations()
