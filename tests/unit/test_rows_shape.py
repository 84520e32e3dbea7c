"""What a feed makes of a partner's columns: split, joined, constant, scaled; rows left out; UTF-16; and the lint of it all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import Defect, Rejected
from adapter.mapping.lint import lint
from adapter.parse.rows import Row, RowError, open_csv
from adapter.parse.rows_contract import contract_of, load_contract
from adapter.parse.rows_options import csv_options

PEOPLE = contract_of({
    "title": "people", "type": "object", "required": ["id", "last"], "properties": {
        "id": {"type": "string"}, "last": {"type": "string"}, "first": {"type": "string"}, "org": {"type": "string"},
        "kind": {"type": "string", "enum": ["home", "clinic"]},
        "at": {"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]},
        "cost": {"type": "string", "format": "decimal", "pattern": "^-?[0-9]+(\\.[0-9]+)?$"}}})


def rows(text: str, written: dict[str, Any], **more: Any) -> list[Row | RowError]:
    return list(open_csv(text.encode(), PEOPLE, csv_options(written, **more)).rows())


def cells(text: str, written: dict[str, Any], **more: Any) -> list[dict[str, str]]:
    return [row.cells for row in rows(text, written, **more) if isinstance(row, Row)]


def told(row: Row | RowError) -> list[tuple[str, str]]:
    assert isinstance(row, RowError)
    return [(issue.code, issue.place) for issue in row.issues]


def test_an_empty_required_cell_may_have_a_default() -> None:
    good, options = load_contract("contacts"), csv_options({}, defaults={"outcome": "reached"})
    head, row = "contact_id,member_id,organization_id,contact_type,started_at", "C1,M1,ORG-1,telephone,2026-03-01"
    for text in (f"{head},outcome\n{row},\n", f"{head}\n{row}\n"):
        [read] = open_csv(text.encode(), good, options).rows()
        assert isinstance(read, Row)
        assert read.cells["outcome"] == "reached"
    [refused] = open_csv(f"{head},outcome\n{row},\n".encode(), good, csv_options({})).rows()
    assert isinstance(refused, RowError)
    assert [issue.code for issue in refused.issues] == ["csv-value-missing"]


def test_a_name_is_split_by_a_separator() -> None:
    split = {"split": {"Name": {"by": ",", "into": ["last", "first"]}}}
    assert cells('id,Name\n1,"Doe, Jane"\n2,Roe\n', split) == [{"id": "1", "last": "Doe", "first": "Jane"},
                                                                {"id": "2", "last": "Roe"}]


def test_a_name_is_split_by_a_pattern_and_what_does_not_fit_is_told_at_its_header() -> None:
    split = {"split": {"name": {"form": "(?P<first>\\S+) (?P<last>.+)"}}}
    good, bad = rows("id,NAME\n1,Jane van Doe\n2,Jane\n", split)
    assert isinstance(good, Row)
    assert good.cells == {"id": "1", "first": "Jane", "last": "van Doe"}
    assert told(bad) == [("csv-value", "row 3, name"), ("csv-value-missing", "row 3, last")]


def test_columns_are_joined_without_what_is_empty() -> None:
    join = {"join": {"at": {"of": ["Tag", "Zeit"], "with": " "}}, "dates": {"at": ["%d.%m.%Y %H:%M", "%d.%m.%Y"]}}
    zone = ZoneInfo("America/New_York")
    assert [c["at"] for c in cells("id,last,Tag,Zeit\n1,x,04.03.2026,09:10\n2,x,04.03.2026,\n", join, zone=zone)] == [
        "2026-03-04T09:10:00-05:00", "2026-03-04"]


def test_a_column_that_is_joined_whole_is_empty_where_a_part_is() -> None:
    join = {"join": {"org": {"of": ["=X", "Site", "No"], "with": "-", "whole": True}}}
    assert [c.get("org") for c in cells("id,last,Site,No\n1,x,A,7\n2,x,A,\n3,x,,\n", join)] == ["X-A-7", None, None]


def test_constants_stand_in_every_row_whatever_the_file_has() -> None:
    file = open_csv(b"id,last,org\n1,x,OTHER\n", PEOPLE, csv_options({"constants": {"org": "ORG-1", "kind": "home"}}))
    (row,) = file.rows()
    assert isinstance(row, Row)
    assert row.cells == {"id": "1", "last": "x", "org": "ORG-1", "kind": "home", "header:org": "OTHER"}
    assert [i.place for i in file.issues] == ["row 1, org"]
    assert {"org", "kind"} <= set(file.binding.header.names)


def test_rows_left_out_are_counted_and_refused_nowhere() -> None:
    text = "id,last,Status\n1,a,ok\n2,b,void\nTotal;2,,\nTotal\n3,c,\n"
    file = open_csv(text.encode(), PEOPLE, csv_options({"rows": {"skip": {"Status": ["void"], "id": ["Total"]},
                                                                "keep": {"last": "valued"}}}))
    assert [row.cells for row in file.rows() if isinstance(row, Row)] == [{"id": "1", "last": "a"}, {"id": "3", "last": "c"}]
    assert [(i.code, i.place, i.detail) for i in file.issues] == [("csv-row-skipped", "rows", "3 of them")]


def test_a_file_without_the_header_that_leaves_rows_out_is_not_read() -> None:
    with pytest.raises(Rejected) as refused:
        rows("id,last\n1,a\n", {"rows": {"skip": {"Status": ["void"]}}})
    assert (refused.value.issue.code, refused.value.issue.place) == ("csv-column-missing", "row 1, Status")


def test_a_required_column_that_is_split_needs_its_header() -> None:
    with pytest.raises(Rejected, match="no Name"):
        rows("id,first\n1,a\n", {"split": {"Name": {"by": ",", "into": ["last", "first"]}}})


def test_headers_of_no_use_are_passed_over() -> None:
    file = open_csv(b"id,last,Remark\n1,a,told in private\n", PEOPLE, csv_options({"ignore": ["remark"]}))
    assert [row.cells for row in file.rows() if isinstance(row, Row)] == [{"id": "1", "last": "a"}]
    assert file.issues == ()


@pytest.mark.parametrize(("written", "amount"), [("1.250,50", "12.505"), ("-3", "-0.03"), ("0", "0")])
def test_a_number_comes_in_the_contracts_unit(written: str, amount: str) -> None:
    assert cells(f'id;last;cost\n1;x;{written}\n', {"delimiter": ";", "decimal": ",", "units": {"cost": "0.01"}}) == [
        {"id": "1", "last": "x", "cost": amount}]


def test_what_is_no_number_is_told_and_not_scaled() -> None:
    (row,) = rows("id,last,cost\n1,x,12 USD\n", {"units": {"cost": 100}})
    assert told(row) == [("csv-number", "row 2, cost")]


def test_a_code_of_an_open_column_that_the_table_lacks_is_told() -> None:
    found = rows("id,last,org\n1,x,A\n2,x,ORG-1\n3,x,Z\n", {}, codes={"org": {"A": "ORG-1"}})
    assert [row.cells["org"] for row in found[:2] if isinstance(row, Row)] == ["ORG-1", "ORG-1"]
    assert told(found[2]) == [("csv-code", "row 4, org")]


def test_any_other_code_has_a_translation_where_the_feed_says_so() -> None:
    assert [c["kind"] for c in cells("id,last,kind\n1,x,H\n2,x,?\n", {}, codes={"kind": {"H": "home", "*": "clinic"}})] == [
        "home", "clinic"]


TEXT = st.text(st.characters(exclude_characters='\0\r\n\t"', exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda t: t.strip() != "")


@given(st.lists(TEXT, max_size=5), st.sampled_from(["utf-16", "utf-16-le", "utf-16-be"]), st.integers(3, 9))
def test_a_utf16_file_reads_as_any_other(names: list[str], charset: str, step: int) -> None:
    text = "id\tlast\r\n" + "".join(f"{n}\t{name}\r\n" for n, name in enumerate(names))

    class Dribble(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or step, step) if (size or -1) > 0 else step)

    file = open_csv(Dribble(text.encode(charset)), PEOPLE, csv_options({"delimiter": "tab"}, charset=charset))
    assert [row.cells for row in file.rows() if isinstance(row, Row)] == [
        {"id": str(n), "last": name.strip()} for n, name in enumerate(names)]


def test_bytes_that_are_no_utf16_are_refused() -> None:
    raw, options = "id\tlast\n1\ta".encode("utf-16") + b"\x00", csv_options({"delimiter": "tab"}, charset="utf-16")
    with pytest.raises(Rejected) as refused:
        list(open_csv(raw, PEOPLE, options).rows())
    assert refused.value.issue.code == "charset"


@pytest.mark.parametrize("written", [
    {"split": {"Name": {"by": ","}}}, {"split": {"Name": {"form": "(.*), (.*)"}}}, {"split": {"Name": {"form": "("}}},
    {"split": {"Name": "last"}}, {"join": {"at": {"with": " "}}}, {"units": {"cost": "cents"}}, {"units": {"cost": 0}},
    {"rows": {"drop": {"Status": "x"}}}, {"constants": ["org"]},
])
def test_options_that_cannot_work_are_refused(written: dict[str, Any]) -> None:
    with pytest.raises(Defect):
        csv_options(written)


LINTED = [
    ("csv: {columns: {membr_id: No}}", "csv: columns: contacts has no column `membr_id`; did you mean `member_id`?"),
    ('csv: {dates: {started_at: "dd.mm.yyyy"}}', "csv: dates: `dd.mm.yyyy` is no form of a date"),
    ('csv: {dates: {started_at: "%H:%M"}}', "csv: dates: `%H:%M` is no form of a date"),
    ('csv: {dates: {started_at: "%d.%m.%Q"}}', "csv: dates: `%d.%m.%Q` is no form of a date"),
    ('csv: {dates: {outcome: "%d.%m.%Y"}}', "csv: dates: `outcome` of contacts is no date"),
    ('csv: {split: {Name: {form: "(.+), (.+)"}}}', "Name: form has no group that names a column"),
    ('csv: {split: {Name: {by: ",", into: [last_name, given]}}}', "csv: split: Name: contacts has no column `given`"),
    ("csv: {join: {begun: {of: [A, B]}}}", "csv: join: contacts has no column `begun`"),
    ("csv: {constants: {outcome: reachd}}", "csv: constants: outcome: contacts does not take `reachd`; did you mean `reached`?"),
    ("csv: {constants: {outcome: reached}, columns: {outcome: Result}}", "csv: `outcome` comes from two places"),
    ("csv: {rows: {drop: {Status: x}}}", "drop: rows holds keep or skip, not `drop`"),
    ("csv: {units: {outcome: 2}}", "csv: units: `outcome` of contacts is no number"),
    ("csv: {colums: {}}", "csv: no key `colums`; did you mean `columns`?"),
    ("codes: {contact_type: {T: phone}}", "codes: contact_type: contacts does not take `phone`"),
    ("codes: {started_at: {T: x}}", "codes: `started_at` of contacts has no codes"),
    ("error_rate: 2", "error_rate is a share from 0 to 1, as 0.02"),
    ("error_rate: 2 %", "error_rate is a share from 0 to 1, as 0.02"),
    ("snapshot: daily", "snapshot is true, or has `per` and `dated`"),
    ("snapshot: {by: organization_id}", "snapshot: no key `by`"),
    ("snapshot: {per: organisation_id}", "snapshot: per: contacts has no column `organisation_id`; did you mean `organization"),
    ("snapshot: {dated: contacts.csv}", "snapshot: dated: `contacts.csv` is no form of a file name with a day in it"),
    ("defaults: {setting: hme}", "defaults: setting: contacts does not take `hme`; did you mean `home`?"),
]


@pytest.mark.parametrize(("line", "fault"), LINTED, ids=[fault[:40] for _, fault in LINTED])
def test_each_mistake_is_told_at_its_line(line: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "partner").mkdir()
    (tmp_path / "partner" / "feed.yaml").write_text(f"format: csv\ncontract: contacts\n{line}\n", encoding="utf-8")
    (found,) = lint(tmp_path)
    assert found.startswith(f"partner/feed.yaml:3: {fault}")
