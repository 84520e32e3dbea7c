"""CSV rows through the feeds' own mappings: what each function makes of good, empty and odd cells."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import kind_of
from adapter.feeds import Feeds, open_feeds
from adapter.mapping.rows import map_row
from adapter.model import Composed, Issue, Json, Mapped
from adapter.parse.rows_contract import load_contract
from adapter.pipeline import compose_all, microseconds

ARRIVAL = microseconds(datetime(2026, 3, 31, 12, tzinfo=UTC))
CONSENT = {"consent_id": "C1", "member_id": "M1", "status": "active", "discloser_org": "A", "recipient_org": "B",
           "granted_at": "2026-01-12"}
SEAT = {"member_id": "M1", "organization_id": "A", "role": "lead-coordinator", "start_date": "2026-01-12"}
REFERRAL = {"referral_id": "R1", "member_id": "M1", "from_org": "A", "to_org": "B", "service": "food",
            "requested_at": "2026-02-02T09:00:00-05:00", "status": "requested"}
CONTACT = {"contact_id": "K1", "member_id": "M1", "organization_id": "A", "contact_type": "face-to-face",
           "started_at": "2026-02-02T09:00:00-05:00", "outcome": "reached"}
MEMBER = {"member_id": "M1", "first_name": "Ada", "last_name": "Ashgrove", "birth_date": "1990-01-01"}
GOAL = {"goal_id": "G1", "member_id": "M1", "description": "Rest", "lifecycle_status": "active"}


@cache
def feeds() -> Feeds:
    return open_feeds(Path(__file__).parents[2] / "mappings")


def mapped(feed: str, *rows: dict[str, str], columns: tuple[str, ...] | None = None) -> list[Mapped]:
    """Rows of one file, in this order; it has every column of the contract unless `columns` says which."""
    has = tuple(load_contract(feed).columns) if columns is None else columns
    compiled = feeds().named(feed)
    return [map_row(row, n, f"{feed}|test|{n:03d}", compiled, ARRIVAL, columns=has) for n, row in enumerate(rows, 2)]


def standing(said: list[Mapped]) -> list[Composed]:
    return compose_all([c for m in said for c in m.contributions], (), feeds(), b"test", lambda names: names)


def made(feed: str, resource_type: str, *rows: dict[str, str], columns: tuple[str, ...] | None = None) -> Json:
    """The one resource of a type that rows make."""
    (one,) = [c for c in standing(mapped(feed, *rows, columns=columns)) if c.resource_type == resource_type]
    assert not one.deleted, one.issues
    return one.body


def found(said: list[Mapped]) -> list[tuple[str, str]]:
    return [(i.code, i.place) for m in said for i in m.issues]


# --- what a row does not say any more

def test_an_empty_cell_takes_back_what_an_earlier_row_said() -> None:
    first = {**MEMBER, "phone": "518-555-0134", "city": "Alderton", "interpreter_needed": "Y"}
    body = made("members", "Patient", {**first, "updated_at": "2026-01-01"}, {**MEMBER, "updated_at": "2026-02-01"})
    assert not {"telecom", "address", "extension"} & body.keys()


def test_a_column_that_the_file_lacks_says_nothing() -> None:
    first = {**MEMBER, "phone": "518-555-0134", "updated_at": "2026-01-01"}
    short = mapped("members", {**MEMBER, "updated_at": "2026-02-01"}, columns=tuple(MEMBER))
    (patient,) = [c for c in standing([*mapped("members", first), *short]) if c.resource_type == "Patient"]
    assert patient.body["telecom"] == [{"system": "phone", "value": "518-555-0134"}]


def test_an_older_row_that_comes_late_takes_nothing_back() -> None:
    newer = {**MEMBER, "phone": "518-555-0134", "updated_at": "2026-02-01"}
    assert "telecom" in made("members", "Patient", newer, {**MEMBER, "updated_at": "2026-01-01"})


def test_an_organization_keeps_the_name_that_another_row_gives() -> None:
    rows = ({**SEAT, "organization_name": "Maple"}, {**SEAT, "role": "specialist"})
    assert made("care_team", "Organization", *rows)["name"] == "Maple"


def test_a_cell_that_is_not_understood_takes_nothing_back() -> None:
    rows = ({**MEMBER, "race": "2106-3", "updated_at": "2026-01-01"},
            {**REFERRAL, "status_reason": "no capacity", "status": "rejected"})
    assert made("members", "Patient", rows[0])["extension"][0]["extension"][1]["valueString"] == "White"
    later = made("referrals", "Task", {**rows[1], "updated_at": "2026-02-03"}, {**REFERRAL, "status": "rejected"})
    assert later["statusReason"] == {"text": "no capacity"}


# --- members

def test_the_crosswalk_links_the_hospital_record() -> None:
    (said,) = mapped("members", {**MEMBER, "mrn": "77", "mrn_system": "urn:oid:1.2.3"})
    (link,) = [c for c in said.contributions if c.kind == "link"]
    assert (link.patient, link.other, link.event) == ("urn:x-careloop:member|M1", "urn:oid:1.2.3|77", "crosswalk")


def test_a_record_number_without_system_links_nothing() -> None:
    said = mapped("members", {**MEMBER, "mrn": "77"})
    assert found(said) == [("required-missing", "row 2, mrn_system")]
    assert [c for c in said[0].contributions if c.kind == "link"] == []


@pytest.mark.parametrize(("written", "code"), [("EN", "en"), ("es-mx", "es-MX"), ("zh-hant-tw", "zh-Hant-TW")])
def test_a_language_is_written_as_bcp47_recommends(written: str, code: str) -> None:
    (one,) = made("members", "Patient", {**MEMBER, "language": written})["communication"]
    assert one == {"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": code}]}, "preferred": True}


def test_a_family_on_one_subscriber_number_has_a_coverage_each() -> None:
    row = {**MEMBER, "coverage_id": "EVG-1", "payer_id": "E"}
    said = standing(mapped("members", row, {**row, "member_id": "M2"}))
    owners = [c.body["beneficiary"]["reference"] for c in said if c.resource_type == "Coverage"]
    assert len(set(owners)) == 2


@pytest.mark.parametrize(("status", "code"), [("eligible", "planned"), ("enrolled", "active"), ("refused", "cancelled"),
                                              ("ended", "finished")])
def test_the_enrolment_has_the_status_of_its_word(status: str, code: str) -> None:
    assert made("members", "EpisodeOfCare", {**MEMBER, "enrollment_status": status})["status"] == code


# --- care team

def seats(*rows: dict[str, str]) -> list[Json]:
    return made("care_team", "CareTeam", *rows)["participant"]


def test_a_seat_is_stated_anew_by_its_later_row() -> None:
    row = {**SEAT, "npi": "2000010019"}
    (seat,) = seats({**row, "updated_at": "2026-01-13"}, {**row, "end_date": "2026-02-01", "updated_at": "2026-02-01"})
    assert seat["period"] == {"start": "2026-01-12", "end": "2026-02-01"}


def test_who_comes_back_has_two_seats() -> None:
    row = {**SEAT, "npi": "2000010019"}
    again = {**row, "start_date": "2026-03-01"}
    first = {**row, "end_date": "2026-02-01"}
    assert [s["period"] for s in seats(first, again)] == [s["period"] for s in seats(again, first)]
    assert len(seats(first, again)) == 2


def test_a_seat_of_nobody_keeps_its_organization() -> None:
    (seat,) = seats(SEAT)
    assert "reference" not in seat["member"]
    assert seat["onBehalfOf"]["reference"].startswith("Organization/")


def test_a_natural_support_is_a_related_person_and_acts_for_nobody() -> None:
    (seat,) = seats({**SEAT, "role": "natural-support", "first_name": "Bo", "relationship": "Sister"})
    assert seat["member"]["reference"].startswith("RelatedPerson/")
    assert "onBehalfOf" not in seat


def test_a_natural_support_without_a_name_is_told_by_the_relationship() -> None:
    row = {**SEAT, "role": "natural-support", "relationship": "the neighbor upstairs"}
    body = made("care_team", "RelatedPerson", row)
    assert body["relationship"] == [{"text": "the neighbor upstairs"}]


def test_one_wrong_seat_leaves_the_others() -> None:
    wrong = {**SEAT, "npi": "2000010084", "end_date": "2025-12-31"}
    said = mapped("care_team", {**SEAT, "npi": "2000010019"}, wrong)
    assert found(said) == [("bad-value", "row 3, end_date")]
    assert len(seats({**SEAT, "npi": "2000010019"}, wrong)) == 1


def test_the_team_that_a_plan_names_is_the_one_that_the_rows_make() -> None:
    plan = {"plan_id": "P1", "member_id": "M1", "status": "active", "author_org": "A", "created_date": "2026-01-20"}
    composed = standing([*mapped("care_team", SEAT), *mapped("care_plans", plan)])
    (team,) = [c for c in composed if c.resource_type == "CareTeam"]
    plans = [c for c in composed if c.resource_type == "CarePlan"]  # the organization's own, and the shared one
    assert [p.body["careTeam"] for p in plans] == [[{"reference": f"CareTeam/{team.id}"}]] * 2


# --- goals

def test_how_much_of_nothing_is_left_out() -> None:
    row = {**GOAL, "target_value": "3", "due_date": "2026-06-01"}
    assert found(mapped("goals", row)) == [("required-missing", "row 2, target_measure")]
    assert made("goals", "Goal", row)["target"] == [{"dueDate": "2026-06-01"}]


@pytest.mark.parametrize(("value", "unit", "quantity"), [
    ("2", "/wk", {"value": 2, "unit": "/wk", "system": "http://unitsofmeasure.org", "code": "/wk"}),
    ("7.5", "cups a day", {"value": 7.5, "unit": "cups a day"}),
    ("0", "", {"value": 0}),
])
def test_an_amount_claims_ucum_only_for_a_unit_of_it(value: str, unit: str, quantity: Json) -> None:
    row = {**GOAL, "target_measure": "x", "target_value": value, **({"target_unit": unit} if unit else {})}
    assert made("goals", "Goal", row)["target"][0]["detailQuantity"] == quantity


def test_a_goal_joins_the_plan_that_it_names() -> None:
    rows = [{**GOAL, "goal_id": g, "plan_id": "P1"} for g in ("G1", "G2")]
    assert len(made("goals", "CarePlan", *rows)["goal"]) == 2


# --- consents, referrals

@pytest.mark.parametrize(("cells", "period"), [
    ({"period_start": "2026-01-12", "period_end": "2027-01-11"}, {"start": "2026-01-12", "end": "2027-01-11"}),
    ({"period_start": "2026-01-12", "period_end": "2026-02-01", "revoked_at": "2026-03-01"},
     {"start": "2026-01-12", "end": "2026-02-01"}),
    ({"period_start": "2026-01-12", "revoked_at": "2026-03-01"}, {"start": "2026-01-12", "end": "2026-03-01"}),
    ({"period_start": "2026-04-01", "revoked_at": "2026-03-01"}, {"end": "2026-03-01"}),
    ({"period_start": "2026-03-01", "revoked_at": "2026-03-01T10:00:00-05:00"}, {"end": "2026-03-01T10:00:00-05:00"}),
    ({}, None),
])
def test_a_release_is_in_force_until_it_ends_or_is_revoked(cells: dict[str, str], period: Json | None) -> None:
    assert made("consents", "Consent", {**CONSENT, **cells})["provision"].get("period") == period


def test_a_row_without_data_class_releases_all() -> None:
    code = made("consents", "Consent", CONSENT)["provision"]["code"]
    assert code == [{"coding": [{"system": "urn:x-careloop:data-class", "code": "all"}]}]


@pytest.mark.parametrize(("status", "request_status"), [
    ("requested", "active"), ("accepted", "active"), ("in-progress", "active"), ("failed", "active"),
    ("completed", "completed"), ("rejected", "revoked"), ("cancelled", "revoked")])
def test_the_request_stands_until_it_is_done_or_withdrawn(status: str, request_status: str) -> None:
    row = {**REFERRAL, "status": status, "status_reason": "said"}
    assert made("referrals", "ServiceRequest", row)["status"] == request_status
    assert made("referrals", "Task", row)["status"] == status


MOMENTS = st.one_of(
    st.dates(date(2026, 1, 1), date(2026, 1, 3)).map(str),
    st.integers(0, 3 * 24 * 60).map(lambda m: (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=m)).isoformat()))


@given(cells=st.fixed_dictionaries({"requested_at": MOMENTS}, optional={
    "updated_at": MOMENTS, "accepted_at": MOMENTS, "completed_at": MOMENTS}))
def test_a_referral_stands_whatever_its_times(cells: dict[str, str]) -> None:
    (task,) = [c for c in standing(mapped("referrals", {**REFERRAL, **cells})) if c.resource_type == "Task"]
    assert not task.deleted
    assert [i for i in task.issues if not i.place.startswith("Task.executionPeriod")] == []


@given(cells=st.fixed_dictionaries({"granted_at": MOMENTS}, optional={
    "revoked_at": MOMENTS, "period_start": MOMENTS.map(lambda t: t[:10])}))
def test_a_consent_keeps_its_provision_whatever_its_times(cells: dict[str, str]) -> None:
    assert made("consents", "Consent", {**CONSENT, **cells})["provision"]["actor"]


# --- contacts

@pytest.mark.parametrize(("cells", "code"), [
    ({"setting": "home"}, "HH"), ({"setting": "csu"}, "AMB"), ({"setting": "shelter"}, "FLD"), ({}, "AMB"),
    ({"contact_type": "telephone", "setting": "home"}, "VR"), ({"contact_type": "message"}, "VR")])
def test_the_class_of_a_contact_follows_its_way_and_place(cells: dict[str, str], code: str) -> None:
    assert made("contacts", "Encounter", {**CONTACT, **cells})["class"]["code"] == code


def test_each_organization_present_is_kept() -> None:
    extensions = made("contacts", "Encounter", {**CONTACT, "present_orgs": "B; C;"})["extension"]
    assert len({e["valueReference"]["reference"] for e in extensions}) == 2


def test_a_hand_off_that_was_none_is_taken_back() -> None:
    yes = {**CONTACT, "warm_handoff": "Y", "updated_at": "2026-02-03"}
    no = {**CONTACT, "warm_handoff": "N", "updated_at": "2026-02-04"}
    assert len(made("contacts", "Encounter", yes)["type"]) == 2
    assert len(made("contacts", "Encounter", yes, no)["type"]) == 1


@pytest.mark.parametrize(("outcome", "reason"), [
    ("no-answer", "recipient-unavailable"), ("refused", "patient-objection")])
def test_an_attempt_is_a_communication_that_was_not_done(outcome: str, reason: str) -> None:
    composed = standing(mapped("contacts", {**CONTACT, "outcome": outcome}))
    (one,) = [c.body for c in composed if c.resource_type in ("Communication", "Encounter")]
    assert (one["status"], one["statusReason"]["coding"][0]["code"]) == ("not-done", reason)


# --- cells that contradict each other

def test_a_problem_that_is_active_again_has_not_ended() -> None:
    problem = {"condition_id": "P1", "member_id": "M1", "code": "I50.9", "code_system": "icd10cm", "abatement_date": "2026-01-01"}
    over = {**problem, "clinical_status": "resolved", "updated_at": "2026-02-01"}
    again = {**problem, "clinical_status": "active", "updated_at": "2026-03-01"}
    assert made("conditions", "Condition", over)["abatementDateTime"] == "2026-01-01"
    assert "abatementDateTime" not in made("conditions", "Condition", over, again)
    assert ("bad-value", "row 2, abatement_date") in found(mapped("conditions", again))


def test_a_medication_that_ends_before_it_begins_stands_without_end() -> None:
    row = {"medication_id": "X1", "member_id": "M1", "kind": "reported", "status": "active", "medication": "lisinopril",
           "start_date": "2026-01-02", "end_date": "2026-01-01"}
    assert made("medications", "MedicationStatement", row)["effectivePeriod"] == {"start": "2026-01-02"}
    assert made("medications", "MedicationStatement", {**row, "end_date": "2026-01-03"})["effectivePeriod"]["end"] == "2026-01-03"


def test_a_target_without_value_is_told_and_stands() -> None:
    row = {"record": "target", "organization_id": "A", "active": "Y", "organization_name": "Maple", "measure": "G07"}
    (target,) = made("organizations", "Goal", row)["target"]
    assert target == {"measure": {"coding": [{"system": "urn:x-careloop:measure", "code": "G07"}]}}
    assert found(mapped("organizations", row)) == [("required-missing", "row 2, target_value")]


# --- any row of a contract

def _cell(column: str, schema: Any) -> st.SearchStrategy[str]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("format") == "date":
        return MOMENTS.map(lambda t: t[:10])
    if "anyOf" in schema:
        return MOMENTS
    if schema.get("format") == "decimal":
        return st.sampled_from(["0", "-1", "2.50", "1000000"])
    samples: list[str] = [*schema.get("examples", ["x"]), *([] if "pattern" in schema else ["é | & ~ ?", "a/b", "#!"])]
    return st.sampled_from(samples)


def _rows(feed: str) -> st.SearchStrategy[list[dict[str, str]]]:
    schema = orjson.loads((Path(__file__).parents[2] / "profiles" / "csv" / f"{feed}.json").read_bytes())
    cells = {name: _cell(name, column) for name, column in schema["properties"].items()}
    must = {n: cells[n] for n in schema["required"]}
    row = st.fixed_dictionaries(must, optional={n: c for n, c in cells.items() if n not in must})
    return st.lists(row, min_size=1, max_size=3)


@pytest.mark.parametrize("feed", [
    "members", "care_team", "care_plans", "goals", "consents", "referrals", "contacts", "communications", "service_requests",
    "assessments", "benefits", "conditions", "organizations", "trainings", "surveys", "medications", "utilization"])
@given(chosen=st.data())
def test_no_row_that_fits_its_contract_breaks_the_mapping(feed: str, chosen: st.DataObject) -> None:
    said = mapped(feed, *chosen.draw(_rows(feed)))
    assert "mapping-failed" not in {code for code, _ in found(said)}
    problems: list[Issue] = [i for c in standing(said) for i in c.issues if c.deleted]
    assert [i for i in problems if kind_of(i).severity == "error"] == []
