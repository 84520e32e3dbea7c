"""The header row of a CSV against its contract: which cell of a row is which column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapter.errors import Rejected
from adapter.model import Issue
from adapter.parse.rows_columns import Shaper, folded
from adapter.parse.rows_contract import Contract
from adapter.parse.rows_each import Each
from adapter.parse.rows_options import CsvOptions

ERROR_COLUMNS = ("error_row", "error_place", "error_code", "error_next_step", "error_record")
"""What stands behind the columns of a file in its error file. error_record: the whole record where it could not be divided."""
_LONGEST = 255
_OTHER_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A bound header. written: as it stands, trimmed. names: for each cell its column, or its own name where the
    contract has none; then the columns that the feed makes itself. each: the rows that a record holds; at: where their headers
    stand. passed: names of cells that are not handed on, since others are made of them. issues: one csv-column-unknown for
    each header that nobody knows, one csv-header-missing for each that is to be split or joined and is not there."""

    written: tuple[str, ...]
    names: tuple[str, ...]
    issues: tuple[Issue, ...]
    shaper: Shaper
    each: Each
    at: Mapping[str, int]
    passed: frozenset[str] = frozenset()

    @property
    def corrected(self) -> bool:
        """Whether this is an error file that comes back: its last columns are ERROR_COLUMNS."""
        return self.written[-len(ERROR_COLUMNS):] == ERROR_COLUMNS

    @property
    def own(self) -> tuple[str, ...]:
        """The headers of the file itself, without those that its error file added."""
        return self.written[:-len(ERROR_COLUMNS)] if self.corrected else self.written


def bound(header: tuple[str, ...], contract: Contract, options: CsvOptions) -> Header:
    """Bind a header. Names match without regard to case and outer spaces.

    Raises Rejected: csv-header (names doubled, too long, or none that the contract knows), csv-column-missing.
    """
    written = tuple(cell.strip() for cell in header)
    places = _places(written)
    columns = _columns(places, contract, options)
    _require_filters(places, columns, header, options)
    shaper = Shaper(options.shape, places, options.empty)
    at = {h: place for part in options.each for h in part.headers if (place := places.get(folded(h))) is not None}
    each = Each(options.each, frozenset(at))
    _require_each(options, each, written)
    if not columns and not each.given and len(shaper.given) == len(options.shape.constants):
        raise Rejected("csv-header", "row 1", _no_column(header, options))
    _require({*columns.values(), *shaper.given, *each.given}, written, contract, options)
    used = {folded(h) for h in (*options.shape.headers, *options.shape.ignore, *at)}
    used.update(ERROR_COLUMNS if written[-len(ERROR_COLUMNS):] == ERROR_COLUMNS else ())
    names: list[str] = []
    named = (*options.shape.splits, *(h for join in options.shape.joins.values() for h in join.headers))
    issues = [Issue(code="csv-header-missing", place=f"row 1, {h}") for h in dict.fromkeys(named) if folded(h) not in places]
    passed: set[str] = set()
    for place, cell in enumerate(written):
        if place in columns:
            names.append(columns[place])
            continue
        named = cell or f"column {place + 1}"
        names.append(f"header:{named}" if named in contract.columns else named)
        if cell.casefold() in used:
            passed.add(names[-1])
        else:
            issues.append(Issue(code="csv-column-unknown", place=f"row 1, {named}"))
    return Header(written=written, names=(*names, *dict.fromkeys((*shaper.given, *each.given))), issues=tuple(issues),
                  shaper=shaper, each=each, at=at, passed=frozenset(passed))


def _places(written: tuple[str, ...]) -> dict[str, int]:
    """Folded header -> its place, from 0. Raises Rejected (csv-header) where one stands twice or is too long."""
    places: dict[str, int] = {}
    for place, cell in enumerate(written):
        folded = cell.casefold()
        if len(cell) > _LONGEST:
            raise Rejected("csv-header", "row 1", f"the header of column {place + 1} is above {_LONGEST} characters")
        if folded in places:
            raise Rejected("csv-header", "row 1", f"columns {places[folded] + 1} and {place + 1} have the same header")
        if cell:
            places[folded] = place
    return places


def _columns(places: Mapping[str, int], contract: Contract, options: CsvOptions) -> dict[int, str]:
    """Place -> contract column; the first of the feed's alternatives that the header has."""
    columns: dict[int, str] = {}
    made = options.shape.columns.union(*(part.columns for part in options.each))
    for column in contract.columns:
        if column in made:
            continue
        for header in options.columns.get(column, (column,)):
            place = places.get(folded(header))
            if place is None:
                continue
            if place in columns:
                raise Rejected("csv-header", f"row 1, {column}", f"its header is bound to {columns[place]} already")
            columns[place] = column
            break
    return columns


def _require_filters(places: Mapping[str, int], columns: Mapping[int, str], header: tuple[str, ...], options: CsvOptions) -> None:
    """A file without a header by which rows are left out is not read: rows that do not count would be taken."""
    for wanted in (*options.shape.keep, *options.shape.skip):
        if folded(wanted) not in places:
            if not columns:
                raise Rejected("csv-header", "row 1", _no_column(header, options))
            raise Rejected("csv-column-missing", f"row 1, {wanted}", "the feed leaves out rows by it")


def _require_each(options: CsvOptions, each: Each, written: tuple[str, ...]) -> None:
    """A file in which none of the repeated columns stands holds no rows of the feed."""
    if options.each and not each.given:
        wanted = ", ".join(dict.fromkeys(h for part in options.each for h in part.asks))
        seen = ", ".join(cell[:60] for cell in written[:60])
        raise Rejected("csv-column-missing", "row 1, each", f"no {wanted}; the headers are {seen}")


def _require(found: set[str], written: tuple[str, ...], contract: Contract, options: CsvOptions) -> None:
    missing = [column for column in contract.required if column not in found and column not in options.defaults]
    if missing:
        wanted = ", ".join(" or ".join(_sources(column, options)) for column in missing)
        seen = ", ".join(cell[:60] for cell in written[:60])
        raise Rejected("csv-column-missing", f"row 1, {missing[0]}", f"no {wanted}; the headers are {seen}")


def _sources(column: str, options: CsvOptions) -> tuple[str, ...]:
    """The headers that a column comes from."""
    shape = options.shape
    if column in shape.joins:
        return shape.joins[column].headers
    if repeated := tuple(h for part in options.each if column in part.joins for h in part.joins[column].headers):
        return repeated
    return tuple(h for h, split in shape.splits.items() if column in split.columns) or options.columns.get(column, (column,))


def _no_column(header: tuple[str, ...], options: CsvOptions) -> str:
    """Why nothing fits; the cells are not named, for without a header row they are somebody's."""
    if len(header) == 1:
        for other in _OTHER_DELIMITERS:
            if other != options.delimiter and other in header[0]:
                return f"cells seem to be divided by {other!r}, the feed's delimiter is {options.delimiter!r}"
    return "no header is known; is the header row missing?"
