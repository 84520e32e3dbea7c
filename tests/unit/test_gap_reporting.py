"""Boundaries of the rule about reporting (O06), and which files and messages count as whose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from adapter.errors import Rejected
from adapter.gaps.catalog import open_catalog
from adapter.gaps.engine import Gap, evaluate, instants
from adapter.gaps.known import known_arrivals
from adapter.gaps.rules import open_rules
from adapter.gaps.statement import Target, compile_rule
from adapter.gaps.tables import name_senders
from adapter.gateway import Gateway
from adapter.pipeline import microseconds
from adapter.settings import Settings
from adapter.store.engine import reading
from adapter.store.schema import CSV_FILE
from tests.unit.gap_arrivals import arrive
from tests.unit.gap_checks import store
from tests.unit.gap_evidence import N, coded, put, ref

NOW = datetime(2026, 6, 17, 16, tzinfo=UTC)  # a Wednesday


@pytest.fixture
def db(empty: Connection) -> Connection:
    put(empty, "Organization", "hub", identifier=[{"system": N + "organization", "value": "ORG-HUB"}],
        extension=[{"url": N + "time-zone", "valueCode": "America/Chicago"}])
    return empty


def expect(db: Connection, every: str | None = "week", share: float | None = 90, unit: str = "%", start: str | None = None,
           end: str | None = None) -> None:
    target: dict[str, Any] = {"dueDate": end} if end else {}
    if share is not None:
        target["detailQuantity"] = {"value": share, "unit": unit}
    body: dict[str, Any] = {"startDate": start} if start else {}
    if every:
        body["extension"] = [{"url": N + "due-every", "valueCode": every}]
    put(db, "Goal", "g", lifecycleStatus="active", category=coded("feed", "contacts"), subject=ref("Organization", "hub"),
        target=[target], **body)


def came(db: Connection, *files: tuple[str, str | None, int, int]) -> None:
    """Files: when, whose, rows accepted and refused."""
    arrive(db, [{"resourceType": "arrival", "id": str(n), "contract": "contacts", "at": at, "organization": whose,
                 "accepted": accepted, "refused": refused} for n, (at, whose, accepted, refused) in enumerate(files)])


def found(db: Connection, now: datetime = NOW) -> dict[str, Gap]:
    return {gap.item: gap for gap in evaluate(db, now=now, rule="O06")}


def said(db: Connection, now: datetime = NOW) -> dict[str, str]:
    return {item.rpartition("#")[2]: gap.verdict for item, gap in found(db, now).items()}


@pytest.mark.parametrize(("every", "before", "current", "due"), [
    ("day", "20260616", "20260617", "2026-06-17T23:59:59-05:00"), ("week", "20260608", "20260615", "2026-06-21T23:59:59-05:00"),
    ("month", "20260501", "20260601", "2026-06-30T23:59:59-05:00"),
    ("quarter", "20260101", "20260401", "2026-06-30T23:59:59-05:00")])
def test_the_period_that_runs_and_the_one_before(db: Connection, every: str, before: str, current: str, due: str):
    expect(db, every)
    assert said(db) == {before: "did-not-arrive", current: "arrival-due"}
    assert found(db)[f"Goal/g#{current}"].due == datetime.fromisoformat(due)


@pytest.mark.parametrize(("at", "last", "current"), [
    ("2026-06-08T00:00:00-05:00", "arrived", "arrival-due"), ("2026-06-14T23:59:59-05:00", "arrived", "arrival-due"),
    ("2026-06-15T00:00:00-05:00", "did-not-arrive", "arrived"), ("2026-06-07T23:59:59-05:00", "did-not-arrive", "arrival-due"),
    ("2026-06-17T16:00:01+00:00", "did-not-arrive", "arrival-due")])  # of after the as-of instant nothing is known
def test_a_week_is_the_organizations_own_from_monday_to_sunday(db: Connection, at: str, last: str, current: str):
    expect(db)
    came(db, (at, "ORG-HUB", 1, 0))
    assert said(db) == {"20260608": last, "20260615": current}


def test_weeks_of_summer_time_and_quarters_over_a_leap_day(db: Connection):
    expect(db)
    came(db, ("2026-03-08T23:59:59-05:00", "ORG-HUB", 1, 0))
    assert said(db, datetime(2026, 3, 9, 5, tzinfo=UTC)) == {"20260302": "arrived", "20260309": "arrival-due"}
    expect(db, "quarter")
    assert found(db, datetime(2028, 2, 29, 12, tzinfo=UTC))["Goal/g#20280101"].due == datetime(2028, 4, 1, 4, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(("accepted", "refused", "share", "last", "current"), [
    (9, 1, 90, "arrived", "arrived"), (89, 11, 90, "too-little-accepted", "correction-due"), (0, 0, 90, "arrived", "arrived"),
    (95, 5, None, "arrived", "arrived"), (94, 6, None, "too-little-accepted", "correction-due"),
    (899, 101, 89.9, "arrived", "arrived"), (0, 1, 0, "arrived", "arrived")])
def test_enough_of_it_is_accepted(db: Connection, accepted: int, refused: int, share: float | None, last: str, current: str):
    expect(db, share=share)
    came(db, ("2026-06-10T12:00:00Z", "ORG-HUB", accepted, refused), ("2026-06-16T12:00:00Z", "ORG-HUB", accepted, refused))
    assert said(db) == {"20260608": last, "20260615": current}


def test_a_correction_in_the_period_counts_with_what_came_before(db: Connection):
    expect(db)
    came(db, ("2026-06-16T12:00:00Z", "ORG-HUB", 5, 5), ("2026-06-17T12:00:00Z", "ORG-HUB", 90, 0))
    assert said(db)["20260615"] == "arrived"


def test_a_file_of_nobody_in_particular_is_no_report_and_no_silence(db: Connection):
    expect(db)
    came(db, ("2026-06-10T12:00:00Z", None, 5, 0), ("2026-06-16T12:00:00Z", "ORG-OTHER", 5, 0))
    assert said(db) == {"20260608": "sender-not-named", "20260615": "arrival-due"}


@pytest.mark.parametrize(("start", "end", "periods"), [
    ("2026-06-08", None, {"20260608", "20260615"}), ("2026-06-09", None, {"20260615"}), ("2026-06-16", None, {""}),
    (None, "2026-06-21", {"20260608", "20260615"}), (None, "2026-06-20", {"20260608"}), (None, "2026-06-13", {""})])
def test_an_expectation_counts_for_whole_periods(db: Connection, start: str | None, end: str | None, periods: set[str]):
    expect(db, start=start, end=end)
    assert set(said(db)) == periods


def test_what_an_expectation_lacks_is_told_apart(db: Connection):
    expect(db, every=None)
    assert {item: gap.reason for item, gap in found(db).items()} == {"Goal/g": "missing-element"}
    expect(db, unit="{rows}")
    assert set(said(db).values()) == {"share-unclear"}


CONTACTS = (Path(__file__).parents[2] / "fixtures" / "partners" / "bergtal-contacts.csv").read_bytes()
ADMISSION = (b"MSH|^~\\&|STANNE|MAIN|C|C|20260402080000-0400||ADT^A04^ADT_A01|1|P|2.5.1\rEVN||20260402080000-0400\r"
             b"PID|1||1^^^STANNE^MR||Doe^Jane\rPV1|1|O|||||||||||||||||V1\r")
EXPECTED = (b"record,organization_id,organization_name,feed,due_every,target_value\n"
            b"expected-feed,ORG-BERGTAL,Bergtal Outreach,contacts,week,50\n"
            b"expected-feed,ORG-MAPLE,Maple Street,organizations,day,50\n")


def test_a_file_is_whose_its_feed_says(tmp_path: Path):
    now = datetime(2026, 4, 2, 12, tzinfo=UTC)
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32), lambda: now)
    gateway.load("organizations", EXPECTED)
    report = gateway.load("bergtal-contacts", CONTACTS)
    with pytest.raises(Rejected):
        gateway.load("goals", b"nothing,that,goals,have\n1,2,3,4\n")
    gateway.accept([(ADMISSION, "a")])
    while gateway.work():
        pass
    with reading(gateway.engine) as connection:
        arrived = {row[0]: row[1:3] + row[4:] for row in known_arrivals(connection)}
        verdicts = sorted(gap.verdict for gap in evaluate(connection, now=now, rule="O06") if gap.verdict != "none-expected")
    gateway.close()
    assert arrived == {"goals": ("goals", None, 0, 1), "st-anne": ("hl7v2", "ORG-STANNE", 1, 0),
                       "organizations": ("organizations", None, 2, 0),
                       "bergtal-contacts": ("contacts", "ORG-BERGTAL", report.accepted, report.refused_count)}
    assert verdicts == ["arrived", "did-not-arrive", "did-not-arrive", "sender-not-named"]


def test_of_the_journal_half_a_year_is_read(tmp_path: Path):
    engine = store(f"sqlite:///{tmp_path / 'x.db'}")
    statement = compile_rule(open_rules(), open_catalog(), open_rules().named("O06"), Target(dialect="sqlite"))
    with reading(engine) as connection:
        steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", instants(open_catalog(), NOW)).fetchall()
    of_journal = [step[3] for step in steps if step[3].split()[1] == "j"]
    assert "SEARCH j USING INDEX journal_by_arrival (state=? AND arrival>? AND arrival<?)" in of_journal
    assert not [step for step in of_journal if step.startswith("SCAN")]


@pytest.mark.parametrize(("arrival", "verdict"), [
    (NOW, "arrived"), (NOW + timedelta(microseconds=999_999), "arrived"), (NOW + timedelta(seconds=1), "arrival-due")])
def test_what_came_within_the_second_asked_about_has_come(db: Connection, arrival: datetime, verdict: str):
    expect(db)
    name_senders(db, [("contacts", "contacts", "ORG-HUB")])
    db.execute(insert(CSV_FILE).values(sha256="a", feed="contacts", arrival=microseconds(arrival), header="[]", accepted=1,
                                       complete=1))
    assert said(db)["20260615"] == verdict
