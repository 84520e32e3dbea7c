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
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError

from adapter.deliver import packs
from adapter.errors import Unavailable
from adapter.feeds import open_feeds
from adapter.gateway import Gateway
from adapter.memory import forget
from adapter.settings import Settings
from adapter.store import journal
from adapter.store.engine import reading, writing
from adapter.store.schema import JOURNAL, OUTBOX
from tests.simulation.clients import Clients
from tests.simulation.gaps import Answers, answers, untrue
from tests.simulation.promises import Bodies, always, entries_of_clients, in_the_end, standing
from tests.simulation.senders import Engine, Partner, files, message
from tests.simulation.server import BASE, SimulatedServer

MAPPINGS = Path(__file__).parents[2] / "mappings"
STEPS = 40
"""Steps of one run, faults among them."""
ROUNDS, LOOKS = 60, 4
"""Once all faults are over: times ten minutes, and how often the worker looks each time."""
BEGIN = datetime(2026, 4, 1, tzinfo=UTC)
Open = Callable[..., Gateway]


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
        self.ahead: dict[int, timedelta] = {}
        self._nested = self._calm = False
        self.trace: list[str] = []
        self._open_gateway = open_gateway
        self._folder = folder
        self._crash_in: int | None = None
        self._full = False
        self.server = SimulatedServer(self.rng, self.true_time, self.point, named=seed % 4 == 3)
        self.clients = Clients(server=self.server, rng=self.rng)
        count = self.rng.randrange(3, 9)
        hours = self.rng.sample(range(1, 12), count)
        raws = [message(self.rng, hour, 12) for hour in hours]
        cut = self.rng.randrange(1, count)
        self.engines = [Engine(name="east", messages=raws[:cut]), Engine(name="east-2", messages=raws[cut:])]
        self.partner = Partner(files=files(self.rng))
        self.gateways: dict[int, Gateway | None] = {}
        self.keeps_gaps = self.rng.random() < 0.3
        self._always_right = True
        for n in range(self.rng.choice((1, 2))):
            self.at = n
            self._start()
        self.server.meanwhile = self._meanwhile

    @property
    def gateway(self) -> Gateway:
        """The one of the gateways on this database whose turn it is."""
        gateway = self.gateways[self.at]
        assert gateway is not None, "it runs"
        return gateway

    # --- the world's hands on the gateway

    def true_time(self) -> datetime:
        """The time of the world, and of the FHIR server: it goes on with each look."""
        self.now += timedelta(milliseconds=10)
        return self.now

    def clock_of(self, n: int) -> Callable[[], datetime]:
        """The clock of the machine of a gateway."""
        return lambda: self.true_time() + self.ahead.get(n, timedelta())

    def point(self) -> None:
        """A point at which the process may die."""
        if self._crash_in is not None:
            self._crash_in -= 1
            if self._crash_in < 0:
                self._crash_in = None
                raise Crash

    def _start(self) -> None:
        drawn = random.Random(self.rng.random())
        with (patch("adapter.installation.mappings.open_feeds", _feeds),
              patch("adapter.gateway.new_session", self.server.session),
              patch("adapter.installation.delivery.random.Random", lambda: drawn)):
            gateway = self._open_gateway(_settings(self._folder, BASE), self.clock_of(self.at))
        event.listen(gateway.engine, "begin", self._boundary)
        event.listen(gateway.engine, "commit", self._boundary)
        event.listen(gateway.engine, "before_cursor_execute", self._statement)
        self.gateways[self.at] = gateway

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
        self._end()
        self._start()

    def _end(self) -> None:
        self._crash_in = None
        self.gateway.close()
        forget(self.gateway.feeds)
        self.gateways[self.at] = None

    def _crash(self) -> None:
        """It stays dead for a while, or for good, where another gateway is there; what it held is held until the lease ends."""
        self._end()
        if self._alive():
            self.at = self._alive()[0]
        else:
            self._start()

    def _alive(self) -> list[int]:
        return [n for n, gateway in self.gateways.items() if gateway is not None]

    def _comes_back(self) -> None:
        """A gateway that is dead is started, or one that runs anew."""
        dead = [n for n, gateway in self.gateways.items() if gateway is None]
        if dead:
            self.at = dead[0]
            self._start()
        else:
            self._restart()

    def _meanwhile(self) -> None:
        """While one gateway is at an exchange with the server another client writes there, or another gateway does some of its
        work, with no fault of its own."""
        if not self._calm and self.rng.random() < 0.1:
            self.clients.act()
        others = [n for n in self._alive() if n != self.at]
        if self._nested or not others or self.rng.random() < 0.8:
            return
        before, crash_in, posts = self.at, self._crash_in, self.server.posts
        self.at, self._crash_in, self._nested = others[0], None, True
        try:
            with suppress(Unavailable):
                self.rng.choice((self._push, self._push, self._work, self._read_back))()
        finally:
            self.at, self._crash_in, self._nested = before, crash_in, False
        if self.server.posts != posts and not self.ahead:
            raise self._broken("two gateways push to one server at a time")

    # --- steps

    def step(self) -> None:
        """One step: something happens, or the gateway does some of its work; then the promises are checked."""
        name, act = self.rng.choices(self._acts, self._weights)[0]
        self._saying = said = ""
        if self.rng.random() < 0.12:
            self._crash_in = self.rng.randrange(60)
        self.at = self.rng.choice(self._alive())
        try:
            act()
        except Unavailable as error:
            said = error.issue.code
        except Crash:
            said = "crash"
            self._crash()
        self._crash_in = None
        self.trace.append(f"{name} {said}{self._saying}".strip())
        self.check()

    @property
    def _acts(self) -> Sequence[tuple[str, Callable[[], object]]]:
        return (("send", self._send), ("file", self._file), ("work", self._work), ("push", self._push),
                ("read back", self._read_back), ("restart", self._comes_back), ("server goes", self._server_goes),
                ("trouble", self._trouble), ("disk", self._disk), ("time", self._time), ("clock", self._clock_jumps),
                ("client", self._client), ("gaps", self._gaps))

    _weights = (20, 6, 22, 20, 8, 2, 3, 8, 3, 8, 2, 9, 5)

    def _client(self) -> None:
        self._saying = self.clients.act()

    def _gaps(self) -> None:
        if self.keeps_gaps:
            self.look_at_gaps()

    def look_at_gaps(self) -> None:
        """Look at gaps until all are: they are what the rules answer then, but where a clock was off, before the next sweep."""
        while self.gateway.gaps.keep():
            pass
        self._crash_in = None
        if self._always_right:
            self._no_untrue_gaps(answers(self.gateway, self.now), swept=False)

    def _no_untrue_gaps(self, expected: Answers, *, swept: bool) -> None:
        for what in untrue(self.gateway, expected, swept=swept):
            raise self._broken(what)

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
        self.ahead[self.at] = timedelta(days=self.rng.choice((-1, 0, 1)))
        self._always_right = False

    # --- promises

    def check(self) -> None:
        """What holds at every moment. Raises Broken."""
        for what in always(self):
            raise self._broken(what)

    def settle(self) -> None:
        """All faults are over: what was not acknowledged is sent again, and the gateway works until nothing waits.

        A clock may stay a day off, but where gaps are kept: those go by the time. Twice in a row nothing is to do, ten minutes
        apart: while a server is left alone, or was had by a process that died, it is not read back. Gaps are swept the
        second time.
        """
        idle = 0
        self._crash_in, self._full, self.server.gone, self.server.trouble, self._calm = None, False, False, 0, True
        if self.keeps_gaps:
            self.ahead.clear()
        for _ in range(ROUNDS):
            for sender in (*self.engines, self.partner):
                if not sender.done:
                    sender.send(self.gateway, self.rng, careful=True)
            worked = sum(self._looked() for _ in range(LOOKS)) + self.gateway.delivery.read_back()
            self.check()
            sent = self.partner.done and all(e.done for e in self.engines)
            done = not worked and sent and not self._waiting()
            if done and idle and self.keeps_gaps:
                done = not self.gateway.gaps.sweep()
            idle = idle + 1 if done else 0
            if idle == 2:
                return
            self.now += timedelta(minutes=10)
        raise self._broken(f"{self._waiting()} still wait")

    def _looked(self) -> int:
        """What the worker does each second but for reading back; how much that was."""
        self.now += timedelta(seconds=1)
        self.at = self.rng.choice(self._alive())
        kept = self.gateway.gaps.keep() if self.keeps_gaps else 0
        return self.gateway.work() + kept + self.gateway.delivery.push()

    def _waiting(self) -> list[tuple[str, ...]]:
        """What waits in the outbox or did not get through the journal."""
        with reading(self.gateway.engine) as connection:
            out = connection.execute(select(OUTBOX.c.resource_type, OUTBOX.c.state, OUTBOX.c.error)
                                     .where(OUTBOX.c.state != "done")).all()
            stuck = connection.execute(select(JOURNAL.c.kind, JOURNAL.c.state).where(
                JOURNAL.c.state.not_in(("done", "withdrawn")))).all()
        return [tuple(map(str, row)) for row in (*out, *stuck)]

    def compare(self, expected: Bodies, gaps: Answers) -> None:
        """What stands here and on the server, and the gaps, are what an undisturbed run ends in. Raises Broken."""
        for what in in_the_end(self, expected):
            raise self._broken(what)
        if self.keeps_gaps:
            self._no_untrue_gaps(gaps, swept=True)

    def _broken(self, what: str) -> Broken:
        return Broken(f"seed {self.seed}, step {len(self.trace)}: {what}\n  {' | '.join(self.trace)}")

    def digest(self) -> str:
        """What happened and what stands, as one hash: a seed that replays exactly has the same."""
        said = "\n".join([*self.trace, *(str(told) for told in self.server.log)])
        return hashlib.sha256(said.encode()).hexdigest()


def undisturbed(world: World, folder: Path) -> tuple[Bodies, Answers]:
    """What the same messages, files and writes of other clients end in where nothing ever goes wrong; and the gaps then."""
    seconds = iter(range(10**9))
    with patch("adapter.installation.mappings.open_feeds", _feeds):
        gateway = Gateway(_settings(folder), lambda: BEGIN + timedelta(seconds=next(seconds)))
    gateway.accept([(raw, "test") for engine in world.engines for raw in engine.messages])
    for feed, content in world.partner.files:
        gateway.load(feed, content)
    while gateway.work():
        pass
    with writing(gateway.engine) as connection:
        journal.append(connection, entries_of_clients(world.gateway))
    while gateway.work():
        pass
    found = standing(gateway), answers(gateway, world.now) if world.keeps_gaps else {}
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
        world.compare(*undisturbed(world, folder / "reference"))
    finally:
        for gateway in world.gateways.values():
            if gateway is not None:
                gateway.close()
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
