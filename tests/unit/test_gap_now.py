"""What happens at the very instant of which is asked counts, and what happens a second later does not, rule by rule."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from tests.unit.gap_evidence import NOW, N, coded, concept, gaps, put, ref, verdict

P = ref("Patient", "p")
YESTERDAY = (NOW - timedelta(days=1)).isoformat()
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
SNOMED = "http://snomed.info/sct"
Evidence = Callable[[Connection, str], None]


@pytest.fixture
def db(empty: Connection) -> Connection:
    put(empty, "Patient", "p")
    for organization in ("hub", "me"):
        put(empty, "Organization", organization, type=coded("organization-type", "managing-entity"))
    put(empty, "EpisodeOfCare", "e", status="active", patient=P, type=coded("program", "care-coordination"),
        managingOrganization=ref("Organization", "hub"))
    put(empty, "CareTeam", "t", status="active", subject=P, participant=[
        {"role": coded("care-team-role", role), "member": ref("Practitioner", role), "onBehalfOf": ref("Organization", where)}
        for role, where in (("primary-care", "hub"), ("specialist", "me"))])
    put(empty, "Condition", "c1", subject=P, code={"coding": [{"system": ICD, "code": "F33"}]})
    put(empty, "MedicationStatement", "x", status="active", subject=P)
    return empty


def encounter(db: Connection, name: str, kind: str, start: str, end: str = "", **body: Any) -> None:
    put(db, "Encounter", name, status="finished", subject=P, period={"start": start} | ({"end": end} if end else {}),
        **{"class": {"code": kind}} | body)


def left(db: Connection) -> None:
    encounter(db, "s", "IMP", "2026-06-10", YESTERDAY, type=coded("visit-type", "psychiatric-inpatient"))


def contact(db: Connection, at: str) -> None:
    encounter(db, "k", "AMB", at, type=coded("contact-type", "telephone"))


def say(db: Connection, at: str, **body: Any) -> None:
    put(db, "Communication", "m", subject=P, sent=at, **{"status": "completed", "recipient": [ref("Organization", "hub")]} | body)


def linked(db: Connection, at: str) -> None:
    left(db)
    encounter(db, "v", "AMB", at, type=coded("visit-type", "behavioral-health"))


def no_appointment(db: Connection, at: str) -> None:
    left(db)
    say(db, at, topic=concept("communication-topic", "no-appointment"))


def refused(db: Connection, at: str) -> None:
    left(db)
    say(db, at, status="not-done", statusReason={"coding": [{"code": "patient-objection"}]},
        reasonCode=coded("contact-purpose", "psychiatric-linkage"))


def followed(db: Connection, at: str) -> None:
    encounter(db, "s", "EMER", "2026-06-14T10:00:00-04:00", YESTERDAY)
    contact(db, at)


def reached(db: Connection, at: str) -> None:
    left(db)
    contact(db, at)


def noticed(db: Connection, at: str) -> None:
    left(db)
    say(db, at, topic=concept("communication-topic", "discharge-summary"))


def assessed(db: Connection, at: str) -> None:
    part = {"code": concept("assessment-part", "level-offered"), "valueCodeableConcept": concept("level", "3")}
    put(db, "Observation", "o", status="final", subject=P, code=concept("assessment-tool", "locus"), effectiveDateTime=at,
        valueCodeableConcept=concept("level", "3"), component=[part])


def screened(db: Connection, at: str) -> None:
    for need in ("housing", "transport", "food"):
        put(db, "Observation", need, status="final", subject=P, code=concept("need", need), effectiveDateTime=at,
            valueCodeableConcept={"coding": [{"system": SNOMED, "code": "260385009"}]})


def referral(db: Connection, at: str = YESTERDAY) -> None:
    put(db, "ServiceRequest", "r", status="active", intent="order", subject=P, authoredOn=at, code=concept("service", "food"),
        performer=[ref("Organization", "me")])


def task(db: Connection, status: str, focus: str = "r", **body: Any) -> None:
    put(db, "Task", "k", status=status, focus=ref("ServiceRequest", focus), **{"for": P} | body)


def accepted(db: Connection, at: str) -> None:
    referral(db)
    task(db, "accepted", executionPeriod={"start": at})


def completed(db: Connection, at: str) -> None:
    referral(db)
    task(db, "completed", executionPeriod={"start": YESTERDAY, "end": at})


def decided(db: Connection, at: str, decision: str = "approved") -> None:
    put(db, "ServiceRequest", "s", status="active", intent="order", subject=P, authoredOn=YESTERDAY,
        category=[concept("request-kind", "authorization")])
    put(db, "Claim", "c", status="active", use="preauthorization", patient=P, referral=ref("ServiceRequest", "s"))
    put(db, "ClaimResponse", "a", status="active", use="preauthorization", outcome="complete", patient=P, created=at,
        request=ref("Claim", "c"), adjudication=[{"category": concept("request-status", decision)}])


def told(db: Connection, at: str) -> None:
    decided(db, "2026-06-30")
    say(db, at, recipient=[P], about=[ref("ServiceRequest", "s")], topic=concept("communication-topic", "request-submitted"))


def rights(db: Connection, at: str) -> None:
    decided(db, YESTERDAY, "denied")
    say(db, at, recipient=[P], about=[ref("ServiceRequest", "s")], topic=concept("communication-topic", "appeal-rights"))


def appealed(db: Connection, at: str) -> None:
    decided(db, YESTERDAY, "denied")
    task(db, "completed", "s", authoredOn=YESTERDAY, code=concept("task-code", "internal-appeal"), executionPeriod={"end": at})


def noted(db: Connection, at: str) -> None:
    encounter(db, "v", "AMB", "2026-06-14", participant=[{"individual": ref("Practitioner", "specialist")}])
    put(db, "Communication", "m", status="completed", subject=P, sender=ref("Practitioner", "specialist"), sent=at,
        recipient=[ref("Practitioner", "primary-care")])


CASES: list[tuple[str, str, Evidence, str, str]] = [
    ("G06", "Encounter/s", linked, "visited", "visit-due"), ("G06", "Encounter/s", no_appointment, "no-appointment", "visit-due"),
    ("G06", "Encounter/s", refused, "refused", "visit-due"), ("G08", "Encounter/s", followed, "followed", "follow-up-due"),
    ("G09", "Encounter/s#contact", reached, "reached", "contact-due"),
    ("G09", "Encounter/s#notice", noticed, "notified", "notice-due"), ("G14", "", assessed, "assessed", "not-assessed"),
    ("G17", "", screened, "screened", "not-screened"),
    ("G18", "ServiceRequest/r#acceptance", accepted, "accepted", "acceptance-due"),
    ("G18", "ServiceRequest/r#loop", completed, "completed", "word-due"),
    ("G19", "ServiceRequest/s", decided, "decided", "decision-due"),
    ("G20", "ServiceRequest/s#submitted", told, "told", "telling-due"),
    ("G21", "ServiceRequest/s#rights", rights, "rights-told", "rights-not-told"),
    ("G21", "Task/k", appealed, "appeal-decided", "appeal-due"), ("G24", "Encounter/v", noted, "told", "note-due")]


@pytest.mark.parametrize(("rule", "item", "evidence", "then", "before"), CASES, ids=[f"{c[0]}-{c[2].__name__}" for c in CASES])
def test_what_happens_now_counts_and_what_is_still_to_come_does_not(db: Connection, rule: str, item: str, evidence: Evidence,
                                                                    then: str, before: str) -> None:
    evidence(db, NOW.isoformat())
    assert verdict(db, rule, item) == then
    evidence(db, (NOW + timedelta(seconds=1)).isoformat())
    assert verdict(db, rule, item) == before
    assert verdict(db, rule, item, NOW + timedelta(seconds=1)) == then


@pytest.mark.parametrize(("rule", "item"), [
    ("G07", "ServiceRequest/r"), ("G18", "ServiceRequest/r#loop"), ("G19", "ServiceRequest/s"),
    ("G20", "ServiceRequest/s#submitted")])
def test_what_was_asked_for_now_is_there_and_what_is_still_to_come_is_not(db: Connection, rule: str, item: str) -> None:
    for step, there in ((timedelta(0), True), (timedelta(seconds=1), False)):
        at = (NOW + step).isoformat()
        referral(db, at)
        put(db, "ServiceRequest", "s", status="active", intent="order", subject=P, authoredOn=at,
            category=[concept("request-kind", "authorization")], identifier=[{"system": N + "service-request", "value": "1"}])
        assert (item in gaps(db, rule)) == there
