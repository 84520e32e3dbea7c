"""The lint of what a CSV feed says of its file: every column it names must be one of its contract."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from adapter.errors import Defect
from adapter.mapping.feed import Feed
from adapter.model import is_object
from adapter.parse.rows_contract import Contract, load_contract
from adapter.parse.rows_options import csv_options

CSV_KEYS = frozenset(("columns", "dates", "decimal", "delimiter", "empty", "longest_cell", "quote"))
"""Every key that `csv:` may have."""


def csv_faults(feed: Feed, abstract: bool) -> Iterator[tuple[str, str]]:
    """What is wrong with the keys of a CSV feed that speak of its contract: (the word it is about, what)."""
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
        csv_options(written, charset=feed.charset, zone=feed.zone, codes=feed.codes)
    except (Defect, ValueError) as error:
        place = error.issue.place if isinstance(error, Defect) else "csv"
        yield place.partition(",")[0], f"{place}: {error.issue.detail if isinstance(error, Defect) else 'a number is none'}"
        return
    dates = written.get("dates", {})
    yield from _columns("csv: columns", written.get("columns", {}), contract)
    yield from _columns("csv: dates", dates if is_object(dates) else {}, contract)
    yield from _columns("codes", feed.codes, contract)
    yield from _columns("defaults", feed.options.get("defaults", {}), contract)
    if (column := feed.options.get("patient")) is not None:
        yield from _columns("patient", {str(column): ""}, contract)


def _columns(where: str, named: Mapping[str, Any], contract: Contract) -> Iterator[tuple[str, str]]:
    for column in sorted(named.keys() - contract.columns.keys() - {"*"}):
        yield column, f"{where}: {contract.feed} has no column `{column}`{close(column, contract.columns)}"


def close(name: str, known: Collection[str]) -> str:
    """`; did you mean ...?` where one of the known names is like this one, else nothing."""
    found = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean `{found[0]}`?" if found else ""
