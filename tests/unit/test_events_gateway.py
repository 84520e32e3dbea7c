"""Events through the gateway's door: acknowledged, kept, and the same resources whatever arrived first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from adapter.gateway import Gateway
from adapter.settings import Settings
from tests.unit.test_events_table import ADMITTED, ICU, Told

START = datetime(2026, 3, 20, 12, tzinfo=UTC)
BED = b"MSH|^~\\&|EXAMPLE|EAST|||20260301100000||ADT^A20|B1|P|2.5.1\rEVN|A20|20260301100000\rNPU|3W^312^A|H\r"

STAY = [
    Told(event="A05", hour=1, cls="P", fields={3: "3W^1"}), Told(event="A01", hour=8, fields={3: "3W^1"}),
    Told(event="A15", hour=10, fields={3: "3W^1", 42: "ICU^9"}), Told(event="A02", hour=12, fields=ICU),
    Told(event="A12", hour=14, of=12, fields={3: "3W^1"}), Told(event="A21", hour=20, fields={3: "3W^1"}),
    Told(event="A22", hour=30, fields={3: "3W^1"}), Told(event="A54", hour=32, fields={7: "1^Brindle^Asa"}),
    Told(event="A03", hour=50, fields={3: "3W^1"}), Told(event="A13", hour=52, of=50, fields={3: "3W^1"})]


@pytest.fixture(name="opened")
def _opened(tmp_path: Path) -> Callable[[str], Gateway]:
    """Opens an installation of that name."""
    def open_it(name: str) -> Gateway:
        ticks = iter(range(10**6))
        return Gateway(Settings(data_dir=tmp_path / name, key="00" * 32), lambda: START + timedelta(seconds=next(ticks)))
    return open_it


def found(gateway: Gateway, resource_type: str) -> list[Any]:
    """Bodies of all resources of a type, without what each version has of its own."""
    resources = gateway.embedded.search(resource_type, []).resources
    return sorted(({k: v for k, v in one.items() if k != "meta"} for one in resources), key=lambda one: str(one["id"]))


def told(gateway: Gateway, stay: Sequence[Told], *, one_by_one: bool) -> bytes:
    """The Encounters as text once the stay came in."""
    for one in stay:
        gateway.accept([(one.raw(), "test")])
        if one_by_one:
            gateway.work()
    while gateway.work():
        pass
    return orjson.dumps(found(gateway, "Encounter"), option=orjson.OPT_SORT_KEYS)


def test_a_stay_of_ten_messages_in_three_orders_and_sent_again(opened: Callable[[str], Gateway]) -> None:
    straight = told(opened("straight"), STAY, one_by_one=True)
    assert told(opened("back"), STAY[::-1], one_by_one=True) == straight
    assert told(opened("mixed"), [*STAY[::2], *STAY[1::2], *STAY[3:6]], one_by_one=False) == straight
    [visit] = orjson.loads(straight)
    assert (visit["status"], [one["status"] for one in visit["statusHistory"]]) == (
        "in-progress", ["planned", "in-progress", "onleave"])
    assert [(one["location"]["display"], one["status"]) for one in visit["location"]] == [
        ("1", "active"), ("9", "planned")]  # the transfer was cancelled, not that it is pending


def test_the_state_of_a_bed_is_taken_without_a_patient(opened: Callable[[str], Gateway]) -> None:
    gateway = opened("bed")
    told(gateway, [ADMITTED], one_by_one=True)
    [ack] = gateway.accept([(BED, "test")])
    assert b"MSA|AA|B1" in ack
    gateway.work()
    [bed] = [one for one in found(gateway, "Location") if one["name"] == "A"]
    assert bed["operationalStatus"]["code"] == "H"


def test_what_is_no_adt_event_is_refused_in_its_acknowledgement(opened: Callable[[str], Gateway]) -> None:
    [ack] = opened("refusing").accept([(Told(event="A19", hour=8).raw(), "test")])
    assert b"MSA|AR|A198" in ack
    assert b"|201^" in ack
