"""`gaps`: which gaps are open, of a member, an organization, or all."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from adapter.commands.installation import Moment, counted, opened, settings
from adapter.gaps import population, snapshot
from adapter.gaps.engine import Gap, evaluate, find_member, organizations
from adapter.gaps.known import known_arrivals, known_resources
from adapter.gaps.organizations import find, names_of
from adapter.gaps.population import APPLYING, Question
from adapter.gaps.present import as_bundle, as_csv, as_json, as_rows
from adapter.gaps.rules import State
from adapter.gaps.snapshot import Snapshot
from adapter.store.engine import reading

_STATES = ("open", "prospective", "missed", "closed", "not-applicable", "withheld")
_SHOWN = ("rule", "member", "organization", "state", "finding", "due", "responsible_org")
_FOLDER = click.Path(path_type=Path, file_okay=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The command's options; of a person or an organization what was typed."""

    member: str | None
    organization: str | None
    rule: str | None
    states: tuple[State, ...]
    as_of: datetime | None
    known_at: datetime | None
    engine: str | None
    ndjson: Path | None
    views: Path | None
    master: str
    memory: str
    out: Path | None

    @property
    def everybody(self) -> bool:
        """Whether it is for a population engine: asked for, or because only that one can answer."""
        return self.engine in ("duckdb", "spark") or any((self.ndjson, self.views, self.known_at, self.out))

    @property
    def wanted(self) -> tuple[State, ...] | None:
        """The states that are asked for, None for all; files leave out what does not apply unless it is."""
        return self.states or (APPLYING if self.out else None)

    def check(self) -> None:
        """Raises click.UsageError where options do not go together."""
        if "" in (self.member, self.organization, self.rule):
            raise click.UsageError("--member, --organization and --rule want a value; for every member leave them out")
        if sum(source is not None for source in (self.ndjson, self.views, self.known_at)) > 1:
            raise click.UsageError("--ndjson, --views and --known-at exclude each other")
        if self.engine == "store" and self.everybody:
            raise click.UsageError("--ndjson, --views, --known-at and --out are for --engine duckdb or spark")
        if self.everybody and self.member and not self.known_at:
            raise click.UsageError("one member is answered by --engine store, or with --known-at")
        if self.out and self.member:
            raise click.UsageError("--out is for everybody")


@click.command()
@click.option("--member", help="One member: any of their numbers, `system|value`, or the Patient id.")
@click.option("--organization", help="Gaps that this organization can close: its name, or its id.")
@click.option("--all", "everyone", is_flag=True, help="Every member (the default).")
@click.option("--rule", help="One rule, as G01; in capitals or not.")
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES), help="Only this state; may be repeated.")
@click.option("--as-of", type=Moment(), help="The end of this day (network's zone), or an ISO 8601 time; now without it.")
@click.option("--known-at", type=Moment(), help="By what was known then; by what is known now without it.")
@click.option("--engine", type=click.Choice(["store", "duckdb", "spark"]), help="Which engine reckons; store without it.")
@click.option("--ndjson", type=_FOLDER, help="Of the resources in this folder's *.ndjson files, not of the store.")
@click.option("--views", type=_FOLDER, help="Of the folder that `careloop views export` made.")
@click.option("--master", default="local[2]", show_default=True, help="Spark's cluster.")
@click.option("--memory", default=population.MEMORY, show_default=True, help="What DuckDB may take.")
@click.option("--out", type=_FOLDER, help="Write the gaps into this folder as Parquet files, and tell only how many. "
              "What does not apply is left out, unless --state asks for it.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv", "fhir"]), default="table",
              show_default=True)
def gaps(*, everyone: bool, states: tuple[State, ...], form: str, member: str | None, organization: str | None,
         rule: str | None, as_of: datetime | None, known_at: datetime | None, engine: str | None, ndjson: Path | None,
         views: Path | None, master: str, memory: str, out: Path | None) -> None:
    """Show gaps: state, reason, what closes them, due date, who is responsible.

    The table is short: it leaves out what does not apply, unless --state asks for it, and some columns that the other
    formats have.
    """
    if sum((member is not None, organization is not None, everyone)) > 1:
        raise click.UsageError("--member, --organization and --all exclude each other")
    asked = _Asked(member=member, organization=organization, rule=rule, states=states, as_of=as_of,
                   known_at=known_at, engine=engine, ndjson=ndjson, views=views, master=master, memory=memory, out=out)
    asked.check()
    if ndjson or views:
        moment = as_of or datetime.now(UTC)
        found, names = _of_everybody(None, asked, moment)
    else:
        with opened(settings()) as gateway, reading(gateway.engine) as connection:
            moment = as_of or gateway.clock()
            answer = _of_everybody if asked.everybody else _of_store
            found, names = answer(connection, asked, moment)
    if known_at and not found:
        click.echo("nothing was known here at that instant, so there is no answer: not that all was well", err=True)
    wanted = [gap for gap in found if not states or gap.state in states]
    if form == "fhir":
        click.echo(orjson.dumps(as_bundle(wanted, moment)))
    elif form == "table":
        _print(wanted, names, bool(states))
    else:
        rows = as_rows(wanted, names)
        click.echo(as_csv(rows) if form == "csv" else as_json(rows), nl=form == "json")


def _of_store(connection: Connection, asked: _Asked, moment: datetime) -> tuple[list[Gap], dict[str, str]]:
    known = organizations(connection)
    gaps = evaluate(connection, now=moment, rule=asked.rule,
                    member=find_member(connection, asked.member) if asked.member else None,
                    organization=find("organization", known, asked.organization) if asked.organization else None)
    return gaps, names_of(known)


def _of_everybody(connection: Connection | None, asked: _Asked, moment: datetime) -> tuple[list[Gap], dict[str, str]]:
    member = find_member(connection, asked.member) if connection and asked.member else None
    with _snapshot(connection, asked, member) as flat:
        known = snapshot.organizations(flat)
        organization = find("organization", known, asked.organization) if asked.organization else None
        question = population.question(now=moment, rule=asked.rule, organization=organization, states=asked.wanted,
                                       memory=asked.memory)
        if asked.out:
            count = _write(flat, question, asked, asked.out)
            click.echo(counted(count, "gap"), err=True)
            raise click.exceptions.Exit(0)
        found = _evaluate(flat, question, asked)
        return [gap for gap in found if member in (None, gap.member_id)], names_of(known)


@contextmanager
def _snapshot(connection: Connection | None, asked: _Asked, member: str | None) -> Generator[Snapshot]:
    """The tables to reckon over: those of a folder, or made for this question."""
    if asked.views:
        yield snapshot.open_snapshot(asked.views)
        return
    with tempfile.TemporaryDirectory(prefix="careloop-views-") as space:
        if asked.ndjson or connection is None:
            yield snapshot.of_resources(snapshot.ndjson(asked.ndjson or Path()), Path(space))
        elif asked.known_at:
            yield snapshot.of_resources(known_resources(connection, asked.known_at, member), Path(space),
                                        arrivals=known_arrivals(connection, asked.known_at))
        else:
            yield snapshot.of_store(connection, Path(space))


def _evaluate(flat: Snapshot, question: Question, asked: _Asked) -> list[Gap]:
    if asked.engine != "spark":
        return population.evaluate(flat, question)
    from adapter.gaps import spark

    return spark.evaluate(flat, question, asked.master)


def _write(flat: Snapshot, question: Question, asked: _Asked, out: Path) -> int:
    if asked.engine != "spark":
        return population.write(flat, question, out)
    from adapter.gaps import spark

    return spark.write(flat, question, out, asked.master)


def _print(found: Sequence[Gap], names: dict[str, str], everything: bool) -> None:
    shown = [gap for gap in found if everything or gap.state != "not-applicable"]
    table = Table(*(name.replace("responsible_org", "responsible") for name in _SHOWN))
    for row in as_rows(shown, names):
        table.add_row(*(row[name] for name in _SHOWN))
    console = Console() if sys.stdout.isatty() else Console(width=200)
    if shown:
        console.print(table, markup=False)
    counts = Counter(gap.state for gap in found)
    told = [f"{counts[state]} {state}" for state in _STATES if counts[state]]
    console.print(", ".join(told) or "no gaps", markup=False)
