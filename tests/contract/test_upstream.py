"""How UpstreamServer takes a server's failures and traps, told by a scripted stand-in."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from adapter.errors import Rejected, Unavailable
from adapter.fhirserver.http import new_session
from adapter.fhirserver.port import Write
from adapter.fhirserver.upstream import UpstreamServer
from tests.faulty import Answer, Asked, answering
from tests.servers import free_port, hapi_url

PUT = [Write(resource_type="Patient", id="a", body={"resourceType": "Patient", "id": "a"})]
OUTCOME = {"resourceType": "OperationOutcome", "issue": [
    {"severity": "error", "code": "processing", "expression": ["Patient.name[0]"], "diagnostics": "HAPI-0989: CANARY"}]}


@dataclass
class StandIn:
    """Answers with what a test puts into `answer`: status, headers, body (JSON, or bytes as they are)."""

    url: str = ""
    answer: tuple[int, dict[str, str], Any] = (200, {}, {})
    pages: dict[str, Any] = field(default_factory=dict[str, Any])
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list[Any])


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """A server on a free port."""
    script = StandIn()

    def answer(asked: Asked) -> Answer:
        script.asked.append((asked.method, asked.path, asked.headers, asked.body))
        status, headers, body = script.answer
        body = script.pages.get(asked.path, body)
        return status, headers, body if isinstance(body, bytes) else json.dumps(body).encode()

    with answering(answer) as port:
        script.url = f"http://127.0.0.1:{port}/base/fhir"
        yield script


def upstream(stand_in: StandIn) -> UpstreamServer:
    """The server under test."""
    return UpstreamServer(stand_in.url + "/", new_session())


CALLS: list[Callable[[UpstreamServer], object]] = [
    lambda server: server.transaction(PUT), lambda server: server.read("Patient", "a"),
    lambda server: server.search("Patient", []), lambda server: list(server.history()),
    lambda server: server.capabilities(), lambda server: server.search_page("Patient?page=2")]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_try_again(stand_in: StandIn, call: Callable[[UpstreamServer], object], status: int) -> None:
    stand_in.answer = (status, {}, OUTCOME)
    with pytest.raises(Unavailable) as failure:
        call(upstream(stand_in))
    assert failure.value.issue.code == "server-unavailable"
    assert f"HTTP {status}" in failure.value.issue.detail


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("status", "code"), [
    (301, "server-refused"), (302, "server-refused"), (400, "server-refused"),
    (403, "server-refused"), (422, "server-refused"), (409, "version-conflict"), (412, "version-conflict")])
def test_no_use(stand_in: StandIn, call: Callable[[UpstreamServer], object], status: int, code: str) -> None:
    stand_in.answer = (status, {"Location": f"{stand_in.url}/elsewhere"}, OUTCOME)
    with pytest.raises(Rejected) as refusal:
        call(upstream(stand_in))
    assert refusal.value.issue.code == code
    assert len(stand_in.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 401, 403, 404, 405, 407])
def test_no_resource_is_to_blame_for_a_proxy_s_page(stand_in: StandIn, status: int) -> None:
    stand_in.answer = (status, {"Location": f"{stand_in.url}/sign-in"}, b"<html>CANARY</html>")
    with pytest.raises(Unavailable) as failure:
        upstream(stand_in).transaction(PUT)
    assert (failure.value.issue.detail, len(stand_in.asked)) == (f"HTTP {status}", 1)


def test_without_a_sign_in_nothing_is_refused_for_what_it_holds(stand_in: StandIn) -> None:
    stand_in.answer = (401, {}, OUTCOME)
    with pytest.raises(Unavailable):
        upstream(stand_in).transaction(PUT)


def test_what_a_server_says_is_told_without_its_words(stand_in: StandIn) -> None:
    stand_in.answer = (422, {}, OUTCOME)
    with pytest.raises(Rejected) as refusal:
        upstream(stand_in).transaction(PUT)
    assert refusal.value.issue.detail == "HTTP 422 processing Patient.name[0] HAPI-0989"
    assert "CANARY" not in str(refusal.value)


@pytest.mark.parametrize(("headers", "seconds"), [
    ({"Retry-After": "7"}, 7.0), ({}, None), ({"Retry-After": "soon"}, None),
    ({"Retry-After": "Wed, 21 Oct 2099 07:28:30 GMT"}, None)])
def test_retry_after(stand_in: StandIn, headers: dict[str, str], seconds: float | None) -> None:
    stand_in.answer = (429, headers, {})
    with pytest.raises(Unavailable) as failure:
        upstream(stand_in).read("Patient", "a")
    if headers.get("Retry-After", "").endswith("GMT"):
        assert failure.value.retry_after is not None
        assert failure.value.retry_after > 1e9
    else:
        assert failure.value.retry_after == seconds


def test_no_connection_is_unavailable() -> None:
    with pytest.raises(Unavailable) as failure:
        UpstreamServer(f"http://127.0.0.1:{free_port()}/fhir", new_session()).read("Patient", "a")
    assert failure.value.issue.place == "Patient/a"


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"", b"\xff"])
def test_an_answer_that_is_no_resource(stand_in: StandIn, body: bytes) -> None:
    stand_in.answer = (200, {}, body)
    with pytest.raises(Unavailable):
        upstream(stand_in).read("Patient", "a")


def test_an_answer_cut_short(stand_in: StandIn) -> None:
    stand_in.answer = (200, {"Content-Length": "100"}, b'{"resourceType"')
    with pytest.raises(Unavailable):
        upstream(stand_in).read("Patient", "a")


def test_an_address_without_scheme_is_refused() -> None:
    with pytest.raises(Rejected):
        UpstreamServer("nowhere/fhir", new_session()).read("Patient", "a")


@pytest.mark.parametrize("status", [404, 410])
def test_absent_or_deleted(stand_in: StandIn, status: int) -> None:
    stand_in.answer = (status, {}, OUTCOME)
    assert upstream(stand_in).read("Patient", "a") is None


def test_a_transaction_on_the_wire(stand_in: StandIn) -> None:
    stand_in.answer = (200, {}, {"resourceType": "Bundle", "type": "transaction-response", "entry": [
        {"response": {"status": "200 OK", "etag": 'W/"4"'}},
        {"response": {"status": "201 Created", "location": f"{stand_in.url}/Patient/b/_history/1"}},
        {"response": {"status": "204 No Content"}}]})
    written = upstream(stand_in).transaction([
        Write(resource_type="Patient", id="a", body={"resourceType": "Patient"}, if_match="3"),
        Write(resource_type="Patient", id="b", body={"resourceType": "Patient", "id": "b"}),
        Write(resource_type="Patient", id="c", body=None)])
    assert [(one.id, one.version, one.status) for one in written] == [("a", "4", 200), ("b", "1", 201), ("c", "", 204)]
    (method, path, headers, content), = stand_in.asked
    assert (method, path, headers["Content-Type"]) == ("POST", "/base/fhir", "application/fhir+json")
    assert json.loads(content)["entry"] == [
        {"fullUrl": f"{stand_in.url}/Patient/a", "resource": {"resourceType": "Patient", "id": "a"},
         "request": {"method": "PUT", "url": "Patient/a", "ifMatch": 'W/"3"'}},
        {"fullUrl": f"{stand_in.url}/Patient/b", "resource": {"resourceType": "Patient", "id": "b"},
         "request": {"method": "PUT", "url": "Patient/b"}},
        {"request": {"method": "DELETE", "url": "Patient/c"}}]


@pytest.mark.parametrize(("software", "if_match"), [("HAPI FHIR Server", 'W/"0"'), ("another", None)])
def test_a_creation_goes_over_nothing_where_the_server_is_known_to_heed_that(
        stand_in: StandIn, software: str, if_match: str | None) -> None:
    stand_in.answer = (200, {}, {"resourceType": "Bundle", "entry": [{"response": {"status": "201", "etag": 'W/"1"'}}]})
    stand_in.pages["/base/fhir/metadata"] = {"software": {"name": software}}
    server = upstream(stand_in)
    for _ in range(2):
        server.transaction([replace(PUT[0], new=True)])
    requests = [json.loads(body)["entry"][0]["request"] for method, *_, body in stand_in.asked if method == "POST"]
    assert [one.get("ifMatch") for one in requests] == [if_match] * 2
    assert [path for method, path, *_ in stand_in.asked if method == "GET"] == ["/base/fhir/metadata"]


@pytest.mark.hapi
def test_hapi_lets_a_creation_go_over_nothing() -> None:
    name = f"n{uuid.uuid4().hex}"
    first = Write(resource_type="Patient", id=name, body={"resourceType": "Patient", "id": name, "gender": "male"}, new=True)
    with new_session() as session:
        server = UpstreamServer(hapi_url(), session)
        assert [(one.version, one.status) for one in server.transaction([first])] == [("1", 201)]
        with pytest.raises(Rejected) as refusal:
            server.transaction([replace(first, body={"resourceType": "Patient", "id": name, "gender": "female"})])
        assert refusal.value.issue.code == "version-conflict"
        assert (server.read("Patient", name) or {})["gender"] == "male"


def test_a_response_with_too_few_entries(stand_in: StandIn) -> None:
    stand_in.answer = (200, {}, {"resourceType": "Bundle", "entry": []})
    with pytest.raises(Unavailable):
        upstream(stand_in).transaction(PUT)


def test_a_search_puts_no_value_into_the_address(stand_in: StandIn) -> None:
    stand_in.answer = (200, {}, {"resourceType": "Bundle", "total": 0})
    page = upstream(stand_in).search("Patient", [("name", "CANARY é&=")])
    (method, path, headers, content), = stand_in.asked
    assert (method, path, page.total) == ("POST", "/base/fhir/Patient/_search", 0)
    assert b"name=CANARY+%C3%A9%26%3D" in content
    assert "charset=UTF-8" in headers["Content-Type"]


@pytest.mark.parametrize("link", [
    "http://192.0.2.1/base/fhir?page=2", "https://127.0.0.1/base/fhir?page=2", "//elsewhere/base/fhir?page=2",
    "/other",
    "/base/fhirs?page=2", "/base/fhir/../../admin", "http://127.0.0.1:1/base/fhir", "file:///etc/passwd"])
def test_a_next_page_elsewhere_is_refused(stand_in: StandIn, link: str) -> None:
    stand_in.answer = (200, {}, {"resourceType": "Bundle", "link": [{"relation": "next", "url": link}]})
    server = upstream(stand_in)
    with pytest.raises(Rejected):
        server.search("Patient", [])
    with pytest.raises(Rejected):
        list(server.history())
    with pytest.raises(Rejected):
        server.search_page(link)
    assert len(stand_in.asked) == 2


def test_search_tells_matches_from_what_came_along(stand_in: StandIn) -> None:
    stand_in.answer = (200, {}, {"resourceType": "Bundle", "link": [{"relation": "next", "url": "?page=2"}], "entry": [
        {"resource": {"resourceType": "Patient", "id": "a"}, "search": {"mode": "match"}},
        {"resource": {"resourceType": "Organization", "id": "b"}, "search": {"mode": "include"}},
        {"resource": OUTCOME, "search": {"mode": "outcome"}}]})
    page = upstream(stand_in).search("Patient", [])
    assert ([one["id"] for one in page.resources], [one["id"] for one in page.included]) == (["a"], ["b"])
    assert page.next == f"{stand_in.url}/?page=2"


def _told(name: str, version: int, second: int, method: str = "PUT") -> dict[str, Any]:
    moment = f"2026-01-01T00:00:{second:02}.000Z"
    entry = {"request": {"method": method, "url": f"Patient/{name}/_history/{version}"}, "response": {"status": "200"}}
    meta = {"versionId": str(version), "lastUpdated": moment}
    return entry if method == "DELETE" else {**entry, "resource": {"resourceType": "Patient", "id": name, "meta": meta}}


def test_history_oldest_first_over_pages_that_shift(stand_in: StandIn) -> None:
    """A version written while pages are fetched pushes the last entry of page 1 on to page 2: it is told once."""
    following = {"resourceType": "Bundle", "entry": [_told("a", 2, 2), _told("a", 1, 1)]}
    stand_in.pages = {"/base/fhir/p2": following}
    stand_in.answer = (200, {}, {"resourceType": "Bundle", "link": [{"relation": "next", "url": f"{stand_in.url}/p2"}],
                                 "entry": [_told("b", 2, 3, "DELETE"), _told("b", 1, 3), _told("a", 2, 2)]})
    since = datetime(2026, 1, 1, 0, 0, 1, 999, tzinfo=UTC)
    told = list(upstream(stand_in).history(since))
    assert [(v.id, v.version, v.last_updated.second, v.body is None) for v in told] == [
        ("a", "1", 1, False), ("a", "2", 2, False), ("b", "1", 3, False), ("b", "2", 3, True)]
    assert "_since=2026-01-01T00%3A00%3A01.000Z" in stand_in.asked[0][1]


def test_capabilities_of_a_server_that_assigns_ids_itself(stand_in: StandIn) -> None:
    stand_in.answer = (200, {}, {
        "resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "software": {"name": "X"}, "rest": [{
            "interaction": [{"code": "transaction"}], "resource": [
                {"type": "Patient", "interaction": [{"code": "update"}], "updateCreate": False},
                {"type": "Goal", "interaction": [{"code": "update"}], "updateCreate": True},
                {"type": "Group", "interaction": [{"code": "read"}]}]}]})
    able = upstream(stand_in).capabilities()
    assert (able.types, able.update_create) == ({"Patient", "Goal"}, {"Goal"})
    assert (able.software, able.transaction, able.system_history) == ("X", True, False)


def test_name_holds_no_credentials() -> None:
    assert UpstreamServer("http://user:secret@fhir.example:8080/fhir", new_session()).name == "fhir.example:8080"
