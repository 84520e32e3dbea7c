"""`backup` copies the store while it is at work; `restore` brings one back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from adapter.commands.installation import opened, settings
from adapter.store.backup import back_up
from adapter.store.backup import restore as bring_back

_KEYS = "not in it: installation.key (or CARELOOP_KEY) and CARELOOP_RAW_KEYS - keep them, apart from it"


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(file: Path) -> None:
    """Write a consistent copy of the database to FILE, while the gateway works.

    SQLite by its online backup, checked; PostgreSQL by pg_dump in its custom format. Exit 1 where FILE is there already.
    """
    chosen = settings()
    with opened(chosen):  # says so where there is no store
        pass
    back_up(chosen.database(), file)
    click.echo(f"{file}: {file.stat().st_size // 1024} KB")
    click.echo(_KEYS)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Also where a store stands; a SQLite file is kept beside it.")
def restore(file: Path, *, replace: bool) -> None:
    """Make the database what it was when FILE was written by `careloop backup`; stop the gateway first.

    An older schema is brought to the newest.
    """
    chosen = settings()
    bring_back(chosen.database(), file, replace=replace, aside=f"replaced-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    with opened(chosen) as gateway:
        click.echo(f"restored; {gateway.waiting()} entries wait to be composed")
