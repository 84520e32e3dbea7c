"""Levels of care and social needs of the made-up members: assessed in time, long ago, never; met, overshot, declined."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from adapter.demo.chance import Calendar, deal, iso, stream
from adapter.demo.organizations import ORGANIZATIONS, Practitioner, Staff
from adapter.demo.people import Member
from adapter.demo.referrals import Referral
from adapter.demo.teams import Team

LEVELS = {"in-time": 58, "too-restrictive": 10, "old": 14, "none": 18}
"""How the level-of-care assessment stands, in hundredths of enrolled members with behavioural-health needs."""

SCREENINGS = {"in-time": 68, "old": 10, "none": 22}
"""The same of the screening for social needs, of all enrolled members."""

_DOMAINS = ("housing", "food", "transport", "utilities", "safety")
_ASAM = ("1", "2.1", "2.5", "3.1", "3.5", "3.7")
_CENTERS = {"east": "ORG-HARBOR", "west": "ORG-WILLOW"}


def assessment_rows(seed: int, teams: list[Team], referrals: list[Referral], staff: Staff,
                    calendar: Calendar) -> Iterator[dict[str, str]]:
    """The assessments feed."""
    rng = stream(seed, "assessments")
    concerned = [t for t in teams if t.member.needs & {"mental-health", "substance-use"}]
    levels = dict(zip((t.member.id for t in concerned), deal(rng, LEVELS, len(concerned)), strict=True))
    asked: dict[tuple[str, str], str] = {}
    for referral in referrals:
        asked.setdefault((referral.team.member.id, referral.service), referral.id)
    for team, screened in zip(teams, deal(rng, SCREENINGS, len(teams)), strict=True):
        case = levels.get(team.member.id, "none")
        if case != "none":
            yield _level(rng, team.member, case, staff, calendar)
        if case != "none":
            yield _mood(team.member, staff, calendar)
        if screened != "none":
            yield from _screening(rng, team.member, screened, asked, staff, calendar)


def _level(rng: random.Random, member: Member, case: str, staff: Staff, calendar: Calendar) -> dict[str, str]:
    moment = calendar.at(rng.randint(-300, -100) if case == "old" else rng.randint(-60, 85), rng.uniform(9, 16))
    age = (calendar.start - member.born).days // 365
    use = "substance-use" in member.needs and "mental-health" not in member.needs
    tool = "asam" if use else "ecsii" if age < 6 else "calocus-casii" if age < 19 else "locus"
    place = "ORG-GREENWAY" if use else _CENTERS[member.region]
    found = rng.randrange(len(_ASAM) - 1) if use else rng.randint(1, 4)
    offered = found + (1 if case == "too-restrictive" else -rng.choice([0, 0, 0, 1]) if found else 0)
    shown = [_ASAM[max(n, 0)] if use else str(n) for n in (found, offered)]
    return _row(f"AS-{member.number:05d}-1", member, tool, moment, staff.pick(rng, place, "mental-health")) | {
        "score": "" if use else str(7 + found * 4 + rng.randint(0, 2)), "level": shown[0], "offered_level": shown[1]}


def _mood(member: Member, staff: Staff, calendar: Calendar) -> dict[str, str]:
    """A screening for depression, of one in five of the ability to care for oneself; a score of ten is positive."""
    score = member.number * 7 % 22
    tool = "functional-status" if member.number % 5 == 0 else "phq-9"
    who = staff.of(member.practice, "primary-care")[0]
    return _row(f"AS-{member.number:05d}-3", member, tool, calendar.at(member.number % 80, 10), who) | {
        "score": str(score), "result": "positive" if score >= 10 else "negative"}


def _screening(rng: random.Random, member: Member, case: str, asked: dict[tuple[str, str], str], staff: Staff,
               calendar: Calendar) -> Iterator[dict[str, str]]:
    """One row a domain; a positive need that has a referral names it."""
    moment = calendar.at(rng.randint(-500, -300) if case == "old" else rng.randint(-200, 80), rng.uniform(9, 16))
    who = rng.choice(staff.of(member.practice, "primary-care"))
    for domain in _DOMAINS:
        positive = domain in member.needs or rng.random() < 0.05
        result = rng.choices(["positive" if positive else "negative", "declined", "unknown"], [93, 5, 2])[0]
        yield _row(f"AS-{member.number:05d}-2", member, "ahc-hrsn", moment, who) | {
            "domain": domain, "result": result,
            "referral_id": asked.get((member.id, domain), "") if result == "positive" else ""}


def _row(key: str, member: Member, tool: str, moment: datetime, who: Practitioner) -> dict[str, str]:
    """A row without a result yet, every column in its place."""
    organization = ORGANIZATIONS[who.organization]
    return {
        "assessment_id": key, "member_id": member.id, "tool": tool, "assessed_at": iso(moment, organization.zone),
        "organization_id": organization.id, "organization_name": organization.name, "npi": who.npi,
        "first_name": who.first, "last_name": who.last, "score": "", "level": "", "offered_level": "", "domain": "",
        "result": "", "referral_id": "", "updated_at": iso(moment + timedelta(minutes=30), organization.zone),
    }
