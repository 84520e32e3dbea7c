"""`load` a partner's CSV into the store: good rows are taken, refused ones come back in a file."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import click

from adapter.commands.files import told
from adapter.commands.installation import counted, opened, settings
from adapter.errors import Rejected
from adapter.intake.row_errors import RowErrors
from adapter.parse.rows_header import ERROR_COLUMNS

if TYPE_CHECKING:
    from rich.progress import Progress

    from adapter.gateway import Gateway
    from adapter.intake.load import LoadReport

AT_ONCE = 1000
"""Rows that are composed in one transaction, at most: more than while serving, for nobody else waits."""
FIRST = 50
"""Rows of the first transaction."""

PATIENCE = 120.0
"""Seconds in which nothing moves, after which rows that others have claimed are left to them."""


class _AsOf(click.ParamType[datetime]):
    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """A day (its beginning in the feed's zone) or a time."""
        try:
            return datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a date: write 2026-03-01 or 2026-03-01T08:00:00-05:00", param, ctx)


class _Lazy(io.RawIOBase):
    """A file that is made with the first byte, under another name until it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._stream: BinaryIO | None = None

    def write(self, content: bytes) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]  # bytes are all that is written
        """Write, opening the file first. Raises click.UsageError where it cannot be made."""
        if self._stream is None:
            try:
                self._stream = self._part.open("wb")
            except OSError as error:
                raise click.UsageError(f"{self._part} cannot be written ({error.strerror}): name another by --errors") from None
        return self._stream.write(content)

    def finish(self) -> bool:
        """Put the file in its place; an earlier load's file goes where there are no errors any more."""
        if self._stream is None:
            if _ours(self._path):
                self._path.unlink()
            return False
        self._stream.close()
        os.replace(self._part, self._path)
        return True


def _ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.readline(1 << 20).rstrip().endswith(",".join(f'"{name}"' for name in ERROR_COLUMNS).encode())
    except OSError:
        return False


@click.command()
@click.argument("feed")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--errors", type=click.Path(dir_okay=False, path_type=Path),
              help="Where refused rows are written; else FILE.errors.csv beside the file.")
@click.option("--as-of", type=_AsOf(), help="The day or time that the file, and rows of it without one, are of.")
def load(feed: str, file: Path, errors: Path | None, as_of: datetime | None) -> None:
    """Load a CSV of FEED: every good row is taken, every other comes back in an error file.

    Exit 0 when all rows were taken, 1 when some were refused. The same file again changes nothing; a load that was cut off
    goes on.
    """
    place = errors or file.with_name(f"{file.stem}.errors.csv")
    if place.resolve() == file.resolve():
        raise click.UsageError("--errors names the file itself")
    lazy = _Lazy(place)
    rows = RowErrors(cast("BinaryIO", lazy))
    with opened(settings(), new=True) as gateway, _progress() as progress:
        try:
            report = _load(gateway, feed, file, as_of, rows, progress)
        except Rejected as error:
            click.echo(told(file, 0, error.issue), err=True)
            _told_place(lazy, place)
            raise SystemExit(1) from None
        _tell_rows(file, report)
        _work(gateway, report.file, progress)
        failed = gateway.write_failed(feed, report, rows)
        warned = gateway.warnings_of_file(feed, report.file)
    _tell(report, failed)
    for one in warned:
        click.echo(f"{one.words} [{one.code}]: {one.count}, at {', '.join(one.places)}", err=True)
    _told_place(lazy, place)
    if report.refused_count or failed:
        raise SystemExit(1)


def _load(gateway: Gateway, feed: str, file: Path, as_of: datetime | None, rows: RowErrors, progress: Progress) -> LoadReport:
    bar = progress.add_task("read", total=file.stat().st_size)
    with file.open("rb") as stream:
        report = gateway.load(feed, stream, file.name, as_of=as_of, errors=rows,
                              progress=lambda done, size: progress.update(bar, completed=done, total=size))
    progress.update(bar, completed=file.stat().st_size)
    return report


def sizes() -> Iterator[int]:
    """Rows of each transaction: few at first, so that progress shows at once, then twice as many as before, AT_ONCE at most."""
    count = FIRST
    while True:
        yield count
        count = min(AT_ONCE, count * 2)


def _work(gateway: Gateway, file: str, progress: Progress) -> None:
    """Compose what waits; rows that a gateway which runs beside has claimed are waited for."""
    bar = progress.add_task("compose", total=gateway.waiting())
    patience = time.monotonic() + PATIENCE
    at_once = sizes()
    while (done := gateway.work(next(at_once))) or (gateway.rows_left(file) and time.monotonic() < patience):
        if done:
            progress.advance(bar, done)
            patience = time.monotonic() + PATIENCE
        else:
            time.sleep(0.2)
    gateway.lists.compose()


@contextmanager
def _progress() -> Generator[Progress]:
    """A progress bar on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        yield progress


def _tell_rows(file: Path, report: LoadReport) -> None:
    """What reading found, before composing begins: refused rows need not wait for it."""
    for issue in report.issues:
        click.echo(told(file, 1, issue), err=True)
    for row in report.refused:
        for issue in row.issues:
            click.echo(told(file, row.number, issue), err=True)


def _tell(report: LoadReport, failed: int) -> None:
    again = " (this file was loaded before)" if report.repeated else ""
    also = f", {failed} not processed" if failed else ""
    click.echo(f"{counted(report.rows, 'row')}, {report.accepted} accepted, {report.refused_count} refused{also}{again}")


def _told_place(lazy: _Lazy, place: Path) -> None:
    if lazy.finish():
        click.echo(f"refused rows: {place}")
