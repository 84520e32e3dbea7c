"""Several processes on one database: what waits is claimed lane by lane, processed once, and never left behind by a kill."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.store import csv_files, journal
from adapter.store.engine import reading
from adapter.store.journal import Entry
from adapter.store.lanes import LEASE_US
from adapter.store.schema import CONTRIBUTION, FINDING, JOURNAL, LANE, RESOURCE
from tests.contract.conftest import DATABASES
from tests.servers import postgres_url

State = dict[str, list[tuple[object, ...]]]
START = datetime(2026, 3, 20, 12, tzinfo=UTC)


class Beside:
    """Gateways on one database, each as a process of its own would be. ahead: how far the clock went on."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.ahead = timedelta()
        self._folder = folder
        self._url = postgres_url() if kind == "postgresql" else f"sqlite:///{folder / 'store.db'}"
        self._opened: list[Gateway] = []

    def open(self, ahead: timedelta = timedelta()) -> Gateway:
        """One more. ahead: how far its clock is in front of the others'."""
        one = Gateway(Settings(data_dir=self._folder, key="00" * 32, database_url=self._url),  # pyright: ignore[reportCallIssue]  # the settings fill the rest
                      lambda: START + self.ahead + ahead)
        self._opened.append(one)
        return one

    def close(self) -> None:
        for one in self._opened:
            one.close()


@pytest.fixture(name="beside", params=DATABASES)
def _beside(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Beside]:
    found = Beside(request.param, tmp_path)
    yield found
    found.close()


def adt(number: int, trigger: str = "A28", minute: int = 0, old: int = 0) -> bytes:
    """A message about a patient; with `old` the merge of that one into this one. It wants an organization that is shared."""
    time = f"20260301{8 + minute // 60:02d}{minute % 60:02d}00-0500"
    return "\r".join([
        rf"MSH|^~\&|EXAMPLE|EAST|CARELOOP|NET|{time}||ADT^{trigger}|{trigger}-{number}-{old}-{minute}|P|2.5.1",
        f"EVN|{trigger}|{time}",
        f"PID|1||{800000 + number}^^^EAST^MR||Tarnhill^Bess{chr(97 + number % 26)}||196105{10 + number % 20}|F"
        f"|||||^PRN^PH^^1^518^555{minute:04d}",
        *([f"MRG|{800000 + old}^^^EAST^MR"] if old else ["PV1|1|I|3W^12^A^EAST||||1881697324^Quorley^Ada^^^^^^NPI"]),
        ""]).encode()


def send(gateway: Gateway, messages: Sequence[bytes]) -> None:
    assert all(b"MSA|AA" in ack for ack in gateway.accept([(one, "test") for one in messages]))


def drain(gateway: Gateway) -> int:
    count = 0
    while done := gateway.work():
        count += done
    return count


def state(gateway: Gateway) -> State:
    """All that must be the same whoever processed what waited: resources, statements and how often each was made, findings."""
    t = CONTRIBUTION.c
    with reading(gateway.engine) as connection:
        return {name: sorted(tuple(row) for row in connection.execute(query)) for name, query in {
            "resources": select(RESOURCE.c.resource_type, RESOURCE.c.id, RESOURCE.c.body).where(RESOURCE.c.deleted == 0),
            "statements": select(t.identity, t.times, t.message),
            "findings": select(FINDING.c.code, FINDING.c.place, FINDING.c.subject, func.count()).group_by(
                FINDING.c.code, FINDING.c.place, FINDING.c.subject),
            "journal": select(JOURNAL.c.identity, JOURNAL.c.state, JOURNAL.c.attempts),
            "lanes": select(LANE.c.name)}.items()}


_KNOWN: dict[tuple[bytes, ...], State] = {}


def undisturbed(folder: Path, messages: Sequence[bytes]) -> State:
    """What stands where one process alone did it all."""
    if tuple(messages) not in _KNOWN:
        (folder / "alone").mkdir()
        alone = Beside("sqlite", folder / "alone")
        gateway = alone.open()
        send(gateway, messages)
        drain(gateway)
        _KNOWN[tuple(messages)] = state(gateway)
        alone.close()
    return _KNOWN[tuple(messages)]


def test_several_at_once_process_each_entry_once(beside: Beside, tmp_path: Path) -> None:
    """Twelve patients with one shared practitioner, and merges among them, while three processes work and one takes more in."""
    messages = [adt(n % 12, "A31" if n > 11 else "A28", minute=n) for n in range(72)]
    messages += [adt(2, "A40", minute=80, old=5), adt(7, "A40", minute=81, old=2)]
    gateways = [beside.open() for _ in range(3)]
    send(gateways[0], messages[:40])
    failures: list[BaseException] = []

    def work(gateway: Gateway, more: Sequence[bytes]) -> None:
        try:
            for one in more:
                send(gateway, [one])
                gateway.work(5)
            drain(gateway)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(gateway, more))
               for gateway, more in zip(gateways, ([], messages[40:], []), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failures == []
    beside.ahead += timedelta(microseconds=2 * LEASE_US)
    drain(gateways[0])
    found, expected = state(gateways[0]), undisturbed(tmp_path, messages)
    assert found["lanes"] == []
    for name, rows in expected.items():
        assert found[name] == rows, name


def test_what_a_killed_process_had_claimed_is_taken_over_and_others_do_not_wait_for_it(beside: Beside) -> None:
    first, second = beside.open(), beside.open()
    send(first, [adt(1)])
    claimed, entries, rows = first._claim(50)  # pyright: ignore[reportPrivateUsage]  # it is killed here
    assert (len(claimed), len(entries)) == (1, 1)
    send(second, [adt(2), adt(3)])
    assert drain(second) == (2 if beside.kind == "postgresql" else 3)
    beside.ahead += timedelta(microseconds=LEASE_US)
    drain(second)
    before = state(second)
    assert before["lanes"] == []
    assert {row[1:] for row in before["journal"]} == {("done", 1)}
    # it was not dead, only slow: what it does now, too late, is nothing
    assert first._process(entries, rows, claimed) == 0  # pyright: ignore[reportPrivateUsage]  # as work() would
    assert state(second) == before


def test_who_starts_again_on_its_machine_waits_for_no_claim_of_before(beside: Beside) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    first = beside.open()
    send(first, [adt(1), adt(2)])
    first._here = replace(first._here, owner=f"{socket.gethostname()} {process.pid} x")  # pyright: ignore[reportPrivateUsage]  # it was that process
    claimed, _, _ = first._claim(1)  # pyright: ignore[reportPrivateUsage]  # and is killed here
    assert len(claimed) == 1
    assert drain(beside.open()) == 2


def test_what_comes_in_while_its_lane_is_processed_is_not_left_behind(beside: Beside) -> None:
    first, second = beside.open(), beside.open()
    send(first, [adt(1)])
    claimed, entries, rows = first._claim(50)  # pyright: ignore[reportPrivateUsage]  # between two steps of work()
    send(second, [adt(1, "A31", minute=5)])
    assert first._process(entries, rows, claimed) == 1  # pyright: ignore[reportPrivateUsage]  # the other step
    assert drain(second) == 1
    assert state(second)["lanes"] == []


def test_a_clock_a_day_ahead_keeps_nobody_waiting_for_a_day(beside: Beside) -> None:
    ahead, right = beside.open(timedelta(days=1)), beside.open()
    send(ahead, [adt(1)])
    ahead._claim(50)  # pyright: ignore[reportPrivateUsage]  # and is killed
    assert drain(right) == 1
    behind = beside.open(timedelta(days=-1))
    send(right, [adt(2)])
    assert drain(behind) == 1


@pytest.mark.parametrize("position", range(5))
def test_a_merge_at_any_place_of_the_queue_ends_the_same(beside: Beside, tmp_path: Path, position: int) -> None:
    """A40 while messages of both patients wait, processed one by one by two processes in turn, one of which stops midway."""
    about = [adt(1), adt(2), adt(1, "A31", minute=10), adt(2, "A31", minute=20)]
    messages = [*about[:position], adt(1, "A40", minute=30, old=2), *about[position:]]
    first, second = beside.open(), beside.open()
    send(first, messages)
    for turn in range(4):
        (first if turn % 2 else second).work(1)
    first._claim(1)  # pyright: ignore[reportPrivateUsage]  # it is killed here
    beside.ahead += timedelta(microseconds=LEASE_US)
    drain(second)
    found = state(second)
    assert {row[1:] for row in found["journal"]} == {("done", 1)}
    assert found["resources"] == undisturbed(tmp_path, [*about, adt(1, "A40", minute=30, old=2)])["resources"]


def test_the_end_of_a_snapshot_file_waits_for_its_rows(beside: Beside) -> None:
    """Another process works on rows of the file: what it leaves out is not over before they are in force."""
    gateway = beside.open()
    with gateway.engine.begin() as connection:
        journal.append(connection, [
            Entry(identity="members|f|1", kind="csv", feed="members", source="members", arrival=1, raw=b"M1", state="waiting",
                  sender="f", control_id="1"),
            Entry(identity="members|f|end", kind="snapshot", feed="members", source="members", arrival=1, raw=b'["members"]',
                  state="waiting", sender="f", control_id="end")])
        assert csv_files.rows_left(connection, "f", ())
        [row] = journal.of_lanes(connection, ["f 0"], ["members"], 9)
        assert not csv_files.rows_left(connection, "f", [row.id])
