"""Notices of a served gateway: to a receiver that comes and goes, over a kill, and as a stream that is taken up again."""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests

from tests.acceptance.served import Served, served, until
from tests.receiver import Json, Receiver, receiving, subscription

ENVIRONMENT = {"CARELOOP_KEY": "5e" * 32, "CARELOOP_NOTICE_HOSTS": "127.0.0.1=*"}
MEMBER = (b"member_id,first_name,last_name,birth_date,program,enrollment_status,enrollment_date,attributed_org,"
          b"attributed_org_name,updated_at\n"
          b"%s,Viola,Wrenmere,1958-04-09,care-coordination,enrolled,2026-01-12,ORG-MAPLE,Maple,2026-03-01T06:00:00-05:00\n")
SEAT = (b"member_id,program,organization_id,organization_name,npi,first_name,last_name,role,start_date,end_date,updated_at\n"
        b"%s,care-coordination,ORG-MAPLE,Maple,2000001018,Odile,Marlwick,lead-coordinator,2026-01-12,,2026-03-01T07:00:00-05:00\n")


def enroll(gateway: Served, member: bytes) -> None:
    """A member is enrolled: G01 opens."""
    _rows(gateway, "members", MEMBER % member)


def lead(gateway: Served, member: bytes) -> None:
    """A member has a lead coordinator: G01 closes."""
    _rows(gateway, "care_team", SEAT % member)


def _rows(gateway: Served, feed: str, rows: bytes) -> None:
    answer = requests.post(f"{gateway.http}/feeds/{feed}", data=rows, headers={"Content-Type": "text/csv"}, timeout=60)
    assert answer.status_code == 200, answer.text


def subscribe(gateway: Served, receiver: Receiver) -> str:
    """Subscribe to G01; the id, once the receiver was greeted and the subscription is active."""
    answer = requests.post(f"{gateway.http}/fhir/Subscription", json=subscription(receiver.url, "Task?code=G01"), timeout=60)
    assert answer.status_code == 201, answer.text
    address: str = f"{gateway.http}/fhir/Subscription/{answer.json()['id']}"
    until(lambda: requests.get(address, timeout=60).json()["status"] == "active" or None, 60)
    return address


def test_told_of_what_opens_and_closes(tmp_path: Path) -> None:
    with receiving() as receiver, served(tmp_path, ENVIRONMENT) as gateway:
        subscribe(gateway, receiver)
        enroll(gateway, b"M1")
        receiver.until(lambda: len(receiver.events()) == 1)
        lead(gateway, b"M1")
        receiver.until(lambda: len(receiver.events()) == 2)
        [first, second] = receiver.events()
        assert (first[0], second[0], first[1]) == (1, 2, second[1])
        assert first[1].startswith(f"{gateway.http}/fhir/Task/")
        assert requests.get(first[1], timeout=60).json()["status"] == "completed"


def test_killed_before_it_was_sent_and_while_it_was(tmp_path: Path) -> None:
    with receiving() as receiver:
        with served(tmp_path, ENVIRONMENT) as gateway:
            subscribe(gateway, receiver)
            receiver.before_answer = lambda _bundle: gateway.kill()  # it was taken, and the gateway never knew
            enroll(gateway, b"M1")
            receiver.until(lambda: len(receiver.events()) == 1)
            gateway.process.wait(60)
        receiver.before_answer = lambda _bundle: None
        receiver.answers = [(503, {})] * 2
        with served(tmp_path, ENVIRONMENT) as gateway:
            receiver.until(lambda: len(receiver.events()) == 2)
            enroll(gateway, b"M2")
            until(lambda: gateway.figures()["careloop_notices_waiting"] == 2 or None, 60)  # committed, and not taken
            gateway.kill()
        with served(tmp_path, ENVIRONMENT):
            receiver.until(lambda: {number for number, _ in receiver.events()} == {1, 2} and not receiver.answers)
        focuses = dict(receiver.events())
        assert all(focuses[number] == focus for number, focus in receiver.events())
        assert len(set(focuses.values())) == 2


def test_a_receiver_that_goes_and_comes_back(tmp_path: Path) -> None:
    with receiving() as receiver, served(tmp_path, ENVIRONMENT) as gateway:
        address = subscribe(gateway, receiver)
        receiver.stop()
        enroll(gateway, b"M1")
        until(lambda: gateway.figures()["careloop_notices_waiting"] == 1 or None, 60)
        until(lambda: requests.get(address, timeout=60).json().get("error"), 60)
        lead(gateway, b"M1")
        with receiving(receiver.port) as back:
            back.until(lambda: len(back.events()) >= 2)
            assert [number for number, _ in back.events()] == [1, 2]


def test_the_care_team_is_told_of_an_admission_over_mllp(tmp_path: Path) -> None:
    now = datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000")
    admission = "\r".join([
        f"MSH|^~\\&|STANNE|MAIN|CARELOOP|NETWORK|{now}||ADT^A01|A1|P|2.5.1", f"EVN|A01|{now}||||{now}",
        "PID|1||7001^^^STANNE^MR~M1^^^CARELOOP^MB||Wrenmere^Viola||19580409|F",
        f"PV1|1|I|3W^312^A^MAIN||||||||||||||||V9{'|' * 25}{now}", ""]).encode()
    body = subscription("", topic="urn:x-careloop:topic:encounter-start-end", content="full-resource", type="message")
    with receiving() as receiver, served(tmp_path, ENVIRONMENT) as gateway:
        body["channel"]["endpoint"] = f"{receiver.url}/$process-message"
        enroll(gateway, b"M1")
        lead(gateway, b"M1")
        gateway.settle()
        assert requests.post(f"{gateway.http}/fhir/Subscription", json=body, timeout=60).status_code == 201
        assert "\rMSA|AA|" in gateway.send(admission)
        receiver.until(lambda: bool(receiver.bundles))
    header, encounter = (entry["resource"] for entry in receiver.bundles[0]["entry"][:2])
    assert (header["eventCoding"]["code"], encounter["status"]) == ("notification-admit", "in-progress")


@contextmanager
def listening(gateway: Served, query: str = "", after: str = "") -> Generator[requests.Response]:
    """The stream of events."""
    headers = {"Last-Event-ID": after} if after else {}
    with requests.get(f"{gateway.events}{query}", headers=headers, stream=True, timeout=60) as stream:
        yield stream


def heard(stream: requests.Response, count: int) -> list[tuple[str, Json]]:
    """The next events: id and what they say."""
    found: list[tuple[str, Json]] = []
    seq = ""
    for line in stream.iter_lines(chunk_size=1):
        name, _, text = line.decode().partition(": ")
        if name == "id":
            seq = text
        if name == "data":
            found.append((seq, orjson.loads(text)))
            if len(found) == count:
                return found
    raise AssertionError("the stream ended")


def test_the_stream_is_taken_up_where_it_was_left(tmp_path: Path) -> None:
    with served(tmp_path, ENVIRONMENT) as gateway:
        with listening(gateway, "?rule=G01") as stream:
            assert stream.headers["Content-Type"] == "text/event-stream"
            next(stream.iter_lines(chunk_size=1))  # it listens: what happens from now on is heard
            enroll(gateway, b"M1")
            [(seq, first)] = heard(stream, 1)
        assert (first["what"], first["organization"][0].partition("/")[0]) == ("opened", "Organization")
        assert b"Wrenmere" not in orjson.dumps(first)
        lead(gateway, b"M1")
        gateway.settle()
        gateway.kill()
    with served(tmp_path, ENVIRONMENT) as gateway:
        enroll(gateway, b"M2")
        with listening(gateway, "?rule=G01", seq) as stream:
            [(_, closed), (_, opened)] = heard(stream, 2)
        assert (closed["what"], closed["focus"], opened["what"]) == ("closed", first["focus"], "opened")
        assert opened["focus"] != first["focus"]
        with listening(gateway, f"?organization={first['organization'][0]}&rule=G01&lastEventId={seq}") as stream:
            assert [said["what"] for _, said in heard(stream, 2)] == ["closed", "opened"]


@pytest.mark.parametrize(("request_head", "status"), [
    (b"GET /events?colour=red HTTP/1.1\r\nHost: localhost\r\n\r\n", b"400"),
    (b"GET /events HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"421"),
    (b"POST /events HTTP/1.1\r\nHost: localhost\r\n\r\n", b"405"),
    (b"GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
    (b"GET /events HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n\r\n", b"403"),
    (b"GET /events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: x\r\n\r\n", b"400"),
    (b"\xff\x00 nonsense\r\n\r\n", b"400"),
])
def test_what_is_no_request_for_the_stream(stream_address: tuple[str, int], request_head: bytes, status: bytes) -> None:
    with socket.create_connection(stream_address, 30) as connection:
        connection.sendall(request_head)
        answer: Any = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"evil" not in answer


@pytest.fixture(name="stream_address", scope="module")
def _stream_address(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[str, int]]:
    with served(tmp_path_factory.mktemp("stream"), ENVIRONMENT) as gateway:
        host, _, port = gateway.events.removeprefix("http://").removesuffix("/events").rpartition(":")
        yield host, int(port)
