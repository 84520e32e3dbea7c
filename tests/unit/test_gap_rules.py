"""The rules on made-up networks against the plain-Python oracle, for all and for each member, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import Connection, Engine

from adapter.gaps import tables
from adapter.gaps.engine import Gap, evaluate
from adapter.gaps.rules import open_rules
from adapter.model import Composed
from adapter.store.engine import migrate, open_engine
from tests.servers import postgres_url
from tests.unit.gap_network import Resource, network, networks
from tests.unit.gap_oracle import Answer, expected

SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def composed(resource: Resource, deleted: bool = False) -> Composed:
    return Composed(resource_type=resource["resourceType"], id=resource["id"], key=resource["id"], person="",
                    body=resource,
                    hash="", sources={}, deleted=deleted)


def answer(gap: Gap) -> Answer:
    return Answer(gap.rule, gap.member_id or gap.organization_id, gap.item, gap.state, gap.reason, gap.due, gap.responsible_org,
                  gap.responsible_party)


def store(url: str) -> Engine:
    engine = open_engine(url)
    migrate(engine)
    with engine.begin() as connection:
        tables.prepare(connection)
    return engine


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return store(f"sqlite:///{tmp_path_factory.mktemp('gaps') / 'gaps.db'}")


@pytest.fixture(scope="module")
def postgres() -> Engine:
    return store(postgres_url())


@contextmanager
def holding(engine: Engine, resources: list[Resource]) -> Iterator[Connection]:
    """A transaction in which the network stands, rolled back at its end."""
    with engine.connect() as connection, connection.begin() as transaction:
        tables.refresh(connection, [composed(r) for r in resources])
        yield connection
        transaction.rollback()


def agree(engine: Engine, now: datetime, resources: list[Resource]) -> None:
    wanted = expected(resources, now)
    with holding(engine, resources) as connection:
        population = evaluate(connection, now=now)
        assert [answer(gap) for gap in population] == wanted
        known = {f"{r['resourceType']}/{r['id']}" for r in resources}
        assert {reference for gap in population for reference in gap.evidence} <= known
        for member in {gap.member_id for gap in population} - {""}:
            assert evaluate(connection, now=now, member=member) == [g for g in population if g.member_id == member]


@given(networks())
@settings(SLOW, max_examples=500)
def test_the_rules_say_what_the_oracle_says(sqlite: Engine, drawn: tuple[datetime, list[Resource]]):
    agree(sqlite, *drawn)


def test_the_networks_bring_about_every_verdict(sqlite: Engine):
    missing = {(rule.id, verdict) for rule in open_rules().rules.values() for verdict in rule.verdicts}
    for seed in range(5000):
        now, resources = network(Random(seed))
        with holding(sqlite, resources) as connection:
            missing -= {(gap.rule, gap.verdict) for gap in evaluate(connection, now=now)}
        if not missing:
            return
    pytest.fail(f"never seen: {sorted(missing)}")


@pytest.mark.postgres
@given(networks())
@settings(SLOW, max_examples=100)
def test_the_rules_say_the_same_on_postgresql(postgres: Engine, drawn: tuple[datetime, list[Resource]]):
    agree(postgres, *drawn)
