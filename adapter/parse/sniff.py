"""A sample of a partner's CSV looked at: charset, delimiter, quote, markers of nothing, and the forms of its dates."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from adapter.errors import Rejected

SAMPLE = 262_144
"""Bytes that are looked at, from the beginning of the file."""
DELIMITERS = (",", ";", "\t", "|")
MARKERS = frozenset(("n/a", "na", "null", "none", "nil", "-", "--", "(null)", "#n/a", "unbekannt"))
"""Texts that often mean an empty cell, in lower case."""
_DAYS = ("%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y%m%d", "%d.%m.%y", "%m/%d/%y", "%d/%m/%y",
         "%d-%b-%Y", "%d %b %Y", "%b %d, %Y")
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S")
FORMS = tuple(day + time for day in _DAYS for time in _TIMES)
"""Forms that are tried, the likelier first."""
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?.*)?")
_SERIAL = re.compile(r"[2-7][0-9]{4}(?:\.[0-9]+)?")
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


def date_forms(values: Sequence[str]) -> tuple[list[str], list[str]]:
    """The forms by which all of some texts are dates, and others that would do as well; neither where they are none.

    ISO 8601 is understood without a form: texts that are all so give no form, and `iso` as what would do.
    """
    rest: list[str] = [text for text in dict.fromkeys(values) if not _ISO.fullmatch(text)]
    if not rest:
        return [], ["iso"] if values else []
    if all(_SERIAL.fullmatch(text) for text in rest):
        return ["excel"], []
    taken: list[str] = []
    others: list[str] = []
    while rest:
        count = {form: sum(_fits(text, form) for text in rest) for form in FORMS}
        best = max(FORMS, key=lambda form: count[form])
        if not count[best]:
            return [], []
        fitting = [text for text in rest if _fits(text, best)]
        others += [form for form in FORMS if form != best and all(_fits(text, form) for text in fitting)]
        taken.append(best)
        rest = [text for text in rest if text not in fitting]
    return taken, [form for form in others if form not in taken]


def _fits(text: str, form: str) -> bool:
    try:
        moment = datetime.strptime(text, form)  # noqa: DTZ007 reason: only whether it can be read
    except ValueError:
        return False
    return 1900 <= moment.year <= 2100
