"""Accepting where the machine fails or senders misbehave: power, disk, dribblers, frames without end, garbage."""

from __future__ import annotations

import re
import resource
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from adapter.gateway import Gateway
from adapter.intake.framing import encode
from adapter.intake.limits import Limits
from adapter.intake.loop_thread import run_in_thread
from adapter.intake.mllp import MllpListener
from adapter.intake.send import send
from adapter.settings import Settings
from adapter.web.app import create_app
from tests.acceptance.accepting import KEY, Build, accepting
from tests.acceptance.test_accept_kill import HOST, adt, journalled
from tests.needs import unmet
from tests.unit.feeds_of import with_feed

STRACE = shutil.which("strace")
MB = 1024 * 1024


# --- power loss: strace counts what was synced


def unsynced(trace: str) -> int:
    """Acknowledgements that left before the write to the log in front of them was synced, in order of the system calls."""
    dirty, early = False, 0
    for line in trace.splitlines():
        if "pwrite64(" in line and "-wal" in line:
            dirty = True
        elif "fdatasync(" in line or "fsync(" in line:
            dirty = False if "-wal" in line else dirty
        elif "MSA|AA" in line and re.search(r"\b(sendto|write|sendmsg)\(", line):
            early += dirty
    return early


@pytest.mark.parametrize(("build", "sound"), [("ours", True), ("does not sync", False)])
def test_no_acknowledgement_leaves_before_its_commit_was_synced(tmp_path: Path, build: Build, sound: bool) -> None:
    if STRACE is None:
        unmet("strace is missing: install it (Debian: apt-get install strace)")
    trace = tmp_path / "trace.txt"
    with accepting(tmp_path / "data", build=build, work=False) as gateway:
        [*send(HOST, gateway.port, [adt(0, 0)], 60)]
        tracer = subprocess.Popen([STRACE, "-f", "-y", "-s", "400", "-e", "trace=pwrite64,fdatasync,fsync,sendto,write,sendmsg",
                                   "-o", str(trace), "-p", str(gateway.process.pid)], stderr=subprocess.PIPE, text=True)
        assert tracer.stderr is not None
        assert "attached" in tracer.stderr.readline()
        answers = [*send(HOST, gateway.port, [adt(0, number) for number in range(1, 21)], 60)]
        tracer.terminate()
        tracer.wait(60)
    assert len(answers) == 20
    told = trace.read_text(errors="replace")
    assert len(re.findall(r"(?:sendto|write|sendmsg)\(.*MSA\|AA", told)) == 20
    assert (unsynced(told) == 0) is sound


# --- disk full


@contextmanager
def small_disk(folder: Path, size: str = "40m") -> Generator[Path]:
    """A disk of its own; where none can be mounted the test says so."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False)
    if done.returncode:
        unmet("no disk can be mounted: run as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_refuses_and_recovers_by_itself_without_loss(tmp_path: Path) -> None:
    mappings = with_feed(tmp_path, river="sender: {MSH-3: RIVER}\nwhen_unavailable: close")
    with small_disk(tmp_path / "disk") as disk, ExitStack() as stack:
        gateway = Gateway(Settings(data_dir=disk / "data", key=KEY, mappings=mappings, disk_free_mb=1))
        stack.callback(gateway.close)
        client = create_app(gateway, lambda: None).test_client()
        handle = run_in_thread(MllpListener(HOST, 0, gateway.accept, refuse=gateway.refuse))
        stack.callback(handle.stop)
        (disk / "other").write_bytes(b"\0" * (shutil.disk_usage(disk).free - 1_500_000))
        taken: list[int] = []
        for number in range(400):
            [answer] = send(HOST, handle.port, [large(number)], 60)
            if b"\rMSA|AA|" not in answer:
                break
            taken.append(number)
        assert 0 < len(taken) < 400
        assert b"\rMSA|AR|" in answer
        assert b"|207^" in answer
        [answer] = send(HOST, handle.port, [large(number).replace(b"|P|2.5.1", b"|P|2.5.1|||AL|AL")], 60)
        assert b"\rMSA|CE|" in answer
        assert client.post("/hl7v2", data=large(number), content_type="application/hl7-v2").status_code == 503
        assert client.get("/readyz").status_code == 503
        with socket.create_connection((HOST, handle.port), 60) as connection:
            connection.sendall(encode(large(number).replace(b"|SENDER0|", b"|RIVER|")))
            assert connection.recv(100) == b""
        (disk / "other").unlink()
        [answer] = send(HOST, handle.port, [large(number)], 60)
        assert b"\rMSA|AA|" in answer
        ready = client.get("/readyz")
        assert ready.status_code == 200, ready.text
        assert dict(journalled(disk / "data")) == {f"0-{n}": 1 for n in [*taken, number]}


def large(number: int) -> bytes:
    """A message that fills a disk soon."""
    return adt(0, number) + b"NTE|1||" + b"x" * 20_000 + b"\r"


# --- senders that misbehave


def dribble(port: int, ended: threading.Event, count: int, stack: ExitStack) -> None:
    """So many connections that send a byte now and then, and never a whole frame."""
    slow = [stack.enter_context(socket.create_connection((HOST, port), 60)) for _ in range(count)]

    def run() -> None:
        frame = b"\x0bMSH|^~\\&|SLOW|" + b"x" * 10_000
        for at in range(len(frame)):
            for one in slow:
                with suppress(OSError):
                    one.send(frame[at:at + 1])
            if ended.wait(0.05):
                return

    thread = threading.Thread(target=run)
    thread.start()
    stack.callback(thread.join)


def flood(port: int, ended: threading.Event, what: bytes, stack: ExitStack) -> None:
    """A connection that sends without end, again where it was closed."""
    def run() -> None:
        while not ended.is_set():
            with suppress(OSError), socket.create_connection((HOST, port), 60) as connection:
                connection.sendall(b"\x0bMSH|^~\\&|ENDLESS|")
                connection.settimeout(1)
                for _ in range(50):
                    if ended.is_set():
                        return
                    connection.sendall(what)
                    time.sleep(0.005)

    thread = threading.Thread(target=run)
    thread.start()
    stack.callback(thread.join)


def memory_of(pid: int) -> int:
    """Resident memory of a process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def test_senders_that_misbehave_hold_up_nobody_and_fill_no_memory(tmp_path: Path) -> None:
    """300 dribblers, 50 MB frames, a frame without end, garbage: healthy senders are answered, memory stays."""
    limit = Limits().frame
    with accepting(tmp_path, work=False) as gateway, ExitStack() as stack:
        pid, port = gateway.process.pid, gateway.port
        assert pid is not None
        [*send(HOST, port, [adt(0, number) for number in range(50)], 60)]
        before = memory_of(pid)
        ended = threading.Event()
        dribble(port, ended, 300, stack)
        flood(port, ended, b"x" * MB, stack)  # 50 MB, then another connection
        flood(port, ended, b"\xff\x00\x1c\x0b" * 20_000, stack)
        stack.callback(ended.set)
        highest = 0
        for number in range(50, 150):
            [answer] = send(HOST, port, [adt(0, number)], 60)
            assert b"\rMSA|AA|" in answer
            highest = max(highest, memory_of(pid))
        assert highest - before < 6 * limit
        with socket.create_connection((HOST, port), 60) as connection:
            connection.sendall(b"\x0b" + adt(0, 900) + b"x" * (limit + 100))
            assert b"\rMSA|AR|0-900" in connection.recv(4000)
    found = journalled(tmp_path)
    assert {f"0-{number}" for number in range(150)} <= found.keys()
