"""PostgreSQL is stopped while senders send and the gateway composes and pushes: it says so, loses nothing, and goes on by itself.

CARELOOP_ABSENCE: for how many seconds it is away (`make kill`: 60).
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from adapter.errors import Unavailable
from adapter.intake.send import send
from tests.acceptance.accepting import KEY
from tests.acceptance.after_kills import assert_same, assert_there, calm, server_state, settled, store_state
from tests.acceptance.served import Served, served, until
from tests.contract.test_lanes import adt
from tests.faulty import fhir_stand_in
from tests.servers import postgres_gone, postgres_url
from tests.unit.feeds_of import with_feed

pytestmark = pytest.mark.postgres
ABSENCE = float(os.environ.get("CARELOOP_ABSENCE", "3"))
COUNT = 20
"""Messages of a sender before, while, and after the database is away."""


def said_by(sender: str, first: int, asks: str = "") -> list[bytes]:
    """Messages of one sender about four patients of his own. asks: MSH-15 and MSH-16."""
    return [adt(first + n % 4, "A31" if n > 3 else "A28", minute=n).replace(b"|EXAMPLE|", f"|{sender}|".encode(), 1).replace(
        b"|P|2.5.1", f"|P|2.5.1{asks}".encode(), 1) for n in range(COUNT)]


@dataclass(slots=True)
class Sender:
    """Sends each message until it is acknowledged, and counts what else came: an ACK code with ERR-3, or `closed`."""

    left: list[bytes]
    others: Counter[str] = field(default_factory=Counter[str])

    def run(self, gateway: Served, away: threading.Event) -> None:
        """Half before the database goes, the other half from then on."""
        half = len(self.left) // 2
        while self.left:
            if len(self.left) <= half:
                away.wait(60)
            with suppress(Unavailable):
                answer = next(send(*gateway.mllp, self.left[:1], 60))
                if re.search(rb"\rMSA\|[AC]A\|", answer):
                    self.left.pop(0)
                    continue
                told = re.search(rb"\rMSA\|(\w\w)\|.*\rERR\|[^|]*\|[^|]*\|(\d*)", answer, re.S)
                assert told, answer
                self.others[f"{told[1].decode()} {told[2].decode()}"] += 1
                time.sleep(0.1)  # before it tries again, as an interface engine does
                continue
            self.others["closed"] += 1
            time.sleep(0.1)


def test_the_database_is_gone_for_a_while_under_load(tmp_path: Path) -> None:
    url = postgres_url()
    mappings = with_feed(tmp_path, river="sender: {MSH-3: RIVER}\nwhen_unavailable: close")
    every = [said_by("EXAMPLE", 10), said_by("EXAMPLE", 20, "|||AL|NE"), said_by("RIVER", 30)]
    senders = [Sender(list(messages)) for messages in every]
    away = threading.Event()
    with fhir_stand_in() as server:
        environment = {"CARELOOP_DATABASE_URL": url, "CARELOOP_KEY": KEY, "CARELOOP_FHIR_URL": server.url,
                       "CARELOOP_MAPPINGS": str(mappings)}
        with served(tmp_path / "gateway", environment) as gateway:
            threads = [threading.Thread(target=sender.run, args=(gateway, away)) for sender in senders]
            for thread in threads:
                thread.start()
            until(lambda: True if all(len(one.left) <= COUNT // 2 for one in senders) else None, 60)
            with postgres_gone():
                gone = time.monotonic()
                away.set()
                until(lambda: True if all(one.others for one in senders) else None, 60)
                while True:
                    ready = requests.get(f"{gateway.http}/readyz", timeout=60)
                    assert (ready.status_code, ready.json()["reasons"][0]["code"]) == (503, "store-unavailable")
                    assert requests.get(f"{gateway.http}/healthz", timeout=60).status_code == 200
                    refused = requests.post(f"{gateway.http}/hl7v2", every[0][-1], timeout=60,
                                            headers={"Content-Type": "text/plain"})
                    assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
                    if time.monotonic() - gone >= ABSENCE:
                        break
                    time.sleep(0.5)
            back = time.monotonic()
            until(lambda: requests.get(f"{gateway.http}/readyz", timeout=60).status_code == 200 or None, 60)
            ready_after = time.monotonic() - back
            for thread in threads:
                thread.join(60)
            settled(url)
            print(f"ready {ready_after:.1f} s after it was back, all pushed after {time.monotonic() - back:.1f} s")  # noqa: T201 - `make kill` shows it
            assert gateway.terminate() == 0
        assert [sender.left for sender in senders] == [[], [], []]
        assert [set(sender.others) for sender in senders] == [{"AR 207"}, {"CE 207"}, {"closed"}]
        state, there = calm(tmp_path / "calm", [one for messages in every for one in messages], mappings=mappings)
        assert_same(store_state(url), state)
        assert_there(server_state(server), there)
