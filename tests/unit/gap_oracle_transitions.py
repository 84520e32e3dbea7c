"""G06, G08, G09, G10 and G28 in plain Python: what follows a discharge or an emergency visit. Written from the requirement."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from tests.unit.gap_oracle import DAY, NETWORK, ZONE, Answer, Oracle, Resource, Span, codes, key, span

HL7 = "http://terminology.hl7.org/CodeSystem/"
HOLIDAYS = {date(2026, 2, 16), date(2026, 5, 25), date(2026, 6, 19), date(2026, 7, 3), date(2026, 9, 7), date(2026, 10, 12),
            date(2026, 11, 11), date(2028, 1, 17), date(2028, 2, 21), date(2026, 1, 19)}
"""Holidays around the as-of instants of the networks."""
BEDS = ("IMP", "ACUTE", "NONAC")
PSYCHIATRY = ("2084P0800X", "103T00000X")


def end_of(day: date) -> datetime:
    """The last second of a day of the network's zone."""
    return datetime.combine(day + DAY, time(), ZONE).astimezone(UTC) - timedelta(seconds=1)


def business_day(day: date, count: int) -> date:
    """The business day that many business days after a day."""
    while count:
        day += DAY
        count -= day.weekday() < 5 and day not in HOLIDAYS
    return day


class Stay:
    """A stay in a bed or an emergency visit, as its Encounter tells it."""

    def __init__(self, oracle: Oracle, encounter: Resource) -> None:
        period = encounter.get("period") or {}
        self.encounter = encounter
        self.id = encounter["id"]
        self.kind = encounter["class"]["code"]
        self.status = encounter["status"]
        self.start, self.end = span(period.get("start")), span(period.get("end"))
        self.organization = key(encounter.get("serviceProvider"), "Organization")
        left = (encounter.get("hospitalization") or {}).get("dischargeDisposition")
        self.ended_for_good = bool({"exp", "hosp"} & set(codes(left, HL7 + "discharge-disposition")))
        self.visit_type = next(iter(codes(encounter.get("type"), NETWORK + "visit-type")), None)
        self.admission_type = next(iter(codes(encounter.get("type"), HL7 + "v2-0007")), None)
        self.over = self.status == "finished" and (
            self.end.last <= oracle.now if self.end else self.start is None or self.start.first <= oracle.now)

    def began(self, now: datetime) -> bool:
        return self.start is not None and self.start.first <= now

    def later_end(self, other: Stay) -> bool:
        """Whether this one ended after the other, or goes on."""
        return self.end is None or (other.end is not None and self.end.last > other.end.last)


class Transitions:
    """What followed each stay of one person."""

    def __init__(self, oracle: Oracle) -> None:
        self.o = oracle
        self.today = oracle.now.astimezone(ZONE).date()
        told = [e for e in oracle.mine("Encounter", "subject") if not codes(e.get("type"), NETWORK + "contact-type")
                and e["status"] not in ("cancelled", "entered-in-error", "planned")]
        self.encounters = told
        self.beds = [Stay(oracle, e) for e in told if e["class"]["code"] in BEDS]
        self.emergencies = [s for s in (Stay(oracle, e) for e in told) if s.kind == "EMER" and s.over]
        self.organizations = {r["id"]: r for r in oracle.resources if r["resourceType"] == "Organization"}

    # --- what all rules share
    def who(self, stay: Stay) -> dict[str, Any]:
        return {**self.o.responsible(self.o.manager or stay.organization), "item": f"Encounter/{stay.id}"}

    def say(self, rule: str, found: Iterable[Answer]) -> list[Answer]:
        return list(found) or [self.o.answer(rule, "not-applicable", **self.o.responsible(self.o.manager))]

    def next_stay(self, stay: Stay, kinds: tuple[str, ...], days: int) -> list[Stay]:
        """Stays begun on the day of the discharge or so many days after it, and ended later."""
        if stay.end is None:
            return []
        return [b for b in self.beds if b.id != stay.id and b.kind in kinds and b.start and b.began(self.o.now)
                and stay.end.last.astimezone(ZONE).date() <= b.start.day <= stay.end.last.astimezone(ZONE).date() + days * DAY
                and b.later_end(stay)]

    def outside(self, stay: Stay) -> bool:
        return stay.ended_for_good or bool(self.next_stay(stay, BEDS, 1))

    def followed(self) -> list[Stay]:
        return [s for s in self.beds if s.over]

    def kind_of(self, organization: str | None) -> str | None:
        found = codes(self.organizations.get(organization or "", {}).get("type"), NETWORK + "organization-type")
        return found[0] if found else None

    def took_part(self, encounter: Resource) -> set[str]:
        people = (self.o.acting(p.get("individual"))[0] for p in encounter.get("participant", []))
        return {p for p in people if p}

    def has_part(self, encounter: Resource, *parts: str) -> bool:
        """Whether somebody with such a part on the care team took part."""
        return any(s.practitioner in self.took_part(encounter) for s in self.o.seats if s.part in parts and s.practitioner)

    def visits(self) -> list[tuple[Resource, Span]]:
        """Visits outside a bed, and meetings with a clinician of the team."""
        found = [e for e in self.encounters if e["class"]["code"] in ("AMB", "HH", "VR", "FLD")
                 and codes(e.get("type"), NETWORK + "visit-type")[:1] != ["urgent-care"]]
        found += [c for c in self.o.contacts() if self.way(c) in ("face-to-face", "video")
                  and self.has_part(c, "primary-care", "mental-health", "specialist")]
        return self.timed(found)

    def timed(self, encounters: list[Resource]) -> list[tuple[Resource, Span]]:
        times = ((e, span((e.get("period") or {}).get("start"))) for e in encounters)
        return [(e, at) for e, at in times if at and at.first <= self.o.now]

    def way(self, contact: Resource) -> str | None:
        return next((c for c in codes(contact["type"], NETWORK + "contact-type") if c != "warm-handoff"), None)

    def reached(self, *ways: str) -> list[tuple[Resource, Span]]:
        return self.timed([c for c in self.o.contacts() if self.way(c) in ways])

    def with_mental_health(self, encounter: Resource) -> bool:
        if not codes(encounter.get("type"), NETWORK + "contact-type"):
            organization = key(encounter.get("serviceProvider"), "Organization")
            if codes(encounter.get("type"), NETWORK + "visit-type")[:1] == ["behavioral-health"] \
                    or self.kind_of(organization) == "mental-health":
                return True
        if self.has_part(encounter, "mental-health"):
            return True
        skilled = {key(r.get("practitioner"), "Practitioner") for r in self.o.resources if r["resourceType"] == "PractitionerRole"
                   and set(codes(r.get("specialty"), "http://nucc.org/provider-taxonomy")) & set(PSYCHIATRY)}
        return bool(self.took_part(encounter) & skilled)

    def timely(self, rule: str, days: list[date], last: date, **who: Any) -> Answer:
        """Closed by a day up to the last one; due at its end; missed after it."""
        who = {"due": end_of(last), **who}
        if any(day <= last for day in days):
            return self.o.answer(rule, "closed", **who)
        if last >= self.today:
            return self.o.answer(rule, "prospective", **who)
        return self.o.answer(rule, "missed", "date-out-of-range" if days else "not-found", **who)

    # --- G09
    def g09(self) -> list[Answer]:
        return self.say("G09", [a for stay in self.followed() for a in self.three_steps(stay)])

    def three_steps(self, stay: Stay) -> list[Answer]:
        who = self.who(stay)
        if stay.end is None and not stay.ended_for_good:
            return [self.o.answer("G09", "open", "not-computable", **who)]
        if self.outside(stay):
            return [self.o.answer("G09", "not-applicable", **who)]
        end = stay.end.last.astimezone(ZONE).date()
        risky = any(self.at_risk(f, stay.end) for f in self.o.mine("Flag", "subject"))
        reached = self.reached("face-to-face", "telephone", "video", "message")
        contacts = [at.day for _, at in reached if at.last >= stay.end.first]
        visits = [at.day for _, at in self.visits() if at.last >= stay.end.first]
        return [self.timely("G09", days, last, **who | {"item": f"{who['item']}#{step}"}) for step, days, last in (
            ("contact", contacts, business_day(end, 2)),
            ("visit", visits, end + (7 if risky else 14) * DAY))] + [self.notified(stay, end, who)]

    def at_risk(self, flag: Resource, left: Span) -> bool:
        start, end = (span((flag.get("period") or {}).get(side)) for side in ("start", "end"))
        return flag["status"] == "active" and bool({"high", "very-high"} & set(codes(flag["code"], NETWORK + "risk-level"))) \
            and (start is None or start.first <= left.last) and (end is None or end.last >= left.first)

    def notified(self, stay: Stay, end: date, who: dict[str, Any]) -> Answer:
        who = who | {"item": f"{who['item']}#notice", "due": end_of(end + 2 * DAY)}
        notes = [n for n in (self.notice(c, stay, end) for c in self.o.mine("Communication", "subject")) if n]
        if "in time" in notes:
            return self.o.answer("G09", "closed", **who)
        if end + 2 * DAY >= self.today:
            return self.o.answer("G09", "prospective", **who)
        return self.o.answer("G09", "missed", "date-out-of-range" if notes else "not-found", **who)

    def notice(self, message: Resource, stay: Stay, end: date) -> str:
        """`in time`, `late`, or '' where the message tells nobody of this stay."""
        topic = next(iter(codes(message.get("topic"), NETWORK + "communication-topic")), None)
        told = span(message.get("received") or message.get("sent"))
        if message["status"] not in ("completed", "in-progress") or told is None or told.first > self.o.now:
            return ""
        about = next((k for k in (key(r, "Encounter") for r in message.get("about", [])) if k), None)
        happened = {"admission-notice": stay.start.day if stay.start else None, "discharge-summary": end, "transition": end}
        since = happened.get(topic or "")
        if since is None or told.day < since or about not in (None, stay.id) or not self.told_one(message):
            return ""
        if told.day <= since + 2 * DAY:
            return "in time"
        return "late" if about else ""

    def told_one(self, message: Resource) -> bool:
        """Whether it went to somebody who answers for the member: by name, or by a role of theirs."""
        managers = [key(e.get("managingOrganization"), "Organization") for e in self.o.enrollments]
        ours: set[tuple[str, str | None]] = {("o", min((m for m in managers if m), default=None))}
        ours |= {(sort, value) for s in self.o.seats for sort, value in (("o", s.organization), ("p", s.practitioner))}
        got = {pair for r in message.get("recipient", []) for pair in zip(("p", "o"), self.o.acting(r), strict=True)}
        return any(value and (sort, value) in ours for sort, value in got)

    # --- G28
    def g28(self) -> list[Answer]:
        return self.say("G28", [self.reconciled(stay) for stay in self.followed()])

    def reconciled(self, stay: Stay) -> Answer:
        who = self.who(stay)
        if stay.end is None and not stay.ended_for_good:
            return self.o.answer("G28", "open", "not-computable", **who)
        if self.outside(stay):
            return self.o.answer("G28", "not-applicable", **who)
        end = stay.end.last.astimezone(ZONE).date()
        acts = [p for p in self.o.mine("Procedure", "subject") if p["status"] == "completed" and {"430193006", "1111F"} & {
            c["code"] for c in p["code"]["coding"]}]
        times = [span(p.get("performedDateTime")) for p in acts]
        days = [t.day for t in times if t and t.first <= self.o.now and t.day >= end]
        last = end + 30 * DAY
        if None in times and not any(day <= last for day in days) and last < self.today:
            return self.o.answer("G28", "open", "not-computable", due=end_of(last), **who)
        return self.timely("G28", days, last, **who)

    # --- G10
    def g10(self) -> list[Answer]:
        return self.say("G10", [self.readmitted(s) for s in self.followed() if s.kind in ("IMP", "ACUTE")])

    def readmitted(self, stay: Stay) -> Answer:
        who = self.who(stay)
        if stay.end is None and not stay.ended_for_good:
            return self.o.answer("G10", "open", "not-computable", **who)
        moved = [n for n in self.next_stay(stay, ("IMP", "ACUTE"), 1)
                 if n.organization is None or stay.organization is None or n.organization != stay.organization]
        if stay.ended_for_good or moved:
            return self.o.answer("G10", "not-applicable", **who)
        last = stay.end.last.astimezone(ZONE).date() + 30 * DAY
        who["due"] = end_of(last)
        kinds = [n.admission_type for n in self.next_stay(stay, ("IMP", "ACUTE"), 30)]
        if any(kind and kind not in ("C", "R", "L", "N") for kind in kinds):
            return self.o.answer("G10", "missed", "count-out-of-range", **who)
        if None in kinds:
            return self.o.answer("G10", "open", "missing-element", **who)
        return self.o.answer("G10", "prospective" if last >= self.today else "closed", **who)

    # --- G06
    def g06(self) -> list[Answer]:
        return self.say("G06", [self.linked(s) for s in self.followed() if self.higher(s)])

    def higher(self, stay: Stay) -> bool:
        service = [c["code"] for c in (stay.encounter.get("serviceType") or {}).get("coding", [])]
        return stay.visit_type in ("psychiatric-inpatient", "crisis-stabilization", "detox") \
            or service[:1] in (["PSY"], ["310116000"]) \
            or self.kind_of(stay.organization) in ("mental-health", "substance-use", "csu")

    def linked(self, stay: Stay) -> Answer:
        who = self.who(stay)
        if stay.end is None and not stay.ended_for_good:
            return self.o.answer("G06", "open", "not-computable", **who)
        if self.outside(stay) or not self.medicated(stay.end):
            return self.o.answer("G06", "not-applicable", **who)
        end = stay.end.last.astimezone(ZONE).date()
        seen = [at.day for e, at in self.visits() if at.day > end and self.with_mental_health(e)]
        if not any(day <= end + 7 * DAY for day in seen) and self.excused(stay, end):
            return self.o.answer("G06", "closed", due=end_of(end + 7 * DAY), **who)
        return self.timely("G06", seen, end + 7 * DAY, **who)

    def medicated(self, left: Span) -> bool:
        """Whether a medication was taken, or ordered, at the discharge."""
        for medicine in self.o.mine("MedicationRequest", "subject") + self.o.mine("MedicationStatement", "subject"):
            timing = next(iter(medicine.get("dosageInstruction", [])), {}).get("timing", {}).get("repeat", {})
            period = medicine.get("effectivePeriod") or timing.get("boundsPeriod") or {}
            start = span(period.get("start") or medicine.get("authoredOn") or medicine.get("dateAsserted"))
            end = span(period.get("end"))
            lasting = medicine["status"] == "active" or (medicine["status"] in ("completed", "stopped") and end is not None)
            if lasting and (start is None or start.first <= end_of(left.last.astimezone(ZONE).date())) \
                    and (end is None or end.last >= left.first):
                return True
        return False

    def excused(self, stay: Stay, end: date) -> bool:
        """No appointment, told to a managing entity; or a refusal: by day 7."""
        for message in self.o.mine("Communication", "subject"):
            sent = span(message.get("sent"))
            about = next((k for k in (key(r, "Encounter") for r in message.get("about", [])) if k), None)
            if sent is None or sent.first > self.o.now or about not in (None, stay.id) or sent.day > end + 7 * DAY:
                continue
            kinds = [self.kind_of(self.o.acting(r)[1]) for r in message.get("recipient", [])]
            topic = codes(message.get("topic"), NETWORK + "communication-topic")
            if topic == ["no-appointment"] and message["status"] in ("completed", "in-progress") and sent.day >= end \
                    and "managing-entity" in kinds:
                return True
            why = [c["code"] for c in (message.get("statusReason") or {}).get("coding", [])]
            refused = message["status"] == "not-done" and {"patient-objection", "refused"} & set(why)
            about_it = codes(message.get("reasonCode"), NETWORK + "contact-purpose") == ["psychiatric-linkage"]
            if refused and about_it and sent.day >= (stay.start.day if stay.start else end):
                return True
        return False

    # --- G08
    def g08(self) -> list[Answer]:
        return self.say("G08", [self.emergency(s) for s in self.emergencies])

    def emergency(self, stay: Stay) -> Answer:
        who = self.who(stay)
        if stay.ended_for_good:
            return self.o.answer("G08", "not-applicable", **who)
        if stay.end is None:
            return self.o.answer("G08", "open", "not-computable", **who)
        last = stay.end.last.astimezone(ZONE).date() + 7 * DAY
        admitted = any(b.start and b.began(self.o.now) and b.start.day <= last and b.later_end(stay) for b in self.beds)
        if admitted:
            return self.o.answer("G08", "not-applicable", **who)
        reason = self.reasons(stay.encounter, principal=True)
        found = self.visits()
        if "mental" in reason:
            found = [(e, at) for e, at in found if self.with_mental_health(e) or "mental" in self.reasons(e)]
        elif "substance" in reason:
            found = [(e, at) for e, at in found if self.with_mental_health(e) or self.reasons(e)]
        else:
            found += self.reached("face-to-face", "telephone", "video")
        return self.timely("G08", [at.day for _, at in found if at.last >= stay.end.first], last, **who)

    def reasons(self, encounter: Resource, principal: bool = False) -> set[str]:
        """Of which kind the diagnoses of a visit are: mental, substance; of the principal ones, or of all."""
        if codes(encounter.get("type"), NETWORK + "contact-type"):
            return set()
        coded = [c["code"] for r in encounter.get("reasonCode", []) for c in r.get("coding", [])]
        coded = coded[:1] if principal else coded
        conditions = {c["id"]: c for c in self.o.mine("Condition", "subject")}
        for at, diagnosis in enumerate(encounter.get("diagnosis", [])):
            if not principal or diagnosis.get("rank") == 1 or ("rank" not in diagnosis and at == 0):
                condition = conditions.get(key(diagnosis["condition"], "Condition") or "", {})
                coded += [c["code"] for c in condition.get("code", {}).get("coding", [])]
        return {"mental" if code[:3] in ("F32", "F33") else "substance" for code in coded
                if code[:3] in ("F32", "F33", "F10", "F11", "T40")}


def answers(oracle: Oracle) -> list[Answer]:
    """What the rules of transitions say of one member."""
    found = Transitions(oracle)
    return [*found.g06(), *found.g08(), *found.g09(), *found.g10(), *found.g28()]
