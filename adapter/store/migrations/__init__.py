"""Alembic migrations; one file of versions/ a revision, applied by `store.engine.migrate` inside one transaction."""
