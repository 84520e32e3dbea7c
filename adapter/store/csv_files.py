"""Files of rows: how far each is loaded, and what became of its rows in the journal. All SQL of this subject."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, text, update

from adapter.model import Issue
from adapter.store.schema import CSV_FILE, FINDING, JOURNAL
from adapter.store.vault import vault_of

_CHUNK = 400
_OF_FILE = JOURNAL.c.kind == text("'csv'")  # in the words of the index of these alone


def failed_rows(connection: Connection, sha256: str) -> int:
    """How many rows of a CSV file were accepted, but could not be processed, or are held."""
    return connection.scalar(select(func.count()).select_from(JOURNAL).where(
        JOURNAL.c.sender == sha256, _OF_FILE, JOURNAL.c.state.in_(("failed", "held")))) or 0


def rows_left(connection: Connection, sha256: str, besides: Collection[int]) -> bool:
    """Whether rows of a CSV file wait, other than these entries: another process works on them."""
    query = select(JOURNAL.c.id).where(JOURNAL.c.sender == sha256, _OF_FILE, JOURNAL.c.state == "waiting")
    return any(found not in besides for found in connection.scalars(query.limit(len(besides) + 1)))


def states_of_file(connection: Connection, feed: str, sha256: str) -> dict[str, int]:
    """How many rows of a CSV file stand in each state."""
    query = select(JOURNAL.c.state, func.count()).where(
        JOURNAL.c.sender == sha256, JOURNAL.c.feed == feed, _OF_FILE, JOURNAL.c.control_id != "0")
    return {row[0]: row[1] for row in connection.execute(query.group_by(JOURNAL.c.state))}


def rows_of_file(connection: Connection, feed: str, sha256: str,
                 states: Collection[str]) -> Iterator[tuple[int, bytes, tuple[Issue, ...]]]:
    """(number, record, why) of each row of a CSV file in one of these states, such as `refused` and `failed`; rows whose
    record was purged are left out."""
    vault = vault_of(connection)
    query = select(JOURNAL.c.id, JOURNAL.c.identity, JOURNAL.c.control_id, JOURNAL.c.raw, JOURNAL.c.raw_key).where(
        JOURNAL.c.purged.is_(None),
        JOURNAL.c.sender == sha256, JOURNAL.c.feed == feed, _OF_FILE, JOURNAL.c.state.in_(states),
        JOURNAL.c.control_id != "0")
    for rows in connection.execute(query.order_by(JOURNAL.c.id)).partitions(_CHUNK):
        why: dict[int, list[Issue]] = {}
        for found in connection.execute(select(FINDING).where(FINDING.c.journal.in_([row.id for row in rows]))):
            if found.severity == "error":
                why.setdefault(found.journal, []).append(Issue(code=found.code, place=found.place, detail=found.detail))
        yield from ((int(row.control_id), vault.unseal(row.identity, row.raw, row.raw_key), tuple(why.get(row.id, ())))
                    for row in rows)


def warnings_of_file(connection: Connection, feed: str, sha256: str) -> list[tuple[str, int, list[str]]]:
    """(code, how many, places of the first three) of the warnings about rows of a CSV file that stand; most frequent first."""
    here = select(FINDING.c.code, FINDING.c.place, func.count().over(partition_by=FINDING.c.code).label("total"),
                  func.row_number().over(partition_by=FINDING.c.code, order_by=FINDING.c.journal).label("nth")).join(
        JOURNAL, JOURNAL.c.id == FINDING.c.journal).where(
        JOURNAL.c.sender == sha256, JOURNAL.c.feed == feed, _OF_FILE, JOURNAL.c.state == "done",
        FINDING.c.severity == "warning").subquery()
    found: dict[str, tuple[int, list[str]]] = {}
    for row in connection.execute(select(here).where(here.c.nth <= 3).order_by(here.c.total.desc(), here.c.code, here.c.nth)):
        found.setdefault(row.code, (row.total, []))[1].append(row.place)
    return [(code, count, places) for code, (count, places) in found.items()]


def csv_near(connection: Connection, feed: str, arrival: int, apart: int) -> int | None:
    """The latest arrival of a feed's files that is less than `apart` microseconds from this one."""
    return connection.scalar(select(func.max(CSV_FILE.c.arrival)).where(
        CSV_FILE.c.feed == feed, CSV_FILE.c.arrival > arrival - apart, CSV_FILE.c.arrival < arrival + apart))


def csv_since(connection: Connection, feed: str, sha256: str, arrival: int) -> int:
    """How many other files of a feed count as arrived since one that arrived then."""
    return connection.scalar(select(func.count()).select_from(CSV_FILE).where(
        CSV_FILE.c.feed == feed, CSV_FILE.c.arrival >= arrival, CSV_FILE.c.sha256 != sha256)) or 0


def csv_file(connection: Connection, feed: str, sha256: str) -> Row[Any] | None:
    """What is known of a CSV file that was loaded, or begun."""
    return connection.execute(select(CSV_FILE).where(CSV_FILE.c.feed == feed, CSV_FILE.c.sha256 == sha256)).first()


def save_csv_file(connection: Connection, feed: str, sha256: str, **values: Any) -> None:
    """Note a CSV file, or how far it is."""
    if csv_file(connection, feed, sha256) is None:
        connection.execute(insert(CSV_FILE).values(feed=feed, sha256=sha256, **values))
    else:
        connection.execute(update(CSV_FILE).where(CSV_FILE.c.feed == feed, CSV_FILE.c.sha256 == sha256).values(**values))
