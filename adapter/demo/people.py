"""The members of the made-up network: who they are, what they need, and where they stand in the program."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from adapter.demo.chance import Calendar, deal, iso, stream
from adapter.demo.names import FEMALE, MALE, STREETS, TOWNS, surname
from adapter.demo.organizations import ORGANIZATIONS

HOME_HOSPITAL = {"east": "ORG-STANNE", "west": "ORG-LAKESIDE"}
MRN_SYSTEM = {"ORG-STANNE": "urn:oid:2.16.840.1.113883.3.9999.1", "ORG-LAKESIDE": "urn:oid:2.16.840.1.113883.3.9999.2"}
"""URI of each hospital's record numbers: what links members.csv with PID-3."""

PRACTICES = {"east": ("ORG-MAPLE", "ORG-RIVER"), "west": ("ORG-NORTH",)}
_PAYERS = (("ORG-EVERGREEN", "Evergreen Health Plan", "EVG"), ("PAY-BEACON", "Beacon Mutual", "BCN"))
_STATUS = {"enrolled": 60, "eligible": 23, "refused": 8, "ended": 9}
_LANGUAGE = {"en": 74, "es": 12, "vi": 5, "so": 4, "fr": 2, "": 3}
_RACE = {"2106-3": 60, "2054-5": 15, "2028-9": 9, "1002-5": 3, "": 13}
_NEEDS = {"mental-health": 0.38, "substance-use": 0.14, "heart": 0.22, "diabetes": 0.2, "housing": 0.16, "food": 0.18}


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One made-up member. record: number at the home hospital, '' where the network does not know it.

    covered: first day of coverage. burden: 0 to 1, how much care is needed. needs: conditions and social needs.
    enrolled, ended: days of enrolment (or refusal) and end, None without.
    """

    number: int
    id: str
    first: str
    middle: str
    last: str
    born: date
    gender: str
    region: str
    street: str
    town: tuple[str, str, str]
    phone: str
    email: str
    language: str
    interpreter: str
    race: str
    ethnicity: str
    practice: str
    payer: tuple[str, str, str] | None
    coverage: str
    covered: date
    record: str
    status: str
    enrolled: date | None
    ended: date | None
    needs: frozenset[str]
    burden: float


def make_members(seed: int, count: int, calendar: Calendar) -> list[Member]:
    """`count` members; needs and use of care are skewed as in life: few have much."""
    rng = stream(seed, "people")
    cards = zip(deal(rng, _STATUS, count), deal(rng, _LANGUAGE, count), deal(rng, _RACE, count), strict=True)
    return [_member(rng, number, card, calendar) for number, card in enumerate(cards, 1)]


def member_rows(members: list[Member], calendar: Calendar) -> Iterator[dict[str, str]]:
    """The members feed."""
    for m in members:
        home = HOME_HOSPITAL[m.region]
        payer_id, payer_name, _ = m.payer or ("", "", "")
        yield {
            "member_id": m.id, "first_name": m.first, "middle_name": m.middle, "last_name": m.last,
            "birth_date": m.born.isoformat(), "gender": m.gender, "mrn": m.record,
            "mrn_system": MRN_SYSTEM[home] if m.record else "",
            "deceased_date": m.ended.isoformat() if m.ended and _end_reason(m) == "died" else "",
            "phone": m.phone, "email": m.email,
            "address_line": m.street, "city": m.town[0], "state": m.town[1], "postal_code": m.town[2],
            "language": m.language, "interpreter_needed": m.interpreter, "race": m.race, "ethnicity": m.ethnicity,
            "payer_id": payer_id, "payer_name": payer_name, "coverage_id": m.coverage,
            "coverage_type": _coverage_type(m, calendar) if m.coverage else "",
            "coverage_start": m.covered.isoformat() if m.coverage else "", "coverage_end": "",
            "program": "care-coordination", "enrollment_status": m.status,
            "enrollment_date": m.enrolled.isoformat() if m.enrolled else "",
            "end_date": m.ended.isoformat() if m.ended else "", "end_reason": _end_reason(m), "attributed_org": m.practice,
            "attributed_org_name": ORGANIZATIONS[m.practice].name,
            "attribution_start": max(m.covered, m.born).isoformat(), "attribution_end": "", "risk_level": _risk(m.burden),
            "risk_assessed_on": calendar.day(m.number * 7 % 60).isoformat(), "updated_at": iso(calendar.at(89, 6)),
        }


def _end_reason(m: Member) -> str:
    """Why a member left the program, or did not enter it; one in eight of those who left died."""
    if m.status == "refused":
        return "refused"
    reasons = ("goals-met", "moved", "goals-met", "refused", "lost-to-contact", "goals-met", "died", "moved")
    return reasons[m.number * 3 % 8] if m.ended else ""


def _coverage_type(m: Member, calendar: Calendar) -> str:
    """Medicare from 65 on, and for some Medicaid beside it; of younger ones half have Medicaid."""
    if (calendar.start - m.born).days >= 65 * 365.25:
        return "dual" if m.number % 4 == 0 else "medicare"
    return "medicaid" if m.number % 2 else "commercial"


def _risk(burden: float) -> str:
    """What the network's stratification makes of a burden."""
    return "very-high" if burden > 0.5 else "high" if burden > 0.2 else "rising" if burden > 0.06 else "low"


def _member(rng: random.Random, number: int, card: tuple[str, str, str], calendar: Calendar) -> Member:
    status, language, race = card
    region = "east" if rng.random() < 0.6 else "west"
    gender = rng.choices(["female", "male", "other", "unknown"], [52, 45, 2, 1])[0]
    first = rng.choice(FEMALE if gender == "female" else MALE if gender == "male" else FEMALE + MALE)
    last = surname(rng)
    payer = None if rng.random() < 0.06 else _PAYERS[rng.random() < 0.2]
    enrolled, ended = _enrolment(rng, status, calendar)
    home = HOME_HOSPITAL[region]
    return Member(
        number=number, id=f"M{number:05d}", first=first, middle=rng.choice(["", "", "J", "A", "R", "L"]), last=last,
        born=_born(rng, calendar), gender=gender, region=region, street=f"{rng.randint(1, 240)} {rng.choice(STREETS)}",
        town=rng.choice(TOWNS[region]), phone="" if rng.random() < 0.06 else _phone(rng, region),
        email=f"member{number}@example.org" if rng.random() < 0.5 else "", language=language,
        interpreter="" if not language else "Y" if language != "en" and rng.random() < 0.7 else "N", race=race,
        ethnicity="" if not race else "2135-2" if language == "es" else "2186-5",
        practice=rng.choice(PRACTICES[region]), payer=payer,
        coverage=f"{payer[2]}-{400_000 + number * 17}" if payer else "", covered=calendar.start.replace(month=1, day=1),
        record=record_number(home, number) if number % 11 != 3 else "", status=status, enrolled=enrolled, ended=ended,
        needs=frozenset(n for n, share in _NEEDS.items() if rng.random() < share),
        burden=min(1.0, (rng.paretovariate(1.2) - 1) / 8),
    )


def record_number(hospital: str, serial: int) -> str:
    """A record number in the hospital's own form."""
    return f"{1_002_000 + serial * 13}" if hospital == "ORG-STANNE" else f"L{480_000 + serial * 7}"


def _phone(rng: random.Random, region: str) -> str:
    return f"{'518' if region == 'east' else '708'}-555-0{rng.randint(100, 159)}"


def _born(rng: random.Random, calendar: Calendar) -> date:
    youngest, oldest = rng.choices([(1, 17), (18, 44), (45, 64), (65, 97)], [10, 28, 30, 32])[0]
    return calendar.start - timedelta(days=rng.randint(youngest, oldest) * 365 + rng.randint(0, 364))


def _enrolment(rng: random.Random, status: str, calendar: Calendar) -> tuple[date | None, date | None]:
    if status == "eligible":
        return None, None
    begin = rng.randint(62, 87) if rng.random() < 0.2 else rng.randint(-300, 60)
    if status == "ended":
        begin = min(begin, 20)
        return calendar.day(begin), calendar.day(begin + rng.randint(30, 69))
    return calendar.day(begin), None
