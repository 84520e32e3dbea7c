"""The made-up network's feeds about organizations, staff, medicines and claims: what the rules look for is in them."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import pytest

from adapter.demo import DEMO_AS_OF, generate
from adapter.mapping.questionnaires import surveys
from adapter.parse.rows import Row, open_csv
from adapter.parse.rows_contract import load_contract

FEEDS = ("organizations", "trainings", "surveys", "medications", "utilization", "members")
Table = list[dict[str, str]]
TODAY = DEMO_AS_OF.date().isoformat()


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Table]:
    folder = tmp_path_factory.mktemp("workforce")
    generate(folder)
    found: dict[str, Table] = {}
    for feed in FEEDS:
        rows = list(open_csv((folder / "csv" / f"{feed}.csv").read_bytes(), load_contract(feed)).rows())
        assert [row for row in rows if not isinstance(row, Row)] == []
        found[feed] = [row.cells for row in rows if isinstance(row, Row)]
    return found


def test_directory(tables: dict[str, Table]) -> None:
    rows = tables["organizations"]
    kinds = Counter(r["record"] for r in rows)
    assert kinds.keys() == {"organization", "service", "staffing", "agreement", "target", "expected-feed"}
    organizations = [r for r in rows if r["record"] == "organization"]
    assert {"on_call_phone" in r for r in organizations} == {"culture_assessed" in r for r in organizations} == {True, False}
    assert {r["agreement"] for r in rows if "agreement" in r} == {
        "data-sharing", "transition-protocol", "release-protocol", "information-route"}
    assert {r["end_date"] < TODAY for r in rows if r["record"] == "agreement"} == {True, False}
    verified = [r["verified_date"] for r in rows if r["record"] == "service"]
    assert {(datetime.fromisoformat(TODAY) - datetime.fromisoformat(day)).days > 180 for day in verified} == {True, False}


def test_trainings_are_done_late_overdue_and_under_way(tables: dict[str, Table]) -> None:
    ways = Counter((r["status"], r["due_date"] < r.get("completed_date", TODAY)) for r in tables["trainings"])
    assert {("completed", False), ("completed", True), ("assigned", False), ("assigned", True)} <= ways.keys()
    assert all(("completed_date" in r) == (r["status"] == "completed") for r in tables["trainings"])


def test_every_question_is_answered_by_somebody_and_some_are_nameless(tables: dict[str, Table]) -> None:
    asked = {(name, link) for name, survey in surveys().items() for link in survey.questions}
    assert {(r["survey"], r["question"]) for r in tables["surveys"]} == asked
    assert {"npi" in r for r in tables["surveys"]} == {True, False}


def test_medications_are_ordered_reported_and_reconciled(tables: dict[str, Table]) -> None:
    assert {r["kind"] for r in tables["medications"]} == {"ordered", "reported"}
    assert {"reconciled_at" in r for r in tables["medications"]} == {True, False}
    assert {"rxnorm" in r for r in tables["medications"]} == {True, False}


def test_claims_are_skewed_and_some_join_a_hospitals_visit(tables: dict[str, Table]) -> None:
    rows = tables["utilization"]
    assert {r["claim_status"] for r in rows} == {"paid", "denied", "pending", "reversed"}
    assert {"visit_number" in r for r in rows if r["visit_type"] in ("inpatient", "emergency")} == {True, False}
    paid = Counter[str]()
    for r in rows:
        paid[r["member_id"]] += round(float(r.get("paid_amount", "0")))
    top = sum(amount for _, amount in paid.most_common(len(tables["members"]) // 10))
    assert top > sum(paid.values()) / 2
