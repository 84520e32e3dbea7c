"""Referrals of the made-up network: out of hospital or crisis unit to the lead, and for services in the community."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapter.demo.chance import Calendar, deal, iso, stream
from adapter.demo.organizations import ORGANIZATIONS
from adapter.demo.stays import Stay
from adapter.demo.teams import Team

LEAVING = {"before-discharge": 30, "within-24h": 22, "telephone": 12, "late": 16, "no-answer": 8, "none": 12}
"""How the receiver of a referral out of a hospital or crisis unit met the member, in hundredths."""

COMMUNITY = {"within-24h": 14, "telephone": 8, "late": 28, "accepted-late": 10, "silent": 12, "rejected": 7,
             "cancelled": 5, "failed": 4, "pending": 12}
"""How a referral for a service in the community went, in hundredths. pending: less than a day old."""

_SERVICE = {"mental-health": ("behavioral-health", "ORG-HARBOR"),
            "substance-use": ("behavioral-health", "ORG-GREENWAY"), "heart": ("specialty", "ORG-SUMMIT"),
            "housing": ("housing", "ORG-DOOR"), "food": ("food", "ORG-TABLE")}
_REASON = {"rejected": "no capacity", "cancelled": "member moved out of the area",
           "failed": "member could not be located"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Referral:
    """One referral. case: of LEAVING or COMMUNITY. setting: where the member was when sent, and until `leaves`."""

    id: str
    team: Team
    source: str
    target: str
    service: str
    urgency: str
    requested: datetime
    case: str
    setting: str
    leaves: datetime | None = None


def make_referrals(seed: int, teams: list[Team], stays: list[Stay], calendar: Calendar) -> list[Referral]:
    """Every referral, numbered within its member by time."""
    rng = stream(seed, "referrals")
    found = [*_leaving(rng, teams, stays, calendar), *_community(rng, teams, calendar)]
    found.sort(key=lambda r: (r.team.member.number, r.requested))
    counts: dict[int, int] = {}
    numbered: list[Referral] = []
    for r in found:
        number = r.team.member.number
        counts[number] = counts.get(number, 0) + 1
        numbered.append(Referral(id=f"RF-{number:05d}-{counts[number]}", team=r.team, source=r.source, target=r.target,
                                 service=r.service, urgency=r.urgency, requested=r.requested, case=r.case,
                                 setting=r.setting, leaves=r.leaves))
    return numbered


def referral_rows(seed: int, referrals: list[Referral], calendar: Calendar) -> Iterator[dict[str, str]]:
    """The referrals feed."""
    rng = stream(seed, "referral rows")
    for number, r in enumerate(referrals):
        accepted, completed, status = _course(rng, r, calendar)
        stated = completed or accepted or r.requested
        yield {
            "referral_id": r.id, "member_id": r.team.member.id, "from_org": r.source,
            "from_org_name": ORGANIZATIONS[r.source].name, "to_org": r.target,
            "to_org_name": ORGANIZATIONS[r.target].name, "service": r.service, "urgency": r.urgency,
            "to_npi": _receiver(r) if number % 3 else "", "member_setting": r.setting,
            "requested_at": iso(r.requested, ORGANIZATIONS[r.source].zone),
            "accepted_at": iso(accepted, ORGANIZATIONS[r.target].zone) if accepted else "",
            "completed_at": iso(completed, ORGANIZATIONS[r.target].zone) if completed else "",
            "handed_off_at": _handed_off(r, calendar), "status": status,
            "status_reason": _REASON.get(status, ""), "updated_at": iso(stated),
        }


def _receiver(r: Referral) -> str:
    """Who is to take it, where somebody of the receiving organization sits on the team."""
    return next((p.who.npi for p in r.team.parts if p.who and p.organization == r.target and p.end is None), "")


def _handed_off(r: Referral, calendar: Calendar) -> str:
    """When sender and receiver met the member together, of those who were met before they left."""
    moment = r.requested + timedelta(hours=6)
    met = r.case == "before-discharge" and r.leaves is not None and moment < min(r.leaves, calendar.as_of)
    return iso(moment, ORGANIZATIONS[r.target].zone) if met else ""


def _leaving(rng: random.Random, teams: list[Team], stays: list[Stay], calendar: Calendar) -> Iterator[Referral]:
    """One for each inpatient stay of a member with a lead, and one for some who were in the crisis unit."""
    by_member = {t.member.id: t for t in teams if t.lead}
    sent: list[tuple[Team, str, datetime, datetime | None]] = []
    for stay in stays:
        team = by_member.get(stay.member.id)
        if team and stay.inpatient:
            requested = stay.begin + ((stay.end or calendar.as_of) - stay.begin) * 0.7
            sent.append((team, stay.hospital, requested, stay.end))
    for team in by_member.values():
        if "mental-health" in team.member.needs and team.member.region == "east" and team.member.number % 3 == 0:
            requested = calendar.at(rng.randint(10, 80), rng.uniform(9, 16))
            sent.append((team, "ORG-BRIDGE", requested, requested + timedelta(hours=rng.uniform(8, 40))))
    for (team, source, requested, leaves), case in zip(sent, deal(rng, LEAVING, len(sent)), strict=True):
        setting = "csu" if source == "ORG-BRIDGE" else "hospital"
        yield Referral(id="", team=team, source=source, target=team.lead, service="care-coordination", urgency="urgent",
                       requested=requested, case=case, setting=setting, leaves=leaves)


def _community(rng: random.Random, teams: list[Team], calendar: Calendar) -> Iterator[Referral]:
    """For two teams in three: from the practice to whoever serves the first of the member's needs."""
    asking = [t for t in teams if t.parts and rng.random() < 0.65]
    for team, case in zip(asking, deal(rng, COMMUNITY, len(asking)), strict=True):
        need = next((n for n in sorted(team.member.needs) if n in _SERVICE), "")
        service, target = _SERVICE.get(need, ("transport", "ORG-TABLE"))
        if target == "ORG-HARBOR" and team.member.region == "west":
            target = "ORG-WILLOW"
        day = rng.randint(2, 80)
        requested = (calendar.as_of - timedelta(hours=rng.uniform(2, 20)) if case == "pending"
                     else calendar.at(day, rng.uniform(8, 17)))
        yield Referral(id="", team=team, source=team.member.practice, target=target, service=service, case=case,
                       urgency=rng.choice(["routine", "routine", "urgent"]), requested=requested, setting="home")


def _course(rng: random.Random, r: Referral, calendar: Calendar) -> tuple[datetime | None, datetime | None, str]:
    """When it was accepted and ended, and its status."""
    if r.case in ("pending", "silent", "none"):
        return None, None, "requested"
    if r.case in ("rejected", "cancelled"):
        return None, r.requested + timedelta(days=rng.randint(1, 6)), r.case
    accepted = r.requested + timedelta(hours=rng.uniform(90, 260) if r.case == "accepted-late" else rng.uniform(0.5, 5))
    completed = accepted + timedelta(days=rng.randint(4, 30))
    if accepted > calendar.as_of:
        return None, None, "requested"
    if r.case == "failed":
        return accepted, min(completed, calendar.as_of), "failed"
    if completed > calendar.as_of or r.case == "no-answer":
        return accepted, None, rng.choice(["accepted", "in-progress"])
    return accepted, completed, "completed"
