"""Functions for OBX: the value by its type, range, status, and who and what observed. Source: v2-to-FHIR map OBX[Observation].

A value that repeats becomes components of the observation's own code (R4 obs-7 allows no value beside them).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from adapter.mapping.functions.codes import cwe_codeable_concept, status_of
from adapter.mapping.functions.contacts import xad_address
from adapter.mapping.functions.identifiers import ei_identifier
from adapter.mapping.functions.insurance import at_work
from adapter.mapping.functions.names import xpn_string
from adapter.mapping.functions.organizations import xon_organization, xon_string
from adapter.mapping.functions.practitioners import XCN_PARTS, xcn_practitioner, xcn_string
from adapter.mapping.functions.primitives import decimal, dr_period, dtm_datetime, nm_integer
from adapter.mapping.functions.quantities import quantity
from adapter.mapping.functions.registry import FUNCTIONS, Rep, below, function
from adapter.model import Json

_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_COMPARATORS = {"<": "<", "<=": "<=", ">=": ">=", ">": ">"}
_PERFORMER = "http://hl7.org/fhir/StructureDefinition/event-performerFunction"
_DIRECTOR = {"url": _PERFORMER, "valueCodeableConcept": {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0912", "code": "MDIR"}]}}


def _measured(value: Any, segment: Any) -> Json | None:
    """A number with the unit of OBX-6."""
    unit = segment.first(6)
    return None if value is None else quantity(value, unit.get(1), unit.get(2), unit.get(3))


def _numeric(rep: Rep, segment: Any, ctx: Any) -> tuple[str, Any]:
    return "Quantity", _measured(decimal(rep.get(1), ctx), segment)


def _structured(rep: Rep, segment: Any, ctx: Any) -> tuple[str, Any]:
    """An SN: a number with a comparator, a range, a ratio; anything else as it is written."""
    sign, first, between, second = rep.get(1), rep.get(2), rep.get(3), rep.get(4)
    if not between and (not sign or sign in _COMPARATORS or sign == "="):
        value = _measured(decimal(first, ctx), segment)
        return "Quantity", {**value, "comparator": sign} if value and sign in _COMPARATORS else value
    if between == "-" and not sign:
        return "Range", _range(first, second, segment, ctx)
    if between in (":", "/") and not sign:
        top, below = decimal(first, ctx), decimal(second, ctx)
        if top is not None and below:
            return "Ratio", {"numerator": _measured(top, segment), "denominator": {"value": below}}
    return "String", " ".join(part for part in (sign, first, between, second) if part)


def _range(low: str, high: str, segment: Any, ctx: Any) -> Json | None:
    ends = {"low": _measured(decimal(low, ctx), segment), "high": _measured(decimal(high, ctx), segment)}
    return {name: end for name, end in ends.items() if end} or None


def _coded(rep: Rep, segment: Any, ctx: Any) -> tuple[str, Any]:
    del segment
    return "CodeableConcept", cwe_codeable_concept(rep, ctx)


def _moment(rep: Rep, segment: Any, ctx: Any) -> tuple[str, Any]:
    del segment
    return "DateTime", dtm_datetime(rep, ctx)


def _time(rep: Rep, segment: Any, ctx: Any) -> tuple[str, Any]:
    """A TM: hours, minutes, seconds; FHIR's time has no offset."""
    del segment
    digits = rep.get(1).split("+")[0].split("-")[0].split(".")[0].ljust(6, "0")
    if len(digits) != 6 or not digits.isdigit() or not (digits[:2] < "24" and digits[2:4] < "60" and digits[4:] < "60"):
        ctx.issue("bad-date")
        return "Time", None
    return "Time", f"{digits[:2]}:{digits[2:4]}:{digits[4:]}"


def _words(read: Callable[[Rep, Any], Any]) -> Callable[[Rep, Any, Any], tuple[str, Any]]:
    def said(rep: Rep, segment: Any, ctx: Any) -> tuple[str, Any]:
        del segment
        return "String", read(rep, ctx)

    return said


def _plain(rep: Rep, _ctx: Any) -> str:
    return rep.plain()


def _money(rep: Rep, segment: Any, ctx: Any) -> tuple[str, Any]:
    """An MO (or the MO of a CP) as Quantity of a currency."""
    del segment
    amount = decimal(rep.sub(1, 1), ctx)
    currency = rep.get(2) or rep.sub(1, 2)
    return "Quantity", None if amount is None else {"value": amount, **({"unit": currency} if currency else {})}


def _period(rep: Rep, segment: Any, ctx: Any) -> tuple[str, Any]:
    del segment
    return "Period", dr_period(rep, ctx)


def _numbers(rep: Rep, segment: Any, ctx: Any) -> tuple[str, Any]:
    return "Range", _range(rep.get(1), rep.get(2), segment, ctx)


def _integer(rep: Rep, segment: Any, ctx: Any) -> tuple[str, Any]:
    del segment
    return "Integer", nm_integer(rep, ctx)


def _from_to(rep: Rep, _ctx: Any) -> str:
    return "-".join(part for part in (rep.get(1), rep.get(2)) if part)


def _first(rep: Rep, _ctx: Any) -> str:
    return rep.get(1)


_TYPES: Mapping[str, Callable[[Rep, Any, Any], tuple[str, Any]]] = {
    "NM": _numeric, "SN": _structured, **dict.fromkeys(("CE", "CWE", "CNE", "CF", "IS", "ID"), _coded),
    **dict.fromkeys(("DT", "DTM", "TS"), _moment), "TM": _time, **dict.fromkeys(("MO", "CP"), _money),
    "DR": _period, "NR": _numbers, "SI": _integer, "VR": _words(_from_to),
    **dict.fromkeys(("ST", "FT", "TX", "GTS", ""), _words(_plain)), "XPN": _words(xpn_string), "PN": _words(xpn_string),
    "XCN": _words(xcn_string), "CN": _words(xcn_string), "XON": _words(xon_string),
    **dict.fromkeys(("CX", "EI", "CK", "PL", "XTN", "TN", "HD"), _words(_first)),
}
"""OBX-2 to what makes (type of value[x], value) of one repetition of OBX-5; types that are missing have no place in R4."""

_VALUE_PARTS = {"5": "", "6": "unit", "6.1": "code", "6.2": "unit", "6.3": "system",
                **{f"6.{n}": "drop: a Quantity has one unit, the primary one" for n in range(4, 23)},
                **{f"32.{n}": "drop: why there is no value, of an observation that has one" for n in range(1, 23)}}


def _values(segment: Any, ctx: Any) -> list[tuple[str, Any]]:
    kind = segment.first(2).get(1)
    read = _TYPES.get(kind)
    if read is None:
        return []
    found = [read(rep, segment, ctx) for rep in segment.reps(5) if rep.plain()]
    return [(name, value) for name, value in found if value not in (None, "", {})]


@function("obx_value", _VALUE_PARTS)
def obx_value(segment: Any, ctx: Any, kind: str = "Quantity") -> Any:
    """OBX-5 by its type (OBX-2) where it makes a value[x] of that kind (Quantity, String ...); None where it repeats."""
    found = _values(segment, ctx)
    return found[0][1] if len(found) == 1 and found[0][0] == kind else None


@function("obx_components", _VALUE_PARTS | {"6": "valueQuantity.unit", "6.1": "valueQuantity.code", "6.2": "valueQuantity.unit",
                                            "6.3": "valueQuantity.system"})
def obx_components(segment: Any, ctx: Any) -> list[Json] | None:
    """A repeating OBX-5: each value as a component of the observation's own code."""
    found = _values(segment, ctx)
    if len(found) < 2:
        return None
    code = cwe_codeable_concept(segment.first(3), ctx) or {"text": segment.first(3).plain()}
    return [{"code": code, f"value{kind}": value} for kind, value in found]


@function("obx_range", {"*": "text"})
def obx_range(rep: Rep, ctx: Any) -> Json | None:
    """OBX-7 as referenceRange: its text, and low and high where it is written `low-high`, `<high` or `>low`."""
    text = rep.plain()
    low, dash, high = text.partition("-")
    found: Json = {}
    if dash and _number(low) and _number(high):
        found = _range(low.strip(), high.strip(), ctx.segment, ctx) or {}
    elif text[:1] in "<>" and _number(text[1:].lstrip("=")):
        end = _measured(decimal(text[1:].lstrip("=").strip(), ctx), ctx.segment)
        found = {"high" if text[0] == "<" else "low": end} if end else {}
    return {**found, "text": text} if text else None


def _number(text: str) -> bool:
    return text.strip().replace(".", "", 1).isdigit() and text.strip().isascii()


@function("obx_status", {"11": "", "31": "drop: what was done: decides whether the observation stands"})
def obx_status(segment: Any, ctx: Any) -> str:
    """Observation.status by OBX-11; unknown without it, entered-in-error where OBX-31 (2.9) deletes it."""
    return status_of(segment, ctx, 11, 31, "observation-status")


@function("obx_absent", {"11": "", "32": "coding", **{f"32.{n}": "coding" for n in range(1, 10)}})
def obx_absent(segment: Any, ctx: Any) -> Json | None:
    """Why there is no value: OBX-32 (2.9), else not-asked or error by OBX-11 (N, X)."""
    if segment.first(5).plain():
        return None
    if segment.raw(32):
        return cwe_codeable_concept(segment.first(32), ctx)
    code = {"N": "not-asked", "X": "error"}.get(segment.first(11).get(1))
    return {"coding": [{"system": _ABSENT, "code": code}]} if code else None


@function("obx_specimen", {"33": "identifier", "33.1": "identifier", "33.2": "identifier",
                           **{f"33.{c}.{s}": "identifier" for c in (1, 2) for s in range(1, 5)}})
def obx_specimen(segment: Any, ctx: Any) -> Json | None:
    """The specimen (OBX-33 of 2.9, an EIP) by its filler's number, else its placer's."""
    rep = segment.first(33)
    for n in (2, 1):
        identifier = ei_identifier(rep.component(n), ctx) if rep.component(n).text else None
        if identifier:
            return {"type": "Specimen", "identifier": identifier}
    return None


@function("ei_device", {"1": "identifier.value", "2": "identifier.assigner.display", "3": "identifier.system",
                        "4": "identifier.system"})
def ei_device(rep: Rep, ctx: Any) -> Json | None:
    """The device that an EI names, by its identifier."""
    identifier = ei_identifier(rep, ctx)
    return {"type": "Device", "identifier": identifier} if identifier else None


@function("cwe_organization", {"1": "Organization.identifier.value", "2": "Organization.name",
                               "3": "Organization.identifier.system",
                               **{str(n): "drop: the Organization goes by its primary code" for n in range(4, 23)}})
def cwe_organization(rep: Rep, ctx: Any) -> Json | None:
    """An organization that a coded value names (code, name, coding system), stated as Organization."""
    code, name = rep.get(1), rep.get(2)
    if not code:
        return {"display": name} if name else None
    system = ctx.system(rep.get(3), "", "", "organization")
    by: Json = {"assigner": {"display": rep.get(3)}} if rep.get(3) else {}
    body: Json = {"active": True, "identifier#CWE": [{"system": system, "value": code, **by}], **({"name": name} if name else {})}
    return {"reference": ctx.emit("Organization", f"{system}|{code}", body), **({"display": name} if name else {})}


@function("obx_laboratory", {
    **below(FUNCTIONS["xon_organization"].parts, 23), **below(FUNCTIONS["xad_address"].parts, 24, "Organization.address.{}")})
def obx_laboratory(segment: Any, ctx: Any) -> Json | None:
    """The performing organization (OBX-23) with its address (OBX-24), stated as Organization."""
    performer: Json | None = xon_organization(segment.first(23), ctx) if segment.raw(23) else None
    address = xad_address(segment.first(24), ctx, use="work") if segment.raw(24) else None
    if performer and address and "reference" in performer:
        ctx.emit("Organization", performer["reference"].partition("?")[2], {"active": True, "address#OBX-24": at_work([address])})
    return performer


@function("xcn_director", XCN_PARTS)
def xcn_director(rep: Rep, ctx: Any) -> Json | None:
    """The medical director of the performing organization (OBX-25) as performer in that function."""
    reference = xcn_practitioner(rep, ctx)
    return {**reference, "extension": [_DIRECTOR]} if reference else None
