"""HL7 v2 times as FHIR date, dateTime and instant, and as numbers for ordering. Pure and hand-sliced: a hot path.

Form: YYYY[MM[DD[HH[MM[SS[.S...]]]]]][+/-ZZZZ]. Source: HL7 v2 chapter 2A, DTM and DT; FHIR R4 datatypes.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_PRECISIONS = frozenset((4, 6, 8, 10, 12, 14))
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAYS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _split(text: str) -> tuple[str, str, str] | None:
    """(digits, fraction, offset) of a well-formed time that exists in the calendar; None otherwise."""
    fraction = offset = ""
    if not text.isdigit():
        at = text.find("+")
        if at < 0:
            at = text.find("-")
        if at >= 0:
            text, offset = text[:at].rstrip(), text[at:].rstrip()
            if len(offset) != 5 or not offset[1:].isdigit() or offset[3] > "5" or offset[1:3] > "14":
                return None
            if offset[1:3] == "14" and offset[3:] != "00":
                return None
        text, dot, fraction = text.strip().partition(".")
        if (dot and len(text) != 14) or (fraction and not fraction.isdigit()):
            return None
    if len(text) not in _PRECISIONS or not text.isdigit() or not text.isascii() or not fraction.isascii():
        return None
    return (text, fraction, offset) if _exists(text) and offset.isascii() else None


def _exists(digits: str) -> bool:
    """Whether the calendar and the clock know this time."""
    n = len(digits)
    if digits[:4] == "0000":
        return False
    if n >= 6 and not "01" <= digits[4:6] <= "12":
        return False
    if n >= 8:
        month, day = int(digits[4:6]), int(digits[6:8])
        year = int(digits[:4])
        leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        if not 1 <= day <= _DAYS[month] + leap:
            return False
    return digits[8:10] <= "23" and digits[10:12] <= "59" and digits[12:14] <= "59"


@lru_cache(maxsize=8192)
def _minutes(minute: str, zone: ZoneInfo) -> int:
    """Offset of the zone in minutes at a local YYYYMMDDHHMM; the first of two, the one in force before a gap."""
    local = datetime(int(minute[:4]), int(minute[4:6]), int(minute[6:8]), int(minute[8:10]), int(minute[10:12]),
                     tzinfo=zone)
    return round((local.utcoffset() or timedelta()).total_seconds() / 60)


@lru_cache(maxsize=8192)
def _zone_text(minute: str, zone: ZoneInfo) -> str:
    """The zone's offset at a local minute as `+hh:mm`."""
    minutes = _minutes(minute, zone)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def fhir_datetime(text: str, zone: ZoneInfo) -> str | None:
    """A DTM (or component 1 of a TS) as FHIR dateTime with the precision that was given; None where it is not a time.

    zone: the sender's, used where there is no offset, or `-0000` (unknown). From the hour on FHIR asks for seconds and
    an offset. An offset on a mere date is dropped, as FHIR has no place for it. A doubled hour is the first of the two;
    in a skipped one the offset in force before it stands.
    """
    split = _split(text)
    if split is None:
        return None
    t, fraction, offset = split
    n = len(t)
    if n == 4:
        return t
    if n == 6:
        return f"{t[:4]}-{t[4:6]}"
    if n == 8:
        return f"{t[:4]}-{t[4:6]}-{t[6:8]}"
    t = t.ljust(14, "0")
    where = f"{offset[:3]}:{offset[3:]}" if offset and offset != "-0000" else _zone_text(t[:12], zone)
    return f"{t[:4]}-{t[4:6]}-{t[6:8]}T{t[8:10]}:{t[10:12]}:{t[12:14]}{'.' + fraction if fraction else ''}{where}"


def fhir_date(text: str) -> str | None:
    """A DT or DTM as FHIR date, precision kept, any time of day left out; None where it is not a time."""
    split = _split(text)
    if split is None:
        return None
    t = split[0]
    if len(t) == 4:
        return t
    return f"{t[:4]}-{t[4:6]}" if len(t) == 6 else f"{t[:4]}-{t[4:6]}-{t[6:8]}"


def fhir_instant(text: str, zone: ZoneInfo) -> str | None:
    """A DTM as FHIR instant; what precision it lacks is the start of the period. None where it is not a time."""
    split = _split(text)
    if split is None:
        return None
    t, fraction, offset = split
    return fhir_datetime(_filled(t) + ("." + fraction if fraction else "") + offset, zone)


def instant_us(text: str, zone: ZoneInfo) -> int | None:
    """A DTM as microseconds since 1970 UTC, for ordering; the start of the period it names. None if wrong."""
    split = _split(text)
    if split is None:
        return None
    digits, fraction, offset = split
    t = _filled(digits)
    if offset and offset != "-0000":
        minutes = int(offset[1:3]) * 60 + int(offset[3:5])
        if offset[0] == "-":
            minutes = -minutes
    else:
        minutes = _minutes(t[:12], zone)
    days = date(int(t[:4]), int(t[4:6]), int(t[6:8])).toordinal() - _EPOCH_DAY
    seconds = days * 86400 + int(t[8:10]) * 3600 + (int(t[10:12]) - minutes) * 60 + int(t[12:14])
    return seconds * 1_000_000 + (int(fraction[:6].ljust(6, "0")) if fraction else 0)


def _filled(digits: str) -> str:
    """All fourteen digits: first month, first day, midnight."""
    return (digits + "0101000000"[len(digits) - 4:]) if len(digits) < 14 else digits
