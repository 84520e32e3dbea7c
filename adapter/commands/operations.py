"""`queue` what waits or stopped; `doctor` is this installation sound."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import click
import orjson
from rich.console import Console
from rich.table import Table

from adapter.commands.checks import Finding, examine
from adapter.commands.installation import opened, settings
from adapter.store.engine import reading
from adapter.store.queries import QueueRow
from adapter.store.queries import queue as queued

_MARK = {"sound": "[green]ok[/]", "note": "[yellow]note[/]", "unsound": "[red]unsound[/]"}


@click.command()
@click.option("--limit", default=200, show_default=True, type=click.IntRange(1, 100_000), help="Rows of each kind.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def queue(limit: int, form: str) -> None:
    """List what is waiting, failed, refused or dead, with its code, age and lane.

    A lane names a person by the sender's identifier: it is for the operator's eyes, not for a log.
    """
    with opened(settings()) as gateway, reading(gateway.engine) as connection:
        rows = queued(connection, limit)
    now = datetime.now(UTC)
    if form == "json":
        for row in rows:
            click.echo(orjson.dumps({"place": row.place, "state": row.state, "subject": row.subject, "lane": row.lane,
                                     "since": row.since, "attempts": row.attempts, "code": row.code}))
    elif rows:
        _table(rows, now)
    else:
        click.echo("nothing waits, nothing is refused")


def _table(rows: Sequence[QueueRow], now: datetime) -> None:
    table = Table("in", "state", "what", "lane", "age", "attempts", "code")
    for row in rows:
        table.add_row(row.place, row.state, row.subject, row.lane, age((now - row.since).total_seconds()),
                      str(row.attempts), row.code)
    (Console() if sys.stdout.isatty() else Console(width=200)).print(table, markup=False)


def age(seconds: float) -> str:
    """Seconds as people say them: 40 s, 12 min, 5 h, 3 d."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


@click.command()
def doctor() -> None:
    """Is this installation sound? Each line says what was looked at and, where it is not sound, the next step."""
    found = examine(settings())
    console = Console(soft_wrap=True)
    for finding in found:
        _print(console, finding)
    if any(finding.verdict == "unsound" for finding in found):
        raise SystemExit(1)


def _print(console: Console, finding: Finding) -> None:
    console.print(_MARK[finding.verdict], end="  ")
    step = f" - {finding.next_step}" if finding.next_step else ""
    console.print(f"{finding.what}: {finding.told}{step}", markup=False, highlight=False)
