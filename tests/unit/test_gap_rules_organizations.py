"""The rules about organizations and pairs (O01, O02, O03, O05) at their boundary instants."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from adapter.gaps.engine import Gap, evaluate
from tests.unit.gap_evidence import NOW, coded, concept, put, ref
from tests.unit.gap_network import N

SECOND = timedelta(seconds=1)


@pytest.fixture
def db(empty: Connection) -> Connection:
    for number in range(3):
        put(empty, "Patient", f"p{number}")
    put(empty, "Organization", "hub", extension=[{"url": N + "time-zone", "valueCode": "America/Chicago"}])
    put(empty, "Organization", "clinic")
    return empty


def gaps(db: Connection, rule: str, organization: str = "hub", now: datetime = NOW) -> dict[str, Gap]:
    return {g.item: g for g in evaluate(db, now=now, rule=rule) if g.organization_id == organization}


def enrol(db: Connection, member: str) -> None:
    put(db, "EpisodeOfCare", f"e-{member}", status="active", patient=ref("Patient", member),
        type=coded("program", "care-coordination"), managingOrganization=ref("Organization", "hub"))


def staff(db: Connection, fte: float, capacity: float | None, name: str = "g", role: str = "care-coordinator",
          **period: str) -> None:
    facts = [("fte", fte), *([("capacity", capacity)] if capacity is not None else [])]
    put(db, "Group", name, type="practitioner", active=True, managingEntity=ref("Organization", "hub"),
        code=concept("care-team-role", role),
        characteristic=[{"code": concept("staffing-fact", fact), "valueQuantity": {"value": value}, "period": period}
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
        put(db, "HealthcareService", "h", providedBy=ref("Organization", "hub"), type=[concept("service", "on-call")], **parts)
        seen.append(gaps(db, "O01")["Organization/hub#on-call"].verdict)
    assert seen == ["no-number", "no-number", "hours-not-stated", "on-call", "no-on-call"]


def assign(db: Connection, status: str = "requested", due: str | None = None, learned: dict[str, str] | None = None,
           **body: Any) -> Gap:
    module = concept("training-module", "module-1")
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
        code=[concept("agreement", element), *([concept("information-route", route)] if route else [])], **body)


def refer(db: Connection, made: str) -> None:
    put(db, "ServiceRequest", "r", status="active", intent="order", subject=ref("Patient", "p0"), authoredOn=made,
        code=concept("service", "housing"), requester=ref("Organization", "hub"), performer=[ref("Organization", "clinic")])


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
