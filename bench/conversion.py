"""Conversion of HL7 v2 messages into validated Bundles, messages per second on one pinned core.

Every stage is on: decoding, mapping, identity, composition, US Core claims, checks, serialization. Beside it, in the same
run, the bare loop: the same bytes split into leaves, put into as many dicts, hashed ids, serialized.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import orjson

from adapter.feeds import open_feeds
from adapter.memory import forget, tune_memory
from adapter.model import Received
from adapter.pipeline import convert
from bench.stream import another

ROOT = Path(__file__).parent.parent
SAMPLES = Path(os.environ.get("CARELOOP_SHARED", ROOT.parent / "shared")) / "samples" / "hl7v2"
KEY = b"benchmark"


def messages(folder: Path) -> list[bytes]:
    """The messages of a folder, in name order."""
    return [path.read_bytes() for path in sorted(folder.rglob("*.hl7"))]


def convert_all(raws: list[bytes], *, first: bool = False, stream: bool = False) -> Callable[[], float]:
    """The whole conversion of all messages; returns the seconds of CPU time that it took.

    first: nothing is kept from message to message. stream: each run is about other people of the same hospitals (stream.py).
    """
    feeds = open_feeds(ROOT / "mappings")
    runs = count(1)
    tune_memory()

    def run() -> float:
        n = next(runs)
        coming = [Received(raw=another(raw, n) if stream else raw, arrival=datetime(2026, 1, 1, tzinfo=UTC)) for raw in raws]
        begun = time.process_time()
        for one in coming:
            if first:
                forget(feeds)
            orjson.dumps(convert(one, feeds, KEY).bundle)
        return time.process_time() - begun

    return run


def bare_loop(raws: list[bytes]) -> Callable[[], float]:
    """The floor: split into leaves, 35 dicts with hashed ids a message, serialized; returns seconds of CPU time."""

    def run() -> float:
        begun = time.process_time()
        for raw in raws:
            leaves = [c for line in raw.decode("latin-1").split("\r") for f in line.split("|") for c in f.split("^") if c]
            orjson.dumps([{"id": hashlib.sha256(f"{n}".encode()).hexdigest()[:32], "values": leaves[n::35]} for n in range(35)])
        return time.process_time() - begun

    return run


def rate(run: Callable[[], float], messages_a_run: int, seconds: float) -> list[float]:
    """Messages per second of CPU time, pass by pass, for about so many seconds."""
    run()
    rates: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until or len(rates) < 3:
        rates.append(messages_a_run / run())
    return rates


def main() -> None:
    """Print the rates of a folder of messages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=SAMPLES if SAMPLES.is_dir() else ROOT / "fixtures" / "hl7v2")
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    raws = messages(options.folder)
    print(f"{len(raws)} messages of {sum(map(len, raws)) / len(raws) / 1000:.1f} kB, one core, validation on")
    for name, run, seconds in (("conversion", convert_all(raws), options.seconds),
                               ("same, a stream of other people each time", convert_all(raws, stream=True), options.seconds),
                               ("same, nothing kept of the messages before", convert_all(raws, first=True), 4.0),
                               ("bare loop", bare_loop(raws), 2.0)):
        found = rate(run, len(raws), seconds)
        print(f"{name:<42} {statistics.median(found):8.0f} messages/s (lowest {min(found):.0f}, highest {max(found):.0f})")


if __name__ == "__main__":
    main()
