"""G22 once more, in plain Python over FHIR resources: written from the requirement, not the SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from tests.unit.gap_oracle import DAY, NETWORK, ZONE, Answer, Oracle, Resource, Seat, Span, codes, key, span
from tests.unit.gap_oracle_days import ended, past


@dataclass
class Coordinator:
    """One who coordinates now, in all their seats; since: the later of the seat's and the enrolment's beginning."""

    who: str
    practitioner: str | None
    organization: str | None
    since: Span | None


def g22(one: Oracle) -> list[Answer]:
    """Of one member."""
    day = one.now.astimezone(ZONE).date()
    found = [c for c in coordinators(one) if c.since is None or c.since.day + 90 * DAY >= day]
    answers = [one.answer("G22", *judged(one, c), item=c.who, organization=c.organization or one.manager, party=c.who)
               for c in found]
    return answers or [one.answer("G22", "not-applicable", organization=one.manager, party=one.lead)]


def coordinators(one: Oracle) -> list[Coordinator]:
    if not one.enrollments:
        return []
    enrolled = span((min(one.enrollments, key=lambda e: e["id"]).get("period") or {}).get("start"))
    seats: dict[str, list[Seat]] = {}
    for s in one.taken:
        if s.person and (s.lead or s.part in ("lead-coordinator", "care-coordinator")):
            seats.setdefault(f"Practitioner/{s.practitioner}" if s.practitioner else s.person, []).append(s)
    out: list[Coordinator] = []
    for who, held in seats.items():
        start = min((s.start for s in held if s.start), key=lambda s: s.first, default=None)
        since = enrolled if start is None or (enrolled and enrolled.first > start.first) else start
        out.append(Coordinator(who, min((s.practitioner for s in held if s.practitioner), default=None),
                               min((s.organization for s in held if s.organization), default=None), since))
    return out


def judged(one: Oracle, c: Coordinator) -> tuple[str, str | None]:
    if c.since is None:
        return "open", "not-computable"
    met = first_contact(one, c, c.since)
    limit = met or one.now
    reviews = [(ended(t), parts(t)) for t in one.mine("Task", "for") if reads(t, c) and counts(one, ended(t), c.since.day)]
    in_time = {p for when, read in reviews if when and when.first <= limit for p in read}
    maybe = {p for when, read in reviews if when is None or when.first <= limit for p in read}
    if len(in_time) == 3:
        return "closed", None
    if len(maybe) == 3 or any(not read and (when is None or when.first <= limit) for when, read in reviews):
        return "open", "missing-element"
    if met is None:
        return "prospective", None
    ever = {p for _, read in reviews for p in read}
    if len(ever) == 3:
        return "missed", "date-out-of-range"
    return "open", "count-out-of-range" if ever else "not-found"


def first_contact(one: Oracle, c: Coordinator, since: Span) -> datetime | None:
    them = ("p", c.practitioner) if c.practitioner else ("o", c.organization)
    times = [span(e["period"]["start"]) for e in one.contacts() if them[1] and them in one.present(e)]
    return min((t.last for t in times if t and since.first <= t.first <= one.now), default=None)


def reads(task: Resource, c: Coordinator) -> bool:
    if codes(task.get("code"), NETWORK + "task-code") != ["record-review"]:
        return False
    if c.practitioner:
        return key(task.get("owner"), "Practitioner") == c.practitioner
    return c.organization is not None and key(task.get("owner"), "Organization") == c.organization


def counts(one: Oracle, when: Span | None, since: date) -> bool:
    return when is None or (past(one, when) and when.day + 30 * DAY >= since)


def parts(task: Resource) -> set[str]:
    found = [codes(o.get("valueCodeableConcept"), NETWORK + "record-part") for o in task.get("output", [])]
    return {part for read in found for part in read}
