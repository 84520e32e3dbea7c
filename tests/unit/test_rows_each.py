"""Rows side by side in one record, several codes in one cell, and cells as spreadsheet programs write them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import Rejected
from adapter.gateway import Gateway
from adapter.mapping.lint import lint
from adapter.parse.rows import CsvFile, Row, RowError, open_csv
from adapter.parse.rows_contract import load_contract
from adapter.parse.rows_options import csv_options
from adapter.settings import Settings

ROOT = Path(__file__).parents[2]
SCORES: dict[str, Any] = {
    "columns": {"member_id": "Client", "assessed_at": "Date", "organization_id": "Site"},
    "each": [{"tool": "=phq-9", "score": "PHQ9", "assessment_id": {"of": ["Visit", "=P"], "with": "-"}},
             {"tool": "=gad-7", "score": "GAD7", "assessment_id": {"of": ["Visit", "=G"], "with": "-"}}]}
CONTACTS = "contact_id,member_id,organization_id,contact_type,started_at,outcome,present_orgs\n"


def opened(feed: str, text: str | bytes, written: dict[str, Any], **more: Any) -> CsvFile:
    raw = text.encode() if isinstance(text, str) else text
    return open_csv(raw, load_contract(feed), csv_options(written, **more))


def told(row: Row | RowError) -> list[tuple[str, str, str]]:
    assert isinstance(row, RowError)
    return [(issue.code, issue.place, issue.detail) for issue in row.issues]


def test_one_record_is_as_many_rows_as_its_columns_hold() -> None:
    text = "Visit,Client,Date,Site,PHQ9,GAD7\nV1,M1,2026-02-10,ORG-A,14,9\nV2,M1,2026-02-11,ORG-A,,3\n"
    file = opened("assessments", text, SCORES)
    first, second = file.rows()
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    shared = {"member_id": "M1", "assessed_at": "2026-02-10", "organization_id": "ORG-A"}
    assert first.every == ({**shared, "tool": "phq-9", "score": "14", "assessment_id": "V1-P"},
                           {**shared, "tool": "gad-7", "score": "9", "assessment_id": "V1-G"})
    assert [cells["assessment_id"] for cells in second.every] == ["V2-G"]
    assert file.issues == ()


def test_a_record_without_any_of_them_is_left_out_and_counted() -> None:
    file = opened("assessments", "Visit,Client,Date,Site,PHQ9,GAD7\nV1,M1,2026-02-10,ORG-A,,\n", SCORES)
    assert list(file.rows()) == []
    assert file.skipped == 1


def test_what_is_wrong_is_told_of_the_row_within_the_record() -> None:
    file = opened("assessments", "Visit,Client,Date,Site,PHQ9,GAD7\nV1,M1,2026-02-10,ORG-A,14,nine\n", SCORES)
    (row,) = file.rows()
    assert told(row) == [("csv-number", "row 2, score[2]", "")]


def test_a_file_without_any_of_the_repeated_columns_is_refused() -> None:
    with pytest.raises(Rejected) as refused:
        opened("assessments", "Visit,Client,Date,Site\nV1,M1,2026-02-10,ORG-A\n", SCORES)
    assert refused.value.issue.code == "csv-column-missing"
    assert "no PHQ9, GAD7" in refused.value.issue.detail


def test_a_file_with_one_of_them_is_read() -> None:
    (row,) = opened("assessments", "Visit,Client,Date,Site,GAD7\nV1,M1,2026-02-10,ORG-A,4\n", SCORES).rows()
    assert isinstance(row, Row)
    assert row.every[0]["tool"] == "gad-7"


@pytest.fixture(name="goals")
def _goals(tmp_path: Path) -> Callable[[str], list[dict[str, Any]]]:
    mappings = tmp_path / "mappings"
    for name in ("network", "goals", "members", "common"):
        shutil.copytree(ROOT / "mappings" / name, mappings / name)
    (mappings / "wide").mkdir()
    (mappings / "wide/feed.yaml").write_text(
        "extends: goals\ncsv:\n  constants: {lifecycle_status: active}\n  each:\n"
        "  - {description: Goal 1, due_date: Due 1, goal_id: {of: [plan_id, =1], with: '-'}}\n"
        "  - {description: Goal 2, due_date: Due 2, goal_id: {of: [plan_id, =2], with: '-'}}\n")

    def load(text: str) -> list[dict[str, Any]]:
        gateway = Gateway(Settings(data_dir=tmp_path / "data", mappings=mappings, key="00" * 32),  # pyright: ignore[reportCallIssue]  # the settings fill the rest
                          lambda: datetime(2026, 3, 20, 12, tzinfo=UTC))
        gateway.load("wide", text.encode())
        while gateway.work():
            pass
        found = [v.body for v in gateway.embedded.history() if v.body]
        gateway.close()
        return found

    return load


def test_the_goals_of_one_row_stand_in_its_plan(goals: Callable[[str], list[dict[str, Any]]]) -> None:
    found = goals("plan_id,member_id,Goal 1,Due 1,Goal 2,Due 2\nCP-1,M1,Walk,2026-06-01,Sleep,\n")
    by_words = {b["description"]["text"]: b for b in found if b["resourceType"] == "Goal"}
    assert by_words.keys() == {"Walk", "Sleep"}
    assert by_words["Walk"]["target"] == [{"dueDate": "2026-06-01"}]
    assert "target" not in by_words["Sleep"]
    (plan,) = [b for b in found if b["resourceType"] == "CarePlan"]
    assert {g["reference"] for g in plan["goal"]} == {f"Goal/{b['id']}" for b in by_words.values()}


@pytest.mark.parametrize(("lines", "fault"), [
    ("  - {tool: =phq9, score: PHQ9, assessment_id: A}\n",
     "entry 1: tool: assessments does not take `phq9`; did you mean `phq-9`?"),
    ("  - {scor: PHQ9}\n", "entry 1: assessments has no column `scor`; did you mean `score`?"),
    ("  - {score: A}\n  - {score: B}\n", "entries 1 and 2 make rows that nothing tells apart"),
    ("  - {tool: =phq-9}\n", "an entry names a header"),
    ("  - {score: A}\n  constants: {score: '1'}\n", "`score` comes from two places"),
    ("    score: A\n", "it is a list"),
])
def test_mistakes_in_each_are_told(tmp_path: Path, lines: str, fault: str) -> None:
    for name in ("network", "assessments", "members", "common"):
        shutil.copytree(ROOT / "mappings" / name, tmp_path / name)
    (tmp_path / "wide").mkdir()
    (tmp_path / "wide/feed.yaml").write_text(f"extends: assessments\ncsv:\n  each:\n{lines}")
    assert any(fault in str(one) for one in lint(tmp_path))


def test_each_of_several_codes_in_a_cell_is_translated() -> None:
    codes = {"present_orgs": {"H": "ORG-HARBOR", "T": "ORG-TABLE"}}
    text = "C1,M1,O,telephone,2026-03-01,reached,H; T\nC2,M1,O,telephone,2026-03-01,reached,H;X\n"
    file = opened("contacts", CONTACTS + text, {}, codes=codes)
    good, bad = file.rows()
    assert isinstance(good, Row)
    assert good.cells["present_orgs"] == "ORG-HARBOR;ORG-TABLE"
    assert told(bad) == [("csv-code", "row 3, present_orgs", "")]


def test_several_values_may_be_divided_by_another_mark() -> None:
    text = CONTACTS + 'C1,M1,O,telephone,2026-03-01,reached,"ORG-A, ORG-B,"\n'
    file = opened("contacts", text, {"lists": {"present_orgs": ","}})
    (row,) = file.rows()
    assert isinstance(row, Row)
    assert row.cells["present_orgs"] == "ORG-A;ORG-B"


def test_a_column_of_one_value_has_no_list(tmp_path: Path) -> None:
    for name in ("network", "contacts", "members", "common"):
        shutil.copytree(ROOT / "mappings" / name, tmp_path / name)
    (tmp_path / "partner").mkdir()
    (tmp_path / "partner/feed.yaml").write_text("extends: contacts\ncsv:\n  lists: {setting: ','}\n")
    assert any("lists: `setting` of contacts holds one value" in str(one) for one in lint(tmp_path))


@pytest.mark.parametrize("cell", ['="00123"', '"=""00123"""', "'00123", "\"'00123\"", "00123"])
def test_a_number_that_a_spreadsheet_program_must_not_change_keeps_its_zeros(cell: str) -> None:
    file = opened("contacts", f"{CONTACTS}{cell},M1,O,telephone,2026-03-01,reached,\n", {"excel_text": True})
    (row,) = file.rows()
    assert isinstance(row, Row)
    assert row.cells["contact_id"] == "00123"


def test_headers_and_dates_may_be_written_so_too() -> None:
    text = '="contact_id",member_id,organization_id,contact_type,started_at,="outcome"\nC1,M1,O,telephone,45231.5,="reached"\n'
    (row,) = opened("contacts", text, {"excel_text": True, "dates": "excel"}, zone=None).rows()
    assert [(code, place) for code, place, _ in told(row)] == [("csv-date", "row 2, started_at")]
    (row,) = opened("contacts", text.replace(".5", ""), {"excel_text": True, "dates": "excel"}).rows()
    assert isinstance(row, Row)
    assert row.cells["started_at"] == "2023-11-01"
    assert row.cells["outcome"] == "reached"


@pytest.mark.parametrize("cell", ['="00123"', '"=""00123"""'])
def test_without_the_option_such_a_cell_refuses_its_row_and_says_what_reads_it(cell: str) -> None:
    (row,) = opened("contacts", f"{CONTACTS}{cell},M1,O,telephone,2026-03-01,reached,\n", {}).rows()
    ((code, place, detail),) = told(row)
    assert (code, place) == ("csv-value", "row 2")
    assert "`excel_text: true` reads it" in detail


@pytest.mark.parametrize(("cell", "hinted"), [("45231", True), ("20260301", False), ("260301", False), ("soon", False)])
def test_a_day_that_a_spreadsheet_counted_is_told_as_such(cell: str, hinted: bool) -> None:
    (row,) = opened("contacts", f"{CONTACTS}C1,M1,O,telephone,{cell},reached,\n", {}).rows()
    ((code, place, detail),) = told(row)
    assert (code, place) == ("csv-date", "row 2, started_at")
    assert ("dates: excel" in detail) is hinted


@given(st.lists(st.text("=\"'ab;, ", max_size=6), min_size=7, max_size=7))
def test_any_cells_are_read_or_told(cells: list[str]) -> None:
    raw = CONTACTS.encode() + ",".join(cells).encode() + b"\n"
    for row in opened("contacts", raw, {"excel_text": True}).rows():
        assert isinstance(row, Row) or row.issues
