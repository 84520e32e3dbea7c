"""How one partner writes a CSV feed: the part of its feed.yaml that concerns the file and its cells."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, cast
from zoneinfo import ZoneInfo

from adapter.errors import Defect
from adapter.parse.rows_columns import Join, Shape, Split, Want
from adapter.parse.rows_each import Part

LONGEST_CELL = 32_767
"""Characters in a cell, unless the feed says otherwise: what a spreadsheet cell holds."""

WIDE = frozenset(("utf-16", "utf-16le", "utf-16-le", "utf-16be", "utf-16-be"))
"""Charsets that do not keep ASCII bytes and are read all the same."""

LONGEST_RECORD = 1_048_576
"""Bytes of one record; what is longer is cut there and refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvOptions:
    """What is special about a partner's file. Raises Defect (csv-feed) on options that cannot work.

    columns: contract column -> its header, or alternatives in order of preference. codes: contract column -> partner's
    code -> contract's code. dates: contract column, or `*` for all -> forms in order, each as `datetime.strptime` has
    them or `excel` (days since 1899-12-30). zone: of times without offset; None refuses those. decimal: `.` or `,`; the
    other then groups thousands; '' is `.` without groups. empty: markers that mean an empty cell. charset: one that keeps
    ASCII bytes. wide: the file's own charset where it does not (UTF-16); it is then read as UTF-8. units: number column ->
    what it is multiplied by. shape: split and joined columns, constants, rows left out. each: rows of the contract that one
    record holds, none where it is one row itself. lists: column of several values -> what divides them in the file (`;`
    otherwise).
    defaults: required column -> what an empty cell of it means, in the contract's form.
    excel_text: cells are written as `="00123"` or `'00123` so that a spreadsheet program leaves them alone.
    """

    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    dates: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    zone: ZoneInfo | None = None
    charset: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    decimal: str = ""
    empty: frozenset[str] = frozenset()
    longest_cell: int = LONGEST_CELL
    wide: str = ""
    units: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    shape: Shape = field(default_factory=Shape)
    each: tuple[Part, ...] = ()
    lists: Mapping[str, str] = field(default_factory=dict[str, str])
    excel_text: bool = False
    defaults: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        marks = (self.delimiter, self.quote)
        if any(len(m) != 1 or not m.isascii() or m in "\r\n\0 " for m in marks) or self.delimiter == self.quote:
            raise Defect("csv-feed", "delimiter, quote", "each is one ASCII character, and they differ")
        if self.decimal not in ("", ".", ","):
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
                codes: Mapping[str, Mapping[str, str]] | None = None, defaults: Mapping[str, Any] | None = None) -> CsvOptions:
    """Options as feed.yaml writes them under `csv`; docs/mappings.md names every key.

    One text may stand where a list can; `dates` may be one form, or a list, for all columns; `delimiter: tab` is a tab.
    Keys that are no matter of the file are passed over. Raises Defect (csv-feed).
    """
    dates: Any = written.get("dates", {})
    by_column = cast("dict[str, Any]", dates if isinstance(dates, dict) else {"*": dates})
    marks = {name: str(written[name]) for name in ("delimiter", "quote", "decimal") if name in written}
    if marks.get("delimiter") in ("tab", "\\t"):
        marks["delimiter"] = "\t"
    wide = charset if charset.lower().replace("_", "-") in WIDE else ""
    return CsvOptions(
        columns={c: _texts(c, h) for c, h in dict(written.get("columns", {})).items()},
        codes={c: {_text(c, k): _text(c, v) for k, v in table.items()} for c, table in dict(codes or {}).items()},
        dates={c: _texts(c, forms) for c, forms in by_column.items()},
        zone=zone, charset="utf-8" if wide else charset, wide=wide, empty=frozenset(_texts("empty", written.get("empty", ()))),
        longest_cell=int(written.get("longest_cell", LONGEST_CELL)),
        units={c: _factor(c, f) for c, f in _keys("units", written.get("units", {})).items()},
        shape=_shape(written), each=_each(written.get("each", ())),
        lists={c: _text(c, by) for c, by in _keys("lists", written.get("lists", {})).items()},
        excel_text=_flag("excel_text", written.get("excel_text", False)),
        defaults={column: str(text) for column, text in dict(defaults or {}).items()}, **marks,
    )


def _each(value: Any) -> tuple[Part, ...]:
    """A list of `{column: header}`, where `=text` is that text, and a join stands for a header."""
    if not isinstance(value, (list, tuple)):
        raise Defect("csv-feed", "each", "it is a list: one entry for each row that a record holds")
    return tuple(_part(one) for one in cast("list[Any]", value))


def _part(value: Any) -> Part:
    keys = _keys("each", value)
    joins = {c: _join(c, one) for c, one in keys.items() if isinstance(one, dict)}
    texts = {c: _text(c, one) for c, one in keys.items() if not isinstance(one, dict)}
    asks = {c: text for c, text in texts.items() if not text.startswith("=")}
    if not asks:
        raise Defect("csv-feed", "each", "an entry names a header: where its cell is empty, there is no such row")
    return Part(joins={**{c: Join(parts=(h,), between="") for c, h in asks.items()}, **joins}, asks=tuple(asks.values()),
                fixed={c: text[1:] for c, text in texts.items() if text.startswith("=")})


def _flag(place: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise Defect("csv-feed", place, "it is true or false")
    return value


def _shape(written: Mapping[str, Any]) -> Shape:
    rows = _keys("rows", written.get("rows", {}), ("keep", "skip"))
    return Shape(
        splits={h: _split(h, one) for h, one in _keys("split", written.get("split", {})).items()},
        joins={c: _join(c, one) for c, one in _keys("join", written.get("join", {})).items()},
        constants={c: _text(c, text) for c, text in _keys("constants", written.get("constants", {})).items()},
        keep={h: _want(h, want) for h, want in _keys("keep", rows.get("keep", {})).items()},
        skip={h: _want(h, want) for h, want in _keys("skip", rows.get("skip", {})).items()},
        ignore=frozenset(_texts("ignore", written.get("ignore", ()))))


def _keys(place: str, value: Any, known: tuple[str, ...] = ()) -> dict[str, Any]:
    """A mapping as written. Raises Defect (csv-feed) where it is none, or has a key that is not known."""
    if not isinstance(value, dict):
        raise Defect("csv-feed", place, "it holds keys with values")
    keys = cast("dict[str, Any]", value)
    if known and (strange := sorted(keys.keys() - set(known))):
        raise Defect("csv-feed", strange[0], f"{place} holds {' or '.join(known)}, not `{strange[0]}`")
    return keys


def _split(header: str, value: Any) -> Split:
    """`{by: ", ", into: [last_name, first_name]}`, or `{form: "(?P<city>.+) (?P<state>..)"}`."""
    keys = _keys(header, value, ("by", "into", "form"))
    if "form" in keys:
        try:
            form = re.compile(str(keys["form"]))
        except re.error as error:
            raise Defect("csv-feed", header, f"form is no regular expression: {error.msg}") from error
        if not form.groupindex:
            raise Defect("csv-feed", header, "form has no group that names a column, such as (?P<last_name>...)")
        return Split(columns=tuple(form.groupindex), form=form)
    into = _texts(header, keys.get("into", ()))
    if not keys.get("by") or len(into) < 2:
        raise Defect("csv-feed", header, "a split has `by` and two columns or more in `into`, or `form`")
    return Split(columns=into, by=str(keys["by"]))


def _join(column: str, value: Any) -> Join:
    keys = _keys(column, value, ("of", "with", "whole"))
    parts = _texts(column, keys.get("of", ()))
    if all(part.startswith("=") for part in parts):
        raise Defect("csv-feed", column, "a join has `of`, the headers that make the column")
    return Join(parts=parts, between=_text(column, keys.get("with", " ")), whole=keys.get("whole") is True)


def _want(header: str, value: Any) -> Want:
    """`valued`, `empty`, a text, or a list of texts."""
    return value == "valued" if value in ("valued", "empty") else frozenset(_texts(header, value))


def _factor(column: str, value: Any) -> Decimal:
    try:
        factor = Decimal(str(value))
    except InvalidOperation as error:
        raise Defect("csv-feed", column, "a unit is the number that cells are multiplied by") from error
    if not factor.is_finite() or not factor:
        raise Defect("csv-feed", column, "a unit is a number that is not 0")
    return factor


def _texts(place: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, (list, tuple)):
        return tuple(_text(place, v) for v in cast("list[Any]", value))
    return (_text(place, value),)


def _text(place: str, value: Any) -> str:
    if isinstance(value, bool) or value is None:
        raise Defect("csv-feed", place, "put words such as Y, no and null in quotes: YAML reads them as no text")
    return str(value)
