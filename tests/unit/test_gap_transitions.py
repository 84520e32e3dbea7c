"""Boundary instants of the rules of transitions, one by one: G06, G08, G09, G10, G28."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from tests.unit.gap_evidence import NOW, coded, gaps, put, ref, verdict

D = timedelta(days=1)
LEFT = "2026-06-04T15:00:00-04:00"  # a Thursday


@pytest.fixture
def db(empty: Connection) -> Connection:
    put(empty, "Patient", "p")
    put(empty, "Organization", "hub", name="Hub")
    put(empty, "Organization", "me", type=coded("organization-type", "managing-entity"))
    put(empty, "EpisodeOfCare", "e", status="active", patient=ref("Patient", "p"),
        type=coded("program", "care-coordination"), managingOrganization=ref("Organization", "hub"))
    return empty


def day(text: str) -> str:
    """The last second of a day in New York, as UTC."""
    return (datetime.fromisoformat(f"{text}T23:59:59-04:00")).astimezone(UTC).isoformat()


def stay(db: Connection, end: str | None = LEFT, name: str = "s", kind: str = "IMP", start: str = "2026-06-01",
         **body: Any) -> None:
    period = {"start": start} | ({"end": end} if end else {})
    put(db, "Encounter", name, status="finished", subject=ref("Patient", "p"), period=period,
        **{"class": {"code": kind}, "serviceProvider": ref("Organization", "hospital")} | body)


def contact(db: Connection, when: str, kind: str = "telephone") -> None:
    put(db, "Encounter", f"c{when}", status="finished", type=coded("contact-type", kind), subject=ref("Patient", "p"),
        period={"start": when}, serviceProvider=ref("Organization", "hub"))


def visit(db: Connection, when: str, kind: str = "office") -> None:
    put(db, "Encounter", f"v{when}", status="finished", type=coded("visit-type", kind), subject=ref("Patient", "p"),
        period={"start": when}, **{"class": {"code": "AMB"}})


def tell(db: Connection, topic: str, when: str, to: str = "hub", **body: Any) -> None:
    put(db, "Communication", f"m{topic}{when}", status="completed", subject=ref("Patient", "p"), sent=when,
        topic=coded("communication-topic", topic)[0], recipient=[ref("Organization", to)], **body)


# --- G09
@pytest.mark.parametrize(("told", "topic", "found"), [
    ("2026-06-06", "discharge-summary", "notified"), ("2026-06-06T23:59:59-04:00", "discharge-summary", "notified"),
    ("2026-06-07T00:00:00-04:00", "discharge-summary", "not-notified"), ("2026-06-03", "discharge-summary", "not-notified"),
    ("2026-06-03", "admission-notice", "notified"), ("2026-06-04", "admission-notice", "not-notified"),
    ("2026-06-05", "general", "not-notified")])
def test_g09_who_answers_is_told_within_two_days(db: Connection, told: str, topic: str, found: str):
    stay(db)
    tell(db, topic, told)
    assert verdict(db, "G09", "Encounter/s#notice") == found


def test_g09_a_notice_to_others_or_about_another_stay_tells_nobody_of_this_one(db: Connection):
    stay(db)
    tell(db, "discharge-summary", "2026-06-05", to="payer")
    tell(db, "transition", "2026-06-05", about=[ref("Encounter", "other")])
    assert verdict(db, "G09", "Encounter/s#notice") == "not-notified"
    tell(db, "transition", "2026-06-09", about=[ref("Encounter", "s")])
    assert verdict(db, "G09", "Encounter/s#notice") == "notified-late"


@pytest.mark.parametrize(("when", "found"), [
    ("2026-06-04T15:00:00-04:00", "reached"), ("2026-06-04T14:59:59-04:00", "not-reached"), ("2026-06-04", "reached"),
    ("2026-06-08T23:59:59-04:00", "reached"),  # Thursday, Friday, the weekend, Monday
    ("2026-06-09T00:00:00-04:00", "reached-late")])
def test_g09_contact_within_two_business_days(db: Connection, when: str, found: str):
    stay(db)
    contact(db, when)
    assert verdict(db, "G09", "Encounter/s#contact") == found


@pytest.mark.parametrize(("end", "due"), [
    ("2026-06-17T10:00:00-04:00", "2026-06-22"),  # Juneteenth is a Friday
    ("2026-06-20T10:00:00-04:00", "2026-06-23"), ("2026-06-16T23:59:59-04:00", "2026-06-18")])
def test_g09_holidays_and_weekends_do_not_count(db: Connection, end: str, due: str):
    stay(db, end)
    now = datetime.fromisoformat(end)
    gap = gaps(db, "G09", now)["Encounter/s#contact"]
    assert gap.due is not None
    assert (gap.state, gap.due.isoformat()) == ("prospective", day(due))


@pytest.mark.parametrize(("risk", "since", "when", "found"), [
    ("low", "2026-01-01", "2026-06-18T23:59:59-04:00", "visited"),
    ("low", "2026-01-01", "2026-06-19T00:00:00-04:00", "visited-late"),
    ("high", "2026-01-01", "2026-06-11T23:59:59-04:00", "visited"),
    ("high", "2026-01-01", "2026-06-12T00:00:00-04:00", "visited-late"),
    ("high", "2026-06-05", "2026-06-12T00:00:00-04:00", "visited"),  # found after the discharge
])
def test_g09_visit_within_14_days_or_7_at_high_risk(db: Connection, risk: str, since: str, when: str, found: str):
    stay(db)
    put(db, "Flag", "f", status="active", subject=ref("Patient", "p"), code=coded("risk-level", risk)[0], period={"start": since})
    visit(db, when)
    assert verdict(db, "G09", "Encounter/s#visit", NOW + 10 * D) == found


def test_g09_each_step_has_its_own_state(db: Connection):
    stay(db, "2026-06-12T15:00:00-04:00")
    contact(db, "2026-06-13")
    found = {item.partition("#")[2]: (gap.state, gap.due and gap.due.isoformat()) for item, gap in gaps(db, "G09").items()}
    assert found == {"notice": ("missed", day("2026-06-14")), "contact": ("closed", day("2026-06-16")),
                     "visit": ("prospective", day("2026-06-26"))}
    assert {gap.responsible_org for gap in gaps(db, "G09").values()} == {"hub"}


@pytest.mark.parametrize(("start", "found"), [("2026-06-05T23:59:59-04:00", "moved-on"), ("2026-06-06T00:00:00-04:00", None)])
def test_g09_who_goes_on_to_another_bed_is_followed_up_from_there(db: Connection, start: str, found: str | None):
    stay(db)
    stay(db, "2026-06-09", "t", "NONAC", start=start)
    all_of = gaps(db, "G09")
    assert (all_of["Encounter/s"].verdict if "Encounter/s" in all_of else None) == found
    assert {"Encounter/t#notice", "Encounter/t#contact", "Encounter/t#visit"} <= set(all_of)


def test_g09_a_stay_without_its_end_cannot_be_computed(db: Connection):
    stay(db, None)
    assert gaps(db, "G09")["Encounter/s"].reason == "not-computable"


# --- G28
@pytest.mark.parametrize(("when", "found"), [
    ("2026-05-04", "reconciled"), ("2026-06-03T23:59:59-04:00", "reconciled"), ("2026-06-04T00:00:00-04:00", "reconciled-late"),
    ("2026-05-03", "not-reconciled"), (None, "reconciliation-not-dated")])
def test_g28_reconciled_from_the_day_of_the_discharge_to_day_30(db: Connection, when: str | None, found: str):
    stay(db, "2026-05-04T15:00:00-04:00", start="2026-05-01")
    put(db, "Procedure", "r", status="completed", subject=ref("Patient", "p"), performedDateTime=when,
        code={"coding": [{"system": "http://snomed.info/sct", "code": "430193006"}]})
    assert verdict(db, "G28") == found


def test_g28_over_the_beginning_of_summer_time_and_a_leap_day(db: Connection):
    stay(db, "2028-02-28T23:30:00-05:00", start="2028-02-20")
    gap = gaps(db, "G28", datetime(2028, 3, 1, tzinfo=UTC))["Encounter/s"]
    assert gap.due is not None
    assert gap.due.isoformat() == day("2028-03-29")


# --- G10
def readmit(db: Connection, start: str, kind: str | None = "E", where: str = "hospital", name: str = "b") -> None:
    kinds = [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0007", "code": kind}]}] if kind else []
    put(db, "Encounter", name, status="in-progress", subject=ref("Patient", "p"), period={"start": start}, type=kinds,
        serviceProvider=ref("Organization", where), **{"class": {"code": "IMP"}})


@pytest.mark.parametrize(("start", "kind", "where", "found"), [
    ("2026-06-03T23:59:59-04:00", "E", "hospital", "readmitted"),
    ("2026-06-04T00:00:00-04:00", "E", "hospital", "not-readmitted"),
    ("2026-05-20", "C", "hospital", "not-readmitted"), ("2026-05-20", None, "hospital", "kind-not-known"),
    ("2026-05-05", "E", "hospital", "readmitted"),  # back on the next day
    ("2026-05-05", "E", "other", "moved-on"), ("2026-05-06", "E", "other", "readmitted")])
def test_g10_unplanned_in_thirty_days(db: Connection, start: str, kind: str | None, where: str, found: str):
    stay(db, "2026-05-04T15:00:00-04:00", start="2026-05-01")
    readmit(db, start, kind, where)
    assert verdict(db, "G10") == found


@pytest.mark.parametrize(("now", "state"), [
    ("2026-07-04T23:59:59-04:00", "prospective"), ("2026-07-05T00:00:00-04:00", "closed")])
def test_g10_is_closed_when_the_days_are_over(db: Connection, now: str, state: str):
    stay(db)
    assert gaps(db, "G10", datetime.fromisoformat(now))["Encounter/s"].state == state


def test_g10_nothing_follows_who_died(db: Connection):
    stay(db, hospitalization={"dischargeDisposition": {"coding": [
        {"system": "urn:x-careloop:discharged-to", "code": "died"},
        {"system": "http://terminology.hl7.org/CodeSystem/discharge-disposition", "code": "exp"}]}})
    assert {rule: verdict(db, rule) for rule in ("G09", "G10", "G28")} == dict.fromkeys(("G09", "G10", "G28"), "ended-for-good")


# --- G06
def psychiatric(db: Connection, end: str = LEFT) -> None:
    stay(db, end, type=coded("visit-type", "psychiatric-inpatient"))
    put(db, "MedicationStatement", "x", status="active", subject=ref("Patient", "p"))


@pytest.mark.parametrize(("when", "found"), [
    ("2026-06-04T23:59:59-04:00", "not-visited"), ("2026-06-05T00:00:00-04:00", "visited"),  # day 0 does not count
    ("2026-06-11T23:59:59-04:00", "visited"), ("2026-06-12T00:00:00-04:00", "visited-late")])
def test_g06_days_1_to_7(db: Connection, when: str, found: str):
    psychiatric(db)
    visit(db, when, "behavioral-health")
    assert verdict(db, "G06") == found


def test_g06_another_kind_of_visit_does_not_link(db: Connection):
    psychiatric(db)
    visit(db, "2026-06-08")
    assert verdict(db, "G06") == "not-visited"


@pytest.mark.parametrize(("to", "when", "found"), [
    ("me", "2026-06-11", "no-appointment"), ("me", "2026-06-12", "not-visited"), ("hub", "2026-06-11", "not-visited")])
def test_g06_no_appointment_counts_when_the_managing_entity_was_told(db: Connection, to: str, when: str, found: str):
    psychiatric(db)
    tell(db, "no-appointment", when, to)
    assert verdict(db, "G06") == found


@pytest.mark.parametrize(("status", "found"), [
    ("completed", "no-appointment"), ("in-progress", "no-appointment"), ("not-done", "not-visited"),
    ("preparation", "not-visited")])
def test_g06_what_was_not_told_does_not_count(db: Connection, status: str, found: str):
    psychiatric(db)
    put(db, "Communication", "m", status=status, subject=ref("Patient", "p"), sent="2026-06-10",
        topic=coded("communication-topic", "no-appointment")[0], recipient=[ref("Organization", "me")])
    assert verdict(db, "G06") == found


@pytest.mark.parametrize(("purpose", "when", "found"), [
    ("psychiatric-linkage", "2026-06-02", "refused"), ("psychiatric-linkage", "2026-06-12", "not-visited"),
    ("engagement", "2026-06-05", "not-visited")])
def test_g06_a_refusal_of_the_linkage_counts(db: Connection, purpose: str, when: str, found: str):
    psychiatric(db)
    put(db, "Communication", "n", status="not-done", subject=ref("Patient", "p"), sent=when,
        statusReason={"coding": [{"code": "patient-objection"}]}, reasonCode=coded("contact-purpose", purpose))
    assert verdict(db, "G06") == found


@pytest.mark.parametrize(("period", "found"), [
    ({"end": "2026-06-03"}, "no-medication"), ({"end": "2026-06-04"}, "not-visited"), ({"start": "2026-06-05"}, "no-medication"),
    ({"start": "2026-06-04T22:00:00-04:00"}, "not-visited")])
def test_g06_asks_of_those_with_a_medication_at_the_discharge(db: Connection, period: dict[str, str], found: str):
    psychiatric(db)
    put(db, "MedicationStatement", "x", status="active", subject=ref("Patient", "p"), effectivePeriod=period)
    assert verdict(db, "G06") == found


# --- G08
def emergency(db: Connection, *diagnoses: str) -> None:
    stay(db, kind="EMER", start="2026-06-04T10:00:00-04:00", reasonCode=[
        {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}]} for code in diagnoses])


@pytest.mark.parametrize(("when", "found"), [
    ("2026-06-04T14:59:59-04:00", "not-followed"), ("2026-06-04T15:00:00-04:00", "followed"),  # day 0 counts
    ("2026-06-11T23:59:59-04:00", "followed"), ("2026-06-12T00:00:00-04:00", "followed-late")])
def test_g08_days_0_to_7(db: Connection, when: str, found: str):
    emergency(db, "R07.9")
    contact(db, when)
    assert verdict(db, "G08") == found


@pytest.mark.parametrize(("diagnoses", "kind", "reason", "found"), [
    (["F32.9"], "office", "", "not-followed"), (["F32.9"], "behavioral-health", "", "followed-mental-health"),
    (["F32.9"], "office", "F41.1", "followed-mental-health"), (["F32.9"], "office", "F10.20", "not-followed"),
    (["F10.20"], "office", "F10.20", "followed-substance-use"), (["T40.1X1A"], "office", "F32.9", "followed-substance-use"),
    (["R07.9", "F32.9"], "office", "", "followed"), (["F17.210"], "office", "", "followed")])
def test_g08_the_kind_of_follow_up_goes_by_the_principal_diagnosis(db: Connection, diagnoses: list[str], kind: str, reason: str,
                                                                  found: str):
    emergency(db, *diagnoses)
    put(db, "Encounter", "v", status="finished", subject=ref("Patient", "p"), period={"start": "2026-06-08"},
        type=coded("visit-type", kind), reasonCode=[{"coding": [{"code": reason}]}] if reason else [],
        **{"class": {"code": "AMB"}})
    assert verdict(db, "G08") == found


@pytest.mark.parametrize(("diagnosis", "due"), [
    ("R07.9", "follow-up-due"), ("F32.9", "mental-health-due"), ("F10.20", "substance-use-due")])
def test_g08_says_what_is_due_to_the_end_of_day_7(db: Connection, diagnosis: str, due: str):
    emergency(db, diagnosis)
    for now, found in (("2026-06-11T23:59:59-04:00", due), ("2026-06-12T00:00:00-04:00", "not-followed")):
        assert verdict(db, "G08", now=datetime.fromisoformat(now)) == found


@pytest.mark.parametrize(("start", "found"), [("2026-06-11", "admitted"), ("2026-06-12", "not-followed")])
def test_g08_who_was_admitted_is_outside(db: Connection, start: str, found: str):
    emergency(db, "R07.9")
    readmit(db, start)
    assert verdict(db, "G08") == found


@pytest.mark.parametrize("kind", ["IMP", "EMER"])
@pytest.mark.parametrize(("left", "found"), [("exp", "ended-for-good"), ("hosp", "ended-for-good"), ("home", "not-dated")])
def test_nothing_is_asked_after_somebody_died_though_nobody_said_when(db: Connection, kind: str, left: str, found: str) -> None:
    stay(db, end=None, kind=kind, hospitalization={"dischargeDisposition": {"coding": [
        {"system": "http://terminology.hl7.org/CodeSystem/discharge-disposition", "code": left}]}})
    about = ["G08"] if kind == "EMER" else ["G09", "G10", "G28"]
    for rule in about:
        assert verdict(db, rule).removeprefix("stay-").removeprefix("visit-") == found, rule
