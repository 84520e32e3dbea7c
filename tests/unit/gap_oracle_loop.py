"""G18 once more, in plain Python over FHIR resources: written from the requirement, not the SQL."""

from __future__ import annotations

from tests.unit.gap_oracle import DAY, NETWORK, ZONE, Answer, Oracle, Resource, Span, codes, key, span
from tests.unit.gap_oracle_days import Who, business_days_after, day_in, end_of, ended, past, zone_of


def g18(one: Oracle) -> list[Answer]:
    referrals = [r for r in one.mine("ServiceRequest", "subject") if codes(r.get("code"), NETWORK + "service")
                 and r["intent"] not in ("plan", "proposal") and r["status"] not in ("draft", "entered-in-error")]
    stated = [(r, span(r.get("authoredOn"))) for r in referrals]
    found = [a for r, made in stated if made is None or made.first <= one.now
             for a in (acceptance(one, r, made), loop(one, r, made))]
    return found or [one.answer("G18", "not-applicable", **one.responsible(one.manager))]


def receiver(one: Oracle, referral: Resource) -> Who:
    performers = referral.get("performer", [])
    to = next((k for k in (key(p, "Organization") for p in performers) if k), None)
    person = next((k for k in (key(p, "Practitioner") for p in performers) if k), None)
    who: Who = one.responsible(to or one.manager)
    return who | ({"party": f"Practitioner/{person}"} if person else {})


def tasks_of(one: Oracle, referral: Resource) -> list[Resource]:
    return [t for t in one.mine("Task", "for") if key(t.get("focus"), "ServiceRequest") == referral["id"]]


def started(task: Resource) -> str | None:
    period: Resource = task.get("executionPeriod") or {}
    return period.get("start")


def stage(one: Oracle, task: Resource) -> str:
    end = ended(task) or span(task.get("lastModified"))
    if end and end.first > one.now:
        return "running"
    return {"completed": "done", "rejected": "ended", "cancelled": "ended", "failed": "ended"}.get(task["status"], "running")


def outcome(one: Oracle, referral: Resource) -> str:
    stages = {stage(one, t) for t in tasks_of(one, referral)}
    if not stages:
        return {"completed": "done", "revoked": "ended"}.get(referral["status"], "running")
    return "done" if "done" in stages else "running" if "running" in stages else "ended"


def acceptance(one: Oracle, referral: Resource, made: Span | None) -> Answer:
    who: Who = receiver(one, referral) | {"item": f"ServiceRequest/{referral['id']}#acceptance"}
    if made is None:
        return one.answer("G18", "open", "not-computable", **who)
    zone = zone_of(one, next((k for k in (key(p, "Organization") for p in referral.get("performer", [])) if k), None))
    due = end_of(business_days_after(day_in(made, zone), 2), zone)
    tasks, came_to = tasks_of(one, referral), outcome(one, referral)
    accepted = [s.first for s in (span(started(t)) for t in tasks) if past(one, s) and s]
    ends = [e.first for e in (ended(t) for t in tasks) if e]
    in_time = any(at <= due for at in (accepted if came_to == "running" else [*accepted, *ends]))
    taken = not accepted and any(started(t) is None and t["status"] in ("accepted", "in-progress", "on-hold", "completed")
                                 for t in tasks)
    if in_time or (came_to == "ended" and not accepted and not ends) or (taken and due >= one.now):
        return one.answer("G18", "closed", **who)
    if accepted:
        return one.answer("G18", "missed", "date-out-of-range", **who)
    if taken or came_to == "done":
        return one.answer("G18", "open", "missing-element", **who)
    if due >= one.now:
        return one.answer("G18", "prospective", due=due, **who)
    return one.answer("G18", "open" if came_to == "running" else "missed", "not-found", **who)


def loop(one: Oracle, referral: Resource, made: Span | None) -> Answer:
    who: Who = receiver(one, referral) | {"item": f"ServiceRequest/{referral['id']}#loop"}
    came_to, tasks = outcome(one, referral), tasks_of(one, referral)
    if came_to == "done":
        return one.answer("G18", "closed", **who)
    if came_to == "ended":
        reasoned = any(t.get("statusReason") for t in tasks)
        return one.answer("G18", "closed" if reasoned else "open", None if reasoned else "missing-element", **who)
    signs = [made, *(span(t.get("lastModified")) for t in tasks),
             *(span(started(t)) for t in tasks), *said_of(one, referral["id"])]
    days = [s.day for s in signs if s and past(one, s)]
    if not days:
        return one.answer("G18", "open", "not-computable", **who)
    due = end_of(max(days) + 14 * DAY, ZONE)
    if due >= one.now:
        return one.answer("G18", "prospective", due=due, **who)
    return one.answer("G18", "open", "date-out-of-range", **who)


def said_of(one: Oracle, referral: str) -> list[Span | None]:
    contacts = [span(c["period"]["start"]) for c in one.contacts()
                if [key(b, "ServiceRequest") for b in c.get("basedOn", [])][:1] == [referral]]
    words = [span(c.get("sent")) for c in one.mine("Communication", "subject") for element in ("about", "basedOn")
             if [key(b, "ServiceRequest") for b in c.get(element, [])][:1] == [referral]]
    return contacts + words
