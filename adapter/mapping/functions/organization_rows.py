"""Functions for rows of the organizations feed: area, staffing, targets."""

from __future__ import annotations

from typing import Any

from adapter.mapping.context import slug
from adapter.mapping.functions.primitives import ended
from adapter.mapping.functions.registry import Rep, function
from adapter.mapping.functions.whole_rows import doubt
from adapter.model import Json

AREA = "urn:x-careloop:health-service-area"
FACT = "urn:x-careloop:staffing-fact"
_UCUM = "http://unitsofmeasure.org"


@function("service_area", {"*": "reference(Location.identifier)"})
def service_area(rep: Rep, ctx: Any) -> Json:
    """A health service area, stated as Location of physical type area."""
    code = rep.plain()
    area: Json = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/location-physical-type", "code": "area"}]}
    return {"reference": ctx.emit("Location", f"{AREA}|{slug(code)}", {
        "identifier#area": [{"system": AREA, "value": code}], "status": "active", "mode": "instance", "name": code,
        "physicalType": area})}


@function("staffing_identifier", {"organization_id": "value", "role": "value"})
def staffing_identifier(row: Any, ctx: Any) -> Json:
    """The key of an organization's staffing in one role."""
    del ctx
    parts = [row.first(c).plain() for c in ("organization_id", "role")]
    return {"system": "urn:x-careloop:staffing", "value": "/".join(p for p in parts if p)}


@function("staffing_role", {"role": "coding"})
def staffing_role(row: Any, ctx: Any) -> Json:
    """The role of those who are counted; care coordinators where the row names none."""
    del ctx
    return {"coding": [{"system": "urn:x-careloop:care-team-role", "code": row.first("role").plain() or "care-coordinator"}]}


@function("staffing_characteristics", {"fte": "value", "capacity": "value", "start_date": "period.start",
                                       "end_date": "period.end"})
def staffing_characteristics(row: Any, ctx: Any) -> list[Json]:
    """Full-time equivalents, and members that each can care for, as Group.characteristic with the time they hold."""
    start = row.first("start_date").plain()
    days = (("start", start), ("end", ended(start, row.first("end_date").plain(), ctx, "end_date")))
    period = {part: day for part, day in days if day}
    facts = (("fte", "full-time equivalents", "{FTE}"), ("capacity", "members per full-time equivalent", "{member}/{FTE}"))
    return [{"code": {"coding": [{"system": FACT, "code": name, "display": words}]}, "exclude": False,
             "valueQuantity": {"value": number(row.first(name).plain()), "unit": unit, "system": _UCUM, "code": unit},
             **({"period": period} if period else {})}
            for name, words, unit in facts if row.first(name).plain()]


@function("organization_target", {"measure": "measure", "target_value": "detailQuantity.value",
                                  "target_unit": "detailQuantity.unit", "end_date": "dueDate"})
def organization_target(row: Any, ctx: Any) -> Json:
    """What an organization is to reach in a measure, by when, as Goal.target; in per cent where the row names no unit."""
    value, due = row.first("target_value").plain(), row.first("end_date").plain()
    found: Json = {"measure": {"coding": [{"system": "urn:x-careloop:measure", "code": row.first("measure").plain()}]}}
    if value:
        found["detailQuantity"] = {"value": number(value), **_unit(row)}
    else:
        doubt(ctx, "target_value", "required-missing", "a target without how much is to be reached")
    return {**found, **({"dueDate": due} if due else {})}


@function("expected_share", {"target_value": "detailQuantity.value", "target_unit": "detailQuantity.unit", "end_date": "dueDate"})
def expected_share(row: Any, ctx: Any) -> Json:
    """That a feed arrives when it is due, and which share of its rows is to be accepted, as Goal.target; in per cent."""
    del ctx
    value, due = row.first("target_value").plain(), row.first("end_date").plain()
    found: Json = {"measure": {"coding": [{"system": "urn:x-careloop:measure", "code": "O06"}]}}
    if value:
        found["detailQuantity"] = {"value": number(value), **_unit(row)}
    return {**found, **({"dueDate": due} if due else {})}


def _unit(row: Any) -> Json:
    unit = row.first("target_unit").plain() or "%"
    return {"unit": unit, **({"system": _UCUM, "code": unit} if unit == "%" else {})}


@function("whole_number")
def whole_number(rep: Rep, ctx: Any) -> int:
    """A cell of digits as a number."""
    del ctx
    return int(rep.plain())


def number(text: str) -> int | float:
    """A decimal of the contract's form; whole numbers without a fraction."""
    found = float(text)
    return int(found) if found.is_integer() else found
