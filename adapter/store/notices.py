"""Notices of what happened, in the order in which it was committed. All SQL of this subject.

A notice holds ids and codes alone: no name, no diagnosis.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson
from sqlalchemy import Connection, Row, func, insert, select

from adapter.store.contributions import chunks
from adapter.store.resources import lock_writes
from adapter.store.schema_gaps import NOTICE

_CHUNK = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that happened. seq: its number, rising, 0 before it is stored; at: microseconds since 1970 UTC.

    topic: `gap-life` or `encounter-start-end`. focus, subject: `Type/id`. keys: what it can be filtered by, each with its
    values: a reference as `Type/id`, a code as `system|code`.
    """

    seq: int = 0
    at: int
    topic: str
    what: str
    focus: str
    subject: str
    keys: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])


def add(connection: Connection, notices: Sequence[Notice]) -> list[Notice]:
    """Store notices; they are the result, with their numbers.

    Holds the write lock until the commit: who has seen a number has seen all that are lower.
    """
    if not notices:
        return []
    lock_writes(connection)
    before = last(connection)
    connection.execute(insert(NOTICE), [
        {"at": n.at, "topic": n.topic, "what": n.what, "focus": n.focus, "subject": n.subject,
         "keys": orjson.dumps({name: list(values) for name, values in n.keys.items()}).decode()} for n in notices])
    numbers = connection.scalars(select(NOTICE.c.seq).where(NOTICE.c.seq > before).order_by(NOTICE.c.seq)).all()
    return [replace(n, seq=seq) for n, seq in zip(notices, numbers, strict=True)]


def last(connection: Connection) -> int:
    """Number of the last notice, 0 before the first."""
    return connection.scalar(select(func.max(NOTICE.c.seq))) or 0


def after(connection: Connection, seq: int, limit: int) -> list[Notice]:
    """The notices behind number `seq`, oldest first."""
    query = select(NOTICE).where(NOTICE.c.seq > seq).order_by(NOTICE.c.seq).limit(limit)
    return [notice_of(row) for row in connection.execute(query)]


def last_told(connection: Connection, focuses: Collection[str]) -> dict[str, Notice]:
    """The last notice of each of these resources (`Type/id`), of those of which there is any."""
    found: dict[str, Notice] = {}
    for chunk in chunks(sorted(focuses), _CHUNK):
        query = select(NOTICE).where(NOTICE.c.focus.in_(chunk)).order_by(NOTICE.c.seq)
        found.update((row.focus, notice_of(row)) for row in connection.execute(query))
    return found


def notice_of(row: Row[tuple[object, ...]]) -> Notice:
    """A row of the table as a notice."""
    return Notice(seq=row.seq, at=row.at, topic=row.topic, what=row.what, focus=row.focus, subject=row.subject,
                  keys=orjson.loads(row.keys))
