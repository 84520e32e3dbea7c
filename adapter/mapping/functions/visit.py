"""Functions for PV1 and PV2 that look at more than one field. Source: v2-to-FHIR segment maps PV1[Encounter], PV2[Encounter]."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from adapter.mapping.functions.registry import FUNCTIONS, Rep, function
from adapter.model import Json


@function("visit_identifier", {})
def visit_identifier(segment: Any, ctx: Any) -> Json | None:
    """The visit's key as identifier, where it comes from elsewhere than PV1-19."""
    if not ctx.visit or ("PV1-19" in ctx.feed.visit[:1] and segment.raw(19)):
        return None
    system, _, value = ctx.visit.rpartition("|")
    return {"system": system, "value": value}


@function("pv1_status", {})
def pv1_status(segment: Any, ctx: Any) -> str:
    """What PV1 alone says of Encounter.status: finished with a discharge time, else by the class; unknown without one."""
    if segment.first(45).get(1):
        return "finished"
    found = ctx.code("encounter-status", segment.first(2).get(1)) if segment.raw(2) else None
    return found["code"] if found else "unknown"


@function("event_time", {})
def event_time(segment: Any, ctx: Any) -> str:
    """When the event happened (EVN-6, else when it was stated), in UTC."""
    return datetime.fromtimestamp(ctx.order.occurred / 1_000_000, UTC).isoformat(timespec="seconds")


@function("pl_encounter_location", {f"{n}": "location(Location)" for n in range(1, 12)}, kept=True)
def pl_encounter_location(rep: Rep, ctx: Any, status: str = "") -> Json | None:
    """A PL as an entry of Encounter.location."""
    place = FUNCTIONS["pl_location"].call(rep, ctx)
    if not place:
        return None
    return {"location": place, "status": status} if status else {"location": place}


@function("dld_location", {"1": "Location.name", "1.1": "Location.name", "1.2": "Location.name",
                           "2": "drop: the discharge time stands in period.end"}, kept=True)
def dld_location(rep: Rep, ctx: Any) -> Json | None:
    """Where the person was discharged to (DLD), stated as Location."""
    name = rep.sub(1, 2) or rep.get(1)
    if not name:
        return None
    body: Json = {"status": "active", "mode": "instance", "name": name}
    return {"reference": ctx.emit("Location", f"{ctx.local}:discharge|{rep.get(1)}", body)}


@function("facility_organization", {"1": "Organization.name"}, kept=True)
def facility_organization(rep: Rep, ctx: Any) -> Json | None:
    """The servicing facility (PV1-39), stated as Organization."""
    name = rep.get(1)
    if not name:
        return None
    key = f"{ctx.local}:facility|{name}"
    return {"reference": ctx.emit("Organization", key, {
        "active": True, "name": name, "identifier#facility": [{"system": f"{ctx.local}:facility", "value": name}]})}


@function("days_duration", kept=True)
def days_duration(rep: Rep, ctx: Any) -> Json | None:
    """A number of days as Duration."""
    number = FUNCTIONS["nm_decimal"].call(rep, ctx)
    return None if number is None else {"value": number, "unit": "d", "system": "http://unitsofmeasure.org", "code": "d"}


@function("st_concept_text", kept=True)
def st_concept_text(rep: Rep, ctx: Any) -> Json | None:
    """Free text as CodeableConcept."""
    return {"text": rep.plain()} if rep.plain() else None
