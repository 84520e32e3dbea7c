"""Killed at random instants while it takes, composes, pushes and loads a file beside it: the end is that of a calm run.

CARELOOP_KILLS: how many random instants on each store (`make kill`: 200). CARELOOP_KILL_HAPI=1: HAPI is pushed to as well.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path

import orjson
import pytest

from adapter.errors import Unavailable
from adapter.fhirserver.http import new_session
from adapter.intake.ack import control_id_of
from adapter.intake.send import send
from bench.rows import write_file
from tests.acceptance.accepting import KEY
from tests.acceptance.after_kills import (
    State,
    There,
    assert_same,
    assert_there,
    calm,
    server_state,
    settled,
    store_state,
    store_url,
)
from tests.acceptance.killing import Killable, running
from tests.acceptance.test_accept_kill import adt
from tests.contract.conftest import DATABASES
from tests.faulty import fhir_stand_in
from tests.servers import hapi_url

KILLS = int(os.environ.get("CARELOOP_KILLS", "3"))
IN_ONE = 10
"""Kills over one store; the next ones are over another, so that there is always something under way."""
SENDERS, MESSAGES, ROWS = 3, 24, 150


def merge(sender: int, number: int) -> bytes:
    """Two of a sender's patients are one, as is known half a minute after a message."""
    new, old = f"{sender}{number % 5:03d}", f"{sender}{number % 5 + 5:03d}"
    at = f"20260301{8 + number // 10:02d}{number % 10:02d}30-0500"
    return "\r".join([
        rf"MSH|^~\&|SENDER{sender}|EAST|CARELOOP|NET|{at}||ADT^A40|{sender}-{number}-m|P|2.5.1", f"EVN|A40|{at}",
        f"PID|1||{new}^^^EAST^MR||Tarnhill^P{new}||19610514|F", f"MRG|{old}^^^EAST^MR", "",
    ]).encode()


def said_by(sender: int) -> list[bytes]:
    """Stays of ten patients, some of whom turn out to be one on the way."""
    return [one for n in range(MESSAGES) for one in ([adt(sender, n), merge(sender, n)] if n % 5 == 4 else [adt(sender, n)])]


class Sender:
    """A connection at a time; each message is sent until it is acknowledged, as an interface engine does it."""

    def __init__(self, number: int) -> None:
        self.left = said_by(number)
        self.acknowledged: list[str] = []

    def run(self, where: tuple[str, int]) -> None:
        with suppress(Unavailable):
            for answer in send(*where, list(self.left), 60):
                assert b"\rMSA|AA|" in answer, answer
                self.acknowledged.append(control_id_of(self.left.pop(0)))


@pytest.fixture(name="file", scope="module")
def _file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "members.csv"
    write_file(path, ROWS)
    return path


@pytest.fixture(name="undisturbed", scope="module")
def _undisturbed(tmp_path_factory: pytest.TempPathFactory, file: Path) -> tuple[State, There]:
    messages = [one for n in range(SENDERS) for one in said_by(n)]
    return calm(tmp_path_factory.mktemp("calm"), messages, [("members", file)])


def sending(gateway: Killable, senders: Sequence[Sender]) -> list[threading.Thread]:
    threads = [threading.Thread(target=sender.run, args=(gateway.mllp,)) for sender in senders]
    for thread in threads:
        thread.start()
    return threads


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is under way while processes are killed, and what it ends in."""

    file: Path
    expected: tuple[State, There]
    instants: Iterator[float]


def one_world(folder: Path, url: str, fhir: str, load: Load, kills: int) -> None:
    """Kill both processes over one store again and again, then leave them in peace. AssertionError where the end differs."""
    senders = [Sender(n) for n in range(SENDERS)]
    environment = {"CARELOOP_KEY": KEY, "CARELOOP_DATABASE_URL": url, "CARELOOP_FHIR_URL": fhir}
    loading = ("load", "members", str(load.file))
    for _ in range(kills):
        with (running(folder / "gateway", environment, "serve") as gateway,
              running(folder / "load", environment, *loading) as other):
            threads = sending(gateway, senders)
            gateway.process.join(next(load.instants))
            assert gateway.process.is_alive()
            gateway.kill()
            other.kill()
            for thread in threads:
                thread.join(60)
    with (running(folder / "gateway", environment, "serve") as gateway,
          running(folder / "load", environment, *loading) as other):
        for thread in sending(gateway, senders):
            thread.join(120)
        assert other.ended() == 0
        assert not any(sender.left for sender in senders)
        settled(url)
        assert gateway.terminate() == 0
    assert_same(store_state(url), load.expected[0])


def worlds() -> Iterator[int]:
    """How many kills in each."""
    left = KILLS
    while left > 0:
        yield min(IN_ONE, left)
        left -= IN_ONE


@pytest.fixture(name="load")
def _load(request: pytest.FixtureRequest, file: Path, undisturbed: tuple[State, There]) -> Load:
    drawn = random.Random(request.node.name)
    return Load(file=file, expected=undisturbed, instants=(drawn.uniform(0.05, 1.5) for _ in count()))


@pytest.mark.parametrize("kind", DATABASES)
def test_killed_at_random_instants_under_load(tmp_path: Path, kind: str, load: Load) -> None:
    for n, kills in enumerate(worlds()):
        with fhir_stand_in() as server:
            one_world(tmp_path / str(n), store_url(kind, tmp_path / str(n) / "store"), server.url, load, kills)
            assert_there(server_state(server), load.expected[1])


if os.environ.get("CARELOOP_KILL_HAPI"):

    @pytest.mark.hapi
    def test_the_same_into_hapi(tmp_path: Path, load: Load) -> None:
        """No version of HAPI's says what the one before it said, and what stands there is what stands here."""
        url = store_url("sqlite", tmp_path / "store")
        one_world(tmp_path, url, hapi_url(), load, min(KILLS, IN_ONE))
        with new_session() as session:
            for (resource_type, name), text in load.expected[1].items():
                history = session.get(f"{hapi_url()}/{resource_type}/{name}/_history?_count=200", timeout=60).json()
                bodies = [{at: value for at, value in entry["resource"].items() if at != "meta"}
                          for entry in history["entry"] if "resource" in entry]
                assert all(before != after for before, after in pairwise(bodies))
                assert orjson.dumps(bodies[0], option=orjson.OPT_SORT_KEYS) == text
