"""Improvement plans as they are kept: everything that was done to each, by whom and when. All SQL of this subject.

Nothing is changed or deleted: what a plan is now follows from what was done.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Literal

from sqlalchemy import Connection, func, insert, select

from adapter.store.resources import lock_writes
from adapter.store.schema_gaps import IMPROVEMENT_EVENT

What = Literal["opened", "acted", "reviewed", "closed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something done to a plan. at: microseconds since 1970 UTC; organization: id; review: day of the next review, since 1970.

    said: the goal, the action, what the review found, the result.
    """

    plan: int
    at: int
    actor: str
    what: What
    organization: str
    measure: str
    said: str
    owner: str
    review: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan as it is now. status: open or closed; actions: how many; result: what the last review or the end found."""

    plan: int
    organization: str
    measure: str
    status: str
    goal: str
    owner: str
    review: int | None
    actions: int
    result: str


def events(connection: Connection, plan: int | None = None) -> list[Event]:
    """What was done, oldest first: to one plan, or to all."""
    kept = IMPROVEMENT_EVENT.c
    query = select(*(kept[name] for name in Event.__slots__)).order_by(kept.seq)
    found = connection.execute(query if plan is None else query.where(kept.plan == plan))
    return [Event(**dict(row)) for row in found.mappings()]


def plans(connection: Connection) -> list[Plan]:
    """All plans, by number."""
    found: dict[int, Plan] = {}
    for one in events(connection):
        found[one.plan] = _after(found.get(one.plan), one)
    return list(found.values())


def _after(plan: Plan | None, event: Event) -> Plan:
    if plan is None:
        return Plan(plan=event.plan, organization=event.organization, measure=event.measure, status="open", goal=event.said,
                    owner=event.owner, review=event.review, actions=0, result="")
    if event.what == "acted":
        return replace(plan, actions=plan.actions + 1)
    status = "closed" if event.what == "closed" else plan.status
    return replace(plan, status=status, review=event.review, result=event.said)


def start(connection: Connection, event: Event) -> int | None:
    """Open a plan; its number (not the event's), or None where the organization has an open one for that measure."""
    lock_writes(connection)
    at = (event.organization, event.measure, "open")
    if any((one.organization, one.measure, one.status) == at for one in plans(connection)):
        return None
    number = (connection.scalar(select(func.max(IMPROVEMENT_EVENT.c.plan))) or 0) + 1
    connection.execute(insert(IMPROVEMENT_EVENT).values(asdict(replace(event, plan=number))))
    return number


def go_on(connection: Connection, number: int, what: What, said: str, *, at: int, actor: str, review: int | None = None) -> bool:
    """Add what was done to an open plan; False where there is none of that number."""
    lock_writes(connection)
    plan = next((one for one in plans(connection) if one.plan == number and one.status == "open"), None)
    if plan is None:
        return False
    connection.execute(insert(IMPROVEMENT_EVENT).values(asdict(Event(
        plan=number, at=at, actor=actor, what=what, organization=plan.organization, measure=plan.measure, said=said,
        owner=plan.owner, review=review))))
    return True
