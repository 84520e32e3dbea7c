"""The CapabilityStatement of `/fhir`, made from the table of search parameters: what is written is what works."""

from __future__ import annotations

from importlib.metadata import version

from adapter.fhirserver.port import Capabilities
from adapter.gaps.present import DEQM
from adapter.model import Json
from adapter.notices.subscription import BACKPORT
from adapter.notices.topics import TOPICS
from adapter.store.search_params import PARAMS, SearchParam

_PUBLISHED = "2026-11-22"
_US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
_SHARED = (("_id", "token"), ("_lastUpdated", "date"))
PROFILES = {
    "AllergyIntolerance": "allergyintolerance", "CarePlan": "careplan", "CareTeam": "careteam",
    "Condition": "condition-encounter-diagnosis", "Coverage": "coverage", "Encounter": "encounter", "Goal": "goal",
    "Location": "location", "Organization": "organization", "Patient": "patient", "Practitioner": "practitioner",
    "PractitionerRole": "practitionerrole", "Provenance": "provenance", "RelatedPerson": "relatedperson",
    "ServiceRequest": "servicerequest",
}
"""Types of which resources are composed to a US Core 6.1.0 profile, and the profile's name."""

_BACKPORT_OPERATIONS = "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition"
OPERATIONS = {
    "Measure": {
        "care-gaps": f"{DEQM}/OperationDefinition/care-gaps",
        "evaluate-measure": "http://hl7.org/fhir/OperationDefinition/Measure-evaluate-measure",
    },
    "Patient": {"everything": "http://hl7.org/fhir/OperationDefinition/Patient-everything"},
}
"""Operations of a type: name to definition."""


_SUBSCRIPTION: Json = {
    "extension": [{"url": f"{BACKPORT}/capabilitystatement-subscriptiontopic-canonical", "valueCanonical": topic.url}
                  for topic in TOPICS.values()],
    "type": "Subscription",
    "supportedProfile": [f"{BACKPORT}/backport-subscription"],
    "interaction": [{"code": code} for code in ("create", "read", "update", "delete", "search-type")],
    "versioning": "versioned",
    "readHistory": False,
    "updateCreate": True,
    "searchParam": [{"name": name, "type": kind} for name, kind in (
        ("_id", "token"), ("status", "token"), ("topic", "string"), ("url", "uri"))],
    "operation": [{"name": name, "definition": f"{_BACKPORT_OPERATIONS}/backport-subscription-{name}"}
                  for name in ("status", "events")],
}


def statement(base: str, held: Capabilities) -> Json:
    """The CapabilityStatement of the server at `base`; one entry for each type it holds."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": _PUBLISHED,
        "kind": "instance",
        "software": {"name": "CareLoop", "version": version("careloop")},
        "implementation": {"description": "CareLoop care-coordination gateway", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "implementationGuide": ["http://hl7.org/fhir/us/core/ImplementationGuide/hl7.fhir.us.core|6.1.0"],
        "rest": [{
            "mode": "server",
            "documentation": "Read and search. Resources are composed from what was sent: Subscriptions alone are "
                             "written here, and the Tasks of gaps are updated.",
            "security": {"description": "Sign-in is not built yet: the server answers on its own machine only."},
            "resource": sorted([*(_resource(one) for one in held.types), _SUBSCRIPTION], key=lambda one: one["type"]),
        }],
    }


def _resource(resource_type: str) -> Json:
    params = PARAMS.get(resource_type, {})
    body: Json = {
        "type": resource_type,
        "interaction": [{"code": code} for code in ("read", "vread", "search-type")],
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": False,
        "searchParam": [*({"name": name, "type": kind} for name, kind in _SHARED),
                        *(_param(params[name]) for name in sorted(params))],
    }
    if resource_type == "Task":
        body["interaction"].append({"code": "update", "documentation": "Of a gap's Task alone: who sees to it, put off, taken "
                                    "up, given back, said to be done. Its state is the rule's answer."})
    if resource_type in PROFILES:
        body["supportedProfile"] = [_US_CORE + PROFILES[resource_type]]
    if resource_type in OPERATIONS:
        body["operation"] = [{"name": name, "definition": url} for name, url in OPERATIONS[resource_type].items()]
    return body


def _param(param: SearchParam) -> Json:
    return {"name": param.name, "type": param.type}
