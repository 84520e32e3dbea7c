"""Functions for PV1, PV2, ROL, DG1, AL1 and IN1 that look at more than one field.

Source: v2-to-FHIR segment maps PV1[Encounter], PV2[Encounter], ROL, DG1, AL1[AllergyIntolerance], IN1[Coverage].
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from adapter.mapping.functions.registry import FUNCTIONS, Rep, function
from adapter.model import Json

COVERAGE_CLASS = "http://terminology.hl7.org/CodeSystem/coverage-class"


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


def _period(segment: Any, ctx: Any, start: int, end: int) -> Json:
    period = {name: ctx.moment(segment.first(n).get(1))
              for name, n in (("start", start), ("end", end)) if segment.first(n).get(1)}
    kept = {k: v for k, v in period.items() if v}
    return {"period": kept} if kept else {}


@function("rol_team_participant", {"3": "role", "4": "member(PractitionerRole)", "5": "period.start", "6": "period.end"})
def rol_team_participant(segment: Any, ctx: Any) -> Json | None:
    """A ROL after PID as CareTeam.participant; ROL-2 DE or UN has no participant to state."""
    member = ctx.refs.get("PractitionerRole")
    if not member or segment.first(2).get(1) in ("DE", "UN"):
        return None
    role = FUNCTIONS["cwe_codeable_concept"].call(segment.first(3), ctx, table="provider-role")
    return {**({"role": [role]} if role else {}), "member": {"reference": member}, **_period(segment, ctx, 5, 6)}


@function("rol_encounter_participant", {"3": "type", "4": "individual(PractitionerRole)", "5": "period.start", "6": "period.end"})
def rol_encounter_participant(segment: Any, ctx: Any) -> Json | None:
    """A ROL after PV1 or PR1 as Encounter.participant."""
    individual = ctx.refs.get("PractitionerRole")
    if not individual or segment.first(2).get(1) in ("DE", "UN"):
        return None
    role = FUNCTIONS["cwe_codeable_concept"].call(segment.first(3), ctx, table="provider-role")
    return {**({"type": [role]} if role else {}), "individual": {"reference": individual}, **_period(segment, ctx, 5, 6)}


@function("dg1_code", {f"3.{n}": "coding" for n in range(1, 15)} | {"4": "text"})
def dg1_code(segment: Any, ctx: Any) -> Json | None:
    """DG1-3 with the words of DG1-4 as its text."""
    method = segment.first(2).get(1)
    concept: Json = FUNCTIONS["cwe_codeable_concept"].call(segment.first(3), ctx, source=method if method else "") or {}
    text = segment.first(4).plain()
    return {**concept, "text": text} if text else concept or None


@function("dg1_verification", {"1": "coding"})
def dg1_verification(rep: Rep, ctx: Any) -> Json | None:
    """DG1-21: a deleted diagnosis is entered in error; every other action says nothing of its certainty."""
    if rep.get(1) != "D":
        return None
    return {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "entered-in-error"}]}


@function("dg1_diagnosis", {"6": "use", "15": "rank", **{f"6.{n}": "use" for n in range(1, 10)}})
def dg1_diagnosis(segment: Any, ctx: Any) -> Json | None:
    """A DG1 as Encounter.diagnosis: the Condition, its type and its priority."""
    condition = ctx.refs.get("Condition")
    if not condition:
        return None
    found: Json = {"condition": {"reference": condition}}
    use = FUNCTIONS["cwe_codeable_concept"].call(segment.first(6), ctx, table="diagnosis-type") if segment.raw(6) else None
    rank = FUNCTIONS["nm_positive_int"].call(segment.first(15), ctx) if segment.raw(15) else None
    if use:
        found["use"] = use
    if rank:
        found["rank"] = rank
    return found


@function("al1_reaction", {"4": "severity", "4.1": "severity", "5": "manifestation.text"})
def al1_reaction(segment: Any, ctx: Any) -> list[Json]:
    """AL1-5, each repetition, as AllergyIntolerance.reaction; AL1-4 gives its severity."""
    severity = ctx.code("allergy-severity", segment.first(4).get(1)) if segment.first(4).get(1) else None
    return [{"manifestation": [{"text": rep.plain()}], **({"severity": severity["code"]} if severity else {})}
            for rep in segment.reps(5) if rep.plain()]


@function("in1_payor", {"3": "Organization.identifier", "4": "Organization.name", "5": "Organization.address",
                        "7": "Organization.telecom"})
def in1_payor(segment: Any, ctx: Any) -> Json | None:
    """The insurer: IN1-3 identifies it, IN1-4 names it, IN1-5 and IN1-7 say where it is found."""
    number, name = segment.first(3), segment.first(4)
    identifier = FUNCTIONS["cx_identifier"].call(number, ctx) if number.get(1) else None
    if not identifier and not name.get(1):
        return None
    body: Json = {"active": True}
    if identifier:
        body["identifier#IN1-3"] = [identifier]
    if name.get(1):
        body["name"] = name.get(1)
    address = [FUNCTIONS["xad_address"].call(rep, ctx) for rep in segment.reps(5)]
    telecom = [FUNCTIONS["xtn_contact_point"].call(rep, ctx, use="work") for rep in segment.reps(7)]
    for slot, values in (("address#IN1-5", address), ("telecom#IN1-7", telecom)):
        kept = [v for v in values if v]
        if kept:
            body[slot] = kept
    key = f"{identifier['system']}|{identifier['value']}" if identifier else f"{ctx.local}:payor|{name.get(1)}"
    return {"reference": ctx.emit("Organization", key, body)}


@function("in1_classes", {"2": "plan", "2.1": "plan.value", "2.2": "plan.name", "8": "group.value", "8.1": "group.value",
                          "9": "group.name", "9.1": "group.name"})
def in1_classes(segment: Any, ctx: Any) -> list[Json]:
    """Coverage.class: the plan (IN1-2) and the group (IN1-8, named by IN1-9)."""
    found: list[Json] = []
    for code, value, name in (("plan", segment.first(2).get(1), segment.first(2).get(2)),
                              ("group", segment.first(8).plain(), segment.first(9).get(1))):
        if value:
            entry: Json = {"type": {"coding": [{"system": COVERAGE_CLASS, "code": code}]}, "value": value}
            found.append({**entry, "name": name} if name else entry)
    return found


@function("in1_member_id", {"36": "value", "49": "value", **{f"49.{n}": "value" for n in range(1, 10)}})
def in1_member_id(segment: Any, ctx: Any) -> Json | None:
    """The member's number with the insurer (IN1-49, else IN1-36) as Identifier of type MB."""
    rep = segment.first(49) if segment.first(49).get(1) else segment.first(36)
    identifier: Json | None = FUNCTIONS["cx_identifier"].call(rep, ctx) if rep.get(1) else None
    if identifier is None:
        return None
    return {**identifier, "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MB"}]}}


@function("in1_subscriber_id", {"36": "", "49": "", "49.1": ""})
def in1_subscriber_id(segment: Any, ctx: Any) -> str | None:
    """Coverage.subscriberId: IN1-49, else the policy number IN1-36."""
    return segment.first(49).get(1) or segment.first(36).plain() or None
