"""Functions for IN1 and IN2 about the insured: the patient, or a RelatedPerson of the coverage. Source: map IN1[Coverage]."""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.clinical import current, told
from adapter.mapping.functions.codes import cwe_codeable_concept
from adapter.mapping.functions.contacts import xtn_contact_point
from adapter.mapping.functions.identifiers import cx_identifier
from adapter.mapping.functions.insurance import at_work, made, member_identifier
from adapter.mapping.functions.names import xpn_human_name
from adapter.mapping.functions.organizations import xon_organization
from adapter.mapping.functions.registry import function
from adapter.mapping.functions.related import described, is_patient, parts_of, related_person
from adapter.model import Json

_IN1 = {16: "name", 17: "relationship", 18: "birth", 19: "address", 43: "gender"}
_IN2 = {1: "employee", 2: "ssn", 10: "military", 34: "language", 42: "ethnicity", 55: "start", 56: "end", 63: "home", 71: "race"}


@function("in1_self", {})
def in1_self(segment: Any, ctx: Any) -> Json | None:
    """The patient as subscriber, where IN1-17 says that the insured is the patient."""
    return {"reference": f"Patient?{ctx.patient}"} if is_patient(segment.first(17).get(1), ctx) else None


@function("in1_insured", parts_of(_IN1))
def in1_insured(segment: Any, ctx: Any) -> Json | None:
    """The insured as RelatedPerson and subscriber, where it is not the patient and has a name or relationship."""
    coverage = current("Coverage", ctx)
    if coverage is None or is_patient(segment.first(17).get(1), ctx) or not (segment.raw(16) or segment.raw(17)):
        return None
    builder = related_person(f"{ctx.local}:RelatedPerson|{coverage.key.partition('|')[2]}/insured", ctx)
    described(builder, ctx, segment, _IN1)
    return {"reference": builder.symbol}


def _insured(ctx: Any) -> Any:
    """The builder of the insured of the coverage that this IN2 goes on about; None where it is the patient."""
    subscriber: Json = told("Coverage", "subscriber", ctx) or {}
    resource_type, _, key = subscriber.get("reference", "").partition("?")
    return related_person(key, ctx) if resource_type == "RelatedPerson" else None


@function("in2_insured", parts_of(_IN2))
def in2_insured(segment: Any, ctx: Any) -> Json | None:
    """What IN2 says of an insured who is not the patient: numbers, language, telephone, race, since when related."""
    builder = _insured(ctx)
    if builder is None:
        return None
    described(builder, ctx, segment, _IN2)
    return {"reference": builder.symbol}


_NUMBERS = {6: "MC", 8: "MA"}
_MEMBERS = {26: "payer's number of the insured", 61: "member number of the patient"}


@function("in2_numbers", {"6": "value", "8": "value", **{f"{n}.{c}": "" for n in (26, 61) for c in range(1, 9)},
                          **{f"{n}.{c}": "drop: neither FHIR nor the guide has a place for it"
                             for n in (26, 61) for c in range(9, 13)}})
def in2_numbers(segment: Any, ctx: Any) -> list[Json]:
    """Numbers of the coverage: Medicare (IN2-6), Medicaid case (IN2-8), the payer's for insured (IN2-26) and patient (IN2-61)."""
    found: list[Json] = []
    for n, kind in _NUMBERS.items():
        value = segment.first(n).plain()
        if value:
            coding = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": kind}
            found.append({"type": {"coding": [coding]}, "system": ctx.system("", "", "", kind), "value": value})
    return [*found, *(one for n, words in _MEMBERS.items() for rep in segment.reps(n)
                      if rep.get(1) and (one := member_identifier(rep, ctx, words)))]


def _holder(ctx: Any) -> Json | None:
    return told("Coverage", "policyHolder", ctx)


_NAMED = {7: "Medicaid case", 9: "Military sponsor"}


@function("in2_named", {f"{n}{c}": "RelatedPerson.name" for n in _NAMED for c in ("", *(f".{i}" for i in range(1, 16)))})
def in2_named(segment: Any, ctx: Any) -> Json | None:
    """In whose name a Medicaid case is run (IN2-7), the military sponsor (IN2-9): each a RelatedPerson that words relate.

    Result: the reference, as the policy's holder where no employer is (IN1-10, IN1-11).
    """
    coverage, holder = current("Coverage", ctx), _holder(ctx)
    for n, words in _NAMED.items():
        if segment.raw(n) and coverage is not None:
            builder = related_person(f"{ctx.local}:RelatedPerson|{coverage.key.partition('|')[2]}/{n}", ctx)
            described(builder, ctx, segment, {n: "name"})
            builder.snapshot[f"relationship#IN2-{n}"] = [{"text": words}]
            holder = holder or {"reference": builder.symbol}
    return holder if segment.raw(7) or segment.raw(9) else None


_PERSON = {f".{n}": "" for n in range(1, 16)}


@function("in2_holder", {f"{f}{c}": "Organization" for f in (69, 70) for c in ("", *(f".{n}" for n in range(1, 11)))})
def in2_holder(segment: Any, ctx: Any) -> Json | None:
    """The employer (IN2-70), else the insured organization (IN2-69), as holder of a policy of which IN1 names none."""
    if _holder(ctx):
        return None
    organizations: list[Json | None] = [xon_organization(segment.first(n), ctx) for n in (70, 69) if segment.raw(n)]
    return next((one for one in organizations if one), None)


@function("in2_employer", {
    "64": "Organization.telecom", **{f"64.{n}": "Organization.telecom" for n in range(1, 19)},
    **{f"49{c}": "Organization.contact.name" for c in ("", *_PERSON)},
    **{f"50{c}": "Organization.contact.telecom" for c in ("", *(f".{n}" for n in range(1, 19)))},
    **{f"51{c}": "Organization.contact.purpose" for c in ("", *(f".{n}" for n in range(1, 23)))}})
def in2_employer(segment: Any, ctx: Any) -> Json | None:
    """The telephone of the organization that holds the policy (IN2-64), and whom to ask there (IN2-49 to 51)."""
    holder = _holder(ctx)
    if not holder or not holder.get("reference", "").startswith("Organization?"):
        return None
    telecoms = made(xtn_contact_point, segment.reps(64), ctx, use="work")
    body: Json = {"active": True, **({"telecom#IN2-64": at_work(telecoms)} if telecoms else {}),
                  **_contact(segment, ctx, 49, 50, 51)}
    if len(body) == 1:
        return None
    ctx.emit("Organization", holder["reference"].partition("?")[2], body)
    return holder


def _contact(segment: Any, ctx: Any, names: int, telecoms: int, reason: int) -> Json:
    """Whom to ask at an organization, as the slot of its contact; empty without a name and a telephone."""
    persons = made(xpn_human_name, segment.reps(names), ctx) if names else []
    ways = made(xtn_contact_point, segment.reps(telecoms), ctx, use="work")
    purpose = cwe_codeable_concept(segment.first(reason), ctx) if segment.raw(reason) else None
    contact: Json = {**({"purpose": purpose} if purpose else {}), **({"telecom": ways} if ways else {})}
    first = [{**contact, **({"name": persons[0]} if persons else {})}] if contact or persons else []
    found = [*first, *({"name": one} for one in persons[1:])] if persons or ways else []
    return {f"contact#{segment.name}-{names or telecoms}": found} if found else {}


@function("in2_payor", {
    **{f"25{c}": "Organization.identifier" for c in ("", *(f".{n}" for n in range(1, 9)))},
    **{f"57{c}": "Organization.contact.purpose" for c in ("", *(f".{n}" for n in range(1, 23)))},
    **{f"58{c}": "Organization.contact.telecom" for c in ("", *(f".{n}" for n in range(1, 19)))}})
def in2_payor(segment: Any, ctx: Any) -> Json | None:
    """What IN2 says of the insurer that IN1 names: its number (IN2-25), and whom to ask there (IN2-57, IN2-58)."""
    payors: list[Json] = told("Coverage", "payor#IN1", ctx) or []
    if not payors or "reference" not in payors[0]:
        return None
    body: Json = {"active": True, **_contact(segment, ctx, 0, 58, 57)}
    identifiers = made(cx_identifier, segment.reps(25), ctx)
    if identifiers:
        body["identifier#IN2-25"] = identifiers
    if len(body) == 1:
        return None
    ctx.emit("Organization", payors[0]["reference"].partition("?")[2], body)
    return payors[0]
