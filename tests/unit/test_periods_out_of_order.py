"""A period that ends before it begins keeps its start: the end is left out, and told where it was read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapter.feeds import Feeds, open_feeds
from adapter.gateway import Gateway
from adapter.home import HOME
from adapter.model import Json, Received, is_array, is_object
from adapter.pipeline import Conversion, convert
from adapter.settings import Settings

NOW = datetime(2026, 11, 20, tzinfo=UTC)
HEAD = (r"MSH|^~\&|STANNE|MAIN|CARELOOP|NETWORK|20260301081000||ADT^{0}|{1}|P|2.5.1" "\rEVN|{0}|20260301081000\r")
PATIENT = "PID|1||S1^^^STANNE^MR{0}||Wrenmere^Viola{1}||19580904|F|||4 Mill Road^^Fernhill^NY^12998^USA^H{2}\r"
PLAIN = PATIENT.format("", "", "")
VISIT = f"PV1|1|I|4N^401^1^MAIN{'|' * 16}SV9^^^STANNE^VN"
IN_FULL = (PATIENT.format("^^20260301^20250101", "^^^^^L^^^^^20260301^20250101", "^^^^^^20260301^20250101")
           + "NK1|1|Doe^Ed|SPO^Spouse^HL70063|||||20260101|20250101\r" + "NK1|2|Roe^Al|EMC||||C|20260101|20250101\r" + VISIT
           + "|" * 25 + "20260305|20260301\rGT1|1|G1|Poe^Ida||||||||PAR||20260101|20250101\r"
           "IN1|1|PLAN|COMP1|Made-up Plan||||||||20260101|20251231|||Wrenmere^Viola|SEL|||||||||||||||||||||POL1\r")


@pytest.fixture(name="feeds", scope="module")
def _feeds() -> Feeds:
    return open_feeds(HOME / "mappings")


def converted(feeds: Feeds, event: str, segments: str) -> Conversion:
    return convert(Received(raw=(HEAD.format(event, "P1") + segments).encode(), arrival=NOW), feeds, b"key")


def periods(value: Any) -> list[Json]:
    """Every period in a resource."""
    if is_array(value):
        return [period for item in value for period in periods(item)]
    if not is_object(value):
        return []
    return [*([value["period"]] if "period" in value else []), *(period for item in value.values() for period in periods(item))]


def test_each_period_of_a_message_keeps_its_start(feeds: Feeds) -> None:
    conversion = converted(feeds, "A03", IN_FULL)
    found = [(e["resource"]["resourceType"], p) for e in conversion.bundle["entry"] for p in periods(e["resource"])]
    assert {kind for kind, _ in found} >= {"Patient", "RelatedPerson", "Encounter", "Coverage"}
    assert all(set(period) == {"start"} for _, period in found), found
    told = {i.place for i in conversion.issues if i.code == "bad-value" and "before the start" in i.detail}
    assert told >= {"PID-3", "PID-5", "PID-11", "NK1-9", "IN1-13"}
    assert "Encounter.period" in {i.place for i in conversion.issues if i.code == "fhir-structure"}


def test_what_is_in_order_has_its_end(feeds: Feeds) -> None:
    conversion = converted(feeds, "A03", IN_FULL.replace("20250101", "20260401").replace("20251231", "20261231"))
    found = [(e["resource"]["resourceType"], p) for e in conversion.bundle["entry"] for p in periods(e["resource"])]
    assert all(set(period) == {"start", "end"} for kind, period in found if kind != "Encounter"), found


def test_start_and_end_of_two_messages(tmp_path: Path) -> None:
    ticks = iter(range(1000))
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32),  # pyright: ignore[reportCallIssue]  # pydantic-settings fills the rest
                      lambda: NOW + timedelta(seconds=next(ticks)))
    for event, rest in (("A01", "|" * 25 + "20260305"), ("A03", "|" * 26 + "20260301")):
        message = HEAD.format(event, event) + PLAIN + VISIT + rest + "\r"
        assert b"MSA|AA" in gateway.accept([(message.encode(), "test")])[0]
    while gateway.work():
        pass
    [visit] = gateway.embedded.search("Encounter", []).resources
    gateway.close()
    assert (visit["status"], visit["period"]) == ("finished", {"start": "2026-03-05"})
