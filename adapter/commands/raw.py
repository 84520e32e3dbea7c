"""`raw`: the raw bytes of what came in - how many there are, purged by age, sealed under another key."""

from __future__ import annotations

import click

from adapter.commands.installation import opened, settings
from adapter.errors import Rejected
from adapter.store import retention
from adapter.store.engine import reading


@click.group()
def raw() -> None:
    """Raw messages and rows in the journal: `status`, `purge` by age, `reseal` under the first of CARELOOP_RAW_KEYS."""


@raw.command()
def status() -> None:
    """How many journal entries have raw bytes, and what the key that seals them is called; how many were purged."""
    with opened(settings()) as gateway, reading(gateway.engine) as connection:
        held, purged = retention.counts(connection)
        known = gateway.retention.keys
    for key, count in sorted(held.items()):
        lacking = "" if key in known or not key else ", which CARELOOP_RAW_KEYS does not have"
        click.echo(f"{count:8} {f'sealed with key {key}{lacking}' if key else 'not sealed'}")
    click.echo(f"{purged:8} purged")
    if set(held) - known - {""}:
        raise SystemExit(1)


@raw.command()
@click.option("--older-than", "days", type=click.IntRange(0), required=True, metavar="DAYS", help="How old, in days.")
def purge(days: int) -> None:
    """Empty the raw bytes of what was settled and is older than DAYS days; what it stated stays.

    A serving gateway does the same each hour with CARELOOP_RAW_DAYS.
    """
    with opened(settings()) as gateway:
        count = gateway.retention.purge(days)
    click.echo(f"{count} entries lost their raw bytes")


@raw.command()
def reseal() -> None:
    """Seal all raw bytes under the first of CARELOOP_RAW_KEYS; afterwards the other keys are not needed any more."""
    with opened(settings()) as gateway:
        if not gateway.retention.keys:
            raise Rejected("raw-key-missing", "CARELOOP_RAW_KEYS", "no key to seal with")
        count = gateway.retention.reseal()
    click.echo(f"{count} entries sealed anew")
