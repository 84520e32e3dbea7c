"""Up to when what a source said is over: the latest complete snapshot file of each source. All SQL of this subject.

A statement that was made last before that file arrived, and that the file does not repeat, holds no more. Each statement
knows when it was made last (`contribution.seen`), so no list of a file's rows is kept or read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sqlalchemy import Connection, delete, insert, or_, select, update

from adapter.model import Contribution
from adapter.store.contributions import chunks, contribution_of, ends_of
from adapter.store.schema import CONTRIBUTION as T
from adapter.store.schema import SNAPSHOT


def advance(connection: Connection, sources: Iterable[str], arrival: int) -> dict[str, int]:
    """Note a complete snapshot file of these sources; those it is the latest of, with the arrival of the one before (or 0)."""
    names = sorted(set(sources))
    before = ends_of(connection, names)
    newer = {name: before.get(name, 0) for name in names if before.get(name, 0) < arrival}
    new = [{"source": name, "arrival": arrival} for name in newer if name not in before]
    if new:
        connection.execute(insert(SNAPSHOT), new)
    for chunk in chunks([name for name in newer if name in before], 400):
        connection.execute(update(SNAPSHOT).where(SNAPSHOT.c.source.in_(chunk)).values(arrival=arrival))
    return newer


def withdraw(connection: Connection, feed: str, at_once: int) -> Iterator[Sequence[Contribution]]:
    """End all that the sources of a feed have said, whatever time it is of; what was in force until now, `at_once` at a time.

    Its snapshot files ended nothing, then: an older one that comes afterwards counts.
    """
    of_feed = or_(T.c.source == feed, T.c.source.like(f"{feed}/%"))
    end = select(SNAPSHOT.c.arrival).where(SNAPSHOT.c.source == T.c.source).scalar_subquery()
    connection.execute(update(T).where(of_feed, T.c.seen < end).values(seen=_OVER))
    connection.execute(update(T).where(of_feed, T.c.seen > _OVER).values(seen=_WITHDRAWN))
    connection.execute(delete(SNAPSHOT).where(or_(SNAPSHOT.c.source == feed, SNAPSHOT.c.source.like(f"{feed}/%"))))
    names = connection.scalars(select(T.c.source).where(of_feed).distinct()).all()
    if names:
        connection.execute(insert(SNAPSHOT), [{"source": name, "arrival": _WITHDRAWN + 1} for name in names])
    last = 0
    query = select(T).where(of_feed, T.c.seen == _WITHDRAWN).order_by(T.c.id).limit(at_once)
    while rows := connection.execute(query.where(T.c.id > last)).all():
        last = rows[-1].id
        yield [contribution_of(row) for row in rows]


_OVER, _WITHDRAWN = -2, -1
"""When statements of a withdrawn feed count as made last: before any that is made; those that were over already before that."""


def left_out(connection: Connection, feed: str, since: Mapping[str, int], arrival: int,
             at_once: int) -> Iterator[Sequence[Contribution]]:
    """What the sources of a feed had said, and a snapshot file that arrived then does not repeat; `at_once` at a time.

    since: source to the arrival of its snapshot before this one: what was over by then is not told again.
    """
    last = 0
    query = select(T).where(or_(T.c.source == feed, T.c.source.like(f"{feed}/%")), T.c.seen < arrival)
    while rows := connection.execute(query.where(T.c.id > last).order_by(T.c.id).limit(at_once)).all():
        last = rows[-1].id
        over = [contribution_of(row) for row in rows if since.get(row.source, arrival) <= row.seen]
        if over:
            yield over
