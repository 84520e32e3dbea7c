"""Up to when what a source said is over: the latest complete snapshot file of each source. All SQL of this subject.

A statement that was made last before that file arrived, and that the file does not repeat, holds no more. Each statement
knows when it was made last (`contribution.seen`), so no list of a file's rows is kept or read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sqlalchemy import Connection, func, insert, or_, select, update

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


def said_until(connection: Connection, feed: str) -> dict[str, int]:
    """The sources of a feed, each with the arrival of the last message or row that said something (microseconds, UTC)."""
    query = select(T.c.source, func.max(T.c.seen).label("seen")).where(or_(T.c.source == feed, T.c.source.like(f"{feed}/%")))
    return {row.source: row.seen for row in connection.execute(query.group_by(T.c.source))}


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
