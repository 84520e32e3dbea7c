"""What is offered to servers of others: what was written since, and what stands there. All SQL of this subject."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, and_, delete, func, insert, select, tuple_

from adapter.model import Json
from adapter.store.contributions import chunks
from adapter.store.outbox import KEY, waiting_row
from adapter.store.schema import CURSOR, OUTBOX, PUSHED, RESOURCE, RESOURCE_VERSION
from adapter.store.server_state import stands

Key = tuple[str, str]
_CHUNK = 300
ANY = "*"
"""Version id of what went to a target, without an answer yet: nobody knows which version stands there, if any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A resource that was decided on for a target. there: it was sent, and stands there. body: as it stands here."""

    key: Key
    there: bool
    body: Json | None


def written(connection: Connection, after: int, limit: int) -> tuple[int, dict[Key, str]]:
    """What was written behind number `after`, each with its person, and the last number."""
    v = RESOURCE_VERSION.c
    query = select(v.seq, v.resource_type, v.id, RESOURCE.c.person).join(RESOURCE, and_(
        RESOURCE.c.resource_type == v.resource_type, RESOURCE.c.id == v.id)).where(v.seq > after).order_by(v.seq).limit(limit)
    rows = connection.execute(query).all()
    return rows[-1].seq if rows else after, {(row.resource_type, row.id): row.person for row in rows}


def of_persons(connection: Connection, persons: Collection[str], types: Collection[str]) -> list[Key]:
    """Everything of these persons, of these types, that stands or stood."""
    return [(row.resource_type, row.id) for chunk in chunks(sorted(persons), _CHUNK) for row in connection.execute(
        select(RESOURCE.c.resource_type, RESOURCE.c.id).where(RESOURCE.c.person.in_(chunk), RESOURCE.c.resource_type.in_(types)))]


def queue(connection: Connection, target: str, keys: Collection[Key], now_us: int) -> None:
    """Queue resources for a target as they stand now; what is held stays so."""
    for chunk in chunks(dict.fromkeys(keys), _CHUNK):
        at = and_(OUTBOX.c.target == target, KEY.in_(chunk))
        held = {(row.resource_type, row.id) for row in connection.execute(
            select(OUTBOX.c.resource_type, OUTBOX.c.id).where(at, OUTBOX.c.state == "held"))}
        connection.execute(delete(OUTBOX).where(at))
        rows = connection.execute(select(RESOURCE.c.resource_type, RESOURCE.c.id, RESOURCE.c.hash, RESOURCE.c.person).where(
            tuple_(RESOURCE.c.resource_type, RESOURCE.c.id).in_(chunk))).all()
        connection.execute(insert(OUTBOX), [
            waiting_row(target, row, now_us) | {"state": "held" if (row.resource_type, row.id) in held else "waiting"}
            for row in rows])


def queue_sent(connection: Connection, target: str, now_us: int) -> None:
    """Queue all that a target has, so that it is decided on anew."""
    rows = connection.execute(select(PUSHED.c.resource_type, PUSHED.c.id).where(
        PUSHED.c.target == target, func.length(PUSHED.c.version) > 0)).all()
    queue(connection, target, [(row.resource_type, row.id) for row in rows], now_us)


def cursor_name(target: str) -> str:
    """The cursor up to which was offered to a target."""
    return f"offers:{target}"


def left_with(connection: Connection, declared: Collection[str]) -> dict[str, int]:
    """Of targets that were declared and are no more: how many resources stand there yet."""
    known = [cursor_name(one) for one in declared]
    names = select(CURSOR.c.name).where(CURSOR.c.name.startswith(cursor_name("")), CURSOR.c.name.not_in(known))
    found = [one.removeprefix(cursor_name("")) for one in connection.scalars(names)]
    query = select(PUSHED.c.target, func.count().label("there")).where(
        PUSHED.c.target.in_(found), func.length(PUSHED.c.version) > 0).group_by(PUSHED.c.target)
    return {row.target: row.there for row in connection.execute(query)} if found else {}


def changed_there(connection: Connection, target: str, now_us: int, limit: int) -> list[Key]:
    """What the target refused as changed there, and is due again."""
    query = select(OUTBOX.c.resource_type, OUTBOX.c.id).where(
        OUTBOX.c.target == target, OUTBOX.c.state == "waiting", OUTBOX.c.due <= now_us,
        OUTBOX.c.error.startswith("version-conflict"))
    return [(row.resource_type, row.id) for row in connection.execute(query.limit(limit))]


def begin(connection: Connection, target: str, keys: Collection[Key]) -> None:
    """Note what is about to go to a target for the first time: whatever becomes of the answer, it may stand there."""
    for resource_type, resource_id in keys:
        stands(connection, target, resource_type, resource_id, ANY, None)


def sent(connection: Connection, target: str, after: Key, limit: int) -> list[Sent]:
    """What was decided on for a target, by type and id behind `after`."""
    key = tuple_(PUSHED.c.resource_type, PUSHED.c.id)
    query = select(PUSHED.c.resource_type, PUSHED.c.id, PUSHED.c.version, RESOURCE.c.body, RESOURCE.c.deleted).join(
        RESOURCE, and_(RESOURCE.c.resource_type == PUSHED.c.resource_type, RESOURCE.c.id == PUSHED.c.id)).where(
        PUSHED.c.target == target, key > after).order_by(PUSHED.c.resource_type, PUSHED.c.id).limit(limit)
    return [Sent(key=(row.resource_type, row.id), there=bool(row.version),
                 body=None if row.deleted else orjson.loads(row.body)) for row in connection.execute(query)]
