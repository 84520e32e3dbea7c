"""Admissions and discharges of members with a care team, from HL7 v2 messages to what its organizations are sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.store import notices
from adapter.store.engine import reading
from adapter.validate.check import check
from tests.receiver import Receiver, events_of, part, subscription
from tests.unit.test_gap_lives import MEMBER, SEAT, load, settle
from tests.unit.test_subscriptions import send, subscribe

TOPIC = "urn:x-careloop:topic:encounter-start-end"
ALERTS = "http://hl7.org/fhir/us/davinci-alerts/CodeSystem/notification-event"
TEAM = SEAT % (b"", b"2026-02-27T07:00:00-05:00")
LINES = {
    "PID": "PID|1||700001^^^STANNE^MR~M1^^^CARELOOP^MB||Wrenmere^Viola||19580409|F",
    "PV1": "PV1|1|{kind}|3W^312^A^MAIN||||2000001018^Marlwick^Odile^^^^^^NPI|||MED|||||||||V9|||||||||||||||||||||||||"
           "20260301080500-0500|{end}",
    "DG1": "DG1|1||F11.20^Opioid dependence^I10C||20260301080500-0500|A",
    "IN1": "IN1|1|EVG|ORG-EVERGREEN^^^CARELOOP|Evergreen Health Plan||||||||20250101|||HMO|Wrenmere^Viola|SEL|19580409"
           "||||||||||||||||||E1",
}
AT = {"A01": "20260301080500", "A04": "20260301070000", "A06": "20260301090000", "A02": "20260301100000", "A03": "20260301110000",
      "A13": "20260301113000", "A11": "20260301114000"}
CANCELS = {"A11": "A01", "A13": "A03"}


def adt(event: str, kind: str = "I", number: int = 1, **place: str) -> bytes:
    """A message of St. Anne about the member's stay; EVN-6 of a cancel is the time of what it cancels."""
    at, happened = AT[event], AT[CANCELS.get(event, event)]
    end = f"{AT['A03']}-0500" if event == "A03" else ""
    lines = [f"MSH|^~\\&|STANNE|MAIN|CARELOOP|NETWORK|{at}-0500||ADT^{event}|{event}{number}|P|2.5.1",
             f"EVN|{event}|{at}-0500||||{happened}-0500",
             *(line.format(kind=kind, end=end, **place) for line in LINES.values())]
    return "\r".join([*lines, ""]).encode()


@pytest.fixture(name="clock")
def _clock() -> list[datetime]:
    return [datetime(2026, 3, 1, 17, tzinfo=UTC)]


@pytest.fixture(name="gateway")
def _gateway(tmp_path: Path, clock: list[datetime]) -> Iterator[Gateway]:
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32, notice_hosts="127.0.0.1=*"), lambda: clock[0])
    load(gateway, "members", MEMBER)
    load(gateway, "care_team", TEAM)
    yield gateway
    gateway.close()


def receive(gateway: Gateway, messages: Sequence[bytes]) -> None:
    for raw in messages:
        assert b"\rMSA|AA|" in gateway.accept([(raw, "test")])[0]
        settle(gateway)


def told(gateway: Gateway) -> list[str]:
    """What was told of stays."""
    with reading(gateway.engine) as connection:
        return [one.what for one in notices.after(connection, 0, 1000) if one.topic == "encounter-start-end"]


def maple(gateway: Gateway) -> str:
    found = gateway.embedded.search("Organization", [("identifier", "urn:x-careloop:organization|ORG-MAPLE")])
    return f"Organization/{found.resources[0]['id']}"


@pytest.mark.parametrize(("messages", "expected"), [
    ([adt("A01")], ["admitted"]),
    ([adt("A01"), adt("A01", number=2), adt("A01")], ["admitted"]),
    ([adt("A04", "E")], ["admitted"]),
    ([adt("A04", "O")], []),
    ([adt("A01"), adt("A02"), adt("A03")], ["admitted", "discharged"]),
    ([adt("A03"), adt("A01")], ["discharged"]),
    ([adt("A04", "E"), adt("A06", "I")], ["admitted", "transferred"]),
    ([adt("A01"), adt("A11")], ["admitted", "admission-cancelled"]),
    ([adt("A01"), adt("A03"), adt("A13")], ["admitted", "discharged", "discharge-cancelled"]),
])
def test_each_step_is_told_once(gateway: Gateway, messages: Sequence[bytes], expected: Sequence[str]) -> None:
    receive(gateway, messages)
    assert told(gateway) == expected


def test_in_any_order_of_arrival_the_last_word_is_the_same(tmp_path: Path, clock: list[datetime]) -> None:
    last: set[str] = set()
    for n, order in enumerate(permutations([adt("A01"), adt("A02"), adt("A03")])):
        gateway = Gateway(Settings(data_dir=tmp_path / f"{n}", key="00" * 32), lambda: clock[0])
        load(gateway, "members", MEMBER)
        load(gateway, "care_team", TEAM)
        receive(gateway, [*order, *order])
        steps = told(gateway)
        assert len(steps) == len(set(steps))
        last.add(steps[-1])
        gateway.close()
    assert last == {"discharged"}


def test_old_files_tell_nothing(gateway: Gateway, clock: list[datetime]) -> None:
    clock[0] += timedelta(days=4)
    receive(gateway, [adt("A01"), adt("A03")])
    assert told(gateway) == []


def test_the_end_of_a_stay_that_was_told_is_told_however_late(gateway: Gateway, clock: list[datetime]) -> None:
    receive(gateway, [adt("A01")])
    clock[0] += timedelta(days=9)
    receive(gateway, [adt("A03")])
    assert told(gateway) == ["admitted", "discharged"]


def test_a_stay_that_goes_on_is_known_however_long_ago_it_was_told(gateway: Gateway, clock: list[datetime]) -> None:
    receive(gateway, [adt("A01")])
    clock[0] += timedelta(days=100)
    load(gateway, "members", MEMBER.replace(b"M1,", b"M2,"))
    gateway.subscriptions.prune()
    receive(gateway, [adt("A03")])
    assert told(gateway) == ["admitted", "discharged"]
    clock[0] += timedelta(days=100)
    load(gateway, "members", MEMBER.replace(b"M1,", b"M3,"))
    gateway.subscriptions.prune()
    assert told(gateway) == []
    receive(gateway, [adt("A03", number=2)])
    assert told(gateway) == []


def test_nobody_is_told_without_a_care_team(tmp_path: Path, clock: list[datetime]) -> None:
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32), lambda: clock[0])
    load(gateway, "members", MEMBER)
    receive(gateway, [adt("A01")])
    assert told(gateway) == []
    gateway.close()


def test_a_team_that_has_ended_is_not_told(tmp_path: Path, clock: list[datetime]) -> None:
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32), lambda: clock[0])
    load(gateway, "members", MEMBER)
    load(gateway, "care_team", SEAT % (b"2026-02-20", b"2026-02-21T07:00:00-05:00"))
    receive(gateway, [adt("A01")])
    assert told(gateway) == []
    gateway.close()


@pytest.mark.parametrize(("messages", "code"), [
    ([adt("A01")], "notification-admit"), ([adt("A01"), adt("A03")], "notification-discharge"),
    ([adt("A04", "E"), adt("A06", "I")], "notification-transfer"), ([adt("A01"), adt("A11")], "admission-cancelled"),
])
def test_the_message_to_the_care_team(gateway: Gateway, client: FlaskClient, receiver: Receiver, messages: Sequence[bytes],
                                      code: str) -> None:
    filters = f"Encounter?organization={maple(gateway)}"
    subscribe(client, subscription(receiver.url, filters, topic=TOPIC, content="full-resource"))
    send(gateway)
    receive(gateway, messages)
    send(gateway)
    notification = receiver.bundles[-1]
    assert not check(notification)
    message: Any = notification["entry"][-1]["resource"]
    header, encounter, *others = (entry["resource"] for entry in message["entry"])
    assert (message["type"], header["resourceType"], header["eventCoding"]["code"]) == ("message", "MessageHeader", code)
    assert (header["eventCoding"]["system"] == ALERTS) is code.startswith("notification-")
    assert header["focus"] == [{"reference": message["entry"][1]["fullUrl"]}]
    assert encounter["resourceType"] == "Encounter"
    kinds = [one["resourceType"] for one in others]
    assert {"Patient", "Location", "Practitioner", "Coverage"} <= set(kinds)
    assert "Condition" not in kinds
    assert b"F11.20" not in client.application.json.dumps(message).encode()
    assert part(list(events_of(notification))[-1], "focus")["reference"].endswith(f"Encounter/{encounter['id']}")


def test_only_organizations_of_the_team_are_told(gateway: Gateway, client: FlaskClient, receiver: Receiver) -> None:
    subscribe(client, subscription(receiver.url, "Encounter?organization=Organization/another", topic=TOPIC))
    send(gateway)
    receive(gateway, [adt("A01")])
    send(gateway)
    assert receiver.kinds() == ["handshake"]


def test_the_message_alone(gateway: Gateway, client: FlaskClient, receiver: Receiver, clock: list[datetime]) -> None:
    body = subscription(f"{receiver.url}/$process-message", topic=TOPIC, content="full-resource", type="message")
    assert subscribe(client, body)["status"] == "active"
    send(gateway)
    receiver.answers = [(500, {})]
    receive(gateway, [adt("A01"), adt("A03")])
    send(gateway)
    clock[0] += timedelta(seconds=5)
    send(gateway)
    sent = [(bundle["type"], bundle["id"], bundle["entry"][0]["resource"]["eventCoding"]["code"]) for bundle in receiver.bundles]
    assert [code for _, _, code in sent] == ["notification-admit", "notification-admit", "notification-discharge"]
    assert sent[0] == sent[1]
    assert {kind for kind, _, _ in sent} == {"message"}


def test_what_the_message_channel_is_not_for(client: FlaskClient) -> None:
    for topic, content in ((TOPIC, "id-only"), ("urn:x-careloop:topic:gap-life", "full-resource")):
        body = subscription("http://127.0.0.1:9/x", topic=topic, content=content, type="message")
        assert client.post("/fhir/Subscription", json=body).status_code == 422
