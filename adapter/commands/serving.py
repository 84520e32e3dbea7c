"""`serve`: the gateway as a process."""

from __future__ import annotations

import click

from adapter.commands.demonstration import load_demonstration
from adapter.commands.installation import settings
from adapter.web.app import create_app
from adapter.web.serve import Part
from adapter.web.serve import serve as run


@click.command()
@click.option("--only", type=click.Choice(["web", "mllp", "delivery", "events"]),
              help="Run one part alone; the parts meet in the database.")
@click.option("--demo", is_flag=True, help="Load the demonstration network first, if the store is empty.")
def serve(only: Part | None, demo: bool) -> None:
    """Serve the web side, the MLLP listener, the worker and the stream of events, in one process.

    Until sign-in is built it listens on loopback addresses only.

    Exit 1 where an address is taken, 2 for wrong settings.
    """
    raise SystemExit(run(settings(), create_app, only=only, prepare=load_demonstration if demo else None))
