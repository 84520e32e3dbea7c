"""Lanes: the patients, and parts of files, of whom something waits in the journal. All SQL of this subject.

Work is claimed lane by lane, so several processes on one PostgreSQL share it; a claim ends by itself, so what a killed
process had is taken over. On SQLite, where one process writes at a time, a claim is not written: whoever is second finds
that nothing waits any more. Never is an entry processed twice for want of a claim: its state is asked in the transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, and_, bindparam, delete, exists, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from adapter.store.schema import JOURNAL, LANE
from adapter.store.targets import ended

_ADD_SQLITE = """
INSERT INTO lane (name, feed, due, added)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'), json_extract(value, '$[3]')
FROM json_each(?) WHERE true ON CONFLICT (name) DO UPDATE SET added = lane.added + excluded.added"""
"""All lanes in one statement: each is a time that the driver lets other threads in, who are in no hurry to go."""
LEASE_US = 10_000_000
"""How long a claim holds, in microseconds: after that others may take the lane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A lane as it was claimed. added: entries since it was made."""

    name: str
    added: int


def add(connection: Connection, entries: Iterable[tuple[str, str, int]]) -> None:
    """Note that entries wait: (lane, feed or '', since when, microseconds since 1970 UTC)."""
    new: dict[str, tuple[str, int, int]] = {}
    for name, feed, since in entries:
        _, first, count = new.get(name, (feed, since, 0))
        new[name] = (feed, min(first, since), count + 1)
    if not new:
        return
    rows = [(name, *about) for name, about in sorted(new.items())]
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_ADD_SQLITE, (orjson.dumps(rows).decode(),))
        return
    statement = insert(LANE)
    connection.execute(statement.on_conflict_do_update(
        index_elements=[LANE.c.name], set_={"added": LANE.c.added + statement.excluded.added}), [
        {"name": name, "feed": feed, "due": since, "added": count} for name, feed, since, count in rows])


def claim(connection: Connection, owner: str, now_us: int, feeds: Collection[str], limit: int) -> list[Lane]:
    """Claim lanes that nobody else has, the longest waiting first, with `limit` entries or a few more together.

    feeds: whose rows this program knows; those of others are for others. A time that lies further ahead than a claim can
    is of a clock that was wrong, and holds nobody up.
    """
    free = or_(LANE.c.owner.in_(["", owner]), LANE.c.due <= now_us, LANE.c.due > now_us + LEASE_US)
    query = select(LANE.c.name, LANE.c.added).where(free, LANE.c.feed.in_(["", *feeds])).order_by(LANE.c.due, LANE.c.name)
    taken: list[Lane] = []
    count = 0
    for row in connection.execute(query.limit(limit).with_for_update(skip_locked=True)).all():
        if count >= limit:
            break
        taken.append(Lane(name=row.name, added=row.added))
        count += row.added
    if taken and connection.dialect.name == "postgresql":
        connection.execute(update(LANE).where(LANE.c.name.in_([one.name for one in taken])).values(
            owner=owner, due=now_us + LEASE_US))
    return taken


def free_ended(connection: Connection) -> None:
    """Free what processes of this machine had claimed and have ended: who starts again waits for no claim of before."""
    owners = connection.scalars(select(LANE.c.owner).where(LANE.c.owner != "").distinct())
    over = [owner for owner in owners if ended(owner)]
    if over:
        connection.execute(update(LANE).where(LANE.c.owner.in_(over)).values(owner=""))


def release(connection: Connection, owner: str, lanes: Sequence[Lane], now_us: int) -> None:
    """Give lanes back, in the transaction that processed what waited in them: those with nothing more in them are gone.

    An entry that comes in at this moment counts the lane up, or makes it anew: none is left without its lane.
    """
    if not lanes:
        return
    rows = [{"at": one.name, "then": one.added} for one in sorted(lanes, key=lambda one: one.name)]
    held = "" if connection.dialect.name == "sqlite" else owner
    waits = exists().where(JOURNAL.c.lane == LANE.c.name, JOURNAL.c.state == text("'waiting'"))
    connection.execute(delete(LANE).where(and_(
        LANE.c.name == bindparam("at"), LANE.c.added == bindparam("then"), LANE.c.owner == held, ~waits)), rows)
    connection.execute(update(LANE).where(LANE.c.name == bindparam("at"), LANE.c.owner == held).values(
        owner="", due=now_us), [{"at": row["at"]} for row in rows])
