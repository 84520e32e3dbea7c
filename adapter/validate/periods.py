"""Which of two FHIR dates or times comes first, as FHIRPath compares them (for the invariants per-1 and inv-1)."""

from __future__ import annotations

from datetime import UTC, datetime

PER_1 = "per-1"
"""The invariant of R4 Period: start and end are in order. Begins the words of a finding about it."""


def in_order(first: str, second: str) -> bool:
    """Whether first <= second. Both are FHIR date, dateTime or instant, any precision.

    Precisions are compared as far as both reach; where they are equal so far and one goes on, FHIRPath has no answer
    and validators take that for false: 2024-01-01 and 2024-01-01T10:00:00Z are not in order. Times count in UTC.
    """
    if len(first) == len(second) and first[19:] == second[19:]:  # the same form and offset: as text
        return first <= second
    one, other = _parts(first), _parts(second)
    shared = min(len(one), len(other))
    if one[:shared] != other[:shared]:
        return one[:shared] < other[:shared]
    return len(one) == len(other)


def _parts(value: str) -> tuple[float, ...]:
    """(year, month, day, hour, minute, second), as far as the value goes; seconds and their fraction are one part."""
    if "T" not in value:
        return tuple(float(part) for part in value.split("-"))
    leap = value[17:19] == "60"  # a leap second is the one after 59
    moment = datetime.fromisoformat(value[:17] + "59" + value[19:] if leap else value).astimezone(UTC)
    second = moment.second + moment.microsecond / 1e6 + leap
    return (moment.year, moment.month, moment.day, moment.hour, moment.minute, second)
