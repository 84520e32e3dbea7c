"""Journalled rows of CSV files as contributions; each file's header is bound once, not with every row."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from sqlalchemy import Connection

from adapter.errors import Rejected
from adapter.feeds import Feeds, binding_of
from adapter.mapping.ledger import Ledger
from adapter.mapping.rows import joined, map_row
from adapter.model import Mapped
from adapter.parse.rows import Binding, RowError
from adapter.store import csv_files
from adapter.store.journal import Entry


class StoredRows:
    """Reads the rows among some journal entries again. Raises nothing until a row is asked for."""

    def __init__(self, connection: Connection, entries: Sequence[Entry], feeds: Feeds) -> None:
        self._feeds = feeds
        self._headers: dict[tuple[str, str], list[str]] = {}
        self._bindings: dict[tuple[str, str], Binding] = {}
        for at in {(entry.feed, entry.sender) for entry in entries if entry.kind == "csv"}:
            file = csv_files.csv_file(connection, *at)
            self._headers[at] = orjson.loads(file.header) if file is not None else []

    def mapped(self, entry: Entry, ledger: Ledger | None = None) -> Mapped:
        """A row as contributions. Raises Rejected where the feed does not take it (any more)."""
        at = (entry.feed, entry.sender)
        compiled = self._feeds.named(entry.feed)
        if at not in self._bindings:
            self._bindings[at] = binding_of(compiled.feed, self._headers[at])
        binding = self._bindings[at]
        row = binding.row(int(entry.control_id), entry.raw)
        if isinstance(row, RowError):
            raise Rejected(row.issues[0].code, row.issues[0].place, row.issues[0].detail)
        rows = [map_row(cells, row.number, entry.identity, compiled, entry.arrival, ledger, binding.header.names)
                for cells in row.every]
        return rows[0] if len(rows) == 1 else joined(rows)
