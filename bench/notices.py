"""Notices: from a message at the door of a served gateway to the notice at a subscriber's, by rest-hook and by the stream.

    python -m bench.notices --messages 200

Each message is a member who is enrolled (a row posted to /feeds/members: gap G01 opens), or gets a lead coordinator (G01
closes), half a second after the one before: the time is that of one message in a gateway that has nothing else to do. With
`--rate 0` they come as fast as they are answered, and the time is that of a queue. The first ten come while the gateway still
starts (it reads its rules and sweeps once); the longest of them is told by itself.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import requests

from tests.acceptance.served import Served, served
from tests.acceptance.test_notices import ENVIRONMENT, enroll, lead, subscribe
from tests.receiver import Json, events_of, part, receiving

WAIT = 120.0
COLD = 10
"""Messages that come while the gateway starts."""


class Clocked:
    """When each message went in, and when each of its notices came."""

    def __init__(self) -> None:
        self.sent: list[float] = []
        self.came: list[float] = []
        self._moved = threading.Condition()

    def take(self, count: int) -> None:
        """So many notices came now."""
        with self._moved:
            self.came += [time.perf_counter()] * count
            self._moved.notify_all()

    def wait(self, count: int) -> None:
        """Until so many have come. Raises TimeoutError."""
        with self._moved:
            if not self._moved.wait_for(lambda: len(self.came) >= count, WAIT):
                raise TimeoutError(f"{len(self.came)} of {count} notices")

    def told(self, name: str) -> str:
        """A line with the percentiles, in milliseconds."""
        each = [(came - sent) * 1000 for sent, came in zip(self.sent, self.came, strict=True)]
        cold, took = max(each[:COLD]), sorted(each[COLD:])
        at = [took[min(len(took) - 1, int(len(took) * share))] for share in (0.5, 0.9, 0.99)]
        return (f"{name:10} p50 {at[0]:6.0f} ms   p90 {at[1]:6.0f} ms   p99 {at[2]:6.0f} ms   longest {took[-1]:6.0f} ms   "
                f"at the start {cold:6.0f} ms")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--rate", type=float, default=2.0, help="messages a second; 0: as fast as they are answered")
    asked = parser.parse_args()
    hook, stream = Clocked(), Clocked()
    with tempfile.TemporaryDirectory() as folder, receiving() as receiver, served(Path(folder), ENVIRONMENT) as gateway:
        subscribe(gateway, receiver)
        receiver.before_answer = lambda bundle: hook.take(_events(bundle))
        _listen(gateway, stream)
        for step in steps(gateway, asked.messages):
            began = time.perf_counter()
            hook.sent.append(began)
            stream.sent.append(began)
            step()
            if asked.rate:
                time.sleep(max(0.0, began + 1 / asked.rate - time.perf_counter()))
        hook.wait(asked.messages)
        stream.wait(asked.messages)
    print(hook.told("rest-hook"))
    print(stream.told("stream"))


def steps(gateway: Served, count: int) -> list[Callable[[], None]]:
    """The messages: of each member one that opens, one that closes the gap."""
    def step(n: int) -> Callable[[], None]:
        member = b"B%d" % (n // 2)
        return lambda: (enroll if n % 2 == 0 else lead)(gateway, member)
    return [step(n) for n in range(count)]


def _events(bundle: Json) -> int:
    return sum(1 for event in events_of(bundle) if part(event, "event-number"))


def _listen(gateway: Served, clocked: Clocked) -> None:
    """Read the stream in a thread; back when it is open."""
    opened = threading.Event()

    def read() -> None:
        with requests.get(f"{gateway.events}?rule=G01", stream=True, timeout=WAIT) as answer:
            for line in answer.iter_lines(chunk_size=1):
                opened.set()
                if line.startswith(b"data: ") and orjson.loads(line[6:])["what"] in ("opened", "closed"):
                    clocked.take(1)

    threading.Thread(target=read, daemon=True).start()
    if not opened.wait(WAIT):
        raise TimeoutError("the stream does not open")


if __name__ == "__main__":
    main()
