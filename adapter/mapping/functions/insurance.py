"""Functions for IN1: the insurer, the plan, numbers and authorizations. Source: v2-to-FHIR segment map IN1[Coverage]."""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.contacts import xad_address, xtn_contact_point
from adapter.mapping.functions.identifiers import cx_identifier
from adapter.mapping.functions.names import xpn_human_name
from adapter.mapping.functions.quantities import cp_money, mo_money
from adapter.mapping.functions.registry import FUNCTIONS, Rep, below, function
from adapter.model import Json

COVERAGE_CLASS = "http://terminology.hl7.org/CodeSystem/coverage-class"
_COPAY = "http://terminology.hl7.org/CodeSystem/coverage-copay-type"
_MEMBER = "http://terminology.hl7.org/CodeSystem/v2-0203"
_NAME_ONLY = "drop: a class has a value and a name"


def made(make: Any, reps: Any, ctx: Any, **options: Any) -> list[Json]:
    """What a datatype's function makes of each repetition, without those of which nothing comes."""
    found = [make(rep, ctx, **options) for rep in reps if rep.text]
    return [one for one in found if one]


def at_work(found: list[Json]) -> list[Json]:
    """Addresses or telephones of an organization: what is sent as a home is a place of work (R4 org-2, org-3)."""
    return [{**one, "use": "work"} if one.get("use") == "home" else one for one in found]


def organization_body(segment: Any, ctx: Any, names: int, addresses: int, telecoms: int) -> Json:
    """Name and aliases, addresses and telephones of an organization, by their field numbers (0: none), as slots."""
    words = [rep.get(1) for rep in segment.reps(names) if rep.get(1)] if names else []
    body: Json = {"active": True, **({"name": words[0]} if words else {})}
    found = made(xad_address, segment.reps(addresses), ctx) if addresses else []
    ways = made(xtn_contact_point, segment.reps(telecoms), ctx, use="work") if telecoms else []
    slots = {f"alias#{segment.name}-{names}": words[1:], f"address#{segment.name}-{addresses}": at_work(found),
             f"telecom#{segment.name}-{telecoms}": at_work(ways)}
    return {**body, **{slot: values for slot, values in slots.items() if values}}


_ORGANIZATION_PARTS = {
    **below(FUNCTIONS["cx_identifier"].parts, 3, "Organization.identifier.{}"),
    "4.1": "Organization.name or alias", "4": "drop: the name alone; the insurer's numbers stand in IN1-3",
    **below(FUNCTIONS["xad_address"].parts, 5, "Organization.address.{}"),
    **below(FUNCTIONS["xpn_human_name"].parts, 6, "Organization.contact.name.{}"),
    **below(FUNCTIONS["xtn_contact_point"].parts, 7, "Organization.telecom.{}")}


@function("in1_payor", _ORGANIZATION_PARTS)
def in1_payor(segment: Any, ctx: Any) -> Json | None:
    """The insurer: IN1-3 identifies it, IN1-4 names it, IN1-5 and IN1-7 say where it is found, IN1-6 whom to ask."""
    identifiers = made(cx_identifier, segment.reps(3), ctx)
    body = organization_body(segment, ctx, 4, 5, 7)
    if not identifiers and "name" not in body:
        return None
    if identifiers:
        body["identifier#IN1-3"] = identifiers
    persons = made(xpn_human_name, segment.reps(6), ctx)
    if persons:
        body["contact#IN1-6"] = [{"name": name} for name in persons]
    key = f"{identifiers[0]['system']}|{identifiers[0]['value']}" if identifiers else f"{ctx.local}:payor|{body['name']}"
    return {"reference": ctx.emit("Organization", key, body)}


_PLAN_PARTS = {"2.1": "value", "2.2": "name", **{f"2.{n}": _NAME_ONLY for n in range(3, 23)},
               "8": "value", "9.1": "name", **{f"9.{n}": _NAME_ONLY for n in range(2, 11)},
               "35.1": "value", "35.2": "name",
               **{f"35.{n}": _NAME_ONLY for n in range(3, 23)},
               "54.1": "value", **{f"54.{n}": _NAME_ONLY for n in range(2, 13)}}
_EXTERNAL = {"text": "external health plan identifier"}


@function("in1_classes", _PLAN_PARTS)
def in1_classes(segment: Any, ctx: Any) -> list[Json]:
    """Coverage.class: plan (IN1-2), group (IN1-8, named by IN1-9), subplan (IN1-35), and others' numbers of the plan (IN1-54)."""
    del ctx
    plan, group, sub = segment.first(2), segment.first(9), segment.first(35)
    rows = [("plan", plan.get(1) or plan.get(2), plan.get(2)), ("group", segment.first(8).plain() or group.get(1), group.get(1)),
            ("subplan", sub.get(1), sub.get(2))]
    found: list[Json] = [{"type": {"coding": [{"system": COVERAGE_CLASS, "code": code}]}, "value": value,
                          **({"name": name} if name else {})} for code, value, name in rows if value]
    return [*found, *({"type": _EXTERNAL, "value": rep.get(1)} for rep in segment.reps(54) if rep.get(1))]


def member_identifier(rep: Rep, ctx: Any, words: str = "") -> Json | None:
    """A CX as Identifier of type MB beside the type that it names; with `words`, as these in place of MB (US Core: one MB)."""
    found: Json | None = cx_identifier(rep, ctx)
    if not found:
        return None
    codings: list[Json] = [c for c in found.get("type", {}).get("coding", []) if c.get("code") != "MB"]
    text = found.get("type", {}).get("text") or words
    if not words:
        codings = [{"system": _MEMBER, "code": "MB"}, *codings]
    return {**found, "type": {**({"coding": codings} if codings else {}), **({"text": text} if text else {})}}


_CX = {**below(FUNCTIONS["cx_identifier"].parts, 49), **below(FUNCTIONS["cx_identifier"].parts, 10)}


@function("in1_member_id", {"36": "value", **_CX})
def in1_member_id(segment: Any, ctx: Any) -> list[Json]:
    """The member's numbers with the insurer: IN1-49 (else IN1-36) as type MB, the policy (IN1-36), IN1-10 where of type SN."""
    reps = [rep for rep in segment.reps(49) if rep.get(1)]
    words = ("", *("further number of the insured" for _ in reps[1:]))
    found = [one for rep, said in zip(reps, words, strict=False) if (one := member_identifier(rep, ctx, said))]
    policy = segment.first(36)
    if policy.plain():
        plain: Json = {"system": ctx.system(""), "value": policy.plain()}
        found.append(plain if found else {"type": {"coding": [{"system": _MEMBER, "code": "MB"}]}, **plain})
    return [*found, *made(cx_identifier, [rep for rep in segment.reps(10) if rep.get(5) == "SN"], ctx)]


@function("in1_subscriber_id", {"36": "", "49.1": ""})
def in1_subscriber_id(segment: Any, ctx: Any) -> str | None:
    """Coverage.subscriberId: IN1-49, else the policy number IN1-36."""
    del ctx
    return segment.first(49).get(1) or segment.first(36).plain() or None


_EMPLOYER = {**below(FUNCTIONS["cx_identifier"].parts, 10, "Organization.identifier.{}"),
             "11.1": "Organization.name or alias", "11": "drop: the name alone; the employer's numbers stand in IN1-10",
             **below(FUNCTIONS["xad_address"].parts, 44, "Organization.address.{}")}


@function("in1_policy_holder", _EMPLOYER)
def in1_policy_holder(segment: Any, ctx: Any) -> Json | None:
    """The employer whose group the insured is of (IN1-10, IN1-11, IN1-44), as the Organization that holds the policy."""
    identifiers = made(cx_identifier, [rep for rep in segment.reps(10) if rep.get(5) != "SN"], ctx)
    body = organization_body(segment, ctx, 11, 44, 0)
    if not identifiers and "name" not in body:
        return None
    if identifiers:
        body["identifier#IN1-10"] = identifiers
    key = f"{identifiers[0]['system']}|{identifiers[0]['value']}" if identifiers else f"{ctx.local}:employer|{body['name']}"
    return {"reference": ctx.emit("Organization", key, body), **({"display": body["name"]} if "name" in body else {})}


@function("in1_relationship", {"17.1": "coding"})
def in1_relationship(segment: Any, ctx: Any) -> Json | None:
    """What the patient is to the insured, out of what the insured is to the patient (IN1-17): a mother's patient is her child.

    The sender's own coding says it the other way round; it stands in the insured's RelatedPerson.
    """
    rep = segment.first(17)
    target = next((t for t in (ctx.code("insured-relationship", rep.get(n)) for n in (1, 4, 10) if rep.get(n)) if t), None)
    if rep.get(1) and target is None:
        ctx.issue("unknown-code", "insured-relationship")
        return {"text": rep.get(2) or rep.get(1)}
    return {"coding": [target]} if target else None


@function("in1_status", {"55": ""})
def in1_status(segment: Any, ctx: Any) -> str:
    """Active; entered in error where IN1-55 deletes the insurance."""
    del ctx
    return "entered-in-error" if segment.first(55).get(1) == "D" else "active"


_DEDUCTIBLE = {"coding": [{"system": _COPAY, "code": "deductible"}]}


@function("cp_deductible", {"1": "valueMoney.value", "1.1": "valueMoney.value", "1.2": "valueMoney.currency", **{
    str(n): "drop: kind and range of a price; Money is the amount" for n in range(2, 7)}})
def cp_deductible(rep: Rep, ctx: Any) -> Json | None:
    """A deductible (CP) as Coverage.costToBeneficiary."""
    money = cp_money(rep, ctx)
    return {"type": _DEDUCTIBLE, "valueMoney": money} if money else None


@function("ddi_deductible", {"1": "drop: after how many days it begins: a cost has no delay", "2": "valueMoney",
                             "2.1": "valueMoney.value", "2.2": "valueMoney.currency",
                             "3": "drop: for how many days it is paid: a cost has no count"})
def ddi_deductible(rep: Rep, ctx: Any) -> Json | None:
    """A daily deductible (DDI) as Coverage.costToBeneficiary."""
    money = mo_money(rep.component(2), ctx)
    return {"type": {**_DEDUCTIBLE, "text": "daily deductible"}, "valueMoney": money} if money else None
