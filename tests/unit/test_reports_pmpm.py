"""The report per member per month: what its oracle counts, months that freeze, and corrections that are adjustments."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, Engine

from adapter import cli
from adapter.errors import Rejected
from adapter.gaps import tables as views
from adapter.gaps.catalog import open_catalog
from adapter.gateway import Gateway
from adapter.reports import freezing
from adapter.reports.asked import asked, month_name
from adapter.reports.definitions import open_reports
from adapter.reports.figures import Figure
from adapter.reports.run import Answered, answer
from adapter.reports.tables import of_store
from adapter.settings import Settings
from adapter.store.frozen import Freeze, freezes
from tests.unit import report_oracle as oracle
from tests.unit.gap_checks import composed, holding
from tests.unit.gap_network import NOWS, SUBJECTS, N, Resource, coded, to
from tests.unit.gap_population import networks
from tests.unit.gap_rules_known import expected
from tests.unit.report_checks import duck, of
from tests.unit.report_oracle_pmpm import Key, pmpm

REPORT = open_reports().reports["pmpm"]
LATER = datetime(2026, 4, 10, 12, tzinfo=UTC)
MARCH = date(2026, 3, 1)


def _group(organization: str, members: list[str], **entry: object) -> Resource:
    return {"resourceType": "Group", "id": f"list-{organization}", "type": "person", "actual": True, "active": True,
            "code": coded(N + "program", "care-coordination"), "managingEntity": to("Organization", organization),
            "member": [{"entity": to("Patient", member), **entry} for member in members]}


def _listed(resources: list[Resource], random: Random) -> list[Resource]:
    """The network with people on the lists of organizations."""
    people, organizations = ([r["id"] for r in resources if r["resourceType"] == kind] for kind in ("Patient", "Organization"))
    return [*resources, *(_group(one, random.sample(people, random.randint(0, len(people)))) for one in organizations)]


def _done(answered: Answered) -> dict[Key, bool]:
    return {(f["measure"], month_name(f["month"]), f["organization"], f["member_id"]): bool(f["numerator"])
            for f in answered.facts}


@pytest.mark.parametrize("now", NOWS)
def test_each_activity_of_each_attributed_member_is_what_its_oracle_says(engine: Engine, now: datetime) -> None:
    last = now.astimezone(oracle.ZONE).date()
    months = sorted({last.strftime("%Y-%m"), (last.replace(day=1) - oracle.timedelta(days=1)).strftime("%Y-%m")})
    drawn = networks(now, range(40), SUBJECTS)
    listed = [_listed(one, Random(number)) for number, one in enumerate(drawn)]
    wanted: dict[Key, bool] = {}
    for one, with_lists in zip(drawn, listed, strict=True):
        answers = {month: expected(one, oracle.month_end(month, now)) for month in months}
        wanted |= pmpm(with_lists, answers, now)
    with holding(engine, [resource for one in listed for resource in one]) as connection:
        found = of(connection, "pmpm", now, date.fromisoformat(f"{months[0]}-01"))
    assert _done(found) == wanted
    everything = {(one, yes) for one in REPORT.measures for yes in (True, False)}
    # that all is done is rare here: the demonstration has it
    assert {(at[0], yes) for at, yes in wanted.items()} >= everything - {("eligible", True)}
    assert all((fact["finding"] == "done") == bool(fact["numerator"]) for fact in found.facts)


def _member(name: str, *, spoken: bool = True) -> list[Resource]:
    """Somebody enrolled since January, who was spoken with in March, or not."""
    contact: Resource = {
        "resourceType": "Encounter", "id": f"c-{name}", "status": "finished", "subject": to("Patient", name),
        "class": {"code": "AMB"}, "type": [coded(N + "contact-type", "telephone")],
        "period": {"start": "2026-03-31T23:59:59-04:00"}, "serviceProvider": to("Organization", "oA")}
    return [{"resourceType": "Patient", "id": name},
            {"resourceType": "EpisodeOfCare", "id": f"e-{name}", "status": "active", "patient": to("Patient", name),
             "type": [coded(N + "program", "care-coordination")], "period": {"start": "2026-01-01"}},
            *([contact] if spoken else [])]


def _asked(connection: Connection, now: datetime = LATER) -> Answered:
    frozen = freezing.frozen_months(connection, REPORT)
    only = replace(REPORT, smallest=1)
    with of_store(connection) as tables:
        return answer(tables, only, asked(only, open_catalog(), now, first=MARCH, last=MARCH), frozen=frozen)


def _figure(answered: Answered, measure: str, standing: str) -> tuple[float | None, float | None]:
    named = {"measure": measure, "standing": standing}
    found: list[Figure] = [one for one in answered.figures
                           if one.level == "network" and named.items() <= dict(one.stratum).items()]
    return (found[0].denominator, found[0].numerator) if found else (None, None)


def test_a_frozen_month_stays_and_what_is_learned_later_is_an_adjustment(engine: Engine) -> None:
    organization: Resource = {"resourceType": "Organization", "id": "oA", "name": "A"}
    before = [organization, *_member("m0"), *_member("m1", spoken=False), *_member("m2"), _group("oA", ["m0", "m1", "m2"])]
    with holding(engine, before) as connection:
        assert _figure(_asked(connection), "contact", "running") == (3, 2)
        assert freezing.freeze(connection, REPORT, open_catalog(), MARCH, LATER, "ann") == 3 * 5
        assert freezing.adjustments(_asked(connection)).facts == []
        late = [*_member("m1"), *_member("m3"), _group("oA", ["m0", "m1", "m3"])]
        views.refresh(connection, [composed(one) for one in late])
        found = _asked(connection)
        assert _figure(found, "contact", "frozen") == (3, 2)
        assert _figure(found, "contact", "now") == (3, 3)
        assert _figure(found, "contact", "running") == (None, None)
        told = [(f["member_id"], f["adjustment"], f["moved"], f["frozen_finding"], f["finding"])
                for f in freezing.adjustments(found).facts if f["measure"] == "contact"]
        assert sorted(told) == [
            ("m1", 1, 0, "no contact in the month", "done"), ("m2", -1, -1, "done", "not attributed"),
            ("m3", 1, 1, "not attributed", "done")]
        assert freezes(connection, "pmpm") == [
            Freeze(report="pmpm", month=2026 * 12 + 2, at=round(LATER.timestamp() * 1_000_000), actor="ann")]
        with pytest.raises(Rejected) as refused:
            freezing.freeze(connection, REPORT, open_catalog(), MARCH, LATER, "bob")
        assert refused.value.issue.code == "month-frozen"
        with duck(connection) as tables:
            question = asked(REPORT, open_catalog(), LATER, first=MARCH, last=MARCH)
            theirs = answer(tables, REPORT, question, frozen=freezing.frozen_months(connection, REPORT))
        assert theirs.facts == found.facts


@pytest.mark.parametrize("now", [datetime(2026, 4, 1, 3, 59, 59, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)])
def test_a_month_that_is_not_over_is_not_frozen(engine: Engine, now: datetime) -> None:
    with holding(engine, []) as connection:
        with pytest.raises(Rejected) as refused:
            freezing.freeze(connection, REPORT, open_catalog(), MARCH, now, "ann")
        assert refused.value.issue.code == "month-not-over"
        assert freezes(connection, "pmpm") == []


def test_a_month_over_which_nobody_is_attributed_is_frozen_too(engine: Engine) -> None:
    with holding(engine, []) as connection:
        assert freezing.freeze(connection, REPORT, open_catalog(), MARCH, datetime(2026, 4, 1, 4, tzinfo=UTC), "ann") == 0
        late = [{"resourceType": "Organization", "id": "oA"}, *_member("m0"), _group("oA", ["m0"])]
        views.refresh(connection, [composed(one) for one in late])
        assert {fact["standing"] for fact in _asked(connection).facts} == {"now"}


def test_the_command_freezes_and_tells_adjustments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an installation of its own: a month long past, and one far ahead."""
    monkeypatch.setenv("CARELOOP_DATA_DIR", str(tmp_path / "store"))
    monkeypatch.setenv("CARELOOP_KEY", "00" * 32)
    Gateway(Settings(data_dir=tmp_path / "store", key="00" * 32)).close()
    runs = [CliRunner().invoke(cli.main, ["report", "pmpm", *typed.split()]) for typed in (
        "--freeze 2026-01 --by ann", "--freeze 2026-01 --by bob", "--month 2026-01 --adjustments --format json",
        "--freeze 2101-01", "--adjustments --views x")]
    assert [one.exit_code for one in runs] == [0, 1, 0, 1, 2], [one.output for one in runs]
    assert runs[0].output == "2026-01 is frozen: 0 rows\n"
    assert "month-frozen" in runs[1].output
    assert runs[2].output.strip() == "[]"
    assert "month-not-over" in runs[3].output


def test_contacts_are_sought_in_the_months_asked_for_and_not_day_by_day(sqlite: Engine) -> None:
    names = [f"m{number}" for number in range(50)]
    people = [one for name in names for one in _member(name)]
    thousands: list[int] = []
    with holding(sqlite, [*people, _group("oA", names)]) as connection:
        raw: Any = connection.connection.driver_connection
        raw.set_progress_handler(lambda: thousands.append(1), 1000)
        assert len(_asked(connection).facts) == 50 * 5
        raw.set_progress_handler(None, 0)
    assert len(thousands) < 1000  # of SQLite's steps: for each contact every day of the calendar makes 8,000
