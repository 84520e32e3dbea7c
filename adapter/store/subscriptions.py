"""Who subscribed to notices, and how far each was told. All SQL of this subject.

The events of a subscription are numbered without gaps, in the transaction in which they happen: an event keeps its number
however often it is sent.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row, and_, case, delete, func, insert, select, update

from adapter.model import Json
from adapter.store.notices import Notice, notice_of
from adapter.store.schema_gaps import NOTICE, SUBSCRIPTION, SUBSCRIPTION_EVENT

_S = SUBSCRIPTION.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """One subscription. body: without status and meta. base: URL of /fhir, as who subscribed knows it.

    status: requested, active, error, off, deleted. events: how many there were; sent: number of the last one delivered.
    due: when there is something to send (a handshake, events, a heartbeat), None for nothing. Times are microseconds since
    1970 UTC. error: an issue code and an HTTP status, never what the receiver said. recipients: whose it is, numbers of
    organizations in the network, or `*` for the network itself; withheld: notices that these may not be told of.
    """

    id: str
    body: Json
    status: str
    version: int
    updated: int
    base: str
    events: int = 0
    sent: int = 0
    due: int | None = None
    attempts: int = 0
    error: str = ""
    recipients: tuple[str, ...] = ()
    withheld: int = 0


def put(connection: Connection, one: Subscribed) -> None:
    """Store a subscription in place of what it was before."""
    connection.execute(delete(SUBSCRIPTION).where(_S.id == one.id))
    connection.execute(insert(SUBSCRIPTION).values(
        id=one.id, body=orjson.dumps(one.body).decode(), status=one.status, version=one.version, updated=one.updated,
        base=one.base, events=one.events, sent=one.sent, due=one.due, attempts=one.attempts, error=one.error,
        recipients=",".join(one.recipients), withheld=one.withheld))


def read(connection: Connection, subscription_id: str) -> Subscribed | None:
    """One subscription; None where there never was one."""
    row = connection.execute(select(SUBSCRIPTION).where(_S.id == subscription_id)).one_or_none()
    return _subscribed(row) if row is not None else None


def with_status(connection: Connection, statuses: Collection[str]) -> list[Subscribed]:
    """The subscriptions in one of these states, by id."""
    query = select(SUBSCRIPTION).where(_S.status.in_(statuses)).order_by(_S.id)
    return [_subscribed(row) for row in connection.execute(query)]


def due(connection: Connection, now_us: int) -> list[str]:
    """Ids of those that have something to send now, longest waiting first."""
    return list(connection.scalars(select(_S.id).where(_S.due <= now_us).order_by(_S.due)))


def add_events(connection: Connection, subscription_id: str, notices: Sequence[int], now_us: int) -> None:
    """Make these notices the next events of a subscription. One that waits after a failure goes on waiting."""
    connection.execute(update(SUBSCRIPTION).where(_S.id == subscription_id).values(
        events=_S.events + len(notices), due=case((_S.attempts > 0, _S.due), else_=now_us)))
    first = (connection.scalar(select(_S.events).where(_S.id == subscription_id)) or 0) - len(notices) + 1
    connection.execute(insert(SUBSCRIPTION_EVENT), [
        {"subscription": subscription_id, "number": first + n, "notice": seq} for n, seq in enumerate(notices)])


def belongs(connection: Connection, subscription_id: str, recipients: Collection[str]) -> None:
    """Note whose a subscription is."""
    connection.execute(update(SUBSCRIPTION).where(_S.id == subscription_id).values(recipients=",".join(recipients)))


def withhold(connection: Connection, subscription_id: str, count: int) -> None:
    """Count notices that a subscription is not told of."""
    connection.execute(update(SUBSCRIPTION).where(_S.id == subscription_id).values(withheld=_S.withheld + count))


def withheld(connection: Connection) -> int:
    """How many notices were withheld from those who subscribed, in all."""
    return connection.scalar(select(func.coalesce(func.sum(_S.withheld), 0))) or 0


def forget_events(connection: Connection, subscription_id: str) -> None:
    """Let a subscription's events begin anew: another one takes its id."""
    connection.execute(delete(SUBSCRIPTION_EVENT).where(SUBSCRIPTION_EVENT.c.subscription == subscription_id))


def events(connection: Connection, subscription_id: str, first: int, last: int | None = None,
           limit: int = 1000) -> list[tuple[int, Notice]]:
    """Events of a subscription from number `first` to `last` (None: to the end), with their numbers."""
    e = SUBSCRIPTION_EVENT.c
    query = select(e.number, NOTICE).join(NOTICE, NOTICE.c.seq == e.notice).where(
        e.subscription == subscription_id, e.number >= first).order_by(e.number).limit(limit)
    rows = connection.execute(query if last is None else query.where(e.number <= last))
    return [(row.number, notice_of(row)) for row in rows]


def sent(connection: Connection, one: Subscribed, number: int, now_us: int, next_us: int | None) -> None:
    """Note that the receiver took everything up to an event's number; it is active then. next_us: the next heartbeat.

    Nothing is noted where the subscription was changed meanwhile.
    """
    connection.execute(update(SUBSCRIPTION).where(_S.id == one.id, _S.version == one.version).values(
        status="active", sent=number, attempts=0, error="", due=case((_S.events > number, now_us), else_=next_us)))


def failed(connection: Connection, one: Subscribed, status: str, due_us: int | None, error: str) -> None:
    """Note that the receiver did not take it, and when to try again (None: not)."""
    connection.execute(update(SUBSCRIPTION).where(_S.id == one.id, _S.version == one.version).values(
        status=status, attempts=_S.attempts + 1, due=due_us, error=error))


def counts(connection: Connection) -> dict[str, int]:
    """How many subscriptions are in each state."""
    query = select(_S.status, func.count()).where(_S.status != "deleted").group_by(_S.status)
    return {row[0]: row[1] for row in connection.execute(query)}


def waiting(connection: Connection) -> int:
    """How many events were not delivered yet, of those that are not off."""
    return connection.scalar(select(func.coalesce(func.sum(_S.events - _S.sent), 0)).where(
        _S.status.in_(("requested", "active", "error")))) or 0


def failing(connection: Connection, limit: int) -> list[tuple[Subscribed, int]]:
    """Subscriptions whose receiver does not take what is sent, each with when its oldest undelivered event happened."""
    e = SUBSCRIPTION_EVENT.c
    query = select(SUBSCRIPTION, NOTICE.c.at).outerjoin(SUBSCRIPTION_EVENT, and_(
        e.subscription == _S.id, e.number == _S.sent + 1)).outerjoin(NOTICE, NOTICE.c.seq == e.notice).where(
        _S.attempts > 0, _S.status.in_(("requested", "active", "error"))).order_by(_S.id).limit(limit)
    return [(_subscribed(row), row.at or row.updated) for row in connection.execute(query)]


def _subscribed(row: Row[Any]) -> Subscribed:
    return Subscribed(id=row.id, body=orjson.loads(row.body), status=row.status, version=row.version, updated=row.updated,
                      base=row.base, events=row.events, sent=row.sent, due=row.due, attempts=row.attempts, error=row.error,
                      recipients=tuple(row.recipients.split(",")) if row.recipients else (), withheld=row.withheld)
