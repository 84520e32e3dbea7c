"""Days as rules count them: business days and holidays, the zone of an organization, and programs with clocks of their own."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from sqlalchemy import Connection

from adapter.errors import Defect, Rejected
from adapter.gaps.calendar import open_calendar
from adapter.gaps.catalog import CALENDAR
from adapter.gaps.engine import evaluate
from adapter.gaps.rules import RULES, open_rules
from tests.unit.gap_evidence import N, put

EPOCH = date(1970, 1, 1)


def number(day: str) -> int:
    return (date.fromisoformat(day) - EPOCH).days


@pytest.mark.parametrize(("day", "business"), [
    ("2026-07-03", 0), ("2026-07-04", 0), ("2026-07-06", 1),  # a Saturday's holiday is kept on Friday
    ("2027-07-05", 0), ("2027-07-02", 1),  # a Sunday's on Monday
    ("2021-12-31", 0),  # New Year's Day of the year after
    ("2020-06-19", 1), ("2026-06-19", 0),  # before Juneteenth was a holiday, and since
    ("2026-05-25", 0), ("2026-05-18", 1),  # the last Monday of May
    ("2026-11-26", 0), ("2028-02-29", 1),
])
def test_business_days(empty: Connection, day: str, business: int):
    found = empty.exec_driver_sql(f"SELECT business FROM view_calendar WHERE zone = 'America/New_York' AND day = {number(day)}")
    assert found.scalar() == business


@pytest.mark.parametrize(("day", "days", "due"), [
    ("2026-06-12", 2, "2026-06-16"), ("2026-06-13", 2, "2026-06-16"), ("2026-06-15", 2, "2026-06-17"),
    ("2026-07-02", 2, "2026-07-07"),  # the holiday and the weekend do not count
])
def test_the_nth_business_day_after_a_day(empty: Connection, day: str, days: int, due: str):
    found = empty.exec_driver_sql(
        "SELECT c.day, c.end_at FROM view_calendar d JOIN view_calendar c ON c.zone = d.zone AND c.business = 1 AND "
        f"c.business_number = d.business_number + {days} WHERE d.zone = 'America/New_York' AND d.day = {number(day)}").one()
    assert found[0] == number(due)
    assert datetime.fromtimestamp(found[1], UTC) == datetime.fromisoformat(f"{due}T23:59:59-04:00")


def test_summer_time_makes_a_day_shorter_and_one_longer(empty: Connection):
    lengths = [empty.exec_driver_sql("SELECT end_at - start_at + 1 FROM view_calendar WHERE zone = 'America/Chicago' "
                                  f"AND day = {number(day)}").scalar() for day in ("2026-03-08", "2026-11-01", "2026-11-02")]
    assert lengths == [23 * 3600, 25 * 3600, 24 * 3600]


def test_a_day_elsewhere_is_told_by_the_instant(empty: Connection):
    just_after_midnight = int(datetime(2026, 6, 15, 4, 30, tzinfo=UTC).timestamp())
    found = empty.exec_driver_sql("SELECT zone, day FROM view_local_day WHERE start_at <= ? AND end_at >= ? AND network_day = ? "
                               "ORDER BY zone", (just_after_midnight, just_after_midnight, number("2026-06-15"))).all()
    assert [tuple(row) for row in found] == [("America/Chicago", number("2026-06-14")),
                                             ("America/New_York", number("2026-06-15"))]


@pytest.mark.parametrize(("now", "state"), [
    ("2026-12-29T00:30:00-05:00", "prospective"),  # in Chicago the 180th day after 1 July is not over yet
    ("2026-12-29T00:59:59-05:00", "prospective"), ("2026-12-29T01:00:00-05:00", "open"),
])
def test_the_days_of_an_organization_end_where_it_is(empty: Connection, now: str, state: str):
    put(empty, "Organization", "o", extension=[{"url": N + "time-zone", "valueCode": "America/Chicago"}])
    put(empty, "HealthcareService", "h", providedBy={"reference": "Organization/o"}, active=True,
        extension=[{"url": N + "last-verified", "valueDate": "2026-07-01"}])
    gap, = evaluate(empty, now=datetime.fromisoformat(now), rule="O04")
    assert (gap.organization_id, gap.state) == ("o", state)
    if state == "prospective":
        assert gap.due == datetime.fromisoformat("2026-12-28T23:59:59-06:00")


def test_organizations_have_gaps_and_none_are_told_of_a_member(empty: Connection):
    put(empty, "Patient", "p")
    put(empty, "Organization", "o")
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert evaluate(empty, now=now, member="p", rule="O04") == []
    withheld, = evaluate(empty, now=now, rule="O04", denied=["general"])
    assert (withheld.organization_id, withheld.member_id, withheld.state) == ("o", "", "withheld")


def test_a_day_outside_the_calendar_is_refused(empty: Connection):
    with pytest.raises(Rejected, match="2036"):
        evaluate(empty, now=datetime(2036, 6, 1, tzinfo=UTC))


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    shutil.copytree(RULES, folder)
    (folder / "programs.yaml").write_text(yaml.safe_dump({"programs": [
        {"members": "payer:PAY-1", "text": "quick", "parameters": {"G07": {"hours": 12, "contact_types": ["video"]}}},
        {"members": "program:aco", "text": "slow", "parameters": {"G07": {"hours": 48}, "G13": {"renew_days": 5}}}]}))
    return folder


@pytest.mark.parametrize(("belongs", "hours"), [((), 24), (("aco",), 48), (("payer",), 12), (("aco", "payer"), 12)])
def test_a_program_has_a_clock_of_its_own(empty: Connection, programs: Path, belongs: tuple[str, ...], hours: int):
    now = datetime(2026, 6, 15, 16, tzinfo=UTC)
    patient = {"reference": "Patient/p"}
    put(empty, "Patient", "p")
    put(empty, "Patient", "q")
    put(empty, "Organization", "pay", identifier=[{"system": N + "organization", "value": "PAY-1"}])
    if "aco" in belongs:
        put(empty, "EpisodeOfCare", "e", status="active", patient=patient,
            type=[{"coding": [{"system": N + "program", "code": "aco"}]}])
    if "payer" in belongs:
        put(empty, "Coverage", "c", status="active", beneficiary=patient, payor=[{"reference": "Organization/pay"}])
    put(empty, "ServiceRequest", "r", status="active", intent="order", subject=patient, authoredOn=now.isoformat(),
        code={"coding": [{"system": N + "service", "code": "housing"}]})
    rules = open_rules(programs)
    gaps = evaluate(empty, now=now, rule="G07", rules=rules)
    assert [g.member_id for g in gaps] == ["p", "q"]
    assert gaps[0].due == now + timedelta(hours=hours)
    assert evaluate(empty, now=now, rule="G07", rules=rules, member="p") == gaps[:1]
    assert evaluate(empty, now=now, rule="G07", rules=rules, states=["prospective"]) == gaps[:1]


@pytest.mark.parametrize(("old", "new"), [("America/Chicago", "America/Gotham"), ("weekday: monday", "day_of_week: 1"),
                                          ("weekend: [", "weekend: [["), ("first: 2016-01-01", "first: soon")])
def test_a_mistake_in_the_calendar_is_told(tmp_path: Path, old: str, new: str):
    text = CALENDAR.read_text()
    assert old in text
    (tmp_path / "calendar.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(Defect, match="calendar"):
        open_calendar(tmp_path / "calendar.yaml")
