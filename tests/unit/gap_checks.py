"""How rules are held to their oracle on made-up networks: the answers for all, for members alone, and every verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection, Engine

from adapter.gaps import tables
from adapter.gaps.engine import Gap, evaluate, in_order
from adapter.model import Composed
from adapter.store.engine import migrate, open_engine
from tests.unit.gap_arrivals import arrive
from tests.unit.gap_network import NOWS, Resource, Subjects
from tests.unit.gap_oracle import Answer
from tests.unit.gap_population import networks
from tests.unit.gap_rules_known import expected

ALONE = 4
"""How many members of a population are asked about by themselves too."""


def composed(resource: Resource, deleted: bool = False) -> Composed:
    return Composed(resource_type=resource["resourceType"], id=resource["id"], key=resource["id"], person="",
                    body=resource, hash="", sources={}, deleted=deleted)


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
def rolled_back(engine: Engine) -> Iterator[Connection]:
    """A transaction of which nothing stays."""
    with engine.connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


@contextmanager
def holding(engine: Engine, resources: list[Resource]) -> Iterator[Connection]:
    """A transaction in which the network stands, rolled back at its end."""
    with rolled_back(engine) as connection:
        tables.refresh(connection, [composed(r) for r in resources])
        arrive(connection, resources)
        yield connection


def agree(engine: Engine, rules: Collection[str], subjects: Subjects, seeds: range) -> set[tuple[str, str]]:
    """The networks of those seeds, as one population for each as-of instant, are answered as the oracles answer each network.

    An id ends with the seed of its network. The result is the verdicts that were seen, each with its rule.
    """
    return {seen for number, now in enumerate(NOWS)
            for seen in _agree(engine, rules, now, networks(now, seeds[number::len(NOWS)], subjects))}


def _agree(engine: Engine, rules: Collection[str], now: datetime, drawn: list[list[Resource]]) -> set[tuple[str, str]]:
    wanted = Counter(a for one in drawn for a in expected(one, now) if a.rule in rules)
    resources = [resource for one in drawn for resource in one]
    with holding(engine, resources) as connection:
        population = _found(connection, now, rules)
        found = Counter(map(answer, population))
        assert [list((found - wanted).elements())[:3], list((wanted - found).elements())[:3]] == [[], []]
        known = {f"{r['resourceType']}/{r['id']}" for r in resources}
        assert {reference for gap in population for reference in gap.evidence} <= known
        for member in sorted({gap.member_id for gap in population} - {""})[:ALONE]:
            assert _found(connection, now, rules, member) == [g for g in population if g.member_id == member]
    return {(gap.rule, gap.verdict) for gap in population}


def _found(connection: Connection, now: datetime, rules: Collection[str], member: str | None = None) -> list[Gap]:
    return in_order([gap for rule in rules for gap in evaluate(connection, now=now, member=member, rule=rule)])
