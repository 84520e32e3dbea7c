"""`Patient/$everything`: its parameters, pages and refusals; days and changes choose; what is another's stays away."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from adapter.fhirserver.port import Write
from adapter.fhirserver.query import LARGEST_PAGE
from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.web.app import create_app
from tests.servers import postgres_url

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
P = {"reference": "Patient/p"}
CODE = {"text": "made up"}


def _write(resource_type: str, resource_id: str, **elements: Any) -> Write:
    return Write(resource_type=resource_type, id=resource_id, body={"resourceType": resource_type, "id": resource_id, **elements})


def _goal(resource_id: str, **elements: Any) -> Write:
    return _write("Goal", resource_id, lifecycleStatus="active", description=CODE, subject=P, **elements)


def _procedure(resource_id: str, **elements: Any) -> Write:
    return _write("Procedure", resource_id, status="completed", code=CODE, subject=P, **elements)


STOOD = [
    _write("Patient", "p", name=[{"text": "Ada Made-up"}], generalPractitioner=[{"reference": "PractitionerRole/role"}]),
    _write("Patient", "other", name=[{"text": "Bea Made-up"}]),
    _write("PractitionerRole", "role", practitioner={"reference": "Practitioner/who"}),
    _write("Practitioner", "who", name=[{"text": "Cy Made-up"}]),
    _write("Practitioner", "nobody", name=[{"text": "Di Made-up"}]),
    _write("Organization", "o", name="Made-up House", partOf={"reference": "Organization/above"}),
    _write("Organization", "above", name="Made-up Houses"),
    _write("Group", "many", type="person", actual=True, member=[{"entity": P}, {"entity": {"reference": "Patient/other"}}]),
    _write("Procedure", "theirs", status="completed", code=CODE, subject={"reference": "Patient/other"}),
    _procedure("january", performedDateTime="2026-01-15", performer=[{"actor": {"reference": "Organization/o"}}],
               partOf=[{"reference": "Procedure/theirs"}]),
    _procedure("february", performedPeriod={"start": "2026-01-20", "end": "2026-02-10"}),
    _procedure("undated"),
    _goal("old", startDate="2025-01-01"),
    _goal("new", startDate="2026-02-01"),
    _write("Communication", "word", status="completed", subject=P, sent="2026-02-20T10:00:00Z",
           recipient=[{"reference": "Patient/other"}, {"reference": "Group/many"}]),
    _write("Account", "shared", status="active", subject=[P, {"reference": "Patient/other"}]),
]
ALWAYS = {"Patient/p", "Procedure/undated", "Account/shared"}
OWN = {*ALWAYS, "Procedure/january", "Procedure/february", "Goal/old", "Goal/new", "Communication/word"}
DIRECTORY = {"PractitionerRole/role", "Practitioner/who"}
HOUSES = {"Organization/o", "Organization/above"}


@pytest.fixture(name="clock", scope="module")
def _clock() -> list[datetime]:
    return [NOW]


@pytest.fixture(name="gateway", scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def _gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory,
             clock: list[datetime]) -> Iterator[Gateway]:
    folder: Path = tmp_path_factory.mktemp("everything")
    url = postgres_url() if request.param == "postgresql" else ""
    gateway = Gateway(Settings(data_dir=folder, key="00" * 32, database_url=url), lambda: clock[0])
    gateway.embedded.transaction(STOOD)
    yield gateway
    gateway.close()


@pytest.fixture(name="client", scope="module")
def _client(gateway: Gateway) -> FlaskClient:
    return create_app(gateway).test_client()


def _told(client: FlaskClient, query: str = "", mode: str = "") -> set[str]:
    """The names that an answer tells; mode: match or include alone."""
    bundle: Any = client.get(f"/fhir/Patient/p/$everything{query}").json
    assert bundle["resourceType"] == "Bundle", bundle
    return {f"{one['resource']['resourceType']}/{one['resource']['id']}" for one in bundle.get("entry", ())
            if mode in ("", one["search"]["mode"])}


def test_it_tells_the_persons_own_and_what_that_leads_to_but_nobody_elses(client: FlaskClient) -> None:
    assert _told(client, mode="match") == OWN
    assert _told(client, mode="include") == DIRECTORY | HOUSES


@pytest.mark.parametrize(("query", "own", "led_to"), [
    ("?start=2026-02", OWN - {"Procedure/january"}, DIRECTORY),
    ("?end=2026-01-31", OWN - {"Goal/new", "Communication/word"}, DIRECTORY | HOUSES),
    ("?start=2026-01-16&end=2026-01-31", {*ALWAYS, "Procedure/february", "Goal/old"}, DIRECTORY),
    ("?start=2026-02-20T11:00:00%2B01:00&end=2026-02-20T11:00:00%2B01:00",
     {*ALWAYS, "Goal/old", "Goal/new", "Communication/word"}, DIRECTORY),
    ("?_type=Goal,Procedure&start=2026-02", {"Goal/old", "Goal/new", "Procedure/february", "Procedure/undated"}, set()),
    ("?_type=Practitioner&_type=Organization", set(), {"Practitioner/who", *HOUSES}),
    ("?_since=2026-03-02", set(), set()),
    ("?_since=2026-03-01T12:00:00Z", OWN, DIRECTORY | HOUSES),
])
def test_days_types_and_changes_choose(client: FlaskClient, query: str, own: set[str], led_to: set[str]) -> None:
    assert _told(client, query, "match") == own
    assert _told(client, query, "include") == led_to


def test_the_patient_comes_first_and_pages_go_on_to_the_end(client: FlaskClient) -> None:
    first: Any = client.get("/fhir/Patient/p/$everything?_count=2&start=2026-01").json
    assert (first["type"], first["total"], len(first["entry"])) == ("searchset", len(OWN), 2)
    assert first["entry"][0]["fullUrl"] == "http://localhost/fhir/Patient/p"
    seen: list[str] = []
    page = first
    while True:
        seen += [entry["fullUrl"].removeprefix("http://localhost/fhir/") for entry in page["entry"]]
        url = {link["relation"]: link["url"] for link in page["link"]}.get("next")
        if url is None:
            break
        page = client.get(url).json
        assert {link["relation"]: link["url"] for link in page["link"]}["self"] == url
    assert len(seen) == len(set(seen))
    assert set(seen) == OWN | DIRECTORY | HOUSES
    counted: Any = client.get("/fhir/Patient/p/$everything?_count=0").json
    assert (counted["total"], "entry" in counted) == (len(OWN), False)


def test_parameters_may_be_posted(client: FlaskClient) -> None:
    parameters = {"resourceType": "Parameters", "parameter": [
        {"name": "_type", "valueCode": "Goal"}, {"name": "_type", "valueCode": "Procedure"},
        {"name": "end", "valueDate": "2026-01-31"}, {"name": "_count", "valueInteger": 1}]}
    answer: Any = client.post("/fhir/Patient/p/$everything", json=parameters).json
    assert (answer["total"], len(answer["entry"])) == (4, 1)
    (following,) = [link["url"] for link in answer["link"] if link["relation"] == "next"]
    assert len((client.get(following).json or {})["entry"]) == 1


@pytest.mark.parametrize(("query", "place"), [
    ("?patient=p", "patient"), ("?start=yesterday", "start"), ("?end=ge2026", "end"), ("?_since=2026,2027", "_since"),
    ("?_type=Medication", "_type"), ("?_type=Goal,", "_type"), ("?_count=some", "_count"), ("?_count=-1", "_count"),
    ("?_page=x", "_page"), ("?start=2026&start=2027", "start"), ("?_elements=id", "_elements"), ("?_count=", "_count"),
])
def test_what_is_not_understood_is_refused_by_name(client: FlaskClient, query: str, place: str) -> None:
    answer: Any = client.get(f"/fhir/Patient/p/$everything{query}")
    assert answer.status_code == 400
    assert answer.json["issue"][0]["expression"] == [place]
    assert "yesterday" not in answer.text


def test_who_is_not_there_is_answered_as_a_read_is(gateway: Gateway, client: FlaskClient) -> None:
    gateway.embedded.transaction([_write("Patient", "gone", name=[{"text": "Eve Made-up"}])])
    gateway.embedded.transaction([Write(resource_type="Patient", id="gone", body=None)])
    for patient in ("gone", "nobody"):
        read, everything = (client.get(f"/fhir/Patient/{patient}{rest}") for rest in ("", "/$everything"))
        assert (everything.status_code, everything.json) == (read.status_code, read.json)
    assert client.get("/fhir/Goal/old/$everything").status_code == 404


def test_what_changed_since_is_told_alone(gateway: Gateway, client: FlaskClient, clock: list[datetime]) -> None:
    clock[0] = NOW + timedelta(days=1)
    gateway.embedded.transaction([_goal("old", startDate="2025-01-02")])
    clock[0] = NOW
    assert _told(client, "?_since=2026-03-02T00:00:00Z") == {"Goal/old"}
    assert _told(client, "?_since=2026-03-02T00:00:00Z&_type=Procedure") == set()


def test_it_is_declared_and_the_members_page_leads_to_it(client: FlaskClient) -> None:
    metadata: Any = client.get("/fhir/metadata").json
    (patient,) = [one for one in metadata["rest"][0]["resource"] if one["type"] == "Patient"]
    assert patient["operation"] == [
        {"name": "everything", "definition": "http://hl7.org/fhir/OperationDefinition/Patient-everything"}]
    assert 'href="/fhir/Patient/p/$everything?_pretty=true"' in client.get("/members/p").text
    assert _told(client, "?_pretty=true&_format=json", "match") == OWN


def test_more_of_a_type_than_a_search_gives_at_once_is_told(tmp_path: Path) -> None:
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32), lambda: NOW)
    many = [_procedure(f"o{n}") for n in range(LARGEST_PAGE + 1)]
    gateway.embedded.transaction([_write("Patient", "p", name=[{"text": "Ada Made-up"}]), *many])
    client = create_app(gateway).test_client()
    first: Any = client.get("/fhir/Patient/p/$everything").json
    (following,) = [link["url"] for link in first["link"] if link["relation"] == "next"]
    rest: Any = client.get(following).json
    gateway.close()
    assert (first["total"], len(first["entry"]), len(rest["entry"])) == (LARGEST_PAGE + 2, LARGEST_PAGE, 2)
