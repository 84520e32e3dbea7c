"""`cases` the golden cases of the mappings; `check` their lint."""

from __future__ import annotations

import click

from adapter.cases import run
from adapter.commands.installation import settings
from adapter.errors import message
from adapter.feeds import open_feeds
from adapter.gaps.lint import check_rules
from adapter.mapping.lint import lint
from adapter.reports.lint import check_reports


@click.command()
@click.argument("feed", required=False)
@click.option("--accept", is_flag=True, help="Write what is made now as what is expected.")
def cases(feed: str | None, accept: bool) -> None:
    """Run the golden cases of all feeds, or of FEED: each input against what it should become.

    Exit 0 all as expected, 1 a case differs, 2 no such feed or case.
    """
    folder = settings().mappings
    feeds = open_feeds(folder)
    if feed is not None and feed not in feeds.compiled:
        raise click.BadParameter(f"no feed {feed!r}; there are {', '.join(sorted(feeds.compiled))}", param_hint="FEED")
    results = run(feeds, folder, feed, accept)
    for result in results:
        click.echo(f"{'ok  ' if result.ok else 'FAIL'} {result.name}")
        if result.diff:
            click.echo(result.diff)
    failed = sum(not result.ok for result in results)
    click.echo(f"{len(results)} cases, {failed} differ")
    if not results:
        click.echo(f"no case: one is a folder {folder / (feed or 'FEED')}/cases/<case> with input.hl7 (or .csv) and case.yaml")
        raise SystemExit(2)
    if failed:
        raise SystemExit(1)


@click.command()
def check() -> None:
    """Lint mappings, gap rules and reports: each finding with its file and place. Exit 0 none, 1 some."""
    folder = settings().mappings
    if not folder.is_dir():
        raise click.UsageError(f"{folder} is not a folder: set CARELOOP_MAPPINGS")
    found = [*lint(folder), *(message(issue) for issue in (*check_rules(), *check_reports()))]
    for finding in found:
        click.echo(finding)
    if found:
        raise SystemExit(1)
    click.echo("mappings and rules are sound")
