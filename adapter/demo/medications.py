"""Medications of the made-up network: what was ordered, what members say they take, and which lists were reconciled in time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from adapter.demo.cells import cells
from adapter.demo.chance import Calendar, deal, iso, stream
from adapter.demo.organizations import ORGANIZATIONS, Practitioner, Staff
from adapter.demo.people import Member
from adapter.demo.stays import Stay

RECONCILED = {"in-time": 55, "late": 15, "none": 30}
"""Whether the list was reconciled within 30 days of a discharge, in hundredths of stays in a bed."""

_ORDERS = {
    "mental-health": ("sertraline 50 MG Oral Tablet", "", "1 tablet by mouth every morning", "low mood"),
    "substance-use": ("buprenorphine 8 MG / naloxone 2 MG Sublingual Film", "", "1 film under the tongue daily", "opioid use"),
    "heart": ("furosemide 40 MG Oral Tablet", "313988", "1 tablet by mouth every morning", "heart failure"),
    "diabetes": ("metformin hydrochloride 500 MG Oral Tablet", "861007", "1 tablet by mouth twice daily", "diabetes"),
    "": ("lisinopril 10 MG Oral Tablet", "314076", "1 tablet by mouth daily", "high blood pressure"),
}
_REPORTS = (("ibuprofen tablets", "two when the back hurts", "back pain"), ("melatonin gummies", "one at night", "sleep"),
            ("multivitamin", "one a day", ""))
_STATUS = {"active": 78, "stopped": 12, "on-hold": 4, "completed": 6}


def medication_rows(seed: int, members: list[Member], stays: list[Stay], staff: Staff,
                    calendar: Calendar) -> Iterator[dict[str, str]]:
    """The medications feed, by member: an order for each condition, for some what they take besides."""
    rng = stream(seed, "medications")
    reconciled = _reconciliations(rng, stays, staff, calendar)
    for member in members:
        known = [n for n in sorted(member.needs) if n in _ORDERS]
        ordered = known + ([""] if member.burden > 0.15 or (not known and rng.random() < 0.2) else [])
        reported = [rng.choice(_REPORTS)] if rng.random() < 0.15 + member.burden / 2 else []
        done = reconciled.get(member.id, {})
        for number, need in enumerate(ordered, 1):
            yield _order(rng, member, number, need, staff, calendar, done)
        for number, words in enumerate(reported, len(ordered) + 1):
            yield _report(rng, member, number, words, calendar, done)


def _order(rng: random.Random, member: Member, number: int, need: str, staff: Staff, calendar: Calendar,
           done: dict[str, str]) -> dict[str, str]:
    words, rxnorm, dosage, reason = _ORDERS[need]
    who = staff.pick(rng, member.practice, "primary-care")
    begun = rng.randint(-400, 80)
    authored, status = calendar.at(begun, rng.uniform(8, 17)), rng.choices(list(_STATUS), list(_STATUS.values()))[0]
    ended = "" if status in ("active", "on-hold") else calendar.day(rng.randint(begun, 88)).isoformat()
    return cells("medications", _about(member, number), _by(who), done, {
        "kind": "ordered", "status": status, "medication": words, "rxnorm": rxnorm, "dosage": dosage, "reason": reason,
        "authored_on": iso(authored), "start_date": calendar.day(begun).isoformat(), "end_date": ended,
        "status_reason": rng.choice(["side effects", "no longer needed"]) if status == "stopped" else "",
        "updated_at": iso(calendar.at(89, 7))})


def _report(rng: random.Random, member: Member, number: int, words: tuple[str, str, str], calendar: Calendar,
            done: dict[str, str]) -> dict[str, str]:
    told = calendar.at(rng.randint(-60, 85), rng.uniform(8, 17))
    practice = ORGANIZATIONS[member.practice]
    return cells("medications", _about(member, number), done, {
        "kind": "reported", "status": rng.choice(["active", "active", "active", "not-taken"]), "medication": words[0],
        "dosage": words[1], "reason": words[2], "authored_on": iso(told), "reported_by": "member",
        "organization_id": practice.id, "organization_name": practice.name, "updated_at": iso(calendar.at(89, 7))})


def _about(member: Member, number: int) -> dict[str, str]:
    return {"medication_id": f"MED-{member.number:05d}-{number}", "member_id": member.id}


def _by(who: Practitioner) -> dict[str, str]:
    return {"npi": who.npi, "first_name": who.first, "last_name": who.last, "organization_id": who.organization,
            "organization_name": ORGANIZATIONS[who.organization].name}


def _reconciliations(rng: random.Random, stays: list[Stay], staff: Staff, calendar: Calendar) -> dict[str, dict[str, str]]:
    """By member the reconciliation after the last stay in a bed, where there was one before the end."""
    over = [s for s in stays if s.inpatient and s.end]
    found: dict[str, dict[str, str]] = {}
    for stay, case in zip(over, deal(rng, RECONCILED, len(over)), strict=True):
        who = staff.pick(rng, stay.member.practice, "primary-care")
        found.pop(stay.member.id, None)
        at = _when(rng, stay, case)
        if at is not None and at < calendar.as_of - timedelta(days=2):
            found[stay.member.id] = {
                "reconciliation_id": f"MR-{stay.number:05d}", "reconciled_at": iso(at), "reconciled_npi": who.npi,
                "reconciled_first_name": who.first, "reconciled_last_name": who.last, "reconciled_org": who.organization,
                "reconciled_org_name": ORGANIZATIONS[who.organization].name}
    return found


def _when(rng: random.Random, stay: Stay, case: str) -> datetime | None:
    days = {"in-time": rng.uniform(0.5, 20), "late": rng.uniform(31, 50), "none": 0.0}[case]
    return stay.end + timedelta(days=days) if stay.end and days else None
