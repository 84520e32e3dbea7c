"""`/fhir`: read, version read, search, paging, and every error as an OperationOutcome."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.fhirserver.port import Write
from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.store.search_params import PARAMS
from adapter.web.app import create_app

NAMES = ("_count", "_sort", "_include", "_revinclude", "_total", "_summary", "_page", "_id", "_lastUpdated", "date",
         "name", "identifier", "patient", "status:missing", "patient:Patient", "name:exact", "_has:Observation:code")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _organization(number: int, name: str) -> Write:
    body = {"resourceType": "Organization", "id": f"org-{number}", "active": True, "name": name,
            "identifier": [{"system": "urn:x-careloop:organization", "value": f"ORG{number}"}]}
    return Write(resource_type="Organization", id=f"org-{number}", body=body)


@pytest.fixture(name="gateway")
def _gateway(tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32), lambda: NOW)
    gateway.embedded.transaction([_organization(number, f"Made-up House {number}") for number in range(5)])
    yield gateway
    gateway.close()


@pytest.fixture(name="client")
def _client(gateway: Gateway) -> FlaskClient:
    return create_app(gateway).test_client()


def _outcome(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.content_type.startswith("application/fhir+json")
    assert answer.json["resourceType"] == "OperationOutcome"
    issue: dict[str, Any] = answer.json["issue"][0]
    assert issue["code"] == code
    return issue


def test_read_has_version_and_time(client: FlaskClient) -> None:
    answer = client.get("/fhir/Organization/org-1")
    assert answer.status_code == 200
    assert answer.json["name"] == "Made-up House 1"
    assert answer.headers["ETag"] == f'W/"{answer.json["meta"]["versionId"]}"'
    assert client.get("/fhir/Organization/org-1", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert answer.headers["Cache-Control"] == "no-store"


def test_an_old_version_stays_readable(gateway: Gateway, client: FlaskClient) -> None:
    gateway.embedded.transaction([_organization(1, "Renamed House")])
    assert client.get("/fhir/Organization/org-1").json["name"] == "Renamed House"
    first = client.get("/fhir/Organization/org-1/_history/1")
    assert first.json["name"] == "Made-up House 1"
    assert first.json["meta"]["versionId"] == "1"
    _outcome(client.get("/fhir/Organization/org-1/_history/99"), 404, "not-found")
    _outcome(client.get("/fhir/Organization/org-1/_history/first"), 404, "not-found")


def test_a_deleted_resource_is_gone(gateway: Gateway, client: FlaskClient) -> None:
    gateway.embedded.transaction([Write(resource_type="Organization", id="org-1", body=None)])
    _outcome(client.get("/fhir/Organization/org-1"), 410, "deleted")


def test_search_pages_to_the_end(client: FlaskClient) -> None:
    seen: list[str] = []
    url: str | None = "/fhir/Organization?_count=2&_total=accurate"
    while url:
        bundle = client.get(url).json
        assert bundle["resourceType"] == "Bundle"
        assert bundle["type"] == "searchset"
        for entry in bundle["entry"]:
            seen.append(entry["resource"]["id"])
            assert entry["fullUrl"] == f"http://localhost/fhir/Organization/{seen[-1]}"
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        assert links["self"].startswith("http://localhost/fhir")
        url = links.get("next")
    assert sorted(seen) == [f"org-{number}" for number in range(5)]


def test_search_by_post_is_search(client: FlaskClient) -> None:
    asked = {"identifier": "urn:x-careloop:organization|ORG3"}
    by_post = client.post("/fhir/Organization/_search", data=asked).json
    assert [entry["resource"]["id"] for entry in by_post["entry"]] == ["org-3"]
    assert by_post["entry"] == client.get("/fhir/Organization", query_string=asked).json["entry"]


def test_nothing_found_has_no_entry(client: FlaskClient) -> None:
    bundle = client.get("/fhir/Patient?name=nobody&_total=accurate").json
    assert bundle["total"] == 0
    assert "entry" not in bundle


@pytest.mark.parametrize(("method", "path", "status", "code"), [
    ("GET", "/fhir/Organization/nowhere", 404, "not-found"),
    ("GET", "/fhir/Banana/1", 404, "not-supported"),
    ("GET", "/fhir/Banana", 404, "not-supported"),
    ("GET", "/fhir/Patient?favourite-colour=blue", 400, "invalid"),
    ("GET", "/fhir/Patient?_count=many", 400, "invalid"),
    ("GET", "/fhir?_page=made-up", 400, "invalid"),
    ("GET", "/fhir", 400, "invalid"),
    ("GET", "/fhir/a/b/c/d/e", 404, "not-found"),
    ("PUT", "/fhir/Organization/org-1", 405, "not-supported"),
    ("DELETE", "/fhir/Organization/org-1", 405, "not-supported"),
    ("POST", "/fhir/Organization", 405, "not-supported"),
    ("GET", "/fhir/Organization/org-1?_format=xml", 406, "not-supported"),
])
def test_errors_are_outcomes(client: FlaskClient, method: str, path: str, status: int, code: str) -> None:
    answer = client.open(path, method=method)
    _outcome(answer, status, code)
    assert ("Allow" in answer.headers) == (status == 405)


@settings(max_examples=80)
@given(resource_type=st.sampled_from(sorted(PARAMS)), name=st.one_of(st.text(max_size=12), st.sampled_from(NAMES)),
       value=st.text(max_size=40))
def test_no_search_is_a_defect(client: FlaskClient, resource_type: str, name: str, value: str) -> None:
    for answer in (client.get(f"/fhir/{resource_type}", query_string={name: value}),
                   client.post(f"/fhir/{resource_type}/_search", data={name: value})):
        assert answer.status_code in (200, 400, 404, 406)
        assert answer.json["resourceType"] == ("Bundle" if answer.status_code == 200 else "OperationOutcome")


@settings(max_examples=60)
@given(path=st.text(alphabet=st.characters(exclude_characters="?#", exclude_categories=["Cs"]), max_size=40))
def test_no_path_is_a_defect(client: FlaskClient, path: str) -> None:
    answer = client.get(f"/fhir/{quote(path)}")
    assert answer.status_code in (200, 304, 308, 400, 404, 405)


def test_a_search_by_json_is_refused(client: FlaskClient) -> None:
    _outcome(client.post("/fhir/Patient/_search", json={"name": "x"}), 415, "not-supported")


def test_xml_is_not_written(client: FlaskClient) -> None:
    _outcome(client.get("/fhir/Organization", headers={"Accept": "application/fhir+xml"}), 406, "not-supported")


def test_a_defect_leaks_nothing(gateway: Gateway, client: FlaskClient, monkeypatch: pytest.MonkeyPatch,
                                capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise ValueError("Zzyzxqua Quimbleforth")

    monkeypatch.setattr(gateway.embedded, "search", fail)
    answer = client.get("/fhir/Patient?name=Zzyzxqua")
    _outcome(answer, 500, "exception")
    assert b"Zzyzxqua" not in answer.data
    told = capsys.readouterr().err
    assert '"exception":"ValueError"' in told
    assert "Zzyzxqua" not in told


def test_the_capability_statement_says_what_works(client: FlaskClient) -> None:
    answer = client.get("/fhir/metadata")
    statement = CapabilityStatement.model_validate(answer.json)
    assert statement.fhirVersion == "4.0.1"
    types = {one["type"]: one for one in answer.json["rest"][0]["resource"]}
    assert types.keys() == PARAMS.keys() | {"Subscription"}
    for resource_type, one in types.items():
        for param in one["searchParam"]:
            value = {"date": "2026", "reference": "Patient/x"}.get(param["type"], "x")
            found = client.get(f"/fhir/{resource_type}", query_string={param["name"]: value})
            assert found.status_code == 200, f"{resource_type}?{param['name']}"


def test_another_hosts_name_is_refused(client: FlaskClient) -> None:
    _outcome(client.get("/fhir/Organization/org-1", headers={"Host": "rebound.example:8000"}), 421, "security")
    assert client.get("/fhir/Organization/org-1", headers={"Host": "127.0.0.1:8000"}).status_code == 200
    assert client.get("/fhir/Organization/org-1", headers={"Host": "[::1]:8000"}).status_code == 200
