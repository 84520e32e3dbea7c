"""The rules of plans, teams and the first month on made-up networks against their oracle."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given, settings
from sqlalchemy import Engine

from tests.servers import postgres_url
from tests.unit.gap_checks import SLOW, agree, never_seen, store
from tests.unit.gap_network import Resource, networks
from tests.unit.gap_network_plans import SUBJECTS

RULES = ("G03", "G04", "G05", "G11", "G12")


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return store(f"sqlite:///{tmp_path_factory.mktemp('gaps') / 'gaps.db'}")


@pytest.fixture(scope="module")
def postgres() -> Engine:
    return store(postgres_url())


@given(networks(SUBJECTS))
@settings(SLOW, max_examples=400)
def test_the_rules_say_what_the_oracle_says(sqlite: Engine, drawn: tuple[datetime, list[Resource]]):
    agree(sqlite, *drawn, RULES)


def test_the_networks_bring_about_every_verdict(sqlite: Engine):
    assert never_seen(sqlite, SUBJECTS, RULES) == set()


@pytest.mark.postgres
@given(networks(SUBJECTS))
@settings(SLOW, max_examples=100)
def test_the_rules_say_the_same_on_postgresql(postgres: Engine, drawn: tuple[datetime, list[Resource]]):
    agree(postgres, *drawn, RULES)
