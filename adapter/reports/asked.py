"""What a report is asked for: an instant, the months or days it is about, an organization, an area. Pure."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from adapter.errors import Rejected
from adapter.gaps.catalog import Catalog
from adapter.gaps.engine import instants
from adapter.gaps.instants import EPOCH_DAY
from adapter.gaps.rules import Value
from adapter.reports.definitions import Report

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question. now: the instant as of which it is answered. first, last: days of the network's zone, both included; of a
    report about an instant both are its day. organization, area, coordinator: ids, '' for all of them."""

    now: datetime
    first: date
    last: date
    organization: str = ""
    area: str = ""
    coordinator: str = ""

    def months(self) -> list[int]:
        """The months that it touches, as the calendar counts them (12 a year, since the year 0)."""
        return list(range(month_of(self.first), month_of(self.last) + 1))


def asked(report: Report, catalog: Catalog, now: datetime, *, first: date | None = None, last: date | None = None,
          organization: str = "", area: str = "", coordinator: str = "") -> Asked:
    """The question, with the report's own period where none is given; of months whole ones.

    Raises Rejected: outside-calendar, bad-period (it ends before it begins, or begins after `now`).
    """
    today = now.astimezone(ZoneInfo(catalog.zone)).date()
    last = last or today
    if report.over == "instant":
        first = last = today
    elif report.over == "months":
        last = month_end(month_of(last))
        first = month_start(month_of(first) if first else month_of(last) - report.months + 1)
    else:
        first = first or last - timedelta(days=report.days - 1)
    if first > last or first > today:
        raise Rejected("bad-period", f"{first} to {last}")
    if not catalog.calendar.first <= first <= last <= catalog.calendar.last:
        raise Rejected("outside-calendar", f"{first} to {last}")
    return Asked(now=now, first=first, last=last, organization=organization, area=area, coordinator=coordinator)


def literals(catalog: Catalog, question: Asked) -> dict[str, Value]:
    """What `:now`, `:today`, `:zone` and the period's binds stand for. Raises Rejected (outside-calendar)."""
    zone = ZoneInfo(catalog.zone)
    starts = datetime.combine(question.first, time(), zone)
    ends = datetime.combine(question.last + timedelta(days=1), time(), zone).astimezone(UTC) - _SECOND
    return {**instants(catalog, question.now), "zone": catalog.zone,
            "from_day": question.first.toordinal() - EPOCH_DAY, "to_day": question.last.toordinal() - EPOCH_DAY,
            "from_at": int(starts.timestamp()), "to_at": int(ends.timestamp())}


def judged_at(catalog: Catalog, question: Asked, month: int) -> datetime | None:
    """When a month is judged: its last second, or `now` where that is earlier; None where it has not begun."""
    zone = ZoneInfo(catalog.zone)
    if datetime.combine(month_start(month), time(), zone) > question.now:
        return None
    end = datetime.combine(month_start(month + 1), time(), zone).astimezone(UTC) - _SECOND
    return min(end, question.now)


def month_of(day: date) -> int:
    """The month of a day, as the calendar counts."""
    return day.year * 12 + day.month - 1


def month_start(month: int) -> date:
    """The first day of a month."""
    return date(month // 12, month % 12 + 1, 1)


def month_end(month: int) -> date:
    """The last day of a month."""
    start = month_start(month)
    return start.replace(day=monthrange(start.year, start.month)[1])


def month_name(month: int) -> str:
    """2026-03."""
    return f"{month // 12:04}-{month % 12 + 1:02}"
