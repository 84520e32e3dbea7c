"""Functions for DG1: diagnoses. Source: v2-to-FHIR segment maps DG1[Condition], DG1[Encounter]."""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.codes import cwe_codeable_concept
from adapter.mapping.functions.identifiers import ei_identifier
from adapter.mapping.functions.primitives import nm_positive_int
from adapter.mapping.functions.registry import OTHER_WORDS, Rep, function
from adapter.model import Json

_IN_ERROR = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "entered-in-error"}]}
_RESTRICTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R", "display": "restricted"}


def current(resource_type: str, ctx: Any) -> Any:
    """The builder of the resource of that type that this segment makes, None where it makes none; what it holds is what this
    segment has said of it so far."""
    symbol = ctx.refs.get(resource_type)
    return next((b for b in ctx.builders.values() if b.symbol == symbol), None) if symbol else None


def told(resource_type: str, slot: str, ctx: Any) -> Any:
    """What this segment, else the segments before it, say in a slot of the resource that it goes on about; None for nothing."""
    here = current(resource_type, ctx)
    found = here.snapshot.get(slot) if here is not None else None
    before = None if found else ctx.look_back(resource_type)
    return before.snapshot.get(slot) if before is not None else found


@function("dg1_code", {f"3.{n}": "coding" for n in range(1, 23)} | {
    "2": "drop: coding method of v2.1 (the coding system of DG1-3 says it, where it gives one)", "4": "text"})
def dg1_code(segment: Any, ctx: Any) -> Json | None:
    """DG1-3 with the words of DG1-4 as its text."""
    concept: Json = cwe_codeable_concept(segment.first(3), ctx, source=segment.first(2).get(1)) or {}
    text = segment.first(4).plain()
    return {**concept, "text": text} if text else concept or None


@function("dg1_verification", {"21": "coding"})
def dg1_verification(segment: Any, ctx: Any) -> Json | None:
    """DG1-21: a deleted diagnosis is entered in error; one that is added or updated is not, or not any more."""
    action = segment.first(21).get(1)
    builder = current("Condition", ctx)
    if builder is not None and action in ("A", "U"):
        builder.snapshot["verificationStatus"] = None
    return _IN_ERROR if action == "D" else None


@function("dg1_diagnosis", {"6": "use", "15": "rank", **{f"6.{n}": "use" for n in range(1, 23)}})
def dg1_diagnosis(segment: Any, ctx: Any) -> Json | None:
    """A DG1 as Encounter.diagnosis: the Condition, its type and its priority (0: not one of the ranks); not a deleted one."""
    condition, encounter = ctx.refs.get("Condition"), current("Encounter", ctx)
    if encounter is not None:
        encounter.snapshot.setdefault("diagnosis#DG1", None)
    if not condition or segment.first(21).get(1) == "D":
        return None
    found: Json = {"condition": {"reference": condition}}
    use = cwe_codeable_concept(segment.first(6), ctx, table="diagnosis-type") if segment.raw(6) else None
    rank = nm_positive_int(segment.first(15), ctx) if segment.raw(15) and segment.first(15).get(1) != "0" else None
    if use:
        found["use"] = use
    if rank:
        found["rank"] = rank
    return found


@function("ei_condition", {"1": "identifier.value", "2": "identifier.assigner.display", "3": "identifier.system",
                           "4": "identifier.system"})
def ei_condition(rep: Rep, ctx: Any) -> Json | None:
    """The diagnosis that an EI names (DG1-22, the parent), by its identifier."""
    identifier = ei_identifier(rep, ctx)
    return {"type": "Condition", "identifier": identifier} if identifier else None


@function("confidential_label", {"1": f"code{OTHER_WORDS}"})
def confidential_label(rep: Rep, _ctx: Any) -> Json | None:
    """A confidential indicator (table 0136) of Y as the security label `restricted`."""
    return _RESTRICTED if rep.get(1) == "Y" else None
