"""A sample of a partner's CSV looked at: charset, delimiter, quote, and markers of nothing."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from adapter.errors import Rejected

SAMPLE = 262_144
"""Bytes that are looked at, from the beginning of the file."""
DELIMITERS = (",", ";", "\t", "|")
MARKERS = frozenset(("n/a", "na", "null", "none", "nil", "-", "--", "(null)", "#n/a", "n.a.", "k.a.", "tbd", "?", "unbekannt"))
"""Texts that often mean an empty cell, in lower case."""
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The beginning of a file, read as it seems to be written. rows: cells of the rows after the header, trimmed."""

    charset: str
    delimiter: str
    quote: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def values(self, place: int) -> list[str]:
        """What stands in a column, empty cells and markers of nothing left out."""
        return [row[place] for row in self.rows if place < len(row) and row[place] and row[place].casefold() not in MARKERS]

    def markers(self) -> list[str]:
        """The texts in it that seem to mean an empty cell, as they are written."""
        return sorted({cell for row in self.rows for cell in row if cell.casefold() in MARKERS})


def sniff(raw: bytes) -> Sample:
    """Look at the beginning of a file. Raises Rejected (empty, binary)."""
    charset = _charset(raw)
    text = raw.decode(charset, "ignore").removeprefix("\ufeff")
    if not text.strip():
        raise Rejected("empty")
    if "\0" in text:
        raise Rejected("binary", "row 1")
    if len(raw) >= SAMPLE:  # the last line may be cut
        text = text.rpartition("\n")[0] or text
    quote = max('"\'', key=lambda mark: len(re.findall(f"(?:^|[,;|\t]){mark}[^{mark}\r\n]*{mark}(?=[,;|\t\r\n]|$)", text, re.M)))
    tried = [(_table(text, delimiter, quote), delimiter) for delimiter in DELIMITERS]
    table, delimiter = max(tried, key=lambda one: _regular(one[0]))
    rows = [tuple(cell.strip() for cell in row) for row in table if any(cell.strip() for cell in row)]
    return Sample(charset=charset, delimiter=delimiter, quote=quote, header=rows[0], rows=tuple(rows[1:]))


def _charset(raw: bytes) -> str:
    """By its mark or its zero bytes UTF-16, UTF-8 where the bytes fit (all but a last one that is cut), else cp1252."""
    if raw.startswith(_WIDE_MARKS):
        return "utf-16"
    if raw[1:200:2].count(0) > len(raw[1:200:2]) // 2:
        return "utf-16-le"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(raw, False)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _table(text: str, delimiter: str, quote: str) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote))
    except csv.Error:
        return []


def _regular(table: Sequence[Sequence[str]]) -> tuple[float, int]:
    """How alike rows are in width, and how wide; a table of one column is none."""
    widths = Counter(len(row) for row in table if row)
    if not widths:
        return (0, 0)
    width, count = widths.most_common(1)[0]
    return (count / widths.total(), width) if width > 1 else (0, width)
