"""The one Protocol of a FHIR server; embedded.py and upstream.py fulfil it, and one contract suite tests both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from adapter.model import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One write of a transaction: PUT of `body` at Type/id, or DELETE where body is None.

    if_match: version id that must still be current (If-Match), None for any. new: nothing may have stood there ever; a server
    heeds it that can be told so (upstream.py).
    """

    resource_type: str
    id: str
    body: Json | None
    if_match: str | None = None
    new: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of one write, in the order of the writes. version: version id that now stands."""

    resource_type: str
    id: str
    version: str
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version out of a history, oldest first. body None: deleted.

    last_updated: UTC; of a deletion whose time the server does not tell, that of the version told before it.
    """

    resource_type: str
    id: str
    version: str
    last_updated: datetime
    body: Json | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a search. next: opaque token for `search_page`, None on the last page. total: where counted."""

    resources: tuple[Json, ...]
    included: tuple[Json, ...] = ()
    next: str | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a server's CapabilityStatement allows: types it takes, types whose id a client may assign, interactions."""

    software: str
    fhir_version: str
    types: frozenset[str]
    update_create: frozenset[str]
    transaction: bool
    system_history: bool


class FhirServer(Protocol):
    """A FHIR R4 server. Raises Unavailable (try again) or Rejected (will not be better by itself)."""

    @property
    def name(self) -> str:
        """Short name, for sources (`server:<name>`) and logs; no credentials in it."""
        ...

    def capabilities(self) -> Capabilities:
        """What the server's CapabilityStatement allows."""
        ...

    def read(self, resource_type: str, resource_id: str) -> Json | None:
        """The current version with meta.versionId and meta.lastUpdated; None where absent or deleted."""
        ...

    def transaction(self, writes: Sequence[Write]) -> list[Written]:
        """All writes or none; one write a resource. What changes nothing makes no new version.

        Raises Rejected: version-conflict where if_match is not current, fhir-structure, server-refused.
        """
        ...

    def search(self, resource_type: str, params: Sequence[tuple[str, str]], count: int = 100) -> Page:
        """First page of a search, sorted by _lastUpdated then id unless _sort says otherwise."""
        ...

    def search_page(self, token: str) -> Page:
        """The page a `next` token names."""
        ...

    def history(self, since: datetime | None = None) -> Iterator[Version]:
        """Every version written at or after `since`, oldest first, deletions included; pages are followed."""
        ...
