"""US Core 6.1.0: which profiles a resource claims, and what is missing for them.

`claim` is pure but for the freshly composed dict it is given. What each profile asks is read from its
StructureDefinition (needs.py); the invariants among it stand here, named by their keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from adapter.model import Issue, Json
from adapter.validate import facts
from adapter.validate.needs import (
    DAR_EXTENSION,
    absent,
    impossible,
    lean,
    met,
    needs,
    parts,
    satisfy,
    text,
    unknown_concept,
)
from adapter.validate.numbers import well_formed
from adapter.validate.observations import observation_profiles, observation_rule

US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
_BY_TYPE = {
    "Patient": "us-core-patient",
    "RelatedPerson": "us-core-relatedperson",
    "Practitioner": "us-core-practitioner",
    "PractitionerRole": "us-core-practitionerrole",
    "Organization": "us-core-organization",
    "Location": "us-core-location",
    "Encounter": "us-core-encounter",
    "Coverage": "us-core-coverage",
    "Procedure": "us-core-procedure",
    "AllergyIntolerance": "us-core-allergyintolerance",
    "CareTeam": "us-core-careteam",
    "Goal": "us-core-goal",
    "ServiceRequest": "us-core-servicerequest",
    "QuestionnaireResponse": "us-core-questionnaireresponse",
    "Provenance": "us-core-provenance",
    "MedicationRequest": "us-core-medicationrequest",
}
_OF_PATIENTS = frozenset(("Goal", "QuestionnaireResponse"))
"""Types whose subject R4 lets be an organization (its target, its survey), and the profile does not."""
_PROBLEM, _DIAGNOSIS = "us-core-condition-problems-health-concerns", "us-core-condition-encounter-diagnosis"
_CONDITION_CATEGORY = {
    "http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item": _PROBLEM,
    "http://hl7.org/fhir/us/core/CodeSystem/condition-category|health-concern": _PROBLEM,
    "http://terminology.hl7.org/CodeSystem/condition-category|encounter-diagnosis": _DIAGNOSIS,
}
_ASSESS_PLAN = "http://hl7.org/fhir/us/core/CodeSystem/careplan-category|assess-plan"
_MEMBER_NUMBER = "http://terminology.hl7.org/CodeSystem/v2-0203|MB"
_ORDERS = frozenset(("order", "original-order", "reflex-order", "filler-order", "instance-order"))
_STATE_TYPES = frozenset(("Patient", "Practitioner", "Organization", "Location"))
_USPS = frozenset((
    "AL", "AK", "AS", "AZ", "AR", "CA", "CO", "CT", "DE", "DC", "FM", "FL", "GA", "GU", "HI", "ID", "IL", "IN", "IA", "KS", "KY",
    "LA", "ME", "MH", "MD", "MA", "MI", "MN", "MS", "MO", "MT", "NE", "NV", "NH", "NJ", "NM", "NY", "NC", "ND", "MP", "OH", "OK",
    "OR", "PW", "PA", "PR", "RI", "SC", "SD", "TN", "TX", "UT", "VT", "VI", "VA", "WA", "WV", "WI", "WY", "AE", "AP", "AA"))
"""States of address.state by the value set us-core-usps-state: a validator refuses others (of those types that bind it)."""


def claim(resource: Json) -> list[Issue]:
    """Claim the US Core profiles that fit a resource, marking what they miss; the resource itself is changed.

    Adds `meta.profile`. Each element marked as unknown gives `must-have-absent`; a profile that asks for something that
    is missing and cannot be marked is not claimed and gives `profile-not-claimed`. Parts below the top level are
    copied, never changed, so they may be shared. A type without a profile is left as it is. Source: US Core 6.1.0,
    Missing Data.
    """
    issues: list[Issue] = []
    resource_type = text(resource, "resourceType")
    urls = _profiles_of(resource_type, resource, issues)
    for url in urls:
        refused = _fill(resource_type, resource, url, issues)
        if not refused:
            rule = _RULES.get(resource_type)
            if rule is not None:
                rule(resource, issues)
            _name_profile(resource, url)
    return issues


def _fill(resource_type: str, resource: Json, url: str, issues: list[Issue]) -> bool:
    """Mark what a profile misses; True where it cannot be claimed, then only what R4 itself asks for is marked."""
    wanted = needs(url)
    complete = met(resource, lean(url))
    refused = "" if complete else impossible(resource, wanted, resource_type)
    refused = refused or _refused(resource_type, resource)
    if refused:
        issues.append(Issue(code="profile-not-claimed", place=refused, detail=url.rsplit("/", 1)[-1]))
    if not complete:
        resource.update(satisfy(resource, wanted, resource_type, bool(refused), issues))
    return bool(refused)


def _profiles_of(resource_type: str, resource: Json, issues: list[Issue]) -> list[str]:
    if resource_type in _BY_TYPE:
        of_another = resource_type in _OF_PATIENTS and any(
            text(one, "reference").startswith("Organization/") for one in parts(resource, "subject"))
        return [] if of_another else [US_CORE + _BY_TYPE[resource_type]]
    if resource_type == "Condition":
        found = sorted({_CONDITION_CATEGORY[c] for c in codings(resource, "category") if c in _CONDITION_CATEGORY})
        if not found:
            issues.append(Issue(code="profile-not-claimed", place="Condition.category",
                                detail="neither problem-list-item, health-concern nor encounter-diagnosis"))
        return [US_CORE + name for name in found]
    if resource_type == "CarePlan" and _ASSESS_PLAN in codings(resource, "category"):
        return [US_CORE + "us-core-careplan"]
    if resource_type == "Observation":
        return [US_CORE + name for name in observation_profiles(resource, issues)]
    return []


def codings(resource: Json, element: str) -> set[str]:
    """`system|code` of each coding in a CodeableConcept element, or in a list of them."""
    return {f"{text(coding, 'system')}|{text(coding, 'code')}" for concept in parts(resource, element)
            for coding in parts(concept, "coding")}


def _name_profile(resource: Json, url: str) -> None:
    nothing: Json = {}
    meta = next(iter(parts(resource, "meta")), nothing)
    named: Any = meta.get("profile", [])
    if isinstance(named, list) and url not in named:
        resource["meta"] = {**meta, "profile": [*cast("list[str]", named), url]}


# --- what cannot be marked: the place, or ''

def _refused(resource_type: str, resource: Json) -> str:
    if resource_type in ("Practitioner", "Organization"):
        for index, identifier in enumerate(parts(resource, "identifier")):
            if "value" in identifier and not well_formed(text(identifier, "system"), text(identifier, "value")):
                return f"{resource_type}.identifier[{index}].value"
    if resource_type in _STATE_TYPES:
        return _foreign(resource_type, resource)
    if resource_type == "Coverage" and "subscriberId" not in resource:  # us-core-15
        numbers = (codings(identifier, "type") for identifier in parts(resource, "identifier"))
        if not any(_MEMBER_NUMBER in found for found in numbers):
            return "Coverage.subscriberId"
    elif resource_type == "PractitionerRole":  # us-core-13
        if not any(name in resource for name in ("practitioner", "organization", "healthcareService", "location")):
            return "PractitionerRole.practitioner"
    elif resource_type == "Observation":
        return observation_rule(resource)
    return ""


def _foreign(resource_type: str, resource: Json) -> str:
    """The place of the first address whose state is no code of the United States Postal Service."""
    many = resource_type != "Location"
    return next((f"{resource_type}.address{f'[{index}]' if many else ''}.state"
                 for index, address in enumerate(parts(resource, "address"))
                 if "state" in address and text(address, "state") not in _USPS), "")


# --- invariants whose missing part can be marked

def _patient(resource: Json, issues: list[Issue]) -> None:  # us-core-6
    names = parts(resource, "name")
    for index, name in enumerate(names):
        if "family" in name or "given" in name or "_family" in name or "_given" in name or _marked(name):
            continue
        extensions = [*parts(name, "extension"), *absent()["extension"]]
        resource["name"] = names = [*names[:index], {**name, "extension": extensions}, *names[index + 1:]]
        issues.append(Issue(code="must-have-absent", place=f"Patient.name[{index}].family"))


def _marked(node: Json) -> bool:
    return any(extension.get("url") == DAR_EXTENSION for extension in parts(node, "extension"))


def _related_person(resource: Json, issues: list[Issue]) -> None:  # us-core-14
    if "name" not in resource and "relationship" not in resource:
        _mark(resource, "RelatedPerson", "relationship", [unknown_concept()], issues)


def _practitioner_role(resource: Json, issues: list[Issue]) -> None:  # pd-1
    if "telecom" not in resource and "endpoint" not in resource:
        _mark(resource, "PractitionerRole", "endpoint", [absent()], issues)


def _procedure(resource: Json, issues: list[Issue]) -> None:  # us-core-7
    done = text(resource, "status") in ("completed", "in-progress")
    if done and not any(name.lstrip("_").startswith("performed") for name in resource):
        resource["_performedDateTime"] = absent()
        issues.append(Issue(code="must-have-absent", place="Procedure.performed"))


def _medication_request(resource: Json, issues: list[Issue]) -> None:  # us-core-21
    if text(resource, "intent") in _ORDERS and "requester" not in resource:
        _mark(resource, "MedicationRequest", "requester", absent(), issues)


def _provenance(resource: Json, issues: list[Issue]) -> None:  # provenance-1
    agents = parts(resource, "agent")
    for index, agent in enumerate(agents):
        who = next((text(one, "reference") for one in parts(agent, "who")), "")
        if who.startswith(("Practitioner/", "Device/")) and "onBehalfOf" not in agent:
            resource["agent"] = agents = [*agents[:index], {**agent, "onBehalfOf": absent()}, *agents[index + 1:]]
            issues.append(Issue(code="must-have-absent", place=f"Provenance.agent[{index}].onBehalfOf"))


def _mark(resource: Json, resource_type: str, name: str, value: Any, issues: list[Issue]) -> None:
    resource[name] = value
    issues.append(Issue(code="must-have-absent", place=f"{resource_type}.{name}"))


_RULES: dict[str, Callable[[Json, list[Issue]], None]] = {
    "Patient": _patient, "RelatedPerson": _related_person, "PractitionerRole": _practitioner_role,
    "Procedure": _procedure, "MedicationRequest": _medication_request, "Provenance": _provenance,
}


def known_rules() -> dict[str, str]:
    """Key -> words of every invariant of severity error that US Core adds to the profiles that are claimed."""
    claimed = {US_CORE + name for name in (*_BY_TYPE.values(), *_CONDITION_CATEGORY.values(), "us-core-careplan")}
    return {key: words for url in sorted(claimed) for key, words in facts.profiles()[url].get("rules", {}).items()}
