"""Killed at a named point: in mid-merge, in mid-file, between the server's commit and our mark. The end is that of a calm run."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from adapter.errors import Unavailable
from adapter.gateway import Gateway
from adapter.intake.send import send
from adapter.settings import Settings
from bench.rows import write_file
from tests.acceptance.accepting import KEY
from tests.acceptance.after_kills import assert_same, assert_there, calm, server_state, settled, store_state, store_url
from tests.acceptance.killing import Build, Killable, Point, running
from tests.contract.conftest import DATABASES
from tests.contract.test_lanes import adt
from tests.faulty import Answer, Asked, Cut, FhirStandIn, fhir_stand_in

MANY = int(os.environ.get("CARELOOP_KILLS", "0")) > 10
"""`make kill`: every point on PostgreSQL too, where each kill takes a lease of ten seconds to get over."""
PEOPLE = [adt(n, "A28", minute=n) for n in range(8)]
MERGES = [adt(n, "A40", minute=20 + n, old=n + 1) for n in (0, 2, 4, 6)]
AFTER = [adt(n, "A31", minute=30 + n) for n in range(8)]


def give(gateway: Killable, left: list[bytes]) -> None:
    """Send what is left, one after the other, until all of it is acknowledged or the gateway is gone."""
    with suppress(Unavailable):
        for answer in send(*gateway.mllp, list(left), 60):
            assert b"\rMSA|AA|" in answer
            left.pop(0)


def stored(environment: dict[str, str], folder: Path, messages: Sequence[bytes]) -> None:
    """Journal messages, and compose nothing of them."""
    gateway = Gateway(Settings(data_dir=folder / "data", key=KEY, database_url=environment["CARELOOP_DATABASE_URL"],
                               fhir_url=environment["CARELOOP_FHIR_URL"]))  # pyright: ignore[reportCallIssue]  # the settings fill the rest
    assert all(b"MSA|AA" in ack for ack in gateway.accept([(one, "test") for one in messages]))
    gateway.close()


@dataclass(slots=True)
class World:
    """One store that processes are killed over, and the server they push to."""

    folder: Path
    url: str
    server: FhirStandIn
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.environment = {"CARELOOP_KEY": KEY, "CARELOOP_DATABASE_URL": self.url, "CARELOOP_FHIR_URL": self.server.url}

    def dies(self, point: Point, *arguments: str) -> None:
        """Run a command, `serve` without one, until it kills itself at a point."""
        with running(self.folder, self.environment, *arguments or ("serve",), point=point) as gateway:
            gateway.killed()

    def ends_as(self, messages: Sequence[bytes], files: Sequence[tuple[str, Path]] = (), left: Sequence[bytes] = ()) -> None:
        """Left in peace, it ends as a run that nothing disturbed. left: what is still to be sent."""
        with running(self.folder, self.environment, "serve") as gateway:
            assert gateway.mllp
            unsent = list(left)
            give(gateway, unsent)
            assert not unsent
            settled(self.url)
            assert gateway.terminate() == 0
        state, there = calm(self.folder / "calm", messages, files)
        assert_same(store_state(self.url), state)
        assert_there(server_state(self.server), there)


@pytest.fixture(name="new_world")
def _new_world(tmp_path: Path) -> Any:
    with ExitStack() as stack:
        def make(kind: str = "sqlite", server: FhirStandIn | None = None) -> World:
            found = stack.enter_context(fhir_stand_in(server))
            return World(folder=tmp_path / "killed", url=store_url(kind, tmp_path / "store"), server=found)
        yield make


NewWorld = Callable[..., World]


IN_MERGE = {"sqlite": [Point(inside="a merge"), Point(inside="a merge", at=20), Point(inside="a merge", at=45),
                       Point(inside="a merge", of="commit")],
            "postgresql": [Point(inside="a merge", of="commit")]}
"""Before its first statement, on the way, before its commit."""
IN_ROWS = {"sqlite": [Point(inside="rows", at=2, of="commit"), Point(inside="rows"), Point(inside="rows", at=25),
                      Point(inside="rows", of="commit")],
           "postgresql": [Point(inside="rows", at=2, of="commit")]}
IN_FILE = [Point(inside="a file", at=4), *(Point(inside="a file", at=at, of="commit") for at in (1, 2, 3))]


@pytest.mark.parametrize("kind", DATABASES)
def test_killed_in_mid_merge(new_world: NewWorld, kind: str) -> None:
    world = new_world(kind)
    stored(world.environment, world.folder, [*PEOPLE, *MERGES])
    for point in IN_MERGE["sqlite" if MANY else kind]:
        world.dies(point)
    stored(world.environment, world.folder, AFTER)
    world.dies(Point(inside="a merge", at=30))
    world.ends_as([*PEOPLE, *MERGES, *AFTER])


@pytest.mark.parametrize("kind", DATABASES)
def test_killed_in_mid_file(new_world: NewWorld, tmp_path: Path, kind: str) -> None:
    """While its rows are journalled, and while they are composed: `careloop load` again goes on."""
    path = tmp_path / "members.csv"
    write_file(path, 120)
    world = new_world(kind)
    for point in (*IN_FILE, *IN_ROWS["sqlite" if MANY else kind]):
        world.dies(point, "load", "members", str(path))
    with running(world.folder, world.environment, "load", "members", str(path)) as load:
        assert load.ended() == 0
    world.ends_as([], [("members", path)])


# --- between the server's commit and our mark


@dataclass
class Deadly(FhirStandIn):
    """A server that kills who pushes while it has a transaction about patients: at each instant the next one in turn."""

    instants: list[str] = field(default_factory=list[str])
    kill: Callable[[], None] = lambda: None

    def answer(self, asked: Asked) -> Answer:
        if asked.method != "POST" or b'"url":"Patient/' not in asked.body or not self.instants:
            return super().answer(asked)
        instant = self.instants.pop(0)
        if instant != "after it committed":
            self.kill()
        if instant == "on the way there":
            raise Cut
        answer = super().answer(asked)
        if instant == "after it committed":
            self.kill()
        return answer


SAID: list[tuple[Sequence[bytes], Point | str]] = [
    (PEOPLE, "on the way there"), (AFTER[:4], "before it commits"), (MERGES[:2], "after it committed"),
    (AFTER[4:], Point(inside="a mark")), ([adt(9, "A28", minute=50)], Point(inside="a mark", at=2)),
    ([adt(9, "A29", minute=51)], Point(inside="a mark", at=3)), (MERGES[2:], Point(inside="a push", of="commit")),
    ([adt(1, "A31", minute=52)], Point(inside="a push", at=2, of="commit")),
    ([adt(9, "A31", minute=53)], Point(inside="a push", at=3, of="commit"))]
"""What is said, and where the gateway is killed after it: by the server while it has the transaction, or by itself."""


def push_and_kill(world: World, server: Deadly, said: Sequence[tuple[Sequence[bytes], Point | str]],
                  build: Build = "ours") -> list[bytes]:
    """What was not acknowledged in the end."""
    left: list[bytes] = []
    for messages, point in said:
        left += messages
        with running(world.folder, world.environment, "serve", point=point if isinstance(point, Point) else None,
                     build=build) as gateway:
            server.kill, server.instants = gateway.shoot, [point] if isinstance(point, str) else []
            give(gateway, left)
            gateway.killed()
    return left


@pytest.mark.parametrize("kind", DATABASES)
def test_killed_between_the_servers_commit_and_our_mark(new_world: NewWorld, kind: str) -> None:
    server = Deadly()
    world = new_world(kind, server)
    said = SAID if kind == "sqlite" or MANY else SAID[::3]
    left = push_and_kill(world, server, said)
    world.ends_as([one for messages, _ in said for one in messages], left=left)


def test_a_build_that_marks_first_fails_the_same_test(new_world: NewWorld) -> None:
    """What the server never got counts as sent; what names it is refused, where it was not marked with it."""
    server = Deadly()
    world = new_world("sqlite", server)
    left = push_and_kill(world, server, SAID[:1], "marks first")
    with pytest.raises(AssertionError, match=r"the server differs|not so within"):
        world.ends_as(PEOPLE, left=left)
