"""Functions for ACC: an accident, as Observation (LOINC 11374-6, injury incident). Claim.accident is of bills alone.

What R4's Observation has no element for stands in components that say in words what they are.
"""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.codes import cwe_codeable_concept
from adapter.mapping.functions.contacts import xad_address
from adapter.mapping.functions.primitives import decimal, yes_no_boolean
from adapter.mapping.functions.registry import Rep, function
from adapter.model import Json

_YES_NO = {5: "Job related", 6: "Fatal", 10: "Police notified"}
_TEXTS = {3: "Place of accident", 9: "Brought in by"}
_COMPONENTS = {"2": "valueCodeableConcept", **{f"2.{n}": "valueCodeableConcept" for n in range(1, 23)},
               "4": "valueCodeableConcept", **{f"4.{n}": "valueCodeableConcept" for n in range(1, 23)},
               "3": "valueString", "9": "valueString", "5": "valueBoolean", "6": "valueBoolean", "10": "valueBoolean",
               "12": "valueQuantity"}


def _named(words: str, **value: Any) -> list[Json]:
    """A component that says in words what it is; none where its value is missing."""
    return [{"code": {"text": words}, **value}] if all(one is not None for one in value.values()) else []


@function("acc_components", _COMPONENTS)
def acc_components(segment: Any, ctx: Any) -> list[Json]:
    """ACC-2 to 6, 9, 10 and 12 as components: what kind of accident, where, job, death, who brought in, police, liability."""
    found: list[Json] = []
    for n, words, source in ((2, "Kind of accident", "HL70050"), (4, "State of auto accident", "HL70347")):
        if segment.raw(n):
            found += _named(words, valueCodeableConcept=cwe_codeable_concept(segment.first(n), ctx, source=source))
    for n, words in _TEXTS.items():
        found += _named(words, valueString=segment.first(n).plain() or None)
    for n, words in _YES_NO.items():
        if segment.raw(n):
            found += _named(words, valueBoolean=yes_no_boolean(segment.first(n), ctx))
    share = decimal(segment.first(12).get(1), ctx) if segment.raw(12) else None
    percent: Json = {"value": share, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}
    return [*found, *(_named("Degree of patient liability", valueQuantity=percent) if share is not None else [])]


@function("acc_location", {str(n): "Location.address" for n in range(1, 24)})
def acc_location(rep: Rep, ctx: Any) -> Json | None:
    """The address of an accident (ACC-11), stated as Location."""
    address = xad_address(rep, ctx)
    if not address:
        return None
    body: Json = {"status": "active", "mode": "instance", "name": "Place of accident", "address": address}
    return {"reference": ctx.emit("Location", f"{ctx.local}:accident|{rep.plain()}", body)}
