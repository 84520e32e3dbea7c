"""CSV rows: what comes through, what is told, and that one bad row costs no other."""

from __future__ import annotations

import csv
import io
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import Defect, Rejected, message
from adapter.model import Json
from adapter.parse.rows import Row, RowError, bind, open_csv, read
from adapter.parse.rows_contract import CONTRACTS, Contract, contract_of, load_contract
from adapter.parse.rows_options import CsvOptions, csv_options

SCHEMA: Json = {
    "title": "visits", "type": "object", "required": ["id", "kind"],
    "properties": {
        "id": {"type": "string"}, "kind": {"type": "string", "enum": ["home", "clinic"]}, "note": {"type": "string"},
        "day": {"type": "string", "format": "date", "pattern": "^[1-9]"},
        "at": {"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}],
               "pattern": "^[1-9]([^:a-z]|:[0-5])*$"},
        "value": {"type": "string", "format": "decimal", "pattern": "^-?[0-9]+(\\.[0-9]+)?$"},
    },
}
VISITS = contract_of(SCHEMA)
PLAIN = contract_of({"title": "plain", "type": "object", "required": ["a"],
                     "properties": {name: {"type": "string"} for name in "abc"}})
HEADER = "id,kind,note,day,at,value\n"

TEXT = st.text(st.characters(exclude_characters="\0\ufffd", exclude_categories=["Cs"]), max_size=12)
AWKWARD = st.text(st.sampled_from(list("ab,;|\"'\t\r\n \u00e9\u2028\x0b\x85=+@")), max_size=12)
LINE_CELL = st.builds(lambda head, tail: head + tail, st.sampled_from("xyz"), AWKWARD)


def written(rows: list[list[str]], delimiter: str = ",", quote: str = '"', quoting: int = csv.QUOTE_MINIMAL,
            end: str = "\r\n") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quotechar=quote, quoting=quoting, lineterminator=end).writerows(rows)  # type: ignore[arg-type]  # reason: the quoting constants are drawn
    return out.getvalue()


def kept(cells: list[str]) -> dict[str, str]:
    return {name: cell.strip() for name, cell in zip("abc", cells, strict=True) if cell.strip()}


def outcome(text: str | bytes, contract: Contract = VISITS, options: CsvOptions | None = None) -> list[Row | RowError]:
    return list(read(text if isinstance(text, bytes) else text.encode(), contract, options))


def codes(row: Row | RowError) -> list[tuple[str, str]]:
    assert isinstance(row, RowError)
    return [(issue.code, issue.place) for issue in row.issues]


class Dribble(io.RawIOBase):
    """A stream that gives as few bytes as asked for in `step`."""

    def __init__(self, raw: bytes, step: int) -> None:
        self._rest = raw
        self._step = step

    def read(self, size: int = -1, /) -> bytes:
        size = self._step if size < 0 else min(size, self._step)
        given_now, self._rest = self._rest[:size], self._rest[size:]
        return given_now


@given(st.lists(st.lists(st.one_of(TEXT, AWKWARD), min_size=3, max_size=3), max_size=6), st.sampled_from(",;|\t"),
       st.sampled_from("\"'"), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_any_text_comes_back(rows: list[list[str]], delimiter: str, quote: str, quoting: int) -> None:
    text = written([["a", "b", "c"], *rows], delimiter, quote, quoting)
    found = outcome(text, PLAIN, CsvOptions(delimiter=delimiter, quote=quote))
    assert {r.number: r.cells for r in found if isinstance(r, Row)} == {
        n: kept(cells) for n, cells in enumerate(rows, 2) if cells[0].strip()}
    told = {code for r in found if isinstance(r, RowError) for code, _ in codes(r)}
    assert told <= {"csv-value-missing", "csv-row-empty"}


@given(st.lists(st.lists(AWKWARD, min_size=3, max_size=3), max_size=5), st.integers(1, 9),
       st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_neither_reads_nor_line_ends_nor_a_mark_matter(rows: list[list[str]], step: int, end: str, mark: bool) -> None:
    raw = written([["a", "b", "c"], *([f"k{c[0]}", *c[1:]] for c in rows)], quoting=csv.QUOTE_ALL, end=end).encode()
    whole = outcome(raw, PLAIN)
    pieces = read(Dribble(b"\xef\xbb\xbf" * mark + raw, max(step, 3)), PLAIN)  # type: ignore[arg-type]  # reason: only read() is used
    assert list(pieces) == whole
    assert [r.cells for r in whole if isinstance(r, Row)] == [kept([f"k{c[0]}", *c[1:]]) for c in rows]


BAD = {
    "csv-row-ragged": b"x,y\n", "csv-quote": b'x,"y,z\n', "csv-nul": b"x,y\0,z\n", "charset": b"x,\xff,z\n",
    "csv-value-missing": b",y,z\n", "csv-cell-long": b"x," + b"y" * 50 + b",z\n",
}


@given(st.lists(st.lists(st.one_of(LINE_CELL, st.just("")), min_size=2, max_size=2), min_size=1, max_size=6), st.data(),
       st.sampled_from(sorted(BAD)), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_one_bad_row_costs_no_other(rows: list[list[str]], drawn: st.DataObject, code: str, quoting: int) -> None:
    good = [[f"k{n}", *cells] for n, cells in enumerate(rows)]
    at = drawn.draw(st.integers(0, len(good)))
    text = [written([cells], quoting=quoting).encode() for cells in good]
    raw = b"a,b,c\n" + b"".join([*text[:at], BAD[code], *text[at:]])
    found = outcome(raw, PLAIN, CsvOptions(longest_cell=40))
    assert [r.cells for r in found if isinstance(r, Row)] == [kept(cells) for cells in good]
    assert [(r.number, [i.code for i in r.issues]) for r in found if isinstance(r, RowError)] == [(at + 2, [code])]


def test_an_open_quote_does_not_join_rows_into_one_of_another_width() -> None:
    bad, good = outcome('a,b,c\n1,"x,y\n2,"\nline",z\n', PLAIN)
    assert codes(bad) == [("csv-quote", "row 2")]
    assert isinstance(good, Row)
    assert (good.number, good.cells) == (3, {"a": "2", "b": "line", "c": "z"})


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(junk: bytes) -> None:
    for row in outcome(b"a,b,c\n" + junk, PLAIN):
        assert isinstance(row, (Row, RowError))
    try:
        outcome(junk, PLAIN)
    except Rejected:
        return


@given(st.lists(st.lists(AWKWARD, min_size=3, max_size=3), max_size=5))
def test_a_kept_row_reads_the_same_alone(rows: list[list[str]]) -> None:
    file = open_csv(written([["A ", "b", "more"], *rows]).encode(), PLAIN)
    binding = bind(file.header, PLAIN)
    for row in file.rows():
        assert binding.row(row.number, row.raw) == row


@pytest.mark.parametrize(("row", "expected"), [
    ("1,home,,,,", []),
    ("1,tent,,,,", [("csv-code", "row 2, kind")]),
    ("1,home,,2026-02-30,,", [("csv-date", "row 2, day")]),
    ("1,home,,03/01/2026,,", [("csv-date", "row 2, day")]),
    ("1,home,,,2026-03-01T08:00:00,", [("csv-date", "row 2, at")]),
    ("1,home,,,2026-03-01T08:00:00z,", [("csv-date", "row 2, at")]),
    ("1,home,,,2026-03-01T23:59:60Z,", [("csv-date", "row 2, at")]),
    ("1,home,,,0000-01-01,", [("csv-date", "row 2, at")]),
    ("1,home,,,2026-03-01T08:00:00.5-05:00,-3.25", []),
    ("1,home,,,,a few", [("csv-number", "row 2, value")]),
    (",tent,,,,1e5", [("csv-value-missing", "row 2, id"), ("csv-code", "row 2, kind"), ("csv-number", "row 2, value")]),
    ('1,home,5" pipe,,,', [("csv-quote", "row 2")]),
    ('1,home,"a"b,,,', [("csv-quote", "row 2")]),
    ("1,home,,,", [("csv-row-ragged", "row 2")]),
    ("1,home,,,,,", [("csv-row-ragged", "row 2")]),
    ("1,home,=HYPERLINK(1),,,", []),
])
def test_each_cell_is_held_to_the_contract(row: str, expected: list[tuple[str, str]]) -> None:
    (found,) = outcome(HEADER + row)
    assert ([] if isinstance(found, Row) else codes(found)) == expected


@pytest.mark.parametrize(("text", "code", "says"), [
    (b"", "empty", ""), (b"\xef\xbb\xbf", "empty", ""), (b"\r\n\r\nid,kind\n", "csv-header", "blank"),
    (b"id,note\n1,x\n", "csv-column-missing", "no kind; the headers are id, note"),
    (b"id,kind,KIND \n", "csv-header", "columns 2 and 3"),
    (b"id,kind,extra,extra\n", "csv-header", "columns 3 and 4"),
    (b"id;kind;note\n", "csv-header", "';'"),
    (b"17,Canary Person,1980-01-01\n", "csv-header", "header row missing"),
    (b'id,kind,"note\n1,home,x\n', "csv-header", "quote"),
    (b"id,kind,n\xe9\n", "charset", "byte 10"),
    (b"\xff\xfei\0d\0", "charset", "UTF-16"), (b"PK\x03\x04\0\0", "binary", ""),
])
def test_a_header_that_does_not_fit_is_refused(text: bytes, code: str, says: str) -> None:
    with pytest.raises(Rejected) as refused:
        read(text, VISITS)
    assert refused.value.issue.code == code
    assert says in refused.value.issue.detail
    assert "Canary" not in str(refused.value)


def test_an_unknown_column_is_told_once_and_kept() -> None:
    file = open_csv(b"id,kind,Tier , \n1,home,gold,\n2,home,,x\n", VISITS)
    assert [(i.code, i.place) for i in file.issues] == [
        ("csv-column-unknown", "row 1, Tier"), ("csv-column-unknown", "row 1, column 4")]
    assert [r.cells for r in file.rows() if isinstance(r, Row)] == [
        {"id": "1", "kind": "home", "Tier": "gold"}, {"id": "2", "kind": "home", "column 4": "x"}]


def test_a_bound_header_wins_over_the_column_of_that_name() -> None:
    file = open_csv(b"ID,Kind,Where\n1,7,home\n", VISITS, CsvOptions(columns={"kind": ("place", "where")}))
    assert [r.cells for r in file.rows() if isinstance(r, Row)] == [{"id": "1", "Kind": "7", "kind": "home"}]
    lower = open_csv(b"id,kind,where\n1,7,home\n", VISITS, CsvOptions(columns={"kind": ("where",)}))
    assert [r.cells for r in lower.rows() if isinstance(r, Row)] == [{"id": "1", "header:kind": "7", "kind": "home"}]
    with pytest.raises(Rejected, match="bound to id"):
        read(b"id,kind\n", VISITS, CsvOptions(columns={"kind": ("id",)}))


def test_blank_rows_are_told_where_another_row_follows() -> None:
    found = outcome(HEADER + "\n1,home,,,,\n,,,,,\n2,home,,,,\n\n,,,,,\n")
    assert [(r.number, isinstance(r, Row)) for r in found] == [(2, False), (3, True), (4, False), (5, True)]
    assert codes(found[0]) == [("csv-row-empty", "row 2")]


def test_a_partners_codes_dates_and_numbers_are_translated() -> None:
    options = csv_options({"dates": {"day": "%m/%d/%Y", "at": ["%d.%m.%Y %H:%M", "excel"]}, "decimal": ",",
                           "empty": ["NULL", "-"], "delimiter": "tab"},
                          zone=ZoneInfo("America/Chicago"), codes={"kind": {"H": "home", "2": "clinic"}})
    text = HEADER.replace(",", "\t") + "\n".join([
        "1\tH\tNULL\t3/1/2026\t08.03.2026 01:30\t1.234,5",
        "2\t2\t-\t2026-03-01\t46089.25\t-7", "3\thome\tx\t\t2026-03-08 12:00\t",
        "4\tX\t\t1.3.2026\t8.3.2026\t1,234.5"])
    first, second, third, fourth = outcome(text, VISITS, options)
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert isinstance(third, Row)
    assert first.cells == {
        "id": "1", "kind": "home", "day": "2026-03-01", "at": "2026-03-08T01:30:00-06:00", "value": "1234.5"}
    assert second.cells == {
        "id": "2", "kind": "clinic", "day": "2026-03-01", "at": "2026-03-08T06:00:00-05:00", "value": "-7"}
    assert third.cells == {"id": "3", "kind": "home", "note": "x", "at": "2026-03-08T12:00:00-05:00"}
    assert codes(fourth) == [("csv-code", "row 5, kind"), ("csv-date", "row 5, day"), ("csv-date", "row 5, at"),
                             ("csv-number", "row 5, value")]


def test_one_date_form_serves_all_columns() -> None:
    (row,) = outcome(HEADER + "1,home,,31.12.2025,01.01.2026,", VISITS, csv_options({"dates": "%d.%m.%Y"}))
    assert isinstance(row, Row)
    assert (row.cells["day"], row.cells["at"]) == ("2025-12-31", "2026-01-01")


def test_a_letter_that_was_lost_before_is_refused() -> None:
    lost, good = outcome(HEADER.encode() + "1,home,N\ufffd\ufffdez,,,\n2,home,Núñez,,,\n".encode(), VISITS, CsvOptions())
    assert isinstance(lost, RowError)
    assert [(i.code, i.place) for i in lost.issues] == [("charset", "row 2")]
    assert isinstance(good, Row)
    with pytest.raises(Rejected) as refused:
        open_csv("id,kin\ufffd\n".encode(), VISITS)
    assert (refused.value.issue.code, refused.value.issue.place) == ("charset", "row 1")


def test_a_charset_is_the_feeds() -> None:
    (row,) = outcome(HEADER.encode() + "1,home,Núñez,,,".encode("cp1252"), VISITS, CsvOptions(charset="cp1252"))
    assert isinstance(row, Row)
    assert row.cells["note"] == "Núñez"


@pytest.mark.parametrize("options", [
    {"delimiter": "::"}, {"delimiter": '"'}, {"quote": "\n"}, {"decimal": "x"}, {"charset": "utf-16"},
    {"charset": "utf-7x"}, {"longest_cell": 0},
])
def test_options_that_cannot_work_are_a_defect(options: Json) -> None:
    with pytest.raises(Defect, match="options cannot be used"):
        CsvOptions(**options)


def test_a_word_that_yaml_takes_for_a_truth_value_is_told() -> None:
    with pytest.raises(Defect, match="quotes"):
        csv_options({}, codes={"interpreter_needed": {True: "Y"}})  # type: ignore[dict-item]  # reason: what YAML makes of an unquoted Y


def test_issues_name_no_cell() -> None:
    text = '1,Canary,,Canary,Canary,Canary\n1,home,"Canary,,,\nCanary\n1,home,Canary\0,,,\n'
    text += f"1,home,{'Canary' * 9999},,,\n"
    for row in outcome(HEADER + text):
        assert isinstance(row, RowError)
        assert not any("Canary" in message(issue) for issue in row.issues)


@pytest.mark.parametrize("cell", ["x" * 200_000, '"' + '""' * 200_000 + '"', '"' + "x\n" * 90_000 + '"'])
def test_a_cell_of_any_length_is_told_and_the_next_row_read(cell: str) -> None:
    *bad, good = outcome(f"a,b,c\nx,{cell},z\nk,l,m\n", PLAIN)
    assert codes(bad[0])[0][0] in ("csv-cell-long", "csv-quote")
    assert not any(isinstance(row, Row) for row in bad)
    assert isinstance(good, Row)
    with pytest.raises(Rejected):
        read(f"a,{cell}\n".encode(), PLAIN, CsvOptions(longest_cell=131_072))


def test_memory_is_bounded_where_a_line_never_ends() -> None:
    (row,) = outcome(HEADER.encode() + b"x" * 3_000_000)
    assert codes(row) == [("csv-cell-long", "row 2")]
    assert len(row.raw) == 1_048_576


@pytest.mark.parametrize("feed", ["members", "care_team", "care_plans", "goals", "consents", "referrals", "contacts"])
def test_the_examples_of_a_contract_fit_it(feed: str) -> None:
    contract = load_contract(feed)
    columns: Json = orjson.loads((CONTRACTS / f"{feed}.json").read_bytes())["properties"]
    examples = {name: column["examples"][0] for name, column in columns.items()}
    (row,) = outcome(written([list(examples), list(examples.values())]), contract)
    assert isinstance(row, Row)
    assert row.cells == examples
