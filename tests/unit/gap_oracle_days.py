"""Days in an organization's zone, as the oracles reckon with them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.unit.gap_oracle import DAY, NETWORK, ZONE, Oracle, Resource, Span, span

HOLIDAYS = {date(2026, 5, 25), date(2026, 6, 19), date(2026, 10, 12), date(2026, 2, 16), date(2026, 1, 19), date(2028, 2, 21),
            date(2028, 1, 17), date(2026, 9, 7), date(2028, 1, 1), date(2026, 1, 1)}
Who = dict[str, Any]
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


def day_in(found: Span, zone: ZoneInfo) -> date:
    return found.last.astimezone(zone).date()


def end_of(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day + DAY, time(), zone).astimezone(UTC) - SECOND


def business_days_after(day: date, days: int) -> date:
    while days:
        day += DAY
        days -= day.weekday() < 5 and day not in HOLIDAYS
    return day


def ended(task: Resource) -> Span | None:
    period: Resource = task.get("executionPeriod") or {}
    return span(period.get("end"))


def zone_of(one: Oracle, organization: str | None) -> ZoneInfo:
    found = next((o for o in one.resources if o["resourceType"] == "Organization" and o["id"] == organization), {})
    named = [e["valueCode"] for e in found.get("extension", []) if e["url"] == NETWORK + "time-zone"]
    return ZoneInfo(named[0]) if named and named[0] == "America/Chicago" else ZONE


def past(one: Oracle, moment: Span | None) -> bool:
    """At a known time that is not still to come."""
    return moment is not None and moment.first <= one.now
