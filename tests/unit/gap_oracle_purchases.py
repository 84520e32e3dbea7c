"""G25 once more, in plain Python over FHIR resources: written from the requirement, not the SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from tests.unit.gap_oracle import DAY, NETWORK, Answer, Oracle, Resource, codes, key, span
from tests.unit.gap_oracle_days import ended, past
from tests.unit.gap_oracle_needs import NEGATIVE, POSITIVE, code, today
from tests.unit.gap_oracle_requests import Request, requests

NEEDS = ("housing", "transport", "food", "utilities")
ORDER = ("begun", "granted", "waiting", "not granted", "not dated")
"""How far a request got, the best first."""
SAID = {"begun": ("closed", None), "granted": ("open", "not-found"), "waiting": ("open", "not-found"),
        "not granted": ("open", "not-found"), "not dated": ("open", "missing-element"), "": ("open", "not-found")}


@dataclass
class Sent:
    """A referral. course: done, refused, or '' for any other."""

    id: str
    need: str
    day: date | None
    course: str


def g25(one: Oracle) -> list[Answer]:
    """Of one member."""
    asked = [r for r in requests(one) if codes(r.resource["category"], NETWORK + "request-kind")[0] != "authorization"]
    found: list[Answer] = []
    used: set[str] = set()
    for item, need, day, met in lacks(one) if one.enrollments else []:
        mine = [r for r in asked if need in codes(r.resource.get("reasonCode"), NETWORK + "need")
                and (r.made is None or r.made.day >= day)]
        used |= {r.id for r in mine}
        found.append(one.answer("G25", "not-applicable", **one.responsible(one.manager), item=item) if met
                     else said(one, item, [(r, "not dated" if r.made is None else reached(one, r)) for r in mine]))
    found += [said(one, f"ServiceRequest/{r.id}", [(r, reached(one, r))]) for r in asked if r.id not in used]
    return found or [one.answer("G25", "not-applicable", **one.responsible(one.manager))]


def said(one: Oracle, item: str, asked: list[tuple[Request, str]]) -> Answer:
    best = min((how for _, how in asked), key=ORDER.index, default="")
    payer = min(((r.id, r.payer) for r, how in asked if how == best), default=("", None))[1]
    return one.answer("G25", *SAID[best], **one.responsible(payer if best == "waiting" and payer else one.manager), item=item)


def reached(one: Oracle, asked: Request) -> str:
    for task in one.mine("Task", "for"):
        if codes(task["code"], "http://hl7.org/fhir/CodeSystem/task-code") and key(task["focus"], "ServiceRequest") == asked.id \
                and any(past(one, span(o["valueDate"])) for o in task.get("output", [])):
            return "begun"
    if asked.stage == "open":
        return "waiting"
    return "granted" if asked.stage == "decided" and not asked.denied else "not granted"


def lacks(one: Oracle) -> list[tuple[str, str, date, bool]]:
    """What is lacking: item, need, since when, and whether a referral met it."""
    orders = [r for r in one.mine("ServiceRequest", "subject") if codes(r["code"], NETWORK + "service")
              and r["intent"] not in ("proposal", "plan") and r["status"] not in ("draft", "entered-in-error")]
    sent = [referral(one, r) for r in orders if not r.get("authoredOn") or past(one, span(r["authoredOn"]))]
    needs = found(one)
    lacking = [(f"Observation/{name}", need, day,
                any(s.course == "done" and s.need == need and (s.day is None or s.day >= day) for s in sent))
               for need, (name, day) in needs.items()]
    for s in sent:
        later = any(o.need == s.need and o.course != "refused" and o.day and s.day and o.day >= s.day for o in sent)
        if s.course == "refused" and s.day and s.day + 365 * DAY >= today(one) and s.need not in needs and not later:
            lacking.append((f"ServiceRequest/{s.id}", s.need, s.day, False))
    return lacking


def found(one: Oracle) -> dict[str, tuple[str, date]]:
    """Needs that the last screening found: the Observation and its day."""
    results = [(need[0], when, o) for o in one.mine("Observation", "subject")
               for need, when in [(codes(o["code"], NETWORK + "need"), span(o.get("effectiveDateTime")))]
               if need and need[0] in NEEDS and when and past(one, when) and when.day + 365 * DAY >= today(one)
               and code(o.get("valueCodeableConcept")) in (POSITIVE, NEGATIVE)]
    last: dict[str, tuple[str, date]] = {}
    for need in {need for need, _, _ in results}:
        first = max(when.first for n, when, _ in results if n == need)
        named = [(o["id"], when.day) for n, when, o in results
                 if n == need and when.first == first and code(o["valueCodeableConcept"]) == POSITIVE]
        if named:
            last[need] = min(named)
    return last


def referral(one: Oracle, sent: Resource) -> Sent:
    observed = {o["id"]: codes(o["code"], NETWORK + "need") for o in one.mine("Observation", "subject")}
    reasons = [need for r in sent.get("reasonReference", []) for need in observed.get(key(r, "Observation") or "", [])]
    service = codes(sent["code"], NETWORK + "service")[0]
    need = codes(sent.get("reasonCode"), NETWORK + "need") or reasons or [service if service in NEEDS else "health"]
    tasks = [t for t in one.mine("Task", "for") if key(t["focus"], "ServiceRequest") == sent["id"]]
    words = [t["status"] for t in tasks for end in [ended(t) or span(t.get("lastModified"))] if end is None or past(one, end)]
    done = "completed" in words if tasks else sent["status"] == "completed"
    refused = "rejected" in words or "failed" in words
    made = span(sent.get("authoredOn"))
    return Sent(sent["id"], need[0], made.day if made else None, "done" if done else "refused" if refused else "")
