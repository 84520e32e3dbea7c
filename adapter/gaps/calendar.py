"""The network's calendar (profiles/calendar.yaml) as two tables that rules join: business days, and days in other zones.

`calendar` has a row for each zone and day; `local_day` says which day it is in a zone on a day of the network's own zone,
for an instant between start_at and end_at. Days are days since 1970, times seconds since 1970 UTC. Pure.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from adapter.errors import Defect
from adapter.gaps.instants import EPOCH_DAY

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

CALENDAR = ("zone", "day", "start_at", "end_at", "weekday", "business", "business_number", "month", "day_of_month",
            "days_in_month", "ymd", "year", "quarter")
"""Columns of `calendar`. weekday: 1 Monday to 7. business_number: business days up to this one, itself counted.
month, quarter: since the year 0. ymd: the date as a number, 20260301."""

LOCAL_DAY = ("zone", "network_day", "day", "start_at", "end_at")
"""Columns of `local_day`."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holiday:
    """A holiday of each year: on a day of the month, or the nth weekday of it (-1 the last); since: its first year."""

    name: str
    month: int
    day: int = 0
    weekday: str = ""
    nth: int = 0
    since: int = 0

    def of(self, year: int) -> date | None:
        """Its day in that year, before it is moved; None before its first year."""
        if year < self.since:
            return None
        if self.day:
            return date(year, self.month, self.day)
        last = monthrange(year, self.month)[1]
        days = [d for d in (date(year, self.month, n) for n in range(1, last + 1)) if WEEKDAYS[d.weekday()] == self.weekday]
        return days[self.nth - 1 if self.nth > 0 else self.nth]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The days that rules reckon with, zones, weekend and holidays; fields as in the file."""

    first: date
    last: date
    zones: tuple[str, ...]
    weekend: tuple[str, ...]
    observed: Literal["nearest", "next", "none"]
    holidays: tuple[Holiday, ...]
    closed: tuple[date, ...]

    def no_business(self) -> frozenset[date]:
        """The days of holidays, moved as they are kept, and the further closed ones."""
        years = range(self.first.year - 1, self.last.year + 2)
        found = [holiday.of(year) for holiday in self.holidays for year in years]
        return frozenset((*(self._kept(day) for day in found if day), *self.closed))

    def _kept(self, day: date) -> date:
        if self.observed != "none" and day.weekday() == 6:
            return day + _DAY
        return day - _DAY if self.observed == "nearest" and day.weekday() == 5 else day

    def days(self) -> Iterator[tuple[date, int, int]]:
        """Each day, whether business is done on it (0, 1), and how many business days there were up to it."""
        closed, number, day = self.no_business(), 0, self.first
        while day <= self.last:
            business = int(WEEKDAYS[day.weekday()] not in self.weekend and day not in closed)
            number += business
            yield day, business, number
            day += _DAY


@cache
def open_calendar(path: Path) -> Calendar:
    """Read the calendar. Raises Defect (rule-invalid)."""
    try:
        content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        lists: dict[str, Any] = {key: tuple(content[key]) for key in ("zones", "weekend", "closed")}
        lists["holidays"] = tuple(Holiday(**entry) for entry in content["holidays"])
        calendar = Calendar(**{**content, **lists})
        for zone in calendar.zones:
            ZoneInfo(zone)
        next(calendar.days())
    except (yaml.YAMLError, TypeError, KeyError, ValueError, AttributeError, StopIteration, IndexError,
            ZoneInfoNotFoundError) as error:
        raise Defect("rule-invalid", path.name, (str(error) or "no calendar").splitlines()[0]) from error
    return calendar


@cache
def calendar_rows(calendar: Calendar, zone: str) -> tuple[tuple[Any, ...], ...]:
    """The rows of `calendar` for the network's zone and the calendar's; columns CALENDAR."""
    return tuple(row for name in _zones(calendar, zone) for row in _calendar_rows(calendar, name))


def _calendar_rows(calendar: Calendar, zone: str) -> Iterator[tuple[Any, ...]]:
    midnight = _midnights(calendar, zone)
    for day, business, number in calendar.days():
        at = day.toordinal()
        yield (zone, at - EPOCH_DAY, midnight[at], midnight[at + 1] - 1, day.weekday() + 1, business, number,
               day.year * 12 + day.month - 1, day.day, monthrange(day.year, day.month)[1],
               day.year * 10000 + day.month * 100 + day.day, day.year, day.year * 4 + (day.month - 1) // 3)


@cache
def local_day_rows(calendar: Calendar, zone: str) -> tuple[tuple[Any, ...], ...]:
    """The rows of `local_day`: the days of each zone that overlap a day of the network's; columns LOCAL_DAY."""
    return tuple(row for name in _zones(calendar, zone) for row in _local_day_rows(calendar, zone, name))


def _local_day_rows(calendar: Calendar, own: str, zone: str) -> Iterator[tuple[Any, ...]]:
    ours, theirs = _midnights(calendar, own), _midnights(calendar, zone)
    for at in range(calendar.first.toordinal(), calendar.last.toordinal() + 1):
        for near in (at - 1, at, at + 1):
            if theirs[near] < ours[at + 1] and theirs[near + 1] > ours[at]:
                yield zone, at - EPOCH_DAY, near - EPOCH_DAY, theirs[near], theirs[near + 1] - 1


def _zones(calendar: Calendar, zone: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((zone, *calendar.zones)))


def _midnights(calendar: Calendar, zone: str) -> dict[int, int]:
    """Day (ordinal) to its first second, from the day before the calendar to two days after it."""
    local = ZoneInfo(zone)
    days = (calendar.first + n * _DAY for n in range(-1, (calendar.last - calendar.first).days + 4))
    return {d.toordinal(): int(datetime(d.year, d.month, d.day, tzinfo=local).timestamp()) for d in days}
