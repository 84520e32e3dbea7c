"""The lint of what a CSV feed says of its file: every column, code, date form and pattern must be one that can work."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from adapter.errors import Defect
from adapter.mapping.feed import Feed
from adapter.mapping.rows import error_rate
from adapter.model import is_object
from adapter.parse.rows_contract import Contract, load_contract
from adapter.parse.rows_options import CsvOptions, csv_options

CSV_KEYS = frozenset(("columns", "constants", "dates", "decimal", "delimiter", "each", "empty", "excel_text", "ignore", "join",
                      "lists", "longest_cell", "quote", "rows", "split", "units"))
"""Every key that `csv:` may have."""
_SOME_DAY = datetime(2024, 11, 22, 13, 45, 56, tzinfo=UTC)
_DAY = re.compile(r"%[Yy].*%(?:[mbB].*%d|d.*%[mbB]|j)|%[mbB].*(?:%d.*%[Yy]|%[Yy].*%d)|%d.*(?:%[mbB].*%[Yy]|%[Yy].*%[mbB])"
                  r"|%j.*%[Yy]", re.DOTALL)

Fault = tuple[str, str]
"""The word it is about, by which its line is found, and what is wrong."""


def csv_faults(feed: Feed, abstract: bool) -> Iterator[Fault]:
    """What is wrong with the keys of a CSV feed that speak of its contract."""
    written = feed.options.get("csv", {})
    if not is_object(written):
        yield "csv", "csv: it holds keys, such as columns and dates"
        return
    for key in sorted(written.keys() - CSV_KEYS):
        yield key, f"csv: no key `{key}`{close(key, CSV_KEYS)}"
    if abstract:
        return
    try:
        contract = load_contract(str(feed.options.get("contract", feed.name)))
        options = csv_options(written, charset=feed.charset, zone=feed.zone, codes=feed.codes)
    except (Defect, ValueError) as error:
        place = error.issue.place if isinstance(error, Defect) else "csv"
        yield place.partition(",")[0], f"{place}: {error.issue.detail if isinstance(error, Defect) else 'a number is none'}"
        return
    yield from _files(feed, contract)
    yield from _named(feed, options, contract)
    yield from _dates(options, contract)
    yield from _values(feed, options, contract)
    for column in sorted(options.units.keys() & contract.columns.keys()):
        if contract.columns[column] != "number":
            yield column, f"csv: units: `{column}` of {contract.feed} is no number"


def _files(feed: Feed, contract: Contract) -> Iterator[Fault]:
    """What is wrong with what a feed says of whole files."""
    try:
        error_rate(feed)
    except Defect as error:
        yield "error_rate", error.issue.detail
    written = feed.options.get("snapshot", False)
    if not isinstance(written, bool) and not is_object(written):
        yield "snapshot", "snapshot is true, or has `per` and `dated`"
    for key, value in written.items() if is_object(written) else ():
        if key == "per":
            yield from _columns("snapshot: per", (str(value),), contract)
        elif key == "dated":
            if not _date_form(str(value)) or value == "excel":
                yield "dated", f"snapshot: dated: `{value}` is no form of a file name with a day in it, as members_%Y%m%d.csv"
        else:
            yield key, f"snapshot: no key `{key}`{close(key, ('per', 'dated'))}"


def _named(feed: Feed, options: CsvOptions, contract: Contract) -> Iterator[Fault]:
    """Columns that the contract does not have, and those that come from two places."""
    shape = options.shape
    yield from _columns("csv: columns", options.columns, contract)
    yield from _columns("csv: dates", options.dates, contract)
    for header, split in shape.splits.items():
        yield from _columns(f"csv: split: {header}", split.columns, contract)
    yield from _columns("csv: join", shape.joins, contract)
    yield from _columns("csv: constants", shape.constants, contract)
    yield from _columns("csv: units", options.units, contract)
    yield from _columns("codes", feed.codes, contract)
    yield from _columns("defaults", feed.options.get("defaults", {}), contract)
    if (column := feed.options.get("patient")) is not None:
        yield from _columns("patient", (str(column),), contract)
    yield from _each(options, contract)
    for column in sorted(options.lists.keys() - contract.several):
        yield column, f"csv: lists: `{column}` of {contract.feed} holds one value"
    sources = [c for split in shape.splits.values() for c in split.columns] + [*shape.joins, *shape.constants]
    sources += sorted({column for part in options.each for column in part.columns})
    for column in sorted({c for c in sources if c in options.columns or sources.count(c) > 1}):
        yield column, f"csv: `{column}` comes from two places: of columns, split, join, constants and each one may name it"


def _each(options: CsvOptions, contract: Contract) -> Iterator[Fault]:
    """Rows of one record that are of unknown columns, or that nothing tells apart."""
    seen: dict[tuple[object, ...], int] = {}
    for n, part in enumerate(options.each, 1):
        yield from _columns(f"csv: each: entry {n}", part.columns, contract)
        for column, text in part.fixed.items():
            yield from _value(f"csv: each: entry {n}", column, text, contract)
        key = tuple(part.fixed.get(column, part.joins.get(column)) for column in contract.key)
        if contract.key and key in seen:
            yield "each", (f"csv: each: entries {seen[key]} and {n} make rows that nothing tells apart: give each its own "
                           f"{' or '.join(contract.key)}")
        seen.setdefault(key, n)


def _columns(where: str, named: Iterable[str], contract: Contract) -> Iterator[Fault]:
    for column in sorted(set(named) - contract.columns.keys() - {"*"}):
        yield column, f"{where}: {contract.feed} has no column `{column}`{close(column, contract.columns)}"


def _dates(options: CsvOptions, contract: Contract) -> Iterator[Fault]:
    for column, forms in options.dates.items():
        if contract.columns.get(column, "day") not in ("day", "moment"):
            yield column, f"csv: dates: `{column}` of {contract.feed} is no date"
        for form in forms:
            if not _date_form(form):
                yield form, f"csv: dates: `{form}` is no form of a date: write it as strptime has it (%d.%m.%Y), or excel"


def _date_form(form: str) -> bool:
    """Whether a date can be read by a form: it says year, month and day."""
    if form == "excel":
        return True
    try:
        datetime.strptime(_SOME_DAY.strftime(form), form)  # noqa: DTZ007 reason: only whether it can be read
    except (ValueError, re.error):
        return False
    return _DAY.search(form) is not None


def _values(feed: Feed, options: CsvOptions, contract: Contract) -> Iterator[Fault]:
    """Codes, constants and defaults that the contract does not take."""
    for column, table in options.codes.items():
        if contract.columns.get(column) not in (None, "text", "code"):
            yield column, f"codes: `{column}` of {contract.feed} has no codes"
            continue
        if "" in table:
            yield column, f"codes: `{column}`: an empty cell is no code; write what it means under defaults"
        for text in dict.fromkeys(table.values()):
            yield from _value("codes", column, text, contract)
    for column, text in options.shape.constants.items():
        yield from _value("csv: constants", column, text, contract)
        if column in options.codes:
            yield column, f"codes: `{column}` is a constant, which is written in the contract's form"
    for column, text in cast("Mapping[str, Any]", feed.options.get("defaults", {})).items():
        yield from _value("defaults", column, str(text), contract)


def _value(where: str, column: str, text: str, contract: Contract) -> Iterator[Fault]:
    wrong = any(list(error.instance_path) == [column] for error in contract.validator.iter_errors({column: text}))
    if wrong and column in contract.columns:
        yield text, f"{where}: {column}: {contract.feed} does not take `{text}`{close(text, contract.codes(column))}"


def close(name: str, known: Collection[str]) -> str:
    """`; did you mean ...?` where one of the known names is like this one, else nothing."""
    found = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean `{found[0]}`?" if found else ""
