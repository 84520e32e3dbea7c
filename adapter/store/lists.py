"""Lists of many persons (Groups), by type and business key: which are to be composed again, and when. All SQL of this subject."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, delete, insert, select, tuple_, update

from adapter.store.contributions import chunks
from adapter.store.schema import PERSON_LIST as T

_CHUNK = 300


def note(connection: Connection, lists: Iterable[tuple[str, str]]) -> None:
    """Remember that something was said of these (type, key)."""
    for chunk in chunks(sorted(set(lists)), _CHUNK):
        among = tuple_(T.c.resource_type, T.c.key).in_(chunk)
        known = {(row.resource_type, row.key): row.stale for row in connection.execute(select(T).where(among))}
        new = [{"resource_type": one[0], "key": one[1], "stale": 1, "due": 0} for one in chunk if one not in known]
        if new:
            connection.execute(insert(T), new)
        if not all(known.values()):
            connection.execute(update(T).where(among).values(stale=1))


def stale(connection: Connection, now_us: int | None = None) -> list[tuple[str, str]]:
    """(type, key) of those to compose again by then (microseconds since 1970 UTC), or ever; in order."""
    query = select(T.c.resource_type, T.c.key).where(T.c.stale == 1).order_by(T.c.resource_type, T.c.key)
    query = query if now_us is None else query.where(T.c.due <= now_us)
    return [(row.resource_type, row.key) for row in connection.execute(query)]


def put_off(connection: Connection, one: tuple[str, str], due: int) -> None:
    """Let one that was noted be, until then (microseconds since 1970 UTC)."""
    connection.execute(update(T).where(T.c.resource_type == one[0], T.c.key == one[1]).values(due=due))


def composed(connection: Connection, one: tuple[str, str], due: int) -> None:
    """Note that one holds all that was said of it, and is not composed again before `due`; 0: forget it."""
    at = (T.c.resource_type == one[0], T.c.key == one[1])
    if due:
        connection.execute(update(T).where(*at).values(stale=0, due=due))
    else:
        connection.execute(delete(T).where(*at))
