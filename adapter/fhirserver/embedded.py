"""The FHIR server inside: the store's own tables, read and searched where they stand."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from importlib import metadata

from sqlalchemy import Connection, Engine

from adapter.errors import Rejected
from adapter.fhirserver.port import Capabilities, Page, Version, Write, Written
from adapter.fhirserver.search import first_page, next_page
from adapter.model import Json
from adapter.store.engine import reading
from adapter.store.keys import Key
from adapter.store.resources import Stored, history, read_resource, read_resources, with_meta
from adapter.store.search_index import microseconds
from adapter.store.search_params import PARAMS

Accept = Callable[[Sequence[Write]], None]
"""Takes checked writes of another client: journals and composes them; they stand in the store when it returns."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


class EmbeddedServer:
    """`port.FhirServer` on the store. Writes go through `accept`; it may merge what a write says with other sources."""

    def __init__(self, engine: Engine, accept: Accept, name: str = "embedded") -> None:
        self._engine = engine
        self._accept = accept
        self._name = name
        self._one_at_a_time = threading.Lock()  # from the check of If-Match to the write

    @property
    def name(self) -> str:
        """Short name, for sources and logs."""
        return self._name

    def capabilities(self) -> Capabilities:
        """Every searchable type, with ids assigned by clients, transactions and system history."""
        types = frozenset(PARAMS)
        return Capabilities(software=f"careloop {_version()}", fhir_version="4.0.1", types=types, update_create=types,
                            transaction=True, system_history=True)

    def read(self, resource_type: str, resource_id: str) -> Json | None:
        """The current version with meta.versionId and meta.lastUpdated; None where absent or deleted."""
        with reading(self._engine) as connection:
            stored = read_resource(connection, resource_type, resource_id)
        return _as_read(stored) if stored else None

    def transaction(self, writes: Sequence[Write]) -> list[Written]:
        """All writes or none, as the Protocol says. Raises Rejected (fhir-structure, version-conflict), Unavailable."""
        check_structure(writes)
        keys = [(write.resource_type, write.id) for write in writes]
        with self._one_at_a_time:
            with reading(self._engine) as connection:
                before = check_versions(connection, writes)
            self._accept(writes)
            with reading(self._engine) as connection:
                after = read_resources(connection, keys)
        return [_written(key, before.get(key), after.get(key)) for key in keys]

    def search(self, resource_type: str, params: Sequence[tuple[str, str]], count: int = 100) -> Page:
        """First page of a search. Raises Rejected (bad-search, not-found) naming the parameter."""
        with reading(self._engine) as connection:
            return first_page(connection, resource_type, params, count)

    def search_page(self, token: str) -> Page:
        """The page a `next` token names. Raises Rejected (bad-search) where it is none of ours."""
        with reading(self._engine) as connection:
            return next_page(connection, token)

    def history(self, since: datetime | None = None) -> Iterator[Version]:
        """Every version written at or after `since`, oldest first, deletions included."""
        with reading(self._engine) as connection:
            for stored in history(connection, microseconds(since) if since else None):
                yield Version(resource_type=stored.resource_type, id=stored.id, version=str(stored.version),
                              last_updated=_EPOCH + timedelta(microseconds=stored.updated), body=_as_read(stored))


def check_structure(writes: Sequence[Write]) -> None:
    """That each write fits its address and is the only one to it. Raises Rejected (fhir-structure)."""
    seen: set[Key] = set()
    for write in writes:
        place = f"{write.resource_type}/{write.id}"
        if write.resource_type not in PARAMS:
            raise Rejected("fhir-structure", write.resource_type, "this type is not kept here")
        if not _ID.fullmatch(write.id):
            raise Rejected("fhir-structure", write.resource_type, "an id has 1 to 64 of A-Z a-z 0-9 - .")
        if write.body is not None and write.body.get("resourceType") != write.resource_type:
            raise Rejected("fhir-structure", place, "the resourceType is not that of the address")
        if write.body is not None and write.body.get("id", write.id) != write.id:
            raise Rejected("fhir-structure", place, "the id is not that of the address")
        if (write.resource_type, write.id) in seen:
            raise Rejected("fhir-structure", place, "written twice in one transaction")
        seen.add((write.resource_type, write.id))


def check_versions(connection: Connection, writes: Iterable[Write]) -> dict[Key, Stored]:
    """What stands before the writes, if every If-Match is current. Raises Rejected (version-conflict).

    Whoever accepts writes can ask again inside its own transaction: nothing comes in between there.
    """
    writes = list(writes)
    before = read_resources(connection, [(write.resource_type, write.id) for write in writes])
    for write in writes:
        stored = before.get((write.resource_type, write.id))
        current = str(stored.version) if stored and stored.body is not None else ""
        if write.if_match is not None and write.if_match != current:
            raise Rejected("version-conflict", f"{write.resource_type}/{write.id}")
    return before


def _written(key: Key, before: Stored | None, after: Stored | None) -> Written:
    status = 201 if before is None or before.body is None else 200
    if after is None or after.body is None:
        status = 204
    return Written(resource_type=key[0], id=key[1], version=str(after.version) if after else "", status=status)


def _as_read(stored: Stored) -> Json | None:
    return None if stored.body is None else with_meta(stored.body, stored.version, stored.updated)


def _version() -> str:
    try:
        return metadata.version("careloop")
    except metadata.PackageNotFoundError:
        return "from source"
