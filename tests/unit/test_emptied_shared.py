"""An emptied cell of shared data takes back what its own row said, nobody else's word."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapter.gateway import Gateway
from adapter.model import Json
from adapter.settings import Settings

HEADER = "record,organization_id,organization_name,phone,on_call_phone,service_id,service,updated_at\n"
CONTACTS = ("contact_id,member_id,organization_id,organization_name,contact_type,started_at,outcome,updated_at\n"
            "C1,M1,ORG-A,Harbor House,telephone,2026-03-01T08:00:00-05:00,reached,2026-03-01T08:00:00-05:00\n")


@pytest.fixture(name="gateway")
def _gateway(tmp_path: Path) -> Iterator[Gateway]:
    ticks = itertools.count()
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32),  # pyright: ignore[reportCallIssue]  # pydantic-settings fills the rest
                      lambda: datetime(2026, 3, 20, tzinfo=UTC) + timedelta(seconds=next(ticks)))
    yield gateway
    gateway.close()


def load(gateway: Gateway, *rows: str, header: str = HEADER) -> None:
    assert not gateway.load("organizations", (header + "".join(rows)).encode()).refused_count
    while gateway.work():
        pass


def row(day: int, name: str = "Harbor House", phone: str = "", on_call: str = "", record: str = "organization") -> str:
    service = "SVC-1,housing" if record == "service" else ","
    return f"{record},ORG-A,{name},{phone},{on_call},{service},2026-02-{day:02}T08:00:00-05:00\n"


def house(gateway: Gateway) -> Json:
    return gateway.embedded.search("Organization", [("identifier", "urn:x-careloop:organization|ORG-A")]).resources[0]


@pytest.mark.parametrize("late", [False, True])
def test_an_emptied_cell_takes_back_what_the_row_said(gateway: Gateway, late: bool) -> None:
    versions = [row(1, phone="518-555-0100", on_call="518-555-0190"), row(2)]
    for one in reversed(versions) if late else versions:
        load(gateway, one)
    assert "telecom" not in house(gateway)
    assert not gateway.embedded.search("HealthcareService", []).resources
    load(gateway, row(3, on_call="518-555-0191"))
    [service] = gateway.embedded.search("HealthcareService", []).resources
    assert service["telecom"][0]["value"] == "518-555-0191"


def test_it_takes_back_nobody_else_s_word_and_a_file_without_the_column_says_nothing(gateway: Gateway) -> None:
    gateway.load("contacts", CONTACTS.encode())
    load(gateway, row(1, name="Harbor", phone="518-555-0100"))
    assert house(gateway)["name"] == "Harbor"
    load(gateway, "organization,ORG-A,,2026-02-02T08:00:00-05:00\n",
         header="record,organization_id,organization_name,updated_at\n")
    assert house(gateway)["name"] == "Harbor House"
    assert house(gateway)["telecom"][0]["value"] == "518-555-0100"


def test_a_row_of_another_kind_takes_nothing_back(gateway: Gateway) -> None:
    load(gateway, row(1, phone="518-555-0100", on_call="518-555-0190"), row(2, record="service"))
    assert house(gateway)["telecom"][0]["value"] == "518-555-0100"
    assert len(gateway.embedded.search("HealthcareService", []).resources) == 2
