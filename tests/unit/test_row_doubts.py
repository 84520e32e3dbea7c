"""What a CSV row says that cannot be: it is told at row and column, and the rest of the row stands."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from adapter.errors import Rejected, kind_of
from adapter.feeds import Feeds, open_feeds
from adapter.model import Issue, Json
from adapter.parse.rows_cells import date_readers
from adapter.parse.rows_contract import load_contract
from adapter.parse.rows_options import csv_options
from adapter.pipeline import Conversion, convert_csv

NPI = "http://hl7.org/fhir/sid/us-npi"
GOOD, WRONG = "1234567893", "1234567890"
ROWS: dict[str, dict[str, str]] = {
    "assessments": {"assessment_id": "X1", "member_id": "M1", "tool": "ahc-hrsn", "assessed_at": "2026-02-01",
                    "organization_id": "A", "domain": "food", "result": "positive"},
    "benefits": {"benefit_id": "B1", "member_id": "M1", "benefit": "ssi"},
    "care_plans": {"plan_id": "P1", "member_id": "M1", "author_org": "A", "status": "active", "created_date": "2026-02-01"},
    "care_team": {"member_id": "M1", "organization_id": "A", "role": "lead-coordinator", "start_date": "2026-01-12"},
    "communications": {"communication_id": "K1", "member_id": "M1", "status": "completed", "sender_org": "A",
                       "topic": "care-plan", "sent_at": "2026-02-01T09:00:00-05:00"},
    "conditions": {"condition_id": "D1", "member_id": "M1", "code": "I10", "code_system": "icd10cm", "clinical_status": "active"},
    "consents": {"consent_id": "C1", "member_id": "M1", "status": "active", "discloser_org": "A", "recipient_org": "B",
                 "granted_at": "2026-01-12"},
    "contacts": {"contact_id": "K1", "member_id": "M1", "organization_id": "A", "contact_type": "face-to-face",
                 "started_at": "2026-02-02T09:00:00-05:00", "outcome": "reached"},
    "medications": {"medication_id": "X1", "member_id": "M1", "kind": "reported", "status": "active", "medication": "lisinopril"},
    "members": {"member_id": "M1", "first_name": "Ada", "last_name": "Ashgrove", "birth_date": "1990-01-01", "payer_id": "P",
                "coverage_id": "77", "program": "waiver", "enrollment_status": "enrolled", "attributed_org": "A"},
    "organizations": {"record": "organization", "organization_id": "A", "organization_name": "Maple", "active": "Y"},
    "referrals": {"referral_id": "R1", "member_id": "M1", "from_org": "A", "to_org": "B", "service": "food",
                  "requested_at": "2026-02-02T09:00:00-05:00", "status": "requested"},
    "service_requests": {"service_request_id": "S1", "member_id": "M1", "kind": "authorization", "service": "home-health",
                         "status": "approved", "requester_org": "A", "payer_id": "P", "decided_at": "2026-02-03T09:00:00-05:00",
                         "requested_at": "2026-02-02T09:00:00-05:00"},
    "surveys": {"response_id": "V1", "survey": "needs-assessment-module-1", "organization_id": "A", "question": "m1-q01",
                "answer": "most-of-the-time", "answered_at": "2026-01-20T09:30:00-05:00"},
    "trainings": {"organization_id": "A", "npi": GOOD, "module": "module-1", "status": "completed",
                  "completed_date": "2026-01-05"},
    "utilization": {"visit_id": "V1", "member_id": "M1", "payer_id": "P", "payer_name": "Plan", "organization_id": "A",
                    "claim_status": "paid", "claim_type": "institutional", "visit_type": "inpatient",
                    "started_at": "2026-02-02T09:00:00-05:00", "processed_date": "2026-03-01"},
}


@cache
def feeds() -> Feeds:
    return open_feeds(Path(__file__).parents[2] / "mappings")


def converted(feed: str, **cells: str) -> Conversion:
    """A file of one row."""
    row = {**ROWS[feed], **cells}
    raw = "\n".join(",".join(texts) for texts in (row.keys(), row.values())).encode()
    conversion, refused = convert_csv(raw, feed, feeds(), b"test", datetime(2026, 3, 31, 12, tzinfo=UTC), trace=False)
    assert conversion is not None, refused
    return conversion


def of_type(conversion: Conversion, resource_type: str) -> list[Json]:
    return [c.body for c in conversion.composed if c.resource_type == resource_type and not c.deleted]


def told(conversion: Conversion) -> list[tuple[str, str]]:
    """What was noticed while the row was mapped."""
    return [(i.code, i.place) for i in conversion.mapped.issues]


# --- numbers with a check digit

_PRACTITIONERS = [("assessments", "npi"), ("benefits", "npi"), ("care_team", "npi"), ("communications", "sender_npi"),
                  ("communications", "recipient_npis"), ("conditions", "npi"), ("contacts", "npi"), ("contacts", "present_npis"),
                  ("medications", "npi"), ("referrals", "to_npi"), ("surveys", "npi"), ("trainings", "npi"),
                  ("utilization", "npi")]


@pytest.mark.parametrize(("feed", "column"), _PRACTITIONERS)
def test_an_npi_whose_check_digit_fails_is_the_senders_own_number(feed: str, column: str) -> None:
    conversion = converted(feed, **{column: WRONG})
    numbers = [i for p in of_type(conversion, "Practitioner") for i in p.get("identifier", ())]
    assert numbers == [{"system": f"urn:x-careloop:{feed}:malformed-number", "value": WRONG}]
    assert told(conversion).count(("bad-value", f"row 2, {column}")) == 1
    sound = converted(feed, **{column: GOOD})
    assert [i["system"] for p in of_type(sound, "Practitioner") for i in p["identifier"]] == [NPI]
    assert told(sound) == []


def test_an_organizations_npi_has_a_check_digit_too() -> None:
    conversion = converted("organizations", npi=WRONG)
    (organization,) = of_type(conversion, "Organization")
    assert {"system": "urn:x-careloop:organizations:malformed-number", "value": WRONG} in organization["identifier"]
    assert told(conversion) == [("bad-value", "row 2, npi")]


def test_a_reconcilers_npi_is_told_at_its_own_column() -> None:
    conversion = converted("medications", reconciled_at="2026-02-01", reconciliation_id="C1", reconciled_npi=WRONG)
    assert told(conversion) == [("bad-value", "row 2, reconciled_npi")]


# --- periods of two columns

@pytest.mark.parametrize(("feed", "resource_type", "element", "start", "end", "more"), [
    ("care_plans", "CarePlan", "period", "period_start", "period_end", {}),
    ("contacts", "Encounter", "period", "started_at", "ended_at", {}),
    ("medications", "MedicationStatement", "effectivePeriod", "start_date", "end_date", {}),
    ("members", "Coverage", "period", "coverage_start", "coverage_end", {}),
    ("members", "EpisodeOfCare", "period", "enrollment_date", "end_date", {}),
    ("members", "Flag", "period", "enrollment_date", "end_date", {}),
    ("organizations", "OrganizationAffiliation", "period", "start_date", "end_date",
     {"record": "agreement", "partner_id": "B", "agreement": "data-sharing"}),
    ("referrals", "Task", "executionPeriod", "accepted_at", "completed_at", {}),
    ("service_requests", "ClaimResponse", "preAuthPeriod", "authorized_from", "authorized_to", {}),
    ("utilization", "Claim", "billablePeriod", "started_at", "ended_at", {}),
    ("utilization", "Encounter", "period", "started_at", "ended_at", {}),
])
def test_an_end_before_the_start_is_left_out_and_the_start_stands(
        feed: str, resource_type: str, element: str, start: str, end: str, more: dict[str, str]) -> None:
    day = "-" not in ROWS[feed].get(start, "2026-02-02")[10:]
    times = ("2026-02-02", "2026-02-01", "2026-02-03") if day else tuple(f"2026-02-0{n}T09:00:00-05:00" for n in (2, 1, 3))
    if feed == "referrals":
        times = tuple(f"2026-02-0{n}T09:00:00-05:00" for n in (4, 3, 5))
    conversion = converted(feed, **more, **{start: times[0], end: times[1]})
    assert all(body[element] == {"start": times[0]} for body in of_type(conversion, resource_type))
    assert of_type(conversion, resource_type)
    assert told(conversion) == [("bad-value", f"row 2, {end}")]
    sound = converted(feed, **more, **{start: times[0], end: times[2]})
    assert all(body[element] == {"start": times[0], "end": times[2]} for body in of_type(sound, resource_type))


def test_parts_that_hold_a_period_keep_its_start() -> None:
    group, = (g for g in of_type(converted("members", attribution_start="2026-02-02", attribution_end="2026-02-01"), "Group"))
    assert group["member"][0]["period"] == {"start": "2026-02-02"}
    order = converted("medications", kind="ordered", start_date="2026-02-02", end_date="2026-02-01")
    (request,) = of_type(order, "MedicationRequest")
    assert request["dosageInstruction"][0]["timing"]["repeat"]["boundsPeriod"] == {"start": "2026-02-02"}
    (claim,) = of_type(converted("utilization", ended_at="2026-02-01T09:00:00-05:00"), "Claim")
    assert claim["item"][0]["servicedPeriod"] == {"start": "2026-02-02T09:00:00-05:00"}
    trained = converted("trainings", valid_until="2026-01-04")
    assert of_type(trained, "Practitioner")[0]["qualification"][0]["period"] == {"start": "2026-01-05"}
    assert told(trained) == [("bad-value", "row 2, valid_until")]


def test_an_end_that_is_less_precise_than_the_start_is_left_out() -> None:
    conversion = converted("contacts", ended_at="2026-02-02")
    assert of_type(conversion, "Encounter")[0]["period"] == {"start": "2026-02-02T09:00:00-05:00"}
    assert told(conversion) == [("bad-value", "row 2, ended_at")]


# --- a release of a Part 2 program

@pytest.mark.parametrize(("part2", "data_class", "protected", "noticed"), [
    ("Y", "all", True, []), ("Y", "substance-use", True, []), ("N", "substance-use", False, []), ("", "general", False, []),
    ("", "substance-use", True, [("required-missing", "row 2, part2")])])
def test_part_2_follows_the_program_in_rule_and_labels(
        part2: str, data_class: str, protected: bool, noticed: list[tuple[str, str]]) -> None:
    conversion = converted("consents", part2=part2, data_class=data_class)
    (consent,) = of_type(conversion, "Consent")
    rule = consent["policyRule"]["coding"][0]["code"]
    labels = [label["code"] for label in consent.get("meta", {}).get("security", ())]
    assert (rule, "42CFRPart2" in labels) == (("42CFRPart2", True) if protected else ("hipaa-auth", False))
    assert told(conversion) == noticed


# --- words, and days that never were

def test_what_to_do_about_a_row_is_said_in_words_for_csv() -> None:
    (issue,) = [i for i in converted("contacts", updated_at="2030-01-01").mapped.issues if i.code == "time-ahead"]
    assert "clock of the system" in kind_of(issue).next_step
    with pytest.raises(Rejected) as refused:
        convert_csv(b"contact_id,\xff\n1,2\n", "contacts", feeds(), b"test", datetime(2026, 3, 31, tzinfo=UTC), trace=False)
    assert "MSH" not in str(refused.value)
    assert "MSH" in kind_of(Issue(code="charset", place="MSH-18")).next_step


@pytest.mark.parametrize(("days", "day"), [
    ("1", "1900-01-01"), ("59", "1900-02-28"), ("60", None), ("60.5", None), ("61", "1900-03-01"), ("46082", "2026-03-01")])
def test_day_60_of_a_spreadsheet_never_was(days: str, day: str | None) -> None:
    read = date_readers(load_contract("members"), csv_options({"dates": "excel"}))["birth_date"]
    assert read(days) == day
