"""A real FHIR server that refuses our ids and gives its own: what stands there is what stands here, once, whatever is lost.

Between gateway and server stands a proxy that can swallow an answer after the server has done what was asked.
"""

from __future__ import annotations

import http.client
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from sqlalchemy import select

from adapter.compose.references import targets
from adapter.fhirserver.http import new_session
from adapter.fhirserver.naming import TAG
from adapter.fhirserver.port import Write
from adapter.fhirserver.upstream import UpstreamServer
from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.store import journal
from adapter.store.engine import reading, writing
from adapter.store.queries import backlog
from adapter.store.resources import without_meta
from adapter.store.schema import RESOURCE, SERVER_ID
from tests.faulty import Answer, Asked, Cut, answering
from tests.servers import hapi_naming_url

pytestmark = pytest.mark.hapi
Json = dict[str, Any]
Key = tuple[str, str]
_KEPT = ("Accept", "Content-Type", "Cache-Control", "Host")


@dataclass
class Proxy:
    """Hands on to HAPI; `swallow`: of how many transactions the answer is lost from now on."""

    url: str = ""
    swallow: int = 0
    lost: int = 0


@pytest.fixture(name="proxy")
def _proxy() -> Iterator[Proxy]:
    script, behind = Proxy(), urlsplit(hapi_naming_url())

    def answer(asked: Asked) -> Answer:
        onward = http.client.HTTPConnection(behind.hostname or "", behind.port, timeout=60)
        onward.request(asked.method, asked.path, asked.body, {n: asked.headers[n] for n in _KEPT if n in asked.headers})
        response = onward.getresponse()
        text = response.read()
        onward.close()
        if asked.method == "POST" and asked.path == "/fhir" and script.swallow and response.status < 300:
            script.swallow -= 1
            script.lost += 1
            raise Cut
        return response.status, {"Content-Type": response.headers.get("Content-Type", "")}, text

    with answering(answer) as port:
        script.url = f"http://127.0.0.1:{port}/fhir"
        yield script


@dataclass
class Installation:
    """A gateway behind the proxy, and HAPI as another client sees it. ahead: how far its clock is in front of ours."""

    gateway: Gateway
    client: UpstreamServer
    ahead: list[timedelta] = field(default_factory=lambda: [timedelta()])

    def send(self, *messages: bytes) -> None:
        self.gateway.accept([(m, "test") for m in messages])
        while self.gateway.work():
            pass

    def settle(self) -> None:
        """Work, push and read back until nothing waits; minutes of back-off go by in no time."""
        for _ in range(20):
            done = self.gateway.work() + self.gateway.delivery.push() + self.gateway.delivery.read_back()
            with reading(self.gateway.engine) as connection:
                if not done and not backlog(connection).outbox and not journal.waiting_count(connection):
                    return
            self.ahead[0] += timedelta(minutes=10)
        with reading(self.gateway.engine) as connection:
            raise AssertionError(f"it does not settle: {backlog(connection)}")

    def standing(self) -> dict[Key, Json]:
        """What stands here and is ours, by our names."""
        with reading(self.gateway.engine) as connection:
            found = connection.execute(select(RESOURCE).where(RESOURCE.c.deleted == 0)).all()
        return {(r.resource_type, r.id): orjson.loads(r.body) for r in found if "server:" not in r.sources or r.id[0] == "c"}

    def given(self) -> dict[Key, str]:
        """(type, our id) to the server's."""
        with reading(self.gateway.engine) as connection:
            return {(r.resource_type, r.id): r.server_id for r in connection.execute(select(SERVER_ID))}

    def check(self) -> None:
        """Here and there are the same, each resource once, and nothing of ours came back as another client's."""
        here, given = self.standing(), self.given()
        assert here.keys() == given.keys()
        server = self.gateway.delivery.upstream
        assert server is not None
        for (resource_type, ours), body in here.items():
            there = server.read(resource_type, ours)
            assert there is not None
            assert _content(there) == _content(body)
            tagged = self.client.search(resource_type, [("_tag", f"{TAG}|{ours}")]).resources
            assert [one["id"] for one in tagged] == [given[resource_type, ours]]
            for name in targets(tagged[0], set()):
                assert self.client.read(*name.split("/")[:2]) is not None
        with reading(self.gateway.engine) as connection:
            for (resource_type, _), theirs in given.items():
                query = select(RESOURCE.c.id).where(RESOURCE.c.resource_type == resource_type, RESOURCE.c.id == theirs)
                assert connection.execute(query).first() is None


@pytest.fixture(name="opened")
def _opened(tmp_path: Path, proxy: Proxy) -> Iterator[Installation]:
    ahead = [timedelta()]
    gateway = Gateway(Settings(data_dir=tmp_path, key=secrets.token_hex(32), fhir_url=proxy.url),
                      lambda: datetime.now(UTC) + ahead[0])
    assert gateway.delivery.upstream is not None
    with writing(gateway.engine) as connection:  # what other tests wrote on this server is not looked at
        journal.set_cursor(connection, f"history:{gateway.delivery.upstream.name}", datetime.now(UTC).isoformat())
    with new_session() as session:
        yield Installation(gateway=gateway, client=UpstreamServer(hapi_naming_url(), session), ahead=ahead)
    gateway.close()


def _content(body: Json) -> Json:
    return {name: value for name, value in without_meta(body).items() if name != "meta"}


def adt(trigger: str = "A01", minute: int = 10, phone: str = "5550161", number: str = "800001", control: str = "") -> bytes:
    """An admission, or what follows: Patient, Encounter, Practitioner, Organization, Location, Provenance, MessageHeader."""
    time = f"2026030108{minute:02d}00-0500"
    return "\r".join([
        rf"MSH|^~\&|EXAMPLE|EAST|CARELOOP|NET|{time}||ADT^{trigger}|{control or trigger + number + str(minute)}|P|2.5.1",
        f"EVN|{trigger}|{time}", f"PID|1||{number}^^^EAST^MR||Tarnhill^Bess||19610514|F|||||^PRN^PH^^1^518^{phone}",
        f"PV1|1|I|3W^12^A^EAST||||1881697324^Quorley^Ada^^^^^^NPI{'|' * 12}V{number}^^^EAST^VN", ""]).encode()


def test_what_stands_there_is_what_stands_here(opened: Installation) -> None:
    opened.send(adt())
    opened.settle()
    opened.check()
    before = opened.given()
    assert {"Patient", "Encounter", "Practitioner", "Organization", "Provenance"} <= {t for t, _ in before}
    opened.send(adt("A08", 20, phone="5550162"), adt(number="800002"))
    opened.settle()
    opened.check()
    assert opened.given().items() >= before.items()


def test_what_another_client_changes_is_read_back_and_kept(opened: Installation) -> None:
    opened.send(adt())
    opened.settle()
    [(patient, theirs)] = [(key, i) for key, i in opened.given().items() if key[0] == "Patient"]
    body = opened.client.read("Patient", theirs)
    assert body is not None
    opened.client.transaction([Write(resource_type="Patient", id=theirs, body={
        **body, "maritalStatus": {"text": "widowed"}}, if_match=body["meta"]["versionId"])])
    opened.send(adt("A08", 20, phone="5550162"))
    opened.settle()
    opened.check()
    standing = opened.standing()[patient]
    assert standing["maritalStatus"] == {"text": "widowed"}
    assert "5550162" in str(standing["telecom"]).replace("-", "").replace(" ", "")
    assert "tag" not in standing.get("meta", {})


def test_what_another_client_wrote_about_a_person_of_ours_is_of_that_person(opened: Installation) -> None:
    opened.send(adt())
    opened.settle()
    [(patient, theirs)] = [(key, i) for key, i in opened.given().items() if key[0] == "Patient"]
    goal = {"resourceType": "Goal", "lifecycleStatus": "active", "description": {"text": secrets.token_hex(8)},
            "subject": {"reference": f"Patient/{theirs}"}}
    answer = new_session().post(f"{hapi_naming_url()}/Goal", json=goal).json()
    opened.settle()
    with reading(opened.gateway.engine) as connection:
        row = connection.execute(select(RESOURCE).where(RESOURCE.c.resource_type == "Goal", RESOURCE.c.id == answer["id"])).one()
    assert orjson.loads(row.body)["subject"] == {"reference": "/".join(patient)}


Step = Callable[[Installation], object]


@pytest.mark.parametrize("first", ["push again", "read back"])
@pytest.mark.parametrize("changed", [False, True], ids=["", "a newer version waits"])
def test_a_lost_answer_doubles_nothing(opened: Installation, proxy: Proxy, first: str, changed: bool) -> None:
    opened.send(adt())
    proxy.swallow = 2  # of shared resources, and of the person's
    for _ in range(2):
        opened.gateway.delivery.push()
        opened.ahead[0] += timedelta(minutes=10)
        if proxy.lost == 1 and first == "read back":
            opened.gateway.delivery.read_back()
    assert proxy.lost == 2
    if changed:
        opened.send(adt("A08", 20, phone="5550162"))
    if first == "read back":
        opened.gateway.delivery.read_back()
    opened.settle()
    opened.check()


def test_a_lost_answer_to_a_change_doubles_nothing(opened: Installation, proxy: Proxy) -> None:
    opened.send(adt())
    opened.settle()
    proxy.swallow = 1
    opened.send(adt("A08", 20, phone="5550162"))
    opened.settle()
    assert proxy.lost == 1
    opened.check()


def test_what_another_client_deletes_is_made_anew(opened: Installation) -> None:
    opened.send(adt())
    opened.settle()
    [(key, theirs)] = [(key, i) for key, i in opened.given().items() if key[0] == "Provenance"][:1]
    opened.client.transaction([Write(resource_type=key[0], id=theirs, body=None)])
    opened.settle()
    opened.check()
