"""Refused rows as a CSV that goes back to the sender: each row as it was, and where, why and what to do.

A spreadsheet program takes a cell that begins with = + - @ (or a tab or line end before them) for a formula and runs it. Each
such cell is written with an apostrophe before it, and every cell is quoted.
"""

from __future__ import annotations

import csv
import io
import re
from typing import BinaryIO

from adapter.errors import Rejected, kind_of
from adapter.parse.rows import Binding, RowError
from adapter.parse.rows_header import ERROR_COLUMNS
from adapter.parse.rows_records import split

LONGEST = 32_767
"""Characters of a cell, at most: what a spreadsheet cell holds."""

_FORMULA = re.compile("[\\s\x00]*[=+\\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_UNSEEN = {n: "\N{REPLACEMENT CHARACTER}" for n in range(32) if chr(n) not in "\t\r\n"}


def neutral(text: str) -> str:
    """A cell that no spreadsheet program takes for a formula; NUL and the like as U+FFFD, cut at LONGEST."""
    text = text.translate(_UNSEEN)
    return ("'" + text if _FORMULA.match(text) else text)[:LONGEST]


class RowErrors:
    """Writes refused rows to `stream` as they come: UTF-8 with a byte order mark, comma, CRLF. count: rows written."""

    def __init__(self, stream: BinaryIO) -> None:
        self.count = 0
        self.stream = stream
        self._binding: Binding | None = None

    def begin(self, binding: Binding) -> None:
        """Name the file's header; it is written before the first row."""
        self._binding = binding

    def add(self, row: RowError) -> None:
        """Write one refused row. Of a row with several reasons places and codes are divided by `; `."""
        binding = self._binding
        if binding is None:
            return
        if not self.count:
            self.stream.write(b"\xef\xbb\xbf")
            self._line([*binding.header.own, *ERROR_COLUMNS])
        self.count += 1
        cells = _cells(row.raw, binding)
        steps = dict.fromkeys(kind_of(issue).next_step for issue in row.issues)
        told = (str(row.number), "; ".join(i.place for i in row.issues), "; ".join(i.code for i in row.issues), "; ".join(steps))
        if cells is None:
            whole = row.raw[:LONGEST].decode(binding.options.charset, "backslashreplace")
            self._line([*[""] * len(binding.header.own), *told, whole])
        else:
            self._line([*cells[:len(binding.header.own)], *told, ""])

    def _line(self, cells: list[str]) -> None:
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL).writerow([neutral(cell) for cell in cells])
        self.stream.write(text.getvalue().encode("utf-8", "backslashreplace"))


def _cells(raw: bytes, binding: Binding) -> list[str] | None:
    """The cells of a record, None where it has not one for each header."""
    try:
        cells = split(raw.decode(binding.options.charset), binding.options)
    except (UnicodeDecodeError, Rejected):
        return None
    return cells if cells is not None and len(cells) == len(binding.header.written) else None
