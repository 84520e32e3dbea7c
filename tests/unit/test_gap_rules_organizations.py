"""The rules about organizations and pairs (O01, O02, O03, O05) against their oracle, and their boundaries one by one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from sqlalchemy import Connection, Engine

from adapter.gaps import tables
from adapter.gaps.engine import Gap, evaluate
from adapter.model import Composed
from tests.unit.gap_checks import SLOW, agree, never_seen, store
from tests.unit.gap_network import Resource, networks
from tests.unit.gap_network_organizations import SUBJECTS


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return store(f"sqlite:///{tmp_path_factory.mktemp('gaps') / 'gaps.db'}")


@given(networks(SUBJECTS))
@settings(SLOW, max_examples=200)
def test_the_rules_say_what_the_oracle_says(sqlite: Engine, drawn: tuple[datetime, list[Resource]]):
    agree(sqlite, *drawn)


def test_the_networks_bring_about_every_verdict(sqlite: Engine):
    assert never_seen(sqlite, SUBJECTS, ("O01", "O02", "O03", "O05")) == set()


# --- boundaries, one by one
NOW = datetime(2026, 6, 15, 16, tzinfo=UTC)
N = "urn:x-careloop:"
SECOND = timedelta(seconds=1)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Connection]:
    with store(f"sqlite:///{tmp_path / 'gaps.db'}").begin() as connection:
        for number in range(3):
            put(connection, "Patient", f"p{number}")
        put(connection, "Organization", "hub", extension=[{"url": N + "time-zone", "valueCode": "America/Chicago"}])
        put(connection, "Organization", "clinic")
        yield connection


def put(db: Connection, kind: str, resource_id: str, **body: Any) -> None:
    tables.refresh(db, [Composed(resource_type=kind, id=resource_id, key="", person="", body=body, hash="", sources={})])


def ref(kind: str, resource_id: str) -> dict[str, str]:
    return {"reference": f"{kind}/{resource_id}"}


def coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": N + system, "code": code}]}


def gaps(db: Connection, rule: str, organization: str = "hub", now: datetime = NOW) -> dict[str, Gap]:
    return {g.item: g for g in evaluate(db, now=now, rule=rule) if g.organization_id == organization}


def enrol(db: Connection, member: str) -> None:
    put(db, "EpisodeOfCare", f"e-{member}", status="active", patient=ref("Patient", member),
        type=[coded("program", "care-coordination")], managingOrganization=ref("Organization", "hub"))


def staff(db: Connection, fte: float, capacity: float | None, name: str = "g", role: str = "care-coordinator",
          **period: str) -> None:
    facts = [("fte", fte), *([("capacity", capacity)] if capacity is not None else [])]
    put(db, "Group", name, type="practitioner", active=True, managingEntity=ref("Organization", "hub"),
        code=coded("care-team-role", role),
        characteristic=[{"code": coded("staffing-fact", fact), "valueQuantity": {"value": value}, "period": period}
                        for fact, value in facts])


@pytest.mark.parametrize(("members", "fte", "capacity", "verdict"), [
    (2, 0.5, 4, "within-capacity"), (3, 0.5, 4, "over-capacity"), (3, 0.3, 10, "within-capacity"),  # 0.3 x 10 is 3
    (1, 1, None, "capacity-not-stated"), (0, 1, None, "within-capacity")])
def test_o01_the_caseload_is_held_to_equivalents_times_members_each(
        db: Connection, members: int, fte: float, capacity: float | None, verdict: str):
    for number in range(members):
        enrol(db, f"p{number}")
    staff(db, fte, capacity)
    assert gaps(db, "O01")["Organization/hub#caseload"].verdict == verdict


def test_o01_staff_that_ended_or_is_of_another_role_cares_for_nobody(db: Connection):
    enrol(db, "p0")
    staff(db, 5, 5, end="2026-06-14")
    staff(db, 5, 5, "peers", "peer-specialist")
    assert gaps(db, "O01")["Organization/hub#caseload"].verdict == "staff-not-stated"
    staff(db, 5, 5, end="2026-06-15")
    assert gaps(db, "O01")["Organization/hub#caseload"].state == "closed"
    assert [g.verdict for g in gaps(db, "O01", "clinic").values()] == ["no-coordination"]


def test_o01_two_kinds_of_coordinators_care_together(db: Connection):
    for number in range(3):
        enrol(db, f"p{number}")
    staff(db, 1, 2)
    assert gaps(db, "O01")["Organization/hub#caseload"].verdict == "over-capacity"
    staff(db, 1, 1, "leads", "lead-coordinator")
    assert gaps(db, "O01")["Organization/hub#caseload"].evidence == ("Group/g", "Group/leads")


def test_o01_on_call_is_a_number_for_any_hour(db: Connection):
    enrol(db, "p0")
    hours = {"availableTime": [{"allDay": True}]}
    phone = {"telecom": [{"system": "phone", "value": "518-555-0190"}]}
    seen: list[str] = []
    for parts in ({}, hours, phone, hours | phone, hours | phone | {"active": False}):
        put(db, "HealthcareService", "h", providedBy=ref("Organization", "hub"), type=[coded("service", "on-call")], **parts)
        seen.append(gaps(db, "O01")["Organization/hub#on-call"].verdict)
    assert seen == ["no-number", "no-number", "hours-not-stated", "on-call", "no-on-call"]


def assign(db: Connection, status: str = "requested", due: str | None = None, learned: dict[str, str] | None = None,
           **body: Any) -> Gap:
    module = coded("training-module", "module-1")
    put(db, "Practitioner", "a", qualification=[{"code": module, "period": learned}] if learned else [])
    put(db, "Task", "t", status=status, code=module, owner=ref("Practitioner", "a"),
        **({"restriction": {"period": {"end": due}}} if due else {}), **{"for": ref("Organization", "hub")}, **body)
    return next(iter(gaps(db, "O02").values()))


@pytest.mark.parametrize(("due", "verdict"), [
    (NOW.isoformat(), "still-due"), ((NOW - SECOND).isoformat(), "overdue"), ("2026-06-15", "still-due"),
    ("2026-06-14", "overdue"), (None, "due-not-stated")])
def test_o02_a_module_is_due_until_its_last_second(db: Connection, due: str | None, verdict: str):
    gap = assign(db, due=due)
    assert (gap.verdict, gap.item, gap.responsible_party) == (verdict, "Task/t", "Practitioner/a")


def test_o02_what_was_learned_is_valid_to_its_last_day(db: Connection):
    assert assign(db, learned={"start": "2025-06-15", "end": "2026-06-15"}).verdict == "done"
    assert assign(db, learned={"start": "2025-06-15", "end": "2026-06-14"}).verdict == "expired"
    assert assign(db, due="2026-07-01", learned={"start": "2025-06-15", "end": "2026-06-14"}).verdict == "still-due"
    assert assign(db, learned={"start": "2026-06-16"}).verdict == "due-not-stated"  # as of today it is not done
    assert assign(db, "completed").verdict == "done"
    assert assign(db, "cancelled").state == "not-applicable"
    assert assign(db, authoredOn="2026-06-16").verdict == "none-assigned"


def agree_on(db: Connection, element: str, route: str = "", **body: Any) -> None:
    put(db, "OrganizationAffiliation", element, organization=ref("Organization", "clinic"),
        participatingOrganization=ref("Organization", "hub"),
        code=[coded("agreement", element), *([coded("information-route", route)] if route else [])], **body)


def refer(db: Connection, made: str) -> None:
    put(db, "ServiceRequest", "r", status="active", intent="order", subject=ref("Patient", "p0"), authoredOn=made,
        code=coded("service", "housing"), requester=ref("Organization", "hub"), performer=[ref("Organization", "clinic")])


@pytest.mark.parametrize(("made", "state"), [
    ("2025-06-15", "open"), ("2025-06-14", "not-applicable"), ("2026-06-16", "not-applicable")])
def test_o03_a_referral_makes_a_pair_for_a_year(db: Connection, made: str, state: str):
    refer(db, made)
    assert {g.state for g in gaps(db, "O03").values()} == {state}
    assert {g.state for g in gaps(db, "O03", "clinic").values()} == {state}


@pytest.mark.parametrize(("period", "active", "verdict"), [
    ({}, True, "agreed"), ({}, False, "ended"), ({"end": "2026-06-15"}, True, "agreed"), ({"end": "2026-06-14"}, True, "ended"),
    ({"start": "2026-06-15"}, True, "agreed"), ({"start": "2026-06-16"}, True, "not-begun")])
def test_o03_an_agreement_holds_for_both_from_its_first_to_its_last_day(db: Connection, period: dict[str, str], active: bool,
                                                                       verdict: str):
    refer(db, "2026-06-01")
    agree_on(db, "data-sharing", active=active, period=period)
    assert gaps(db, "O03")["hub>clinic#data-sharing"].verdict == verdict
    assert gaps(db, "O03", "clinic")["clinic>hub#data-sharing"].verdict == verdict


def test_o03_a_route_is_to_be_named(db: Connection):
    refer(db, "2026-06-01")
    agree_on(db, "information-route")
    assert gaps(db, "O03")["hub>clinic#information-route"].reason == "missing-element"
    agree_on(db, "information-route", "shared-ehr")
    assert gaps(db, "O03")["hub>clinic#information-route"].state == "closed"
    assert gaps(db, "O03")["hub>clinic#data-sharing"].reason == "not-found"


@pytest.mark.parametrize(("made", "now", "verdict"), [
    ("2026-01-01", "2026-12-31T23:59:59-06:00", "on-file"), ("2026-01-01", "2027-01-01T00:00:00-06:00", "due-this-year"),
    ("2025-12-31", "2026-06-15T12:00:00-05:00", "due-this-year"), ("2024-12-31", "2026-06-15T12:00:00-05:00", "out-of-date"),
    ("2026-01-01", "2027-01-01T00:30:00-05:00", "on-file"),  # in the network's zone it is next year already
    ("2026-06-16", "2026-06-15T12:00:00-05:00", "never-assessed"), (None, "2026-06-15T12:00:00-05:00", "not-dated")])
def test_o05_counts_years_where_the_organization_is(db: Connection, made: str | None, now: str, verdict: str):
    enrol(db, "p0")
    put(db, "QuestionnaireResponse", "q", questionnaire=N + "questionnaire:culture-self-assessment", status="completed",
        subject=ref("Organization", "hub"), **({"authored": made} if made else {}))
    gap = gaps(db, "O05", now=datetime.fromisoformat(now))[""]
    assert gap.verdict == verdict
    if verdict == "due-this-year":
        year = datetime.fromisoformat(now).year
        assert gap.due == datetime.fromisoformat(f"{year}-12-31T23:59:59-06:00")
