"""What a partner writes in a cell, in the contract's own form: codes, dates, times and numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from adapter.parse.rows_contract import ColumnKind, Contract
from adapter.parse.rows_options import CsvOptions

Reader = Callable[[str], "str | None"]
"""A cell's text in the contract's form; None where it is not in any form that the feed declares."""

ISSUE_OF: Mapping[ColumnKind, str] = {"text": "csv-value", "code": "csv-code", "day": "csv-date", "moment": "csv-date",
                                      "number": "csv-number"}
"""The issue code of a cell that does not fit its column."""

_CANONICAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T.*)?")
_LOCAL = re.compile(r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?")
_SERIAL = re.compile(r"[1-9][0-9]{0,4}(?:\.[0-9]{1,12})?")
_GROUPED = {",": re.compile(r"-?(?:[0-9]+|[0-9]{1,3}(?:\.[0-9]{3})+)(?:,[0-9]+)?"),
            ".": re.compile(r"-?(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.[0-9]+)?")}
_PLAIN = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?")
_TIME_PARTS = ("%H", "%I", "%M", "%S", "%p", "%z", "%f")
_EXCEL_ZERO = datetime(1899, 12, 30)  # noqa: DTZ001 reason: a spreadsheet's day count has no zone


def code_readers(contract: Contract, options: CsvOptions) -> dict[str, Reader]:
    """Readers of columns that must be rewritten before they are checked: declared codes, lists, decimal marks, units."""
    found: dict[str, Reader] = {column: _lists(None, by) for column, by in options.lists.items() if column in contract.several}
    found.update((column, _lists(_codes(table, closed=True), options.lists.get(column, ";")))
                 for column, table in options.codes.items() if column in contract.several)
    found.update((column, _codes(table, closed=contract.columns[column] == "text")) for column, table in options.codes.items()
                 if contract.columns.get(column) in ("text", "code") and column not in contract.several)
    found.update((column, _number(options.units.get(column), options.decimal)) for column, kind in contract.columns.items()
                 if kind == "number" and (options.decimal or column in options.units))
    return found


def date_readers(contract: Contract, options: CsvOptions) -> dict[str, Reader]:
    """Readers of day and moment columns, for rows that are not in the contract's form as they stand."""
    return {column: _dates(kind == "day", options.dates.get(column, options.dates.get("*", ())), options.zone)
            for column, kind in contract.columns.items() if kind in ("day", "moment")}


def _codes(table: Mapping[str, str], *, closed: bool) -> Reader:
    """A partner's codes; `*` is any other. closed: the contract has no list, so the table and what it gives are the list."""
    if "*" in table:
        return lambda text: table.get(text, table["*"])
    if closed:
        known = {**{code: code for code in table.values()}, **table}
        return known.get
    return lambda text: table.get(text, text)


def _lists(code: Reader | None, by: str) -> Reader:
    """Several values in one cell, divided by `by` in the file and by `;` in the contract, each translated by itself."""

    def reader(text: str) -> str | None:
        parts = [part.strip() for part in text.split(by) if part.strip()]
        found = parts if code is None else [code(part) for part in parts]
        return None if None in found else ";".join(part for part in found if part is not None)

    return reader


def _number(factor: Decimal | None, decimal: str) -> Reader:
    def reader(text: str) -> str | None:
        plain = _grouped(text, decimal) if decimal else text
        if factor is None or plain is None:
            return plain
        return f"{(Decimal(plain) * factor).normalize():f}" if _PLAIN.fullmatch(plain) else None

    return reader


def _grouped(text: str, decimal: str) -> str | None:
    """A number whose thousands may be grouped by the mark that is not its decimal one."""
    group = "," if decimal == "." else "."
    return text.replace(group, "").replace(decimal, ".") if _GROUPED[decimal].fullmatch(text) else None


def _dates(day: bool, forms: tuple[str, ...], zone: ZoneInfo | None) -> Reader:
    """Tries the feed's forms, then times that lack their offset; what looks like the contract's form stands."""

    @lru_cache(maxsize=16_384)
    def reader(text: str) -> str | None:
        for form in forms:
            if (moment := _parsed(text, form)) is not None:
                return moment.date().isoformat() if day or not _has_time(form, text) else _zoned(moment, zone)
        if zone and not day and _LOCAL.fullmatch(text):
            return _zoned_text(text, zone)
        return text if _CANONICAL.fullmatch(text) else None

    return reader


def _zoned_text(text: str, zone: ZoneInfo) -> str | None:
    try:
        return _zoned(datetime.fromisoformat(text), zone)
    except ValueError:
        return None


def _parsed(text: str, form: str) -> datetime | None:
    try:
        if form == "excel":
            return _serial(float(text)) if _SERIAL.fullmatch(text) else None
        return datetime.strptime(text, form)  # noqa: DTZ007 reason: the feed's zone is put on by _zoned
    except (ValueError, OverflowError):
        return None


def _serial(days: float) -> datetime | None:
    """A spreadsheet's day count, which holds 1900-02-29 (day 60), a day that never was: no date; those before it count from 1."""
    if int(days) == 60:
        return None
    return _EXCEL_ZERO + timedelta(days=days < 60, seconds=round(days * 86_400))


def _has_time(form: str, text: str) -> bool:
    return "." in text if form == "excel" else any(part in form for part in _TIME_PARTS)


def _zoned(moment: datetime, zone: ZoneInfo | None) -> str | None:
    """ISO 8601 with the offset it has, else that of the zone at that time; None where there is neither."""
    if moment.tzinfo is None:
        if zone is None:
            return None
        moment = moment.replace(tzinfo=zone)
    return moment.isoformat(timespec="microseconds" if moment.microsecond else "seconds")
