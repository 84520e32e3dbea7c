"""One CSV row as contributions: the same maps and rows as for a segment, columns instead of fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from adapter.errors import Defect, Rejected
from adapter.mapping.context import MapContext, slug
from adapter.mapping.feed import Feed
from adapter.mapping.header import DAY_AHEAD
from adapter.mapping.ledger import Ledger
from adapter.mapping.message import Compiled, finished, order_of_row
from adapter.mapping.row_owner import Owner, owned, owner_of
from adapter.mapping.run import run_maps
from adapter.model import Issue, Mapped, is_object
from adapter.parse.er7 import Delimiters, Rep
from adapter.parse.rows_contract import load_contract

_WHOLE = Delimiters("\0", "\0", "\0", "\0", "\0")
"""Delimiters that never occur: a cell is one text."""


class CsvRow:
    """A CSV row, read as the engine reads a segment; number: of the record in its file."""

    __slots__ = ("cells", "number")

    name = "ROW"

    def __init__(self, cells: Mapping[str, str], number: int) -> None:
        self.cells = cells
        self.number = number

    def valued(self) -> dict[str, str]:
        """The columns that have a value, as they stand."""
        return {name: text for name, text in self.cells.items() if text}

    def raw(self, n: str) -> str:
        """A cell as it stands, '' where absent."""
        return self.cells.get(n, "")

    def reps(self, n: str) -> list[Rep]:
        """The cell as the one repetition of its column."""
        text = self.cells.get(n, "")
        return [Rep(text, _WHOLE)] if text else []

    def first(self, n: str) -> Rep:
        """The cell, empty where absent."""
        return Rep(self.cells.get(n, ""), _WHOLE)


def map_row(cells: Mapping[str, str], number: int, identity: str, compiled: Compiled, arrival_us: int,
            ledger: Ledger | None = None, columns: Iterable[str] = ()) -> Mapped:
    """The contributions of one row. Raises Rejected (no-patient) where the feed's patient column is empty.

    cells: column to text, empty ones left out. columns: all that the file has; one of them that is empty in this row
    takes back what an earlier row said in it, while a column that the file lacks says nothing.
    """
    feed = compiled.feed
    options = feed.options
    filled = {**{k: v for k, v in options.get("defaults", {}).items() if k not in cells}, **cells}
    issues: list[Issue] = []
    arrival_us += number  # rows of one file arrive together: one after the other
    stated_in = options.get("stated", "updated_at")
    stated = _moment(filled.get(stated_in, ""))
    if stated is not None and stated > arrival_us + DAY_AHEAD:
        issues.append(Issue(code="time-ahead", place=f"row {number}, {stated_in}"))
        stated = None
    source = source_of(feed, cells)
    ctx = MapContext(feed, compiled.terminology, source=source, local=f"urn:x-careloop:{feed.name}", event="",
                     message=identity,
                     order=order_of_row(stated, arrival_us, feed),
                     issues=issues)
    column = options.get("patient", "")
    value = filled.get(column, "") if column else ""
    if column and not value:
        raise Rejected("no-patient", f"row {number}, {column}")
    ctx.patient = f"{options.get('patient_system', 'urn:x-careloop:member')}|{value}" if value else ""
    row = CsvRow(filled, number)
    maps = compiled.rules.maps.get("ROW", ())
    if ledger:
        ledger.see(row, maps, ctx)
    run_maps(maps, row, ctx, ledger.step if ledger else None, frozenset(columns))
    owner = _owner(compiled)
    said = finished(ctx, compiled.rules.version)
    if owner.kinds:
        said = owned(said, owner, owner.name(filled, ctx.local), ctx.patient, {*columns, *filled})
    return Mapped(identity=identity, feed=feed.name, source=source, event="", control_id="",
                  contributions=tuple(said), issues=tuple(issues), test=False)


def joined(rows: Sequence[Mapped]) -> Mapped:
    """What the rows of one record state together."""
    return replace(rows[0], contributions=tuple(c for row in rows for c in row.contributions),
                   issues=tuple(i for row in rows for i in row.issues))


def source_of(feed: Feed, cells: Mapping[str, str]) -> str:
    """Whose statement a row is: the feed's, or the organization's that `snapshot: {per: column}` names."""
    snapshot = feed.options.get("snapshot")
    return f"{feed.name}/{slug(cells.get(snapshot['per'], ''))}" if is_object(snapshot) and "per" in snapshot else feed.name


def error_rate(feed: Feed) -> float:
    """The share of rows above which a file is refused whole. Raises Defect (csv-feed)."""
    rate = feed.options.get("error_rate", 1.0)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise Defect("csv-feed", f"{feed.name}/feed.yaml", "error_rate is a share from 0 to 1, as 0.02")
    return float(rate)


def _owner(compiled: Compiled) -> Owner:
    """What rows of a feed own, worked out once."""
    owner = compiled.memory.get("owner")
    if owner is None:
        contract = load_contract(compiled.feed.options.get("contract", compiled.feed.name))
        owner = compiled.memory["owner"] = owner_of(contract.key, compiled.rules.maps.get("ROW", ()))
    return owner


def _moment(text: str) -> int | None:
    """An ISO 8601 time of the canonical contract as microseconds since 1970 UTC; a mere day is its beginning in UTC."""
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    seconds = moment.timestamp() if moment.tzinfo else datetime.fromisoformat(f"{text[:10]}T00:00:00+00:00").timestamp()
    return round(seconds * 1_000_000)
