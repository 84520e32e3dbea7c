"""Whom a member allows to be told: by consents of the network's rows, at a subscriber's, at `$events` and on the stream."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.consent.decision import Basis, Disclosure, permitted
from adapter.gateway import Gateway
from adapter.intake.loop_thread import run_in_thread
from adapter.settings import Settings
from adapter.store import subscriptions
from adapter.store.engine import reading
from adapter.store.search_index import microseconds
from adapter.validate.check import check
from adapter.web.app import create_app
from adapter.web.event_stream import EventStream, Limits
from tests.receiver import Json, Receiver, events_of, part, subscription
from tests.unit.test_event_stream import ASKED
from tests.unit.test_gap_lives import MEMBER, SEAT, load
from tests.unit.test_stays import TOPIC as STAYS
from tests.unit.test_stays import adt, receive
from tests.unit.test_subscriptions import send, subscribe

LEAD = SEAT % (b"", b"2026-02-27T07:00:00-05:00")
ENDED = SEAT % (b"2026-02-28", b"2026-03-01T07:00:00-05:00")
HARBOR = (b"member_id,program,organization_id,organization_name,npi,first_name,last_name,role,start_date,end_date,updated_at\n"
          b"M1,care-coordination,ORG-HARBOR,Harbor,2000001026,Ines,Calder,specialist,2026-01-12,%s,2026-02-27T07:00:00-05:00\n")
RELEASE = ("consent_id,member_id,status,discloser_org,recipient_org,data_class,purpose,granted_at,period_end,revoked_at,"
           "updated_at\n")
CONDITION = (b"condition_id,member_id,code,code_system,description,category,clinical_status,verification_status,recorded_date,"
             b"updated_at\nCD-1,M1,F33.1,icd10cm,Depression,problem-list-item,active,confirmed,2026-02-03,2026-02-03T09:00:00-05:00\n")
NOW = datetime(2026, 3, 1, 17, tzinfo=UTC)


def release(status: str = "active", data_class: str = "", purpose: str = "", end: str = "", number: int = 1,
            discloser: str = "ORG-MAPLE", stated: str = "2026-02-01T08:00:00-05:00") -> bytes:
    """A file of one release of the member to Harbor."""
    revoked = stated if status == "revoked" else ""
    return (RELEASE + f"CN-{number},M1,{status},{discloser},ORG-HARBOR,{data_class},{purpose},2026-01-20T08:00:00-05:00,{end},"
                      f"{revoked},{stated}\n").encode()


@pytest.fixture(name="clock")
def _clock() -> list[datetime]:
    return [NOW]


@pytest.fixture(name="gateway")
def _gateway(tmp_path: Path, clock: list[datetime]) -> Iterator[Gateway]:
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32, notice_hosts="127.0.0.1=ORG-HARBOR"), lambda: clock[0])
    load(gateway, "members", MEMBER)
    yield gateway
    gateway.close()


def withheld(gateway: Gateway) -> int:
    with reading(gateway.engine) as connection:
        return subscriptions.withheld(connection)


@pytest.mark.parametrize(("rows", "on_team", "told"), [
    ([], True, True),
    ([], False, False),
    ([release(data_class="general")], False, True),
    ([release()], False, True),
    ([release(purpose="CAREMGT")], False, True),
    ([release(purpose="HPAYMT")], False, False),
    ([release(data_class="mental-health")], False, False),
    ([release(data_class="mental-health")], True, True),
    ([release(discloser="ORG-OTHER")], False, False),
    ([release("refused")], True, False),
    ([release("revoked")], True, False),
    ([release("revoked", "mental-health")], True, True),
    ([release("revoked"), release(number=2)], True, True),
    ([release(end="2026-02-20")], True, False),
    ([release("draft")], True, True),
])
def test_a_gap_in_general_data(gateway: Gateway, client: FlaskClient, receiver: Receiver, rows: Sequence[bytes], *, on_team: bool,
                               told: bool) -> None:
    load(gateway, "care_team", HARBOR % (b"" if on_team else b"2026-01-31"))
    for one in rows:
        load(gateway, "consents", one)
    made = subscribe(client, subscription(receiver.url, "Task?code=G01"))
    send(gateway)
    load(gateway, "care_team", LEAD)
    send(gateway)
    assert bool(receiver.events()) is told
    assert withheld(gateway) == (not told)
    answer: Any = client.get(f"/fhir/Subscription/{made['id']}/$status").json
    assert b"withheld" not in client.application.json.dumps(answer).encode()


@pytest.mark.parametrize(("rows", "told"), [
    ([], False),
    ([release(data_class="general")], False),
    ([release(data_class="mental-health")], False),
    ([release(data_class="mental-health"), release(data_class="substance-use", number=2)], True),
    ([release()], True),
    ([release("revoked")], False),
])
def test_a_gap_that_reads_protected_classes(gateway: Gateway, client: FlaskClient, receiver: Receiver, rows: Sequence[bytes], *,
                                            told: bool) -> None:
    load(gateway, "care_team", HARBOR % b"")
    for one in rows:
        load(gateway, "consents", one)
    subscribe(client, subscription(receiver.url, "Task?code=G14,G26"))
    send(gateway)
    load(gateway, "conditions", CONDITION)
    send(gateway)
    assert bool(receiver.events()) is told
    assert bool(withheld(gateway)) is not told


def test_after_a_revocation_nothing_more_is_sent(gateway: Gateway, client: FlaskClient, receiver: Receiver,
                                                 clock: list[datetime]) -> None:
    load(gateway, "consents", release())
    made = subscribe(client, subscription(receiver.url, "Task?code=G01", content="full-resource"))
    send(gateway)
    load(gateway, "care_team", LEAD)
    send(gateway)
    load(gateway, "care_team", ENDED)  # reopened: an event that waits when the member revokes
    clock[0] += timedelta(hours=1)
    load(gateway, "consents", release("revoked", stated="2026-03-01T12:30:00-05:00"))
    send(gateway)
    first, last = receiver.bundles[1:]
    assert [entry["resource"]["resourceType"] for entry in first["entry"]] == ["Parameters", "Task"]
    [event] = events_of(last)
    assert (part(event, "event-number"), part(event, "focus"), len(last["entry"])) == ("2", {}, 1)
    again: Any = client.get(f"/fhir/Subscription/{made['id']}/$events").json
    assert [(part(event, "event-number"), part(event, "focus")) for event in events_of(again)] == [("1", {}), ("2", {})]
    assert len(again["entry"]) == 1
    assert not check(last)
    assert not check(again)
    load(gateway, "care_team", LEAD.replace(b"2026-02-27", b"2026-03-04"))
    send(gateway)
    assert len(receiver.bundles) == 3
    assert withheld(gateway) == 1


@pytest.mark.parametrize(("rows", "changes", "told"), [
    ([], {}, True),
    ([release(discloser="ORG-STANNE")], {}, True),
    ([release("revoked", discloser="ORG-STANNE")], {}, False),
    ([], {"PV1": "|PSY|"}, False),
    ([release(discloser="ORG-STANNE", data_class="mental-health")], {"PV1": "|PSY|"}, True),
    ([release(discloser="ORG-STANNE", data_class="general")], {"PV1": "|PSY|"}, False),
    ([], {"ARV": "ARV|1||ALL^All^HL70717"}, False),
])
def test_a_stay(gateway: Gateway, client: FlaskClient, receiver: Receiver, rows: Sequence[bytes], changes: dict[str, str], *,
                told: bool) -> None:
    load(gateway, "care_team", HARBOR % b"")
    for one in rows:
        load(gateway, "consents", one)
    subscribe(client, subscription(receiver.url, topic=STAYS, content="full-resource", type="message"))
    message = adt("A01").replace(b"|MED|", changes.get("PV1", "|MED|").encode())
    receive(gateway, [message + f"{changes['ARV']}\r".encode() if "ARV" in changes else message])
    send(gateway)
    assert bool(receiver.bundles) is told


def test_a_host_of_two_organizations_is_told_what_both_may_know(tmp_path: Path, receiver: Receiver) -> None:
    hosts = "127.0.0.1=ORG-HARBOR, 127.0.0.1=ORG-MAPLE, 127.0.0.1=*"
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32, notice_hosts=hosts), lambda: NOW)
    client = create_app(gateway).test_client()
    load(gateway, "members", MEMBER)
    subscribe(client, subscription(receiver.url, "Task?code=G01"))
    send(gateway)
    load(gateway, "care_team", LEAD)
    assert withheld(gateway) == 1  # Maple may, Harbor may not
    load(gateway, "consents", release())
    load(gateway, "care_team", ENDED)
    send(gateway)
    assert len(receiver.events()) == 1
    gateway.close()


def test_whose_a_host_is_can_change_between_starts(tmp_path: Path, receiver: Receiver) -> None:
    first = Gateway(Settings(data_dir=tmp_path, key="00" * 32, notice_hosts="127.0.0.1=*"), lambda: NOW)
    subscribe(create_app(first).test_client(), subscription(receiver.url, "Task?code=G01"))
    first.close()
    second = Gateway(Settings(data_dir=tmp_path, key="00" * 32, notice_hosts="127.0.0.1=ORG-HARBOR"), lambda: NOW)
    send(second)
    load(second, "members", MEMBER)
    send(second)
    assert receiver.events() == []
    assert withheld(second) == 1
    second.close()


def test_who_listens_to_the_stream(gateway: Gateway) -> None:
    load(gateway, "care_team", HARBOR % b"")
    load(gateway, "conditions", CONDITION)  # G14, G26: protected
    load(gateway, "care_team", LEAD)
    listener = EventStream("127.0.0.1", 0, gateway.engine, Limits(heartbeat=0.2), lambda: microseconds(NOW))
    handle = run_in_thread(listener, "events")
    try:
        assert {"G01", "G14"} <= heard(listener, b"")
        assert "G01" in heard(listener, b"&recipient=ORG-HARBOR")
        assert not {"G14", "G26", "G27"} & heard(listener, b"&recipient=ORG-HARBOR")
        assert not any(rule.startswith("G") for rule in heard(listener, b"&recipient=ORG-NOBODY"))
    finally:
        handle.stop()


def heard(listener: EventStream, query: bytes) -> set[str]:
    """Rules of the gaps that stand on the stream, up to the first heartbeat."""
    found: set[str] = set()
    with socket.create_connection(("127.0.0.1", listener.port), 30) as connection:
        connection.sendall(ASKED % (b"?topic=gap-life&lastEventId=0" + query, b""))
        with connection.makefile("rb") as lines:
            for line in lines:
                if line == b":\n":
                    return found
                if line.startswith(b"data: "):
                    found.add(line.partition(b"urn:x-careloop:rule|")[2][:3].decode())
    return found


# --- the decision by itself, held to another reading of it

ORGANIZATIONS = ["Organization/a", "Organization/b", "Organization/c"]
CLASSES = ["general", "mental-health", "substance-use"]
DAYS = ["2026-02-01", "2026-03-01", "2026-04-01"]
AT = round(datetime(2026, 3, 10, tzinfo=UTC).timestamp()) * 1_000_000


@st.composite
def consents(draw: st.DrawFn) -> Json:
    """A Consent as feeds make it, and what others may write."""
    provision: Json = {"type": draw(st.sampled_from(["permit", "permit", "permit", "deny"]))}
    if draw(st.booleans()) or provision["type"] == "permit":
        provision["actor"] = [{"role": {"coding": [{"code": "IRCP"}]},
                               "reference": {"reference": draw(st.sampled_from(ORGANIZATIONS))}}]
    named = draw(st.sampled_from(["", "", "all", *CLASSES]))
    if named:
        provision["code"] = [{"coding": [{"system": "urn:x-careloop:data-class", "code": named}]}]
    period = {name: draw(st.sampled_from(DAYS)) for name in ("start", "end") if draw(st.booleans())}
    purpose = draw(st.sampled_from(["", "", "TREAT", "HPAYMT"]))
    return {"resourceType": "Consent", "status": draw(st.sampled_from(["active", "active", "inactive", "rejected", "draft"])),
            "scope": {"coding": [{"code": draw(st.sampled_from(["patient-privacy"] * 5 + ["research"]))}]},
            "organization": [{"reference": draw(st.sampled_from(ORGANIZATIONS))}],
            "provision": provision | ({"period": period} if period else {})
            | ({"purpose": [{"code": purpose}]} if purpose else {})
            | ({"provision": [{"type": "deny"}]} if draw(st.integers(0, 6)) == 0 else {})}


def oracle(asked: Disclosure, all_of_them: Sequence[Json], basis: Basis) -> bool:
    """The sentences of docs/fhir-clients.md, one after another, without the program's own helpers."""
    kept: list[dict[str, Any]] = []
    for one in all_of_them:
        provision = one["provision"]
        begin, end = (provision.get("period", {}).get(name, "") for name in ("start", "end"))
        kept.append({
            "status": one["status"], "type": provision["type"], "privacy": one["scope"]["coding"][0]["code"] == "patient-privacy",
            "to": [actor["reference"]["reference"] for actor in provision.get("actor", [])],
            "of": one["organization"][0]["reference"],
            "class": provision["code"][0]["coding"][0]["code"] if "code" in provision else "all",
            "before": begin > "2026-03-10", "after": bool(end) and end < "2026-03-10", "limits": "provision" in provision,
            "other": provision.get("purpose", [{"code": "TREAT"}])[0]["code"] not in ("TREAT", "CAREMGT")})
    kept = [one for one in kept if one["privacy"]]
    for one in kept:
        if (one["type"], one["status"]) == ("deny", "active") and not one["before"] and not one["after"] and (
                not one["to"] or asked.recipient in one["to"]) and (one["class"] == "all" or one["class"] in asked.classes):
            return False
    for name in asked.classes:
        mine = [one for one in kept if one["type"] == "permit" and asked.recipient in one["to"] and not one["other"]
                and one["class"] in ("all", name) and one["status"] != "draft"
                and (asked.discloser in ("", asked.recipient) or one["of"] == asked.discloser)]
        if [one for one in mine if one["status"] == "active" and not (one["before"] or one["after"] or one["limits"])]:
            continue
        if [one for one in mine if one["status"] != "active" or one["after"] or one["limits"]]:
            return False
        near = {*basis.circle, *basis.agreed, asked.discloser}
        if name != "general" or basis.part2 or asked.recipient not in near:
            return False
    return True


@settings(max_examples=int(os.environ.get("CARELOOP_EXAMPLES", "400")), deadline=None)
@given(st.lists(consents(), max_size=4), st.sampled_from(["", *ORGANIZATIONS]), st.sampled_from(ORGANIZATIONS),
       st.sets(st.sampled_from(CLASSES), min_size=1), st.sets(st.sampled_from(ORGANIZATIONS)),
       st.sets(st.sampled_from(ORGANIZATIONS)), st.booleans())
def test_the_decision_is_what_the_docs_say(all_of_them: list[Json], discloser: str, recipient: str, classes: set[str],
                                           circle: set[str], agreed: set[str], part2: bool) -> None:
    asked = Disclosure(recipient=recipient, discloser=discloser, classes=frozenset(classes), at=AT)
    basis = Basis(circle=frozenset(circle), agreed=frozenset(agreed), part2=part2)
    assert permitted(asked, all_of_them, basis) is oracle(asked, all_of_them, basis)
