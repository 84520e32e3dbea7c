"""Amounts: CQ as Quantity, MO and CP as Money, NM with a unit.

Source: v2-to-FHIR maps CQ[Quantity], NM[Quantity-LengthOfStay].
"""

from __future__ import annotations

from adapter.mapping.functions.primitives import decimal
from adapter.mapping.functions.registry import Context, Rep, function
from adapter.model import Json

_UCUM = "http://unitsofmeasure.org"
_UNITS = frozenset((
    "%", "/min", "1", "[degF]", "[in_i]", "[lb_av]", "[ft_i]", "Cel", "a", "mo", "wk", "d", "h", "min", "s", "cm",
    "g", "g/dL", "g/L", "kg", "kg/m2", "L", "m", "mL", "mg", "mg/dL", "mm", "mm[Hg]", "mmol/L", "mol/L", "ug",
    "ug/mL", "umol/L", "U/L", "[IU]/L", "meq/L", "ng/mL", "pg/mL", "10*3/uL", "10*6/uL"))
"""Units of UCUM that may claim it. A unit that the validator can not parse would make the whole resource invalid."""


def quantity(value: int | float, unit: str, words: str, system: str) -> Json:
    """A Quantity. unit: its code; words: what is shown; system: name of the coding system as sent."""
    found: Json = {"value": value}
    if words or unit:
        found["unit"] = words or unit
    if unit and unit in _UNITS and system.upper() in ("UCUM", "ISO+", ""):
        found["system"] = _UCUM
        found["code"] = unit
    return found


@function("cq_quantity", {"1": "value", "2": "unit", "2.1": "unit", "2.2": "unit", "2.3": "system"})
def cq_quantity(rep: Rep, ctx: Context) -> Json | None:
    """A CQ as Quantity; a common unit of UCUM is coded too."""
    value = decimal(rep.get(1), ctx)
    return None if value is None else quantity(value, rep.get(2), rep.sub(2, 2), rep.sub(2, 3))


@function("nm_quantity", {"*": "value"})
def nm_quantity(rep: Rep, ctx: Context, unit: str = "", words: str = "") -> Json | None:
    """A number as Quantity of the unit its field is defined in (length of stay: `d`)."""
    value = decimal(rep.get(1), ctx)
    return None if value is None else quantity(value, unit, words, "UCUM")


@function("mo_money", {"1": "value", "2": "currency"})
def mo_money(rep: Rep, ctx: Context) -> Json | None:
    """An MO as Money; a currency is three letters (ISO 4217), anything else is the issue bad-value."""
    value, currency = decimal(rep.get(1), ctx), rep.get(2)
    if value is None:
        return None
    if currency and (len(currency) != 3 or not currency.isascii() or not currency.isupper() or not currency.isalpha()):
        ctx.issue("bad-value")
        currency = ""
    return {"value": value, "currency": currency} if currency else {"value": value}


@function("cp_money", {"1": "value", "1.1": "value", "1.2": "currency", **dict.fromkeys(
    ("2", "3", "4", "5", "6"), "drop: the kind and range of a price; Money is the amount")})
def cp_money(rep: Rep, ctx: Context) -> Json | None:
    """The amount of a CP (its CP.1 is an MO) as Money."""
    return mo_money(rep.component(1), ctx)
