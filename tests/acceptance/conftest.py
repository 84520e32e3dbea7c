"""What acceptance tests share: the public samples, and the demonstration network loaded into a store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import orjson
import pytest

from adapter.commands.demonstration import load_demonstration
from adapter.demo import DEMO_AS_OF, generate
from adapter.gateway import Gateway
from adapter.parse.batch import split_messages
from adapter.settings import Settings
from tests.conftest import SHARED

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((SHARED / "samples" / "hl7v2").glob("*.hl7"))
"""The public samples in name order; none where the reference material is absent."""


def load_network(gateway: Gateway, folder: Path) -> None:
    """Load a generated network through the doors that partners use, and compose all of it."""
    for path in sorted(folder.glob("csv/*.csv"), key=lambda p: _ORDER.index(p.stem)):
        report = gateway.load(path.stem, path.read_bytes(), path.name)
        assert report.refused == []
    for path in sorted(folder.glob("hl7v2/*.hl7"), reverse=True):
        answers = gateway.accept([(raw, "test") for raw in split_messages(path.read_bytes()).messages])
        assert all(b"\rMSA|AA|" in answer for answer in answers)
    compose(gateway)


_ORDER = ("members", "care_team", "care_plans", "goals", "consents", "referrals", "contacts", "communications",
          "service_requests", "assessments", "benefits", "conditions", "organizations", "trainings", "surveys",
          "medications", "utilization")


def compose(gateway: Gateway) -> None:
    """Work until nothing waits."""
    while gateway.work(500):
        pass


def make_network(folder: Path, start: date, members: int) -> datetime:
    """Generate a network; the moment at which it is looked at."""
    generate(folder, start, members=members)
    return datetime.fromisoformat(orjson.loads((folder / "network.json").read_bytes())["as_of"])


@pytest.fixture(scope="session")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The demonstration network as `serve --demo` loads it at its last noon. Read it only."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("demonstration"), key="d0" * 32)
    gateway = Gateway(settings, clock=lambda: DEMO_AS_OF)
    load_demonstration(gateway)
    yield gateway
    gateway.close()
