"""`remap`: what a changed mapping changes over the journal, and bringing it into force."""

from __future__ import annotations

from collections import Counter

import click

from adapter.commands.installation import opened, settings
from adapter.engine.remap import Remapped
from adapter.errors import message

_SHOWN = 200


@click.command()
@click.argument("feed")
@click.option("--dry-run", is_flag=True, help="Tell what would change, and change nothing.")
@click.option("--all", "everything", is_flag=True,
              help="Map anew even where nothing was mapped by another version: after a change of the program.")
def remap(feed: str, dry_run: bool, everything: bool) -> None:
    """Map all that FEED has journalled by the mapping of now, compose it, and tell which elements differ; never a value.

    New statements take the place of the old ones in one transaction, which --dry-run undoes. Other writers wait that long.

    Exit 0 nothing differs, 1 something does (or did), 2 no such feed.
    """
    with opened(settings()) as gateway:
        if feed not in gateway.feeds.compiled:
            raise click.BadParameter(f"no feed {feed!r}; there are {', '.join(sorted(gateway.feeds.compiled))}",
                                     param_hint="FEED")
        done = gateway.operators.remap(feed, dry_run=dry_run, everything=everything)
        if not dry_run:
            while gateway.delivery.push():
                pass
    _tell(done, "would change" if dry_run else "changed")
    if done.changes or done.refused:
        raise SystemExit(1)


def _tell(done: Remapped, verb: str) -> None:
    for change in done.changes[:_SHOWN]:
        told = ", ".join(change.elements) if change.how == "changed" else change.how
        click.echo(f"{change.resource_type}/{change.id}: {told}")
    if len(done.changes) > _SHOWN:
        click.echo(f"... and {len(done.changes) - _SHOWN} more resources")
    for entry, issue in done.refused[:_SHOWN]:
        click.echo(f"journal entry {entry} is not taken any more: {message(issue)}")
    counts = Counter(f"{change.resource_type}.{element}" for change in done.changes for element in change.elements)
    counts.update(f"{change.resource_type} {change.how}" for change in done.changes if change.how != "changed")
    for what, count in counts.most_common():
        click.echo(f"{count:6} {what}")
    if done.purged:
        click.echo(f"{done.purged} statements stay as they are: the raw bytes of what made them were purged")
    click.echo(f"{done.entries} entries mapped anew, {done.outdated} statements of another mapping; "
               f"{len(done.changes)} resources {verb}, {len(done.refused)} entries not taken any more")
