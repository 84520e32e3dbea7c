"""What the organizations of a team told one another, and members about their requests: much, little, or in vain."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapter.demo.chance import Calendar, deal, iso, stream
from adapter.demo.organizations import MANAGING_ENTITY, ORGANIZATIONS
from adapter.demo.people import MRN_SYSTEM
from adapter.demo.referrals import Referral
from adapter.demo.requests import Request
from adapter.demo.sites import SITE_OF
from adapter.demo.stays import Stay
from adapter.demo.teams import Team

TALK = {"all-pairs": 34, "with-lead": 26, "one-pair": 22, "none": 18}
"""Which organizations of a team are in touch, in hundredths of teams."""

_MEDIUM = {"secure-message": 40, "shared-record": 20, "telephone": 20, "fax": 14, "email": 6}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One communication or attempt. recipient: an organization, '' for the member. reason: why it was in vain."""

    team: Team
    sender: str
    recipient: str
    topic: str
    medium: str
    sent: datetime
    reason: str = ""
    referral: str = ""
    request: str = ""
    stay: Stay | None = None


def communication_rows(seed: int, calendar: Calendar, *, teams: list[Team], stays: list[Stay], referrals: list[Referral],
                       requests: list[Request], contacts: list[dict[str, str]]) -> Iterator[dict[str, str]]:
    """The communications feed, by member and time; notes of specialists last. contacts: rows of that feed."""
    rng = stream(seed, "communications")
    by_member = {t.member.id: t for t in teams}
    found = [m for team, talk in zip(teams, deal(rng, TALK, len(teams)), strict=True) for m in _talk(rng, team, talk, calendar)]
    for stay in stays:
        team = by_member.get(stay.member.id)
        if team and team.lead and stay.end and rng.random() < 0.7:
            found.append(Message(team=team, sender=stay.hospital, recipient=team.lead, topic="discharge-summary",
                                 medium=_medium(rng), sent=stay.end + timedelta(hours=rng.uniform(1, 90)), stay=stay))
        if team and team.lead:
            found += _notices(stay, team)
    for r in referrals:
        if rng.random() < 0.6:
            found.append(Message(team=r.team, sender=r.source, recipient=r.target, topic="referral", medium="e-referral",
                                 sent=r.requested + timedelta(minutes=rng.randint(1, 40)), referral=r.id))
    for request in requests:
        found += _updates(rng, request, calendar)
    found = [m for m in found if m.sent < calendar.as_of - timedelta(hours=3)]
    found.sort(key=lambda m: (m.team.member.number, m.sent, m.topic, m.sender))
    numbers: dict[int, int] = {}
    heard: dict[tuple[int, str, str], str] = {}
    for m in found:
        member = m.team.member.number
        numbers[member] = numbers.get(member, 0) + 1
        row = _row(rng, m, numbers[member])
        answered = heard.pop((member, m.sender, m.recipient), "") if m.recipient and not m.reason else ""
        if not m.reason and m.recipient:
            heard[member, m.recipient, m.sender] = row["communication_id"]
        yield row | {"in_response_to": answered}
    how = stream(seed, "communications, notes")
    for m in _notes(by_member, contacts, calendar):
        numbers[m.team.member.number] = numbers.get(m.team.member.number, 0) + 1
        yield _row(how, m, numbers[m.team.member.number]) | {"in_response_to": ""}


def _notes(by_member: dict[str, Team], contacts: list[dict[str, str]], calendar: Calendar) -> Iterator[Message]:
    """Of the visits to a specialist whom the member's practice shares, every other one is told to it in time."""
    seen = [c for c in contacts if c["outcome"] == "reached" and c["contact_type"] in ("face-to-face", "video")
            and ORGANIZATIONS[c["organization_id"]].kind == "specialist"]
    for contact in seen[::2]:
        team, sent = by_member[contact["member_id"]], datetime.fromisoformat(contact["started_at"]) + timedelta(days=3)
        if sent < calendar.as_of - timedelta(hours=3):
            yield Message(team=team, sender=contact["organization_id"], recipient=team.member.practice, topic="specialist-note",
                          medium="secure-message", sent=sent)


def _notices(stay: Stay, team: Team) -> Iterator[Message]:
    """Two admissions in three are told to the lead, one of those late; of some discharges that no appointment was to be had."""
    if stay.inpatient and stay.number % 3:
        wait = 80 if stay.number % 3 == 1 and stay.number % 2 else 6
        yield Message(team=team, sender=stay.hospital, recipient=team.lead, topic="admission-notice", medium="secure-message",
                      sent=stay.begin + timedelta(hours=wait), stay=stay)
    if stay.inpatient and stay.end and "mental-health" in team.member.needs and stay.number % 4 == 0:
        yield Message(team=team, sender=team.lead, recipient=MANAGING_ENTITY, topic="no-appointment", medium="secure-message",
                      sent=stay.end + timedelta(hours=30), stay=stay)
        yield Message(team=team, sender=team.lead, recipient=MANAGING_ENTITY, topic="service-gap", medium="email",
                      sent=stay.end + timedelta(hours=54))


def _talk(rng: random.Random, team: Team, talk: str, calendar: Calendar) -> Iterator[Message]:
    """Messages between the organizations of a team; one in eight in vain, one in fifteen long ago."""
    organizations = team.organizations
    pairs = [(a, b) for n, a in enumerate(organizations) for b in organizations[n + 1:]]
    if talk == "with-lead":
        pairs = [p for p in pairs if organizations[0] in p]
    for pair in () if talk == "none" else pairs[:1] if talk == "one-pair" else pairs:
        for _ in range(rng.choices([1, 2, 3], [70, 22, 8])[0]):
            one, other = pair if rng.random() < 0.6 else pair[::-1]
            note = ORGANIZATIONS[one].kind == "specialist"
            reason = rng.choice(["no-answer", "technical", "no-release"]) if rng.random() < 0.12 else ""
            moment = calendar.at(rng.randint(-80, -5) if rng.random() < 0.07 else rng.randint(1, 88), rng.uniform(8, 17))
            topic = "specialist-note" if note else rng.choice(["care-plan", "care-plan", "medication-list", "transition"])
            yield Message(team=team, sender=one, recipient=other, topic=topic, medium=_medium(rng), sent=moment, reason=reason)


def _updates(rng: random.Random, request: Request, calendar: Calendar) -> Iterator[Message]:
    """Updates to the member while a request goes on, about every ten days; now and then nobody answers."""
    sender = request.team.lead or request.team.member.practice
    moment = request.requested + timedelta(days=rng.uniform(5, 12))
    while moment < calendar.as_of and (moment - request.requested).days < 30 and rng.random() < request.told:
        yield Message(team=request.team, sender=sender, recipient="", topic="request-update", medium="telephone", sent=moment,
                      request=request.id, reason="no-answer" if rng.random() < 0.15 else "")
        moment += timedelta(days=rng.uniform(7, 16))


def _medium(rng: random.Random) -> str:
    return rng.choices(list(_MEDIUM), list(_MEDIUM.values()))[0]


def _row(rng: random.Random, m: Message, number: int) -> dict[str, str]:
    sender = ORGANIZATIONS[m.sender]
    member = m.team.member
    writer = next((p.who for p in m.team.parts if p.who and p.organization == m.sender), None)
    reader = next((p.who for p in m.team.parts if p.who and p.organization == m.recipient), None)
    received = m.sent + timedelta(minutes=rng.randint(0, 150))
    own = bool(member.language) and not m.recipient
    helped = own and member.interpreter == "Y" and rng.random() < 0.7
    return {
        "communication_id": f"CM-{member.number:05d}-{number}", "member_id": member.id,
        "status": "not-done" if m.reason else "completed", "status_reason": m.reason, "sender_org": sender.id,
        "sender_org_name": sender.name, "sender_npi": writer.npi if writer else "", "recipient_orgs": m.recipient,
        "recipient_npis": reader.npi if reader and rng.random() < 0.5 else "", "to_member": "N" if m.recipient else "Y",
        "topic": m.topic, "medium": m.medium, "sent_at": iso(m.sent, sender.zone),
        "received_at": "" if m.reason else iso(received, sender.zone), "in_response_to": "",
        "referral_id": m.referral, "service_request_id": m.request,
        "visit_number": SITE_OF[m.stay.hospital].visit(m.stay.number).partition("^")[0] if m.stay else "",
        "visit_system": MRN_SYSTEM[m.stay.hospital] if m.stay else "",
        "language": (member.language if helped or member.interpreter != "Y" else "en") if own else "",
        "interpreter_used": ("Y" if helped else "N") if own else "", "updated_at": iso(received, sender.zone),
    }
