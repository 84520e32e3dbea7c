"""Functions for DG1 and AL1. Source: v2-to-FHIR segment maps DG1[Condition], DG1[Encounter], AL1[AllergyIntolerance]."""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.registry import FUNCTIONS, Rep, function
from adapter.model import Json


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
