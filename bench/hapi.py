"""End to end into a real HAPI, beside what HAPI itself reaches, and beside pushing every resource every time.

Made-up stays (`bench.stream.stays`): eight messages each, forty people in hospital at once. Sides take turns, each with people
and ids of its own; the first round warms the JVM up and does not count.

bare: transactions recorded from our pusher, under other ids, posted one after another by nothing but an HTTP connection.
push: our pusher with all composed ahead, so that the outbox is never empty.
whole: a served gateway from the first message over MLLP until nothing waits: journal, compose, push, reading back.
naive: each message's whole Bundle, converted ahead, posted by the same bare connection.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import orjson
from sqlalchemy import Integer, cast, func, select

from adapter.feeds import Feeds, open_feeds
from adapter.gateway import Gateway
from adapter.home import HOME
from adapter.installation.delivery import OVERLAP
from adapter.intake.send import send
from adapter.memory import tune_memory
from adapter.model import Outlet, Received
from adapter.pipeline import convert
from adapter.settings import Settings
from adapter.store.engine import open_engine, reading, writing
from adapter.store.journal import set_cursor, waiting_count
from adapter.store.schema import OUTBOX, PUSHED
from bench.processor import cpu_of
from bench.stream import stays
from bench.transactions import Recorder, bare, renamed
from tests.acceptance.served import served, until
from tests.servers import free_port

WARM_UP = 1_000_000
"""The number of a stay that nobody else has."""
SENDERS = 20
"""Connections that messages come by; a stay keeps to one, as WARD is a multiple of it."""
TOOLS = HOME / "tools" / "hapi"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one side did in one turn. resources: that came to stand on the server, each version counted. cpu: seconds of the
    served gateway's processor, 0 on other sides; hapi: of HAPI's."""

    messages: int
    resources: int
    seconds: float
    cpu: float = 0.0
    hapi: float = 0.0


def gateway_in(folder: Path, outlet: Outlet) -> Gateway:
    """A gateway over a store of its own, that pushes to HAPI; its ids are of a key that it makes itself."""
    return Gateway(Settings.model_validate({"data_dir": folder, "fhir_url": outlet.name, "push_messages": outlet.messages}))


def composed_ahead(folder: Path, outlet: Outlet, messages: Sequence[bytes]) -> None:
    """A store in which everything is composed and waits to be pushed; the network's own definitions are none of it."""
    with closing(gateway_in(folder, outlet)) as gateway:
        gateway.accept([(raw, "bench") for raw in messages])
        while gateway.work(200):
            pass


def recorded(folder: Path, outlet: Outlet) -> list[bytes]:
    """The transactions by which our pusher empties a copy of that store."""
    copy, recorder = folder.with_name(f"{folder.name}-copy"), Recorder()
    shutil.copytree(folder, copy)
    with patch("adapter.gateway.new_session", recorder.session), closing(gateway_in(copy, outlet)) as gateway:
        while gateway.delivery.push():
            pass
    return recorder.taken


def bare_turn(outlet: Outlet, transactions: Sequence[bytes], messages: int) -> Turn:
    """Transactions as they are, timed."""
    count = sum(len(orjson.loads(one)["entry"]) for one in transactions)
    return Turn(messages=messages, resources=count, seconds=_timed(lambda: bare(outlet, transactions)))


def push_turn(folder: Path, outlet: Outlet, messages: int) -> Turn:
    """Our pusher over a full outbox."""
    def emptied() -> None:
        while gateway.delivery.push(beside):
            pass

    with closing(gateway_in(folder, outlet)) as gateway, ThreadPoolExecutor(1) as beside:
        tune_memory()
        seconds = _timed(emptied)
    return Turn(messages=messages, resources=pushed(folder), seconds=seconds)


def whole_turn(folder: Path, outlet: Outlet, messages: Sequence[bytes]) -> Turn:
    """A served gateway; the clock runs from the first message on. Its own definitions have gone before, and one stay: as the JVM
    of all sides it has its rules compiled."""
    def all_of_it() -> None:
        with ThreadPoolExecutor(SENDERS) as senders:
            answers = senders.map(lambda mine: list(send(*gateway.mllp, mine, timeout=60)), shares)
        if not all(b"\rMSA|AA|" in answer for part in answers for answer in part):
            raise SystemExit("a message was refused")
        until(lambda: emptied(folder / "data") or None, 600)

    shares = [messages[number::SENDERS] for number in range(SENDERS)]
    begin_here(folder / "data", outlet)
    with served(folder, {"CARELOOP_FHIR_URL": outlet.name, "CARELOOP_PUSH_MESSAGES": outlet.messages}) as gateway:
        list(send(*gateway.mllp, stays(WARM_UP, 1), timeout=60))
        gateway.settle(120)
        before, cpu = pushed(folder / "data"), cpu_of(gateway.process.pid)
        seconds = _timed(all_of_it)
        return Turn(messages=len(messages), resources=pushed(folder / "data") - before, seconds=seconds,
                    cpu=cpu_of(gateway.process.pid) - cpu)


def begin_here(folder: Path, outlet: Outlet) -> None:
    """Make a store that reads the server's history back from now on: what other sides wrote there is not read."""
    with closing(gateway_in(folder, outlet)) as gateway, writing(gateway.engine) as connection:
        set_cursor(connection, f"history:{gateway.delivery.server.name}", (datetime.now(UTC) + OVERLAP).isoformat())


def emptied(folder: Path) -> bool:
    """Whether nothing waits to be composed or pushed; read from the file, as asking the gateway would take it time."""
    engine = open_engine(f"sqlite:///{folder / 'careloop.db'}")
    with reading(engine) as connection:
        waiting = waiting_count(connection) or connection.scalar(select(OUTBOX.c.id).where(OUTBOX.c.state == "waiting").limit(1))
    engine.dispose()
    return not waiting


def pushed(folder: Path) -> int:
    """How many versions of resources stand on the server: HAPI numbers those of each from 1."""
    engine = open_engine(f"sqlite:///{folder / 'careloop.db'}")
    with reading(engine) as connection:
        count = connection.scalar(select(func.sum(cast(PUSHED.c.version, Integer)))) or 0
    engine.dispose()
    return count


def whole_bundles(messages: Sequence[bytes], feeds: Feeds, key: bytes, outlet: Outlet) -> list[bytes]:
    """Each message's Bundle, as `careloop convert` makes it, without what is not to go there."""
    bundles = [convert(Received(raw=raw, arrival=datetime.now(UTC)), feeds, key).bundle for raw in messages]
    for bundle in bundles:
        bundle["entry"] = [one for one in bundle["entry"] if outlet.takes(one["resource"]["resourceType"], one["resource"])]
    return [orjson.dumps(bundle) for bundle in bundles]


def _timed(act: Callable[[], None]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def one_round(folder: Path, outlet: Outlet, number: int, count: int, feeds: Feeds, server: int) -> dict[str, Turn]:
    """Every side once, in an order that turns from round to round; people and ids are of this round and side alone.

    server: HAPI's process.
    """
    first = [(4 * number + part) * count for part in range(3)]
    ahead, salt = folder / "ahead", b"%d" % number
    messages = [stays(one, count) for one in first]
    composed_ahead(ahead, outlet, messages[0])
    transactions = renamed(recorded(ahead, outlet), salt)
    bundles = whole_bundles(messages[2], feeds, salt, outlet)
    sides: list[tuple[str, Callable[[], Turn]]] = [
        ("bare", lambda: bare_turn(outlet, transactions, len(messages[0]))),
        ("push", lambda: push_turn(ahead, outlet, len(messages[0]))),
        ("whole", lambda: whole_turn(folder / "whole", outlet, messages[1])),
        ("naive", lambda: bare_turn(outlet, bundles, len(bundles)))]
    sides = sides[number % 4:] + sides[:number % 4]
    turns: dict[str, Turn] = {}
    for name, act in sides:
        before = cpu_of(server)
        turns[name] = replace(act(), hapi=cpu_of(server) - before)
    return turns


@contextmanager
def hapi() -> Generator[tuple[str, int]]:
    """A HAPI of this run alone, in memory; its base URL and its process."""
    environment = {**os.environ, "HAPI_PORT": str(free_port()), "HAPI_HEAP": "4g"}
    started = subprocess.run([TOOLS / "start-hapi.sh"], env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    try:
        yield f"http://127.0.0.1:{environment['HAPI_PORT']}/fhir", int(re.findall(r"pid (\d+)", started)[-1])
    finally:
        subprocess.run([TOOLS / "stop-hapi.sh"], env=environment, check=False, stdout=subprocess.DEVNULL)


def told(turns: dict[str, list[Turn]]) -> tuple[float, float, float]:
    """Print each side's medians; pushing and the whole way beside bare, and the whole way's messages beside naive."""
    rates = {name: statistics.median(one.resources / one.seconds for one in of_it) for name, of_it in turns.items()}
    messages = {name: statistics.median(one.messages / one.seconds for one in of_it) for name, of_it in turns.items()}
    for name, of_it in turns.items():
        each = ", ".join(f"{one.resources / one.seconds:.0f}" for one in of_it)
        cpu, server = (statistics.median(used) for used in zip(*((one.cpu, one.hapi) for one in of_it), strict=True))
        print(f"{name:6} {rates[name]:7.0f} resources/s {messages[name]:7.1f} messages/s   {of_it[-1].resources} resources of "
              f"{of_it[-1].messages} messages; each round {each}; processor of the gateway {cpu:.1f} s, of HAPI {server:.1f} s")
    return rates["push"] / rates["bare"], rates["whole"] / rates["bare"], messages["whole"] / messages["naive"]


def main() -> None:
    """Measure and print; exit 1 where a ratio is below its bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stays", type=int, default=120, help="of each side in each round")
    parser.add_argument("--messages", choices=("all", "provenance", "none"), default="all", help="as CARELOOP_PUSH_MESSAGES")
    given = parser.parse_args()
    turns: dict[str, list[Turn]] = {}
    feeds = open_feeds(HOME / "mappings")
    with hapi() as (url, server):
        outlet = Outlet(name=url, messages=given.messages)
        for number in range(given.rounds + 1):
            with tempfile.TemporaryDirectory() as folder:
                found = one_round(Path(folder), outlet, number, given.stays, feeds, server)
            print(f"round {number}: " + ", ".join(f"{name} {one.resources / one.seconds:.0f}" for name, one in found.items()),
                  file=sys.stderr)
            for name in ("bare", "push", "whole", "naive"):
                turns.setdefault(name, []).extend([found[name]] if number else [])  # the first warms up
    push, whole, naive = told(turns)
    print(f"push / bare {push:.2f}   whole / bare {whole:.2f}   messages of whole / naive {naive:.1f}")
    raise SystemExit(0 if push >= 0.9 and whole >= 0.9 and naive >= 3 else 1)


if __name__ == "__main__":
    main()
