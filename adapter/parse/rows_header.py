"""The header row of a CSV against its contract: which cell of a row is which column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapter.errors import Rejected
from adapter.model import Issue
from adapter.parse.rows_contract import Contract
from adapter.parse.rows_options import CsvOptions

_LONGEST = 255
_OTHER_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A bound header. written: as it stands, trimmed. names: for each cell its column, or its own name where the
    contract has none. issues: one csv-column-unknown for each of those."""

    written: tuple[str, ...]
    names: tuple[str, ...]
    issues: tuple[Issue, ...]


def bound(header: tuple[str, ...], contract: Contract, options: CsvOptions) -> Header:
    """Bind a header. Names match without regard to case and outer spaces.

    Raises Rejected: csv-header (names doubled, too long, or none that the contract knows), csv-column-missing.
    """
    written = tuple(cell.strip() for cell in header)
    places = _places(written)
    columns = _columns(places, contract, options)
    if not columns:
        raise Rejected("csv-header", "row 1", _no_column(header, options))
    _require(columns, written, contract, options)
    names: list[str] = []
    issues: list[Issue] = []
    for place, cell in enumerate(written):
        if place in columns:
            names.append(columns[place])
            continue
        named = cell or f"column {place + 1}"
        names.append(f"header:{named}" if named in contract.columns else named)
        issues.append(Issue(code="csv-column-unknown", place=f"row 1, {named}"))
    return Header(written=written, names=tuple(names), issues=tuple(issues))


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
    for column in contract.columns:
        for header in options.columns.get(column, (column,)):
            place = places.get(header.strip().casefold())
            if place is None:
                continue
            if place in columns:
                raise Rejected("csv-header", f"row 1, {column}", f"its header is bound to {columns[place]} already")
            columns[place] = column
            break
    return columns


def _require(columns: Mapping[int, str], written: tuple[str, ...], contract: Contract, options: CsvOptions) -> None:
    found = set(columns.values())
    missing = [column for column in contract.required if column not in found]
    if missing:
        wanted = ", ".join(" or ".join(options.columns.get(column, (column,))) for column in missing)
        seen = ", ".join(cell[:60] for cell in written[:60])
        raise Rejected("csv-column-missing", f"row 1, {missing[0]}", f"no {wanted}; the headers are {seen}")


def _no_column(header: tuple[str, ...], options: CsvOptions) -> str:
    """Why nothing fits; the cells are not named, for without a header row they are somebody's."""
    if len(header) == 1:
        for other in _OTHER_DELIMITERS:
            if other != options.delimiter and other in header[0]:
                return f"cells seem to be divided by {other!r}, the feed's delimiter is {options.delimiter!r}"
    return "no header is known; is the header row missing?"
