"""What commands work on: the settings of the environment, and the gateway they open."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click
from pydantic import ValidationError
from sqlalchemy.engine import make_url

from adapter.settings import Settings, unknown

if TYPE_CHECKING:
    from adapter.gateway import Gateway


def settings() -> Settings:
    """The settings of the environment. Raises click.UsageError that names the variable, never its value."""
    _check_names()
    try:
        return Settings()  # pyright: ignore[reportCallIssue] - pydantic-settings fills the fields
    except ValidationError as error:
        told = [f"CARELOOP_{'_'.join(str(part) for part in e['loc']).upper()}: {_told(e['msg'])}" for e in error.errors()]
        raise click.UsageError("; ".join(told)) from None


def _check_names() -> None:
    """A mistyped setting is an error, for what it was to set would be passed over; another unknown variable is warned of."""
    strange = unknown(os.environ)
    if meant := [f"{name}: not a setting - did you mean {near}?" for name, near in strange.items() if near]:
        raise click.UsageError("; ".join(meant))
    for name in strange:
        click.echo(f"Warning: {name}: not a setting, it does nothing - take it away", err=True)


def _told(text: str) -> str:
    """What is wrong with a setting, as our own checks say it."""
    return text.removeprefix("Value error, ")


@contextmanager
def opened(chosen: Settings, *, new: bool = False) -> Generator[Gateway]:
    """The gateway on these settings, closed at the end. new: a store is made where none is.

    Raises click.ClickException where there is no store and none is to be made: a wrong folder is not an empty store.
    """
    from adapter.gateway import Gateway  # what it imports takes a second, which `convert` need not wait

    if not new and not _has_store(chosen):
        where = "the database of CARELOOP_DATABASE_URL" if chosen.database_url else str(chosen.data_dir.absolute())
        raise click.ClickException(f"there is no store in {where} - set CARELOOP_DATA_DIR (or CARELOOP_DATABASE_URL) to that of "
                                   "your installation, or begin one with careloop serve or careloop load")
    gateway = Gateway(chosen)
    try:
        yield gateway
    finally:
        gateway.close()


def _has_store(chosen: Settings) -> bool:
    """Whether the database is there and was ever begun; looking makes no file."""
    from adapter.store.engine import current_revision, open_engine  # as above

    address = make_url(chosen.database())
    if address.get_backend_name() == "sqlite":
        file = Path(address.database or "")
        if not file.is_file() or not file.stat().st_size:
            return False
    engine = open_engine(chosen.database())
    try:
        return current_revision(engine) is not None
    finally:
        engine.dispose()


def counted(count: int, noun: str) -> str:
    """How many of something: `1 gap`, `2 gaps`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


class Moment(click.ParamType[datetime]):
    """`2026-03-01` (the end of that day) or an ISO 8601 time; without an offset it is one of the network's time zone."""

    name = "date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment, UTC."""
        if isinstance(value, datetime):
            return value
        from adapter.gaps.catalog import open_catalog  # as above

        text, zone = str(value), ZoneInfo(open_catalog().zone)
        try:
            if len(text) == 10:
                after = datetime.combine(date.fromisoformat(text) + timedelta(days=1), time(), zone)
                return after.astimezone(UTC) - timedelta(microseconds=1)
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is not a date: write 2026-03-01 or 2026-03-01T08:00:00-05:00", param, ctx)
