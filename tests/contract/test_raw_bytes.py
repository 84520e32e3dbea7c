"""Raw bytes are purged by age while what they stated stays, and sealed at rest under keys that can be changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from adapter.cli import main
from adapter.errors import Defect, Rejected, Unavailable
from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.store.engine import reading, writing
from adapter.store.handling import handled
from adapter.store.schema import CONTRIBUTION, FINDING, JOURNAL, RESOURCE
from adapter.store.vault import Vault, name_of
from adapter.web.readiness import notes
from tests.contract.conftest import DATABASES
from tests.servers import postgres_url
from tests.unit.test_gateway import BESS, MEMBERS, adt

START = datetime(2026, 3, 20, 12, tzinfo=UTC)
OLD, NEW = "aa" * 32, "bb" * 32
CANARY = b"NOBODY-READS-THIS"
Open = Callable[..., Gateway]


@pytest.fixture(params=DATABASES)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the gateway of one store, `days` after the start, again and again."""
    url = postgres_url() if request.param == "postgresql" else ""
    open_ones: list[Gateway] = []

    def open_it(days: float = 0, **settings: Any) -> Gateway:
        ticks = iter(range(10**6))
        asked = Settings(data_dir=tmp_path, key="00" * 32, database_url=url, **settings)
        gateway = Gateway(asked, lambda: START + timedelta(days=days, seconds=next(ticks)))
        open_ones.append(gateway)
        return gateway

    yield open_it
    for gateway in open_ones:
        gateway.close()


def with_canary(raw: bytes) -> bytes:
    """A text that no mapping takes, so that only the raw bytes have it."""
    return raw + b"ZZZ|" + CANARY + b"\r"


def work_off(gateway: Gateway) -> None:
    while gateway.work():
        pass


def stored(gateway: Gateway) -> dict[str, Any]:
    """Raw bytes by control id, of those that are not purged."""
    with reading(gateway.engine) as connection:
        return {r.control_id: r.raw for r in connection.execute(select(JOURNAL).where(JOURNAL.c.purged.is_(None)))}


def standing(gateway: Gateway) -> tuple[Any, ...]:
    with reading(gateway.engine) as connection:
        return (connection.execute(select(RESOURCE).order_by(RESOURCE.c.resource_type, RESOURCE.c.id)).all(),
                connection.execute(select(CONTRIBUTION).order_by(CONTRIBUTION.c.id)).all())


# --- purged by age

def test_raw_bytes_go_by_age_and_what_they_stated_stays(opened: Open, tmp_path: Path) -> None:
    first = opened(raw_days=30)
    first.accept([(with_canary(adt("C1")), "t"), (adt("C2").replace(b"|P|2.5.1", b"|X|2.5.1"), "t")])
    first.load("members", (MEMBERS + BESS).encode(), "m.csv")
    work_off(first)
    before = standing(first)
    assert first.retention.keep() == 0, "nothing is 30 days old"
    later = opened(31, raw_days=30)
    later.accept([(adt("C3", number="800003"), "t")])
    assert later.retention.keep() == 3
    assert set(stored(later)) == {"C3"}
    assert standing(later) == before
    assert later.retention.keep() == 0
    answers = later.accept([(with_canary(adt("C1")), "t")])
    assert b"MSA|AA|C1" in answers[0]
    assert later.waiting() == 1, "it is known by its hash, and not taken twice"
    first.close()
    later.close()
    if file := next(tmp_path.glob("careloop.db"), None):
        assert CANARY not in file.read_bytes()


def test_what_waits_or_failed_keeps_its_raw_bytes(opened: Open) -> None:
    gateway = opened(raw_days=1)
    gateway.accept([(adt("C1"), "t"), (adt("C2", number="800002"), "t"), (adt("C3", number="800003"), "t")])
    work_off(gateway)
    gateway.accept([(adt("C4", number="800004"), "t")])
    with writing(gateway.engine) as connection:
        connection.execute(update(JOURNAL).where(JOURNAL.c.control_id == "C2").values(state="failed"))
    gateway.retention.keep()
    later = opened(2, raw_days=1)
    assert later.retention.keep() == 2
    assert set(stored(later)) == {"C2", "C4"}
    with writing(gateway.engine) as connection:
        connection.execute(update(JOURNAL).where(JOURNAL.c.control_id == "C2").values(state="done"))
    work_off(later)
    assert later.retention.keep() == 2, "once they are settled their age counts"


def test_age_is_counted_from_when_it_came_not_from_what_it_says(opened: Open) -> None:
    gateway = opened(100, raw_days=30)
    gateway.retention.keep()
    gateway.load("members", (MEMBERS + BESS).encode(), "m.csv", as_of=START)
    work_off(gateway)
    assert gateway.retention.keep() == 0
    behind = opened(0, raw_days=30)  # a clock that went back 100 days
    behind.retention.keep()
    assert opened(101, raw_days=30).retention.keep() == 0


def test_a_refused_message_that_was_purged_is_tried_anew_when_it_comes_again(opened: Open) -> None:
    raw = adt("C1").replace(b"|P|2.5.1", b"|X|2.5.1")
    gateway = opened()
    gateway.accept([(raw, "t")])
    gateway.retention.keep()
    later = opened(1)
    assert later.retention.purge(0) == 1
    with writing(later.engine) as connection:  # the feed is mended, so to speak: it is taken now
        identity = f"EXAMPLE|EAST|C1|{hashlib.sha256(adt('C1')).hexdigest()}"
        connection.execute(update(JOURNAL).values(identity=identity))
    later.accept([(adt("C1"), "t")])
    assert stored(later) == {"C1": adt("C1")}
    work_off(later)
    assert len(later.embedded.search("Patient", []).resources) == 1


def test_mapping_anew_leaves_what_purged_messages_stated(opened: Open) -> None:
    gateway = opened()
    gateway.accept([(adt("C1", phone="5550161"), "t"), (adt("C2", number="800002"), "t")])
    work_off(gateway)
    gateway.retention.keep()
    later = opened(1)
    assert later.retention.purge(0) == 2
    later.accept([(adt("C3", number="800003"), "t")])
    work_off(later)
    before = standing(later)[0]
    with reading(later.engine) as connection:
        feed = connection.scalar(select(JOURNAL.c.feed).where(JOURNAL.c.control_id == "C3")) or ""
    done = later.operators.remap(feed, dry_run=False, everything=True)
    assert (done.entries, done.changes, done.purged > 0) == (1, (), True)
    assert standing(later)[0] == before


# --- sealed at rest

def test_nobody_reads_raw_bytes_without_the_key(opened: Open, tmp_path: Path) -> None:
    gateway = opened(raw_keys=OLD)
    gateway.accept([(with_canary(adt("C1")), "t")])
    gateway.load("members", (MEMBERS + BESS).encode(), "m.csv")
    assert CANARY not in stored(gateway)["C1"]
    again = opened(raw_keys=OLD)  # a process that has mapped nothing yet
    work_off(again)
    assert len(again.embedded.search("Patient", []).resources) == 2
    gateway.close()
    again.close()
    assert all(CANARY not in path.read_bytes() for path in tmp_path.glob("careloop.db*"))


def test_keys_are_changed_while_it_runs(opened: Open) -> None:
    opened().accept([(with_canary(adt("C0", number="800000")), "t")])
    opened(raw_keys=OLD).accept([(adt("C1"), "t")])
    both = opened(raw_keys=f"{NEW},{OLD}")
    both.accept([(adt("C2", number="800002"), "t")])
    assert both.retention.reseal() == 2
    assert CANARY not in stored(both)["C0"]
    new = opened(raw_keys=NEW)
    work_off(new)
    with reading(new.engine) as connection:
        assert set(connection.scalars(select(JOURNAL.c.state))) == {"done"}
    assert new.retention.reseal() == 0


def test_a_key_that_is_missing_holds_work_up_and_loses_nothing(opened: Open) -> None:
    opened(raw_keys=OLD).accept([(adt("C1"), "t")])
    other = opened(raw_keys=NEW)
    with pytest.raises(Unavailable) as missing:
        other.work()
    assert missing.value.issue.code == "raw-key-missing"
    assert other.waiting() == 1
    work_off(opened(raw_keys=f"{NEW},{OLD}"))
    assert other.waiting() == 0


def test_bytes_that_were_changed_or_exchanged_are_not_taken(opened: Open) -> None:
    opened(raw_keys=OLD).accept([(adt(f"C{n}", number=f"80000{n}"), "t") for n in range(3)])
    gateway = opened(raw_keys=OLD)
    sealed = stored(gateway)
    with writing(gateway.engine) as connection:
        connection.execute(update(JOURNAL).where(JOURNAL.c.control_id == "C0").values(raw=sealed["C1"]))
        connection.execute(update(JOURNAL).where(JOURNAL.c.control_id == "C2").values(raw=sealed["C2"][:-1] + b"\x00"))
    work_off(gateway)
    with reading(gateway.engine) as connection:
        states = {r.control_id: r.state for r in connection.execute(select(JOURNAL))}
        codes = list(connection.scalars(select(FINDING.c.code).where(FINDING.c.severity == "error")))
    assert states == {"C0": "failed", "C1": "done", "C2": "failed"}
    assert codes == ["raw-damaged"] * 2


@given(st.binary(max_size=300), st.text(max_size=40), st.text(max_size=40))
def test_what_was_sealed_is_opened_for_its_entry_alone(raw: bytes, identity: str, other: str) -> None:
    vault = Vault([bytes.fromhex(NEW), bytes.fromhex(OLD)])
    sealed, key = vault.seal(identity, raw)
    assert vault.unseal(identity, sealed, key) == raw
    assert (raw not in sealed) or len(raw) < 4
    if other != identity:
        with pytest.raises(Defect):
            vault.unseal(other, sealed, key)


def test_the_command_tells_purges_and_reseals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_settings: None,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{OLD}\n")
    monkeypatch.setenv("CARELOOP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CARELOOP_RAW_KEYS", f"file:{keys}")

    def careloop(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([*words])
        return int(ended.value.code or 0), capsys.readouterr().out

    gateway = Gateway(Settings(data_dir=tmp_path, raw_keys=f"file:{keys}"))
    gateway.accept([(adt("C1"), "t")])
    work_off(gateway)
    gateway.retention.keep()
    gateway.close()
    code, told = careloop("raw", "status")
    assert (code, "1 sealed with key" in told) == (0, True)
    keys.write_text(f"{NEW}\n{OLD}\n")
    assert careloop("raw", "reseal") == (0, "1 entries sealed anew\n")
    keys.write_text(f"{OLD}\n")
    code, told = careloop("raw", "status")
    assert (code, "which CARELOOP_RAW_KEYS does not have" in told) == (1, True)
    assert careloop("raw", "purge", "--older-than", "0") == (0, "1 entries lost their raw bytes\n")
    assert careloop("raw", "status") == (0, "       1 purged\n")


def test_a_gateway_started_without_its_key_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_settings: None) -> None:
    sealing = Gateway(Settings(data_dir=tmp_path, raw_keys=OLD))
    sealing.accept([(adt("C1"), "t")])
    sealing.close()
    monkeypatch.setenv("CARELOOP_DATA_DIR", str(tmp_path))
    without = Gateway(Settings(data_dir=tmp_path))
    [note] = notes(without)
    assert (note["code"], name_of(bytes.fromhex(OLD)) in note["message"]) == ("raw-key-missing", True)
    told = CliRunner().invoke(main, ["doctor"])
    assert (told.exit_code, "unsound  raw bytes: sealed with key" in told.stdout) == (1, True)
    assert "[raw-key-missing]" in CliRunner().invoke(main, ["raw", "reseal"]).stderr
    without.close()
    monkeypatch.setenv("CARELOOP_RAW_KEYS", OLD)
    again = Gateway(Settings(data_dir=tmp_path, raw_keys=OLD))
    assert notes(again) == []
    assert "ok  raw bytes: sealed\n" in CliRunner().invoke(main, ["doctor"]).stdout
    again.close()


@pytest.mark.parametrize("value", ["aa", "zz" * 32, f"{OLD},{OLD}0", "file:/nowhere/at/all"])
def test_keys_that_cannot_be_used_end_the_start(value: str) -> None:
    with pytest.raises(ValueError, match="raw_keys") as told:
        Settings(raw_keys=value)
    assert "openssl rand -hex 32" in str(told.value) or "cannot be read" in str(told.value)


def test_an_operator_is_told_that_raw_bytes_were_purged(opened: Open) -> None:
    """What operators did is read back, though their decisions are sealed too."""
    gateway = opened(raw_keys=OLD)
    gateway.accept([(adt("C1").replace(b"|P|2.5.1", b"|X|2.5.1"), "t"), (adt("C2"), "t")])
    with reading(gateway.engine) as connection:
        at = {r.control_id: str(r.id) for r in connection.execute(select(JOURNAL))}
    gateway.queue.act("drop", [at["C2"]], by="ann", reason="sent by mistake")
    gateway.retention.keep()
    later = opened(1, raw_keys=OLD)
    assert later.retention.purge(0) == 2
    with reading(later.engine) as connection:
        assert [done.reason for done in handled(connection, 5)] == ["sent by mistake"]
    with pytest.raises(Rejected) as told:
        later.queue.act("retry", [at["C1"]], by="ann", reason="again")
    assert told.value.issue.code == "raw-purged"
