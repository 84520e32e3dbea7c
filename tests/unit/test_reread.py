"""Mappings that change while the gateway serves: read anew as a whole once at rest and sound; else the old stay."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from adapter.errors import Rejected
from adapter.gateway import Gateway
from adapter.home import HOME
from adapter.mapping import watch
from adapter.model import Json
from adapter.settings import Settings
from adapter.web.app import create_app
from adapter.web.worker import Worker

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
CONTACT = (b"contact_id,member_id,organization_id,contact_type,started_at,outcome\n"
           b"C1,M1,ORG-1,telephone,2026-03-01T08:00:00-05:00,reached\n")
ADMISSION = (r"MSH|^~\&|NEWSITE|MAIN|CARELOOP|NETWORK|20260301081000||ADT^A01|%s|P|2.5.1"
             "\rEVN|A01|20260301081000\rPID|1||N1^^^NEWSITE^MR||Wrenmere^Viola||19580904|F\r"
             "PV1|1|I|4N^401^1^MAIN||||||||||||||||%s^^^NEWSITE^VN\r")


@pytest.fixture(name="mappings")
def _mappings(tmp_path: Path) -> Path:
    for name in ("common", "contacts", "network", "st-anne"):
        shutil.copytree(HOME / "mappings" / name, tmp_path / "m" / name)
    return tmp_path / "m"


def opened(tmp_path: Path, mappings: Path) -> Gateway:
    return Gateway(Settings(data_dir=tmp_path / "store", key="00" * 32, mappings=mappings), lambda: NOW)  # pyright: ignore[reportCallIssue]  # pydantic-settings fills the rest


@pytest.fixture(name="gateway")
def _gateway(tmp_path: Path, mappings: Path) -> Iterator[Gateway]:
    gateway = opened(tmp_path, mappings)
    yield gateway
    gateway.close()


def partner(mappings: Path, text: str = "extends: contacts\n") -> None:
    (mappings / "partner").mkdir(exist_ok=True)
    (mappings / "partner" / "feed.yaml").write_text(text)


def work(gateway: Gateway) -> None:
    while gateway.work():
        pass


def test_a_new_feed_comes_into_force_once_it_is_at_rest(gateway: Gateway, mappings: Path) -> None:
    assert gateway.reread() is None
    partner(mappings)
    assert gateway.reread() is None  # it may still be written
    with pytest.raises(Rejected):
        gateway.load("partner", CONTACT)
    found = gateway.reread()
    assert found is not None
    assert (found.changed, found.faults) == (("partner/feed.yaml",), ())
    assert gateway.load("partner", CONTACT).accepted == 1
    work(gateway)
    assert len(gateway.embedded.search("Encounter", []).resources) == 1
    assert gateway.reread() is None


def test_an_unsound_change_is_told_and_the_old_stays_in_force(gateway: Gateway, mappings: Path) -> None:
    client = create_app(gateway).test_client()
    partner(mappings, "extends: nobody\n")
    (mappings / "contacts" / "feed.yaml").write_text("extends: network\nchraset: cp1252\n")
    before = gateway.feeds
    assert gateway.reread() is None
    found = gateway.reread()
    assert found is not None
    assert found.feeds is None
    assert any("chraset" in fault for fault in found.faults)
    assert gateway.feeds is before
    assert gateway.load("contacts", CONTACT).accepted == 1
    ready = client.get("/readyz")
    [note] = cast("Json", ready.json)["notes"]
    assert ready.status_code == 200
    assert (note["code"], note["place"]) == ("mappings-changed", "contacts/feed.yaml, partner/feed.yaml")
    assert "contacts/feed.yaml:" in note["message"]
    assert "contacts/feed.yaml:" in client.get("/").text
    assert "careloop_mappings_changed 2.0" in client.get("/metrics").text
    assert gateway.reread() is None  # told once
    shutil.copy(HOME / "mappings" / "contacts" / "feed.yaml", mappings / "contacts" / "feed.yaml")
    partner(mappings)
    assert gateway.reread() is None
    assert gateway.reread() is not None
    assert "partner" in gateway.feeds.compiled
    assert cast("Json", client.get("/readyz").json)["notes"] == []


def test_what_is_put_back_and_what_decides_nothing_is_no_change(gateway: Gateway, mappings: Path) -> None:
    path = mappings / "common" / "pid.map.yaml"
    before = path.read_bytes()
    (mappings / "contacts" / "cases" / "note.txt").write_text("cases decide nothing")
    path.write_bytes(before + b"# another\n")
    assert gateway.mappings.files.changed() == ("common/pid.map.yaml",)
    path.write_bytes(before)
    assert [gateway.reread() for _ in range(3)] == [None] * 3
    (mappings / "precedence.yaml").write_text("Patient.gender: [common]\n")
    assert [found is not None for found in (gateway.reread(), gateway.reread())] == [False, True]
    assert gateway.feeds.declared == {"Patient.gender": ["common"]}


def test_a_folder_that_is_away_takes_no_feed_away(gateway: Gateway, mappings: Path) -> None:
    mappings.rename(mappings.with_name("away"))
    assert [gateway.reread() for _ in range(2)][1] is not None
    assert gateway.load("contacts", CONTACT).accepted == 1
    mappings.with_name("away").rename(mappings)
    assert [gateway.reread() for _ in range(2)] == [None, None]


def test_contracts_of_the_program_wait_for_a_restart(gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "contacts.json").write_text("{}")
    monkeypatch.setattr(watch, "CONTRACTS", tmp_path / "csv")
    found = [gateway.reread() for _ in range(2)][1]
    assert found is not None
    assert (found.feeds, found.faults) == (None, ())


def test_what_waits_is_mapped_by_what_is_in_force_then(gateway: Gateway, mappings: Path) -> None:
    assert b"MSA|AA" in gateway.accept([((ADMISSION % ("A1", "V1")).replace("NEWSITE", "STANNE").encode(), "test")])[0]
    with (mappings / "st-anne" / "feed.yaml").open("a") as file:
        file.write("precedence: 7\n")
    assert [gateway.reread() for _ in range(2)][1] is not None
    work(gateway)
    assert len(gateway.embedded.search("Encounter", []).resources) == 1


def test_messages_of_a_feed_that_is_not_in_force_here_wait(tmp_path: Path, gateway: Gateway, mappings: Path) -> None:
    site = mappings / "new-site"
    site.mkdir()
    (site / "feed.yaml").write_text("extends: common\nsender: {MSH-3: NEWSITE, MSH-4: MAIN}\ntime_zone: America/New_York\n"
                                    "authorities: {NEWSITE: 'urn:oid:2.16.840.1.113883.3.9999.77'}\n")
    other = opened(tmp_path, mappings)
    try:
        assert b"MSA|AA|A1" in other.accept([((ADMISSION % ("A1", "V1")).encode(), "test")])[0]
    finally:
        other.close()
    work(gateway)
    assert (gateway.waiting(), len(gateway.embedded.search("Encounter", []).resources)) == (1, 0)
    assert [gateway.reread() for _ in range(2)][1] is not None
    work(gateway)
    assert (gateway.waiting(), len(gateway.embedded.search("Encounter", []).resources)) == (0, 1)
    assert b"MSA|AA|A2" in gateway.accept([((ADMISSION % ("A2", "V2")).encode(), "test")])[0]
    site.rename(tmp_path / "gone")  # a feed that is taken away leaves what it said, and what waits of it
    assert [gateway.reread() for _ in range(2)][1] is not None
    work(gateway)
    assert gateway.waiting() == 1
    (tmp_path / "gone").rename(site)
    assert [gateway.reread() for _ in range(2)][1] is not None
    work(gateway)
    assert (gateway.waiting(), len(gateway.embedded.search("Encounter", []).resources)) == (0, 2)


def test_the_worker_brings_changes_into_force_and_logs_them_once(
        gateway: Gateway, mappings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    worker, told = Worker(gateway), ""
    partner(mappings, "extends: nobody\n")
    worker.start()

    def until(text: str) -> None:
        nonlocal told
        ends = time.monotonic() + 60
        while text not in told and time.monotonic() < ends:
            told += capsys.readouterr().err
            worker.wake()
            time.sleep(0.05)
    until("not in force")
    partner(mappings)
    until("mappings read anew")
    worker.stop()
    told += capsys.readouterr().err
    assert [line.count("partner/feed.yaml") > 0 for line in told.splitlines() if "mappings" in line] == [True, True]
    assert "partner" in gateway.feeds.compiled
