"""Boundaries of the rule about service purchases and flexible services (G25), one by one."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection

from tests.unit.gap_evidence import coded, gaps, put, ref, verdict


@pytest.fixture
def db(empty: Connection) -> Connection:
    put(empty, "Patient", "p")
    put(empty, "EpisodeOfCare", "e", status="active", patient=ref("Patient", "p"),
        type=coded("program", "care-coordination"), managingOrganization=ref("Organization", "hub"))
    return empty


def screened(db: Connection, when: str = "2026-06-01", need: str = "housing", found: str = "10828004", name: str = "o") -> None:
    put(db, "Observation", name, status="final", subject=ref("Patient", "p"), code=coded("need", need)[0], effectiveDateTime=when,
        valueCodeableConcept={"coding": [{"system": "http://snomed.info/sct", "code": found}]})


def asked(db: Connection, when: str | None = "2026-06-02", status: str = "submitted", need: str = "housing",
          begun: str | None = None, kind: str = "flexible-service") -> None:
    made: dict[str, Any] = {"authoredOn": when} if when else {}
    put(db, "ServiceRequest", "s", status="active", intent="order", subject=ref("Patient", "p"),
        category=coded("request-kind", kind), code=coded("requested-service", "housing-support")[0],
        reasonCode=coded("need", need), **made)
    came: dict[str, Any] = {"output": [{"type": coded("task-output", "service-started")[0], "valueDate": begun}]} if begun else {}
    put(db, "Task", "k", status="requested", focus=ref("ServiceRequest", "s"), owner=ref("Organization", "plan"),
        code={"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "approve"}]},
        businessStatus=coded("request-status", status)[0], **{"for": ref("Patient", "p")}, **came)


def referred(db: Connection, status: str, when: str = "2026-06-01", name: str = "r", service: str = "housing") -> None:
    put(db, "ServiceRequest", name, status="active", intent="order", subject=ref("Patient", "p"), authoredOn=when,
        code=coded("service", service)[0])
    put(db, "Task", f"t{name}", status=status, focus=ref("ServiceRequest", name), lastModified=f"{when}T20:00:00Z",
        **{"for": ref("Patient", "p")})


@pytest.mark.parametrize(("when", "found"), [("2025-06-15", {"Observation/o"}), ("2025-06-14", {""}), ("2026-06-16", {""})])
def test_a_need_counts_for_a_year_from_the_day_it_was_found(db: Connection, when: str, found: set[str]):
    screened(db, when)
    assert set(gaps(db, "G25")) == found


def test_the_last_screening_decides_and_other_needs_are_none_of_it(db: Connection):
    screened(db)
    screened(db, "2026-06-02", found="260385009", name="later")
    screened(db, need="safety", name="unsafe")
    assert set(gaps(db, "G25")) == {""}


@pytest.mark.parametrize(("request_made", "said"), [
    ({}, "waiting"), ({"when": "2026-05-31"}, "not-asked"), ({"when": "2026-06-01"}, "waiting"),
    ({"when": None}, "request-not-dated"), ({"need": "food"}, "not-asked"), ({"kind": "authorization"}, "not-asked"),
    ({"status": "approved"}, "granted"), ({"status": "denied"}, "not-granted"), ({"status": "withdrawn"}, "not-granted"),
    ({"status": "partly-approved"}, "not-granted"),
    ({"status": "approved", "begun": "2026-06-15"}, "service-begun"), ({"status": "approved", "begun": "2026-06-16"}, "granted"),
    ({"begun": "2026-06-10"}, "service-begun")])
def test_what_was_asked_for_a_need_since(db: Connection, request_made: dict[str, Any], said: str):
    screened(db)
    asked(db, **request_made)
    assert verdict(db, "G25", "Observation/o") == said


def test_the_payer_answers_for_what_waits(db: Connection):
    screened(db)
    assert gaps(db, "G25")["Observation/o"].responsible_org == "hub"
    asked(db)
    gap = gaps(db, "G25")["Observation/o"]
    assert (gap.responsible_org, gap.evidence) == ("plan", ("Observation/o", "ServiceRequest/s", "Task/k"))


def test_a_completed_referral_met_the_need(db: Connection):
    screened(db)
    referred(db, "completed", "2026-05-31")
    assert verdict(db, "G25", "Observation/o") == "not-asked"
    referred(db, "completed", "2026-06-01")
    assert verdict(db, "G25", "Observation/o") == "met-by-referral"


@pytest.mark.parametrize(("when", "found"), [("2025-06-15", {"ServiceRequest/r"}), ("2025-06-14", {""})])
def test_a_referral_that_nobody_took_is_a_service_gap_for_a_year(db: Connection, when: str, found: set[str]):
    referred(db, "rejected", when)
    assert set(gaps(db, "G25")) == found


def test_who_asked_somebody_else_has_no_service_gap_yet(db: Connection):
    referred(db, "failed", service="specialty")
    assert set(gaps(db, "G25")) == {"ServiceRequest/r"}
    referred(db, "requested", "2026-06-03", "again", "specialty")
    assert set(gaps(db, "G25")) == {""}
    referred(db, "rejected", "2026-06-03", "again", "specialty")
    assert set(gaps(db, "G25")) == {"ServiceRequest/r", "ServiceRequest/again"}
    asked(db, "2026-06-03", need="health", status="approved")
    assert {gap.verdict for gap in gaps(db, "G25").values()} == {"granted"}


def test_a_request_for_nothing_that_was_found_stands_for_itself(db: Connection):
    asked(db, need="food", kind="service-purchase")
    assert verdict(db, "G25", "ServiceRequest/s") == "waiting"
