"""Functions for IN1. Source: v2-to-FHIR segment map IN1[Coverage]."""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.registry import FUNCTIONS, function
from adapter.model import Json

COVERAGE_CLASS = "http://terminology.hl7.org/CodeSystem/coverage-class"


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
