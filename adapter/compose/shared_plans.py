"""One care plan a member and program, of every organization's own plan; each of those stands too, as part of it.

Derived from the statements about the organizations' plans, so it is never written by itself: what ends a plan ends its part here.
Elements that hold one value (status, period, review) are those of the leading plan: of those in force the one stated last.
Lists hold the parts of all plans that stand as the leading one does: in force, coming, or over. Source: COMPOSE; ADR 0021.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapter.compose.fold import Statement, fold
from adapter.compose.said import Said, in_time
from adapter.model import Contribution, Json, is_array

PLAN = "urn:x-careloop:care-plan|"
"""How the keys of organizations' own plans begin."""
SHARED = "urn:x-careloop:program"
"""System of the keys of shared plans, and of the category that names a plan's program."""

_FORCE, _COMING, _OVER = 0, 1, 2
_STANDS = {"active": (_FORCE, 0), "on-hold": (_FORCE, 1), "draft": (_COMING, 0), "unknown": (_COMING, 1), "": (_COMING, 2),
           "completed": (_OVER, 0), "revoked": (_OVER, 1), "entered-in-error": (_OVER, 2)}
_LEADING = frozenset(("status", "period.start", "period.end", "created", "subject"))
_OWN = frozenset(("identifier", "title", "author", "partOf", "description", "intent", "replaces", "instantiatesCanonical"))
"""Elements of an organization's plan that are its own affair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """An organization's plan as its sources state it now. program: code; since: when its status was stated last."""

    key: str
    patient: str
    program: str
    statements: Sequence[Statement]
    status: str
    since: tuple[int, ...]

    @property
    def stands(self) -> tuple[int, int]:
        """In force, coming or over, and how much so."""
        return _STANDS.get(self.status, (_OVER, 3))


def shared_plans(statements: Sequence[Contribution], person: Callable[[str], str]) -> list[Contribution]:
    """The statements, organizations' plans named parts of the shared ones, and what is stated of those. person: of a number."""
    by_plan: dict[str, list[Contribution]] = {}
    for c in statements:
        if c.resource_type == "CarePlan" and is_plan(c):
            by_plan.setdefault(c.key, []).append(c)
    plans = [plan for key in sorted(by_plan) if (plan := _plan(key, by_plan[key])) is not None]
    if not plans:
        return list(statements)
    part_of = {plan.key: f"CarePlan@{plan.patient}?{SHARED}|{plan.program}" for plan in plans}
    found = [_part(c, part_of[c.key]) if c.key in part_of and c.resource_type == "CarePlan" else c for c in statements]
    together: dict[tuple[str, str], list[_Plan]] = {}
    for plan in plans:
        together.setdefault((person(plan.patient), plan.program), []).append(plan)
    for of_program in together.values():
        found.extend(_shared(of_program))
    return found


def is_plan(c: Contribution) -> bool:
    """Whether a statement is about an organization's own plan."""
    return c.resource_type == "CarePlan" and c.scope == "own" and c.key.startswith(PLAN)


def is_shared(resource_type: str, key: str) -> bool:
    """Whether a business key is that of a shared plan."""
    return resource_type == "CarePlan" and key.startswith(f"{SHARED}|")


def _plan(key: str, said: Sequence[Contribution]) -> _Plan | None:
    """An organization's plan; None where nobody states it any more, or says of which program it is."""
    sources: dict[str, list[Contribution]] = {}
    for c in said:
        sources.setdefault(c.source, []).append(c)
    folded = [fold(sources[source]) for source in sorted(sources)]
    standing = [s for s in folded if any(one.value is not None for one in s.slots.values())]
    programs = [(one.moment, s.source, code) for s in standing for slot, one in s.slots.items()
                if slot.startswith("category#") and one.value for code in _programs(one.value)]
    status = [(one.moment, s.source, str(one.value)) for s in standing if (one := s.slots.get("status")) and one.value]
    if not programs:
        return None
    last = in_time([c for c in said if c.patient])[-1]
    return _Plan(key=key, patient=last.patient, program=max(programs)[2], statements=standing,
                 status=max(status)[2] if status else "", since=max(status)[0] if status else ())


def _programs(categories: Any) -> Iterator[str]:
    for concept in categories:
        for coding in concept.get("coding", ()):
            if coding.get("system") == SHARED and coding.get("code"):
                yield coding["code"]


def _part(c: Contribution, shared: str) -> Contribution:
    """A statement of an organization's plan that says of which shared plan it is a part."""
    if c.kind != "snapshot" or not any(value is not None for value in c.body.values()):
        return c
    return replace(c, body={**c.body, "partOf#shared": [{"reference": shared}]})


def _shared(plans: Sequence[_Plan]) -> Iterator[Contribution]:
    """What the organizations' plans of one member and program say of the shared one."""
    leading = min(plans, key=lambda p: (p.stands, tuple(-n for n in p.since), p.key))
    for plan in plans:
        if plan.stands[0] == leading.stands[0]:
            for statement in plan.statements:
                yield from _said(plan, statement, leads=plan is leading)


def _said(plan: _Plan, statement: Statement, *, leads: bool) -> Iterator[Contribution]:
    """One source's statement of one plan as what it says of the shared plan; each slot by the statement that made it."""
    bodies: dict[int, tuple[Contribution, Json]] = {}

    def put(one: Said, slot: str, value: Any) -> None:
        _, body = bodies.setdefault(id(one.by), (one.by, {}))
        body[slot] = value

    for slot, one in statement.slots.items():
        path, _, group = slot.partition("#")
        if one.value is None:
            continue
        if path == "author":
            put(one, f"contributor#{plan.key} author", [one.value])
        elif path in _LEADING or (not is_array(one.value) and path not in _OWN):
            if leads:
                put(one, path, one.value)
        elif is_array(one.value) and path not in _OWN and (leads or path != "extension"):
            put(one, f"{path}#{plan.key} {group}", one.value)
    for by, body in bodies.values():
        body |= {"intent": "plan", "title": f"Shared care plan: {plan.program}",
                 f"supportingInfo#{plan.key} itself": [{"reference": f"CarePlan?{plan.key}"}]}
        yield replace(by, key=f"{SHARED}|{plan.program}", scope="person", patient=plan.patient, kind="snapshot", other="",
                      body=body)
