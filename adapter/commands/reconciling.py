"""`reconcile` compares the FHIR server with the store and repairs; `replay` fills an empty one anew."""

from __future__ import annotations

import time
from collections import Counter

import click

from adapter.commands.installation import opened, settings
from adapter.gateway import Gateway

PATIENCE = 60.0
"""Seconds without progress after which what still waits is left to the gateway."""
_WORDS = {"missing": "not on the server", "older": "there as it was once", "changed": "changed there by another client",
          "left": "deleted here, there yet", "renumbered": "the same, under another version id"}


@click.command()
@click.option("--dry-run", is_flag=True, help="Tell what differs, and change nothing.")
def reconcile(*, dry_run: bool) -> None:
    """Compare the FHIR server with the store and put right what differs: push ours again, take in what others wrote.

    Exit 0 where all is alike, or was put right; 1 where a dry run found differences.
    """
    with opened(settings()) as gateway:
        found: Counter[str] = Counter()
        for one, body in gateway.delivery.differences():
            found[one.how] += 1
            if one.how != "renumbered":
                click.echo(f"{one.resource_type}/{one.id}  {_WORDS[one.how]}")
            if not dry_run:
                gateway.delivery.put_right(one, body)
        if found and not dry_run:
            while gateway.work():
                pass
            _push(gateway)
    for how, words in _WORDS.items():
        if found[how]:
            click.echo(f"{found[how]} {words}")
    if not found:
        click.echo("the server stands as the store does")
    elif dry_run:
        raise SystemExit(1)


@click.command()
def replay() -> None:
    """Fill an empty FHIR server with all that stands in the store. Nobody is sent a notice for it.

    What waits yet when this ends goes on in a gateway that runs. A server that is not empty is compared by `reconcile`.
    """
    with opened(settings()) as gateway:
        count = gateway.delivery.replay()
        click.echo(f"{count} resources to send")
        _push(gateway)


def _push(gateway: Gateway) -> None:
    """Push until nothing waits, or nothing moves; another process may push instead."""
    left = gateway.delivery.waiting()
    patience = time.monotonic() + PATIENCE
    while left and time.monotonic() < patience:
        done = gateway.delivery.push()
        now = gateway.delivery.waiting()
        if done or now < left:
            patience = time.monotonic() + PATIENCE
        else:
            time.sleep(0.2)
        left = now
    click.echo(f"{left} wait yet" if left else "all is sent")
