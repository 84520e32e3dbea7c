"""Who said each element: as Provenance that a reader asks for, and as `careloop explain` tells it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from fhir.resources.R4B.provenance import Provenance
from flask.testing import FlaskClient

from adapter import cli, logs
from adapter.fhirserver.port import Write
from adapter.gateway import Gateway
from adapter.intake.decisions import Withdrawal
from adapter.model import Json
from adapter.settings import Settings
from adapter.validate.check import check
from adapter.web.app import create_app

MEMBERS = ("member_id,first_name,last_name,birth_date,gender,address_line,city,state,postal_code,mrn,mrn_system,updated_at\n"
           "M1,Viola,Wrenmere,1958-04-09,female,12 Orchard Lane,Alderton,NY,12999,S1,urn:oid:2.16.840.1.113883.3.9999.1,"
           "2026-03-09T08:00:00-05:00\n")
STAY = (r"MSH|^~\&|STANNE|MAIN|CARELOOP|NETWORK|20260301081000||ADT^A01|SA1|P|2.5.1"
        "\rEVN|A01|20260301081000||||20260301080500\r"
        "PID|1||S1^^^STANNE^MR||Wrenmere^Viola||19580904|F|||4 Mill Road^^Fernhill^NY^12998^USA^H\r"
        "PV1|1|I|4N^401^1^MAIN||||||||||||||||SV9^^^STANNE^VN\r")
TEAM = ("seat_id,member_id,program,organization_id,npi,first_name,last_name,role,start_date,updated_at\n"
        "S1,M1,care-coordination,ORG-A,2000001026,Odile,Marlwick,lead-coordinator,2026-01-01,2026-03-02T08:00:00-05:00\n")


@pytest.fixture(name="gateway")
def _gateway(tmp_path: Path) -> Iterator[Gateway]:
    ticks = itertools.count()
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32),  # pyright: ignore[reportCallIssue]  # pydantic-settings fills the rest
                      lambda: datetime(2026, 3, 20, tzinfo=UTC) + timedelta(seconds=next(ticks)))
    gateway.load("members", MEMBERS.encode())
    gateway.load("care_team", TEAM.encode())
    gateway.accept([(STAY.encode(), "test")])
    while gateway.work():
        pass
    yield gateway
    gateway.close()


@pytest.fixture(name="client")
def _client(gateway: Gateway) -> FlaskClient:
    return create_app(gateway).test_client()


def main(gateway: Gateway) -> Json:
    return gateway.embedded.search("Patient", [("identifier", "urn:x-careloop:member|M1")]).resources[0]


def elements(client: FlaskClient, name: str) -> dict[str, Json]:
    """Element -> the Provenance that names it."""
    answer = client.get(f"/fhir/Provenance?target={name}")
    assert answer.status_code == 200
    made = [e for e in answer.get_json().get("entry", ()) if "." in e["resource"]["id"]]
    for entry in made:
        assert client.get(entry["fullUrl"].removeprefix("http://localhost")).get_json() == entry["resource"]
        Provenance.model_validate(entry["resource"])
        assert check(entry["resource"]) == []
        assert {t["reference"] for t in entry["resource"]["target"]} == {name}
    return {t["extension"][0]["valueString"]: e["resource"] for e in made for t in e["resource"]["target"]}


def test_a_reader_learns_who_said_each_element_of_a_patient(gateway: Gateway, client: FlaskClient) -> None:
    patient = main(gateway)
    found = elements(client, f"Patient/{patient['id']}")
    assert {"Patient.birthDate", "Patient.address[0]", "Patient.identifier[0]", "Patient.identifier[1]"} <= found.keys()
    born, home = found["Patient.birthDate"], found["Patient.address[0]"]
    assert born["agent"][0]["who"]["identifier"] == {"system": "urn:x-careloop:feed", "value": "members"}
    assert born["recorded"] == "2026-03-09T13:00:00Z"
    assert (patient["birthDate"], patient["address"][0]["city"]) == ("1958-04-09", "Fernhill")  # as precedence.yaml has it
    who = home["agent"][0]["who"]["reference"]
    assert gateway.embedded.read(*who.split("/"))["identifier"][0]["value"] == "ORG-STANNE"  # pyright: ignore[reportOptionalSubscript]  # it stands
    message = home["entity"][0]["what"]
    assert client.get(f"/fhir/{message['reference']}").get_json()["resourceType"] == "MessageHeader"
    assert message["identifier"]["value"].startswith("STANNE|MAIN|SA1|")


def test_resources_that_each_person_has_one_of_and_those_of_other_clients_are_told_too(
        gateway: Gateway, client: FlaskClient) -> None:
    [team] = gateway.embedded.search("CareTeam", []).resources
    assert "CareTeam.participant[0]" in elements(client, f"CareTeam/{team['id']}")
    gateway.embedded.transaction([Write(resource_type="Organization", id="o1", body={
        "resourceType": "Organization", "id": "o1", "active": True, "name": "Made-up House"})])
    theirs = elements(client, "Organization/o1")["Organization.name"]
    assert theirs["agent"][0]["who"]["type"] == "Device"
    patient = main(gateway)
    gateway.embedded.transaction([Write(resource_type="Patient", id=patient["id"], body={**patient, "gender": "other"})])
    found = elements(client, f"Patient/{patient['id']}")
    assert found["Patient.gender"]["agent"][0]["who"]["identifier"]["system"] == "urn:x-careloop:fhir-server"


def test_what_is_asked_otherwise_or_does_not_stand_is_a_search_like_any(client: FlaskClient, gateway: Gateway) -> None:
    name = f"Patient/{main(gateway)['id']}"
    for asked in (f"target={name}&recorded=ge2026", "target=Patient/nobody", f"patient={name}"):
        entries = client.get(f"/fhir/Provenance?{asked}").get_json().get("entry", [])
        assert not [e for e in entries if "." in e["resource"]["id"]]
    bundle: Json = client.get(f"/fhir/Provenance?target={name}&_total=accurate").get_json()
    assert bundle["total"] == len(bundle["entry"])


def test_by_its_id_only_what_counts_now_is_read(gateway: Gateway, client: FlaskClient) -> None:
    patient = main(gateway)
    said = elements(client, f"Patient/{patient['id']}")["Patient.gender"]
    gateway.embedded.transaction([Write(resource_type="Patient", id="p" * 60, body={
        "resourceType": "Patient", "id": "p" * 60, "gender": "other", "birthDate": "2000-01-01"})])
    for unknown in (f"Patient.{patient['id']}.00000000", "Patient.nobody.0123abcd", "Patient", "a.b", "..01234567"):
        assert client.get(f"/fhir/Provenance/{unknown}").status_code == 404
    entries = client.get(f"/fhir/Provenance?target=Patient/{'p' * 60}").get_json()["entry"]
    assert all(len(e["resource"]["id"]) == 36 for e in entries)
    gateway.operators.withdraw(Withdrawal(feed="members", by="test", reason="test"))
    assert client.get(f"/fhir/Provenance/{said['id']}").status_code == 404


def test_it_is_always_told_as_it_stands_now(gateway: Gateway, client: FlaskClient) -> None:
    name = f"Patient/{main(gateway)['id']}"
    gateway.operators.withdraw(Withdrawal(feed="members", by="test", reason="left"))
    found = elements(client, name)  # the care team's file names the member too
    assert {p["agent"][0]["who"]["display"] for p in found.values()} == {"care_team"}
    gateway.operators.withdraw(Withdrawal(feed="care_team", by="test", reason="left"))
    assert not elements(client, name)


def test_each_member_of_a_list_names_its_own_columns(gateway: Gateway) -> None:
    gateway.load("members", (b"member_id,first_name,last_name,birth_date,gender,interpreter_needed,race,ethnicity,phone,email\n"
                             b"M2,Ada,Fernley,1958-04-09,female,Y,2106-3,2186-5,555-0100,ada@example.org\n"))
    while gateway.work():
        pass
    [patient] = gateway.embedded.search("Patient", [("identifier", "urn:x-careloop:member|M2")]).resources
    told = {one.spoken.path: one.places for one in gateway.sources.explain("Patient", patient["id"])}
    urls = [e["url"].rpartition("/")[2] for e in patient["extension"]]
    assert {url: told[f"extension[{n}]"] for n, url in enumerate(urls)} == {
        "patient-interpreterRequired": ("row 2, interpreter_needed",), "us-core-race": ("row 2, race",),
        "us-core-ethnicity": ("row 2, ethnicity",)}
    assert {t["system"]: told[f"telecom[{n}]"] for n, t in enumerate(patient["telecom"])} == {
        "phone": ("row 2, phone",), "email": ("row 2, email",)}
    assert told["name[0]"] == ("row 2, first_name", "row 2, last_name")


def test_explain_names_feed_place_and_time_and_never_a_value(
        tmp_path: Path, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "configure", lambda: None)
    monkeypatch.setenv("CARELOOP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CARELOOP_KEY", "00" * 32)
    name = f"Patient/{main(gateway)['id']}"
    told = CliRunner().invoke(cli.main, ["explain", name]).output.splitlines()
    assert "Patient.birthDate  members  row 2, birth_date  2026-03-09T13:00:00+00:00; also of st-anne" in told
    assert "Patient.address[0]  st-anne  PID-11  2026-03-01T13:10:00+00:00" in told
    assert not any("Wrenmere" in line or "Fernhill" in line for line in told)
    lines = [json.loads(line) for line in CliRunner().invoke(cli.main, ["explain", name, "--format", "json"]).output.splitlines()]
    assert {line["element"]: line["others"] for line in lines}["Patient.gender"] == ["st-anne"]
    assert "Patient.identifier[1]  members  row 2, mrn, row 2, mrn_system  2026-03-09T13:00:00+00:00; also of st-anne" in told
    [visit] = gateway.embedded.search("Encounter", []).resources
    encounter = CliRunner().invoke(cli.main, ["explain", f"Encounter/{visit['id']}"]).output
    assert "Encounter.status  st-anne" in encounter
    assert CliRunner().invoke(cli.main, ["explain", "Patient/nobody"]).exit_code == 2
