"""Where in a message or row each element of a resource was read: the journal's entries mapped again, with an account."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from adapter.engine.spoken import Spoken
from adapter.errors import Defect, Rejected
from adapter.feeds import Feeds
from adapter.intake.stored_rows import StoredRows
from adapter.mapping.context import symbol
from adapter.mapping.ledger import Ledger
from adapter.model import Received
from adapter.pipeline import map_received
from adapter.store import journal
from adapter.store.journal import Entry

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST = 4
"""Places that are told of one element; one that many columns make names the first of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """An element with its statement. places: HL7 paths, or `row 12, role`; empty for what was not read from a text."""

    spoken: Spoken
    places: tuple[str, ...]


def explain(connection: Connection, said: Sequence[Spoken], feeds: Feeds) -> list[Explained]:
    """Each element with the places it was read from, as the mappings of now read them."""
    entries = journal.named(connection, sorted({one.by.message for one in said if one.by.message}))
    rows = StoredRows(connection, entries, feeds)
    ledgers = {entry.identity: ledger for entry in entries if (ledger := _mapped(entry, rows, feeds)) is not None}
    return [Explained(spoken=one, places=tuple(_places(one, ledgers.get(one.by.message)))) for one in said]


def _mapped(entry: Entry, rows: StoredRows, feeds: Feeds) -> Ledger | None:
    ledger = Ledger()
    try:
        if entry.kind == "hl7v2":
            arrival = _EPOCH + timedelta(microseconds=entry.arrival)
            map_received(Received(raw=entry.raw, arrival=arrival, feed=entry.feed, origin=entry.origin), feeds, ledger)
        elif entry.kind == "csv":
            rows.mapped(entry, ledger)
        else:
            return None
    except (Rejected, Defect):  # the mapping of now does not take it any more
        return None
    return ledger


def _places(one: Spoken, ledger: Ledger | None) -> Iterator[str]:
    if ledger is None:
        return
    by = one.by
    person = by.patient if by.scope == "person" else ""
    path = one.path.partition("[")[0]
    told = ledger.places(symbol(by.resource_type, by.key, person))
    own = [place for slot in one.slots for place in told.get(slot, ())]
    yield from list(dict.fromkeys(own or told.get(path, ())))[:_MOST]
