"""Visits and cost as the payers' claims tell them: the hospitals' stays, and visits that nobody else tells of."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapter.demo.cells import cells
from adapter.demo.chance import Calendar, iso, stream
from adapter.demo.organizations import ORGANIZATIONS, Practitioner, Staff
from adapter.demo.people import MRN_SYSTEM, Member
from adapter.demo.sites import SITE_OF
from adapter.demo.stays import Stay

_COST = {"emergency": 1_400, "inpatient": 11_000, "outpatient": 420, "office": 160, "wellness": 190, "behavioral-health": 140,
         "crisis-stabilization": 1_900, "detox": 3_200, "psychiatric-inpatient": 7_400, "skilled-nursing": 5_200}
_PLACE = {"emergency": "23", "inpatient": "21", "outpatient": "22", "office": "11", "wellness": "11", "behavioral-health": "53",
          "crisis-stabilization": "53", "detox": "55", "psychiatric-inpatient": "51", "skilled-nursing": "31"}
_PROCEDURE = {"emergency": "99284", "office": "99213", "wellness": "G0439", "behavioral-health": "90834"}
_DISCHARGED = {"01": "home", "03": "skilled-nursing", "07": "left-against-advice", "65": "psychiatric"}
"""Discharge status as claim forms number it -> the contract's code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Visit:
    member: Member
    kind: str
    where: str
    begin: datetime
    end: datetime
    who: Practitioner | None = None
    diagnosis: str = ""
    number: str = ""
    others: str = ""
    discharged: str = ""


def utilization_rows(seed: int, members: list[Member], stays: list[Stay], staff: Staff,
                     calendar: Calendar) -> Iterator[dict[str, str]]:
    """The utilization feed, by member and time: of members with a payer, visits that ended; cost is skewed as in life."""
    rng = stream(seed, "claims")
    found = [*_stays(stays), *_office(rng, members, staff, calendar), *_elsewhere(members, stays, calendar)]
    found = [v for v in found if v.member.payer and v.end < calendar.as_of - timedelta(days=1)]
    found.sort(key=lambda v: (v.member.number, v.begin, v.kind))
    for number, visit in enumerate(found, 1):
        yield _row(rng, number, visit, calendar)


def _stays(stays: list[Stay]) -> Iterator[_Visit]:
    """Nine stays in ten carry the hospital's own number; a claim has no record of what was cancelled."""
    for stay in stays:
        if stay.end and not stay.cancelled:
            site = SITE_OF[stay.hospital]
            kind = "inpatient" if stay.inpatient else stay.kind
            yield _Visit(member=stay.member, kind=kind, where=stay.hospital, begin=stay.begin, end=stay.end, who=stay.attending,
                         diagnosis=stay.diagnoses[0][0], others=";".join(code for code, _ in stay.diagnoses[1:]),
                         discharged=_DISCHARGED.get(next((s.disposition for s in reversed(stay.steps) if s.disposition), ""), ""),
                         number=site.visit(stay.number).partition("^")[0] if stay.number % 10 else "")


def _office(rng: random.Random, members: list[Member], staff: Staff, calendar: Calendar) -> Iterator[_Visit]:
    """Visits to practices: few for most, many for some; a wellness visit for every third."""
    for member in members:
        kinds = ["office"] * min(int(rng.expovariate(1.2 - member.burden)), 12)
        kinds += ["wellness"] if rng.random() < 0.33 else []
        kinds += ["behavioral-health"] * rng.randint(1, 6) if "mental-health" in member.needs else []
        for kind in kinds:
            where = member.practice if kind != "behavioral-health" else \
                {"east": "ORG-HARBOR", "west": "ORG-WILLOW"}[member.region]
            begin = calendar.at(rng.randint(-270, 86), rng.uniform(8, 16))
            role = "mental-health" if kind == "behavioral-health" else "primary-care"
            yield _Visit(member=member, kind=kind, where=where, begin=begin, end=begin + timedelta(minutes=rng.randint(15, 55)),
                         who=staff.pick(rng, where, role), diagnosis="" if kind == "wellness" else "Z71.9")


def _elsewhere(members: list[Member], stays: list[Stay], calendar: Calendar) -> Iterator[_Visit]:
    """Stays that no hospital of the network tells of: in a crisis unit, detoxification, psychiatric and nursing beds."""
    for member in members:
        begin = calendar.at(member.number * 11 % 75, 19)
        if "mental-health" in member.needs and member.number % 4 == 0:
            psychiatric = member.number % 8 == 0
            yield _Visit(member=member, kind="psychiatric-inpatient" if psychiatric else "crisis-stabilization", begin=begin,
                         where="ORG-BRIDGE", end=begin + timedelta(days=6 if psychiatric else 2), diagnosis="F32.9",
                         discharged="home")
        elif "substance-use" in member.needs and member.number % 3 == 0:
            yield _Visit(member=member, kind="detox", where="ORG-GREENWAY", begin=begin, end=begin + timedelta(days=4),
                         diagnosis="F10.20", discharged="rehabilitation" if member.number % 2 else "home")
    for stay in stays:
        if stay.inpatient and stay.end and any(step.disposition == "03" for step in stay.steps):
            yield _Visit(member=stay.member, kind="skilled-nursing", where="ORG-CEDAR", begin=stay.end + timedelta(hours=2),
                         end=stay.end + timedelta(days=12), diagnosis=stay.diagnoses[0][0], discharged="home-health")


def _row(rng: random.Random, number: int, visit: _Visit, calendar: Calendar) -> dict[str, str]:
    assert visit.member.payer is not None
    payer, name, prefix = visit.member.payer
    submitted = min(visit.end + timedelta(days=rng.randint(1, 20)), calendar.as_of - timedelta(hours=20))
    processed = min(submitted + timedelta(days=rng.randint(3, 25)), calendar.as_of - timedelta(hours=18))
    status = "pending" if calendar.number(visit.end) > 80 else rng.choices(["paid", "denied", "reversed"], [93, 5, 2])[0]
    zone = ORGANIZATIONS[visit.where].zone
    return cells("utilization", _money(rng, visit, status), {
        "visit_id": f"{prefix}-V-{number:06d}", "member_id": visit.member.id, "payer_id": payer, "payer_name": name,
        "coverage_id": visit.member.coverage, "visit_type": visit.kind, "started_at": iso(visit.begin, zone),
        "ended_at": iso(visit.end, zone), "organization_id": visit.where, "organization_name": ORGANIZATIONS[visit.where].name,
        **({"npi": visit.who.npi, "first_name": visit.who.first, "last_name": visit.who.last} if visit.who else {}),
        "admission_type": _admission(visit), "discharged_to": visit.discharged, "place_of_service": _PLACE[visit.kind],
        "diagnosis": visit.diagnosis, "other_diagnoses": visit.others,
        "procedures": _PROCEDURE.get(visit.kind, ""), "visit_number": visit.number,
        "visit_system": MRN_SYSTEM[visit.where] if visit.number else "", "claim_id": f"CLM-{number:06d}",
        "claim_type": "professional" if visit.kind in ("office", "wellness", "behavioral-health") else "institutional",
        "claim_status": status, "submitted_date": calendar.day(calendar.number(submitted)).isoformat(),
        "processed_date": calendar.day(calendar.number(processed)).isoformat(), "currency": "USD",
        "updated_at": iso(processed)})


def _admission(visit: _Visit) -> str:
    """How a visit to a hospital came about: some stays are planned."""
    if visit.kind == "emergency":
        return "emergency"
    return ("urgent", "elective", "emergency")[len(visit.number + visit.diagnosis) % 3] if visit.kind == "inpatient" else ""


def _money(rng: random.Random, visit: _Visit, status: str) -> dict[str, str]:
    """What was asked for and, once it is decided, what is due, paid, and left to the member."""
    due = _COST[visit.kind] * rng.lognormvariate(0, 0.6) * (1 + visit.member.burden)
    billed = due * rng.uniform(1.4, 2.6)
    own = min(due * 0.1, 250.0)
    if status == "denied":
        return {"billed_amount": f"{billed:.2f}", "allowed_amount": "0", "paid_amount": "0", "member_amount": "0"}
    if status == "paid":
        return {"billed_amount": f"{billed:.2f}", "allowed_amount": f"{due:.2f}", "paid_amount": f"{due - own:.2f}",
                "member_amount": f"{own:.2f}"}
    return {"billed_amount": f"{billed:.2f}"}
