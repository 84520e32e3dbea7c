"""Searches give the same resources on every server; each line of SEARCHES is one."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from adapter.errors import Rejected
from adapter.fhirserver.naming import NamingServer
from adapter.fhirserver.port import FhirServer, Page, Write

Params = list[tuple[str, str]]

# `~` stands for what begins each id of the network, the names behind the arrow for the ids expected
SEARCHES = """
Patient _id=~-ana -> ana
Patient _id=~-ana,~-bo -> ana bo
Patient identifier=urn:x-test:~|M1 -> ana
Patient identifier=urn:x-test:~|M1,urn:x-test:~|M2 -> ana bo
Patient identifier=urn:x-test:~| -> ana bo
Patient identifier=urn:x-test:mrn|~\\|7 -> ana
Patient identifier=|M1&_id=~-ana ->
Patient identifier=M2&_id=~-ana,~-bo -> bo
Patient name=nunez~ -> ana
Patient name=NÚÑEZ~ -> ana
Patient name=maria&family=nunez~ -> ana
Patient family=okaf&_id=~-ana,~-bo -> bo
Patient family:exact=Okafor~ -> bo
Patient family:exact=okafor~ ->
Patient family=nunez~&birthdate=1980-02-29 -> ana
Patient family=nunez~&birthdate=1980 -> ana
Patient family=nunez~&birthdate=1981 ->
Patient _id=~-ana,~-bo&birthdate=gt1985-01-01 -> bo
Patient _id=~-ana,~-bo&birthdate=lt1985-01-01 -> ana
Patient _id=~-ana,~-bo&birthdate=ge1980-02-29&birthdate=le1990-07-01 -> ana bo
Patient _id=~-ana,~-bo&birthdate=ne1980-02-29 -> bo
Patient family=nunez~&gender=female -> ana
Patient family=nunez~&gender=male ->
Patient family=nunez~&gender=http://hl7.org/fhir/administrative-gender|female -> ana
Patient phone=555-~ -> ana
Patient email=ana@~.example -> ana
Patient phone=ana@~.example ->
Patient address-city=port ~ -> ana
Patient address=hill ~ -> bo
Patient _id=~-ana,~-bo&deceased=true -> bo
Patient _id=~-ana,~-bo&active=true -> ana
Patient organization=Organization/~-cma -> ana
Patient organization=~-cma -> ana
RelatedPerson patient=~-ana -> eva
RelatedPerson patient=~-ana&relationship=SIS -> eva
Organization identifier=urn:x-careloop:organization|~-cma -> cma
Organization name=lake care ~ -> cma
Practitioner identifier=http://hl7.org/fhir/sid/us-npi|~1 -> kim
PractitionerRole practitioner=~-kim -> kimrole
PractitionerRole organization=~-cma&role=urn:x-test:role|~ -> kimrole
Location organization=~-hospital&status=active -> ward
Encounter patient=~-ana -> stay call
Encounter patient=Patient/~-ana -> stay call
Encounter subject=Patient/~-ana -> stay call
Encounter subject:Patient=~-ana -> stay call
Encounter patient=~-ana,~-bo -> stay call open
Encounter patient=~-ana&class=IMP -> stay
Encounter patient=~-ana&type=urn:x-careloop:contact-type|telephone -> call
Encounter patient=~-ana&type=urn:x-careloop:contact-type| -> call
Encounter patient=~-ana,~-bo&status=in-progress -> open
Encounter patient=~-ana,~-bo&status=in-progress,finished -> stay call open
Encounter patient=~-ana,~-bo&date=2024-03-06 -> call
Encounter patient=~-ana,~-bo&date=2024-03 -> stay call
Encounter patient=~-ana,~-bo&date=ge2024-03-04T15:00:00Z -> stay call open
Encounter patient=~-ana,~-bo&date=gt2024-03-05 -> call open
Encounter patient=~-ana,~-bo&date=lt2024-03-05 -> stay
Encounter patient=~-ana,~-bo&date=gt2024-03-02 -> stay call open
Encounter patient=~-ana,~-bo&date=lt2024-03-02 -> stay
Encounter patient=~-ana,~-bo&date=le2024-03-02 -> stay
Encounter patient=~-ana,~-bo&date=ge2024-03-04 -> stay call open
Encounter patient=~-ana,~-bo&date=ne2024-03 -> open
Encounter patient=~-ana,~-bo&date=ge2024-03-05&date=lt2024-05-01 -> call
Encounter patient=~-ana,~-bo&date=sa2024-05-01 -> open
Encounter patient=~-ana,~-bo&date=eb2024-03-05 -> stay
Encounter patient=~-ana&service-provider=~-cma -> call
Encounter patient=~-ana&participant=Practitioner/~-kim -> stay
Encounter location=~-ward -> stay
Encounter identifier=urn:x-test:~|V1 -> stay
EpisodeOfCare patient=~-ana&status=active -> enrolled
EpisodeOfCare organization=~-cma&type=urn:x-careloop:program|care-coordination -> enrolled
CareTeam patient=~-ana&status=active -> team
CareTeam patient=~-ana -> team oldteam
CareTeam participant=Practitioner/~-kim -> team
CareTeam participant=RelatedPerson/~-eva -> team
CareTeam patient=~-ana&category=urn:x-careloop:program|care-coordination -> team
CarePlan patient=~-ana&category=http://hl7.org/fhir/us/core/CodeSystem/careplan-category|assess-plan -> plan
CarePlan care-team=~-team -> plan
CarePlan goal=~-goal&status=active -> plan
Goal patient=~-ana&lifecycle-status=active -> goal
Goal patient=~-ana&start-date=ge2024-01-01 -> goal
Goal patient=~-ana&target-date=2024-12-31 -> goal
ServiceRequest patient=~-ana&category=urn:x-test:category|social -> referral
ServiceRequest patient=~-ana&category=social&authored=ge2024-03-01 -> referral
ServiceRequest patient=~-ana&code=urn:x-careloop:service|housing -> referral
ServiceRequest performer=Organization/~-clinic -> referral
Task patient=~-ana&status=requested -> task
Task owner=Organization/~-clinic -> task
Task focus=ServiceRequest/~-referral&code=fulfill -> task
Task patient=~-ana&modified=2024-03-05 -> task
Communication patient=~-ana&status=not-done -> missed
Communication patient=~-ana&sent=2024-03-07 -> missed
Consent patient=~-ana&status=active -> consent
Consent organization=~-hospital -> consent
Consent actor=Organization/~-cma -> consent
Consent patient=~-ana&period=ge2024-06-01 -> consent
Consent patient=~-ana&period=ge2026-06-01 ->
Consent patient=~-ana&date=2024-01-10 -> consent
Coverage patient=~-ana -> coverage
Coverage beneficiary=Patient/~-ana&payor=Organization/~-clinic -> coverage
Account patient=~-ana -> account
Account identifier=urn:x-test:~|A1 -> account
Provenance target=Encounter/~-stay -> prov
Provenance patient=~-ana -> prov
MessageHeader source-uri=urn:x-test:~ -> header
MessageHeader focus=Encounter/~-stay&event=A03 -> header
""".strip().splitlines()


@pytest.mark.parametrize("line", SEARCHES)
def test_search_finds(server: FhirServer, network: str, line: str) -> None:
    asked, _, expected = line.partition("->")
    resource_type, _, text = asked.strip().partition(" ")
    found = server.search(resource_type, query(text, network))
    assert sorted(names(found, network)) == sorted(expected.split())


@pytest.mark.parametrize("text", [
    "nonsense=1", "patient:Kin=1", "date=yesterday", "date=zz2024", "_include=nonsense",
    "_revinclude=Provenance:nonsense"])
def test_what_is_not_understood_is_refused(server: FhirServer, network: str, text: str) -> None:
    with pytest.raises(Rejected) as refusal:
        server.search("Encounter", query(text, network))
    assert "yesterday" not in str(refusal.value)


def test_unknown_type_is_refused(server: FhirServer) -> None:
    with pytest.raises(Rejected):
        server.search("Nonsense", [])


def test_include_brings_what_matches_point_at(server: FhirServer, network: str) -> None:
    found = server.search("CareTeam", query("patient=~-ana&status=active&_include=CareTeam:participant", network))
    assert names(found, network) == ["team"]
    assert included(found, network) == ["eva", "kim"]


def test_include_of_one_target_type(server: FhirServer, network: str) -> None:
    found = server.search("CareTeam", query("patient=~-ana&_include=CareTeam:participant:Practitioner", network))
    assert included(found, network) == ["kim", "lee"]


def test_revinclude_brings_what_points_at_matches(server: FhirServer, network: str) -> None:
    found = server.search("Encounter", query("patient=~-ana&_revinclude=Provenance:target", network))
    assert sorted(names(found, network)) == ["call", "stay"]
    assert included(found, network) == ["prov"]


def test_several_includes(server: FhirServer, network: str) -> None:
    asked = "patient=~-ana&_revinclude=Task:focus&_include=ServiceRequest:requester&_include=ServiceRequest:performer"
    assert included(server.search("ServiceRequest", query(asked, network)), network) == ["clinic", "cma", "task"]


def test_summary_count_gives_the_number_alone(server: FhirServer, network: str) -> None:
    found = server.search("Encounter", query("patient=~-ana,~-bo&_summary=count", network))
    assert (found.total, found.resources, found.next) == (3, (), None)


def test_total_on_request(server: FhirServer, network: str) -> None:
    found = server.search("Encounter", query("patient=~-ana,~-bo&_total=accurate&_count=2", network))
    assert (found.total, len(found.resources)) == (3, 2)


def test_found_resources_name_their_version(server: FhirServer, network: str) -> None:
    (ana,) = server.search("Patient", query("_id=~-ana", network)).resources
    assert ana["meta"]["versionId"] == "1"
    assert ana == server.read("Patient", f"{network}-ana")
    assert server.search("Patient", [("_id", f"{network}-ana"),
                                     ("_lastUpdated", f"ge{ana['meta']['lastUpdated']}")]).resources
    assert not server.search("Patient", [("_id", f"{network}-ana"), ("_lastUpdated", "lt2020-01-01")]).resources


@pytest.mark.parametrize(("sort", "expected"), [
    ("date", "stay call open"), ("-date", "open call stay"), ("_id", "call open stay"), ("-_id", "stay open call"),
    ("_lastUpdated,-_id", "stay open call")])
def test_sort(server: FhirServer, network: str, sort: str, expected: str) -> None:
    asked = query(f"patient=~-ana,~-bo&_sort={sort}", network)
    found = names(server.search("Encounter", asked), network)
    if isinstance(server, NamingServer) and "_id" in sort:  # it sorts by ids of its own, in the order they were given
        assert sorted(found) == sorted(expected.split())
    else:
        assert found == expected.split()


@pytest.mark.parametrize("sort", ["", "_lastUpdated", "-_lastUpdated", "_id", "date", "-date"])
def test_paging_gives_every_resource_once(server: FhirServer, paged: str, sort: str) -> None:
    pages = list(every_page(server, paged, [("_sort", sort)] if sort else []))
    ids = [one["id"] for page in pages for one in page.resources]
    assert [len(page.resources) for page in pages] == [5, 5, 3]
    assert sorted(ids) == [f"{paged}-{n:02}" for n in range(13)]
    moments = [one["meta"]["lastUpdated"] for page in pages for one in page.resources]
    if sort in {"", "_lastUpdated"}:
        assert moments == sorted(moments)


def test_a_page_goes_on_where_it_ended(server: FhirServer, paged: str) -> None:
    first = server.search("Encounter", [("patient", f"{paged}-p"), ("_sort", "date")], count=5)
    assert first.next is not None
    again, same = server.search_page(first.next), server.search_page(first.next)
    assert [one["id"] for one in again.resources] == [one["id"] for one in same.resources]
    assert again.resources[0]["id"] == f"{paged}-05"


@pytest.mark.parametrize("token", ["", "nonsense", "W10=", "http://127.0.0.1:9/fhir?_getpages=1", "/other"])
def test_a_page_of_elsewhere_is_refused(server: FhirServer, token: str) -> None:
    with pytest.raises(Rejected):
        server.search_page(token)


@pytest.fixture(scope="module")
def paged(server: FhirServer) -> str:
    """A patient with 13 encounters, written by several transactions."""
    from tests.contract.conftest import new_run

    run = new_run()
    person = {"resourceType": "Patient", "id": f"{run}-p"}
    server.transaction([Write(resource_type="Patient", id=person["id"], body=person)])
    for start in range(0, 13, 4):
        server.transaction([
            Write(resource_type="Encounter", id=f"{run}-{n:02}", body={
                "resourceType": "Encounter", "id": f"{run}-{n:02}", "status": "finished", "class": {"code": "AMB"},
                "subject": {"reference": f"Patient/{run}-p"}, "period": {"start": f"2024-03-{n + 1:02}"}})
            for n in range(start, min(start + 4, 13))])
    return run


def query(text: str, run: str) -> Params:
    """The parameters of a line."""
    return parse_qsl(text.replace("~", run), keep_blank_values=True)


def names(page: Page, run: str) -> list[str]:
    """Ids of the matches without their beginning, in the server's order."""
    return [one["id"].removeprefix(f"{run}-") for one in page.resources]


def included(page: Page, run: str) -> list[str]:
    """Ids of what came along, sorted."""
    return sorted(one["id"].removeprefix(f"{run}-") for one in page.included)


def every_page(server: FhirServer, run: str, params: Params) -> list[Page]:
    """A search to its end, five a page."""
    pages = [server.search("Encounter", [("patient", f"{run}-p"), *params], count=5)]
    while pages[-1].next is not None:
        pages.append(server.search_page(pages[-1].next))
    return pages
