"""`feed`: a partner's feed begun from a sample of its file, and a feed whose word counts no more."""

from __future__ import annotations

import getpass
import re
from pathlib import Path

import click

from adapter.commands.installation import opened, settings
from adapter.intake.decisions import Withdrawal
from adapter.mapping.draft import draft
from adapter.mapping.feed import load_feeds
from adapter.parse.rows_contract import load_contract
from adapter.parse.sniff import SAMPLE, sniff

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


@click.group()
def feed() -> None:
    """A partner's feed: `new` begins one from a sample of the partner's file, `withdraw` ends what one has said."""


@feed.command()
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--contract", required=True, metavar="FEED", help="The CSV feed whose rows the file holds, such as contacts.")
def new(name: str, file: Path, contract: str) -> None:
    """Begin mappings/NAME/feed.yaml from a sample of a partner's CSV, and list what is left to decide.

    Nothing is overwritten. Exit 0 begun, 1 the file cannot be read, 2 wrong usage.
    """
    mappings = settings().mappings
    feeds = {known: one for known, one in load_feeds(mappings).items() if one.format == "csv"}
    if contract not in feeds:
        raise click.BadParameter(f"no CSV feed {contract!r}; there are {', '.join(sorted(feeds))}", param_hint="--contract")
    if not _NAME.fullmatch(name):
        raise click.BadParameter("a name is lower case letters, digits, - and _", param_hint="NAME")
    folder = mappings / name
    if folder.exists():
        raise click.BadParameter(f"{folder} is there already; nothing is overwritten", param_hint="NAME")
    with file.open("rb") as stream:
        sample = sniff(stream.read(SAMPLE))
    base = feeds[contract]
    begun = draft(name, file.name, contract, sample, load_contract(base.options.get("contract", contract)), str(base.zone))
    folder.mkdir(parents=True)
    (folder / "feed.yaml").write_text(begun.text, encoding="utf-8")
    click.echo(f"{name}/feed.yaml: {begun.bound} of {len(sample.header)} headers bound, {len(begun.decisions)} decisions left")
    for decision in begun.decisions:
        click.echo(f"decide: {decision}")


@feed.command()
@click.argument("name")
@click.option("--reason", required=True, help="Why; kept with the decision.")
@click.option("--by", default=getpass.getuser, show_default="your account", help="Who decides.")
def withdraw(name: str, reason: str, by: str) -> None:
    """Take back all that feed NAME has said until now: everything stands as if it had never spoken. Others' words stay.

    What it sends afterwards counts; nothing is deleted from the journal.
    """
    with opened(settings()) as gateway:
        if name not in gateway.feeds.compiled:
            raise click.BadParameter(f"no feed {name!r}; there are {', '.join(sorted(gateway.feeds.compiled))}",
                                     param_hint="NAME")
        count = gateway.operators.withdraw(Withdrawal(feed=name, by=by, reason=reason))
        while gateway.delivery.push():
            pass
    click.echo(f"{count} statements of {name} are over")
