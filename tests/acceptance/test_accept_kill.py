"""Killed while it accepts, under load, again and again: what was acknowledged is there, once, and the end is that of a calm run.

CARELOOP_KILLS: how many random instants (`make kill`: 200).
"""

from __future__ import annotations

import os
import random
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adapter.errors import Unavailable
from adapter.gateway import Gateway
from adapter.intake.ack import control_id_of
from adapter.intake.send import send
from adapter.settings import Settings
from adapter.store.resources import without_meta
from tests.acceptance.accepting import KEY, Accepting, Build, Point, accepting
from tests.acceptance.conftest import compose

HOST = "127.0.0.1"
SENDERS = 4
KILLS = int(os.environ.get("CARELOOP_KILLS", "2"))
POINTS: tuple[Point, ...] = ("before commit", "between commit and acknowledgement")


def adt(sender: int, number: int) -> bytes:
    """A stay of one of a sender's ten patients, step by step; each message has its own time."""
    patient, step = f"{sender}{number % 10:03d}", number // 10
    trigger = ("A01", "A08", "A02", "A03")[step % 4]
    at = f"202603{1 + step // 4 % 28:02d}{8 + step % 4:02d}{number % 10:02d}00-0500"
    return "\r".join([
        rf"MSH|^~\&|SENDER{sender}|EAST|CARELOOP|NET|{at}||ADT^{trigger}|{sender}-{number}|P|2.5.1", f"EVN|{trigger}|{at}",
        f"PID|1||{patient}^^^EAST^MR||Tarnhill^P{patient}||19610514|F|||||^PRN^PH^^1^518^555{number:04d}",
        f"PV1|1|I|W{step % 4}^1^A|||||||||||||||||V{patient}-{step // 4}^^^EAST^VN", "",
    ]).encode()


@dataclass(slots=True, kw_only=True)
class Sender:
    """One connection at a time, each message sent until it is acknowledged; then all are sent again, to keep up the load."""

    left: list[bytes]
    every: list[bytes] = field(default_factory=list[bytes])
    acknowledged: list[str] = field(default_factory=list[str])

    def run(self, port: int, again: bool = False) -> None:
        """Send until all are acknowledged, or, again and again, until the gateway is gone."""
        with suppress(Unavailable):
            self._send(port, list(self.left))
            while again:
                self._send(port, self.every)

    def _send(self, port: int, messages: list[bytes]) -> None:
        for answer in send(HOST, port, messages, 60):
            assert b"\rMSA|AA|" in answer, answer
            if self.left:
                self.acknowledged.append(control_id_of(self.left.pop(0)))


def under_load(gateway: Accepting, senders: Sequence[Sender], seconds: float) -> None:
    """All send at once; killed after so many seconds, where it is not killed before."""
    threads = [threading.Thread(target=sender.run, args=(gateway.port, True)) for sender in senders]
    for thread in threads:
        thread.start()
    gateway.process.join(seconds)
    assert seconds < 60 or not gateway.process.is_alive(), "the point was never reached"
    gateway.kill()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def senders_of(count: int) -> list[Sender]:
    every = [[adt(n, number) for number in range(count)] for n in range(SENDERS)]
    return [Sender(left=list(messages), every=messages) for messages in every]


def journalled(folder: Path) -> Counter[str]:
    """How often each control id stands in the journal."""
    with closing(sqlite3.connect(folder / "careloop.db")) as store:
        return Counter(row[0] for row in store.execute("SELECT control_id FROM journal"))


def final_state(folder: Path) -> dict[tuple[str, str], object]:
    gateway = Gateway(Settings(data_dir=folder, key=KEY))
    compose(gateway)
    found = {(v.resource_type, v.id): v.body and without_meta(v.body) for v in gateway.embedded.history()}
    gateway.close()
    return {at: body for at, body in found.items() if body is not None and at[0] != "Task"}  # gaps go by the clock


def undisturbed(folder: Path, messages: Sequence[bytes]) -> dict[tuple[str, str], object]:
    gateway = Gateway(Settings(data_dir=folder, key=KEY))
    gateway.accept([(raw, "test") for raw in messages])
    gateway.close()
    return final_state(folder)


def disturb(folder: Path, senders: Sequence[Sender], kills: Sequence[tuple[Point, int, float]], build: Build = "ours") -> None:
    """Kill at each point, or after so many seconds, while all send. AssertionError where an acknowledged one is missing."""
    for point, at, seconds in kills:
        with accepting(folder, point, at, build) as gateway:
            under_load(gateway, senders, seconds)
        found = journalled(folder)
        missing = [one for sender in senders for one in sender.acknowledged if not found[one]]
        assert not missing, f"{len(missing)} acknowledged and missing"
        assert max(found.values(), default=1) == 1


def test_killed_at_any_instant_nothing_acknowledged_is_missing_and_nothing_doubled(tmp_path: Path) -> None:
    drawn = random.Random(7)
    senders = senders_of(min(8 + 2 * KILLS, 100))
    everything = [raw for sender in senders for raw in sender.left]
    kills: list[tuple[Point, int, float]] = [(point, 3, 60.0) for point in POINTS]
    kills += [("", 0, drawn.uniform(0.005, 0.4)) for _ in range(KILLS)]
    disturb(tmp_path / "disturbed", senders, kills)
    with accepting(tmp_path / "disturbed", work=False) as gateway:
        for sender in senders:
            sender.run(gateway.port)
    assert not any(sender.left for sender in senders)
    assert journalled(tmp_path / "disturbed") == dict.fromkeys(map(control_id_of, everything), 1)
    assert final_state(tmp_path / "disturbed") == undisturbed(tmp_path / "calm", everything)


def test_a_build_that_acknowledges_first_fails_the_same_test(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="acknowledged and missing"):
        disturb(tmp_path, senders_of(60), [("", 0, seconds) for seconds in (0.3, 0.5, 0.7, 0.9, 1.2)], "acknowledges first")


def test_the_answer_that_was_lost_comes_again_the_same(tmp_path: Path) -> None:
    """Killed between commit and acknowledgement: the message sent again gets AA, and is one row."""
    senders = [Sender(left=[adt(0, 0)], every=[adt(0, 0)])]
    with accepting(tmp_path, "between commit and acknowledgement", 1) as gateway:
        under_load(gateway, senders, 60)
    assert (senders[0].acknowledged, journalled(tmp_path)) == ([], {"0-0": 1})
    answers: list[bytes] = []
    for _ in range(2):  # a restart between
        with accepting(tmp_path) as gateway:
            answers += [*send(HOST, gateway.port, [adt(0, 0)], 60)]
    assert answers[0] == answers[1]
    assert b"\rMSA|AA|0-0" in answers[0]
    assert journalled(tmp_path) == {"0-0": 1}


def test_who_is_cut_off_in_mid_frame_is_not_stored(tmp_path: Path) -> None:
    with accepting(tmp_path) as gateway:
        with socket.create_connection((HOST, gateway.port), 20) as half:
            half.sendall(b"\x0b" + adt(0, 0)[:80])
            time.sleep(0.05)
        assert [*send(HOST, gateway.port, [adt(0, 1)], 60)]
    assert journalled(tmp_path)["0-0"] <= 1  # at most the refusal
