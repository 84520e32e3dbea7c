"""`improvement`: plans by which participants below target get better: goal, owner, actions, reviews, result."""

from __future__ import annotations

import getpass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import click

from adapter.commands.installation import opened, settings
from adapter.commands.reports import Options, run
from adapter.errors import Rejected
from adapter.gaps.catalog import open_catalog
from adapter.gaps.engine import organizations
from adapter.gaps.instants import EPOCH_DAY
from adapter.gaps.organizations import find, names_of
from adapter.gaps.rules import open_rules
from adapter.store import improvements as kept
from adapter.store.engine import reading, writing

_BY = click.option("--by", default=getpass.getuser, show_default="your account", help="Who says so.")
_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def improvement() -> None:
    """Keep improvement plans; `careloop report improvement` shows who is below target, with a plan or without."""


@improvement.command("open")
@click.argument("organization")
@click.argument("rule")
@click.option("--goal", required=True, help="What is to be reached.")
@click.option("--owner", required=True, help="Who answers for the plan.")
@click.option("--review", type=_DAY, required=True, help="When it is reviewed first.")
@_BY
def open_plan(organization: str, rule: str, goal: str, owner: str, review: datetime, by: str) -> None:
    """Open a plan of ORGANIZATION (its name, or its id) for RULE, as G01."""
    with opened(settings()) as gateway, writing(gateway.engine) as connection:
        event = kept.Event(plan=0, at=_at(gateway.clock()), actor=by, what="opened", said=goal,
                           measure=open_rules().named(rule).id, owner=owner, review=_day(review.date()),
                           organization=find("organization", organizations(connection), organization))
        number = kept.start(connection, event)
    if number is None:
        raise Rejected("plan-open", f"{organization}, {rule}")
    click.echo(f"plan {number} is open")


@improvement.command()
@click.argument("plan", type=int)
@click.argument("action")
@_BY
def act(plan: int, action: str, by: str) -> None:
    """Add an ACTION to PLAN."""
    _go_on(plan, "acted", action, by, None)


@improvement.command()
@click.argument("plan", type=int)
@click.argument("found")
@click.option("--next", "review", type=_DAY, required=True, help="When it is reviewed next.")
@_BY
def review(plan: int, found: str, review: datetime, by: str) -> None:
    """Say what a review of PLAN FOUND."""
    _go_on(plan, "reviewed", found, by, review.date())


@improvement.command()
@click.argument("plan", type=int)
@click.argument("result")
@_BY
def close(plan: int, result: str, by: str) -> None:
    """End PLAN with its RESULT."""
    _go_on(plan, "closed", result, by, None)


@improvement.command()
@click.argument("plan", type=int)
@click.option("--members", is_flag=True, help="How its rule stands as of now: each gap behind the figures, with its evidence.")
def show(plan: int, members: bool) -> None:
    """Print everything that was done to PLAN."""
    with opened(settings()) as gateway, reading(gateway.engine) as connection:
        found = kept.events(connection, plan)
        now = next((one for one in kept.plans(connection) if one.plan == plan), None)
        if now is None:
            raise Rejected("unknown-plan", str(plan))
        name = names_of(organizations(connection)).get(now.organization)
        today = gateway.clock().astimezone(ZoneInfo(open_catalog().zone)).date()
    overdue = now.status == "open" and now.review is not None and now.review < _day(today)
    whose = f"Organization/{now.organization}" if name is None else f"{name} (Organization/{now.organization})"
    click.echo(f"plan {plan}: {now.measure}, {whose}, owner {now.owner}, {'review overdue' if overdue else now.status}")
    for one in found:
        told = datetime.fromtimestamp(one.at // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        until = f" (next review {date.fromordinal(one.review + EPOCH_DAY)})" if one.review is not None else ""
        click.echo(f"  {told}  {one.what} by {one.actor}: {one.said}{until}")
    if members:
        run("improvement", Options(organization=now.organization, measure=now.measure, members=True, smallest=1))


def _go_on(plan: int, what: kept.What, said: str, by: str, review: date | None) -> None:
    with opened(settings()) as gateway, writing(gateway.engine) as connection:
        day = None if review is None else _day(review)
        if what == "acted":
            day = next((one.review for one in kept.plans(connection) if one.plan == plan), None)
        done = kept.go_on(connection, plan, what, said, at=_at(gateway.clock()), actor=by, review=day)
    if not done:
        raise Rejected("unknown-plan", str(plan))
    click.echo("done")


def _at(now: datetime) -> int:
    return round(now.timestamp() * 1_000_000)


def _day(day: date) -> int:
    return day.toordinal() - EPOCH_DAY
