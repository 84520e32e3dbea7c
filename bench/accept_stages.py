"""Where the time of accepting goes: each stage by itself, on one thread, in microseconds of the processor a message.

Beside `bench.accept`, which measures rates: what a stage takes alone says how far these could come.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, cast

from adapter.gateway import Gateway
from adapter.intake.arrived import Arrived
from adapter.intake.connection import Connection, Slot
from adapter.intake.framing import END, START
from adapter.intake.plain_header import plain_header
from adapter.memory import tune_memory
from adapter.settings import Settings
from adapter.web.mllp import listener_of
from bench.accept import ANSWER, HOST, admissions
from tests.unit.feeds_of import with_feed

MESSAGES = 10_000
BATCHES = (10, 25, 50)
"""Messages in one commit: of 50 senders who wait for their answers about 25 are there when one begins."""


class Nowhere:
    """A transport that takes all that is written."""

    def is_closing(self) -> bool:
        """It never is."""
        return False

    def write(self, data: bytes) -> None:
        """Gone."""

    def get_extra_info(self, name: str) -> None:
        """Nothing is known."""


def told(what: str, count: int, act: Callable[[], object]) -> None:
    """Print what an act took for so many messages."""
    before = time.process_time()
    act()
    print(f"{what:58} {(time.process_time() - before) / count * 1e6:6.1f} us a message")


def bare_commits(folder: Path, messages: Sequence[bytes], batch: int) -> None:
    """What the bare listener commits: raw bytes, no index."""
    store = sqlite3.connect(folder / f"bare{batch}.db", isolation_level=None)
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL",
                      "CREATE TABLE message (id INTEGER PRIMARY KEY, raw BLOB NOT NULL)"):
        store.execute(statement)
    for start in range(0, len(messages), batch):
        store.execute("BEGIN IMMEDIATE")
        store.executemany("INSERT INTO message (raw) VALUES (?)", [(raw,) for raw in messages[start:start + batch]])
        store.execute("COMMIT")
    store.close()


def accepted(gateway: Gateway, looked: Sequence[Arrived], batch: int) -> None:
    """Journal messages that were looked at."""
    for start in range(0, len(looked), batch):
        gateway.accept(looked[start:start + batch])


async def through_a_connection(settings: Settings, gateway: Gateway, messages: Sequence[bytes]) -> None:
    """Frames in and answers out, without sockets, looking at messages or committing them."""
    listener, waiting = listener_of(settings, (HOST, 0), gateway, lambda: None), list[Slot]()
    listener.add = lambda slot, _message: waiting.append(slot)
    connection = Connection(f"mllp:{HOST}", listener)
    connection.connection_made(cast("asyncio.Transport", Nowhere()))
    frames = [START + raw + END for raw in messages]

    def each() -> None:
        for frame in frames:
            listener.buffer[:len(frame)] = frame
            connection.buffer_updated(len(frame))
            waiting.pop().ack = ANSWER
            listener.room.hold(3 - len(frame))
            connection.flush()
    told("connection: frame in, answer out, without the socket", len(messages), each)


def main() -> None:
    """Measure each stage and print it."""
    tune_memory()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mappings = with_feed(folder, bench="sender: {MSH-3: BENCH, MSH-4: EAST}\nacknowledge: stored")
        settings = Settings.model_validate({"data_dir": folder / "data", "mappings": mappings, "key": "00" * 32})
        gateway = Gateway(settings)
        made: Any = admissions("stages")
        messages = list(islice(made, MESSAGES))
        arrived = [Arrived(raw, f"mllp:{HOST}") for raw in messages]
        told("digest", MESSAGES, lambda: [sha256(raw).hexdigest() for raw in messages])
        told("header read", MESSAGES, lambda: [plain_header(raw) for raw in messages])
        told("looked at: both, feed, entry, acknowledgement", MESSAGES, lambda: [gateway.look(one) for one in arrived])
        asyncio.run(through_a_connection(settings, gateway, messages))
        for batch in BATCHES:
            told(f"bare commit, {batch} together", MESSAGES, lambda batch=batch: bare_commits(folder, messages, batch))
            looked = [gateway.look(Arrived(raw, f"mllp:{HOST}")) for raw in islice(made, MESSAGES)]
            told(f"journalled, {batch} together", MESSAGES, lambda batch=batch, looked=looked: accepted(gateway, looked, batch))
        gateway.close()


if __name__ == "__main__":
    main()
