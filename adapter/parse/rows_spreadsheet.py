"""Cells as spreadsheet programs write them: `="00123"` and `'00123` for text that they must not change, days as numbers."""

from __future__ import annotations

import re
from functools import lru_cache

from adapter.errors import Rejected
from adapter.parse.rows_options import CsvOptions
from adapter.parse.rows_records import split

_WRAPPED = re.compile('="((?:[^"]|"")*)"')
_NUMBER = re.compile('="[^"]*[0-9][^"]*"')
_SERIAL = re.compile(r"[1-9][0-9]{4}(?:\.[0-9]+)?")


def spreadsheet_parts(record: str, options: CsvOptions) -> list[str]:
    """The cells of a record that holds `="`, or of a feed that writes such cells: unwrapped where the feed declares it.

    Raises Rejected: csv-quote; csv-value where such a cell stands in a file of a feed that does not.
    """
    parts = split(_quoted(options).sub(_bare, record) if options.excel_text else record, options)
    if not options.excel_text:
        wrapped = any(_NUMBER.fullmatch(part.strip()) for part in parts or ()) or (
            parts is None and _quoted(options).search(record) is not None)
        if wrapped:
            raise Rejected("csv-value", "", 'a cell is written as ="..." for a spreadsheet program; `excel_text: true` reads it')
    if parts is None:
        raise Rejected("csv-quote")
    return [_unwrapped(part) for part in parts] if options.excel_text else parts


def _unwrapped(part: str) -> str:
    text = part.strip()
    if match := _WRAPPED.fullmatch(text):
        return match[1].replace('""', '"')
    return text.removeprefix("'")


@lru_cache(maxsize=64)
def _pattern(delimiter: str) -> re.Pattern[str]:
    d = re.escape(delimiter)
    return re.compile(f'(?:(?<=^)|(?<={d}))[ ]*=("(?:[^"]|"")*")[ ]*(?={d}|$)')


def _quoted(options: CsvOptions) -> re.Pattern[str]:
    return _pattern(options.delimiter)


def _bare(match: re.Match[str]) -> str:
    return match[1]


def hint(code: str, text: str) -> str:
    """What may be meant by a cell that does not fit; never the cell's text."""
    if code == "csv-date" and _SERIAL.fullmatch(text):
        return "a number, as spreadsheet programs count days: `dates: excel` reads it"
    return ""
