"""How rules are held to their oracle on made-up networks: the answers for all, for each member, and every verdict."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from random import Random

from hypothesis import HealthCheck, settings
from sqlalchemy import Connection, Engine

from adapter.gaps import tables
from adapter.gaps.engine import Gap, evaluate, in_order
from adapter.gaps.rules import open_rules
from adapter.model import Composed
from adapter.store.engine import migrate, open_engine
from tests.unit.gap_network import Resource, Subjects, network
from tests.unit.gap_oracle import Answer
from tests.unit.gap_rules_known import expected

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


@contextmanager
def holding(engine: Engine, resources: list[Resource]) -> Iterator[Connection]:
    """A transaction in which the network stands, rolled back at its end."""
    with engine.connect() as connection, connection.begin() as transaction:
        tables.refresh(connection, [composed(r) for r in resources])
        yield connection
        transaction.rollback()


def agree(engine: Engine, now: datetime, resources: list[Resource], rules: Collection[str] = ()) -> None:
    """All answers (of these rules, or of every one) are those of the oracles, name evidence that is there, and are the same for
    each member alone."""
    wanted = [a for a in expected(resources, now) if not rules or a.rule in rules]
    with holding(engine, resources) as connection:
        population = _found(connection, now, rules)
        assert [answer(gap) for gap in population] == wanted
        known = {f"{r['resourceType']}/{r['id']}" for r in resources}
        assert {reference for gap in population for reference in gap.evidence} <= known
        for member in {gap.member_id for gap in population} - {""}:
            assert _found(connection, now, rules, member) == [g for g in population if g.member_id == member]


def _found(connection: Connection, now: datetime, rules: Collection[str], member: str | None = None) -> list[Gap]:
    if not rules:
        return evaluate(connection, now=now, member=member)
    return in_order([gap for rule in rules for gap in evaluate(connection, now=now, member=member, rule=rule)])


def never_seen(engine: Engine, subjects: Subjects, rules: Collection[str], seeds: int = 5000) -> set[tuple[str, str]]:
    """Verdicts of these rules that no network about these subjects brings about."""
    missing = {(rule, verdict) for rule in rules for verdict in open_rules().rules[rule].verdicts}
    for seed in range(seeds):
        now, resources = network(Random(seed), subjects)
        with holding(engine, resources) as connection:
            missing -= {(gap.rule, gap.verdict) for rule in rules for gap in evaluate(connection, now=now, rule=rule)}
        if not missing:
            break
    return missing
