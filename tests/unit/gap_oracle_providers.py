"""G23, G24, G26 and G27 in plain Python: who of the team saw, told or met whom. Written from the requirement."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from tests.unit.gap_oracle import DAY, NETWORK, ZONE, Answer, Oracle, Resource, Seat, Span, codes, key, span

CHRONIC = ("E11", "F20", "F33", "I10")
Parties = tuple[str | None, str | None]
"""Practitioner and organization that a reference names."""


def answers(oracle: Oracle) -> list[Answer]:
    """The answers of these rules about one member."""
    return [wellness(oracle), *specialists(oracle), peers(oracle), integrated(oracle)]


def seats(oracle: Oracle, part: str) -> list[Seat]:
    """The seats that are taken in that part."""
    return [s for s in oracle.taken if s.part == part]


def today(oracle: Oracle) -> date:
    return oracle.now.astimezone(ZONE).date()


def problem(oracle: Oracle, wanted: Callable[[str], bool]) -> bool:
    """Whether the member has a condition now whose ICD-10-CM category is wanted."""
    for condition in oracle.mine("Condition", "subject"):
        status = [c["code"] for c in condition.get("clinicalStatus", {}).get("coding", [])]
        doubt = [c["code"] for c in condition.get("verificationStatus", {}).get("coding", [])]
        begun = [span(condition.get(e)) for e in ("onsetDateTime", "recordedDate")]
        over = span(condition.get("abatementDateTime"))
        known = status in ([], ["active"]) and doubt in ([], ["confirmed"])
        stands = all(b is None or b.first <= oracle.now for b in begun) and (over is None or over.first > oracle.now)
        if known and stands and any(wanted(c[:3]) for c in codes(condition.get("code"), "http://hl7.org/fhir/sid/icd-10-cm")):
            return True
    return False


# --- G23
def wellness(oracle: Oracle) -> Answer:
    patient = next(r for r in oracle.resources if r["resourceType"] == "Patient" and r["id"] == oracle.member)
    first = seats(oracle, "primary-care")
    who: dict[str, Any] = oracle.responsible(oracle.manager)
    organizations = [s.organization for s in first if s.organization]
    named = {s.practitioner for s in first} - {None}
    if organizations:
        who = {"organization": min(organizations), "party": f"Practitioner/{named.pop()}" if len(named) == 1 else ""}
    state, reason = _wellness(oracle, patient)
    return oracle.answer("G23", state, reason, **who)


def _wellness(oracle: Oracle, patient: Resource) -> tuple[str, str | None]:
    now, day = oracle.now, today(oracle)
    died, born = span(patient.get("deceasedDateTime")), patient.get("birthDate")
    if patient.get("deceasedBoolean") or (died and died.first <= now):
        return "not-applicable", None
    if born and day < _years(date.fromisoformat(born), 18):
        return "not-applicable", None
    since = date(day.year - 1, day.month, 28 if (day.month, day.day) == (2, 29) else day.day)
    found = _wellness_visits(oracle)
    outreach = [span(c.get("period", {}).get("start")) for c in oracle.contacts() if _purpose(c, "wellness-visit")]
    outreach += [span(c.get("sent")) for c in oracle.mine("Communication", "subject") if _purpose(c, "wellness-visit")]
    if any(at and at.first <= now and at.day >= since for at in (*found, *outreach)):
        return "closed", None
    if born is None or None in found:
        return "open", "missing-element"
    return "open", "date-out-of-range" if any(at and at.day < since for at in found) else "not-found"


def _years(born: date, years: int) -> date:
    """The birthday; of a leap day in a year without one the day after."""
    if (born.month, born.day) == (2, 29) and (born.year + years) % 4:
        return date(born.year + years, 3, 1)
    return born.replace(year=born.year + years)


def _purpose(what: Resource, purpose: str) -> bool:
    return codes(what.get("reasonCode"), NETWORK + "contact-purpose")[:1] == [purpose]


def _wellness_visits(oracle: Oracle) -> list[Span | None]:
    found = [span(e.get("period", {}).get("start")) for e in visits(oracle)
             if codes(e.get("type"), NETWORK + "visit-type")[:1] == ["wellness"]]
    for claim in oracle.mine("Claim", "patient"):
        if claim["status"] != "active" or claim["use"] != "claim":
            continue
        billed = claim.get("billablePeriod", {}).get("start")
        done = [(p["procedureCodeableConcept"], p.get("date") or billed) for p in claim.get("procedure", [])]
        done += [(i["productOrService"], billed) for i in claim.get("item", [])]
        found += [span(at) for code, at in done if code["coding"][0]["code"] == "G0439"]
    return found + [span(p.get("performedDateTime")) for p in oracle.mine("Procedure", "subject")
                    if p["status"] == "completed" and p["code"]["coding"][0]["code"] == "G0439"]


def visits(oracle: Oracle) -> list[Resource]:
    """What hospitals and payers tell of, planned visits apart."""
    return [e for e in oracle.mine("Encounter", "subject") if not codes(e.get("type"), NETWORK + "contact-type")
            and e["status"] not in ("planned", "cancelled", "entered-in-error")]


# --- G24
def specialists(oracle: Oracle) -> list[Answer]:
    found: list[Answer] = []
    doctors = [s for s in seats(oracle, "specialist") if s.practitioner]
    if doctors and problem(oracle, lambda block: block in CHRONIC):
        clinicians = {s.practitioner for s in oracle.seats if s.part in ("primary-care", "mental-health", "specialist")}
        ambulant = [e for e in visits(oracle) if e.get("class", {}).get("code") in ("AMB", "HH", "VR", "FLD")
                    and codes(e.get("type"), NETWORK + "visit-type")[:1] != ["urgent-care"]]
        met = [c for c in oracle.contacts() if _kind(c) in ("face-to-face", "video")
               and {p for _, p in oracle.present(c)} & (clinicians - {None})]
        found = [a for e in (*ambulant, *met) if (a := _seen(oracle, e, doctors))]
    return found or [oracle.answer("G24", "not-applicable", organization=oracle.manager)]


def _kind(contact: Resource) -> str:
    return next((k for k in codes(contact["type"], NETWORK + "contact-type") if k != "warm-handoff"), "")


def _seen(oracle: Oracle, visit: Resource, doctors: list[Seat]) -> Answer | None:
    at = span(visit.get("period", {}).get("start"))
    there = {oracle.acting(p["individual"])[0] for p in visit.get("participant", [])}
    if codes(visit.get("type"), NETWORK + "contact-type"):
        there = {p for kind, p in oracle.present(visit) if kind == "p"}
    mine = [s for s in doctors if s.practitioner in there]
    if not mine or at is None or at.first > oracle.now or at.day < today(oracle) - 365 * DAY:
        return None
    people = {s.practitioner for s in mine}
    organizations = [s.organization for s in mine if s.organization]
    who: dict[str, Any] = {"item": f"Encounter/{visit['id']}", "organization": min(organizations, default=None),
                           "party": f"Practitioner/{min(p for p in people if p)}" if len(people) == 1 else "",
                           "due": _end(at.day + 30 * DAY)}
    delays = list(_notes(oracle, visit["id"], at.day, mine))
    if any(d is not None and 0 <= d <= 30 for d in delays):
        return oracle.answer("G24", "closed", **who)
    if at.day + 30 * DAY >= today(oracle):
        return oracle.answer("G24", "prospective", **who)
    if None in delays or not seats(oracle, "primary-care"):
        return oracle.answer("G24", "open", "missing-element", **who)
    late = any(d is not None and d > 30 for d in delays)
    return oracle.answer("G24", "missed", "date-out-of-range" if late else "not-found", **who)


def _notes(oracle: Oracle, visit: str, day: date, doctors: list[Seat]) -> Iterable[int | None]:
    """Days from the visit to each communication from these specialists to primary care; None where its time is not known."""
    for message in messages(oracle):
        about = [key(a, "Encounter") for a in message.get("about", [])]
        told = _received(oracle, message)
        home = seats(oracle, "primary-care")
        heard = any((p and s.practitioner == p) or (o and s.organization == o) for p, o in told for s in home)
        said = [oracle.acting(message.get("sender"))]
        said += [oracle.acting(e["valueReference"]) for e in message.get("extension", [])]
        spoke = any((p and s.practitioner == p) or (o and s.organization == o) for p, o in said for s in doctors)
        if heard and spoke and about in ([], [visit]):
            at = _time(message)
            yield (at.day - day).days if at else None


def messages(oracle: Oracle) -> list[Resource]:
    """Communications that took place, of times to come apart."""
    return [c for c in oracle.mine("Communication", "subject") if c["status"] in ("completed", "in-progress")
            and not ((at := _time(c)) and at.first > oracle.now)]


def _time(message: Resource) -> Span | None:
    return span(message.get("sent") or message.get("received"))


def _received(oracle: Oracle, message: Resource) -> list[Parties]:
    return [oracle.acting(r) for r in message.get("recipient", [])]


def _end(day: date) -> datetime:
    return datetime.combine(day + DAY, time(), ZONE).astimezone(UTC) - timedelta(seconds=1)


# --- G26
def behavioral(oracle: Oracle) -> bool:
    return bool(oracle.enrollments) and problem(oracle, lambda block: "F10" <= block <= "F99")


def peers(oracle: Oracle) -> Answer:
    who = oracle.responsible(oracle.manager)
    if not behavioral(oracle):
        return oracle.answer("G26", "not-applicable", **who)
    sitting = seats(oracle, "peer-specialist")
    if not any(s.practitioner for s in sitting):
        return oracle.answer("G26", "open", "missing-element" if sitting else "not-found", **who)
    ever = {s.practitioner for s in oracle.seats if s.part == "peer-specialist"} - {None}
    offs = [(at.first, c) for c in oracle.contacts() if (at := span(c.get("period", {}).get("start"))) and at.first <= oracle.now
            and ("warm-handoff" in codes(c["type"], NETWORK + "contact-type") or _purpose(c, "hand-off"))]
    last = max((at for at, _ in offs), default=None)
    there = any({("p", p) for p in ever} & oracle.present(c) for at, c in offs if at == last)
    return oracle.answer("G26", "closed" if there else "open", None if there else "not-found", **who)


# --- G27
def integrated(oracle: Oracle) -> Answer:
    who = oracle.responsible(oracle.manager)
    if not behavioral(oracle):
        return oracle.answer("G27", "not-applicable", **who)
    first, mind = seats(oracle, "primary-care"), seats(oracle, "mental-health")
    two = [(a, b) for a in first for b in mind if a.team == b.team and a.person and b.person and a.person != b.person]
    days = [day for a, b in two for day in (*_talk(oracle, a, b), *_talk(oracle, b, a), *_met(oracle, a, b))]
    if any(day >= today(oracle) - 90 * DAY for day in days):
        return oracle.answer("G27", "closed", **who)
    if not first or not mind:
        return oracle.answer("G27", "open", "not-found", **who)
    if not two:
        return oracle.answer("G27", "open", "missing-element", **who)
    return oracle.answer("G27", "open", "date-out-of-range" if days else "not-found", **who)


def _talk(oracle: Oracle, one: Seat, other: Seat) -> Iterable[date]:
    for message in messages(oracle):
        others = [e["valueReference"] for e in message.get("extension", [])]
        sender = next((p for r in (message.get("sender"), *others) if (p := oracle.acting(r)[0])), None)
        at = _time(message)
        said = (sender, key(message.get("sender"), "Organization"))
        if at and _is(said, one) and any(_is(r, other) for r in _received(oracle, message)):
            yield at.day


def _is(party: Parties, seat: Seat) -> bool:
    """The practitioner who is named, else the organization."""
    practitioner, organization = party
    return seat.practitioner == practitioner if practitioner else bool(organization) and seat.organization == organization


def _met(oracle: Oracle, one: Seat, other: Seat) -> Iterable[date]:
    for contact in oracle.contacts():
        at, there = span(contact.get("period", {}).get("start")), oracle.present(contact)
        if at and at.first <= oracle.now and one.practitioner and other.practitioner \
                and {("p", one.practitioner), ("p", other.practitioner)} <= there:
            yield at.day
