"""`gaps`: which gaps are open, of a member, an organization, or all."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import click
import orjson
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from adapter.commands.installation import Moment, opened, settings
from adapter.gaps.engine import Gap, evaluate, find_member, find_organization, organization_names
from adapter.gaps.present import as_bundle, as_csv, as_json, as_rows
from adapter.store.engine import reading

_STATES = ("open", "prospective", "missed", "closed", "not-applicable", "withheld")
_SHOWN = ("rule", "member", "organization", "state", "finding", "due", "responsible_org")


@click.command()
@click.option("--member", help="One member: any of their numbers, `system|value`, or the Patient id.")
@click.option("--organization", help="Gaps that this organization can close: its id, or its id in the network.")
@click.option("--all", "everyone", is_flag=True, help="Every member (the default).")
@click.option("--rule", help="One rule, as G01.")
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES), help="Only this state; may be repeated.")
@click.option("--as-of", type=Moment(), help="The end of this day (UTC), or a full ISO 8601 time; now without it.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv", "fhir"]), default="table",
              show_default=True)
def gaps(*, member: str | None, organization: str | None, everyone: bool, rule: str | None, states: tuple[str, ...],
         as_of: datetime | None, form: str) -> None:
    """Show gaps: state, reason, what closes them, due date, who is responsible.

    The table is short: it leaves out what does not apply, unless --state asks for it, and some columns that the other
    formats have.
    """
    if "" in (member, organization, rule):
        raise click.UsageError("--member, --organization and --rule want a value; for every member leave them out")
    if sum((member is not None, organization is not None, everyone)) > 1:
        raise click.UsageError("--member, --organization and --all exclude each other")
    with opened(settings()) as gateway, reading(gateway.engine) as connection:
        moment = as_of or gateway.clock()
        found = evaluate(connection, now=moment, rule=rule,
                         member=find_member(connection, member) if member else None,
                         organization=find_organization(connection, organization) if organization else None)
        wanted = [gap for gap in found if not states or gap.state in states]
        if form == "fhir":
            click.echo(orjson.dumps(as_bundle(wanted, moment)))
        elif form == "table":
            _print(connection, wanted, bool(states))
        else:
            rows = as_rows(wanted, organization_names(connection))
            click.echo(as_csv(rows) if form == "csv" else as_json(rows), nl=form == "json")


def _print(connection: Connection, found: Sequence[Gap], everything: bool) -> None:
    shown = [gap for gap in found if everything or gap.state != "not-applicable"]
    table = Table(*(name.replace("responsible_org", "responsible") for name in _SHOWN))
    for row in as_rows(shown, organization_names(connection)):
        table.add_row(*(row[name] for name in _SHOWN))
    console = Console() if sys.stdout.isatty() else Console(width=200)
    if shown:
        console.print(table, markup=False)
    counts = Counter(gap.state for gap in found)
    told = [f"{counts[state]} {state}" for state in _STATES if counts[state]]
    console.print(", ".join(told) or "no gaps", markup=False)
