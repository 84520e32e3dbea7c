"""Improvement plans: kept with their history by the command, and shown beside who is below target without one."""

from __future__ import annotations

from dataclasses import astuple
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, Engine

from adapter import cli
from adapter.gaps.catalog import open_catalog
from adapter.gateway import Gateway
from adapter.reports.asked import asked
from adapter.reports.definitions import open_reports
from adapter.reports.run import Answered, answer
from adapter.reports.tables import of_store
from adapter.settings import Settings
from adapter.store import improvements
from adapter.store.improvements import Event, Plan
from tests.unit.gap_checks import holding
from tests.unit.gap_network import N, Resource, coded, to

NOW = datetime(2026, 6, 15, 12, 30, tzinfo=UTC)
TODAY = 20619  # 2026-06-15, days since 1970


def _opened(organization: str, review: int, measure: str = "G01") -> Event:
    return Event(plan=0, at=1, actor="ann", what="opened", organization=organization, measure=measure, said="three in four",
                 owner="Dana", review=review)


def _network() -> list[Resource]:
    """Two organizations that aim at 50 %, of whose two enrolled members nobody has a lead (G01)."""
    found: list[Resource] = []
    for one in ("oA", "oB"):
        found += [{"resourceType": "Organization", "id": one, "name": one},
                  {"resourceType": "Goal", "id": f"g-{one}", "lifecycleStatus": "active", "subject": to("Organization", one),
                   "target": [{"measure": coded(N + "measure", "G01"), "detailQuantity": {"value": 50, "unit": "%"}}]},
                  {"resourceType": "Patient", "id": f"m-{one}"},
                  {"resourceType": "EpisodeOfCare", "id": f"e-{one}", "status": "active", "patient": to("Patient", f"m-{one}"),
                   "type": [coded(N + "program", "care-coordination")], "period": {"start": "2026-01-01"},
                   "managingOrganization": to("Organization", one)}]
    return found


def _asked(connection: Connection) -> Answered:
    report = open_reports().reports["improvement"]
    with of_store(connection) as tables:
        return answer(tables, report, asked(report, open_catalog(), NOW),
                      plans=[astuple(plan) for plan in improvements.plans(connection)])


def test_below_target_stands_with_its_plan_or_without(engine: Engine) -> None:
    with holding(engine, _network()) as connection:
        found = [(f["organization"], f["below"], f["plan"], f["closed"]) for f in _asked(connection).facts]
        assert found == [("oA", "yes", "none", None), ("oB", "yes", "none", None)]
        assert improvements.start(connection, _opened("oA", TODAY)) == 1
        assert improvements.start(connection, _opened("oB", TODAY - 1)) == 2
        assert improvements.start(connection, _opened("oB", TODAY, "G02")) == 3
        found = [(f["organization"], f["measure"], f["below"], f["plan"], f["number"]) for f in _asked(connection).facts]
        assert found == [("oA", "G01", "yes", "open", 1), ("oB", "G01", "yes", "review overdue", 2),
                         ("oB", "G02", "no", "open", 3)]


def test_a_plan_goes_on_until_it_is_closed_and_keeps_what_was_done(empty: Connection) -> None:
    assert improvements.start(empty, _opened("oA", TODAY)) == 1
    assert improvements.start(empty, _opened("oA", TODAY)) is None
    assert improvements.go_on(empty, 1, "acted", "huddles", at=2, actor="bob", review=TODAY)
    assert improvements.go_on(empty, 1, "reviewed", "half", at=3, actor="cy", review=TODAY + 30)
    assert improvements.plans(empty) == [Plan(plan=1, organization="oA", measure="G01", status="open", goal="three in four",
                                              owner="Dana", review=TODAY + 30, actions=1, result="half")]
    assert improvements.go_on(empty, 1, "closed", "reached", at=4, actor="ann")
    assert not improvements.go_on(empty, 1, "acted", "more", at=5, actor="ann")
    assert [(one.what, one.actor, one.at, one.said) for one in improvements.events(empty, 1)] == [
        ("opened", "ann", 1, "three in four"), ("acted", "bob", 2, "huddles"), ("reviewed", "cy", 3, "half"),
        ("closed", "ann", 4, "reached")]
    assert improvements.start(empty, _opened("oA", TODAY)) == 2


def test_the_command_keeps_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARELOOP_DATA_DIR", str(tmp_path / "store"))
    monkeypatch.setenv("CARELOOP_KEY", "00" * 32)
    gateway = Gateway(Settings(data_dir=tmp_path / "store", key="00" * 32))
    with gateway.engine.begin() as connection:
        improvements.start(connection, _opened("oA", TODAY))
    gateway.close()
    typed = (["act", "1", "huddles", "--by", "bob"], ["review", "1", "half", "--next", "2026-07-15", "--by", "cy"],
             ["close", "1", "reached", "--by", "ann"], ["act", "1", "more"], ["show", "1"], ["show", "2"],
             ["open", "oX", "G01", "--goal", "x", "--owner", "y", "--review", "2026-07-01"])
    runs = [CliRunner().invoke(cli.main, ["improvement", *one]) for one in typed]
    assert [one.exit_code for one in runs] == [0, 0, 0, 1, 0, 1, 1], [one.output for one in runs]
    assert "unknown-plan" in runs[3].output
    shown = runs[4].output
    assert [word in shown for word in ("opened by ann", "acted by bob: huddles", "reviewed by cy: half (next review 2026-07-15)",
                                       "closed by ann: reached")] == [True] * 4
