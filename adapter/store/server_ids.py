"""Which id a FHIR server gave to each resource of ours, where it takes no ids of clients. All SQL of this subject."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, delete, insert, select, tuple_, update

from adapter.store.contributions import chunks
from adapter.store.schema import PUSHED
from adapter.store.schema import SERVER_ID as T

Key = tuple[str, str]
"""Type and id."""
_CHUNK = 300


def server_ids(connection: Connection, target: str, keys: Collection[Key]) -> dict[Key, str]:
    """Of these resources of ours, the id that the server has them under; '' where that is gone for good."""
    found: dict[Key, str] = {}
    for chunk in chunks(sorted(keys), _CHUNK):
        query = select(T).where(T.c.target == target, tuple_(T.c.resource_type, T.c.id).in_(chunk))
        for row in connection.execute(query.order_by(T.c.gone.desc())):  # one that is in use comes after those that were
            found[row.resource_type, row.id] = "" if row.gone else row.server_id
    return found


def our_ids(connection: Connection, target: str, keys: Collection[Key]) -> dict[Key, tuple[str, bool]]:
    """Of these (type, id of the server), those that are ours: our id, and whether it is gone."""
    found: dict[Key, tuple[str, bool]] = {}
    for chunk in chunks(sorted(keys), _CHUNK):
        query = select(T).where(T.c.target == target, tuple_(T.c.resource_type, T.c.server_id).in_(chunk))
        for row in connection.execute(query):
            found[row.resource_type, row.server_id] = (row.id, bool(row.gone))
    return found


def any_of(connection: Connection, target: str) -> bool:
    """Whether the server gives ids of its own: it has given one."""
    return connection.execute(select(T.c.id).where(T.c.target == target).limit(1)).first() is not None


def note(connection: Connection, target: str, given: Sequence[tuple[str, str, str]]) -> None:
    """Note ids that the server gave: (type, our id, its id). One that is noted already stays."""
    known = our_ids(connection, target, [(t, theirs) for t, _, theirs in given])
    rows = [{"target": target, "resource_type": t, "id": ours, "server_id": theirs, "gone": 0}
            for t, ours, theirs in given if (t, theirs) not in known]
    if rows:
        connection.execute(insert(T), rows)


def end(connection: Connection, target: str, keys: Collection[Key]) -> None:
    """The server has these resources of ours no more, and does not bring them back: made again, they get other ids.

    Their versions begin at the first one again there, so the last of the one that is gone counts no more.
    """
    for chunk in chunks(sorted(keys), _CHUNK):
        pushed = tuple_(PUSHED.c.resource_type, PUSHED.c.id).in_(chunk)
        connection.execute(delete(PUSHED).where(PUSHED.c.target == target, pushed))
        connection.execute(update(T).where(T.c.target == target, tuple_(T.c.resource_type, T.c.id).in_(chunk)).values(gone=1))


