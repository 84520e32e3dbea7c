"""One run of the gateway in a world drawn from a seed: clock, network, FHIR server, disk and crashes.

The gateway's own code runs whole, from accepting to delivery, on a database file that is all that outlives a crash; no thread and
no socket is in it, so a seed replays exactly. After each step the promises that always hold are checked; at the end, with all
faults over, what stands must be what an undisturbed run ends in, here and on the FHIR server.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError

from adapter.deliver import packs
from adapter.errors import Unavailable
from adapter.feeds import open_feeds
from adapter.gateway import Gateway
from adapter.memory import forget
from adapter.settings import Settings
from adapter.store.engine import reading
from adapter.store.schema import JOURNAL, OUTBOX, RESOURCE
from tests.simulation.senders import Engine, Partner, files, message
from tests.simulation.server import BASE, SimulatedServer

MAPPINGS = Path(__file__).parents[2] / "mappings"
STEPS = 40
"""Steps of one run, faults among them."""
ROUNDS, LOOKS = 60, 4
"""Once all faults are over: times ten minutes, and how often the worker looks each time."""
BEGIN = datetime(2026, 4, 1, tzinfo=UTC)
Open = Callable[..., Gateway]
Bodies = dict[tuple[str, str], dict[str, Any]]


class Crash(BaseException):
    """The process dies at this point; only what was committed remains."""


class AtOnce(Executor):
    """Does what it is given at once: no thread is in a run. The process may die in it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do it."""
        done = Future[Any]()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


class Broken(AssertionError):
    """A promise did not hold; says which, at which step of which seed."""


def _settings(folder: Path, fhir_url: str = "") -> Settings:
    given = {"data_dir": folder, "key": "00" * 32, "database_url": "", "fhir_url": fhir_url, "mappings": MAPPINGS}
    return Settings.model_validate(given)


@cache
def _feeds(mappings: Path) -> Any:
    return open_feeds(mappings)


class World:
    """A gateway and everything around it. folder: for its database, emptied before."""

    def __init__(self, seed: int, folder: Path, open_gateway: Open = Gateway) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.now = BEGIN
        self.trace: list[str] = []
        self._open_gateway = open_gateway
        self._folder = folder
        self._crash_in: int | None = None
        self._full = False
        self.server = SimulatedServer(self.rng, self.clock, self.point)
        count = self.rng.randrange(3, 9)
        hours = self.rng.sample(range(1, 12), count)
        raws = [message(self.rng, hour, 12) for hour in hours]
        cut = self.rng.randrange(1, count)
        self.engines = [Engine(name="east", messages=raws[:cut]), Engine(name="east-2", messages=raws[cut:])]
        self.partner = Partner(files=files(self.rng))
        self.gateway = self._start()

    # --- the world's hands on the gateway

    def clock(self) -> datetime:
        """The time that the gateway is told: it goes on with each look."""
        self.now += timedelta(milliseconds=10)
        return self.now

    def point(self) -> None:
        """A point at which the process may die."""
        if self._crash_in is not None:
            self._crash_in -= 1
            if self._crash_in < 0:
                self._crash_in = None
                raise Crash

    def _start(self) -> Gateway:
        drawn = random.Random(self.rng.random())
        with (patch("adapter.installation.mappings.open_feeds", _feeds),
              patch("adapter.gateway.new_session", self.server.session),
              patch("adapter.installation.delivery.random.Random", lambda: drawn)):
            gateway = self._open_gateway(_settings(self._folder, BASE), self.clock)
        event.listen(gateway.engine, "begin", self._boundary)
        event.listen(gateway.engine, "commit", self._boundary)
        event.listen(gateway.engine, "before_cursor_execute", self._statement)
        return gateway

    def _boundary(self, _connection: object) -> None:
        self.point()

    def _statement(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self.point()
        if self._full and statement.lstrip()[:6].upper() in ("INSERT", "UPDATE", "DELETE"):
            full = sqlite3.OperationalError("database or disk is full")
            full.sqlite_errorname = "SQLITE_FULL"  # type: ignore[misc]  # as the driver itself sets it
            raise OperationalError("", {}, full)

    def _restart(self) -> None:
        """The process died, or was stopped: nothing but the database file remains."""
        self._crash_in = None
        self.gateway.close()
        forget(self.gateway.feeds)
        self.gateway = self._start()

    # --- steps

    def step(self) -> None:
        """One step: something happens, or the gateway does some of its work; then the promises are checked."""
        name, act = self.rng.choices(self._acts, self._weights)[0]
        said = ""
        if self.rng.random() < 0.12:
            self._crash_in = self.rng.randrange(60)
        try:
            act()
        except Unavailable as error:
            said = error.issue.code
        except Crash:
            said = "crash"
            self._restart()
        self._crash_in = None
        self.trace.append(f"{name} {said}".strip())
        self.check()

    @property
    def _acts(self) -> Sequence[tuple[str, Callable[[], object]]]:
        return (("send", self._send), ("file", self._file), ("work", self._work), ("push", self._push),
                ("read back", self._read_back), ("restart", self._restart), ("server goes", self._server_goes),
                ("trouble", self._trouble), ("disk", self._disk), ("time", self._time), ("clock", self._clock_jumps))

    _weights = (20, 6, 22, 20, 6, 2, 3, 8, 3, 8, 2)

    def _send(self) -> None:
        self.rng.choice(self.engines).send(self.gateway, self.rng, careful=False)

    def _file(self) -> None:
        self.partner.send(self.gateway, self.rng, careful=False)

    def _work(self) -> None:
        self.gateway.work(self.rng.choice((1, 2, 5, 50)))

    def _push(self) -> None:
        """One pack, or small packs one after another, as the worker's threads do it."""
        if self.rng.random() < 0.5:
            self.gateway.delivery.push()
        else:
            with patch.object(packs, "PACK", 6):
                self.gateway.delivery.push(AtOnce())

    def _read_back(self) -> None:
        self.gateway.delivery.read_back()

    def _server_goes(self) -> None:
        self.server.gone = not self.server.gone

    def _trouble(self) -> None:
        self.server.trouble = self.rng.randrange(1, 4)

    def _disk(self) -> None:
        self._full = not self._full

    def _time(self) -> None:
        self.now += timedelta(seconds=self.rng.choice((1, 30, 600, 7200)))

    def _clock_jumps(self) -> None:
        self.now += timedelta(days=self.rng.choice((-1, 1)))

    # --- promises

    def check(self) -> None:
        """What holds at every moment: all that was acknowledged is in the journal, once."""
        with reading(self.gateway.engine) as connection:
            kept = Counter(connection.scalars(select(JOURNAL.c.raw).where(JOURNAL.c.kind == "hl7v2")))
        for engine in self.engines:
            for n in engine.acknowledged:
                if not kept[engine.messages[n]]:
                    raise self._broken(f"an acknowledged message of {engine.name} is not in the journal")
        if any(times > 1 for times in kept.values()):
            raise self._broken("a message is in the journal twice")

    def settle(self) -> None:
        """All faults are over: what was not acknowledged is sent again, and the gateway works until nothing waits."""
        self._crash_in, self._full, self.server.gone, self.server.trouble = None, False, False, 0
        for _ in range(ROUNDS):
            for sender in (*self.engines, self.partner):
                if not sender.done:
                    sender.send(self.gateway, self.rng, careful=True)
            worked = sum(self._looked() for _ in range(LOOKS)) + self.gateway.delivery.read_back()
            if not worked and self.partner.done and all(e.done for e in self.engines) and not self._waiting():
                return
            self.now += timedelta(minutes=10)
        raise self._broken(f"{self._waiting()} still wait")

    def _looked(self) -> int:
        """What the worker does each second but for reading back; how much that was."""
        self.now += timedelta(seconds=1)
        return self.gateway.work() + self.gateway.delivery.push()

    def _waiting(self) -> list[tuple[str, ...]]:
        """What waits in the outbox or did not get through the journal."""
        with reading(self.gateway.engine) as connection:
            out = connection.execute(select(OUTBOX.c.resource_type, OUTBOX.c.state, OUTBOX.c.error)
                                     .where(OUTBOX.c.state != "done")).all()
            stuck = connection.execute(select(JOURNAL.c.kind, JOURNAL.c.state).where(
                JOURNAL.c.state.not_in(("done", "withdrawn")))).all()
        return [tuple(map(str, row)) for row in (*out, *stuck)]

    def compare(self, expected: Bodies) -> None:
        """What stands here and on the server is what an undisturbed run ends in. Raises Broken."""
        found = standing(self.gateway)
        upstream = {key: told.body for key, told in self.server.standing.items() if told.body is not None}
        for where, bodies in (("store", found), ("server", upstream)):
            different = sorted({f"{t}/{i}" for t, i in {**bodies, **expected}
                                if _content(bodies.get((t, i))) != _content(expected.get((t, i)))})
            if different:
                raise self._broken(f"the {where} differs in {', '.join(different)}")

    def _broken(self, what: str) -> Broken:
        return Broken(f"seed {self.seed}, step {len(self.trace)}: {what}\n  {' | '.join(self.trace)}")

    def digest(self) -> str:
        """What happened and what stands, as one hash: a seed that replays exactly has the same."""
        said = "\n".join([*self.trace, *(str(told) for told in self.server.log)])
        return hashlib.sha256(said.encode()).hexdigest()


def standing(gateway: Gateway) -> Bodies:
    """All that stands in the store."""
    with reading(gateway.engine) as connection:
        query = select(RESOURCE.c.resource_type, RESOURCE.c.id, RESOURCE.c.body).where(RESOURCE.c.deleted == 0)
        return {(row.resource_type, row.id): orjson.loads(row.body) for row in connection.execute(query)}


def _content(body: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if body is None else {name: value for name, value in body.items() if name not in ("id", "meta")}


def undisturbed(world: World, folder: Path) -> Bodies:
    """What the same messages and files end in where nothing ever goes wrong."""
    seconds = iter(range(10**9))
    with patch("adapter.installation.mappings.open_feeds", _feeds):
        gateway = Gateway(_settings(folder), lambda: BEGIN + timedelta(seconds=next(seconds)))
    gateway.accept([(raw, "test") for engine in world.engines for raw in engine.messages])
    for feed, content in world.partner.files:
        gateway.load(feed, content)
    while gateway.work():
        pass
    found = standing(gateway)
    gateway.close()
    forget(gateway.feeds)
    return found


def new_world(seed: int, folder: Path, template: Path, open_gateway: Open = Gateway) -> World:
    """The world of a seed, at its beginning. template: a database at the newest schema."""
    _empty(folder / "run", template)
    return World(seed, folder / "run", open_gateway)


def run(seed: int, folder: Path, template: Path, open_gateway: Open = Gateway) -> World:
    """The whole of one seed. template: as for new_world. Raises Broken where a promise does not hold."""
    world = new_world(seed, folder, template, open_gateway)
    try:
        for _ in range(STEPS):
            world.step()
        world.settle()
        _empty(folder / "reference", template)
        world.compare(undisturbed(world, folder / "reference"))
    finally:
        world.gateway.close()
    return world


def _empty(folder: Path, template: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    shutil.copy(template, folder / template.name)


def template(folder: Path) -> Path:
    """An empty database file at the newest schema."""
    with patch("adapter.installation.mappings.open_feeds", _feeds):
        gateway = Gateway(_settings(folder))
    gateway.close()
    return Path(gateway.engine.url.database or "")
