"""Contacts with members and attempts at them: routine ones, first ones after a referral, hand-offs between leads."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapter.demo.chance import Calendar, deal, iso, stream
from adapter.demo.organizations import ORGANIZATIONS, Practitioner, Staff
from adapter.demo.people import Member
from adapter.demo.referrals import Referral
from adapter.demo.stays import Stay
from adapter.demo.teams import Team

PACE = {"weekly": 22, "fortnightly": 34, "monthly": 30, "none": 14}
"""How often somebody of the team is in touch, in hundredths."""

FIRST_MONTH = {"daily": 20, "three-a-week": 35, "sparse": 45}
"""The same in the first thirty days of care coordination."""

_DAYS_BETWEEN = {"weekly": 7.0, "fortnightly": 14.0, "monthly": 28.0, "none": 1000.0, "daily": 1.0, "three-a-week": 2.2,
                 "sparse": 9.0}
_PURPOSES = ("engagement", "follow-up", "follow-up", "care-coordination", "care-coordination", "benefits", "plan-review",
             "medication-reconciliation", "psychiatric-linkage", "outreach")
_ROLE = {"mental-health": "mental-health", "substance-use": "mental-health", "specialist": "specialist"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """One contact or attempt. present: other organizations that took part; peers: the team's peer specialists who did."""

    member: Member
    who: Practitioner
    kind: str
    begin: datetime
    outcome: str = "reached"
    setting: str = "home"
    present: tuple[str, ...] = ()
    referral: str = ""
    handoff: bool = False
    peers: tuple[Practitioner, ...] = ()


def contact_rows(seed: int, calendar: Calendar, *, members: list[Member], teams: list[Team], referrals: list[Referral],
                 stays: list[Stay], staff: Staff) -> Iterator[dict[str, str]]:
    """The contacts feed, by member and time."""
    rng = stream(seed, "contacts")
    found = [*_routine(rng, teams, stays, calendar), *_handoffs(teams, calendar)]
    found += _refusals(rng, members, staff, calendar)
    for referral in referrals:
        found += _first(rng, referral, staff)
    found = [c for c in found if c.begin < calendar.as_of - timedelta(minutes=95)]
    found.sort(key=lambda c: (c.member.number, c.begin, c.who.npi, c.kind))
    counts: dict[int, int] = {}
    how = stream(seed, "contacts, how")
    for contact in found:
        counts[contact.member.number] = counts.get(contact.member.number, 0) + 1
        row = _row(rng, contact, counts[contact.member.number])
        stated = row.pop("updated_at")
        yield row | _how(how, contact, staff) | {"updated_at": stated}


def _row(rng: random.Random, contact: Contact, number: int) -> dict[str, str]:
    organization = ORGANIZATIONS[contact.who.organization]
    ended = contact.begin + timedelta(minutes=rng.randint(8, 70))
    stated = ended + timedelta(minutes=rng.randint(1, 20))
    reached = contact.outcome == "reached"
    return {
        "contact_id": f"CT-{contact.member.number:05d}-{number}", "member_id": contact.member.id,
        "organization_id": organization.id, "organization_name": organization.name, "npi": contact.who.npi,
        "first_name": contact.who.first, "last_name": contact.who.last, "contact_type": contact.kind,
        "started_at": iso(contact.begin, organization.zone),
        "ended_at": iso(ended, organization.zone) if reached else "", "outcome": contact.outcome,
        "setting": contact.setting if reached else "", "present_orgs": ";".join(contact.present),
        "referral_id": contact.referral, "warm_handoff": "Y" if contact.handoff else "N",
        "updated_at": iso(stated, organization.zone),
    }


def _how(rng: random.Random, contact: Contact, staff: Staff) -> dict[str, str]:
    """Who else was there, what it was about, and in which language: of those who need an interpreter one in six had none."""
    reached, member = contact.outcome == "reached", contact.member
    peers = [p.npi for o in contact.present for p in staff.of(o, "peer-specialist")] if rng.random() < 0.7 else []
    peers += [p.npi for p in contact.peers if p.npi not in peers]
    purpose = "hand-off" if contact.handoff else "locate" if contact.outcome == "no-answer" else rng.choice(_PURPOSES)
    need = member.interpreter == "Y"
    way = rng.choices(["interpreter", "speaks", "english"], [50, 34, 16])[0]
    return {"present_npis": ";".join(peers), "purpose": purpose,
            "language": "" if not reached else "en" if need and way == "english" else member.language,
            "interpreter_used": "" if not reached else "Y" if need and way == "interpreter" else "N"}


def _routine(rng: random.Random, teams: list[Team], stays: list[Stay], calendar: Calendar) -> Iterator[Contact]:
    here: dict[str, list[Stay]] = {}
    for stay in stays:
        here.setdefault(stay.member.id, []).append(stay)
    paces = deal(rng, PACE, len(teams))
    first = deal(rng, FIRST_MONTH, len(teams))
    for team, settled, early in zip(teams, paces, first, strict=True):
        enrolled = (team.member.enrolled or calendar.start)
        joined = (enrolled - calendar.start).days
        ended = (team.member.ended - calendar.start).days if team.member.ended else 90
        day = max(joined, 0) + rng.random()
        while day < ended and team.organizations:
            yield _touch(rng, team, calendar.at(int(day), rng.uniform(8.5, 17.5)), here.get(team.member.id, []))
            day += _DAYS_BETWEEN[early if day - joined < 30 else settled] * rng.uniform(0.6, 1.4)


def _touch(rng: random.Random, team: Team, begin: datetime, stays: list[Stay]) -> Contact:
    kind = rng.choices(["face-to-face", "telephone", "video", "message"], [35, 45, 10, 10])[0]
    organizations = team.organizations
    organization = organizations[0] if rng.random() < 0.5 else rng.choice(organizations)
    who = next(p.who for p in team.parts if p.who and p.end is None and p.organization == organization)
    inside = any(s.begin <= begin and (s.end is None or begin < s.end) and not s.cancelled for s in stays)
    place = rng.choice(("home", "clinic", "community") + ("shelter",) * ("housing" in team.member.needs))
    others = [o for o in organizations if o != organization]
    joint = kind == "face-to-face" and bool(others) and rng.random() < 0.25
    return Contact(
        member=team.member, who=who, kind=kind, begin=begin,
        outcome=rng.choices(["reached", "no-answer", "refused"], [80, 17, 3])[0],
        setting="hospital" if inside else place if kind == "face-to-face" else "home",
        present=(rng.choice(others),) if joint else ())


def _handoffs(teams: list[Team], calendar: Calendar) -> Iterator[Contact]:
    """The old lead introduces the new one on the last day."""
    for team in teams:
        leads = [p for p in team.parts if p.role == "lead-coordinator"]
        if team.case in ("hand-off", "days-between") and len(leads) == 2 and leads[0].end and leads[0].who:
            last = (leads[0].end - calendar.start).days
            yield Contact(member=team.member, who=leads[0].who, kind="face-to-face", handoff=True, setting="home",
                          begin=calendar.at(last, 14.25), present=(leads[1].organization,),
                          peers=_peers(team))


def _peers(team: Team) -> tuple[Practitioner, ...]:
    """The peer specialists of a team; every other team takes them to its hand-offs."""
    sitting = (p.who for p in team.parts if p.role == "peer-specialist" and p.who and p.end is None)
    return tuple(sitting) if team.member.number % 2 else ()


def _refusals(rng: random.Random, members: list[Member], staff: Staff, calendar: Calendar) -> Iterator[Contact]:
    """Those who refused care coordination were asked: two attempts, then the refusal."""
    for member in members:
        if member.status == "refused" and member.enrolled:
            asked = (member.enrolled - calendar.start).days
            who = staff.pick(rng, member.practice, "lead-coordinator")
            for back in (4, 2):
                yield Contact(member=member, who=who, kind="telephone", outcome="no-answer",
                              begin=calendar.at(asked - back, 10))
            yield Contact(member=member, who=who, kind="telephone", outcome="refused", begin=calendar.at(asked, 11))


def _first(rng: random.Random, r: Referral, staff: Staff) -> Iterator[Contact]:
    """How the receiver of a referral got in touch."""
    who = staff.pick(rng, r.target, "lead-coordinator" if r.service == "care-coordination" else
                     _ROLE.get(ORGANIZATIONS[r.target].kind, "social-services"))
    place = {"hospital": "home", "csu": "community"}.get(r.setting, "clinic")

    def met(hours: float, kind: str = "face-to-face", outcome: str = "reached") -> Contact:
        begin = r.requested + timedelta(hours=hours)
        inside = r.setting in ("hospital", "csu") and (r.leaves is None or begin < r.leaves)
        present = (r.source,) if inside and kind == "face-to-face" else ()
        return Contact(member=r.team.member, who=who, kind=kind, begin=begin, outcome=outcome, present=present,
                       setting=r.setting if inside else place, referral=r.id, handoff=bool(present),
                       peers=_peers(r.team) if present else ())

    match r.case:
        case "before-discharge":
            room = ((r.leaves or r.requested + timedelta(hours=10)) - r.requested).total_seconds() / 3600
            yield met(min(room * 0.6, 20))
        case "within-24h":
            yield met(rng.uniform(3, 22))
        case "telephone":
            yield met(rng.uniform(1, 12), "telephone")
            yield met(rng.uniform(90, 140))
        case "late" | "accepted-late":
            yield met(rng.uniform(270, 330) if r.case == "accepted-late" else rng.uniform(60, 150))
        case "no-answer" | "failed":
            yield met(rng.uniform(2, 12), "telephone", "no-answer")
            yield met(rng.uniform(26, 60), "telephone", "no-answer")
        case _:
            return
