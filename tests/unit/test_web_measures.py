"""`Measure/$care-gaps` and `$evaluate-measure` over a small loaded network: documents, reports, and small numbers held back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.measurereport import MeasureReport
from fhir.resources.R4B.parameters import Parameters
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from adapter.gaps.measure_reports import SMALLEST, told
from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.validate.check import check
from adapter.web.app import create_app

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
PERIOD = {"periodStart": "2026-01-01", "periodEnd": "2026-12-31"}
HEADER = ("member_id,first_name,last_name,birth_date,program,enrollment_status,enrollment_date,attributed_org,"
          "attributed_org_name,updated_at\n")
SEATS = "member_id,program,organization_id,organization_name,npi,first_name,last_name,role,start_date,end_date,updated_at\n"
LED = 13


@pytest.fixture(name="gateway", scope="module")
def _gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Seventeen enrolled members of Maple, all but four of them with a lead; and one of nobody's who is not enrolled."""
    gateway = Gateway(Settings(data_dir=tmp_path_factory.mktemp("network"), key="00" * 32), lambda: NOW)  # pyright: ignore[reportCallIssue]  # the settings fill the rest
    rows = [f"M{n},Viola,Wrenmere{n},1958-04-09,care-coordination,{'enrolled' if n < 17 else 'eligible'},2026-01-12,"
            "ORG-MAPLE,Maple,2026-03-01T06:00:00-05:00\n" for n in range(18)]
    seats = [f"M{n},care-coordination,ORG-MAPLE,Maple,2000001018,Odile,Marlwick,lead-coordinator,2026-01-12,,"
             "2026-03-01T06:00:00-05:00\n" for n in range(LED)]
    for feed, lines in (("members", [HEADER, *rows]), ("care_team", [SEATS, *seats])):
        assert gateway.load(feed, "".join(lines).encode()).refused == []
    while gateway.work(500):
        pass
    gateway.publish()
    yield gateway
    gateway.close()


@pytest.fixture(name="client", scope="module")
def _client(gateway: Gateway) -> FlaskClient:
    return create_app(gateway).test_client()


def _id(client: FlaskClient, number: int) -> str:
    found = client.get(f"/fhir/Patient?identifier=urn:x-careloop:member|M{number}").get_json()
    return found["entry"][0]["resource"]["id"]


def _measure(client: FlaskClient, rule: str) -> str:
    found = client.get(f"/fhir/Measure?identifier=urn:x-careloop:rule|{rule}").get_json()
    return found["entry"][0]["resource"]["id"]


def _asked(client: FlaskClient, **asked: Any) -> list[dict[str, Any]]:
    """The documents that `$care-gaps` answers."""
    answer = client.get("/fhir/Measure/$care-gaps", query_string={**PERIOD, **asked})
    assert answer.status_code == 200, answer.get_json()
    Parameters.model_validate(answer.get_json())
    assert {one["name"] for one in answer.get_json().get("parameter", ())} <= {"return"}
    return [one["resource"] for one in answer.get_json().get("parameter", ())]


def _of(document: dict[str, Any], resource_type: str) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in document["entry"] if entry["resource"]["resourceType"] == resource_type]


def _counts(report: dict[str, Any]) -> dict[str, int | None]:
    return {p["code"]["coding"][0]["code"]: p.get("count") for p in report["group"][0]["population"]}


def test_a_members_gaps_are_a_document(client: FlaskClient) -> None:
    (document,) = _asked(client, subject=f"Patient/{_id(client, 16)}", status="open-gap")
    Bundle.model_validate(document)
    assert document["type"] == "document"
    composition, *_ = (entry["resource"] for entry in document["entry"])
    names = {entry["fullUrl"] for entry in document["entry"]}
    assert len(names) == len(document["entry"])
    assert composition["type"]["coding"][0]["code"] == "96315-7"
    assert composition["subject"]["reference"] in names
    (section,) = [one for one in composition["section"] if one["title"] == "G01 Lead care coordinator"]
    assert {section["focus"]["reference"], *(one["reference"] for one in section["entry"])} <= names
    assert {issue["modifierExtension"][0]["valueCodeableConcept"]["coding"][0]["code"]
            for issue in _of(document, "DetectedIssue")} == {"open-gap"}
    report = next(r for r in _of(document, "MeasureReport") if r["measure"].startswith("urn:x-careloop:rule:G01|"))
    assert _counts(report) == {"initial-population": 1, "denominator": 1, "denominator-exclusion": 0, "numerator": 0}
    assert (report["period"], report["type"]) == ({"start": "2026-01-01", "end": "2026-12-31"}, "individual")
    url, _, version = report["measure"].partition("|")
    assert client.get(f"/fhir/Measure?url={url}&version={version}").get_json()["entry"]
    for entry in document["entry"]:
        # R4's own v3-ActCode is older than CAREGAP, which DEQM fixes
        found = [issue.place for issue in check({"id": "x", **entry["resource"]})]
        assert found in ([], ["DetectedIssue.code.coding[0]"])


def test_states_choose_and_a_measure_can_be_named_three_ways(client: FlaskClient) -> None:
    led = _id(client, 0)
    (document,) = _asked(client, subject=led, status=["closed-gap", "prospective-gap"], measureIdentifier="G01")
    assert [_counts(r)["numerator"] for r in _of(document, "MeasureReport")] == [1]
    assert _of(document, "DetectedIssue")[0]["evidence"][0]["detail"][0]["reference"].startswith("http://localhost/fhir/")
    for name, value in (("measureId", _measure(client, "G01")), ("measureUrl", "urn:x-careloop:rule:G01"),
                        ("measureIdentifier", "urn:x-careloop:rule|G01")):
        assert _asked(client, subject=led, status=["closed-gap", "prospective-gap"], **{name: value}) == [document]
    assert _asked(client, subject=led, status="open-gap", measureIdentifier="G01") == []
    (outside,) = _asked(client, subject=_id(client, 17), status="not-applicable", measureIdentifier="G01")
    assert set(_counts(_of(outside, "MeasureReport")[0]).values()) == {0}


def test_an_organization_and_a_practitioner_get_a_document_for_each_member(client: FlaskClient) -> None:
    organization = client.get("/fhir/Organization?identifier=urn:x-careloop:organization|ORG-MAPLE").get_json()
    maple = organization["entry"][0]["resource"]["id"]
    found = _asked(client, organization="ORG-MAPLE", status="open-gap", measureIdentifier="G01")
    subjects = [_of(one, "Composition")[0]["subject"]["reference"] for one in found]
    assert len(set(subjects)) == len(subjects) == 17 - LED
    for one in found:
        assert _of(one, "Composition")[0]["custodian"] == {"reference": f"http://localhost/fhir/Organization/{maple}"}
        assert [o["id"] for o in _of(one, "Organization")] == [maple]
    odile = client.get("/fhir/Practitioner?name=Marlwick").get_json()["entry"][0]["resource"]["id"]
    assert len(_asked(client, practitioner=odile, status="closed-gap", measureIdentifier="G01")) == LED
    assert _asked(client, practitioner="nobody", status="closed-gap") == []


def test_a_past_period_is_judged_at_its_end(client: FlaskClient) -> None:
    asked = {"subject": _id(client, 0), "measureIdentifier": "G01", "periodStart": "2025-12", "periodEnd": "2025"}
    (document,) = _asked(client, **asked, status=["open-gap", "closed-gap", "not-applicable"])
    assert _of(document, "DetectedIssue")[0]["identifiedDateTime"] == "2025-12-31T23:59:59-05:00"


def test_parameters_may_be_posted(client: FlaskClient) -> None:
    member = _id(client, 16)
    parameters = [{"name": "periodStart", "valueDate": "2026-01-01"}, {"name": "periodEnd", "valueDate": "2026-12-31"},
                  {"name": "subject", "valueString": f"Patient/{member}"}, {"name": "status", "valueString": "open-gap"}]
    answer = client.post("/fhir/Measure/$care-gaps", json={"resourceType": "Parameters", "parameter": parameters})
    assert [one["resource"] for one in answer.get_json()["parameter"]] == _asked(client, subject=member, status="open-gap")


@pytest.mark.parametrize(("asked", "status", "place"), [
    ({"status": "open-gap"}, 400, "subject"),
    ({"subject": "nobody", "status": "open-gap"}, 404, "subject"),
    ({"subject": "M1", "organization": "ORG-MAPLE", "status": "open-gap"}, 400, "subject"),
    ({"organization": "nowhere", "status": "open-gap"}, 404, "organization"),
    ({"subject": "M1"}, 400, "status"),
    ({"subject": "M1", "status": "ajar"}, 400, "status"),
    ({"subject": "M1", "status": "open-gap", "colour": "blue"}, 400, "colour"),
    ({"subject": ["M1", "M2"], "status": "open-gap"}, 400, "subject"),
    ({"subject": "M1", "status": "open-gap", "periodEnd": "soon"}, 400, "periodEnd"),
    ({"subject": "M1", "status": "open-gap", "periodEnd": ""}, 400, "periodEnd"),
    ({"subject": "M1", "status": "open-gap", "periodStart": "2027"}, 400, "periodEnd"),
    ({"subject": "M1", "status": "open-gap", "periodStart": "2026-04-01"}, 400, "periodStart"),
    ({"subject": "M1", "status": "open-gap", "measureId": "G99"}, 404, "measureId"),
    ({"subject": "M1", "status": "open-gap", "measureIdentifier": "G99"}, 404, "measureIdentifier"),
    ({"subject": "M1", "status": "open-gap", "measureIdentifier": "O03"}, 400, "measure"),
])
def test_what_cannot_be_asked_is_told_with_its_place(client: FlaskClient, asked: dict[str, Any], status: int,
                                                     place: str) -> None:
    answer = client.get("/fhir/Measure/$care-gaps", query_string={**PERIOD, **asked})
    assert (answer.status_code, answer.get_json()["resourceType"]) == (status, "OperationOutcome")
    (issue,) = answer.get_json()["issue"]
    assert issue["expression"] == [place]
    assert " - " in issue["diagnostics"]


@pytest.mark.parametrize("body", ["{", "[]", '{"resourceType":"Patient"}', '{"resourceType":"Parameters","parameter":{}}',
                                  '{"resourceType":"Parameters","parameter":[1]}',
                                  '{"resourceType":"Parameters","parameter":[{"name":"status","valueInteger":1}]}'])
def test_a_body_that_is_no_parameters_is_refused(client: FlaskClient, body: str) -> None:
    answer = client.post("/fhir/Measure/$care-gaps", data=body, content_type="application/fhir+json")
    assert (answer.status_code, answer.get_json()["resourceType"]) == (400, "OperationOutcome")
    assert client.post("/fhir/Measure/$care-gaps", data=body, content_type="text/plain").status_code == 415


def test_the_summary_tells_no_small_number(client: FlaskClient) -> None:
    answer = client.get(f"/fhir/Measure/{_measure(client, 'G01')}/$evaluate-measure", query_string=PERIOD)
    report = answer.get_json()
    MeasureReport.model_validate(report)
    assert check({"id": "x", **report}) == []
    assert report["type"] == "summary"
    # 13 of 17 have a lead: told, 4 would be given away by it
    assert _counts(report) == {"initial-population": 17, "denominator": 17, "denominator-exclusion": 0, "numerator": None}
    assert "measureScore" not in report["group"][0]
    strata = {one["value"]["coding"][0]["code"]: one["population"][0].get("count")
              for one in report["group"][0]["stratifier"][0]["stratum"]}
    assert strata == {"closed": None, "prospective": 0, "open": None, "missed": 0}
    masked = [p["_count"]["extension"][0]["valueCode"] for p in report["group"][0]["population"] if "_count" in p]
    assert masked == ["masked"]


def test_the_summary_of_a_rule_without_small_numbers_has_a_score(client: FlaskClient) -> None:
    report = client.get(f"/fhir/Measure/{_measure(client, 'G02')}/$evaluate-measure",
                        query_string={**PERIOD, "reportType": "summary"}).get_json()
    assert _counts(report) == {"initial-population": 17, "denominator": 17, "denominator-exclusion": 0, "numerator": 0}
    assert report["group"][0]["measureScore"] == {"value": 0.0}


def test_a_report_about_a_member_and_one_about_organizations(client: FlaskClient) -> None:
    member = _id(client, 0)
    at = f"/fhir/Measure/{_measure(client, 'G01')}/$evaluate-measure"
    report = client.get(at, query_string={**PERIOD, "subject": f"Patient/{member}", "reportType": "individual"}).get_json()
    assert (report["subject"], _counts(report)["numerator"]) == ({"reference": f"Patient/{member}"}, 1)
    assert client.get(at, query_string={**PERIOD, "reportType": "individual"}).status_code == 400
    assert client.get(at, query_string={**PERIOD, "reportType": "summary", "subject": member}).status_code == 400
    of_organizations = f"/fhir/Measure/{_measure(client, 'O05')}/$evaluate-measure"
    assert _counts(client.get(of_organizations, query_string=PERIOD).get_json())["denominator"] is None
    assert client.get(of_organizations, query_string={**PERIOD, "subject": member}).status_code == 400
    assert client.get("/fhir/Measure/none/$evaluate-measure", query_string=PERIOD).status_code == 404


def test_a_measure_of_a_report_is_not_evaluated_as_its_rule(client: FlaskClient) -> None:
    for name in ("performance-G01", "pmpm-eligible"):
        (entry,) = client.get(f"/fhir/Measure?identifier=urn:x-careloop:report|{name}").get_json()["entry"]
        found = entry["resource"]["id"]
        for answer in (client.get(f"/fhir/Measure/{found}/$evaluate-measure", query_string=PERIOD),
                       client.get("/fhir/Measure/$care-gaps", query_string={
                           **PERIOD, "subject": _id(client, 0), "status": "open-gap", "measureId": found})):
            (issue,) = answer.get_json()["issue"]
            assert (answer.status_code, issue["code"]) == (422, "not-supported")
            assert f"{name} - ask for it by careloop report" in issue["diagnostics"]


def test_the_capability_statement_names_the_operations(client: FlaskClient) -> None:
    resources = client.get("/fhir/metadata").get_json()["rest"][0]["resource"]
    (measure,) = [one for one in resources if one["type"] == "Measure"]
    assert {one["name"] for one in measure["operation"]} == {"care-gaps", "evaluate-measure"}


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 40), min_size=4))
def test_no_small_number_is_told_or_can_be_reckoned(cells: dict[str, int]) -> None:
    shown = told(cells)
    assert all(count == 0 or count >= SMALLEST for count in shown.values() if count is not None)
    assert all(count in (None, cells[name]) for name, count in shown.items())
    hidden = [name for name, count in shown.items() if count is None]
    if sum(cells.values()) >= SMALLEST and hidden:
        assert len(hidden) > 1 or cells[hidden[0]] == sum(cells.values())
        assert sum(cells[name] for name in hidden) >= SMALLEST
    assert 0 not in [cells[name] for name in hidden]
