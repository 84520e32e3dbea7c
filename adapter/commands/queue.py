"""`queue`: what waits or stopped, and what an operator does about it. Every act is kept: by whom, when, what and why."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from adapter.commands.installation import opened, settings
from adapter.commands.operations import age
from adapter.errors import Rejected, message
from adapter.store import handling
from adapter.store.engine import reading
from adapter.store.handling import FROM, FROM_OUT, Act, Handled
from adapter.store.journal import Entry
from adapter.store.queries import QueueRow, findings_of, moment
from adapter.store.queries import queue as queued

_EVERY = 100_000


def _listing(command: Callable[..., None]) -> Callable[..., None]:
    """What a list takes."""
    for parameter in (click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True),
                      click.option("--limit", default=200, show_default=True, type=click.IntRange(1, _EVERY),
                                   help="Rows of each kind.")):
        command = parameter(command)
    return command


_BY = click.option("--by", default=getpass.getuser, show_default="your account", help="Who does it.")
_WHY = click.option("--reason", required=True, help="Why; kept with the act.")


@click.group(invoke_without_command=True)
@_listing
@click.pass_context
def queue(ctx: click.Context, limit: int, form: str) -> None:
    """Show what is waiting, held, failed, refused or dead, and act on it. Without a command: list it.

    An entry of the journal is named by its number, a resource on its way to the FHIR server as Type/id.
    """
    if ctx.invoked_subcommand is None:
        _list(limit, form)


@queue.command("list")
@_listing
def list_queue(limit: int, form: str) -> None:
    """List what waits or stopped, with its code, age and lane.

    A lane names a person by the sender's identifier: it is for the operator's eyes, not for a log.
    """
    _list(limit, form)


def _list(limit: int, form: str) -> None:
    with opened(settings()) as gateway, reading(gateway.engine) as connection:
        rows = queued(connection, limit)
        rows += [QueueRow(place="feeds", state="silent", subject=one.feed, lane="", since=moment(one.last), attempts=0,
                          code="feed-silent") for one in gateway.silence.silent()]
    now = datetime.now(UTC)
    if form == "json":
        for row in rows:
            click.echo(orjson.dumps({"place": row.place, "target": row.target, "state": row.state, "subject": row.subject,
                                     "lane": row.lane, "since": row.since, "attempts": row.attempts, "code": row.code,
                                     "detail": row.detail}))
    elif rows:
        _table(rows, now)
    else:
        click.echo("nothing waits, nothing is refused")


def _table(rows: Sequence[QueueRow], now: datetime) -> None:
    table = Table("in", "state", "what", "lane", "age", "attempts", "code")
    for row in rows:
        place, code = f"{row.place} {row.target}".strip(), f"{row.code} {row.detail}".strip()
        table.add_row(place, row.state, row.subject, row.lane, age((now - row.since).total_seconds()), str(row.attempts), code)
    (Console() if sys.stdout.isatty() else Console(width=200)).print(table, markup=False)


@queue.command()
@click.argument("name")
@click.option("--raw", is_flag=True, help="Only the bytes as they came in, as for a file to edit. They hold a patient's data.")
def show(name: str, *, raw: bool) -> None:
    """Print where one entry or resource stands, what was found of it, and what operators did about it."""
    with opened(settings()) as gateway, reading(gateway.engine) as connection:
        one = handling.entry(connection, int(name)) if name.isdecimal() else None
        if raw and one is not None and one.lost:
            raise Rejected(one.lost, name)
        if raw and one is not None:
            click.echo(one.raw, nl=False)
            return
        lines = _of_entry(connection, one) if one is not None else _of_resource(connection, name)
        if not lines:
            raise Rejected("unknown-entry", name)
        done = handling.handled(connection, _EVERY, name)
    for line in [*lines, *(_told(act) for act in reversed(done))]:
        click.echo(line)


def _of_entry(connection: Connection, one: Entry) -> list[str]:
    about = {"state": one.state, "kind": one.kind, "feed": one.feed, "event": one.event, "sender": one.sender,
             "control id": one.control_id, "arrived": f"{moment(one.arrival):%Y-%m-%d %H:%M:%S}", "by": one.origin,
             "attempts": str(one.attempts), "answer": one.ack_code, "lane": one.lane}
    return [*(f"{label}: {value}" for label, value in about.items() if value),
            *(f"found: {message(row.issue)} [{row.issue.code}]" for row in findings_of(connection, one.id))]


def _of_resource(connection: Connection, name: str) -> list[str]:
    resource_type, _, resource_id = name.partition("/")
    return [f"to {row.target}: {row.state}, queued {moment(row.queued):%Y-%m-%d %H:%M:%S}, next try "
            f"{moment(row.due):%Y-%m-%d %H:%M:%S}, attempts {row.attempts}, lane {row.lane}, {row.error or 'no error'}"
            for row in handling.leaving(connection, resource_type, resource_id)]


def _acting(act: Act, text: str, *, must: bool = False) -> None:
    """Add the command of an act."""
    why = _WHY if must else click.option("--reason", default="", help="Why; kept with the act.")

    @click.argument("names", nargs=-1)
    @click.option("--code", help="All that stopped with this code, in place of names.")
    @why
    @_BY
    def run(names: tuple[str, ...], code: str | None, reason: str, by: str) -> None:
        with opened(settings()) as gateway:
            subjects = [*names, *(_with_code(gateway, code, act) if code else ())]
            if not names and not code:
                raise click.UsageError("name what: a number, Type/id, or --code")
            count = gateway.queue.act(act, subjects, by, reason, whole=bool(names)) if subjects else 0
        left = len(set(subjects)) - count
        click.echo(f"{act}: {count}" + (f", {left} left: refused still" if left else ""))

    queue.command(act, help=text)(run)


def _with_code(gateway: Any, code: str, act: Act) -> list[str]:
    with reading(gateway.engine) as connection:
        return [row.subject.partition(" ")[0] for row in queued(connection, _EVERY) if row.code == code
                and row.state in {"journal": FROM, "outbox": FROM_OUT}.get(row.place, {}).get(act, ())]


_acting("hold", "Set aside what waits or failed, until it is released.")
_acting("release", "Let what was held go on.")
_acting("retry", "Try again what failed, was refused, dropped, or is dead, once its cause is mended.")
_acting("drop", "Give up on entries, which stay in the journal, or on sending resources, until they change.", must=True)


@queue.command()
@click.argument("number", type=int)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_WHY
@_BY
def resubmit(number: int, file: Path, reason: str, by: str) -> None:
    """Send an entry again as FILE has it, edited: a message, or one row without its header. The original is kept as it came."""
    with opened(settings()) as gateway:
        new = gateway.queue.resubmit(number, file.read_bytes(), by, reason)
    click.echo(f"{number} is replaced by {new}")


@queue.command("log")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, _EVERY), help="How many acts.")
def log_of_acts(limit: int) -> None:
    """List what operators did with the queue, the last first: when, who, what, why."""
    with opened(settings()) as gateway, reading(gateway.engine) as connection:
        done = handling.handled(connection, limit)
    for act in done:
        click.echo(f"{_told(act)}  {' '.join(act.subjects)}")
    if not done:
        click.echo("nothing was done to the queue")


def _told(act: Handled) -> str:
    became = f" as {act.became}" if act.became else ""
    why = f": {act.reason}" if act.reason else ""
    return f"{moment(act.at):%Y-%m-%d %H:%M:%S}  {act.act}{became} by {act.by}{why}"
