"""Improvement plans: kept with their history by the command, and shown beside who is below target without one."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import astuple, replace
from datetime import UTC, date, datetime
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection, Engine

from adapter import cli
from adapter.gaps import tables
from adapter.gaps.catalog import open_catalog
from adapter.gateway import Gateway
from adapter.reports.asked import asked
from adapter.reports.definitions import open_reports
from adapter.reports.run import Answered, answer
from adapter.reports.tables import of_store
from adapter.settings import Settings
from adapter.store import improvements
from adapter.store.improvements import Event, Plan
from tests.unit.gap_checks import composed, holding
from tests.unit.gap_network import N, Resource, coded, to
from tests.unit.report_checks import ask, duck, of

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


def _asked(connection: Connection, smallest: int = 0) -> Answered:
    report = open_reports().reports["improvement"]
    if smallest:
        report = replace(report, smallest=smallest, opens=report.opens and replace(report.opens, smallest=smallest))
    with of_store(connection) as store:
        return answer(store, report, asked(report, open_catalog(), NOW),
                      plans=[astuple(plan) for plan in improvements.plans(connection)])


def test_below_target_stands_with_its_plan_or_without(engine: Engine) -> None:
    with holding(engine, _network()) as connection:
        found = [(f["organization"], f["below"], f["plan"], f["gaps"]) for f in _asked(connection, 1).facts]
        assert found == [("oA", "yes", "none", 1), ("oB", "yes", "none", 1)]
        assert _asked(connection).facts == []  # one member each: that they are below would tell of that member
        assert improvements.start(connection, _opened("oA", TODAY)) == 1
        assert improvements.start(connection, _opened("oB", TODAY - 1)) == 2
        assert improvements.start(connection, _opened("oB", TODAY, "G02")) == 3
        for smallest, below, met in ((1, "yes", "no"), (11, None, None)):
            found = [(f["organization"], f["measure"], f["below"], f["plan"], f["number"])
                     for f in _asked(connection, smallest).facts]
            assert found == [("oA", "G01", below, "open", 1), ("oB", "G01", below, "review overdue", 2),
                             ("oB", "G02", met, "open", 3)]


def _with_leads(**numbers: tuple[int, int]) -> list[Resource]:
    """Organizations that aim at all, each with members who have a lead (G01 closed) and who have none."""
    found: list[Resource] = []
    program = [coded(N + "program", "care-coordination")]
    for one, (met, unmet) in numbers.items():
        found += [{"resourceType": "Organization", "id": one, "name": one},
                  {"resourceType": "Goal", "id": f"g-{one}", "lifecycleStatus": "active", "subject": to("Organization", one),
                   "target": [{"measure": coded(N + "measure", "G01"), "detailQuantity": {"value": 100, "unit": "%"}}]}]
        for n in range(met + unmet):
            member = f"m-{one}-{n}"
            found += [{"resourceType": "Patient", "id": member},
                      {"resourceType": "EpisodeOfCare", "id": f"e-{member}", "status": "active", "type": program,
                       "patient": to("Patient", member), "period": {"start": "2026-01-01"},
                       "managingOrganization": to("Organization", one)}]
            seat = {"role": [coded(N + "care-team-role", "lead-coordinator")], "member": to("Practitioner", "p"),
                    "onBehalfOf": to("Organization", one)}
            found += [{"resourceType": "CareTeam", "id": f"t-{member}", "status": "active", "category": program,
                       "subject": to("Patient", member), "participant": [seat]}] if n < met else []
    return [*found, {"resourceType": "Practitioner", "id": "p"}]


def test_counts_hold_back_what_performance_holds_back_and_open_down(engine: Engine) -> None:
    with holding(engine, _with_leads(oA=(27, 3), oB=(50, 40), oC=(30, 20))) as connection:
        alone = _asked(connection)
        assert {fact["organization"] for fact in alone.facts if fact["measure"] == "G01"} == {"oB"}
        figures = of(connection, "performance", NOW, date(2026, 6, 1)).figures
        with duck(connection) as snapshot:
            assert ask(snapshot, "improvement", NOW).opened == alone.opened
        for one in ("oA", "oC"):
            improvements.start(connection, _opened(one, TODAY))
        listed = _asked(connection)
    told = {fact["organization"]: (fact["closed"], fact["gaps"]) for fact in listed.facts if fact["measure"] == "G01"}
    assert {fact["organization"]: fact["below"] for fact in listed.facts if fact["measure"] == "G01"} == {
        "oA": None, "oB": "yes", "oC": None}
    assert told == {"oA": (None, 30), "oB": (50, 90), "oC": (None, 50)}  # 3 have none; and 30 of oC would give 27 of oA away
    assert told == {one.place: (one.numerator, one.denominator) for one in figures
                    if one.level == "organization" and dict(one.stratum)["measure"] == "G01"}
    opened = listed.opened
    assert opened is not None
    rows = [fact for fact in opened.facts if fact["measure"] == "G01"]
    assert {one: sum(row["numerator"] for row in rows if row["organization"] == one) for one in told} == {
        "oA": 27, "oB": 50, "oC": 30}
    assert len({row["member_id"] for row in rows}) == len(rows) == 170
    assert {row["evidence"].split()[-1].partition("/")[0] for row in rows} == {"EpisodeOfCare"}
    assert {fact["measure"] for fact in opened.facts} == {fact["measure"] for fact in listed.facts}


@contextmanager
def _store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Connection]:
    """The store that commands use, with the network in it."""
    monkeypatch.setenv("CARELOOP_DATA_DIR", str(folder / "store"))
    monkeypatch.setenv("CARELOOP_KEY", "00" * 32)
    gateway = Gateway(Settings(data_dir=folder / "store", key="00" * 32))
    with gateway.engine.begin() as connection:
        tables.refresh(connection, [composed(one) for one in _network()])
        yield connection
    gateway.close()


def test_the_command_opens_the_counts_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _store(tmp_path, monkeypatch):
        pass

    def rows(*words: str) -> list[dict[str, object]]:
        done = CliRunner().invoke(cli.main, ["report", "improvement", "--as-of", NOW.isoformat(), "--format", "json", *words])
        assert done.exit_code == 0, done.output
        return orjson.loads(done.stdout)

    assert rows() == []
    assert [(row["organization"], row["gaps"]) for row in rows("--smallest", "1")] == [("oA", 1), ("oB", 1)]
    members = rows("--members", "--smallest", "1", "--measure", "G01", "--organization", "oB")
    assert [(row["member_id"], row["state"], row["evidence"]) for row in members] == [("m-oB", "open", "EpisodeOfCare/e-oB")]
    assert rows("--members", "--measure", "G02") == []


def test_a_plan_opens_down_to_members_and_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _store(tmp_path, monkeypatch) as connection:
        improvements.start(connection, _opened("oB", TODAY))
    plain, shown = (CliRunner().invoke(cli.main, ["improvement", "show", "1", *words]).output for words in ((), ("--members",)))
    assert shown.startswith(plain)
    assert "EpisodeOfCare/e-oB" in shown.removeprefix(plain)
    assert "m-oB" in shown
    assert "m-oA" not in shown


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
    typed = (["act", "1", "huddles", "--by", "bob"], ["review", "1", "half", "--next", "2099-07-15", "--by", "cy"],
             ["close", "1", "reached", "--by", "ann"], ["act", "1", "more"], ["show", "1"], ["show", "2"],
             ["open", "oX", "G01", "--goal", "x", "--owner", "y", "--review", "2026-07-01"])
    runs: list[Result] = []
    states: list[str] = []
    for one in typed:
        states.append(CliRunner().invoke(cli.main, ["improvement", "show", "1"]).output.splitlines()[0])
        runs.append(CliRunner().invoke(cli.main, ["improvement", *one]))
    assert [state.rpartition(", ")[2] for state in states[:4]] == ["review overdue", "review overdue", "open", "closed"]
    assert states[0] == "plan 1: G01, Organization/oA, owner Dana, review overdue"  # nobody has said what oA is called
    assert [one.exit_code for one in runs] == [0, 0, 0, 1, 0, 1, 1], [one.output for one in runs]
    assert "unknown-plan" in runs[3].output
    shown = runs[4].output
    assert [word in shown for word in ("opened by ann", "acted by bob: huddles", "reviewed by cy: half (next review 2099-07-15)",
                                       "closed by ann: reached")] == [True] * 4
