"""Notices and Subscriptions before the real validator, without the guides' packages: R4, and US Core in what goes along."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.web.app import create_app
from tests.receiver import Json, receiving, subscription
from tests.unit.test_gap_lives import MEMBER, load
from tests.unit.test_stays import TEAM, adt, receive
from tests.unit.test_stays import TOPIC as STAYS
from tests.unit.test_subscriptions import send
from tests.validator import hapi_errors

GUIDES = ("http://hl7.org/fhir/uv/subscriptions-backport/", "http://hl7.org/fhir/us/davinci-alerts/")


@pytest.fixture(name="sent")
def _sent(tmp_path: Path) -> Iterator[list[Json]]:
    """Everything that subscribers are sent and answered: handshakes, events of every content, messages, statuses."""
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32, notice_hosts="127.0.0.1=*"),
                      lambda: datetime(2026, 3, 1, 17, 10, tzinfo=UTC))
    client = create_app(gateway).test_client()
    load(gateway, "members", MEMBER)
    with receiving() as receiver:
        contents = ("empty", "id-only", "full-resource")
        asked = [subscription(receiver.url, "Task?code=G01", content=content) for content in contents]
        asked += [subscription(receiver.url, topic=STAYS, content="full-resource"),
                  subscription(receiver.url, topic=STAYS, content="full-resource", type="message")]
        paths: list[str] = []
        for one in asked:
            made = client.post("/fhir/Subscription", json=one).json
            assert made is not None
            paths.append(f"/fhir/Subscription/{made['id']}")
        send(gateway)
        load(gateway, "care_team", TEAM)
        receive(gateway, [adt("A01"), adt("A11")])
        send(gateway)
        paths += [f"{paths[2]}/$events", "/fhir/Subscription/$status", "/fhir/Subscription"]
        answers = [client.get(path).json for path in paths]
        yield [*receiver.bundles, *(one for one in answers if one is not None)]
    gateway.close()


@pytest.mark.hapi
@pytest.mark.shared
def test_notices_are_valid_but_for_profiles_that_are_not_at_hand(sent: list[Json]) -> None:
    assert {one.get("type", one["resourceType"]) for one in sent} == {"history", "message", "searchset", "Subscription"}
    errors = hapi_errors([{"id": "none", **one} for one in sent])
    missing = [one for one in errors if any(guide in one for guide in GUIDES)
               and ("could not be found" in one or "Failed to retrieve profile" in one)]
    assert missing
    assert [one for one in errors if one not in missing] == []
