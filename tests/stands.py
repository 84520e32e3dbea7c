"""What stands after messages came in some order: one installation, emptied for each order."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, select

from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.store.engine import reading, writing
from adapter.store.schema import JOURNAL, METADATA, RESOURCE

Bodies = dict[tuple[str, str], str]
"""Resource type and id to the resource's text."""


def installation(folder: Path) -> Gateway:
    """A gateway with the mappings as shipped; its clock goes on a second with every look."""
    seconds = iter(range(10**9))
    own = Settings(data_dir=folder, key="00" * 32, database_url="", fhir_url="", mappings=Path(__file__).parents[1] / "mappings")
    return Gateway(own, lambda: datetime(2026, 4, 1, tzinfo=UTC) + timedelta(seconds=next(seconds)))


def empty(gateway: Gateway) -> None:
    """Take everything out of its database."""
    with writing(gateway.engine) as connection:
        for table in METADATA.sorted_tables:
            connection.execute(delete(table))


def stand(gateway: Gateway, messages: Iterable[bytes], *, at_once: bool) -> Bodies:
    """All that stands after these messages alone in this order, composed one by one or all at once."""
    empty(gateway)
    for one in messages:
        assert b"MSA|AA" in gateway.accept([(one, "test")])[0]
        if not at_once:
            gateway.work()
    while gateway.work():
        pass
    return standing(gateway)


def standing(gateway: Gateway) -> Bodies:
    """All that stands once nothing waits."""
    with reading(gateway.engine) as connection:
        assert set(connection.execute(select(JOURNAL.c.state)).scalars()) <= {"done", "withdrawn"}
        query = select(RESOURCE.c.resource_type, RESOURCE.c.id, RESOURCE.c.body).where(RESOURCE.c.deleted == 0)
        return {(row.resource_type, row.id): row.body for row in connection.execute(query)}


def assert_equal(found: Bodies, expected: Bodies) -> None:
    """The same stands; what differs is told."""
    assert [(k, found.get(k), expected.get(k)) for k in {**found, **expected} if found.get(k) != expected.get(k)] == []
