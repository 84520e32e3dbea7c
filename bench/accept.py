"""Accept rate over MLLP: the gateway's listener beside a bare asyncio listener with the same group commit, plain and TLS.

Bare: bytes in, frames split, raw bytes inserted into SQLite (WAL, synchronous=FULL), one commit for all that wait, one answer.
The gateway journals for a feed that acknowledges once stored (`acknowledge: stored`), and for one that converts first. Nothing is
composed meanwhile: that is another process's work. Sides take turns, round after round; the ratio is of medians.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import sqlite3
import ssl
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Protocol

from adapter.gateway import Gateway
from adapter.home import HOME
from adapter.intake.framing import END, START
from adapter.intake.loop_thread import run_in_thread
from adapter.memory import tune_memory
from adapter.settings import Settings
from adapter.web.mllp import listener_of
from tests.certificates import authority
from tests.unit.feeds_of import with_feed

HOST = "127.0.0.1"
ANSWER = START + b"MSH|^~\\&|CARELOOP|NET|BENCH|EAST|20260301||ACK|1|P|2.5.1\rMSA|AA|1\r" + END


class Side(Protocol):
    """What listens: its port."""

    port: int


class Bare:
    """A listener without MLLP's and HL7's rules: frames end with 1C 0D, raw bytes are committed in groups."""

    def __init__(self, database: Path, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self._tls = tls
        self._waiting: deque[tuple[bytes, asyncio.StreamWriter]] = deque()
        self._work = asyncio.Event()
        self._thread = ThreadPoolExecutor(1)
        self._database = database

    async def start(self) -> None:
        """Listen."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open)
        self._server = await asyncio.start_server(self._serve, HOST, 0, ssl=self._tls, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]
        self._committing = asyncio.create_task(self._commit())

    async def stop(self) -> None:
        """Close."""
        self._server.close()
        self._committing.cancel()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store.close)

    def _open(self) -> None:
        self._store = sqlite3.connect(self._database, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self._store.execute(f"PRAGMA {pragma}")
        self._store.execute("CREATE TABLE message (id INTEGER PRIMARY KEY, raw BLOB NOT NULL)")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held = b""
        while chunk := await reader.read(65536):
            *frames, held = (held + chunk).split(END)
            self._waiting.extend((frame[1:], writer) for frame in frames)
            self._work.set()

    async def _commit(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(200, len(self._waiting)))]
                await asyncio.get_running_loop().run_in_executor(self._thread, self._insert, [(raw,) for raw, _ in batch])
                for _, writer in batch:
                    writer.write(ANSWER)

    def _insert(self, rows: list[tuple[bytes]]) -> None:
        self._store.execute("BEGIN IMMEDIATE")
        self._store.executemany("INSERT INTO message (raw) VALUES (?)", rows)
        self._store.execute("COMMIT")


def admissions(label: str) -> Iterator[bytes]:
    """The same admission again and again, each with a control id of its own."""
    template = (HOME / "fixtures" / "hl7v2" / "A01" / "admission.hl7").read_bytes().replace(b"\r\n", b"\r").replace(b"\n", b"\r")
    head, rest = template.split(b"\r", 1)
    fields = head.split(b"|")
    fields[2:4] = b"BENCH", b"EAST"
    for number in count():
        fields[9] = b"%s-%d" % (label.encode(), number)
        yield b"|".join(fields) + b"\r" + rest


def sending(port: int, ca: str, connections: int, seconds: float, label: str, told: multiprocessing.Queue[int]) -> None:
    """Senders in a process of their own: each waits for its answer before the next message."""
    tls = ssl.create_default_context(cafile=ca) if ca else None

    async def one(number: int, until: float) -> int:
        reader, writer = await asyncio.open_connection(HOST, port, ssl=tls, server_hostname=HOST if tls else None)
        done, messages = 0, admissions(f"{label}-{number}")
        while time.monotonic() < until:
            writer.write(START + next(messages) + END)
            answer = await reader.readuntil(END)
            assert b"\rMSA|AA|" in answer, answer
            done += 1
        writer.close()
        return done

    async def every() -> int:
        until = time.monotonic() + seconds
        return sum(await asyncio.gather(*(one(number, until) for number in range(connections))))

    told.put(asyncio.run(every()))


def rate(port: int, ca: str, connections: int, seconds: float, label: str) -> float:
    """Messages a second."""
    spawn = multiprocessing.get_context("spawn")
    told: multiprocessing.Queue[int] = spawn.Queue()
    process = spawn.Process(target=sending, args=(port, ca, connections, seconds, label, told))
    process.start()
    done = told.get(timeout=seconds + 120)
    process.join()
    return done / seconds


@contextmanager
def sides(folder: Path) -> Generator[dict[str, tuple[int, str]]]:
    """Every side listening: its port, and the authority's file where it speaks TLS."""
    ours = authority(folder / "certificates")
    pem = ours.signed("listener", common="listener", alternative=f"IP:{HOST}")
    with ExitStack() as stack:
        def gateway(name: str, line: str, **settings: str) -> int:
            place = folder / name
            mappings = with_feed(place, bench=f"sender: {{MSH-3: BENCH, MSH-4: EAST}}\n{line}")
            options = Settings.model_validate({"data_dir": place / "data", "mappings": mappings, "key": "00" * 32, **settings})
            opened = Gateway(options)
            stack.callback(opened.close)
            handle = run_in_thread(listener_of(options, (HOST, 0), opened, lambda: None))
            stack.callback(handle.stop)
            return handle.port

        tune_memory()  # as `careloop serve` does
        bare = run_in_thread(Bare(folder / "bare.db"))
        stack.callback(bare.stop)
        yield {
            "bare": (bare.port, ""), "stored": (gateway("stored", "acknowledge: stored"), ""),
            "stored, TLS": (gateway("tls", "acknowledge: stored", mllp_certificate=str(pem)), str(ours.certificate)),
            "converted": (gateway("converted", "acknowledge: converted"), ""),
        }


def main() -> None:
    """Measure and print; exit 1 where a ratio is below its bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--connections", type=int, default=50)
    given = parser.parse_args()
    found: dict[str, list[float]] = {}
    spent: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, sides(Path(folder)) as listening:
        for turn in range(given.rounds + 1):
            for name, (port, ca) in listening.items():
                seconds, before = given.seconds if turn else 1.0, time.process_time()
                measured = rate(port, ca, given.connections, seconds, f"{name}{turn}".replace(", ", ""))
                if turn:  # the first warms up
                    found.setdefault(name, []).append(measured)
                    spent.setdefault(name, []).append((time.process_time() - before) / (measured * seconds) * 1e6)
    middle = {name: statistics.median(rates) for name, rates in found.items()}
    for name, rates in found.items():
        print(f"{name:12} {middle[name]:8,.0f} messages/s   {statistics.median(spent[name]):4.0f} us of CPU a message"
              f"   ({', '.join(f'{one:,.0f}' for one in rates)})")
    over, tls = middle["stored"] / middle["bare"], middle["stored, TLS"] / middle["stored"]
    print(f"stored / bare {over:.2f}   TLS / plain {tls:.2f}   converted / bare {middle['converted'] / middle['bare']:.2f}")
    raise SystemExit(0 if over >= 0.7 and tls >= 0.7 else 1)


if __name__ == "__main__":
    main()
