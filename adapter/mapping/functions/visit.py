"""Functions for PV1 and PV2 that look at more than one field. Source: v2-to-FHIR segment maps PV1[Encounter], PV2[Encounter]."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from adapter.mapping.functions.codes import CWE_PARTS, cwe_codeable_concept
from adapter.mapping.functions.identifiers import cx_identifier
from adapter.mapping.functions.locations import PL_PARTS
from adapter.mapping.functions.registry import FUNCTIONS, Rep, below, function
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
    """What PV1 alone says of Encounter.status: finished with a discharge time, else by the class; unknown without one.

    Of a person whose record is deleted (A29) a visit that the message still names is entered in error: nobody is there.
    """
    if ctx.event == "A29":
        return "entered-in-error"
    if segment.first(45).get(1):
        return "finished"
    found = ctx.code("encounter-status", segment.first(2).get(1)) if segment.raw(2) else None
    return found["code"] if found else "unknown"


@function("event_time", {})
def event_time(segment: Any, ctx: Any) -> str:
    """When the event happened (EVN-6, else when it was stated), in UTC."""
    return datetime.fromtimestamp(ctx.order.occurred / 1_000_000, UTC).isoformat(timespec="seconds")


@function("pl_encounter_location", below(PL_PARTS, to="location({})"), kept=True)
def pl_encounter_location(rep: Rep, ctx: Any, status: str = "") -> Json | None:
    """A PL as an entry of Encounter.location."""
    place = FUNCTIONS["pl_location"].call(rep, ctx)
    if not place:
        return None
    return {"location": place, "status": status} if status else {"location": place}


@function("visit_location", below(PL_PARTS, to="location({})"))
def visit_location(rep: Rep, ctx: Any, status: str) -> Json | None:
    """A PL of PV1 as entry of Encounter.location. status: while the visit lasts (active, planned).

    Of a visit that is over (PV1-45) what was active is completed, what was planned has no status; of one that is to come
    (class P) what would be active is planned.
    """
    entry = pl_encounter_location(rep, ctx)
    if entry is None:
        return None
    visit = ctx.segment
    if ctx.event == "A29":
        return entry
    if visit.first(45).get(1):
        return {**entry, "status": "completed"} if status == "active" else entry
    return {**entry, "status": "planned" if _preadmitted(visit.first(2), ctx) else status}


def _preadmitted(rep: Rep, ctx: Any) -> bool:
    """Whether a patient class (PV1-2) says that the visit is still to come."""
    found: Json | None = ctx.code("encounter-status", rep.get(1)) if rep.get(1) else None
    return found is not None and found["code"] == "planned"


@function("registration_status", {"1": ""})
def registration_status(rep: Rep, ctx: Any) -> str:
    """What a registration (A04) makes of Encounter.status: planned where the class says so (P), else in-progress."""
    return "planned" if _preadmitted(rep, ctx) else "in-progress"


@function("service_episode", {"53": "display", **{f"54.{part}": f"identifier -> {to}" if not to.startswith("drop") else to
                                                 for part, to in FUNCTIONS["cx_identifier"].parts.items()}})
def service_episode(segment: Any, ctx: Any) -> Json | None:
    """The episode of care a visit belongs to (PV1-53, PV1-54), by its number alone: how far it is nobody says."""
    number = cx_identifier(segment.first(54), ctx)
    words = segment.first(53).plain()
    if number is None and not words:
        return None
    return {"type": "EpisodeOfCare", **({"identifier": number} if number else {}), **({"display": words} if words else {})}


@function("dld_location", {**{f"1.{part}": f"Location.type.{to}" if not to.startswith("drop") else to
                              for part, to in CWE_PARTS.items()},
                           "1.1": "Location.name", "1.2": "Location.name",
                           "2": "drop: the discharge time stands in period.end"}, kept=True)
def dld_location(rep: Rep, ctx: Any) -> Json | None:
    """Where the person was discharged to (DLD), stated as Location; DLD.1 is a CWE of its own since 2.7."""
    coded = rep.component(1)
    name = coded.get(2) or coded.get(9) or coded.get(1)
    if not name:
        return None
    body: Json = {"status": "active", "mode": "instance", "name": name}
    kind = cwe_codeable_concept(coded, ctx, source="HL70113") if coded.get(1) and len(coded.parts) > 1 else None
    if kind:
        body["type#DLD"] = [kind]
    return {"reference": ctx.emit("Location", f"{ctx.local}:discharge|{coded.get(1) or name}", body)}


@function("facility_organization", {part: to if to.startswith("drop") else "Organization.name" if part in ("1", "2") else
                                    "drop: an Organization goes by its name; codes beside it name lists of the sender's own"
                                    for part, to in CWE_PARTS.items()}, kept=True)
def facility_organization(rep: Rep, ctx: Any) -> Json | None:
    """The servicing facility (PV1-39), stated as Organization."""
    code = rep.get(1)
    name = rep.get(2) or code
    if not name:
        return None
    key = f"{ctx.local}:facility|{code or name}"
    return {"reference": ctx.emit("Organization", key, {
        "active": True, "name": name, "identifier#facility": [{"system": f"{ctx.local}:facility", "value": code or name}]})}


@function("days_duration", kept=True)
def days_duration(rep: Rep, ctx: Any) -> Json | None:
    """A number of days as Duration."""
    number = FUNCTIONS["nm_decimal"].call(rep, ctx)
    return None if number is None else {"value": number, "unit": "d", "system": "http://unitsofmeasure.org", "code": "d"}


@function("st_concept_text", kept=True)
def st_concept_text(rep: Rep, ctx: Any) -> Json | None:
    """Free text as CodeableConcept."""
    return {"text": rep.plain()} if rep.plain() else None
