"""A CSV file into the journal: every row an entry, good or refused; a file that was cut off is taken up again.

The file is read as a stream, so memory does not grow with it. The same file again changes nothing, but for rows that were
refused or failed and can be taken now.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO

import orjson
from sqlalchemy import Engine

from adapter.errors import Rejected
from adapter.feeds import contract_and_options, repeats_of
from adapter.intake.row_errors import RowErrors
from adapter.intake.snapshot import FileTime, arrival_of, end_entry, file_time
from adapter.mapping.feed import Feed
from adapter.mapping.rows import error_rate, has_no_time, source_of
from adapter.memory import tidy
from adapter.model import Issue
from adapter.parse.rows import CsvFile, Row, RowError, open_csv
from adapter.pipeline import microseconds
from adapter.store import csv_files, journal
from adapter.store.engine import writing
from adapter.store.journal import Entry

ROWS = 1000
"""Rows that are journalled in one transaction."""
TOLD = 1000
"""Refused rows that a report holds; the error file has them all."""

Progress = Callable[[int, int], None]
"""Told bytes read, of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What became of a CSV file. refused: the first TOLD refused rows, of refused_count. repeated: it had been loaded before,
    and nothing new was taken. file: what its journal entries have as sender."""

    rows: int
    accepted: int
    refused: list[RowError]
    refused_count: int
    file: str
    repeated: bool = False
    issues: tuple[Issue, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Load:
    """One load under way."""

    engine: Engine
    feed: Feed
    stream: BinaryIO
    name: str
    of: FileTime
    digest: str
    errors: RowErrors | None
    progress: Progress
    arrival: int = 0
    begin: int = 0
    rows: int = 0
    refused_count: int = 0
    taken: int = 0
    untimed: int = 0
    refused: list[RowError] = field(default_factory=list[RowError])
    sources: set[str] = field(default_factory=set[str])


def load(engine: Engine, feed: Feed, source: bytes | BinaryIO, name: str, now: datetime, *, as_of: datetime | None = None,
         errors: RowErrors | None = None, progress: Progress = lambda _done, _all: None) -> LoadReport:
    """Journal every row of a file; refused ones go to `errors` too. Raises Rejected where the file as a whole is refused
    (which is journalled), Unavailable.

    as_of: the time that the file is of, where its name does not say it: when rows count as said that have no time of their own.
    """
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    digest = _sha256(stream)
    try:
        of = file_time(feed, name, as_of)
        if of.mark:
            digest = hashlib.sha256(f"{digest} {of.mark}".encode()).hexdigest()
        file = _opened(feed, stream, errors)
        rate = error_rate(feed)
        if rate < 1:
            _hold_to(rate, file, errors)
            stream.seek(0)
            file, errors = _opened(feed, stream, None), None
    except Rejected as refused:
        _journal_refusal(engine, feed, digest, name, now, refused)
        raise
    return _journalled(_Load(engine=engine, feed=feed, stream=stream, name=name, of=of, digest=digest, errors=errors,
                             progress=progress), file, now)


def _opened(feed: Feed, stream: BinaryIO, errors: RowErrors | None) -> CsvFile:
    file = open_csv(stream, *contract_and_options(feed))
    if errors is not None:
        errors.begin(file.binding)
    return file


def _hold_to(rate: float, file: CsvFile, errors: RowErrors | None) -> None:
    """Read a file to its end before anything of it counts. Raises Rejected (csv-error-rate)."""
    rows = refused = 0
    for row in file.rows():
        if isinstance(row, RowError) and row.blank:
            continue
        rows += 1
        if isinstance(row, RowError):
            refused += 1
            if errors is not None:
                errors.add(row)
    if rows and refused / rows > rate:
        raise Rejected("csv-error-rate", "", f"{refused} of {rows} rows are refused, {rate:.2%} may be")


def _journal_refusal(engine: Engine, feed: Feed, digest: str, name: str, now: datetime, refused: Rejected) -> None:
    """Note that a file was refused as a whole, and why; nothing of it is kept."""
    entry = Entry(identity=f"{feed.name}|{digest}|file", kind="csv", feed=feed.name, source=feed.name, arrival=microseconds(now),
                  origin=name, raw=b"", state="refused", issues=refused.issues, control_id="0", sender=digest)
    with writing(engine) as connection:
        if entry.identity not in journal.known(connection, [entry.identity]):
            journal.append(connection, [entry])


def _journalled(one: _Load, file: CsvFile, now: datetime) -> LoadReport:
    feed = one.feed.name
    with writing(one.engine) as connection:
        known = csv_files.csv_file(connection, feed, one.digest)
        again = known is not None and bool(known.complete)
        failed = csv_files.failed_rows(connection, one.digest) if again else 0
        since = csv_files.csv_since(connection, feed, one.digest, known.arrival) if known and again and not one.of.as_of else 0
        if known is not None and again and not known.refused and not failed:
            return LoadReport(rows=known.accepted, accepted=known.accepted, refused=[], refused_count=0, repeated=True,
                              file=one.digest, issues=(*file.issues, *_untimed(one.feed, file, since)))
        one.begin = 0 if known is None or again else known.position
        one.arrival = known.arrival if known is not None else 0
        if one.arrival == journal.WITHDRAWN:
            one.arrival = arrival_of(connection, feed, one.of, microseconds(now))
        csv_files.save_csv_file(connection, feed, one.digest, name=one.name, arrival=one.arrival,
                              header=orjson.dumps(list(file.header)).decode())
    _journal_rows(one, file)
    issues = (*file.issues, *_told_untimed(one.untimed, since))
    with writing(one.engine) as connection:
        if one.of.snapshot and one.rows and not one.refused_count:
            end = end_entry(feed, one.digest, one.arrival, one.name, one.sources)
            before = journal.known(connection, [end.identity])
            journal.retry_refused(connection, [end] if before.get(end.identity, b"") is None else [])
            journal.append(connection, [] if before else [end])
        elif one.of.snapshot:
            detail = f"{one.refused_count} of {one.rows} rows refused"
            issues = (*issues, Issue(code="csv-snapshot-open", place="", detail=detail))
        csv_files.save_csv_file(connection, feed, one.digest, accepted=one.rows - one.refused_count, refused=one.refused_count,
                              complete=1)
    return LoadReport(rows=one.rows, accepted=one.rows - one.refused_count, refused=one.refused, refused_count=one.refused_count,
                      repeated=again and not one.taken, file=one.digest, issues=issues)


def _untimed(feed: Feed, file: CsvFile, since: int) -> tuple[Issue, ...]:
    """What a file that changes nothing says too late: its rows without a time of their own; since: files that came after it."""
    if not since:
        return ()
    rows = (row for row in file.rows() if not isinstance(row, RowError))
    return _told_untimed(sum(has_no_time(feed, row.cells) for row in rows), since)


def _told_untimed(rows: int, since: int) -> tuple[Issue, ...]:
    detail = f"{rows} rows have no time of their own, and {since} other files of the feed came since"
    return (Issue(code="csv-file-again", place="", detail=detail),) if rows and since else ()


def _sha256(stream: BinaryIO) -> str:
    """Digest of a stream, which is at its beginning again afterwards."""
    digest = hashlib.sha256()
    while piece := stream.read(1 << 20):
        digest.update(piece)
    stream.seek(0)
    return digest.hexdigest()


def _journal_rows(one: _Load, file: CsvFile) -> None:
    at = one.stream.tell()
    size = one.stream.seek(0, io.SEEK_END)
    one.stream.seek(at)
    pending: list[Entry] = []
    repeats = repeats_of(one.feed)
    for row in file.rows():
        repeated: tuple[Issue, ...] = ()
        if isinstance(row, RowError):
            if row.blank:
                continue
            _refuse(one, row)
        else:
            repeated = repeats.of(row)
            one.untimed += has_no_time(one.feed, row.cells)
            if one.of.snapshot:
                one.sources.update(source_of(one.feed, cells) for cells in row.every)
        one.rows += 1
        if row.number > one.begin:
            pending.append(_entry(row, one, repeated))
        if len(pending) >= ROWS:
            _append(one, pending, row.number)
            pending = []
            one.progress(one.stream.tell(), size)
    if pending:
        _append(one, pending, int(pending[-1].control_id))


def _refuse(one: _Load, row: RowError) -> None:
    one.refused_count += 1
    if len(one.refused) < TOLD:
        one.refused.append(row)
    if one.errors is not None:
        one.errors.add(row)


def _entry(row: Row | RowError, one: _Load, repeated: tuple[Issue, ...]) -> Entry:
    bad = isinstance(row, RowError)
    return Entry(identity=f"{one.feed.name}|{one.digest}|{row.number}", kind="csv", feed=one.feed.name, source=one.feed.name,
                 arrival=one.arrival, origin=one.name, raw=row.raw, state="refused" if bad else "waiting",
                 issues=row.issues if bad else repeated, control_id=str(row.number), sender=one.digest)


def _append(one: _Load, entries: Sequence[Entry], position: int) -> None:
    """Journal rows, and how far the file is, in one transaction."""
    with writing(one.engine) as connection:
        before = journal.known(connection, {e.identity for e in entries})
        retried = [e for e in entries if before.get(e.identity, b"") is None and e.state == "waiting"]
        new = [e for e in entries if e.identity not in before]
        journal.retry_refused(connection, retried)
        journal.append(connection, new)
        csv_files.save_csv_file(connection, one.feed.name, one.digest, position=position)
        one.taken += len(retried) + len(new)
    tidy()
