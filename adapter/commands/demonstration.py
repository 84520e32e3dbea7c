"""`serve --demo`: the demonstration network, loaded once, through the same doors as a partner's files and messages."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from adapter.commands.loading import AT_ONCE
from adapter.demo import generate
from adapter.demo.chance import DAYS, NETWORK_ZONE, Calendar
from adapter.gateway import BATCH, Gateway
from adapter.parse.batch import split_messages
from adapter.store import journal, queries
from adapter.store.engine import reading, writing

_MARK = "demonstration"


def load_demonstration(gateway: Gateway, ended: Callable[[], bool] = lambda: False) -> None:
    """Load the network into an empty store; a load that was cut off goes on, a finished one is left alone.

    ended: asked between batches whether to stop.
    """
    with reading(gateway.engine) as connection:
        state, _, began = (journal.cursor(connection, _MARK) or "").partition(" ")
        empty = not queries.backlog(connection).journal
    if state == "loaded":
        return
    if not state and not empty:
        click.echo("the store is not empty: the demonstration network is not loaded into it", err=True)
        return
    start = date.fromisoformat(began) if began else _start(gateway.clock())
    _mark(gateway, f"loading {start}")
    if _load(gateway, start, ended):
        _mark(gateway, f"loaded {start}")


def _start(now: datetime) -> date:
    """The first day of a network whose last noon is the latest that is over: nothing lies ahead, and what is due is fresh."""
    today = now.astimezone(NETWORK_ZONE).date() - timedelta(days=DAYS)
    return today if Calendar(today).as_of <= now else today - timedelta(days=1)


def _mark(gateway: Gateway, position: str) -> None:
    with writing(gateway.engine) as connection:
        journal.set_cursor(connection, _MARK, position)


def _load(gateway: Gateway, start: date, ended: Callable[[], bool]) -> bool:
    """Whether all was loaded and composed."""
    columns = (TextColumn("loading the demonstration network: {task.description}"), BarColumn(), MofNCompleteColumn())
    with tempfile.TemporaryDirectory() as folder, Progress(*columns, console=Console(stderr=True)) as progress:
        files = [path for path in generate(Path(folder), start) if path.suffix in (".csv", ".hl7")]
        taking = progress.add_task("taking files in", total=len(files))
        for path in files:
            if ended():
                return False
            _take(gateway, path)
            progress.advance(taking)
        with reading(gateway.engine) as connection:
            waiting = queries.backlog(connection).journal.get("waiting", 0)
        composing = progress.add_task("composing", total=waiting)
        while not ended():
            if not (done := gateway.work(AT_ONCE)):
                gateway.lists.compose()
                return True
            progress.advance(composing, done)
    return False


def _take(gateway: Gateway, path: Path) -> None:
    if path.suffix == ".csv":
        gateway.load(path.stem, path.read_bytes(), path.name)
        return
    messages = split_messages(path.read_bytes()).messages
    for first in range(0, len(messages), BATCH):
        gateway.accept([(raw, "demonstration") for raw in messages[first:first + BATCH]])
