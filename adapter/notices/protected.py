"""Which classes of data a stay shows: that somebody is there may say what for. Pure.

Source: the stays of rule G06, a higher level of care.
"""

from __future__ import annotations

from collections.abc import Iterator

from adapter.model import Json

GENERAL, MENTAL, SUBSTANCE = "general", "mental-health", "substance-use"
_BY_ORGANIZATION = {"mental-health": MENTAL, "csu": MENTAL, "substance-use": SUBSTANCE, "part2-program": SUBSTANCE}
"""Kinds of organizations (urn:x-careloop:organization-type), each with what a stay with it shows."""
_BY_VISIT = {"psychiatric-inpatient": MENTAL, "crisis-stabilization": MENTAL, "behavioral-health": MENTAL, "detox": SUBSTANCE}
"""Visit types (urn:x-careloop:visit-type)."""
_BY_SERVICE = {"310116000": MENTAL, "PSY": MENTAL}
"""Services (SNOMED CT; HL7 table 0069)."""


def classes_of_stay(encounter: Json, provider: Json | None) -> frozenset[str]:
    """Classes of data (urn:x-careloop:data-class) of an Encounter. provider: the Organization that gives the care."""
    found = {GENERAL}
    found.update(_BY_VISIT[code] for one in encounter.get("type", ()) for code in _codes(one) if code in _BY_VISIT)
    found.update(_BY_SERVICE[code] for code in _codes(encounter.get("serviceType")) if code in _BY_SERVICE)
    kinds = (code for one in (provider or {}).get("type", ()) for code in _codes(one))
    return frozenset(found | {_BY_ORGANIZATION[code] for code in kinds if code in _BY_ORGANIZATION})


def is_part2(organization: Json | None) -> bool:
    """Whether an Organization is a 42 CFR Part 2 program."""
    return any(code == "part2-program" for one in (organization or {}).get("type", ()) for code in _codes(one))


def _codes(concept: Json | None) -> Iterator[str]:
    return (one["code"] for one in (concept or {}).get("coding", ()) if "code" in one)
