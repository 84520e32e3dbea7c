"""Requests for services to the health plan: decided in time, late, pended, extended, denied, appealed; the member told or not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapter.demo.chance import Calendar, deal, iso, stream
from adapter.demo.organizations import ORGANIZATIONS
from adapter.demo.teams import Team

CASES = {"approved": 34, "pended-approved": 12, "extended": 6, "late": 10, "open": 10, "overdue": 6, "denied": 8,
         "denied-appealed": 8, "denied-external": 4, "withdrawn": 2}
"""How a request goes, in hundredths. open: the clock still runs; overdue: it ran out."""

_SERVICES = (("authorization", "home-health", "Home health aide"), ("authorization", "personal-care", "Personal care attendant"),
             ("authorization", "durable-equipment", "Walker"),
             ("authorization", "intensive-outpatient", "Intensive outpatient care"),
             ("flexible-service", "home-modification", "Grab bars in the bathroom"),
             ("service-purchase", "peer-support", "Peer support not offered in the county"))
_NEED = {"home-modification": "housing", "peer-support": "social-connection"}
"""Service -> the need that it meets, where that is not health."""
_DENIED = ("not-necessary", "not-covered", "information-missing", "out-of-network")
_CLOCK = {"standard": 7 * 24.0, "expedited": 72.0}
HEARING = "ORG-HEARING"
"""Who decides external appeals: the state's office of hearings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. case: of CASES. told: how well the member is kept informed, 0 to 1."""

    id: str
    team: Team
    case: str
    kind: str
    service: str
    words: str
    priority: str
    requested: datetime
    told: float


def make_requests(seed: int, teams: list[Team], calendar: Calendar) -> list[Request]:
    """One or two requests for two in five members with coverage; those who need much have more."""
    rng = stream(seed, "service requests")
    asking = [t for t in teams if t.parts and t.member.payer and rng.random() < 0.3 + t.member.burden * 0.5
              for _ in range(1 + (t.member.burden > 0.3))]
    counts: dict[int, int] = {}
    found: list[Request] = []
    for team, case in zip(asking, deal(rng, CASES, len(asking)), strict=True):
        number = team.member.number
        counts[number] = counts.get(number, 0) + 1
        kind, service, words = rng.choice(_SERVICES)
        priority = rng.choices(["standard", "expedited"], [80, 20])[0]
        requested = calendar.at(rng.randint(1, 30) if case.startswith("denied") else rng.randint(1, 70), rng.uniform(8, 17))
        if case == "open":
            requested = calendar.as_of - timedelta(hours=rng.uniform(3, _CLOCK[priority] * 0.8))
        found.append(Request(id=f"SR-{number:05d}-{counts[number]}", team=team, case=case, kind=kind, service=service,
                             words=words, priority=priority, requested=requested, told=rng.choice([0.0, 0.6, 0.9, 1.0, 1.0])))
    return found


def request_rows(seed: int, requests: list[Request], calendar: Calendar) -> Iterator[dict[str, str]]:
    """The service_requests feed."""
    rng = stream(seed, "service request rows")
    for request in requests:
        yield _row(rng, request, calendar)


def _row(rng: random.Random, r: Request, calendar: Calendar) -> dict[str, str]:
    member = r.team.member
    asker = r.team.lead or member.practice
    payer_id, payer_name, _ = member.payer or ("", "", "")
    course = _course(rng, r)
    decided = course.get("decided_at")
    denied = r.case.startswith("denied")
    status = "denied" if denied else {"open": "submitted", "overdue": "pended", "withdrawn": "withdrawn"}.get(r.case, "approved")
    if "appeal1_decided_at" in course and r.case == "denied-appealed" and rng.random() < 0.4:
        status = "approved"
    approved = status == "approved" and decided is not None
    words: dict[str, str] = {
        "service_request_id": r.id, "member_id": member.id, "kind": r.kind, "service": r.service, "service_text": r.words,
        "priority": r.priority, "status": status, "requester_org": asker, "requester_org_name": ORGANIZATIONS[asker].name,
        "need": _NEED.get(r.service, "health"), **_server(r),
        "payer_id": payer_id, "payer_name": payer_name,
        "coverage_id": member.coverage, "pend_reason": "clinical notes" if "pended_at" in course else "",
        "denial_reason": rng.choice(_DENIED) if status == "denied" else "",
        "authorization_number": f"PA-{770_000 + member.number * 3}" if approved else "",
        "authorized_from": decided.date().isoformat() if approved and decided else "",
        "authorized_to": (decided.date() + timedelta(days=120)).isoformat() if approved and decided else "",
        "service_started_on": _started(rng, decided, calendar) if approved and decided else "",
        **_appealed(r, status, course),
    }
    told = {name: iso(moment) for name, moment in course.items() if name == "decide_by" or moment <= calendar.as_of}
    last = max(m for n, m in course.items() if n != "decide_by" and m <= calendar.as_of)
    if "appeal2_decided_at" not in told:
        words.pop("appeal2_outcome", None)
    return {column: words.get(column) or told.get(column, "") for column in _COLUMNS} | {"updated_at": iso(last)}


_APPEAL = ("filed_at", "priority", "body", "decided_at", "outcome")
_COLUMNS = (
    "service_request_id", "member_id", "kind", "service", "service_text", "need", "priority", "status", "requester_org",
    "requester_org_name", "performer_org", "performer_org_name", "payer_id", "payer_name", "coverage_id", "requested_at",
    "pended_at", "pend_reason", "extended_at", "decide_by", "decided_at", "denial_reason", "authorization_number",
    "authorized_from", "authorized_to", "service_started_on", "told_submitted_at", "told_pended_at", "told_decided_at",
    "told_rights_at", *(f"appeal{n}_{part}" for n in (1, 2) for part in _APPEAL))


def _course(rng: random.Random, r: Request) -> dict[str, datetime]:
    """The moments of a request, by column."""
    hours, begin = _CLOCK[r.priority], r.requested
    found = {"requested_at": begin}
    if r.case in ("pended-approved", "extended", "overdue"):
        found["pended_at"] = begin + timedelta(hours=hours * 0.3)
    if r.case == "extended":
        found |= {"extended_at": begin + timedelta(hours=hours * 0.8), "decide_by": begin + timedelta(hours=hours + 14 * 24)}
        found["decided_at"] = begin + timedelta(hours=hours + rng.uniform(24, 12 * 24))
    elif r.case not in ("open", "overdue", "withdrawn"):
        late = hours * rng.uniform(1.2, 2.0) if r.case == "late" else hours * rng.uniform(0.4, 0.95)
        found["decided_at"] = begin + timedelta(hours=late)
    if r.case in ("denied-appealed", "denied-external"):
        found["appeal1_filed_at"] = found["decided_at"] + timedelta(days=rng.uniform(3, 20))
        found["appeal1_decided_at"] = found["appeal1_filed_at"] + timedelta(days=rng.uniform(2, 20))
    if r.case == "denied-external":
        found["appeal2_filed_at"] = found["appeal1_decided_at"] + timedelta(days=rng.uniform(1, 3))
        if r.team.member.number % 2:
            found["appeal2_decided_at"] = found["appeal2_filed_at"] + timedelta(days=9)
    for told, of in (("submitted", "requested_at"), ("pended", "pended_at"), ("decided", "decided_at"), ("rights", "decided_at")):
        if of in found and (told != "rights" or r.case.startswith("denied")) and rng.random() < r.told:
            found[f"told_{told}_at"] = found[of] + timedelta(hours=rng.uniform(1, 30))
    return found


_SERVER = {"peer-support": "ORG-HARBOR", "intensive-outpatient": "ORG-GREENWAY", "personal-care": "ORG-TABLE"}
"""Service -> who would serve, where it is known."""


def _server(r: Request) -> dict[str, str]:
    server = _SERVER.get(r.service, "")
    return {"performer_org": server, "performer_org_name": ORGANIZATIONS[server].name if server else ""}


def _started(rng: random.Random, decided: datetime, calendar: Calendar) -> str:
    """The day on which the service began; for one in five it did not."""
    day = decided.date() + timedelta(days=rng.randint(2, 12))
    return day.isoformat() if day < calendar.as_of.date() and rng.random() < 0.8 else ""


def _appealed(r: Request, status: str, course: dict[str, datetime]) -> dict[str, str]:
    found: dict[str, str] = {}
    if "appeal1_filed_at" in course:
        found = {"appeal1_priority": r.priority, "appeal1_outcome": "overturned" if status == "approved" else "upheld"}
    if "appeal2_filed_at" in course:
        found |= {"appeal2_priority": "standard", "appeal2_body": HEARING,
                  "appeal2_outcome": "upheld" if "appeal2_decided_at" in course else ""}
    return found
