"""`Patient/$everything` over a made-up network: exactly what searches by patient tell, and what that leads to; nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from flask.testing import FlaskClient

from adapter.demo import DEMO_START
from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.web.app import create_app
from tests.acceptance.conftest import load_network, make_network

MEMBERS = 8
OF_MANY = {"Group"}
Name = str
Found = dict[Name, dict[str, Any]]


@pytest.fixture(name="client", scope="module")
def _client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    folder = tmp_path_factory.mktemp("everything")
    as_of = make_network(folder, DEMO_START, MEMBERS)
    gateway = Gateway(Settings(data_dir=folder / "store", key="e0" * 32), lambda: as_of)
    load_network(gateway, folder)
    yield create_app(gateway).test_client()
    gateway.close()


def _pages(client: FlaskClient, url: str, mode: str = "match") -> Found:
    """What all pages of a search set hold, by `Type/id`; nothing may come twice."""
    found: Found = {}
    while url:
        bundle: Any = client.get(url).json
        assert bundle["resourceType"] == "Bundle", bundle
        for entry in bundle.get("entry", ()):
            name = f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
            assert entry["fullUrl"] == f"http://localhost/fhir/{name}"
            if entry["search"]["mode"] == mode:
                assert name not in found
                found[name] = entry["resource"]
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
    return found


def _of_patient(client: FlaskClient) -> list[str]:
    """The types that the server says can be searched by patient."""
    metadata: Any = client.get("/fhir/metadata").json
    return [one["type"] for one in metadata["rest"][0]["resource"]
            if "patient" in {param["name"] for param in one.get("searchParam", ())}]


def _references(value: Any) -> set[Name]:
    if isinstance(value, dict):
        own = {value["reference"]} if isinstance(value.get("reference"), str) else set[str]()
        return own.union(*map(_references, value.values()))
    return set[str]().union(*map(_references, value)) if isinstance(value, list) else set()


def _lead_to(client: FlaskClient, own: Found, persons: set[Name]) -> Found:
    """What these lead to by reads, and on from there. persons: the person's own records; what names another's leads nowhere."""
    found: Found = {}
    wanted = {name for body in own.values() for name in _references(body)} - own.keys()
    while wanted:
        name = wanted.pop()
        answer: Any = client.get(f"/fhir/{name}")
        if answer.status_code != 200 or name.partition("/")[0] in OF_MANY or not _whose(name, answer.json) <= persons:
            continue
        found[name] = answer.json
        wanted |= _references(answer.json) - own.keys() - found.keys()
    return found


def _whose(name: Name, body: dict[str, Any]) -> set[Name]:
    if body["resourceType"] == "Patient":
        return {name}
    elements = ("subject", "patient", "beneficiary", "for", "focus") if body["resourceType"] != "MessageHeader" else ("focus",)
    return {one for element in elements for one in _references(body.get(element, {})) if one.startswith("Patient/")}


def _persons(client: FlaskClient) -> list[set[Name]]:
    """The records of each person, joined by their links."""
    patients = _pages(client, "/fhir/Patient?_count=50")
    parts = [{name} for name in patients]
    for name, body in patients.items():
        for other in _references(body.get("link", [])):
            joined = [part for part in parts if part & {name, other}]
            parts = [part for part in parts if part not in joined] + [set[str]().union(*joined)]
    return parts


def test_everything_is_what_searches_tell_and_what_that_leads_to(client: FlaskClient) -> None:
    types, seen, leading = _of_patient(client), set[str](), 0
    assert {"CarePlan", "Claim", "Consent", "Encounter", "Task"} <= set(types)
    for persons in _persons(client):
        for patient in persons:
            own = _pages(client, f"/fhir/Patient?_id={patient.partition('/')[2]}")
            for resource_type in types:
                own |= _pages(client, f"/fhir/{resource_type}?patient={patient}&_count=7")
            bundle: Any = client.get(f"/fhir/{patient}/$everything").json
            Bundle.model_validate(bundle)
            assert bundle["entry"][0]["resource"] == own[patient]
            assert bundle["total"] == len(own)
            assert _pages(client, f"/fhir/{patient}/$everything") == own
            lead_to = _lead_to(client, own, persons)
            assert _pages(client, f"/fhir/{patient}/$everything", "include") == lead_to
            assert {name for name in lead_to if name.startswith("Patient/")} <= persons
            seen |= {name.partition("/")[0] for name in own}
            leading += bool(lead_to)
    assert len(seen) > 15
    assert leading > MEMBERS


def test_pages_and_types_choose_of_the_same(client: FlaskClient) -> None:
    patient = max(_pages(client, "/fhir/Patient"), key=lambda one: len(_pages(client, f"/fhir/{one}/$everything")))
    whole = {mode: _pages(client, f"/fhir/{patient}/$everything", mode) for mode in ("match", "include")}
    for mode, found in whole.items():
        assert _pages(client, f"/fhir/{patient}/$everything?_count=9", mode) == found
        for types in ({"Goal", "Encounter"}, {"Organization"}):
            asked = f"/fhir/{patient}/$everything?_type={','.join(types)}&_count=3"
            assert _pages(client, asked, mode) == {n: body for n, body in found.items() if n.partition("/")[0] in types}
