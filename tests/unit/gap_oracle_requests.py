"""G19 to G21 once more, in plain Python over FHIR resources: written from the requirement, not the SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

from tests.unit.gap_oracle import DAY, NETWORK, ZONE, Answer, Oracle, Resource, Span, codes, key, span
from tests.unit.gap_oracle_days import HOUR, Who, day_in, end_of, ended, past, zone_of


@dataclass
class Request:
    """What is known of a request at the as-of instant. stage: open, decided or withdrawn; ended: the decision, if it is dated."""

    resource: Resource
    made: Span | None
    payer: str | None = None
    stage: str = "open"
    denied: bool = False
    ended: Span | None = None
    answers: list[Resource] = field(default_factory=list[Resource])
    until: Span | None = None

    @property
    def id(self) -> str:
        return self.resource["id"]

    def dates(self, decision: str) -> list[Span | None]:
        return [span(a.get("created")) for a in self.answers if said(a) == decision]


def said(answer: Resource) -> str:
    found = [c for one in answer.get("adjudication", []) for c in codes(one["category"], NETWORK + "request-status")]
    return found[0] if found else "decided" if answer["outcome"] == "complete" else ""


DECISIONS, DENIALS = ("approved", "partly-approved", "denied", "decided"), ("denied", "partly-approved")


def requests(one: Oracle) -> list[Request]:
    asked = [r for r in one.mine("ServiceRequest", "subject") if codes(r.get("category"), NETWORK + "request-kind")
             and r["status"] not in ("draft", "entered-in-error")]
    return [request(one, r, made) for r in asked for made in [span(r.get("authoredOn"))] if made is None or made.first <= one.now]


def request(one: Oracle, resource: Resource, made: Span | None) -> Request:
    claims = [c for c in one.mine("Claim", "patient")
              if c["use"] == "preauthorization" and key(c.get("referral"), "ServiceRequest") == resource["id"]]
    task = next((t for t in one.mine("Task", "for") if codes(t["code"], "http://hl7.org/fhir/CodeSystem/task-code") == ["approve"]
                 and key(t["focus"], "ServiceRequest") == resource["id"]), None)
    found = Request(resource, made)
    insurers = [key(c.get("insurer"), "Organization") for c in claims]
    found.payer = key((task or {}).get("owner"), "Organization") or next((i for i in insurers if i), None)
    limits: Resource = (task or {}).get("restriction") or {"period": {}}
    found.until = span(limits["period"].get("end"))
    found.answers = [a for a in one.mine("ClaimResponse", "patient") if a["status"] == "active" and a["use"] == "preauthorization"
                     and key(a["request"], "Claim") in {c["id"] for c in claims}
                     and (a.get("created") is None or past(one, span(a["created"])))]
    decisions = [a for a in found.answers if said(a) in DECISIONS]
    if decisions:
        dated = [d for d in (span(a.get("created")) for a in decisions) if d]
        found.stage, found.denied = "decided", any(said(a) in DENIALS for a in decisions)
        found.ended = min(dated) if dated else None
        if dated:  # the first decision, the day that ends first where several have it
            found.ended = Span(min(d.first for d in dated), min(d.last for d in dated))
    elif task:
        by_task(one, found, task)
    elif resource["status"] == "revoked":
        found.stage = "withdrawn"
    return found


def by_task(one: Oracle, found: Request, task: Resource) -> None:
    end = ended(task)
    if end and end.first > one.now:
        return
    word = codes(task.get("businessStatus"), NETWORK + "request-status")[:1]
    if word and word[0] in DECISIONS:
        found.stage, found.denied, found.ended = "decided", word[0] in DENIALS, end
    elif word == ["withdrawn"] or task["status"] == "cancelled":
        found.stage, found.ended = "withdrawn", end


# --- G19
def g19(one: Oracle) -> list[Answer]:
    found = [decision(one, r) for r in requests(one)]
    return found or [one.answer("G19", "not-applicable", **one.responsible(one.manager))]


def clock(one: Oracle, asked: Request) -> datetime | None:
    if asked.made is None:
        return None
    zone = zone_of(one, asked.payer)
    if asked.resource.get("priority") in ("urgent", "asap", "stat"):
        first, longest = asked.made.last + 72 * HOUR, asked.made.last + 72 * HOUR + 14 * 24 * HOUR
    else:
        day = day_in(asked.made, zone)
        last = day + (14 if day < date(2026, 1, 1) else 7) * DAY
        first, longest = end_of(last, zone), end_of(last + 14 * DAY, zone)
    notices = [n.first for n in asked.dates("extended") if n]
    if not notices or min(notices) > first:
        return first
    return max(first, min(longest, asked.until.last)) if asked.until else longest


def decision(one: Oracle, asked: Request) -> Answer:
    due = clock(one, asked)
    who: Who = one.responsible(asked.payer or one.manager) | {"item": f"ServiceRequest/{asked.id}", "due": due}
    if asked.stage == "withdrawn" and (asked.ended is None or due is None or asked.ended.first <= due):
        return one.answer("G19", "not-applicable", **who)
    if due is None:
        return one.answer("G19", "open", "not-computable", **who)
    if asked.stage == "withdrawn":
        return one.answer("G19", "missed", "not-found", **who)
    if asked.stage == "decided":
        if asked.ended is None:
            return one.answer("G19", "open", "missing-element", **who)
        late = asked.ended.first > due
        return one.answer("G19", "missed" if late else "closed", "date-out-of-range" if late else None, **who)
    return one.answer("G19", *(("prospective", None) if due >= one.now else ("open", "not-found")), **who)


# --- G20
def told(one: Oracle, request: str, topic: str | None = None) -> list[Span | None]:
    """When the member was told of it; None for each time that is not known."""
    words = [c for c in one.mine("Communication", "subject") if c["status"] == "completed"
             and [key(a, "ServiceRequest") for a in c.get("about", [])][:1] == [request]
             and any(key(r, "Patient") for r in c.get("recipient", []))
             and (topic is None or codes(c.get("topic"), NETWORK + "communication-topic") == [topic])]
    times = [span(c.get("sent")) for c in words]
    return [t for t in times if t is None or past(one, t)]


def g20(one: Oracle) -> list[Answer]:
    found = [a for asked in requests(one) if asked.stage != "withdrawn" for a in progress(one, asked)]
    return found or [one.answer("G20", "not-applicable", **one.responsible(one.manager))]


def progress(one: Oracle, asked: Request) -> list[Answer]:
    who: Who = one.responsible(one.manager or key(asked.resource.get("requester"), "Organization"))
    steps = [("submitted", asked.made)]
    pends = asked.dates("pended")
    if pends:
        known = [p for p in pends if p]
        steps.append(("pended", min(known) if known else None))
    if asked.stage == "decided":
        steps.append(("decided", asked.ended))
    answers = [one.answer("G20", *step(one, asked, name, when), **who, item=f"ServiceRequest/{asked.id}#{name}",
                          due=end_of(when.day + DAY, ZONE) if when else None) for name, when in steps]
    if asked.stage == "open":
        days = [t.day for t in [asked.made, *told(one, asked.id)] if t]
        due = end_of(max(days) + 14 * DAY, ZONE) if days else None
        overdue = ("open", "date-out-of-range")
        state = ("open", "not-computable") if due is None else ("prospective", None) if due >= one.now else overdue
        answers.append(one.answer("G20", *state, **who, item=f"ServiceRequest/{asked.id}#update", due=due))
    return answers


def step(one: Oracle, asked: Request, name: str, when: Span | None) -> tuple[str, str | None]:
    words = told(one, asked.id, f"request-{name}")
    times = [t.first for t in words if t]
    due = end_of(when.day + DAY, ZONE) if when else None
    if times:
        return ("closed", None) if due is None or min(times) <= due else ("missed", "date-out-of-range")
    if words:
        return "open", "missing-element"
    if due is None:
        return "open", "not-computable"
    if due >= one.now:
        return "prospective", None
    return ("missed" if asked.stage == "decided" and name != "decided" else "open"), "not-found"


# --- G21
def g21(one: Oracle) -> list[Answer]:
    found = [a for asked in requests(one) if asked.stage != "withdrawn" for a in [*rights(one, asked), *appeals(one, asked)]]
    return found or [one.answer("G21", "not-applicable", **one.responsible(one.manager))]


def last_to_file(one: Oracle, asked: Request) -> datetime | None:
    zone = zone_of(one, asked.payer)
    return end_of(day_in(asked.ended, zone) + 60 * DAY, zone) if asked.stage == "decided" and asked.ended else None


def rights(one: Oracle, asked: Request) -> list[Answer]:
    if asked.stage != "decided" or not asked.denied:
        return []
    who: Who = one.responsible(one.manager) | {"item": f"ServiceRequest/{asked.id}#rights"}
    if told(one, asked.id, "appeal-rights"):
        return [one.answer("G21", "closed", **who)]
    until = last_to_file(one, asked)
    return [one.answer("G21", "missed" if until and until < one.now else "open", "not-found", **who)]


def appeals(one: Oracle, asked: Request) -> list[Answer]:
    found: list[Answer] = []
    for task in one.mine("Task", "for"):
        level = codes(task["code"], NETWORK + "task-code")
        filed = span(task.get("authoredOn"))
        if level and key(task["focus"], "ServiceRequest") == asked.id and (filed is None or past(one, filed)):
            found.append((internal if level == ["internal-appeal"] else external)(one, asked, task, filed))
    return found


def appeal_stage(one: Oracle, task: Resource) -> str:
    end, word = ended(task), codes(task.get("businessStatus"), NETWORK + "appeal-outcome")
    if end and end.first > one.now:
        return "open"
    if task["status"] == "cancelled" or word == ["withdrawn"]:
        return "withdrawn"
    return "decided" if word or end or task["status"] in ("completed", "rejected", "failed") else "open"


def internal(one: Oracle, asked: Request, task: Resource, filed: Span | None) -> Answer:
    body = key(task.get("owner"), "Organization") or asked.payer or one.manager
    who: Who = one.responsible(body) | {"item": f"Task/{task['id']}"}
    zone, until, end, came_to = zone_of(one, asked.payer), last_to_file(one, asked), ended(task), appeal_stage(one, task)
    due = None if filed is None else filed.last + 72 * HOUR if task.get("priority") == "urgent" \
        else end_of(day_in(filed, zone) + 30 * DAY, zone)
    who |= {"due": due}
    if came_to == "withdrawn":
        return one.answer("G21", "not-applicable", **who)
    if filed is None or due is None or until is None:
        return one.answer("G21", "open", "not-computable", **who)
    if filed.first > until:
        return one.answer("G21", "missed", "date-out-of-range", **who)
    if came_to == "decided" and end is None:
        return one.answer("G21", "open", "missing-element", **who)
    if came_to == "decided" and end:
        return one.answer("G21", *(("closed", None) if end.first <= due else ("missed", "date-out-of-range")), **who)
    return one.answer("G21", *(("prospective", None) if due >= one.now else ("open", "not-found")), **who)


def external(one: Oracle, asked: Request, task: Resource, filed: Span | None) -> Answer:
    owner, came_to = key(task.get("owner"), "Organization"), appeal_stage(one, task)
    who: Who = one.responsible(owner or asked.payer or one.manager) | {"item": f"Task/{task['id']}"}
    if came_to == "withdrawn":
        return one.answer("G21", "not-applicable", **who)
    known = owner and filed and (came_to == "open" or (ended(task) and codes(task.get("businessStatus"),
                                                                                  NETWORK + "appeal-outcome")))
    return one.answer("G21", "closed" if known else "open", None if known else "missing-element", **who)


def answers(one: Oracle) -> list[Answer]:
    """Of one member."""
    return [*g19(one), *g20(one), *g21(one)]
