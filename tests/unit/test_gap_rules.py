"""Every rule on made-up networks against its plain-Python oracle, for all and for members alone, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from adapter.gaps.rules import open_rules
from tests.fuzz import LONG
from tests.unit.gap_checks import agree
from tests.unit.gap_rules_known import GROUPS, SUBJECTS, Group

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
AT_ONCE, FEWEST, MOST = 400, 32, 8000
WHOLE = Group(name="everything", rules=tuple(open_rules().rules), subjects=SUBJECTS)


def fixed() -> Iterator[range]:
    """Seeds that are the same in each run: at first few networks at once, so that tables are nearly empty, then many."""
    yield from (range(first, first + 4) for first in range(0, FEWEST, 4))
    yield from (range(first, first + AT_ONCE) for first in range(FEWEST, MOST, AT_ONCE))


def chance() -> Iterator[range]:
    """Seeds of the long run."""
    yield from (range(first := Random().getrandbits(40), first + AT_ONCE) for _ in range(0, LONG // 4, AT_ONCE))


def test_each_rule_has_its_group():
    assert sorted(rule for group in GROUPS for rule in group.rules) == sorted(open_rules().rules)


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_the_rules_say_what_the_oracle_says_with_every_verdict(request: pytest.FixtureRequest, database: str, group: Group):
    engine = request.getfixturevalue(database)
    unseen = {(rule, verdict) for rule in group.rules for verdict in open_rules().rules[rule].verdicts}
    for seeds in fixed():
        unseen -= agree(engine, group.rules, group.subjects, seeds)
        if seeds.start >= FEWEST and not unseen:
            break
    assert unseen == set()
    for seeds in chance():
        agree(engine, group.rules, group.subjects, seeds)


@pytest.mark.parametrize("database", DATABASES)
def test_all_rules_say_what_the_oracles_say_of_people_drawn_about_anything(request: pytest.FixtureRequest, database: str):
    engine = request.getfixturevalue(database)
    for seeds in (range(16), range(16, AT_ONCE), *chance()):
        agree(engine, WHOLE.rules, WHOLE.subjects, seeds)
