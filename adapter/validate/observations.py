"""Observation: the US Core profiles by category, and what FHIR's vital-signs profile asks by code.

Validators apply the vital-signs profile of FHIR 4.0.1 to an Observation by its LOINC code alone, claimed or not; so
what it asks is marked here too. Source: FHIR 4.0.1, Vital Signs; US Core 6.1.0, laboratory and screening.
"""

from __future__ import annotations

from typing import Any

from adapter.model import Issue, Json
from adapter.validate.needs import absent, parts, text, unknown_concept

_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_UCUM = "http://unitsofmeasure.org"
_PROFILES = {"laboratory": "us-core-observation-lab", "survey": "us-core-observation-screening-assessment"}
_VITAL_SIGNS = frozenset((  # LOINC: panel, breath, heart, oxygen, temperature, height, head, weight, BMI, pressure
    "85353-1", "9279-1", "8867-4", "2708-6", "8310-5", "8302-2", "9843-4", "29463-7", "39156-5", "85354-9"))


def observation_profiles(resource: Json, issues: list[Issue]) -> list[str]:
    """The US Core profiles that an Observation's category names; marks what its code asks for as a vital sign."""
    if vital_sign(resource):
        _as_vital_sign(resource, issues)
        return []
    found = sorted(
        {
            _PROFILES[text(c, "code")]
            for concept in parts(resource, "category")
            for c in parts(concept, "coding")
            if c.get("system") == _CATEGORY and text(c, "code") in _PROFILES
        }
    )
    if found:
        _with_reason(resource, issues)
    return found


def observation_rule(resource: Json) -> str:
    """The place where us-core-1 (day precision) or us-core-3 (UCUM) fails, '' where both hold."""
    if 0 < len(text(resource, "effectiveDateTime")) < 10:
        return "Observation.effective.ofType(dateTime)"
    if any("code" in quantity and quantity.get("system") != _UCUM for quantity in parts(resource, "valueQuantity")):
        return "Observation.value.ofType(Quantity).system"
    return ""


def vital_sign(resource: Json) -> bool:
    """Whether a validator takes the Observation for a vital sign by its code."""
    return any(c.get("system") == "http://loinc.org" and text(c, "code") in _VITAL_SIGNS
               for concept in parts(resource, "code") for c in parts(concept, "coding"))


def _as_vital_sign(resource: Json, issues: list[Issue]) -> None:
    categories = parts(resource, "category")
    if not any(c.get("system") == _CATEGORY and c.get("code") == "vital-signs"
               for concept in categories for c in parts(concept, "coding")):
        resource["category"] = [*categories, {"coding": [{"system": _CATEGORY, "code": "vital-signs"}]}]
    if not any(name in resource for name in ("effectiveDateTime", "effectivePeriod", "_effectiveDateTime")):
        resource["_effectiveDateTime"] = absent()
        issues.append(Issue(code="must-have-absent", place="Observation.effective"))
    if "subject" not in resource:
        _mark(resource, "subject", absent(), issues)
    _with_reason(resource, issues)


def _with_reason(resource: Json, issues: list[Issue]) -> None:  # us-core-2, vs-2
    said = ("component", "hasMember", "dataAbsentReason")
    if not any(name.startswith("value") or name in said for name in resource):
        _mark(resource, "dataAbsentReason", unknown_concept(), issues)


def _mark(resource: Json, name: str, value: Any, issues: list[Issue]) -> None:
    resource[name] = value
    issues.append(Issue(code="must-have-absent", place=f"Observation.{name}"))
