"""Senders that misbehave beside healthy ones: what the healthy wait for an acknowledgement, and what memory the gateway holds.

Healthy: so many connections, each a message at its time, whether or not the last was answered late. Beside them, in turn: slow
senders (a byte now and then, never a whole frame), 50 MB frames, a frame without end, garbage; the last three as fast as
`--flood` says. Each kind is measured between two measurements of the healthy alone, in the same run. Every party has a
process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import resource
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

from adapter.gateway import Gateway
from adapter.intake.framing import END, START
from adapter.intake.loop_thread import run_in_thread
from adapter.memory import tune_memory
from adapter.settings import Settings
from adapter.web.mllp import listener_of
from bench.accept import HOST, admissions
from tests.unit.feeds_of import with_feed

MB = 1024 * 1024
SLOW = 300
SPAWN = multiprocessing.get_context("spawn")
Bad = Callable[[int, float, Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """What the healthy waited, in milliseconds, and the gateway's memory in MB: the most meanwhile."""

    p50: float
    p99: float
    memory: float


def gateway(folder: Path, told: Connection, ended: Event) -> None:
    """A gateway that listens; nothing is composed meanwhile."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # what it logs of them
    mappings = with_feed(folder, bench="sender: {MSH-3: BENCH, MSH-4: EAST}\nacknowledge: stored")
    settings = Settings.model_validate({"data_dir": folder / "data", "mappings": mappings, "key": "00" * 32})
    opened = Gateway(settings)
    tune_memory()
    handle = run_in_thread(listener_of(settings, (HOST, 0), opened, lambda: None))
    told.send(handle.port)
    ended.wait()
    handle.stop()
    opened.close()


def healthy(port: int, connections: int, rate: float, seconds: float, label: str, told: Connection) -> None:
    """`rate` messages a second over all connections, evenly; sends what each waited, in seconds, since its time to be sent."""
    async def one(number: int, begin: float) -> list[float]:
        reader, writer = await asyncio.open_connection(HOST, port)
        waited: list[float] = []
        messages = admissions(f"{label}-{number}")
        due = begin + number / rate
        while due < begin + seconds:
            await asyncio.sleep(due - time.monotonic())
            writer.write(START + next(messages) + END)
            answer = await reader.readuntil(END)
            waited.append(time.monotonic() - due)
            assert b"\rMSA|AA|" in answer, answer
            due += connections / rate
        writer.close()
        return waited

    async def every() -> list[float]:
        begin = time.monotonic() + 0.5
        return [wait for waits in await asyncio.gather(*(one(n, begin) for n in range(connections))) for wait in waits]

    told.send(asyncio.run(every()))


def slow(port: int, _speed: float, ended: Event) -> None:
    """300 connections that send a byte each every second, and never a whole frame."""
    senders = [socket.create_connection((HOST, port), 60) for _ in range(SLOW)]
    frame = START + b"MSH|^~\\&|SLOW|" + b"x" * 1_000_000
    for at in range(len(frame)):
        for number, one in enumerate(senders):
            with suppress(OSError):
                one.send(frame[at:at + 1])
            if number % 10 == 9 and ended.wait(10 / SLOW):
                return


def large(port: int, speed: float, ended: Event) -> None:
    """Frames of 50 MB, one after another."""
    _flood(port, speed, ended, lambda: [START + b"MSH|^~\\&|LARGE|", *[b"x" * MB] * 50, END])


def endless(port: int, speed: float, ended: Event) -> None:
    """One frame without end."""
    def frame() -> Generator[bytes]:
        yield START + b"MSH|^~\\&|ENDLESS|"
        while True:
            yield b"x" * MB

    _flood(port, speed, ended, frame)


def garbage(port: int, speed: float, ended: Event) -> None:
    """Bytes as they come, block characters among them."""
    drawn = random.Random(7).randbytes(MB)
    _flood(port, speed, ended, lambda: [drawn])


KINDS: dict[str, Bad] = {f"{SLOW} slow senders": slow, "50 MB frames": large, "endless frame": endless, "garbage": garbage}


def _flood(port: int, speed: float, ended: Event, pieces: Callable[[], list[bytes] | Generator[bytes]]) -> None:
    """Send pieces of about 1 MB, again and again; answers are read and thrown away; another connection where one is closed."""
    while not ended.is_set():
        with suppress(OSError), socket.create_connection((HOST, port), 60) as connection:
            threading.Thread(target=_drain, args=(connection,), daemon=True).start()
            while not ended.is_set():
                for piece in pieces():
                    begin = time.monotonic()
                    connection.sendall(piece)
                    if ended.wait(max(0.0, len(piece) / (speed * MB) - (time.monotonic() - begin))):
                        return


def _drain(connection: socket.socket) -> None:
    with suppress(OSError):
        while connection.recv(65536):
            pass


def memory_of(pid: int) -> float:
    """Resident memory of a process, in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A gateway that listens, and how the healthy send."""

    pid: int
    port: int
    connections: int
    rate: float
    seconds: float

    def measured(self, label: str) -> Waits:
        """What the healthy wait."""
        here, there = SPAWN.Pipe()
        process = SPAWN.Process(target=healthy, args=(self.port, self.connections, self.rate, self.seconds, label, there))
        process.start()
        highest = memory_of(self.pid)
        while not here.poll(0.05):
            highest = max(highest, memory_of(self.pid))
        waits: list[float] = here.recv()
        process.join()
        cut = statistics.quantiles(waits, n=100)
        return Waits(p50=cut[49] * 1000, p99=cut[98] * 1000, memory=highest)

    def beside(self, bad: Bad, speed: float, label: str) -> Waits:
        """The same while others misbehave."""
        ended = SPAWN.Event()
        process = SPAWN.Process(target=bad, args=(self.port, speed, ended))
        process.start()
        time.sleep(2.0)  # they are at it
        try:
            return self.measured(label)
        finally:
            ended.set()
            process.join()


@contextmanager
def listening(folder: Path, connections: int, rate: float, seconds: float) -> Generator[Bench]:
    """A gateway in a process of its own."""
    here, there = SPAWN.Pipe()
    ended = SPAWN.Event()
    process = SPAWN.Process(target=gateway, args=(folder, there, ended))
    process.start()
    try:
        assert process.pid is not None
        yield Bench(pid=process.pid, port=here.recv(), connections=connections, rate=rate, seconds=seconds)
    finally:
        ended.set()
        process.join()


def line(waits: Sequence[Waits]) -> str:
    """Medians of some measurements, and the most memory."""
    p50, p99 = (statistics.median(times) for times in ([one.p50 for one in waits], [one.p99 for one in waits]))
    return f"p50 {p50:6.1f} ms   p99 {p99:6.1f} ms   memory {max(one.memory for one in waits):4.0f} MB"


def main() -> None:
    """Measure and print; exit 1 where the p99 of the healthy more than doubles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--rate", type=float, default=400.0, help="messages a second of all healthy senders together")
    parser.add_argument("--flood", type=float, default=100.0, help="MB/s of the large, endless and senseless")
    given = parser.parse_args()
    alone: list[Waits] = []
    found: dict[str, list[tuple[float, Waits]]] = {name: [] for name in KINDS}
    with tempfile.TemporaryDirectory() as folder, listening(Path(folder), given.connections, given.rate, given.seconds) as bench:
        bench.measured("warm")
        begin = memory_of(bench.pid)
        for turn in range(given.rounds):
            alone.append(bench.measured(f"a{turn}"))
            for number, (name, bad) in enumerate(KINDS.items()):
                beside = bench.beside(bad, given.flood, f"b{turn}-{number}")
                alone.append(bench.measured(f"a{turn}-{number}"))
                found[name].append((statistics.fmean(one.p99 for one in alone[-2:]), beside))
        end = memory_of(bench.pid)
    print(f"{'healthy alone':20} {line(alone)}")
    worst = 0.0
    for name, rounds in found.items():
        ratio = statistics.median(beside.p99 / before for before, beside in rounds)
        worst = max(worst, ratio)
        print(f"{name:20} {line([beside for _, beside in rounds])}   p99 / alone {ratio:.2f}")
    print(f"memory of the gateway: {begin:.0f} MB before, {end:.0f} MB after")
    raise SystemExit(0 if worst <= 2.0 else 1)


if __name__ == "__main__":
    main()
