"""How one partner writes a CSV feed: the part of its feed.yaml that concerns the file and its cells."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from zoneinfo import ZoneInfo

from adapter.errors import Defect

LONGEST_CELL = 32_767
"""Characters in a cell, unless the feed says otherwise: what a spreadsheet cell holds."""

LONGEST_RECORD = 1_048_576
"""Bytes of one record; what is longer is cut there and refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvOptions:
    """What is special about a partner's file. Raises Defect (csv-feed) on options that cannot work.

    columns: contract column -> its header, or alternatives in order of preference. codes: contract column -> partner's
    code -> contract's code. dates: contract column, or `*` for all -> forms in order, each as `datetime.strptime` has
    them or `excel` (days since 1899-12-30). zone: of times without offset; None refuses those. decimal: `.` or `,`
    (then `.` groups thousands). empty: markers that mean an empty cell. charset: one that keeps ASCII bytes.
    """

    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    dates: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    zone: ZoneInfo | None = None
    charset: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    decimal: str = "."
    empty: frozenset[str] = frozenset()
    longest_cell: int = LONGEST_CELL

    def __post_init__(self) -> None:
        marks = (self.delimiter, self.quote)
        if any(len(m) != 1 or not m.isascii() or m in "\r\n\0 " for m in marks) or self.delimiter == self.quote:
            raise Defect("csv-feed", "delimiter, quote", "each is one ASCII character, and they differ")
        if self.decimal not in (".", ","):
            raise Defect("csv-feed", "decimal", "it is '.' or ','")
        if not 0 < self.longest_cell <= 131_072:
            raise Defect("csv-feed", "longest_cell", "1 to 131072 characters")
        try:
            kept = "09azAZ,;|\t\"'\r\n".encode(codecs.lookup(self.charset).name) == b"09azAZ,;|\t\"'\r\n"
        except (LookupError, UnicodeError) as error:
            raise Defect("csv-feed", "charset", "no such charset") from error
        if not kept:
            raise Defect("csv-feed", "charset", "only charsets that keep ASCII bytes, such as utf-8 or cp1252")


def csv_options(written: Mapping[str, Any], *, charset: str = "utf-8", zone: ZoneInfo | None = None,
                codes: Mapping[str, Mapping[str, str]] | None = None) -> CsvOptions:
    """Options as feed.yaml writes them (`columns`, `dates`, `delimiter`, `quote`, `decimal`, `empty`, `longest_cell`).

    One text may stand where a list can; `dates` may be one form, or a list, for all columns; `delimiter: tab` is a tab.
    Keys that are no matter of the file are passed over. Raises Defect (csv-feed).
    """
    dates: Any = written.get("dates", {})
    by_column = cast("dict[str, Any]", dates if isinstance(dates, dict) else {"*": dates})
    marks = {name: str(written[name]) for name in ("delimiter", "quote", "decimal") if name in written}
    if marks.get("delimiter") in ("tab", "\\t"):
        marks["delimiter"] = "\t"
    return CsvOptions(
        columns={c: _texts(c, h) for c, h in dict(written.get("columns", {})).items()},
        codes={c: {_text(c, k): _text(c, v) for k, v in table.items()} for c, table in dict(codes or {}).items()},
        dates={c: _texts(c, forms) for c, forms in by_column.items()},
        zone=zone, charset=charset, empty=frozenset(_texts("empty", written.get("empty", ()))),
        longest_cell=int(written.get("longest_cell", LONGEST_CELL)), **marks,
    )


def _texts(place: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, (list, tuple)):
        return tuple(_text(place, v) for v in cast("list[Any]", value))
    return (_text(place, value),)


def _text(place: str, value: Any) -> str:
    if isinstance(value, bool) or value is None:
        raise Defect("csv-feed", place, "put words such as Y, no and null in quotes: YAML reads them as no text")
    return str(value)
