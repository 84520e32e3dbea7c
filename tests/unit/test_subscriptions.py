"""Subscriptions on `/fhir`, and what their receivers are sent, from rows of partners to Bundles at a real HTTP server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.validate.check import check
from adapter.web.app import create_app
from tests.receiver import BACKPORT, TOPIC, Json, Receiver, events_of, parameters, part, receiving, subscription, value
from tests.unit.test_gap_lives import MEMBER, SEAT, load

CLOSED = SEAT % (b"", b"2026-03-01T07:00:00-05:00")
REOPENED = SEAT % (b"2026-03-10", b"2026-03-11T07:00:00-05:00")


@pytest.fixture(name="clock")
def _clock() -> list[datetime]:
    return [datetime(2026, 3, 20, 12, tzinfo=UTC)]


@pytest.fixture(name="gateway")
def _gateway(tmp_path: Path, clock: list[datetime]) -> Iterator[Gateway]:
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32, notice_hosts="127.0.0.1=*, care.example.org=*, *.example.net=*"),
                      lambda: clock[0])
    yield gateway
    gateway.close()


def send(gateway: Gateway) -> None:
    """Send everything that is due."""
    for one in gateway.subscriptions.due():
        while gateway.subscriptions.send(one):
            pass


def subscribe(client: FlaskClient, body: Json) -> Json:
    answer = client.post("/fhir/Subscription", json=body, headers={"Content-Type": "application/fhir+json"})
    assert answer.status_code == 201, answer.json
    assert answer.json
    return answer.json


def read(client: FlaskClient, subscription_id: str) -> Json:
    found = client.get(f"/fhir/Subscription/{subscription_id}").json
    assert found
    assert not check(found)
    return found


def status(client: FlaskClient, subscription_id: str) -> str:
    found: str = read(client, subscription_id)["status"]
    return found


def test_a_subscriber_is_greeted_and_told(gateway: Gateway, client: FlaskClient, receiver: Receiver) -> None:
    one = subscribe(client, subscription(receiver.url, "Task?code=G01", header=["Authorization: Bearer made-up"]))
    assert one["status"] == "requested"
    send(gateway)
    assert status(client, one["id"]) == "active"
    assert receiver.headers[0]["authorization"] == "Bearer made-up"
    assert "header" not in read(client, one["id"])["channel"]
    load(gateway, "members", MEMBER)
    load(gateway, "care_team", CLOSED)
    load(gateway, "care_team", REOPENED)
    send(gateway)
    [greeting, told] = receiver.bundles
    assert (value(greeting, "type"), value(greeting, "status"), value(greeting, "events-since-subscription-start")) == (
        "handshake", "requested", "0")
    assert (value(told, "type"), value(told, "status"), value(told, "topic")) == ("event-notification", "active", TOPIC)
    assert value(told, "events-since-subscription-start") == "3"
    task = next(t for t in gateway.embedded.search("Task", [("code", "G01")]).resources)
    assert receiver.events() == [(n, f"http://localhost/fhir/Task/{task['id']}") for n in (1, 2, 3)]
    assert len(told["entry"]) == 1
    assert [check(bundle) for bundle in receiver.bundles] == [[], []]


@pytest.mark.parametrize(("content", "focus", "resources"), [
    ("empty", False, 0), ("id-only", True, 0), ("full-resource", True, 1)])
def test_how_much_is_told(gateway: Gateway, client: FlaskClient, receiver: Receiver, content: str, resources: int, *,
                          focus: bool) -> None:
    subscribe(client, subscription(receiver.url, "Task?code=G01", content=content))
    send(gateway)
    load(gateway, "members", MEMBER)
    send(gateway)
    told = receiver.bundles[-1]
    [event] = events_of(told)
    assert bool(part(event, "focus")) is focus
    assert bool(value(told, "topic")) is focus
    assert [entry["resource"]["resourceType"] for entry in told["entry"][1:]] == ["Task"] * resources
    assert not check(told)


@pytest.mark.parametrize(("text", "told"), [
    ("Task?code=urn:x-careloop:rule|G01", True), ("Task?code=G01,G02", True), ("Task?code=G02", False),
    ("Task?event=opened&code=G01", True), ("Task?event=closed&code=G01", False), ("Task?business-status=open&code=G01", True),
    ("Task?patient={patient}&code=G01", True), ("Task?patient=Patient/{patient}&code=G01", True),
    ("Task?patient=nobody&code=G01", False), ("Task?organization=Organization/{organization}&code=G01", True),
    ("Task?owner=Organization/other&code=G01", False),
])
def test_filters(gateway: Gateway, client: FlaskClient, receiver: Receiver, text: str, *, told: bool) -> None:
    load(gateway, "members", MEMBER)
    task = next(t for t in gateway.embedded.search("Task", [("code", "G01")]).resources)
    patient, organization = (task[name]["reference"].partition("/")[2] for name in ("for", "owner"))
    load(gateway, "care_team", CLOSED)
    subscribe(client, subscription(receiver.url, text.format(patient=patient, organization=organization)))
    send(gateway)
    load(gateway, "care_team", REOPENED)
    send(gateway)
    wanted = told and "event=opened" not in text  # it was reopened
    assert bool(receiver.events()) is wanted


@pytest.mark.parametrize(("change", "code"), [
    ({"criteria": "urn:x-careloop:topic:weather"}, "subscription-invalid"),
    ({"reason": None}, "fhir-structure"),
    ({"_criteria": {"extension": [{"url": f"{BACKPORT}/backport-filter-criteria", "valueString": "Patient?name=x"}]}},
     "subscription-invalid"),
    ({"_criteria": {"extension": [{"url": f"{BACKPORT}/backport-filter-criteria", "valueString": "Task?colour=red"}]}},
     "subscription-invalid"),
    ({"channel": {"type": "email", "endpoint": "mailto:x@example.org", "payload": "application/fhir+json"}},
     "subscription-invalid"),
    ({"channel": {"type": "rest-hook", "endpoint": "https://care.example.org/x", "payload": "application/fhir+json"}},
     "subscription-invalid"),
])
def test_what_cannot_be_subscribed_to(client: FlaskClient, change: Json, code: str) -> None:
    body = {**subscription("https://care.example.org/notices"), **change}
    answer = client.post("/fhir/Subscription", json={name: item for name, item in body.items() if item is not None})
    assert answer.status_code == 422
    assert answer.json
    assert answer.json["issue"][0]["details"]["text"] == code


@pytest.mark.parametrize(("endpoint", "taken"), [
    ("https://care.example.org/x", True), ("https://a.b.example.net/x", True), ("http://127.0.0.1:9/x", True),
    ("http://care.example.org/x", False), ("https://other.example.org/x", False), ("https://example.net/x", False),
    ("https://localhost/x", False), ("http://[::1]/x", False), ("http://169.254.169.254/latest", False),
    ("https://user:secret@care.example.org/x", False), ("file:///etc/passwd", False), ("https://127.0.0.1.example.org/", False),
    ("https://care.example.org:0/x", False), ("gopher://care.example.org/", False),
])
def test_notices_go_only_where_the_operator_says(client: FlaskClient, endpoint: str, *, taken: bool) -> None:
    answer = client.post("/fhir/Subscription", json=subscription(endpoint))
    assert answer.status_code == (201 if taken else 422)
    if not taken:
        assert answer.json
        assert answer.json["issue"][0]["details"]["text"] in ("endpoint-refused", "fhir-structure")
        assert "secret" not in answer.text


def test_a_name_that_leads_to_this_machine_is_not_sent_to(tmp_path: Path, receiver: Receiver) -> None:
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32, notice_hosts="http://127.1=*"))
    client = create_app(gateway).test_client()
    one = subscribe(client, subscription(f"http://127.1:{receiver.port}/notices"))
    send(gateway)
    assert receiver.bundles == []
    assert read(client, one["id"])["error"] == "endpoint-refused"
    gateway.close()


@pytest.mark.parametrize("line", ["no colon", "Host: elsewhere", "X: a\r\nY: b", "Transfer-Encoding: chunked", "Ä: x"])
def test_headers_of_the_connection_are_refused(client: FlaskClient, line: str) -> None:
    assert client.post("/fhir/Subscription", json=subscription("https://care.example.org/x", header=[line])).status_code == 422


def test_a_receiver_that_fails_is_tried_again_with_the_same_numbers(
        gateway: Gateway, client: FlaskClient, receiver: Receiver, clock: list[datetime]) -> None:
    one = subscribe(client, subscription(receiver.url, "Task?code=G01"))
    send(gateway)
    receiver.answers = [(503, {"Retry-After": "120"}), (302, {"Location": receiver.url}), (500, {})]
    load(gateway, "members", MEMBER)
    send(gateway)
    clock[0] += timedelta(seconds=119)
    send(gateway)
    assert len(receiver.events()) == 1
    load(gateway, "care_team", CLOSED)
    clock[0] += timedelta(seconds=1)
    for _ in range(3):
        send(gateway)
        clock[0] += timedelta(minutes=2)
    numbers = [[int(part(event, "event-number")) for event in events_of(bundle)] for bundle in receiver.bundles]
    assert numbers == [[], [1], [1, 2], [1, 2], [1, 2]]
    assert status(client, one["id"]) == "active"
    send(gateway)
    assert len(receiver.bundles) == 5


def test_a_receiver_that_stays_away_is_in_error_and_comes_back(
        gateway: Gateway, client: FlaskClient, receiver: Receiver, clock: list[datetime]) -> None:
    one = subscribe(client, subscription(receiver.url, "Task?code=G01"))
    send(gateway)
    receiver.answers = [(500, {})] * 8
    load(gateway, "members", MEMBER)
    for _ in range(9):
        send(gateway)
        clock[0] += timedelta(minutes=2)
    assert status(client, one["id"]) == "error"
    load(gateway, "care_team", CLOSED)
    clock[0] += timedelta(minutes=10)
    send(gateway)
    assert status(client, one["id"]) == "active"
    assert [int(part(event, "event-number")) for event in events_of(receiver.bundles[-1])] == [1, 2]


def test_nobody_there_at_the_handshake(gateway: Gateway, client: FlaskClient, clock: list[datetime]) -> None:
    with receiving() as gone:
        url = gone.url
    one = subscribe(client, subscription(url))
    for _ in range(5):
        send(gateway)
        clock[0] += timedelta(minutes=2)
    assert status(client, one["id"]) == "error"
    load(gateway, "members", MEMBER)
    assert value({"entry": [{"resource": _status(client, one["id"])}]}, "events-since-subscription-start") == "0"
    with receiving(int(url.rpartition(":")[2].partition("/")[0])) as back:
        client.put(f"/fhir/Subscription/{one['id']}", json=subscription(url))
        send(gateway)
        assert back.kinds() == ["handshake"]
    assert status(client, one["id"]) == "active"


def _status(client: FlaskClient, subscription_id: str) -> Json:
    answer = client.get(f"/fhir/Subscription/{subscription_id}/$status").json
    assert answer
    assert not check(answer)
    found: Json = answer["entry"][0]["resource"]
    return found


def test_what_was_missed_can_be_fetched(gateway: Gateway, client: FlaskClient, receiver: Receiver) -> None:
    one = subscribe(client, subscription(receiver.url, "Task?code=G01"))
    send(gateway)
    for feed, rows in (("members", MEMBER), ("care_team", CLOSED), ("care_team", REOPENED)):
        load(gateway, feed, rows)
    path = f"/fhir/Subscription/{one['id']}/$events"
    answer: Any = client.get(f"{path}?eventsSinceNumber=2&eventsUntilNumber=3&content=full-resource").json
    assert [int(part(event, "event-number")) for event in events_of(answer)] == [2, 3]
    assert value(answer, "type") == "query-event"
    assert [entry["resource"]["resourceType"] for entry in answer["entry"]] == ["Parameters", "Task"]
    assert not check(answer)
    assert client.get(f"{path}?eventsSinceNumber=two").status_code == 400
    assert client.get("/fhir/Subscription/nobody/$events").status_code == 404
    of_all: Any = client.get("/fhir/Subscription/$status?status=active").json
    assert len(parameters(of_all)) == 5


def test_notices_are_kept_for_so_many_days(gateway: Gateway, client: FlaskClient, receiver: Receiver,
                                           clock: list[datetime]) -> None:
    one = subscribe(client, subscription(receiver.url, "Task?code=G01"))
    path = f"/fhir/Subscription/{one['id']}/$events"
    send(gateway)
    load(gateway, "members", MEMBER)
    send(gateway)
    receiver.answers = [(500, {})]
    load(gateway, "care_team", CLOSED)
    send(gateway)
    clock[0] += timedelta(days=60)
    load(gateway, "care_team", REOPENED)
    assert gateway.subscriptions.prune() == 0
    clock[0] += timedelta(days=31)
    assert gateway.subscriptions.prune() > 1
    assert gateway.subscriptions.prune() == 0
    answer: Any = client.get(path).json
    assert [int(part(event, "event-number")) for event in events_of(answer)] == [3]
    assert value(answer, "events-since-subscription-start") == "3"
    refused: Any = client.get(f"{path}?eventsSinceNumber=2")
    assert (refused.status_code, refused.json["issue"][0]["details"]["text"]) == (410, "events-pruned")
    assert "from number 3 on" in refused.json["issue"][0]["diagnostics"]
    assert client.get(f"{path}?eventsSinceNumber=3").status_code == 200
    send(gateway)
    assert [number for number, _ in receiver.events()] == [1, 2, 3]  # 2 was tried once, while it was kept
    clock[0] += timedelta(days=400)
    gateway.subscriptions.prune()
    assert client.get(path).status_code == 200
    load(gateway, "care_team", SEAT % (b"", b"2026-07-01T07:00:00-05:00"))
    send(gateway)
    assert receiver.events()[-1][0] == 4


def test_the_life_of_a_subscription(gateway: Gateway, client: FlaskClient, receiver: Receiver) -> None:
    put = client.put("/fhir/Subscription/mine", json={**subscription(receiver.url, "Task?code=G01"), "id": "mine"})
    assert (put.status_code, put.headers["ETag"]) == (201, 'W/"1"')
    send(gateway)
    stale = client.put("/fhir/Subscription/mine", json=subscription(receiver.url), headers={"If-Match": 'W/"7"'})
    assert stale.status_code == 412
    off: Any = client.put("/fhir/Subscription/mine", json={**subscription(receiver.url, "Task?code=G01"), "status": "off"})
    assert (off.status_code, off.json["status"]) == (200, "off")
    load(gateway, "members", MEMBER)
    send(gateway)
    assert receiver.kinds() == ["handshake"]
    found: Any = client.get("/fhir/Subscription?status=off").json
    assert (found["total"], check(found)) == (1, [])
    assert client.delete("/fhir/Subscription/mine").status_code == 204
    assert client.get("/fhir/Subscription/mine").status_code == 410
    assert client.put("/fhir/Subscription/mine", json=subscription(receiver.url, "Task?code=G01")).status_code == 201
    send(gateway)
    load(gateway, "care_team", CLOSED)
    send(gateway)
    assert [number for number, _ in receiver.events()] == [1]


def test_a_receiver_that_is_gone_ends_it(gateway: Gateway, client: FlaskClient, receiver: Receiver) -> None:
    one = subscribe(client, subscription(receiver.url))
    receiver.answers = [(410, {})]
    send(gateway)
    assert status(client, one["id"]) == "off"


def test_it_ends_when_it_says_so(gateway: Gateway, client: FlaskClient, receiver: Receiver, clock: list[datetime]) -> None:
    one = subscribe(client, {**subscription(receiver.url), "end": "2026-03-20T13:00:00Z"})
    send(gateway)
    clock[0] += timedelta(hours=2)
    load(gateway, "members", MEMBER)
    send(gateway)
    assert receiver.kinds() == ["handshake"]
    assert status(client, one["id"]) == "off"


def test_a_heartbeat_when_nothing_happens(gateway: Gateway, client: FlaskClient, receiver: Receiver,
                                          clock: list[datetime]) -> None:
    beat = [{"url": f"{BACKPORT}/backport-heartbeat-period", "valueUnsignedInt": 60}]
    subscribe(client, subscription(receiver.url, "Task?code=G01", extension=beat))
    for _ in range(3):
        send(gateway)
        clock[0] += timedelta(seconds=61)
    assert receiver.kinds() == ["handshake", "heartbeat", "heartbeat"]
    load(gateway, "members", MEMBER)
    send(gateway)
    assert receiver.kinds()[3:] == ["event-notification"]
    assert not any(check(bundle) for bundle in receiver.bundles)


def test_a_load_of_many_is_not_told_but_what_changes_is(gateway: Gateway, client: FlaskClient, receiver: Receiver,
                                                        clock: list[datetime], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.engine.gap_keeping.MANY", 0)
    load(gateway, "members", MEMBER)
    subscribe(client, subscription(receiver.url, "Task?code=G01,G02"))
    send(gateway)
    load(gateway, "members", MEMBER.replace(b"M1,", b"M2,"))
    clock[0] += timedelta(hours=2)
    load(gateway, "care_team", CLOSED)
    send(gateway)
    told: Any = client.get("/fhir/Subscription/$status").json
    assert [number for number, _ in receiver.events()] == [1]
    assert value({"entry": [{"resource": told["entry"][0]["resource"]}]}, "events-since-subscription-start") == "1"
