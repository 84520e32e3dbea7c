"""Bytes to CSV records (RFC 4180), streamed: where a record ends, also when a quote was never closed.

A quote that stays open would swallow every row after it. So a record of several lines is taken only when its quotes
close as they should and it has as many cells as the header; otherwise its first line alone is given up, and reading
goes on with the second.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from adapter.errors import Rejected
from adapter.parse.rows_options import LONGEST_RECORD, CsvOptions

_CHUNK = 262_144
_UTF8_MARK = b"\xef\xbb\xbf"


class Stream(Protocol):
    """What records are read from."""

    def read(self, size: int, /) -> bytes:
        """Up to so many bytes; none at the end."""
        ...


def lines(stream: Stream, mark: bytes = b"") -> Iterator[bytes]:
    """Lines with their ends (LF, CRLF or CR); of a line above LONGEST_RECORD one byte more than that, and no end.

    mark: byte order mark, passed over where the stream begins with it.
    """
    carry = stream.read(len(mark)).removeprefix(mark)
    skipping = False
    while chunk := stream.read(_CHUNK):
        pieces = (carry + chunk).splitlines(keepends=True)
        carry = pieces.pop() if not pieces[-1].endswith(b"\n") else b""
        for piece in pieces:
            if not skipping:
                yield piece[:LONGEST_RECORD + 1] if len(piece) > LONGEST_RECORD else piece
            skipping = False
        if skipping:
            carry = carry[-1:]
        elif len(carry) > LONGEST_RECORD:
            yield carry[:LONGEST_RECORD + 1]
            carry, skipping = carry[-1:], True
    if carry and not skipping:
        yield carry


@dataclass(frozen=True, slots=True)
class Shape:
    """How quotes may stand in a record: `closed` matches a whole one, `opens` and `stays` one that goes on below."""

    closed: re.Pattern[str]
    opens: re.Pattern[str]
    stays: re.Pattern[str]
    ends: re.Pattern[str]


@lru_cache(maxsize=64)
def shape(delimiter: str, quote: str) -> Shape:
    """The patterns of a delimiter and quote; possessive, so matching is linear in the record's length."""
    d, q = re.escape(delimiter), re.escape(quote)
    inside = f"[^{q}]*+(?:{q}{q}[^{q}]*+)*+"
    cell = f"(?:{q}{inside}{q}|[^{q}{d}\r\n]*+)"
    opening = f"(?:{cell}{d})*+{q}{inside}"
    return Shape(*(re.compile(pattern) for pattern in (
        f"{cell}(?:{d}{cell})*+", opening, f"{inside}(?:{q}{d}{opening})?+", f"{inside}{q}(?:{d}{cell})*+")))


class Records:
    """The records of a stream, each as bytes without its line end; numbered from 1 by `number`, blank lines too.

    width: cells of the header once it is known, 0 before; it decides whether lines belong together.
    """

    def __init__(self, stream: Stream, options: CsvOptions) -> None:
        self.number = 0
        self.width = 0
        self._lines = lines(stream, _UTF8_MARK if codecs.lookup(options.charset).name.startswith("utf-8") else b"")
        self._back: deque[bytes] = deque()
        self._options = options
        self._quote = options.quote.encode()
        self._shape = shape(options.delimiter, options.quote)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self._back.popleft() if self._back else next(self._lines)
        self.number += 1
        if line.count(self._quote) % 2 and self._shape.opens.fullmatch(self._text(line)):
            line = self._joined(line)
        return line.rstrip(b"\r\n")

    def _joined(self, first: bytes) -> bytes:
        """The record that begins with an open quote: all its lines, or the first alone where they do not fit."""
        taken: list[bytes] = [first]
        size = len(first)
        while size <= self._options.longest_cell * 4 and (line := self._next()) is not None:
            taken.append(line)
            size += len(line)
            if self._quote in line and not self._shape.stays.fullmatch(text := self._text(line)):
                whole = b"".join(taken)
                if self._shape.ends.fullmatch(text.rstrip("\r\n")) and self.width in (0, self._cells(whole)):
                    return whole
                break
        self._back.extendleft(reversed(taken[1:]))
        return first

    def _next(self) -> bytes | None:
        return self._back.popleft() if self._back else next(self._lines, None)

    def _cells(self, record: bytes) -> int:
        try:
            return len(split(self._text(record).rstrip("\r\n"), self._options) or ())
        except Rejected:
            return -1

    @staticmethod
    def _text(line: bytes) -> str:
        """Bytes one to one as characters: enough to see ASCII delimiters and quotes."""
        return line.decode("latin-1")


def split(record: str, options: CsvOptions) -> list[str] | None:
    """The cells of one record; None where a quote is not closed or stands inside a cell.

    Raises Rejected (csv-cell-long) for a quoted cell above the csv module's own limit.
    """
    if options.quote not in record:
        return record.split(options.delimiter)
    if not shape(options.delimiter, options.quote).closed.fullmatch(record):
        return None
    try:
        return next(csv.reader((record,), delimiter=options.delimiter, quotechar=options.quote, strict=True))
    except csv.Error as error:
        raise Rejected("csv-cell-long", "row 1", f"above {csv.field_size_limit()} characters") from error
