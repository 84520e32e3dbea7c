"""The journal: what came in, as it came in, committed before it is acknowledged. All SQL of this subject."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
from sqlalchemy import Connection, Select, bindparam, case, func, insert, or_, select, text, tuple_, update

from adapter.model import Issue
from adapter.store import findings, lanes
from adapter.store.contributions import chunks
from adapter.store.engine import among, insert_rows
from adapter.store.schema import CSV_FILE, CURSOR, JOURNAL
from adapter.store.vault import vault_of

_CHUNK = 400
ROWS_TOGETHER = 500
"""Rows of a file in one lane."""
OF_FILES = ("csv", "snapshot")
"""Kinds of entries that come of files, whose lanes are of a feed."""
_AGAIN = ("refused", "failed", "withdrawn")
"""States of entries that are taken when they come again."""

FEED = case((JOURNAL.c.ack_code.in_(("AE", "AR")), JOURNAL.c.source), else_=JOURNAL.c.feed)
"""The feed of an entry, '' where it is of none that we know: whoever sends may name any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One journalled message, CSV row or FHIR write. arrival: microseconds since 1970 UTC. state: waiting, done, refused, test,
    failed, withdrawn (with its feed); held, dropped or replaced (by an operator). issues: found before it was journalled.
    feed: of a refused message the one that was named for it, whoever its sender; source: then the one it was of, as far as known.
    id: 0 until it is stored. lane: what it is processed with, once journalled; before that a patient's number, or '' where
    it has a lane by itself. lost: the code of why its raw bytes are not there."""

    identity: str
    kind: str
    feed: str
    source: str
    arrival: int
    raw: bytes
    state: str
    event: str = ""
    sender: str = ""
    control_id: str = ""
    origin: str = ""
    ack_code: str = ""
    ack: bytes | None = None
    issues: tuple[Issue, ...] = ()
    id: int = 0
    attempts: int = 0
    lane: str = ""
    lost: str = ""


def known(connection: Connection, identities: Collection[str]) -> dict[str, bytes | None]:
    """Of these identities, those already journalled, with the acknowledgement that was given.

    None where it was refused or failed, which is not repeated blindly: mapping or program may have been mended since; and where
    its feed was withdrawn: what is sent afterwards counts.
    """
    if not identities:
        return {}
    found: dict[str, bytes | None] = {}
    query = select(JOURNAL.c.identity, JOURNAL.c.ack, JOURNAL.c.state).where(among(connection, JOURNAL.c.identity, identities))
    for row in connection.execute(query):
        found[row.identity] = None if row.state in _AGAIN else row.ack or b""
    return found


_SAME = (JOURNAL.c.sender, JOURNAL.c.control_id, JOURNAL.c.identity, JOURNAL.c.state, JOURNAL.c.ack)
_SAME_SQLITE = f"""
SELECT {", ".join(f"journal.{column.name}" for column in _SAME)} FROM json_each(?) AS asked CROSS JOIN journal
ON journal.identity > asked.value AND journal.identity < asked.value || 'g'"""
"""By the beginnings of identities, which a digest ends: an index of messages' control ids made each commit write a fifth more."""


def of_control_ids(connection: Connection, pairs: Collection[tuple[str, str]]) -> list[tuple[str, str, str, bytes | None]]:
    """(sender, MSH-10, identity, acknowledgement) of the messages journalled with these senders and control ids; see `known`."""
    if not pairs:
        return []
    if connection.dialect.name == "sqlite":
        begin = orjson.dumps([f"{sender}|{control_id}|" for sender, control_id in pairs]).decode()
        rows = [row for row in connection.exec_driver_sql(_SAME_SQLITE, (begin,)) if (row[0], row[1]) in pairs]
    else:
        query = select(*_SAME).where(tuple_(JOURNAL.c.sender, JOURNAL.c.control_id).in_(bindparam("pairs", expanding=True)))
        rows = [row for chunk in chunks(pairs, _CHUNK) for row in connection.execute(query, {"pairs": chunk})]
    return [(row[0], row[1], row[2], None if row[3] in _AGAIN else row[4] or b"") for row in rows]


def retry_refused(connection: Connection, entries: Sequence[Entry]) -> None:
    """Take entries that were refused or failed before, or withdrawn: they wait, with their new arrival and acknowledgement."""
    for e in entries:
        at = (JOURNAL.c.identity == e.identity, JOURNAL.c.state.in_(_AGAIN))
        raw, raw_key = vault_of(connection).seal(e.identity, e.raw)
        connection.execute(update(JOURNAL).where(*at).values(
            state=e.state, attempts=0, feed=e.feed, source=e.source, event=e.event, arrival=e.arrival, ack_code=e.ack_code,
            ack=e.ack, lane=_lane_of(e), raw=raw, raw_key=raw_key, purged=None))
    _open_lanes(connection, entries)


WITHDRAWN = 0
"""Arrival of a CSV file whose feed was withdrawn: it is to be loaded from its beginning, as of when it comes again."""

_COLUMNS = ("identity", "kind", "feed", "source", "event", "sender", "control_id", "arrival", "origin", "raw", "state",
            "ack_code", "ack", "attempts", "lane", "raw_key")


def append(connection: Connection, entries: Sequence[Entry]) -> None:
    """Journal entries whose identities are new, with their findings."""
    if not entries:
        return
    vault = vault_of(connection)
    insert_rows(connection, JOURNAL, _COLUMNS, [
        (e.identity, e.kind, e.feed, e.source, e.event, e.sender, e.control_id, e.arrival, e.origin, raw, e.state, e.ack_code,
         e.ack, 0, _lane_of(e), raw_key) for e in entries for raw, raw_key in (vault.seal(e.identity, e.raw),)])
    _open_lanes(connection, entries)
    told = [e for e in entries if e.issues]
    ids: dict[str, int] = {}
    if told:
        query = select(JOURNAL.c.identity, JOURNAL.c.id).where(among(connection, JOURNAL.c.identity, [e.identity for e in told]))
        ids.update({row.identity: row.id for row in connection.execute(query)})
    findings.add(connection, [(ids[e.identity], "", i) for e in told for i in e.issues])


def _lane_of(e: Entry) -> str:
    """Where an entry is processed: of a file so many rows at a time, everything else by its patient, or alone."""
    return f"{e.sender[:16]} {int(e.control_id) // ROWS_TOGETHER}" if e.kind == "csv" else e.lane or e.identity


def _open_lanes(connection: Connection, entries: Iterable[Entry]) -> None:
    waiting = [e for e in entries if e.state == "waiting"]
    lanes.add(connection, [(_lane_of(e), e.feed if e.kind in OF_FILES else "", e.arrival) for e in waiting])


def of_lanes(connection: Connection, names: Collection[str], feeds: Collection[str], limit: int) -> list[Entry]:
    """What waits in these lanes, the oldest first; of other feeds than these it waits for a program that has them.

    Left to itself SQLite goes through all that waits, in order.
    """
    query = select(*_READ).where(JOURNAL.c.state == text("'waiting'"), among(connection, JOURNAL.c.lane, names),
                                  or_(JOURNAL.c.kind.in_(("operator", "fhir")), JOURNAL.c.feed.in_(feeds)))
    query = query.with_hint(JOURNAL, "INDEXED BY journal_by_lane", "sqlite")
    return _entries(connection, query.order_by(JOURNAL.c.id).limit(limit))


def still_waiting(connection: Connection, ids: Sequence[int]) -> set[int]:
    """Of these entries, those that wait yet: another process may have processed them since they were read, or somebody held
    or withdrawn them."""
    query = select(JOURNAL.c.id).where(among(connection, JOURNAL.c.id, ids), JOURNAL.c.state == "waiting")
    return set(connection.scalars(query))


def waiting_count(connection: Connection) -> int:
    """How many entries wait to be processed."""
    return connection.scalar(select(func.count()).select_from(JOURNAL).where(JOURNAL.c.state == "waiting")) or 0


def done(connection: Connection, feed: str, after: int, limit: int) -> list[Entry]:
    """Entries of a feed that were processed and have their raw bytes, oldest first, above id `after`."""
    query = select(*_READ).where(
        JOURNAL.c.feed == feed, JOURNAL.c.state == "done", JOURNAL.c.id > after, JOURNAL.c.purged.is_(None))
    return _entries(connection, query.order_by(JOURNAL.c.id).limit(limit))


def named(connection: Connection, identities: Collection[str]) -> list[Entry]:
    """The entries of these identities."""
    found: list[Entry] = []
    for chunk in chunks(identities, _CHUNK):
        found.extend(_entries(connection, select(*_READ).where(JOURNAL.c.identity.in_(chunk))))
    return found


def numbered(connection: Connection, number: int) -> Entry | None:
    """The entry of this number."""
    return next(iter(_entries(connection, select(*_READ).where(JOURNAL.c.id == number))), None)


def settle(connection: Connection, ids: Sequence[int], state: str) -> None:
    """Move entries to a state."""
    if ids:
        connection.execute(update(JOURNAL).where(among(connection, JOURNAL.c.id, ids)).values(
            state=state, attempts=JOURNAL.c.attempts + 1))


def withdraw(connection: Connection, feed: str) -> None:
    """Set aside all that a feed has sent: it counts no more, and is taken as new where it comes again."""
    connection.execute(update(JOURNAL).where(JOURNAL.c.feed == feed, JOURNAL.c.state.in_(("waiting", "done", "failed"))).values(
        state="withdrawn"))
    connection.execute(update(CSV_FILE).where(CSV_FILE.c.feed == feed).values(arrival=WITHDRAWN, position=0, complete=0))


_READ = tuple(JOURNAL.c[name] for name in (
    "identity", "kind", "feed", "source", "arrival", "raw", "state", "event", "sender", "control_id", "origin", "ack_code", "ack",
    "id", "attempts", "lane", "raw_key", "purged"))


def _entries(connection: Connection, query: Select[Any]) -> list[Entry]:
    """What a query of _READ finds. Rows are taken apart at once: asked for by name, columns take three times as long."""
    vault = vault_of(connection)
    rows = cast("Iterable[tuple[Any, ...]]", connection.execute(query))
    return [Entry(identity=identity, kind=kind, feed=feed, source=source, arrival=arrival, raw=raw, state=state, event=event,
                  sender=sender, control_id=control_id, origin=origin, ack_code=ack_code, ack=ack, id=number, attempts=attempts,
                  lane=lane, lost=lost)
            for (identity, kind, feed, source, arrival, stored, state, event, sender, control_id, origin, ack_code, ack, number,
                 attempts, lane, raw_key, purged) in rows
            for raw, lost in (vault.opened(identity, stored, raw_key, purged),)]


def count(connection: Connection) -> int:
    """How many entries there are."""
    return connection.scalar(select(func.count()).select_from(JOURNAL)) or 0


def cursor(connection: Connection, name: str) -> str:
    """A named position, '' where there is none yet."""
    return connection.scalar(select(CURSOR.c.position).where(CURSOR.c.name == name)) or ""


def locked_cursor(connection: Connection, name: str) -> str:
    """A named position that this transaction may move: no other reads it so until the end."""
    return connection.scalar(select(CURSOR.c.position).where(CURSOR.c.name == name).with_for_update()) or ""


def set_cursor(connection: Connection, name: str, position: str) -> None:
    """Move a named position."""
    if connection.execute(update(CURSOR).where(CURSOR.c.name == name).values(position=position)).rowcount == 0:
        connection.execute(insert(CURSOR).values(name=name, position=position))
