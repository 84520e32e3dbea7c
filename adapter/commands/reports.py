"""`report`: what the network's people get back, one command a report: as table, CSV, JSON or FHIR, opened down to members."""

from __future__ import annotations

import getpass
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from adapter.commands.installation import Moment, counted, opened, settings
from adapter.gaps import snapshot
from adapter.gaps.catalog import open_catalog
from adapter.gaps.known import known_arrivals, known_resources
from adapter.gaps.organizations import find
from adapter.gaps.population import MEMORY
from adapter.reports.asked import Asked, asked, judged_at, month_end, month_name, month_of, month_start
from adapter.reports.definitions import Report, open_reports
from adapter.reports.document import document
from adapter.reports.freezing import adjustments, freeze, frozen_months
from adapter.reports.measures import measures_of
from adapter.reports.present import Cell, as_csv, as_json, columns_of, fact_rows, figure_rows
from adapter.reports.resources import as_bundle
from adapter.reports.run import NOTHING_FROZEN, Answered, Frozen, answer, areas, coordinators, organizations
from adapter.reports.tables import Row, Tables, of_snapshot, of_store
from adapter.store import gap_lives, improvements
from adapter.store.engine import reading, writing

_FOLDER = click.Path(path_type=Path, file_okay=False)


class Month(click.ParamType[date]):
    """`2026-03`: the first day of that month."""

    name = "month"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The month's first day."""
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(f"{value}-01")
        except ValueError:
            self.fail(f"{str(value)!r} is not a month: write 2026-03", param, ctx)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was typed; see the options' own help."""

    as_of: datetime | None = None
    organization: str | None = None
    area: str | None = None
    coordinator: str | None = None
    month: date | None = None
    first: date | None = None
    last: date | None = None
    measure: str | None = None
    smallest: int | None = None
    freeze: date | None = None
    by: str = ""
    adjustments: bool = False
    members: bool = False
    known: bool = False
    engine: str | None = None
    views: Path | None = None
    memory: str = MEMORY
    form: str = "table"
    out: Path | None = None

    def period(self) -> tuple[date | None, date | None]:
        """The first and last day asked for. Raises click.UsageError."""
        if self.month is None:
            return self.first, self.last
        if self.first or self.last:
            raise click.UsageError("--month and --from, --to exclude each other")
        return self.month, month_end(month_of(self.month))


@click.group()
def report() -> None:
    """Reports for the network's people. Each is defined in profiles/reports; `careloop report about` tells it in words."""


@report.command()
@click.argument("names", nargs=-1)
def about(names: tuple[str, ...]) -> None:
    """Print what reports are, in words: all of them, or NAMES."""
    known = open_reports()
    for name in names:
        if name not in known.reports:
            raise click.UsageError(f"there is no report {name}: {', '.join(known.reports)}")
    click.echo(document(known, names or list(known.reports)), nl=False)


def run(name: str, options: Options) -> None:
    """Ask a report and print it. Raises Rejected, click.UsageError."""
    one = open_reports().reports[name]
    if options.smallest is not None:
        one = replace(one, smallest=options.smallest, opens=one.opens and replace(one.opens, smallest=options.smallest))
    if options.measure is not None:
        options = replace(options, measure=_measure(one, options.measure))
    if options.freeze:
        _freeze(one, options, options.freeze)
        return
    if options.views:
        with _of_views(one, options) as tables:
            _print(_ask(tables, one, options, options.as_of or datetime.now(UTC)), options)
        return
    with opened(settings()) as gateway, reading(gateway.engine) as connection:
        now = options.as_of or gateway.clock()
        if options.known:
            _print(_as_known(connection, one, options, now), options)
            return
        frozen = frozen_months(connection, one) if one.freezes else NOTHING_FROZEN
        plans = [astuple(plan) for plan in improvements.plans(connection)] if one.plans else []
        lives = gap_lives.in_hand(connection) if one.lives else []
        with _of_store(connection, options) as tables:
            _print(_ask(tables, one, options, now, frozen=frozen, plans=plans, lives=lives), options)


def _measure(one: Report, typed: str) -> str:
    """The code of a measure, typed in capitals or not. Raises click.UsageError."""
    rules = open_reports().rules
    known = measures_of(one, rules) if one.form == "rates" else rules.rules
    found = next((code for code in known if code.casefold() == typed.casefold()), None)
    if found is None:
        raise click.UsageError(f"there is no measure {typed}: {', '.join(known)}")
    return found


def _freeze(one: Report, options: Options, month: date) -> None:
    with opened(settings()) as gateway, writing(gateway.engine) as connection:
        count = freeze(connection, one, open_catalog(), month, gateway.clock(), options.by)
    click.echo(f"{month_name(month_of(month))} is frozen: {counted(count, 'row')}")


@contextmanager
def _of_store(connection: Connection, options: Options) -> Generator[Tables]:
    if options.engine != "duckdb":
        with of_store(connection) as tables:
            yield tables
        return
    with tempfile.TemporaryDirectory(prefix="careloop-views-") as space, \
            of_snapshot(snapshot.of_store(connection, Path(space)), open_catalog(), memory=options.memory) as tables:
        yield tables


@contextmanager
def _of_views(one: Report, options: Options) -> Generator[Tables]:
    if options.known or options.engine == "store":
        raise click.UsageError("--views goes with --engine duckdb, and knows no other time than its own")
    if one.plans:
        raise click.UsageError("improvement plans stand in the store, not in --views")
    if options.adjustments:
        raise click.UsageError("what was frozen stands in the store, not in --views")
    with of_snapshot(snapshot.open_snapshot(options.views or Path()), open_catalog(), memory=options.memory) as tables:
        yield tables


def _ask(tables: Tables, one: Report, options: Options, now: datetime, only: Asked | None = None,
         frozen: Frozen = NOTHING_FROZEN, plans: Sequence[Row] = (), lives: Sequence[Row] = ()) -> Answered:
    question = only or _question(tables, one, options, now)
    facts = one.form == "list" or options.members or options.adjustments
    answered = _narrowed(answer(tables, one, question, facts=facts, frozen=frozen, plans=plans, lives=lives), options.measure)
    return adjustments(answered) if options.adjustments else answered


def _question(tables: Tables, one: Report, options: Options, now: datetime) -> Asked:
    first, last = options.period()
    return asked(one, open_catalog(), now, first=first, last=last,
                 organization=find("organization", organizations(tables), options.organization) if options.organization else "",
                 area=find("area", areas(tables), options.area) if options.area else "",
                 coordinator=find("coordinator", coordinators(tables), options.coordinator) if options.coordinator else "")


def _as_known(connection: Connection, one: Report, options: Options, now: datetime) -> Answered:
    """Each month by what was known at its end; the months' answers in one."""
    if one.over != "months":
        raise click.UsageError("--known is for reports of months; another is asked about another day by --as-of")
    with of_store(connection) as tables:
        whole = _question(tables, one, options, now)
    found: list[Answered] = []
    for month in whole.months():
        moment = judged_at(open_catalog(), whole, month)
        if moment is None:
            continue
        only = replace(whole, now=moment, first=month_start(month), last=month_end(month))
        with tempfile.TemporaryDirectory(prefix="careloop-views-") as space:
            flat = snapshot.of_resources(known_resources(connection, moment), Path(space),
                                         arrivals=known_arrivals(connection, moment))
            with of_snapshot(flat, open_catalog(), memory=options.memory) as tables:
                found.append(_ask(tables, one, options, moment, only))
    return Answered(report=one, question=whole, facts=[fact for one in found for fact in one.facts],
                    figures=[figure for one in found for figure in one.figures], places=found[-1].places)


def _narrowed(answered: Answered, measure: str | None) -> Answered:
    if measure is None:
        return answered
    return replace(answered, facts=[fact for fact in answered.facts if fact.get("measure") == measure],
                   figures=[figure for figure in answered.figures if dict(figure.stratum).get("measure") == measure],
                   opened=answered.opened and _narrowed(answered.opened, measure))


def _print(answered: Answered, options: Options) -> None:
    if options.members and options.form != "fhir":
        answered = answered.opened or answered
    figures = answered.report.form == "rates" and not options.members and not options.adjustments
    rules = open_reports().rules
    if options.form == "table" and not options.out:
        rows = figure_rows(answered, rules) if figures else fact_rows(answered, brief=not options.members)
        _table(rows, columns_of(answered, figures=figures))
        return
    rows = figure_rows(answered, rules) if figures else fact_rows(answered)
    if options.form == "fhir":
        text = orjson.dumps(as_bundle(answered, rules, settings().measures))
    elif options.form == "json":
        text = as_json(rows)
    else:
        text = as_csv(rows, columns_of(answered, figures=figures)).encode()
    if options.out:
        options.out.write_bytes(text)
        click.echo(counted(len(rows), "row"), err=True)
    else:
        click.echo(text.decode(), nl=options.form != "csv")


def _table(rows: Sequence[dict[str, Cell]], columns: Sequence[str]) -> None:
    console = Console() if sys.stdout.isatty() else Console(width=200)
    shown = [name for name in columns if rows and name in rows[0]]
    table = Table(*shown)
    for row in rows:
        table.add_row(*("" if row[name] is None else str(row[name]) for name in shown))
    if rows:
        console.print(table, markup=False)
    console.print(counted(len(rows), "row"), markup=False)


def _command(one: Report) -> click.Command:
    """The command of a report, with the options that make sense for it."""
    options: list[click.Option] = [
        click.Option(["--as-of"], type=Moment(),
                     help="The end of this day (network's zone), or an ISO 8601 time; now without it."),
        click.Option(["--organization"], help="What concerns this organization: its name, or its id."),
        click.Option(["--area"], help="What concerns this health service area: its name or id.")]
    if any(column.shown == "coordinator" for column in one.columns.values()):
        options.append(click.Option(["--coordinator"], help="What this person sees to: their name, NPI, or Practitioner id."))
    if one.over == "months":
        options += [click.Option(["--month"], type=Month(), help="This month alone, as 2026-03."),
                    click.Option(["--from", "first"], type=Month(), help="From this month on."),
                    click.Option(["--to", "last"], type=Month(), help="Up to this month."),
                    click.Option(["--known"], is_flag=True, help="Each month by what was known at its end.")]
    if one.over == "days":
        day = click.DateTime(["%Y-%m-%d"])
        options += [click.Option(["--month"], type=Month(), help="The days of this month, as 2026-03."),
                    click.Option(["--from", "first"], type=day, help="From this day on."),
                    click.Option(["--to", "last"], type=day, help="Up to this day.")]
    if "measure" in one.columns:
        options.append(click.Option(["--measure"], help="This measure alone: a rule's id, or a measure's code."))
    if one.freezes:
        options += [click.Option(["--freeze"], type=Month(), help="Freeze this month, which is over, by what is known now."),
                    click.Option(["--by"], default=getpass.getuser, show_default="your account", help="Who freezes it."),
                    click.Option(["--adjustments"], is_flag=True, help="What is other now than it was frozen, by member.")]
    if one.smallest:
        options.append(click.Option(["--smallest"], type=click.IntRange(1), default=one.smallest, show_default=True,
                                    help="The smallest number of people that is told; 1 holds none back."))
    options += [
        click.Option(["--members", "--drill", "members"], is_flag=True, help="Down to members and evidence, Type/id."),
        click.Option(["--engine"], type=click.Choice(["store", "duckdb"]), help="Which engine reckons; store without it."),
        click.Option(["--views"], type=_FOLDER, help="Of the folder that `careloop views export` made."),
        click.Option(["--memory"], default=MEMORY, show_default=True, help="What DuckDB may take."),
        click.Option(["--format", "form"], type=click.Choice(["table", "csv", "json", "fhir"]), default="table",
                     show_default=True),
        click.Option(["--out"], type=click.Path(path_type=Path, dir_okay=False), help="Write into this file; a table as CSV.")]
    return click.Command(one.name, params=list[click.Parameter](options), help=f"{one.title}. {one.population}",
                         short_help=one.title, callback=_callback(one.name))


def _callback(name: str) -> Callable[..., None]:
    def ask(**typed: Any) -> None:
        for key in ("first", "last"):
            if isinstance(typed.get(key), datetime):
                typed[key] = typed[key].date()
        run(name, Options(**typed))

    return ask


for _report in open_reports().reports.values():
    report.add_command(_command(_report))
