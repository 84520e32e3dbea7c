"""The quality measures once more, in plain Python: of each member the events that count, those excluded, those met."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, NamedTuple

from tests.unit.gap_oracle import DAY, NETWORK, ZONE, Oracle, Resource, codes, key, span
from tests.unit.gap_oracle_transitions import BEDS, Stay, Transitions
from tests.unit.report_oracle import attributed, of_type, person_of

ACUTE = ("IMP", "ACUTE")
PLANNED = ("C", "R", "L", "N")


class Counted(NamedTuple):
    """An event of a measure. place: the organization to which the member is attributed, '' for none."""

    measure: str
    place: str
    member: str
    item: str
    excluded: bool
    met: bool


def quality(resources: list[Resource], now: datetime, first: date, last: date) -> list[Counted]:
    """Every event that counts, or is excluded, in the period."""
    people = [p for p in of_type(resources, "Patient")
              if not any(k["type"] in ("replaced-by", "refer") for k in p.get("link", []))]
    places = {m: min(o for o, members in attributed(resources, now).items() if m in members)
              for members in attributed(resources, now).values() for m in members}
    shared = [r for r in resources if not person_of(r)]
    own: dict[str, list[Resource]] = {}
    for resource in resources:
        own.setdefault(person_of(resource), []).append(resource)
    found: list[Counted] = []
    heard = anything(resources, now, first, last)
    for person in people:
        member = _Member(person, [*shared, *own.get(person["id"], [])], now, first, last)
        found += [Counted(measure, places.get(person["id"], ""), person["id"], item, excluded, met and not excluded)
                  for measure, item, excluded, met in member.events(heard and person["id"] in places)]
    return sorted(found)


def anything(resources: list[Resource], now: datetime, first: date, last: date) -> bool:
    """Whether any visit, stay or claim of anybody's began in the period."""
    starts = [(e.get("period") or {}).get("start") for e in of_type(resources, "Encounter")
              if not codes(e.get("type"), NETWORK + "contact-type")
              and e["status"] not in ("planned", "cancelled", "entered-in-error")]
    starts += [(c.get("billablePeriod") or {}).get("start") for c in of_type(resources, "Claim")
               if c["use"] == "claim" and c["status"] == "active"]
    return any((at := span(start)) and at.first <= now and first <= at.day <= last for start in starts)


Event = tuple[str, str, bool, bool]


class _Member:
    def __init__(self, patient: Resource, resources: list[Resource], now: datetime, first: date, last: date) -> None:
        self.oracle = Oracle(resources, patient["id"], now)
        self.t = Transitions(self.oracle)
        self.patient, self.now, self.first, self.last = patient, now, first, last
        self.today = now.astimezone(ZONE).date()
        self.mental_visits = [at.day for visit, at in self.t.visits() if self.t.with_mental_health(visit)]

    def events(self, listed: bool) -> Iterator[Event]:
        if self.patient.get("birthDate"):
            yield from self.discharges()
            yield from self.emergencies("fum", "F20", "F99", 6)
            yield from self.emergencies("fua", "F10", "F19", 13)
        if listed:
            yield from self.wellness()
        yield from self.referral()

    def age(self, day: date) -> int:
        born = date.fromisoformat(self.patient["birthDate"])
        return day.year - born.year - ((day.month, day.day) < (born.month, born.day))

    def reasons(self, encounter: Resource) -> set[str]:
        """The principal categories of a visit: of its first reason, and of the first diagnoses."""
        found = [c["code"] for r in encounter.get("reasonCode", [])[:1] for c in r.get("coding", [])]
        conditions = {c["id"]: c for c in self.oracle.mine("Condition", "subject")}
        for at, diagnosis in enumerate(encounter.get("diagnosis", [])):
            if diagnosis.get("rank") == 1 or ("rank" not in diagnosis and at == 0):
                condition = conditions.get(key(diagnosis["condition"], "Condition") or "", {})
                if condition.get("verificationStatus", {}).get("coding", [{}])[0].get("code") != "entered-in-error":
                    found += [c["code"] for c in condition.get("code", {}).get("coding", [])]
        return {code[:3] for code in found}

    def within(self, blocks: set[str], first: str, last: str) -> bool:
        return any(first <= block <= last for block in blocks)

    def beds(self) -> list[tuple[Stay, date]]:
        return [(b, b.start.day) for b in self.t.beds if b.start and b.start.first <= self.now]

    def discharges(self) -> Iterator[Event]:
        for stay in self.t.followed():
            if stay.kind not in ACUTE or stay.end is None:
                continue
            end = stay.end.last.astimezone(ZONE).date()
            if not self.first <= end <= self.last:
                continue
            reasons, item = self.reasons(stay.encounter), f"Encounter/{stay.id}"
            later = [b for b, began in self.beds() if b.id != stay.id and b.kind in ACUTE and end < began <= end + 30 * DAY]
            out = self.t.outside(stay)
            if self.age(end) >= 6 and (self.within(reasons, "F20", "F99") or stay.visit_type == "psychiatric-inpatient"):
                for days in (7, 30):
                    if end + days * DAY < self.today:
                        seen = any(end < day <= end + days * DAY for day in self.mental_visits)
                        yield f"fuh-{days}", item, out or bool(later), seen
            if self.age(end) >= 18 and end + 30 * DAY < self.today:
                again = any(b.admission_type not in PLANNED for b in later)
                one_day = stay.start is not None and stay.start.day == end
                yield "pcr", item, out or one_day or self.within(reasons, "O00", "O9A"), again
                yield "trc-mrp", item, out, self.reconciled(end)

    def reconciled(self, end: date) -> bool:
        acts = [span(p.get("performedDateTime")) for p in self.oracle.mine("Procedure", "subject")
                if p["status"] == "completed" and "430193006" in [c["code"] for c in p["code"].get("coding", [])]]
        return any(at and at.first <= self.now and end <= at.day <= end + 30 * DAY for at in acts)

    def emergencies(self, name: str, first: str, last: str, years: int) -> Iterator[Event]:
        visits = [(e["id"], start.day) for e in self.t.encounters
                  if e["class"].get("code") == "EMER" and e["status"] == "finished"
                  and (start := span((e.get("period") or {}).get("start"))) and start.first <= self.now
                  and self.age(start.day) >= years and self.within(self.reasons(e), first, last)]
        for visit, day in visits:
            earlier = [v for v, d in visits if day - 30 * DAY <= d < day or (d == day and v < visit)]
            if earlier or not self.first <= day <= self.last:
                continue
            admitted = any(day <= began <= day + 30 * DAY for _, began in self.beds())
            helped = [*self.mental_visits, *(at.day for v, at in self.t.visits()
                                             if not codes(v.get("type"), NETWORK + "contact-type")
                                             and self.within(self.reasons(v), first, last))]
            for days in (7, 30):
                if day + days * DAY < self.today:
                    yield f"{name}-{days}", f"Encounter/{visit}", admitted, any(day <= d <= day + days * DAY for d in helped)

    def wellness(self) -> Iterator[Event]:
        died = span(self.patient.get("deceasedDateTime"))
        if not self.patient.get("birthDate") or self.age(self.today) < 18 or self.patient.get("deceasedBoolean") \
                or (died and died.first <= self.now):
            return
        visits = [(e.get("period") or {}).get("start") for e in self.t.encounters
                  if codes(e.get("type"), NETWORK + "visit-type")[:1] == ["wellness"]]
        billed = [(c.get("billablePeriod") or {}).get("start") for c in self.oracle.mine("Claim", "patient")
                  if c["use"] == "claim" and c["status"] == "active"
                  and {"G0438", "G0439"} & {g["code"] for p in c.get("procedure", [])
                                            for g in p.get("procedureCodeableConcept", {}).get("coding", [])}]
        times = [span(text) for text in (*visits, *billed)]
        met = any(at and at.first <= self.now and self.first <= at.day <= self.last for at in times)
        yield "awv", f"Patient/{self.patient['id']}", False, met

    def referral(self) -> Iterator[Event]:
        asked = [(at.first, r["id"], r) for r in self.oracle.mine("ServiceRequest", "subject")
                 if r["intent"] not in ("plan", "proposal") and r["status"] not in ("draft", "entered-in-error")
                 and {"specialty", "behavioral-health"} & set(codes(r.get("code"), NETWORK + "service")[:1])
                 and (at := span(r.get("authoredOn"))) and at.first <= self.now and self.first <= at.day <= self.last]
        if not asked:
            return
        at, name, request = min(asked, key=lambda one: one[:2])
        if at.astimezone(ZONE).date() + 61 * DAY >= self.today:
            return
        given_up = any(t["status"] in ("rejected", "cancelled") for t in self.oracle.mine("Task", "for")
                       if key(t.get("focus"), "ServiceRequest") == name)
        yield "cms50", f"ServiceRequest/{name}", given_up, any(
            self.answers(m, request, at) for m in self.oracle.mine("Communication", "subject"))

    def answers(self, message: Resource, request: Resource, asked: datetime) -> bool:
        """Whether a message is the report of the one referred to, to who referred."""
        sent = span(message.get("sent"))
        if message["status"] not in ("completed", "in-progress") or sent is None or not asked <= sent.first <= self.now:
            return False
        to = {k for p in request.get("performer", []) for k in (key(p, "Organization"), key(p, "Practitioner")) if k}
        practitioner, organization = self.oracle.acting(message.get("sender"))
        got = [self.oracle.acting(r)[1] for r in message.get("recipient", [])]
        if not to & {practitioner, organization} or self.oracle.acting(request.get("requester"))[1] not in got:
            return False
        about: list[Any] = [key(r, "ServiceRequest") for r in (*message.get("basedOn", []), *message.get("about", []))]
        named = [one for one in about if one]
        topic = codes(message.get("topic"), NETWORK + "communication-topic")[:1]
        return request["id"] in named or (not named and bool(topic) and topic[0] in (
            "specialist-note", "discharge-summary", "care-plan", "transition"))


assert set(ACUTE) < set(BEDS)
