"""A CSV file into the journal: every row an entry, good or refused; a file that was cut off is taken up again."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

import orjson
from sqlalchemy import Engine

from adapter.mapping.feed import Feed
from adapter.model import Issue
from adapter.parse.rows import CsvFile, Row, RowError, open_csv
from adapter.pipeline import contract_and_options, microseconds
from adapter.store import journal
from adapter.store.engine import writing
from adapter.store.journal import Entry

ROWS = 1000
"""Rows that are journalled in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What became of a CSV file. repeated: it had been loaded before, to the byte; nothing was done."""

    rows: int
    accepted: int
    refused: list[RowError]
    repeated: bool = False
    issues: tuple[Issue, ...] = ()


def load(engine: Engine, feed: Feed, source: bytes | BinaryIO, name: str, now: datetime) -> LoadReport:
    """Journal every row of a file. Raises Rejected where the file as a whole cannot be read, Unavailable."""
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    digest = _sha256(stream)
    contract, options = contract_and_options(feed)
    file = open_csv(stream, contract, options)
    with writing(engine) as connection:
        known = journal.csv_file(connection, feed.name, digest)
        if known is not None and known.complete and not journal.failed_rows(connection, digest):
            again = [row for row in file.rows() if isinstance(row, RowError) and not row.blank]
            return LoadReport(rows=known.accepted + known.refused, accepted=known.accepted, refused=again, repeated=True,
                              issues=file.issues)
        arrival = known.arrival if known is not None else microseconds(now)
        journal.save_csv_file(connection, feed.name, digest, name=name, arrival=arrival,
                              header=orjson.dumps(list(file.header)).decode())
    refused, rows = _journal_rows(engine, file, feed.name, digest, arrival, name)
    with writing(engine) as connection:
        journal.save_csv_file(connection, feed.name, digest, accepted=rows - len(refused), refused=len(refused), complete=1)
    return LoadReport(rows=rows, accepted=rows - len(refused), refused=refused, issues=file.issues)


def _sha256(stream: BinaryIO) -> str:
    """Digest of a stream, which is at its beginning again afterwards."""
    digest = hashlib.sha256()
    while piece := stream.read(1 << 20):
        digest.update(piece)
    stream.seek(0)
    return digest.hexdigest()


def _journal_rows(engine: Engine, file: CsvFile, feed: str, digest: str, arrival: int, name: str) -> tuple[list[RowError], int]:
    refused: list[RowError] = []
    pending: list[Entry] = []
    rows = 0
    for row in file.rows():
        if isinstance(row, RowError) and row.blank:
            continue
        rows += 1
        if isinstance(row, RowError):
            refused.append(row)
        pending.append(_entry(row, feed, digest, arrival, name))
        if len(pending) >= ROWS:
            _append(engine, pending)
            pending = []
    _append(engine, pending)
    return refused, rows


def _entry(row: Row | RowError, feed: str, digest: str, arrival: int, name: str) -> Entry:
    bad = isinstance(row, RowError)
    return Entry(identity=f"{feed}|{digest}|{row.number}", kind="csv", feed=feed, source=feed, arrival=arrival, origin=name,
                 raw=row.raw, state="refused" if bad else "waiting", issues=row.issues if bad else (),
                 control_id=str(row.number), sender=digest)


def _append(engine: Engine, entries: Sequence[Entry]) -> None:
    with writing(engine) as connection:
        before = journal.known(connection, {e.identity for e in entries})
        journal.retry_refused(connection, [
            e for e in entries if before.get(e.identity, b"") is None and e.state == "waiting"])
        journal.append(connection, [e for e in entries if e.identity not in before])
