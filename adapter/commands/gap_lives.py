"""`gap`: the life of gaps: what is kept of them, who sees to them, what is put off, what happened."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.table import Table

from adapter.commands.installation import Moment, counted, opened, settings
from adapter.engine.gap_keeping import stands
from adapter.errors import Rejected
from adapter.gaps import life as lives
from adapter.gaps.catalog import open_catalog
from adapter.gaps.engine import organizations
from adapter.gaps.life import Happening, Life
from adapter.gaps.organizations import find
from adapter.gaps.rules import open_rules
from adapter.gaps.task import at_of, key_of
from adapter.gaps.wish import OWNERS
from adapter.gateway import Gateway
from adapter.identity.ids import resource_id
from adapter.store import gap_lives as kept
from adapter.store.engine import reading
from adapter.store.keys import key_and_person

_BY = click.option("--by", default=getpass.getuser, show_default="your account", help="Who decides.")


@click.group()
def gap() -> None:
    """Show and change the life of gaps. A gap is named by its Task (`Task/<id>`); its state is the rule's answer alone."""


@gap.command("list")
@click.option("--organization", help="Those that this organization can close: its name, or its id.")
@click.option("--rule", help="One rule, as G01; in capitals or not.")
@click.option("--all", "everything", is_flag=True,
              help="Also those that are settled. What was so when it was first looked at is not kept: see `careloop gaps`.")
def list_gaps(organization: str | None, rule: str | None, *, everything: bool) -> None:
    """List the gaps that are kept, those due first."""
    with opened(settings()) as gateway, reading(gateway.engine) as connection:
        responsible = find("organization", organizations(connection), organization) if organization else ""
        rules = [open_rules().named(rule).id] if rule else list(open_rules().rules)
        found = [one for name in rules for one in kept.of_rule(connection, name)
                 if (everything or one.state in lives.LIVING) and responsible in ("", one.responsible_org)]
    table = Table("task", "rule", "subject", "state", "since", "due", "assigned", "put off until")
    for one in sorted(found, key=lambda one: (one.due is None, one.due or one.since, one.subject, one.rule, one.item)):
        task = resource_id(gateway.key, "Task", key_of(Life(**asdict(one))))
        table.add_row(f"Task/{task}", one.rule, one.subject, one.state, _day(one.since), _day(one.due), one.assigned,
                      _day(one.snoozed))
    (Console() if sys.stdout.isatty() else Console(width=220)).print(table, markup=False)
    click.echo(counted(len(found), "gap"))


@gap.command()
@click.argument("task")
def show(task: str) -> None:
    """Print a gap and everything that happened to it."""
    with opened(settings()) as gateway, reading(gateway.engine) as connection:
        subject, rule, item = at_of(_key(gateway, task)) or ("", "", "")
        found = kept.one(connection, subject, rule, item)
        if found is None:
            raise Rejected("unknown-gap", task)
        happened = [e for e in kept.events(connection, subject=subject) if (e.rule, e.item) == (rule, item)]
    click.echo(f"{rule} {open_rules().named(rule).title}: {found.state} since {_day(found.since)}, {subject} {item}".rstrip())
    off = "" if found.snoozed is None else f"{_time(found.snoozed)}, {found.snooze_reason}"
    due = "" if found.due is None else _time(found.due)
    closer = found.responsible_org and f"Organization/{found.responsible_org}"
    for what, value in (("due", due), ("can be closed by", closer), ("assigned to", found.assigned), ("found by", found.evidence),
                        ("put off until", off)):
        if value:
            click.echo(f"  {what} {value}")
    for one in happened:
        click.echo(f"  {_time(one.at)}  {one.what} by {one.actor}" + (f": {one.why}" if one.why else ""))


@gap.command()
@click.argument("task")
@click.option("--to", required=True, help="Who sees to it: Practitioner/<id>, Organization/<id> ...; '' takes it back.")
@_BY
def assign(task: str, to: str, by: str) -> None:
    """Say who sees to a gap."""
    with opened(settings()) as gateway:
        if to and not _may_see_to_it(gateway, to):
            raise click.BadParameter(f"no such {', '.join(OWNERS)} stands here - write Practitioner/<id>", param_hint="--to")
        _change(gateway, task, lambda life, now: lives.assign(life, to, now, by))


@gap.command()
@click.argument("task")
@click.option("--until", required=True, type=Moment(), help="The end of this day (network's zone), or an ISO 8601 time.")
@click.option("--reason", required=True, help="Why; kept with the gap, and told in its Task.")
@_BY
def snooze(task: str, until: datetime, reason: str, by: str) -> None:
    """Put a gap off; its state and its day due go on as they are."""
    if until <= datetime.now(UTC):
        raise click.BadParameter("that time is over", param_hint="--until")
    with opened(settings()) as gateway:
        _change(gateway, task, lambda life, now: lives.snooze(life, round(until.timestamp() * 1_000_000), reason, now, by))


@gap.command()
@click.argument("task")
@_BY
def wake(task: str, by: str) -> None:
    """Put a gap off no longer."""
    with opened(settings()) as gateway:
        _change(gateway, task, lambda life, now: lives.wake(life, now, by))


@gap.command()
def sweep() -> None:
    """Follow everybody's gaps to now: what time alone opens is opened. A gateway that runs does so every hour."""
    with opened(settings()) as gateway:
        click.echo(counted(gateway.gaps.sweep(), "change"))


def _change(gateway: Gateway, task: str, step: Callable[[Life, int], tuple[Life, list[Happening]]]) -> None:
    click.echo("done" if gateway.gaps.change(_key(gateway, task), step) else "nothing to change")


def _may_see_to_it(gateway: Gateway, to: str) -> bool:
    with reading(gateway.engine) as connection:
        return stands(connection, to)


def _key(gateway: Gateway, task: str) -> str:
    with reading(gateway.engine) as connection:
        found = key_and_person(connection, "Task", task.removeprefix("Task/"))
    if found is None or at_of(found[0]) is None:
        raise Rejected("unknown-gap", task)
    return found[0]


def _day(at: int | None) -> str:
    """The day in the network's time zone: what is due at the end of a day is due on that day."""
    return "" if at is None else datetime.fromtimestamp(at // 1_000_000, ZoneInfo(open_catalog().zone)).strftime("%Y-%m-%d")


def _time(at: int) -> str:
    return datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
