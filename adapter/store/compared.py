"""A FHIR server compared with the store: what should stand there, and what is queued to put it right. All SQL of this subject."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import orjson
from sqlalchemy import ColumnElement, Connection, and_, delete, exists, insert, select, tuple_, update

from adapter.model import Json, Outlet
from adapter.store.contributions import chunks
from adapter.store.outbox import KEY, is_ours, queued_of, waiting_row
from adapter.store.resources import of_resource
from adapter.store.schema import OUTBOX, PUSHED, RESOURCE, RESOURCE_VERSION, SERVER_ID, UNANSWERED
from adapter.store.server_state import content, note_version, pushed

_CHUNK = 300
_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A resource as it should stand on a server: body (None: deleted), and the version id that was noted. waits: it is queued."""

    resource_type: str
    id: str
    body: Json | None
    version: str
    waits: bool = False


def types(connection: Connection, target: str) -> list[str]:
    """The types of which something stands here, or was pushed there."""
    here = select(RESOURCE.c.resource_type).distinct()
    there = select(PUSHED.c.resource_type).where(PUSHED.c.target == target).distinct()
    return sorted({*connection.scalars(here), *connection.scalars(there)})


def standing(connection: Connection, target: str, resource_type: str, ids: Collection[str], *,
             waiting: bool = False) -> dict[str, Standing]:
    """Of these ids, those that are ours, as they should stand; without those in the queue unless they are asked for.

    version: '' of what was never noted as pushed there: what is deleted here is told only where it was.
    """
    keys = [(resource_type, one) for one in ids]
    have, queued = pushed(connection, target, keys), queued_of(connection, target, keys)
    found: dict[str, Standing] = {}
    for chunk in chunks([key for key in keys if waiting or key not in queued], _CHUNK):
        query = select(RESOURCE).where(tuple_(RESOURCE.c.resource_type, RESOURCE.c.id).in_(chunk))
        for row in connection.execute(query):
            noted = have.get(key := (row.resource_type, row.id))
            if noted is not None or (not row.deleted and is_ours(orjson.loads(row.sources))):
                found[row.id] = Standing(resource_type=row.resource_type, id=row.id, version=noted.version if noted else "",
                                         waits=key in queued, body=None if row.deleted else orjson.loads(row.body))
    return found


def expected(connection: Connection, outlet: Outlet, resource_type: str) -> list[str]:
    """Ids that should stand there and do not wait to be pushed: those that were, and those of ours that never went there."""
    query = select(RESOURCE.c.id).join(PUSHED, _noted(outlet.name)).where(
        RESOURCE.c.resource_type == resource_type, RESOURCE.c.deleted == 0)
    ids = sorted([*connection.scalars(query), *(one for _, one in unsent(connection, outlet, resource_type))])
    queued = queued_of(connection, outlet.name, [(resource_type, one) for one in ids])
    return [one for one in ids if (resource_type, one) not in queued]


def unsent(connection: Connection, outlet: Outlet, resource_type: str = "") -> Iterator[tuple[str, str]]:
    """(type, id) of what stands here, is ours, goes there, and was neither pushed nor queued: of before the server was named."""
    queued = and_(OUTBOX.c.resource_type == RESOURCE.c.resource_type, OUTBOX.c.id == RESOURCE.c.id,
                  OUTBOX.c.target == outlet.name)
    query = select(RESOURCE.c.resource_type, RESOURCE.c.id, RESOURCE.c.sources, RESOURCE.c.body).where(
        RESOURCE.c.deleted == 0, ~exists().where(_noted(outlet.name)), ~exists().where(queued))
    query = query.where(RESOURCE.c.resource_type == resource_type) if resource_type else query
    for rows in connection.execute(query.execution_options(yield_per=_PAGE)).partitions():
        yield from ((row.resource_type, row.id) for row in rows
                   if is_ours(orjson.loads(row.sources)) and outlet.takes(row.resource_type, orjson.loads(row.body)))


def _noted(target: str) -> ColumnElement[bool]:
    return and_(PUSHED.c.resource_type == RESOURCE.c.resource_type, PUSHED.c.id == RESOURCE.c.id, PUSHED.c.target == target)


def in_conflict(connection: Connection, target: str, attempts: int, limit: int) -> list[tuple[str, str]]:
    """(type, id) of what the server refuses as changed there, so many times by now."""
    query = select(OUTBOX.c.resource_type, OUTBOX.c.id).where(
        OUTBOX.c.target == target, OUTBOX.c.state == "waiting", OUTBOX.c.error.startswith("version-conflict"),
        OUTBOX.c.attempts >= attempts)
    return [(row.resource_type, row.id) for row in connection.execute(query.limit(limit))]


def versions(connection: Connection, resource_type: str, resource_id: str) -> list[tuple[int, Json]]:
    """(written, body) of the last hundred versions of a resource here, the newest first."""
    query = select(RESOURCE_VERSION.c.updated, RESOURCE_VERSION.c.body).where(
        of_resource(resource_type, resource_id), RESOURCE_VERSION.c.body.is_not(None)).order_by(
        RESOURCE_VERSION.c.version.desc()).limit(100)
    return [(row.updated, orjson.loads(row.body)) for row in connection.execute(query)]


def recognized(connection: Connection, target: str, resource_type: str, resource_id: str, version: str, body: Json,
               now_us: int) -> bool:
    """Whether what stands on a server for which nothing was noted is as we have it, or had it: then it is noted as ours.

    So it is where a server got another address, and where its notes were lost: our own words are no other client's statement.
    """
    row = connection.execute(select(RESOURCE).where(
        RESOURCE.c.resource_type == resource_type, RESOURCE.c.id == resource_id)).first()
    if row is None or not is_ours(orjson.loads(row.sources)):
        return False
    if all(content(mine) != content(body) for _, mine in versions(connection, resource_type, resource_id)):
        return False
    if row.deleted or content(orjson.loads(row.body)) != content(body):
        push_again(connection, target, resource_type, resource_id, version, body, now_us)
    else:
        note_version(connection, target, resource_type, resource_id, version, body)
    return True


def renumber(connection: Connection, target: str, resource_type: str, resource_id: str, version: str, body: Json) -> None:
    """What we pushed stands there as it was, under this version id; what waits is tried again at once. body: as it stands."""
    at = (PUSHED.c.target == target, PUSHED.c.resource_type == resource_type, PUSHED.c.id == resource_id)
    if not connection.execute(update(PUSHED).where(*at).values(version=version)).rowcount:
        note_version(connection, target, resource_type, resource_id, version, body)
    connection.execute(update(OUTBOX).where(OUTBOX.c.target == target, KEY.in_([(resource_type, resource_id)])).values(
        due=0, attempts=0))


def push_again(connection: Connection, target: str, resource_type: str, resource_id: str, version: str, body: Json,
               now_us: int) -> None:
    """Queue a resource as it stands here (or its deletion), to be put in the place of this version there."""
    note_version(connection, target, resource_type, resource_id, version, body)
    if queued_of(connection, target, [(resource_type, resource_id)]):
        renumber(connection, target, resource_type, resource_id, version, body)
        return
    row = connection.execute(select(RESOURCE.c.resource_type, RESOURCE.c.id, RESOURCE.c.hash, RESOURCE.c.person).where(
        RESOURCE.c.resource_type == resource_type, RESOURCE.c.id == resource_id)).one()
    connection.execute(insert(OUTBOX).values(**waiting_row(target, row, now_us)))


def begin_anew(connection: Connection, outlet: Outlet, now_us: int) -> int:
    """Forget all that a server had, and queue for it all that stands, is ours and goes there; how many resources."""
    target = outlet.name
    for table in (OUTBOX, PUSHED, SERVER_ID, UNANSWERED):
        connection.execute(delete(table).where(table.c.target == target))
    r = RESOURCE.c
    query = select(r.resource_type, r.id, r.hash, r.person, r.sources, r.body).where(r.deleted == 0)
    count = 0
    for rows in connection.execute(query.execution_options(yield_per=_PAGE)).partitions():
        new = [waiting_row(target, row, now_us) for row in rows
               if is_ours(orjson.loads(row.sources)) and outlet.takes(row.resource_type, orjson.loads(row.body))]
        if new:
            connection.execute(insert(OUTBOX), new)
        count += len(new)
    return count
