"""Communications, service requests, assessments, benefits, conditions, attribution: what rows of several feeds make together."""

from __future__ import annotations

from itertools import permutations

import pytest

from adapter.model import Json
from tests.unit.test_functions_rows import CONSENT, MEMBER, REFERRAL, found, made, mapped, standing

REQUEST = {"service_request_id": "S1", "member_id": "M1", "kind": "authorization", "service": "home-health",
           "status": "submitted", "requester_org": "A", "payer_id": "P", "coverage_id": "77",
           "requested_at": "2026-02-02T09:00:00-05:00"}
DENIED = {**REQUEST, "status": "denied", "denial_reason": "not-covered", "decided_at": "2026-02-05T09:00:00-05:00"}
SCREENING = {"assessment_id": "X1", "member_id": "M1", "tool": "ahc-hrsn", "assessed_at": "2026-02-01", "organization_id": "A",
             "domain": "food", "result": "positive", "referral_id": "R1"}
BENEFIT = {"benefit_id": "B1", "member_id": "M1", "benefit": "ssi"}
PROBLEM = {"condition_id": "D1", "member_id": "M1", "code": "I10", "code_system": "icd10cm", "clinical_status": "active"}
MESSAGE = {"communication_id": "K1", "member_id": "M1", "status": "completed", "sender_org": "A", "topic": "care-plan",
           "sent_at": "2026-02-01T09:00:00-05:00"}


def all_of(resource_type: str, *said: tuple[str, dict[str, str]]) -> list[Json]:
    """Every resource of a type that rows of feeds make together."""
    together = [m for feed, row in said for m in mapped(feed, row)]
    return [c.body for c in standing(together) if c.resource_type == resource_type and not c.deleted]


def code(body: Json, element: str) -> str:
    return body[element]["coding"][0]["code"]


def test_the_coverage_of_a_request_is_the_one_that_members_state() -> None:
    member = {**MEMBER, "payer_id": "P", "payer_name": "Plan", "coverage_id": "77"}
    coverages = all_of("Coverage", ("service_requests", REQUEST), ("members", member))
    assert [code(c, "relationship") for c in coverages] == ["self"]
    claim, = all_of("Claim", ("service_requests", REQUEST))
    assert claim["insurance"][0]["coverage"]["reference"] == f"Coverage/{coverages[0]['id']}"


def test_a_request_without_coverage_names_the_payer() -> None:
    claim = made("service_requests", "Claim", {**REQUEST, "coverage_id": "", "payer_name": "Plan"})
    assert claim["insurance"] == [{"sequence": 1, "focal": True, "coverage": {"display": "Plan"}}]


def test_each_instant_of_the_clock_stands_in_an_answer_of_its_own() -> None:
    row = {**DENIED, "pended_at": "2026-02-03T09:00:00-05:00", "extended_at": "2026-02-04T09:00:00-05:00",
           "decide_by": "2026-02-23T09:00:00-05:00"}
    answers = all_of("ClaimResponse", ("service_requests", row))
    assert {(a["outcome"], code(a["adjudication"][0], "category"), a["created"][:10]) for a in answers} == {
        ("queued", "pended", "2026-02-03"), ("queued", "extended", "2026-02-04"), ("complete", "denied", "2026-02-05")}
    assert code(next(a for a in answers if a["outcome"] == "complete")["adjudication"][0], "reason") == "not-covered"
    task = made("service_requests", "Task", row)
    assert task["restriction"]["period"]["end"] == "2026-02-23T09:00:00-05:00"
    assert task["executionPeriod"]["end"] == "2026-02-05T09:00:00-05:00"


@pytest.mark.parametrize(("cells", "place"), [
    ({"decided_at": ""}, "row 2, decided_at"), ({"denial_reason": ""}, "row 2, denial_reason")])
def test_a_denial_without_time_or_reason_is_told(cells: dict[str, str], place: str) -> None:
    assert found(mapped("service_requests", {**DENIED, **cells})) == [("required-missing", place)]


def test_a_decision_before_the_request_is_told() -> None:
    said = mapped("service_requests", {**DENIED, "decided_at": "2026-02-01T09:00:00-05:00"})
    assert ("bad-value", "row 2, decided_at") in found(said)


@pytest.mark.parametrize(("cells", "status"), [
    ({}, "in-progress"), ({"appeal1_outcome": "upheld"}, "completed"), ({"appeal1_outcome": "withdrawn"}, "cancelled"),
    ({"appeal1_decided_at": "2026-03-01"}, "completed")])
def test_an_appeal_is_part_of_its_request(cells: dict[str, str], status: str) -> None:
    tasks = all_of("Task", ("service_requests", {**DENIED, "appeal1_filed_at": "2026-02-10", **cells}))
    appeal, = (t for t in tasks if code(t, "code") == "internal-appeal")
    request, = (t for t in tasks if code(t, "code") == "approve")
    assert appeal["status"] == status
    assert appeal["partOf"] == [{"reference": f"Task/{request['id']}"}]
    assert appeal["reasonReference"]["reference"].startswith("ClaimResponse/")
    assert appeal["owner"] == request["owner"]


def test_an_external_appeal_has_no_owner_unless_one_is_named() -> None:
    row = {**DENIED, "appeal2_filed_at": "2026-02-10"}
    for cells, owned in (({}, False), ({"appeal2_body": "H"}, True)):
        tasks = all_of("Task", ("service_requests", {**row, **cells}))
        assert [("owner" in t) for t in tasks if code(t, "code") == "external-appeal"] == [owned]


def test_what_the_member_was_told_is_about_the_request_and_taken_back_with_its_cell() -> None:
    told = {**DENIED, "told_rights_at": "2026-02-06", "updated_at": "2026-02-06"}
    message = made("service_requests", "Communication", told)
    assert code(message, "topic") == "appeal-rights"
    assert message["about"][0]["reference"].startswith("ServiceRequest/")
    assert message["recipient"] == [message["subject"]]
    again = mapped("service_requests", told, {**told, "told_rights_at": "", "updated_at": "2026-02-07"})
    assert [c for c in standing(again) if c.resource_type == "Communication" and not c.deleted] == []


def test_a_need_is_the_reason_of_the_referral_that_answers_it_in_any_order() -> None:
    rows = (("referrals", REFERRAL), ("assessments", SCREENING),
            ("assessments", {**SCREENING, "domain": "housing", "result": "negative", "referral_id": ""}))
    made_so = [all_of("ServiceRequest", *order) for order in permutations(rows)]
    assert all(one == made_so[0] for one in made_so)
    (referral,) = made_so[0]
    need, = (o for o in all_of("Observation", *rows) if code(o, "code") == "food")
    assert referral["reasonReference"] == [{"reference": f"Observation/{need['id']}"}]
    assert referral["status"] == "active"


@pytest.mark.parametrize(("cells", "value", "absent"), [
    ({}, "10828004", None), ({"result": "negative"}, "260385009", None), ({"result": "declined"}, None, "asked-declined"),
    ({"result": "unknown"}, None, "asked-unknown"),
    ({"tool": "asam", "domain": "", "result": "", "level": "3.2-WM"}, "3.2-WM", None)])
def test_a_result_or_why_there_is_none(cells: dict[str, str], value: str | None, absent: str | None) -> None:
    body = made("assessments", "Observation", {**SCREENING, "referral_id": "", **cells})
    assert (code(body, "valueCodeableConcept") if "valueCodeableConcept" in body else None) == value
    assert (code(body, "dataAbsentReason") if "dataAbsentReason" in body else None) == absent


@pytest.mark.parametrize("cells", [{"result": ""}, {"domain": "", "result": "", "tool": "locus"}])
def test_a_result_that_is_not_told_is_missed(cells: dict[str, str]) -> None:
    assert [c for c, _ in found(mapped("assessments", {**SCREENING, **cells}))] == ["required-missing"]


@pytest.mark.parametrize(("cells", "status", "stage"), [
    ({}, "requested", "not-screened"), ({"screened_on": "2026-01-02"}, "accepted", "screened"),
    ({"screened_on": "2026-01-02", "eligible": "unknown"}, "accepted", "screened"),
    ({"screened_on": "2026-01-02", "eligible": "Y"}, "accepted", "eligible"),
    ({"screened_on": "2026-01-02", "eligible": "N"}, "completed", "not-eligible"),
    ({"eligible": "Y", "applied_on": "2026-01-09"}, "in-progress", "applied"),
    ({"eligible": "Y", "applied_on": "2026-01-09", "outcome": "pending"}, "in-progress", "applied"),
    ({"outcome": "approved"}, "completed", "approved"), ({"outcome": "denied"}, "completed", "denied"),
    ({"outcome": "withdrawn"}, "cancelled", "withdrawn"), ({"outcome": "declined-by-member"}, "cancelled", "declined-by-member")])
def test_how_far_a_benefit_is(cells: dict[str, str], status: str, stage: str) -> None:
    task = made("benefits", "Task", {**BENEFIT, **cells})
    assert (task["status"], code(task, "businessStatus")) == (status, stage)


def test_a_benefit_ends_with_the_screening_that_finds_the_member_not_eligible() -> None:
    task = made("benefits", "Task", {**BENEFIT, "screened_on": "2026-01-02", "eligible": "N"})
    assert task["executionPeriod"] == {"start": "2026-01-02", "end": "2026-01-02"}


@pytest.mark.parametrize(("cells", "kept", "issues"), [
    ({"clinical_status": "resolved"}, True, []), ({}, False, ["bad-value"]),
    ({"clinical_status": "resolved", "onset_date": "2026-03-01"}, False, ["bad-value"]),
    ({"clinical_status": "resolved", "verification_status": "entered-in-error"}, False, [])])
def test_the_end_of_a_problem_fits_its_status(cells: dict[str, str], kept: bool, issues: list[str]) -> None:
    row = {**PROBLEM, "abatement_date": "2026-02-01", **cells}
    assert [c for c, _ in found(mapped("conditions", row))] == issues
    body = made("conditions", "Condition", row)
    assert ("abatementDateTime" in body) == kept
    assert ("clinicalStatus" in body) == (cells.get("verification_status") != "entered-in-error")


def test_a_message_has_organizations_at_both_ends() -> None:
    body = made("communications", "Communication", {**MESSAGE, "recipient_orgs": "B; C;B", "to_member": "Y", "language": "ES-mx"})
    kinds = [r["reference"].partition("/")[0] for r in body["recipient"]]
    assert sorted(kinds) == ["Organization", "Organization", "Patient"]
    assert body["sender"]["reference"].startswith("Organization/")
    assert body["extension"] == [{"url": "urn:x-careloop:language-used", "valueCode": "es-MX"}]


def test_a_member_is_on_the_list_of_one_organization_of_a_program_in_any_order() -> None:
    rows = [{**MEMBER, "member_id": m, "attributed_org": o, "updated_at": f"2026-0{n}-01"}
            for n, (m, o) in enumerate((("M1", "A"), ("M2", "A"), ("M1", "B")), 1)]
    lists = [all_of("Group", *(("members", row) for row in order)) for order in permutations(rows)]
    assert all(one == lists[0] for one in lists)
    assert sorted((g["identifier"][0]["value"], len(g["member"])) for g in lists[0]) == [
        ("care-coordination/A", 1), ("care-coordination/B", 1)]


def test_an_attribution_that_is_taken_back_leaves_nobody_on_the_list() -> None:
    first = {**MEMBER, "attributed_org": "A", "updated_at": "2026-01-01"}
    groups = all_of("Group", ("members", first), ("members", {**MEMBER, "updated_at": "2026-02-01"}))
    assert [g for g in groups if "member" in g] == []


@pytest.mark.parametrize(("status", "flag"), [
    ("enrolled", "active"), ("ended", "inactive"), ("refused", None), ("eligible", None)])
def test_the_program_is_flagged_while_somebody_is_in_it(status: str, flag: str | None) -> None:
    flags = all_of("Flag", ("members", {**MEMBER, "enrollment_status": status}))
    assert [f["status"] for f in flags] == ([flag] if flag else [])


@pytest.mark.parametrize(("cells", "labelled"), [
    ({"data_class": "all", "part2": "Y"}, True), ({"data_class": "substance-use", "part2": "N"}, False),
    ({"data_class": "substance-use"}, True), ({"data_class": "general"}, False)])
def test_part_2_follows_the_program_of_the_discloser(cells: dict[str, str], labelled: bool) -> None:
    labels = made("consents", "Consent", {**CONSENT, **cells}).get("meta", {}).get("security", [])
    assert [one["code"] for one in labels] == (["R", "42CFRPart2", "NORDSCLCD"] if labelled else [])
