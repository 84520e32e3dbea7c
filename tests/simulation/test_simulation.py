"""200 seeds of the simulation (`make simulate`: 10,000), that it replays exactly, and that it finds what it is there to find."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pytest

from adapter.errors import Unavailable
from adapter.fhirserver.port import Write
from adapter.gateway import Gateway
from adapter.intake.arrived import Arrived
from adapter.model import Delivery
from tests.property.test_orders import Told
from tests.simulation.clients import NOTE, Added
from tests.simulation.promises import in_the_end, standing
from tests.simulation.server import Key, SimulatedServer
from tests.simulation.world import Broken, Open, World, new_world, run, template

SEEDS = 200
BLOCK = 10


@pytest.fixture(name="empty", scope="module")
def _empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return template(tmp_path_factory.mktemp("template"))


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_promises_hold(tmp_path: Path, empty: Path, first: int) -> None:
    for seed in range(first, first + BLOCK):
        run(seed, tmp_path, empty)


@pytest.mark.parametrize("seed", [3, 94])
def test_a_seed_replays_exactly(tmp_path: Path, empty: Path, seed: int) -> None:
    assert run(seed, tmp_path, empty).digest() == run(seed, tmp_path, empty).digest()


class Hasty(Gateway):
    """Acknowledges what it could not keep."""

    def accept(self, batch: Sequence[Arrived | tuple[bytes, str]], feed: str | None = None) -> list[bytes]:
        try:
            return super().accept(batch, feed)
        except Unavailable:
            return [b"MSA|AA|" for _ in batch]


def many(seeds: range, folder: Path, empty: Path, open_gateway: Open = Gateway) -> None:
    for seed in seeds:
        run(seed, folder, empty, open_gateway)


def test_an_acknowledgement_before_the_commit_is_found(tmp_path: Path, empty: Path) -> None:
    with pytest.raises(Broken, match="not in the journal"):
        many(range(20), tmp_path, empty, Hasty)


def test_a_push_that_does_not_ask_for_the_version_it_builds_on_is_found(tmp_path: Path, empty: Path) -> None:
    world = quiet_world(tmp_path, empty)
    tell(world, "A01", 1)
    world.settle()
    world.clients.add(next(key for key, told in world.server.standing.items() if key[0] == "Patient" and told.body))
    tell(world, "A08", 2, "^PRN^PH^^1^518^5550161")
    with patch("adapter.deliver.push._write", blindly), pytest.raises(Broken, match="was overwritten"):
        world.settle()


def blindly(delivery: Delivery, _versions: object) -> Write:
    return Write(resource_type=delivery.resource_type, id=delivery.id, body=delivery.body)


@pytest.mark.parametrize(("place", "first"), [
    ("adapter.installation.delivery.others.bring_in", 0), ("adapter.deliver.others.server_state.adopt", 130),
    ("adapter.deliver.others.server_state.note_version", 0)])
def test_what_others_wrote_and_is_not_taken_in_as_it_was_written_is_found(
        tmp_path: Path, empty: Path, place: str, first: int) -> None:
    with patch(place, return_value=0), pytest.raises(Broken, match=r"heard of|still wait"):
        many(range(first, first + 40), tmp_path, empty)


def test_of_two_resources_that_are_joined_the_later_word_of_a_client_stands_and_no_other(tmp_path: Path, empty: Path) -> None:
    world = quiet_world(tmp_path, empty)
    tell(world, "A01", 1, visit="V1")
    tell(world, "A01", 2, visit="V2")
    world.settle()
    first, second = sorted((key for key in world.server.standing if key[0] == "Encounter"), key=lambda key: str(
        (world.server.standing[key].body or {})["identifier"]))
    note(world, first, "earlier")
    note(world, second, "later")
    world.settle()
    tell(world, "A42", 3, visit="V1")
    world.settle()
    stands = world.server.standing[first].body or {}
    assert [one["valueString"] for one in stands["extension"]] == ["later"]
    assert world.server.standing[second].body is None
    for lost in ("older", ""):
        world.server.write(first, {**stands, "extension": [{"url": NOTE, "valueString": lost}]})
        with pytest.raises(Broken, match="was overwritten"):
            world.check()


def note(world: World, key: Key, text: str) -> None:
    """Another client adds a note to a resource of ours."""
    world.clients.added.append(Added(key=key, element="extension", value=text))
    world.clients.own[key] = {"extension": len(world.clients.added) - 1}
    world.server.write(key, {**(world.server.standing[key].body or {}), "extension": [{"url": NOTE, "valueString": text}]},
                       client=True)


def test_gaps_that_nobody_looked_at_are_found(tmp_path: Path, empty: Path) -> None:
    world = quiet_world(tmp_path, empty)
    with patch("adapter.store.gap_lives.note"):
        tell(world, "A03", 1)
    with pytest.raises(Broken, match="not what the rules answer"):
        world.look_at_gaps()


def test_what_a_lost_answer_was_about_is_taken_back(tmp_path: Path, empty: Path) -> None:
    """It stayed on the server when it was taken back here before the next try."""
    world = quiet_world(tmp_path, empty)
    tell(world, "A01", 1)
    assert world.gateway.delivery.push() > 0  # what many share goes first
    with patch.object(SimulatedServer, "fault", return_value="lost answer"):
        assert world.gateway.delivery.push() == 0
    tell(world, "A29", 2)
    world.settle()
    there = {key for key, told in world.server.standing.items() if told.body}
    assert there == set(standing(world.gateway))


def test_what_we_say_no_more_is_taken_back_where_another_client_still_speaks(tmp_path: Path, empty: Path) -> None:
    """It stayed on the server, and held up the deletion of what it referred to."""
    world = quiet_world(tmp_path, empty)
    tell(world, "A01", 1)
    world.settle()
    key = next(key for key in world.server.standing if key[0] == "Encounter")
    world.server.write(key, {**(world.server.standing[key].body or {}), "status": "onleave"}, client=True)
    world.settle()
    tell(world, "A29", 2)
    world.settle()
    there = {key: told.body for key, told in world.server.standing.items() if told.body is not None}
    assert there.keys() == standing(world.gateway).keys()
    assert there[key]["status"] == "onleave"
    assert "identifier" not in there[key], "that was ours"


def test_an_older_version_that_another_gateway_sends_last_does_not_stay(tmp_path: Path, empty: Path) -> None:
    """Its clock is a day off, so that it does not see that the server is had; what it sent counted as the newest."""
    world = quiet_world(tmp_path, empty, gateways=2)
    tell(world, "A01", 1)
    assert world.gateway.delivery.push() > 0  # what many share goes first

    def newer() -> None:
        world.server.meanwhile, world.at = (lambda: None), 1
        world.ahead[1] = timedelta(days=1)
        tell(world, "A08", 2, "^PRN^PH^^1^518^5550161")
        while world.gateway.delivery.push():
            pass
        world.at = 0

    world.server.meanwhile = newer
    world.gateway.delivery.push()
    world.settle()
    assert list(in_the_end(world, standing(world.gateway))) == []


@pytest.mark.parametrize("software", ["HAPI FHIR Server", "another"])
def test_a_creation_does_not_hide_what_another_client_wrote_on_that_of_another_gateway(
        tmp_path: Path, empty: Path, software: str) -> None:
    """It goes without a version to build on; HAPI lets it go over nothing, of other servers its answer tells that it did."""
    world = quiet_world(tmp_path, empty, gateways=2)
    world.server.software = software
    tell(world, "A01", 1)
    assert world.gateway.delivery.push() > 0  # what many share goes first

    def other() -> None:
        world.server.meanwhile, world.at = (lambda: None), 1
        world.ahead[1] = timedelta(days=1)
        while world.gateway.delivery.push():
            pass
        key = next(key for key in world.server.standing if key[0] == "Patient")
        assert world.clients.change(key, "gender", "male")
        world.at = 0

    world.server.meanwhile = other
    world.gateway.delivery.push()
    world.settle()
    assert list(in_the_end(world, standing(world.gateway))) == []
    assert next(body for key, body in standing(world.gateway).items() if key[0] == "Patient")["gender"] == "male"


def quiet_world(folder: Path, empty: Path, gateways: int = 1) -> World:
    """In which nobody sends anything by himself."""
    world = next(world for seed in range(9) if len((world := new_world(seed, folder, empty)).gateways) == gateways)
    world.at = 0
    world.engines, world.partner.files, world.keeps_gaps = [], [], False
    return world


def tell(world: World, event: str, hour: int, phone: str = "", visit: str = "V1") -> None:
    world.gateway.accept([(Told(event=event, hour=hour, phone=phone, visit=visit).raw(), "east")])
    world.gateway.work()
