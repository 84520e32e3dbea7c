"""FHIRPath lowBoundary() and highBoundary(): the least and greatest value that an imprecise one may stand for."""

from __future__ import annotations

import re
from calendar import monthrange
from decimal import Decimal
from typing import Literal

Side = Literal["low", "high"]

_DATE = re.compile(r"(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?")
_DATE_TIME = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)(Z|[+-]\d{2}:\d{2})?")
_TIME = re.compile(r"\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?")
_OFFSET = {"low": "+14:00", "high": "-12:00"}  # where a day begins first, and where it ends last


def boundary(value: object, side: Side, of_type: str = "") -> object | None:
    """The boundary of a number, date, dateTime or time; None where the value has none.

    of_type: `dateTime` or `instant` where the element's type says so; a bare date counts as a date otherwise.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value, side)
    return _text(value, side, of_type) if isinstance(value, str) else None


def _text(value: str, side: Side, of_type: str) -> str | None:
    if _TIME.fullmatch(value):
        return _time(value, side)
    if match := _DATE_TIME.fullmatch(value):
        return f"{match[1]}T{_time(match[2], side)}{match[3] or _OFFSET[side]}"
    if match := _DATE.fullmatch(value):
        day = _date(match[1], match[2], match[3], side)
        if of_type in ("dateTime", "instant"):
            return f"{day}T{'00:00:00.000' if side == 'low' else '23:59:59.999'}{_OFFSET[side]}"
        return day
    return None


def _number(value: float, side: Side) -> float:
    exact = Decimal(repr(value))
    half = Decimal(5).scaleb(int(exact.as_tuple().exponent) - 1)
    return float(exact - half if side == "low" else exact + half)


def _time(text: str, side: Side) -> str:
    clock, _, fraction = text.partition(".")
    if len(clock) == 5:
        clock += ":00" if side == "low" else ":59"
    return f"{clock}.{fraction[:3].ljust(3, '0' if side == 'low' else '9')}"


def _date(year: str, month: str | None, day: str | None, side: Side) -> str:
    month = month or ("01" if side == "low" else "12")
    if day is None:
        day = "01" if side == "low" else f"{monthrange(int(year), int(month))[1]:02}"
    return f"{year}-{month}-{day}"
