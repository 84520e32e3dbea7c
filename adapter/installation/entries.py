"""Journal entries of every kind as contributions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from adapter.deliver.read_back import map_written, read_written
from adapter.errors import Defect, Rejected
from adapter.installation.installation import Installation, instant
from adapter.intake.decisions import map_decision
from adapter.intake.snapshot import map_end
from adapter.intake.stored_rows import StoredRows
from adapter.model import Issue, Mapped, Received
from adapter.pipeline import map_received
from adapter.store.journal import Entry

_KEPT = 1000
"""Messages that are kept as they were mapped on arrival, at most."""


class Entries:
    """Maps entries of the journal; a message that just arrived was mapped for its answer, and is not mapped again."""

    def __init__(self, here: Installation) -> None:
        self._here = here
        self._kept: OrderedDict[str, Mapped] = OrderedDict()

    def keep(self, mapped: Sequence[Mapped]) -> None:
        """Keep what was mapped until it is composed; what is forgotten is mapped again from the journal."""
        for one in mapped:
            self._kept[one.identity] = one
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    def forget(self) -> None:
        """Mappings are others now: map everything again."""
        self._kept.clear()

    def mapped(self, entry: Entry, rows: StoredRows) -> Mapped:
        """One entry as contributions; rows: those of its batch. Raises Rejected, Defect."""
        if entry.lost:
            raise Defect(entry.lost, "journal")
        if entry.kind == "hl7v2":
            return self._kept.pop(entry.identity, None) or map_received(
                Received(raw=entry.raw, arrival=instant(entry.arrival), feed=entry.feed, origin=entry.origin), self._here.feeds)
        if entry.kind == "operator":
            return map_decision(entry.raw, entry.identity, entry.arrival)
        if entry.kind == "fhir":
            return map_written(read_written(entry.raw), self._here.key, entry.arrival)
        if entry.kind == "snapshot":
            return map_end(entry)
        return rows.mapped(entry)

    def each(self, connection: Connection, entries: Sequence[Entry]) -> Iterator[Mapped | Issue]:
        """Each entry as contributions, or why it cannot be mapped."""
        rows = StoredRows(connection, entries, self._here.feeds)
        for entry in entries:
            try:
                yield self.mapped(entry, rows)
            except (Rejected, Defect) as error:
                yield error.issue
