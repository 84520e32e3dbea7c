"""Is a resource FHIR R4? Structure and codes by its schema, then what a schema cannot see (walk.py and here).

Findings are `Issue` values with a FHIRPath place; none holds a value of the resource.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from adapter.model import Issue, Json
from adapter.validate import facts, schema
from adapter.validate.periods import in_order
from adapter.validate.references import check_references
from adapter.validate.walk import LITERAL, Path, findings, resources_inside, sound, steps_of

__all__ = ["check", "check_references"]

_HOLDERS = frozenset(("Bundle", "Parameters"))
_Found = Iterator[tuple[Path, str]]


def check(resource: Json) -> list[Issue]:
    """What of a resource is not FHIR R4: structure, cardinality, forms, required codes, invariants of severity error.

    Each is a `fhir-structure` at its FHIRPath. Where the structure does not hold, the other checks wait for it.
    Contained resources and those in a Bundle or in Parameters are checked too. For references see `check_references`.
    """
    try:
        return _check(resource)
    except RecursionError:
        return [Issue(code="fhir-structure", place="resourceType", detail="nested too deep")]


def _check(resource: Json) -> list[Issue]:
    resource_type: Any = resource.get("resourceType")
    if not isinstance(resource_type, str) or resource_type not in facts.resource_types():
        return [Issue(code="fhir-structure", place="resourceType", detail="not a resource type that is known here")]
    wrong: list[tuple[Any, str]] = list(schema.errors(resource))
    if not wrong:
        if not sound(resource, steps_of(resource_type), facts.system_codes(), resource):
            wrong += findings(resource, resource_type, resource)
        rule = _RULES.get(resource_type)
        if rule is not None:
            wrong += rule(resource)
    found = [Issue(code="fhir-structure", place=facts.fhirpath(resource_type, path), detail=words)
             for path, words in wrong]
    if not wrong and ("contained" in resource or resource_type in _HOLDERS):
        for path, inside in resources_inside(resource, resource_type):
            place = facts.fhirpath(resource_type, path)
            found += [Issue(code=i.code, place=f"{place}: {i.place}", detail=i.detail) for i in check(inside)]
    return found


def _care_team(resource: Json) -> _Found:
    for index, participant in enumerate(resource.get("participant", ())):
        if "onBehalfOf" in participant:
            member: str = participant.get("member", {}).get("reference", "")
            if not member.startswith("Practitioner/") and LITERAL.fullmatch(member):
                yield ("participant", index), "ctm-1: onBehalfOf only where the member is a Practitioner"


def _task(resource: Json) -> _Found:
    if "authoredOn" in resource and "lastModified" in resource and not in_order(
            resource["authoredOn"], resource["lastModified"]):
        yield ("lastModified",), "inv-1: lastModified is before authoredOn, or their precisions do not let one say"


def _bundle(resource: Json) -> _Found:
    asked = resource["type"] in ("batch", "transaction", "history")
    answered = resource["type"] in ("batch-response", "transaction-response", "history")
    for index, entry in enumerate(resource.get("entry", ())):
        if ("request" in entry) != asked:
            yield ("entry", index), "bdl-3: request in batch, transaction and history, only there"
        if ("response" in entry) != answered:
            yield ("entry", index), "bdl-4: response in answers and history, only there"


_RULES: dict[str, Callable[[Json], _Found]] = {"CareTeam": _care_team, "Task": _task, "Bundle": _bundle}
