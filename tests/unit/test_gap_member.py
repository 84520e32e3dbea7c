"""One member out of SQLite: the tables of a connection's own hold whom it asks about, by the definitions it asks with."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection

from adapter.gaps import tables
from adapter.gaps.engine import Gap, evaluate
from adapter.gaps.rules import RULES, Rules, open_rules
from tests.unit.gap_checks import composed, rolled_back, store
from tests.unit.gap_network import NOWS
from tests.unit.gap_population import population as people_of
from tests.unit.gap_rules_known import SUBJECTS

NOW = NOWS[-1]


@pytest.fixture
def other(tmp_path: Path) -> Rules:
    """The rules, for a program in which nobody is."""
    folder = tmp_path / "rules"
    folder.mkdir()
    for path in RULES.glob("*.yaml"):
        (folder / path.name).write_bytes(path.read_bytes())
    shared = (folder / "shared.yaml").read_text()
    assert "default: care-coordination" in shared
    (folder / "shared.yaml").write_text(shared.replace("default: care-coordination", "default: another-program"))
    return open_rules(folder)


def of(connection: Connection, member: str, rules: Rules | None = None) -> list[Gap]:
    return evaluate(connection, now=NOW, member=member, rules=rules)


def test_who_was_asked_about_before_and_by_which_rules_makes_no_difference(tmp_path: Path, other: Rules):
    resources = people_of(NOW, range(40, 60), SUBJECTS)
    engine = store(f"sqlite:///{tmp_path / 'x.db'}")
    with engine.begin() as connection:
        tables.refresh(connection, [composed(resource) for resource in resources])
        people = sorted({gap.member_id for gap in evaluate(connection, now=NOW, rule="G01")})[:6]
        by_rules = [evaluate(connection, now=NOW, rules=rules) for rules in (None, other)]
        said = {one: [[gap for gap in gaps if gap.member_id == one] for gaps in by_rules] for one in people}
    assert any(by_these != by_others for by_these, by_others in said.values())
    with engine.begin() as connection:
        for one in people:
            assert [of(connection, one), of(connection, one, other)] == said[one]
        assert evaluate(connection, now=NOW, member=people[0], rule="G07") == [g for g in said[people[0]][0] if g.rule == "G07"]
    with rolled_back(engine) as connection:
        tables.refresh(connection, [composed(resource, deleted=True) for resource in resources])
        assert [of(connection, one) for one in people] == [[]] * len(people)
    with engine.begin() as connection:
        assert [of(connection, one) for one in people] == [by_these for by_these, _ in said.values()]


def test_rows_of_persons_go_into_no_file_beside_the_store(tmp_path: Path):
    with store(f"sqlite:///{tmp_path / 'x.db'}").begin() as connection:
        assert connection.exec_driver_sql("PRAGMA temp_store").scalar() == 2  # in memory
