"""Problems of the made-up members: what their needs stand for, and the chronic ones that come with age and burden."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta

from adapter.demo.chance import Calendar, iso, stream
from adapter.demo.organizations import ORGANIZATIONS, Practitioner, Staff
from adapter.demo.people import Member
from adapter.demo.stays import DIAGNOSES

_CHRONIC = (("I10", "Essential (primary) hypertension"), ("E78.5", "Hyperlipidemia, unspecified"),
            ("J44.9", "Chronic obstructive pulmonary disease, unspecified"), ("N18.30", "Chronic kidney disease, stage 3"),
            ("M17.9", "Osteoarthritis of knee, unspecified"))
_STATUS = {"active": 86, "remission": 5, "resolved": 6, "inactive": 3}


def condition_rows(seed: int, members: list[Member], staff: Staff, calendar: Calendar) -> Iterator[dict[str, str]]:
    """The conditions feed: a problem for each medical need, and for the old and burdened chronic ones beside."""
    rng = stream(seed, "conditions")
    for member in members:
        found = [rng.choice(DIAGNOSES[need]) for need in sorted(member.needs) if need in DIAGNOSES]
        age = (calendar.start - member.born).days // 365
        chances = (age > 40) + (age > 65) + round(member.burden * 2)
        found += rng.sample(_CHRONIC, min(len(_CHRONIC), sum(rng.random() < 0.5 for _ in range(chances))))
        who = rng.choice(staff.of(member.practice, "primary-care"))
        for number, (code, words) in enumerate(found, 1):
            yield _row(rng, member, number, (code, words), who, calendar)


def _row(rng: random.Random, member: Member, number: int, problem: tuple[str, str], who: Practitioner,
         calendar: Calendar) -> dict[str, str]:
    status = rng.choices(list(_STATUS), list(_STATUS.values()))[0]
    onset = max(member.born, calendar.start - timedelta(days=rng.randint(60, 3000)))
    recorded = min(onset + timedelta(days=rng.randint(0, 40)), calendar.day(80))
    ended: date | None = max(onset, calendar.day(rng.randint(5, 80))) if status != "active" else None
    return {
        "condition_id": f"CD-{member.number:05d}-{number}", "member_id": member.id, "code": problem[0],
        "code_system": "icd10cm", "description": problem[1], "category": "problem-list-item", "clinical_status": status,
        "verification_status": rng.choices(["confirmed", "provisional"], [92, 8])[0],
        "severity": rng.choice(["", "", "mild", "moderate", "severe"]), "onset_date": onset.isoformat(),
        "abatement_date": ended.isoformat() if ended else "", "recorded_date": recorded.isoformat(),
        "organization_id": member.practice, "organization_name": ORGANIZATIONS[member.practice].name, "npi": who.npi,
        "first_name": who.first, "last_name": who.last, "updated_at": iso(calendar.at(89, 7)),
    }
