"""Two gateways as processes on one PostgreSQL: one is killed under load, the database goes and comes back; nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import requests
from sqlalchemy import func, select

from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.store.engine import open_engine, reading
from adapter.store.schema import CONTRIBUTION, FINDING, JOURNAL, LANE, OUTBOX, RESOURCE
from tests.acceptance.served import served, until
from tests.contract.test_lanes import adt
from tests.faulty import fhir_stand_in
from tests.servers import postgres_gone, postgres_url

pytestmark = pytest.mark.postgres
KEY = "00" * 32
MESSAGES = [*(adt(1 + n % 10, "A31" if n >= 10 else "A28", minute=n) for n in range(60)),
            adt(3, "A40", minute=70, old=4), adt(5, "A40", minute=71, old=3)]


def told(url: str) -> dict[str, Any]:
    """What must be the same whoever did it: resources of messages, statements with their counts, findings."""
    engine = open_engine(url)
    try:
        with reading(engine) as connection:
            assert set(connection.scalars(select(JOURNAL.c.state))) == {"done"}
            assert not list(connection.execute(select(LANE.c.name)))
            r, t = RESOURCE.c, CONTRIBUTION.c
            bodies = connection.execute(select(r.resource_type, r.id, r.body).where(
                r.deleted == 0, r.resource_type.not_in(("Task", "Measure", "Questionnaire")))).all()
            return {"resources": sorted(tuple(row) for row in bodies),
                    "statements": sorted(tuple(row) for row in connection.execute(
                        select(t.identity, t.times).where(t.resource_type.not_in(("Task", "Measure", "Questionnaire"))))),
                    "findings": sorted(tuple(row) for row in connection.execute(
                        select(FINDING.c.code, FINDING.c.place, func.count()).where(FINDING.c.journal != 0).group_by(
                            FINDING.c.code, FINDING.c.place)))}
    finally:
        engine.dispose()


def settled(url: str, seconds: float = 90) -> None:
    """Until nothing waits in the journal, and nothing on its way out."""
    engine = open_engine(url)

    def ask() -> bool | None:
        with reading(engine) as connection:
            left = connection.scalar(select(func.count()).select_from(JOURNAL).where(JOURNAL.c.state == "waiting"))
            return None if left or connection.scalar(select(func.count()).select_from(OUTBOX)) else True
    try:
        until(ask, seconds)
    finally:
        engine.dispose()


def alone(folder: Path) -> dict[str, Any]:
    """What stands where one gateway did it all, undisturbed."""
    url = f"sqlite:///{folder / 'alone.db'}"
    gateway = Gateway(Settings(data_dir=folder, key=KEY, database_url=url))  # pyright: ignore[reportCallIssue]  # the settings fill the rest
    gateway.accept([(one, "test") for one in MESSAGES])
    while gateway.work():
        pass
    gateway.close()
    return told(url)


def test_one_of_two_is_killed_and_the_other_takes_over(tmp_path: Path) -> None:
    url = postgres_url()
    with fhir_stand_in() as server:
        environment = {"CARELOOP_DATABASE_URL": url, "CARELOOP_KEY": KEY, "CARELOOP_FHIR_URL": server.url}
        with served(tmp_path / "a", environment) as first, served(tmp_path / "b", environment) as second:
            for n, one in enumerate(MESSAGES):
                if n == 30:
                    first.kill()
                assert "MSA|AA" in (first if n % 2 and n < 30 else second).send(one)
            settled(url)
            assert second.terminate() == 0
        assert told(url) == alone(tmp_path)
        engine = open_engine(url)
        with reading(engine) as connection:
            here = {(r.resource_type, r.id): orjson.loads(r.body) for r in connection.execute(
                select(RESOURCE).where(RESOURCE.c.deleted == 0))}
        engine.dispose()
        assert server.current() == {key: {n: v for n, v in body.items() if n != "meta"} for key, body in here.items()}


def test_the_database_goes_and_comes_back(tmp_path: Path) -> None:
    url = postgres_url()
    with served(tmp_path / "a", {"CARELOOP_DATABASE_URL": url, "CARELOOP_KEY": KEY}) as gateway:
        for one in MESSAGES[:20]:
            assert "MSA|AA" in gateway.send(one)
        with postgres_gone():
            refused = gateway.send(MESSAGES[20])
            assert "MSA|AR" in refused
            assert "|207^" in refused
            assert requests.get(f"{gateway.http}/readyz", timeout=30).status_code == 503
        for one in MESSAGES[20:]:
            assert "MSA|AA" in gateway.send(one)
        settled(url)
        assert gateway.terminate() == 0
    assert told(url) == alone(tmp_path)
