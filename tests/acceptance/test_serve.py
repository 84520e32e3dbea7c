"""A served gateway as a process: killed while it takes messages, stopped, started again."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from adapter.demo import DEMO_START
from adapter.errors import Unavailable
from adapter.gateway import Gateway
from adapter.intake.send import send
from adapter.parse.batch import split_messages
from adapter.settings import Settings
from adapter.store.resources import without_meta
from tests.acceptance.conftest import compose, make_network
from tests.acceptance.served import Json, Key, Served, served

KEY = "5e" * 32
A_MINUTE = 60
"""Far more than is meant, for a machine that has much else to do."""


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The traffic of two hospitals, as it is on the wire; what they send again is left out."""
    folder = tmp_path_factory.mktemp("network")
    make_network(folder, DEMO_START, 40)
    files = sorted(folder.glob("hl7v2/*.hl7"))
    return list(dict.fromkeys(raw for path in files for raw in split_messages(path.read_bytes()).messages))


def send_until_killed(gateway: Served, messages: Sequence[bytes], point: int) -> int:
    """Send, while another thread kills the gateway once `point` are acknowledged; how many were."""
    reached = threading.Event()

    def kill() -> None:
        reached.wait(A_MINUTE)
        gateway.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    acknowledged = 0
    with suppress(Unavailable):
        for answer in send(*gateway.mllp, messages):
            assert b"\rMSA|AA|" in answer
            acknowledged += 1
            if acknowledged == point:
                reached.set()
    reached.set()
    killer.join(A_MINUTE)
    return acknowledged


def test_killed_while_it_takes_messages(tmp_path: Path, messages: list[bytes]) -> None:
    environment, left = {"CARELOOP_KEY": KEY}, messages
    for point in (1, 9, 30):
        with served(tmp_path, environment) as gateway:
            done = send_until_killed(gateway, left, point)
            assert done >= min(point, len(left))
            left = left[done:]
    with served(tmp_path, environment) as gateway:
        for raw in left:
            assert "\rMSA|AA|" in gateway.send(raw)
        figures = gateway.settle()
        assert figures['careloop_journal_entries{state="done"}'] == len(messages)
        assert figures['careloop_journal_entries{state="failed"}'] == 0
        standing = {at: without_meta(body) for at, body in gateway.resources().items()}
    assert standing == undisturbed(tmp_path / "undisturbed", messages)


def undisturbed(folder: Path, messages: list[bytes]) -> dict[Key, Json]:
    """What stands where nothing went wrong."""
    gateway = Gateway(Settings(data_dir=folder, key=KEY))
    gateway.accept([(raw, "test") for raw in messages])
    compose(gateway)
    found = {(v.resource_type, v.id): v.body and without_meta(v.body) for v in gateway.embedded.history()}
    gateway.close()
    return {at: body for at, body in found.items() if body is not None}


def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path, messages: list[bytes]) -> None:
    with served(tmp_path, {"CARELOOP_KEY": KEY}) as gateway:
        done = send_until_killed(gateway, messages, 20)
    store = Gateway(Settings(data_dir=tmp_path / "data", key=KEY))
    again = store.accept([(raw, "test") for raw in messages[:done]])
    compose(store)
    assert all(b"\rMSA|AA|" in answer for answer in again)
    found = store.embedded.search("MessageHeader", [], 500).resources
    assert done <= len(found) <= done + 1  # one may have been journalled, and its acknowledgement lost
    store.close()


def test_stop_and_second_start_of_the_demonstration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"CARELOOP_KEY": KEY}
    with served(tmp_path, environment, "--demo") as gateway:
        first, stop, page = gateway.seconds, stopping(gateway), ""
    with served(tmp_path, environment, "--demo") as gateway:
        second = gateway.seconds
        page = requests.get(f"{gateway.http}/gaps", timeout=A_MINUTE).text
        assert gateway.figures()['careloop_journal_entries{state="waiting"}'] == 0
    with capsys.disabled():
        print(f"\nfirst start {first:.1f} s, stop {stop:.1f} s, second start {second:.1f} s")  # noqa: T201 - a figure
    assert "G01" in page
    assert "G13" in page
    assert stop < A_MINUTE / 2
    assert second < A_MINUTE


def stopping(gateway: Served) -> float:
    """Seconds from SIGTERM, sent while messages come in, to the end; it ends with 0."""
    began = time.monotonic()
    assert gateway.terminate() == 0
    return time.monotonic() - began


def test_stopped_while_messages_come_in(tmp_path: Path, messages: list[bytes]) -> None:
    with served(tmp_path, {"CARELOOP_KEY": KEY}) as gateway:
        acknowledged = 0
        with suppress(Unavailable):
            for acknowledged, _ in enumerate(send(*gateway.mllp, messages * 50), 1):
                if acknowledged == 5:
                    gateway.process.terminate()
        assert gateway.process.wait(A_MINUTE) == 0
    store = Gateway(Settings(data_dir=tmp_path / "data", key=KEY))
    compose(store)
    found = store.embedded.search("MessageHeader", [], 500).resources
    assert min(acknowledged, len(messages)) <= len(found) <= acknowledged + 1
    store.close()
