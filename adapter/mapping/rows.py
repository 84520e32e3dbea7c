"""One CSV row as contributions: the same maps and rows as for a segment, columns instead of fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from adapter.errors import Defect, Rejected
from adapter.mapping.context import MapContext, slug
from adapter.mapping.csv_row import CsvRow
from adapter.mapping.feed import Feed
from adapter.mapping.functions.registry import keep
from adapter.mapping.header import AHEAD
from adapter.mapping.ledger import Ledger
from adapter.mapping.message import Compiled, finished, order_of_row
from adapter.mapping.row_owner import Owner, owned, owner_of
from adapter.mapping.row_plan import RowPlan
from adapter.mapping.run import run_maps
from adapter.model import Contribution, Issue, Mapped, Order, is_object
from adapter.parse.rows_contract import load_contract


def map_row(cells: Mapping[str, str], number: int, identity: str, compiled: Compiled, arrival_us: int,
            ledger: Ledger | None = None, columns: Iterable[str] = (), *, planned: bool = True) -> Mapped:
    """The contributions of one row. Raises Rejected (no-patient) where the feed's patient column is empty.

    cells: column to text, empty ones left out. columns: all that the file has; one of them that is empty in this row
    takes back what an earlier row said in it, while a column that the file lacks says nothing. Untraced rows are mapped by
    what earlier rows of their header made (row_plan.py), where that says the same; not planned: as if there were none.
    """
    rows = compiled.memory.get("rows") or _rows(compiled)
    feed = compiled.feed
    filled = {**{k: v for k, v in rows.defaults.items() if k not in cells}, **cells} if rows.defaults else cells
    issues: list[Issue] = []
    arrival_us += number  # rows of one file arrive together: one after the other
    stated = _moment(filled.get(rows.stated, ""))
    if stated is not None and stated > arrival_us + AHEAD:
        issues.append(Issue(code="time-ahead", place=f"row {number}, {rows.stated}"))
        stated = None
    value = filled.get(rows.patient, "") if rows.patient else ""
    if rows.patient and not value:
        raise Rejected("no-patient", f"row {number}, {rows.patient}")
    patient = rows.system + value if value else ""
    order = order_of_row(stated, arrival_us, feed)
    names = columns if isinstance(columns, tuple) else tuple(columns)
    said = None if ledger or not planned else _plan(compiled, names).said(filled, number, patient, order, identity, issues)
    if said is None:
        said = _said(CsvRow(filled, number), patient, order, identity, compiled, issues, ledger, names)
    if rows.owner.kinds:
        said = owned(said, rows.owner, rows.owner.name(filled, _local(feed)), patient, {*names, *filled})
    return Mapped(identity=identity, feed=feed.name, source=source_of(feed, cells) if rows.per else feed.name, event="",
                  control_id="", contributions=tuple(said), issues=tuple(issues), test=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """What holds for every row of a feed.

    stated, patient: columns with the row's time and the member's number ('' for none). system: how numbers begin. defaults:
    column -> text where it is empty. per: whether rows are of a source for each organization. owner: what rows own.
    """

    stated: str
    patient: str
    system: str
    defaults: Mapping[str, str]
    per: bool
    owner: Owner


def _rows(compiled: Compiled) -> _Rows:
    """Worked out once."""
    options = compiled.feed.options
    contract = load_contract(options.get("contract", compiled.feed.name))
    rows = compiled.memory["rows"] = _Rows(
        stated=options.get("stated", "updated_at"), patient=options.get("patient", ""),
        system=f"{options.get('patient_system', 'urn:x-careloop:member')}|", defaults=options.get("defaults", {}),
        per=bool(options.get("snapshot")),
        owner=owner_of(contract.key, compiled.rules.maps.get("ROW", ())))
    return rows


def _said(row: CsvRow, patient: str, order: Order, message: str, compiled: Compiled, issues: list[Issue],
          ledger: Ledger | None, columns: Sequence[str]) -> list[Contribution]:
    """What a row states, the general way: map by map, rule by rule."""
    feed = compiled.feed
    ctx = MapContext(feed, compiled.terminology, source=source_of(feed, row.cells), local=_local(feed), event="",
                     message=message, order=order, issues=issues)
    ctx.patient = patient
    maps = compiled.rules.maps.get("ROW", ())
    if ledger:
        ledger.see(row, maps, ctx)
    run_maps(maps, row, ctx, ledger.step if ledger else None, frozenset(columns))
    return finished(ctx, compiled.rules.version)


def _local(feed: Feed) -> str:
    return f"urn:x-careloop:{feed.name}"


def _plan(compiled: Compiled, columns: tuple[str, ...]) -> RowPlan:
    """The plan of a header, made once; of the last headers, should they be many."""
    plan = compiled.memory.get(columns)
    if plan is None:
        plan = RowPlan(compiled, columns)
        keep(compiled.memory, columns, plan)
    return plan


def joined(rows: Sequence[Mapped]) -> Mapped:
    """What the rows of one record state together."""
    return replace(rows[0], contributions=tuple(c for row in rows for c in row.contributions),
                   issues=tuple(i for row in rows for i in row.issues))


def source_of(feed: Feed, cells: Mapping[str, str]) -> str:
    """Whose statement a row is: the feed's, or the organization's that `snapshot: {per: column}` names."""
    snapshot = feed.options.get("snapshot")
    return f"{feed.name}/{slug(cells.get(snapshot['per'], ''))}" if is_object(snapshot) and "per" in snapshot else feed.name


def has_no_time(feed: Feed, cells: Mapping[str, str]) -> bool:
    """Whether a row does not say when it was stated, so that the arrival of its file counts."""
    column = feed.options.get("stated", "updated_at")
    return not (cells.get(column) or feed.options.get("defaults", {}).get(column))


def error_rate(feed: Feed) -> float:
    """The share of rows above which a file is refused whole. Raises Defect (csv-feed)."""
    rate = feed.options.get("error_rate", 1.0)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise Defect("csv-feed", f"{feed.name}/feed.yaml", "error_rate is a share from 0 to 1, as 0.02")
    return float(rate)


def _moment(text: str) -> int | None:
    """An ISO 8601 time of the canonical contract as microseconds since 1970 UTC; a mere day is its beginning in UTC."""
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    seconds = moment.timestamp() if moment.tzinfo else datetime.fromisoformat(f"{text[:10]}T00:00:00+00:00").timestamp()
    return round(seconds * 1_000_000)
