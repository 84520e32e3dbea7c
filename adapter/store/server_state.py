"""What stands on a FHIR server as far as is known: what was pushed, and what others made of it. All SQL of this subject."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, delete, insert, select, tuple_

from adapter.model import Json
from adapter.store.contributions import chunks
from adapter.store.resources import of_resource
from adapter.store.schema import OUTBOX, PUSHED, RESOURCE_VERSION

_CHUNK = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What we pushed of one resource last: content hash, the server's version id, and the body (None: deleted)."""

    hash: str
    version: str
    body: Json | None


def standing_there(connection: Connection, target: str, names: Collection[str]) -> set[str]:
    """Of these `Type/id`, those that were sent to a target and stand there."""
    keys = [(t, i) for t, _, i in (name.partition("/") for name in names)]
    return {f"{t}/{i}" for (t, i), one in pushed(connection, target, keys).items() if one.version and one.body is not None}


def pushed(connection: Connection, target: str, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], Pushed]:
    """What was pushed of these (type, id) last."""
    found: dict[tuple[str, str], Pushed] = {}
    for chunk in chunks(keys, _CHUNK):
        query = select(PUSHED).where(PUSHED.c.target == target, tuple_(PUSHED.c.resource_type, PUSHED.c.id).in_(chunk))
        for row in connection.execute(query):
            found[row.resource_type, row.id] = Pushed(hash=row.hash, version=row.version,
                                                      body=orjson.loads(row.body) if row.body else None)
    return found


def versions(connection: Connection, target: str, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Version ids of what was pushed of these (type, id) last, on the server."""
    return {(row.resource_type, row.id): row.version for chunk in chunks(keys, _CHUNK) for row in connection.execute(
        select(PUSHED.c.resource_type, PUSHED.c.id, PUSHED.c.version).where(
            PUSHED.c.target == target, tuple_(PUSHED.c.resource_type, PUSHED.c.id).in_(chunk)))}


def note_version(connection: Connection, target: str, resource_type: str, resource_id: str, version: str,
                 body: Json | None) -> None:
    """Another client's version stands on the server now: the next push must build on it."""
    stands(connection, target, resource_type, resource_id, version, orjson.dumps(body).decode() if body is not None else None)


def adopt(connection: Connection, target: str, resource_type: str, resource_id: str, body: Json, version: str) -> bool:
    """Whether a version on the server is one of ours whose answer was lost: it still waits here, and says what we said.

    It is noted as pushed then, so that the retry and what comes later build on it.
    """
    at = (OUTBOX.c.target == target, OUTBOX.c.resource_type == resource_type, OUTBOX.c.id == resource_id)
    if connection.execute(select(OUTBOX.c.hash).where(*at)).first() is None:
        return False
    ours = connection.scalars(select(RESOURCE_VERSION.c.body).where(
        of_resource(resource_type, resource_id), RESOURCE_VERSION.c.body.is_not(None)).order_by(
        RESOURCE_VERSION.c.version.desc()).limit(20))
    mine = next((text for text in ours if content(orjson.loads(text)) == content(body)), None)
    if mine is None:
        return False
    stands(connection, target, resource_type, resource_id, version, mine)
    return True


def stands(connection: Connection, target: str, resource_type: str, resource_id: str, version: str, body: str | None) -> None:
    """Note a version as what stands there now."""
    connection.execute(delete(PUSHED).where(PUSHED.c.target == target, PUSHED.c.resource_type == resource_type,
                                            PUSHED.c.id == resource_id))
    connection.execute(insert(PUSHED).values(target=target, resource_type=resource_type, id=resource_id, hash="",
                                             version=version, body=body))


def content(body: Json) -> Json:
    """A body without meta, in which servers write notes of their own."""
    return {name: value for name, value in body.items() if name != "meta"}
