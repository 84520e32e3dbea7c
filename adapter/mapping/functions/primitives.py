"""Single values: text, numbers, booleans, times and periods. Source: v2-to-FHIR maps ST, NM, SI, ID, DTM, DT, DR."""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.registry import Context, Rep, function
from adapter.mapping.times import fhir_datetime
from adapter.model import Json
from adapter.validate.periods import in_order

_TRUE_FALSE = {"Y": True, "N": False, "YES": True, "NO": False}


@function("st_string", {"*": ""}, kept=True)
def st_string(rep: Rep, _ctx: Context, part: int = 0) -> str | None:
    """Text as it stands, unescaped; `part` takes one component of it."""
    return (rep.get(part) if part else rep.plain()) or None


@function("nm_decimal", {"*": ""})
def nm_decimal(rep: Rep, ctx: Context) -> int | float | None:
    """A number (NM): an integer where it has no decimal point."""
    return decimal(rep.get(1), ctx)


@function("nm_integer", {"*": ""}, kept=True)
def nm_integer(rep: Rep, ctx: Context) -> int | None:
    """A whole number (NM); `1.0` is one, `1.5` is not."""
    value = decimal(rep.get(1), ctx)
    if value is None or value == int(value):
        return None if value is None else int(value)
    ctx.issue("bad-number")
    return None


@function("nm_positive_int", {"*": ""})
def nm_positive_int(rep: Rep, ctx: Context) -> int | None:
    """A whole number above 0 (NM, SI)."""
    value = nm_integer(rep, ctx)
    if value is None or value > 0:
        return value
    ctx.issue("bad-number")
    return None


function("si", {"*": ""})(nm_positive_int)


@function("nm_unsigned_int", {"*": ""})
def nm_unsigned_int(rep: Rep, ctx: Context) -> int | None:
    """A whole number from 0 (NM)."""
    value = nm_integer(rep, ctx)
    if value is None or value >= 0:
        return value
    ctx.issue("bad-number")
    return None


def decimal(text: str, ctx: Context) -> int | float | None:
    """Text as a number, None with the issue bad-number where it is none. Form: [+-]digits[.digits]."""
    if not text:
        return None
    digits = text[1:] if text[0] in "+-" else text
    whole, dot, fraction = digits.partition(".")
    if not digits.isascii() or not (whole + fraction).isdigit() or len(digits) > 18:
        ctx.issue("bad-number")
        return None
    if not dot:
        return int(text)
    return float(text) if fraction.strip("0") or not whole else int(text.partition(".")[0])


@function("yes_no_boolean", {"1": ""}, kept=True)
def yes_no_boolean(rep: Rep, ctx: Context) -> bool | None:
    """Table 0136 as boolean; anything but Y and N is the issue bad-value."""
    text = rep.get(1)
    value = _TRUE_FALSE.get(text.upper()) if text else None
    if value is None and text:
        ctx.issue("bad-value")
    return value


@function("dtm_datetime", {"1": "", "2": "drop: degree of precision of a 2.1 TS; the value's own length says it"}, kept=True)
def dtm_datetime(rep: Rep, ctx: Context) -> str | None:
    """A DTM (or TS) as dateTime, precision kept, the feed's zone where it has no offset."""
    text = rep.get(1)
    return ctx.moment(text) if text else None


@function("dtm_end", {"1": "", "2": "drop: degree of precision of a 2.1 TS; the value's own length says it"})
def dtm_end(rep: Rep, ctx: Any, start: int) -> str | None:
    """A DTM as the end of a period that begins in field `start` of the segment; left out, and told, where it is before."""
    began = fhir_datetime(ctx.segment.first(start).get(1), ctx.feed.zone)  # what is no date is told at its own place
    return ended(began or "", dtm_datetime(rep, ctx) or "", ctx) or None


@function("dtm_date", {"1": "", "2": "drop: degree of precision of a 2.1 TS; the value's own length says it"}, kept=True)
def dtm_date(rep: Rep, ctx: Context) -> str | None:
    """A DT, or the day of a DTM, as date."""
    text = rep.get(1)
    return ctx.day(text) if text else None


@function("dtm_instant", {"1": "", "2": "drop: degree of precision of a 2.1 TS; the value's own length says it"})
def dtm_instant(rep: Rep, ctx: Context) -> str | None:
    """A DTM as instant; a value without a time of day is midnight, one without a day the first."""
    text = rep.get(1)
    if not text:
        return None
    digits = text.split("+")[0].split("-")[0].split(".")[0].strip()
    if len(digits) < 14 and len(digits) % 2 == 0 and len(digits) >= 4:
        text = digits + "0101000000"[len(digits) - 4:] + text[len(digits):]
    return ctx.moment(text)


def period(start: str, end: str, ctx: Context) -> Json | None:
    """Two DTM texts as Period; one that is empty or no time is left out, and an end before the start."""
    value: Json = {}
    if start:
        moment = ctx.moment(start)
        if moment:
            value["start"] = moment
    if end:
        moment = ended(value.get("start", ""), ctx.moment(end) or "", ctx)
        if moment:
            value["end"] = moment
    return value or None


def ended(start: str, end: str, ctx: Any, column: str = "") -> str:
    """The end of a period as FHIR date or dateTime; '' and a finding (bad-value) where it does not come after the start.

    R4 per-1 takes a day and a time of the same day for out of order too: which was first nobody can tell.
    column: of the end, where a whole CSV row is mapped.
    """
    if not start or not end or in_order(start, end):
        return end
    ctx.issue("bad-value", "before the start of its period, or not precise enough to tell; it is left out", column)
    return ""


@function("dr_period", {"1": "start", "2": "end"})
def dr_period(rep: Rep, ctx: Context) -> Json | None:
    """A DR as Period."""
    return period(rep.get(1), rep.get(2), ctx)
