"""FHIR times as numbers: first and last second of what was stated, and the local day.

A time without an offset, and a date, are local to the zone. A period's end includes all it names: `2026-03-31` ends
with the last second of that day (FHIR R4, Period). Fractions of a second are cut off.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

Reading = Literal["first", "last", "day", "ymd"]
"""What a column makes of a time: its first or last second since 1970 UTC, days since 1970 in the zone, or the zone's date
as a number (20260301), whose differences count years: of two such numbers 180000 apart, 18 years have passed."""

FHIR_TIME = re.compile(
    r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d+))?)?(Z|[+-]\d{2}:\d{2})?)?)?)?")
EPOCH_DAY = date(1970, 1, 1).toordinal()
"""Days since 1970 are ordinals of Python dates less this."""


def reader(reading: Reading, zone: str) -> Callable[[object], int | None]:
    """A function from a FHIR date, dateTime or instant to the number that `reading` names; None from anything else."""
    read = {"first": _first, "last": _last, "day": _day, "ymd": _ymd}[reading]
    local = ZoneInfo(zone)
    return lambda value: read(value, local) if isinstance(value, str) else None


@lru_cache(maxsize=8192)
def _first(text: str, zone: ZoneInfo) -> int | None:
    bounds = _bounds(text, zone)
    return None if bounds is None else int(bounds[0].timestamp())


@lru_cache(maxsize=8192)
def _last(text: str, zone: ZoneInfo) -> int | None:
    bounds = _bounds(text, zone)
    return None if bounds is None else int(bounds[1].timestamp())


@lru_cache(maxsize=8192)
def _day(text: str, zone: ZoneInfo) -> int | None:
    bounds = _bounds(text, zone)
    return None if bounds is None else bounds[0].astimezone(zone).toordinal() - EPOCH_DAY


@lru_cache(maxsize=8192)
def _ymd(text: str, zone: ZoneInfo) -> int | None:
    bounds = _bounds(text, zone)
    if bounds is None:
        return None
    local = bounds[0].astimezone(zone)
    return local.year * 10000 + local.month * 100 + local.day


def _bounds(text: str, zone: ZoneInfo) -> tuple[datetime, datetime] | None:
    """The first and the last second that the text names, None where it names none."""
    match = FHIR_TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, _, offset = match.groups()
    try:
        if hour is not None:
            at = datetime.fromisoformat(f"{year}-{month}-{day}T{hour}:{minute}:{_second(second)}{offset or ''}")
            at = at.astimezone(UTC) if offset else at.replace(tzinfo=zone).astimezone(UTC)
            return at, at if second else at + timedelta(seconds=59)
        first = date(int(year), int(month or 1), int(day or 1))
        return _midnight(first, zone), _midnight(_after(first, month, day), zone) - timedelta(seconds=1)
    except (ValueError, OverflowError):
        return None


def _second(second: str | None) -> str:
    return "59" if second == "60" else second or "00"  # a leap second counts with the second before it


def _after(first: date, month: str | None, day: str | None) -> date:
    if day is not None:
        return first + timedelta(days=1)
    if month is None or first.month == 12:
        return date(first.year + 1, 1, 1)
    return date(first.year, first.month + 1, 1)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
