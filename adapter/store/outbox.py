"""What waits to be pushed to a FHIR server. All SQL of this subject."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    delete,
    exists,
    func,
    insert,
    not_,
    or_,
    select,
    tuple_,
    update,
)

from adapter.compose.references import targets
from adapter.model import Composed, Delivery, Outlet
from adapter.store.contributions import chunks
from adapter.store.engine import among
from adapter.store.schema import JOURNAL, OUTBOX, PUSHED, RESOURCE
from adapter.store.server_state import Pushed, content, pushed, stands
from adapter.store.targets import LONGEST_US

_CHUNK = 300
KEY = tuple_(OUTBOX.c.resource_type, OUTBOX.c.id)


def enqueue(connection: Connection, outlet: Outlet, changed: Sequence[Composed], now_us: int) -> None:
    """Queue changed resources for a server; a version that still waits is replaced by the newer one, and what is held stays so.

    What the server has already, what it does not take, and what only other clients of it have said, is not queued, and waits
    no more; but what we said there and say no more is taken back, whoever else speaks of it. Where an older version was begun to
    be sent nobody knows what the server has: whatever is newer is sent. In the place of a dead one it has another chance, and so
    have those that are dead because they refer to that.
    """
    target = outlet.name
    before: dict[tuple[str, str], Row[Any]] = {}
    for chunk in chunks(changed, _CHUNK):
        among = (OUTBOX.c.target == target, KEY.in_([(c.resource_type, c.id) for c in chunk]))
        before.update({(row.resource_type, row.id): row for row in connection.execute(select(OUTBOX).where(*among))})
        connection.execute(delete(OUTBOX).where(*among))
    begun = {key for key, row in before.items() if row.attempts}
    for part in chunks(changed, _CHUNK):
        there = pushed(connection, target, [(c.resource_type, c.id) for c in part])
        chunk = [c for c in part if is_ours(c.sources) or _leaves_ours(c, there.get((c.resource_type, c.id)))]
        keys = [(c.resource_type, c.id) for c in chunk]
        have = {key: p.hash for key, p in there.items() if p.body is not None}
        rows = [{"target": target, "resource_type": c.resource_type, "id": c.id, "lane": c.person or f"{c.resource_type}/{c.id}",
                 "hash": c.hash, "due": now_us, "attempts": int(key in begun), "error": "", **_as_before(before.get(key), now_us)}
                for c, key in zip(chunk, keys, strict=True)
                if key in begun or (have.get(key) != c.hash
                                    and (key in have or (not c.deleted and outlet.takes(c.resource_type, c.body))))]
        if rows:
            connection.execute(insert(OUTBOX), rows)
    dead = {f"{t}/{i}" for (t, i), row in before.items() if row.state == "dead"}
    if dead:
        revive(connection, target, dead, now_us)


def _leaves_ours(composed: Composed, there: Pushed | None) -> bool:
    """Whether only other clients say anything of a resource now, and what we said of it still stands there."""
    return there is not None and there.body is not None and content(there.body) != content(composed.body)


def _as_before(row: Row[Any] | None, now_us: int) -> dict[str, Any]:
    """What a newer version has of the one in whose place it waits: since when it does, and that it is held."""
    return {"queued": row.queued if row is not None and row.state != "dead" else now_us,
            "state": "held" if row is not None and row.state == "held" else "waiting"}


def queued_of(connection: Connection, target: str, keys: Collection[tuple[str, str]], state: str = "") -> set[tuple[str, str]]:
    """Of these (type, id), those that stand in the queue; in one state alone where it is given."""
    found: set[tuple[str, str]] = set()
    for chunk in chunks(keys, _CHUNK):
        query = select(OUTBOX.c.resource_type, OUTBOX.c.id).where(OUTBOX.c.target == target, KEY.in_(chunk))
        query = query.where(OUTBOX.c.state == state) if state else query
        found.update((row.resource_type, row.id) for row in connection.execute(query))
    return found


def due_lanes(connection: Connection, target: str, now_us: int, limit: int, rest_us: int = 0,
              left_out: Collection[str] = ()) -> list[str]:
    """Lanes of what may be pushed now, by age: those of shared data, or where there is none those of persons.

    A time further ahead than may be is of a wrong clock. limit: of resources that are looked at. rest_us: how long each has to
    have waited since it changed first, so that what changes again meanwhile goes as one.
    """
    shared = OUTBOX.c.lane == OUTBOX.c.resource_type + "/" + OUTBOX.c.id
    query = select(OUTBOX.c.lane, shared.label("shared")).where(*_due(target, now_us, rest_us))
    query = query.where(not_(among(connection, OUTBOX.c.lane, left_out))) if left_out else query
    query = query.order_by(shared.desc(), OUTBOX.c.queued, OUTBOX.c.lane).limit(limit)
    rows = connection.execute(query).all()
    return list(dict.fromkeys(row.lane for row in rows if row.shared == rows[0].shared))


def any_due(connection: Connection, target: str, now_us: int, rest_us: int = 0) -> bool:
    """Whether anything may be pushed now."""
    return connection.execute(select(OUTBOX.c.id).where(*_due(target, now_us, rest_us)).limit(1)).first() is not None


def _due(target: str, now_us: int, rest_us: int) -> tuple[ColumnElement[bool], ...]:
    return (OUTBOX.c.target == target, OUTBOX.c.state == "waiting",
            or_(OUTBOX.c.due <= now_us, OUTBOX.c.due > now_us + LONGEST_US),
            or_(OUTBOX.c.queued <= now_us - rest_us, OUTBOX.c.queued > now_us))


def lanes(connection: Connection, target: str, names: Collection[str]) -> list[Delivery]:
    """Everything that waits in these lanes, so that what belongs together goes together."""
    return [_delivery(row) for chunk in chunks(names, _CHUNK)
            for row in connection.execute(_waiting(target).where(OUTBOX.c.lane.in_(chunk)))]


def named(connection: Connection, target: str, keys: Collection[tuple[str, str]]) -> list[Delivery]:
    """Of these (type, id), those that wait, due or not."""
    return [_delivery(row) for chunk in chunks(keys, _CHUNK)
            for row in connection.execute(_waiting(target).where(KEY.in_(chunk)))]


_UNREAD = exists().where(
    PUSHED.c.target == OUTBOX.c.target, PUSHED.c.resource_type == OUTBOX.c.resource_type, PUSHED.c.id == OUTBOX.c.id,
    JOURNAL.c.identity == "server:" + PUSHED.c.target + "|" + PUSHED.c.resource_type + "/" + PUSHED.c.id + "|" + PUSHED.c.version,
    JOURNAL.c.state == "waiting").correlate(OUTBOX)
"""Whether another client's version stands on the target that came in, and is not composed yet (read_back.Written.identity)."""


def _waiting(target: str) -> Select[Any]:
    """What may be sent; what would overwrite a version that is not composed yet waits for that."""
    return _in_state(target, "waiting").where(~_UNREAD)


def _in_state(target: str, state: str) -> Select[Any]:
    return (select(OUTBOX, RESOURCE.c.body, RESOURCE.c.deleted, RESOURCE.c.hash.label("current"), RESOURCE.c.person)
            .join(RESOURCE, and_(RESOURCE.c.resource_type == OUTBOX.c.resource_type, RESOURCE.c.id == OUTBOX.c.id))
            .where(OUTBOX.c.target == target, OUTBOX.c.state == state))


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(resource_type=row.resource_type, id=row.id, lane=row.lane, hash=row.current, attempts=row.attempts,
                    body=None if row.deleted else orjson.loads(row.body), shared=row.person == "")


def note_pushed(connection: Connection, target: str, done: Sequence[tuple[Delivery, str]], now_us: int) -> None:
    """Note what the server took, with its version ids, and take it off the queue unless a newer version waits."""
    for chunk in chunks(done, _CHUNK):
        keys = [(d.resource_type, d.id) for d, _ in chunk]
        connection.execute(delete(PUSHED).where(PUSHED.c.target == target,
                                                tuple_(PUSHED.c.resource_type, PUSHED.c.id).in_(keys)))
        connection.execute(insert(PUSHED), [
            {"target": target, "resource_type": d.resource_type, "id": d.id, "hash": d.hash, "version": version,
             "body": orjson.dumps(d.body).decode() if d.body is not None else None} for d, version in chunk])
        connection.execute(delete(OUTBOX).where(
            OUTBOX.c.target == target,
            tuple_(OUTBOX.c.resource_type, OUTBOX.c.id, OUTBOX.c.hash).in_([(d.resource_type, d.id, d.hash) for d, _ in chunk])))
        _again(connection, target, [d for d, _ in chunk], now_us)


def _again(connection: Connection, target: str, done: Sequence[Delivery], now_us: int) -> None:
    """Queue what stands here otherwise than it was sent, and does not wait: another gateway had sent the newer version before."""
    sent = {(d.resource_type, d.id): d.hash for d in done}
    query = select(RESOURCE.c.resource_type, RESOURCE.c.id, RESOURCE.c.hash, RESOURCE.c.person).where(
        tuple_(RESOURCE.c.resource_type, RESOURCE.c.id).in_(sent))
    newer = {(row.resource_type, row.id): row for row in connection.execute(query) if row.hash != sent[row.resource_type, row.id]}
    for key in newer.keys() - queued_of(connection, target, newer):
        connection.execute(insert(OUTBOX).values(**waiting_row(target, newer[key], now_us)))


def begin(connection: Connection, target: str, deliveries: Sequence[Delivery]) -> None:
    """Note before these are sent that they may stand on the target from now on, whatever becomes of the answer."""
    for chunk in chunks(deliveries, _CHUNK):
        among = KEY.in_([(d.resource_type, d.id) for d in chunk])
        connection.execute(update(OUTBOX).where(OUTBOX.c.target == target, among).values(attempts=OUTBOX.c.attempts + 1))


def postpone(connection: Connection, target: str, deliveries: Sequence[Delivery], due_us: int, error: str, *, dead: bool) -> None:
    """Try these again at a time, or (dead) leave them for an operator; what was held meanwhile stays so. error: an issue code
    and, behind a space, statuses and places, never content."""
    for d in deliveries:
        connection.execute(update(OUTBOX).where(OUTBOX.c.target == target, OUTBOX.c.resource_type == d.resource_type,
                                                OUTBOX.c.id == d.id, OUTBOX.c.hash == d.hash,
                                                OUTBOX.c.state == "waiting").values(
            due=due_us, error=error, state="dead" if dead else "waiting"))


def put_right(connection: Connection, target: str, keys: Collection[tuple[str, str]], now_us: int) -> None:
    """Queue those of these resources that stand on the server otherwise than here, and are not in the queue already.

    So a change of another client that our sources overrule does not stay on the server.
    """
    theirs = pushed(connection, target, keys)
    waits = queued_of(connection, target, keys)
    for resource_type, resource_id in theirs.keys() - waits:
        row = connection.execute(select(RESOURCE).where(
            RESOURCE.c.resource_type == resource_type, RESOURCE.c.id == resource_id, RESOURCE.c.deleted == 0)).first()
        their = theirs[resource_type, resource_id].body
        if row is not None and their is not None and content(orjson.loads(row.body)) != content(their):
            connection.execute(insert(OUTBOX).values(**waiting_row(target, row, now_us)))


def waiting_row(target: str, resource: Any, now_us: int) -> dict[str, Any]:
    """What is put into the queue for a resource (a row of its table: type, id, hash, person) as it stands here."""
    return {"target": target, "resource_type": resource.resource_type, "id": resource.id, "hash": resource.hash,
            "lane": resource.person or f"{resource.resource_type}/{resource.id}", "queued": now_us, "due": now_us, "attempts": 0,
            "state": "waiting", "error": ""}


def forget(connection: Connection, target: str, resource_type: str, resource_id: str, now_us: int, version: str = "") -> None:
    """The server has lost what we pushed (another client deleted it): it is pushed anew, for our sources still state it,
    unless it is held.

    version: of the deletion, '' where it is not known. What came before that is over, and the next push builds on it.
    """
    if version:
        stands(connection, target, resource_type, resource_id, version, None)
    else:
        connection.execute(delete(PUSHED).where(
            PUSHED.c.target == target, PUSHED.c.resource_type == resource_type, PUSHED.c.id == resource_id))
    row = connection.execute(select(RESOURCE.c.resource_type, RESOURCE.c.id, RESOURCE.c.hash, RESOURCE.c.person).where(
        RESOURCE.c.resource_type == resource_type, RESOURCE.c.id == resource_id, RESOURCE.c.deleted == 0)).first()
    held = queued_of(connection, target, [(resource_type, resource_id)], "held")
    connection.execute(delete(OUTBOX).where(OUTBOX.c.target == target, KEY.in_([(resource_type, resource_id)])))
    if row is not None:
        connection.execute(insert(OUTBOX).values(waiting_row(target, row, now_us) | {"state": "held" if held else "waiting"}))


def revive(connection: Connection, target: str, names: Collection[str], now_us: int) -> None:
    """Dead deliveries that refer to one of these (`Type/id`), which the server has taken now or may take, get another chance.

    So do those that are dead with them: what refers to each other goes together, or the server takes none of it.
    """
    dead = [(f"{d.resource_type}/{d.id}", d, targets(d.body, set()))
            for d in map(_delivery, connection.execute(_in_state(target, "dead").limit(1000)))]
    reached = set(names)
    revived: list[Delivery] = []
    while found := [one for one in dead if one[0] in reached or not one[2].isdisjoint(reached)]:
        revived += [d for _, d, _ in found]
        now = {one[0] for one in found}
        reached = now.union(*(one[2] for one in found))
        dead = [one for one in dead if one[0] not in now]
    for d in revived:
        connection.execute(update(OUTBOX).where(
            OUTBOX.c.target == target, OUTBOX.c.resource_type == d.resource_type, OUTBOX.c.id == d.id).values(
            state="waiting", due=now_us))


def depth(connection: Connection, target: str, state: str = "") -> int:
    """How many resources stand in the queue for a target; in one state alone where it is given."""
    query = select(func.count()).select_from(OUTBOX).where(OUTBOX.c.target == target)
    return connection.scalar(query.where(OUTBOX.c.state == state) if state else query) or 0


def is_ours(sources: Mapping[str, Sequence[str]]) -> bool:
    """Whether others than clients of a server have said something of it."""
    return not sources or any(not source.startswith("server:") for source, _ in sources.values())
