"""Write the made-up network into a folder: its CSVs, the traffic of two hospitals, and who its organizations are."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import orjson

from adapter.demo.assessments import assessment_rows
from adapter.demo.benefits import benefit_rows
from adapter.demo.chance import Calendar, stream
from adapter.demo.claims import utilization_rows
from adapter.demo.communications import communication_rows
from adapter.demo.conditions import condition_rows
from adapter.demo.contacts import contact_rows
from adapter.demo.directory import organization_rows
from adapter.demo.medications import medication_rows
from adapter.demo.organizations import ORGANIZATIONS, Staff
from adapter.demo.people import make_members, member_rows
from adapter.demo.plans import goal_rows, make_plans, plan_rows
from adapter.demo.referrals import make_referrals, referral_rows
from adapter.demo.releases import consent_rows
from adapter.demo.requests import make_requests, request_rows
from adapter.demo.sites import SITES
from adapter.demo.stays import make_stays
from adapter.demo.teams import make_teams, team_rows
from adapter.demo.traffic import traffic
from adapter.demo.workforce import survey_rows, training_rows

DEMO_SEED = 20_260_331
"""Seed of the network that `make run` loads."""

DEMO_START = date(2025, 12, 31)
"""First day of its hospital traffic."""

DEMO_AS_OF = Calendar(DEMO_START).as_of
"""The moment at which it is looked at: 2026-03-31T12:00:00-04:00, in UTC."""


def generate(directory: Path, start: date = DEMO_START, members: int = 200, seed: int = DEMO_SEED) -> list[Path]:
    """Write the network; the files in the order in which they are to be loaded.

    csv/<feed>.csv in the contract's own form, UTF-8; hl7v2/stanne.hl7 and hl7v2/lakeside.hl7, messages in order of
    arrival; network.json, the organizations and `as_of`. Everything lies before noon, New York time, 90 days after
    `start`.
    """
    calendar = Calendar(start)
    staff = Staff(stream(seed, "staff"))
    people = make_members(seed, members, calendar)
    teams = make_teams(seed, people, staff, calendar)
    plans = make_plans(seed, teams, calendar)
    stays = make_stays(seed, people, staff, calendar)
    referrals = make_referrals(seed, teams, stays, calendar)
    requests = make_requests(seed, teams, calendar)
    contacts = list(contact_rows(seed, calendar, members=people, teams=teams, referrals=referrals, stays=stays, staff=staff))
    feeds: dict[str, Iterable[dict[str, str]]] = {
        "members": member_rows(people, calendar), "care_team": team_rows(teams, calendar),
        "care_plans": plan_rows(seed, plans, calendar), "goals": goal_rows(seed, plans, calendar),
        "consents": consent_rows(seed, teams, calendar), "referrals": referral_rows(seed, referrals, calendar),
        "contacts": contacts,
        "communications": communication_rows(seed, calendar, teams=teams, stays=stays, referrals=referrals,
                                             requests=requests, contacts=contacts),
        "service_requests": request_rows(seed, requests, calendar),
        "assessments": assessment_rows(seed, teams, referrals, staff, calendar),
        "benefits": benefit_rows(seed, teams, calendar), "conditions": condition_rows(seed, people, staff, calendar),
        "organizations": organization_rows(seed, staff, calendar), "trainings": training_rows(seed, staff, calendar),
        "surveys": survey_rows(seed, staff, calendar), "medications": medication_rows(seed, people, stays, staff, calendar),
        "utilization": utilization_rows(seed, people, stays, staff, calendar),
    }
    written = [_write(directory / "csv" / f"{feed}.csv", _table(rows)) for feed, rows in feeds.items()]
    for site in SITES:
        messages = traffic(seed, calendar, site, members=people, stays=stays, staff=staff)
        written.append(_write(directory / "hl7v2" / f"{site.application.lower()}.hl7", b"".join(messages)))
    return [*written, _write(directory / "network.json", _network(calendar))]


def _table(rows: Iterable[dict[str, str]]) -> bytes:
    text = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(text, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)
    return text.getvalue().encode()


def _network(calendar: Calendar) -> bytes:
    return orjson.dumps({
        "as_of": calendar.as_of.isoformat(),
        "organizations": [{"id": o.id, "name": o.name, "kind": o.kind} for o in ORGANIZATIONS.values()],
    }, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
