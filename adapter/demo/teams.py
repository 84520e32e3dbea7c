"""Care teams of the made-up network, with every way a lead coordinator can be there, be missing, be two, or change."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from adapter.demo.chance import Calendar, deal, iso, stream
from adapter.demo.names import FEMALE, MALE, surname
from adapter.demo.organizations import ORGANIZATIONS, Practitioner, Staff
from adapter.demo.people import Member

CASES = {"one-lead": 50, "no-lead": 10, "two-leads": 8, "lead-left": 4, "hand-off": 8, "no-hand-off": 6,
         "days-between": 5, "one-organization": 6, "no-team": 3}
"""How the lead stands, in hundredths of enrolled members. hand-off: the old and the new lead met the member together,
and no day lies between; no-hand-off: no day between, but they never met; days-between: they met, yet days lie
between."""

_RECENT = {"one-lead": 6, "no-lead": 3, "one-organization": 1}
CHANGED = ("hand-off", "no-hand-off", "hand-off-due", "days-between")
"""Cases in which the lead changes. hand-off-due: some of no-hand-off, who changed of late: there is still time for it."""
_MENTAL_HEALTH = {"east": "ORG-HARBOR", "west": "ORG-WILLOW"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Somebody's part on a team. who None: a natural support, with relationship and name."""

    role: str
    organization: str
    who: Practitioner | None
    begin: date
    end: date | None = None
    relationship: str = ""
    first: str = ""
    last: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """The team of one member. case: of CASES. lead: organization of the lead that stands at the end, or ''."""

    member: Member
    case: str
    parts: tuple[Part, ...]
    lead: str

    @property
    def organizations(self) -> list[str]:
        """Organizations with an active part, the lead's first."""
        found = [p.organization for p in self.parts if p.who and p.end is None]
        return list(dict.fromkeys(sorted(found, key=lambda o: (o != self.lead, o))))


def make_teams(seed: int, members: list[Member], staff: Staff, calendar: Calendar) -> list[Team]:
    """A team for each member who is or was enrolled. Those enrolled of late, or who left, have one lead or none."""
    rng = stream(seed, "teams")
    settled, others = [m for m in members if _settled(m, calendar)], [m for m in members if m.status == "ended"]
    recent = [m for m in members if m.status == "enrolled" and not _settled(m, calendar)]
    dealt = [*deal(rng, CASES, len(settled)), *deal(rng, _RECENT, len(recent)), *["one-lead"] * len(others)]
    cases = zip([*settled, *recent, *others], dealt, strict=True)
    return [_team(rng, m, case, staff, calendar) for m, case in sorted(cases, key=lambda pair: pair[0].number)]


def team_rows(teams: list[Team], calendar: Calendar) -> Iterator[dict[str, str]]:
    """The care_team feed."""
    for team in teams:
        for part in team.parts:
            organization = ORGANIZATIONS[part.organization]
            who = part.who
            yield {
                "member_id": team.member.id, "program": "care-coordination", "organization_id": part.organization,
                "organization_name": organization.name, "npi": who.npi if who else "",
                "first_name": who.first if who else part.first, "last_name": who.last if who else part.last,
                "role": part.role, "phone": organization.phone if who else team.member.phone,
                "relationship": part.relationship, "start_date": part.begin.isoformat(),
                "end_date": part.end.isoformat() if part.end else "", "seat_id": "",
                **_review(team, part, calendar),
                "updated_at": iso(calendar.at(89, 18)),
            }


def _review(team: Team, part: Part, calendar: Calendar) -> dict[str, str]:
    """Whether a coordinator read the member's record at assignment: most did, some late, some in part, some never."""
    case = team.member.number % 8
    if part.role not in ("lead-coordinator", "care-coordinator") or case > 5:
        return {"record_reviewed_at": "", "record_parts": ""}
    moment = calendar.at((part.begin - calendar.start).days + (20 if case == 5 else 0), 8.5)
    if moment > calendar.as_of:
        return {"record_reviewed_at": "", "record_parts": ""}
    return {"record_reviewed_at": iso(moment), "record_parts": "history" if case == 4 else "history;medications;authorizations"}


def _settled(member: Member, calendar: Calendar) -> bool:
    """Enrolled at least a month before the end, so that a change of lead has room."""
    return member.status == "enrolled" and member.enrolled is not None and member.enrolled <= calendar.day(60)


def _team(rng: random.Random, member: Member, case: str, staff: Staff, calendar: Calendar) -> Team:
    begin = member.enrolled or calendar.start
    if case == "no-team":
        return Team(member=member, case=case, parts=(), lead="")
    change = max(calendar.day(rng.randint(20, 75)), begin + timedelta(days=10))
    if case == "no-hand-off" and member.number % 3 == 0:
        case, change = "hand-off-due", calendar.day(87)
    parts = [*_leads(rng, member, case, staff, change), *_others(rng, member, case, staff, begin)]
    if member.ended:
        parts = [Part(role=p.role, organization=p.organization, who=p.who, begin=p.begin, end=p.end or member.ended,
                      relationship=p.relationship, first=p.first, last=p.last) for p in parts]
    lead = next((p.organization for p in reversed(parts) if p.role == "lead-coordinator" and p.end is None), "")
    return Team(member=member, case=case, parts=tuple(parts), lead=lead)


def _leads(rng: random.Random, member: Member, case: str, staff: Staff, change: date) -> Iterator[Part]:
    """The lead, and where the case says so another: beside the first, or from `change` on."""
    home, begin = member.practice, member.enrolled or change
    if case != "one-organization" and "mental-health" in member.needs and rng.random() < 0.6:
        home = _MENTAL_HEALTH[member.region]
    first = staff.pick(rng, home, "lead-coordinator")
    if case == "no-lead":
        yield Part(role="care-coordinator", organization=home, who=first, begin=begin)
        return
    leaves = case in CHANGED or case == "lead-left"
    yield Part(role="lead-coordinator", organization=home, who=first, begin=begin, end=change if leaves else None)
    if case == "two-leads" or case in CHANGED:
        other = "ORG-TABLE" if "housing" in member.needs or "food" in member.needs else "ORG-EVERGREEN"
        wait = 9 if case == "days-between" else 1
        yield Part(role="lead-coordinator", organization=other, who=staff.pick(rng, other, "lead-coordinator"),
                   begin=change + timedelta(days=wait))


def _others(rng: random.Random, member: Member, case: str, staff: Staff, begin: date) -> Iterator[Part]:
    yield Part(role="primary-care", organization=member.practice, begin=begin,
               who=staff.pick(rng, member.practice, "primary-care"))
    if case == "one-organization":
        return
    mental_health = _MENTAL_HEALTH[member.region]
    wanted = [("mental-health", mental_health, "mental-health"), ("mental-health", "ORG-GREENWAY", "substance-use"),
              ("specialist", "ORG-SUMMIT", "heart"), ("social-services", "ORG-DOOR", "housing"),
              ("social-services", "ORG-TABLE", "food")]
    for role, organization, need in wanted:
        if need in member.needs:
            yield Part(role=role, organization=organization, who=staff.pick(rng, organization, role),
                       begin=begin + timedelta(days=rng.randint(0, 2)))
    if "mental-health" in member.needs and rng.random() < 0.3:
        yield Part(role="peer-specialist", organization=mental_health, begin=begin,
                   who=staff.pick(rng, mental_health, "peer-specialist"))
    if member.payer and member.payer[0] == "ORG-EVERGREEN" and rng.random() < 0.35:
        yield Part(role="care-coordinator", organization="ORG-EVERGREEN", begin=begin,
                   who=staff.pick(rng, "ORG-EVERGREEN", "care-coordinator"))
    if rng.random() < 0.3:
        relationship, names = rng.choice([("sister", FEMALE), ("brother", MALE), ("mother", FEMALE), ("friend", MALE)])
        yield Part(role="natural-support", organization=member.practice, who=None, begin=begin, first=rng.choice(names),
                   last=member.last if relationship != "friend" else surname(rng), relationship=relationship)
