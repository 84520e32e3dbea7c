"""The real HAPI validator for tests: many resources in one run of tools/hapi/fhir-validate.

Needs Java, and the shared material for US Core: mark a test that uses it `hapi` and `shared`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
IGS = Path(os.environ.get("CARELOOP_SHARED", ROOT.parent / "shared")) / "igs"


def hapi_errors(resources: list[dict[str, Any]], us_core: bool = True) -> list[str]:
    """What the HAPI validator calls an error or fatal: `Type/id (n-th): place: diagnostics`, [] where all are valid.

    Takes about 10 s, then some 10 ms a resource. us_core: with the US Core 6.1.0 profiles. Raises RuntimeError where
    the validator itself fails.
    """
    guides = ["--ig", str(IGS / "us_core_610.tgz"), "--ig", str(IGS / "stubs")] if us_core else []
    lines = "\n".join(json.dumps(resource) for resource in resources)
    run = subprocess.run(
        [str(ROOT / "tools/hapi/fhir-validate"), *guides, "-"],
        input=lines,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    if run.returncode not in (0, 1):
        raise RuntimeError(f"fhir-validate ended with {run.returncode}: {run.stderr[-2000:]}")
    found: list[str] = []
    outcomes = [json.loads(line) for line in run.stdout.splitlines()]
    if len(outcomes) != len(resources):
        raise RuntimeError(f"{len(resources)} resources, {len(outcomes)} outcomes: {run.stderr[-2000:]}")
    for outcome in outcomes:
        what = f"{outcome['resourceType']}/{outcome['id']} (line {outcome['line']})"
        found += [f"{what}: {issue['location']}: {issue['diagnostics']}" for issue in outcome["issue"]
                  if issue["severity"] in ("error", "fatal")]
    return found



# --- resources to try a validator on, before `claim`

V2, V3, HL7 = (f"http://terminology.hl7.org/CodeSystem/{part}" for part in ("v2-", "v3-", ""))
_US = "http://hl7.org/fhir/us/core/"
_PATIENT, _ORGANIZATION, _PRACTITIONER = (
    {"reference": f"{kind}/1"} for kind in ("Patient", "Organization", "Practitioner")
)


def concept(system: str, code: str) -> dict[str, Any]:
    """A CodeableConcept of one coding."""
    return {"coding": [{"system": system, "code": code}]}


def observation(category: str, loinc: str, **elements: Any) -> dict[str, Any]:
    """An Observation by category (or '') and LOINC code."""
    categories = {"category": [concept(HL7 + "observation-category", category)]} if category else {}
    return (
        {"resourceType": "Observation", "status": "final", "code": concept("http://loinc.org", loinc)}
        | categories
        | elements
    )


_CLINICAL = {"clinicalStatus": concept(HL7 + "allergyintolerance-clinical", "active")}
_LEAST: dict[str, dict[str, Any]] = {  # what cannot be marked as unknown
    "Patient": {}, "RelatedPerson": {}, "Practitioner": {}, "Organization": {}, "Location": {}, "Encounter": {},
    "PractitionerRole": {"practitioner": _PRACTITIONER}, "Coverage": {"status": "active", "subscriberId": "1"},
    "AllergyIntolerance": _CLINICAL, "Procedure": {"status": "completed"}, "CareTeam": {}, "Provenance": {},
    "Goal": {"lifecycleStatus": "active"}, "ServiceRequest": {"intent": "order"},
    "QuestionnaireResponse": {"status": "completed"}, "MedicationRequest": {"intent": "order"},
    "CarePlan": {"intent": "plan", "category": [concept(_US + "CodeSystem/careplan-category", "assess-plan")]},
}
SPARSE: list[dict[str, Any]] = [
    *({"resourceType": kind} | least for kind, least in _LEAST.items()),
    *(
        {"resourceType": "Condition", "category": [concept(system, code)]}
        for system, code in (
            (HL7 + "condition-category", "problem-list-item"),
            (HL7 + "condition-category", "encounter-diagnosis"),
            (_US + "CodeSystem/condition-category", "health-concern"),
        )
    ),
    observation("laboratory", "2345-7"),
    observation("survey", "44249-1"),
    *(
        observation("", vital)
        for vital in (
            "85353-1",
            "9279-1",
            "8867-4",
            "2708-6",
            "8310-5",
            "8302-2",
            "9843-4",
            "29463-7",
            "39156-5",
            "85354-9",
        )
    ),
]
"""One resource of each profile, with nothing in it that could be marked as unknown."""

RICH: list[dict[str, Any]] = [
    {
        "resourceType": "Patient",
        "id": "1",
        "active": True,
        "gender": "female",
        "birthDate": "1980-02-29",
        "extension": [
            {
                "url": _US + "StructureDefinition/us-core-race",
                "extension": [
                    {
                        "url": "ombCategory",
                        "valueCoding": {"system": "urn:oid:2.16.840.1.113883.6.238", "code": "2106-3"},
                    },
                    {"url": "text", "valueString": "White"},
                ],
            }
        ],
        "identifier": [
            {
                "use": "usual",
                "type": concept(V2 + "0203", "MR"),
                "system": "urn:oid:1.2.3.4",
                "value": "1",
                "period": {"start": "2020-01", "end": "2021-01"},
                "assigner": {"display": "Made-up Hospital"},
            }
        ],
        "name": [{"use": "official", "family": "Sample", "given": ["Ann", "B."]}, {"text": "Annie"}],
        "telecom": [{"system": "phone", "value": "+1 555 0100", "use": "home"}, {"system": "email"}],
        "address": [{"line": ["1 Main St"], "city": "Albany", "state": "NY", "postalCode": "12207"}],
        "maritalStatus": concept(V3 + "MaritalStatus", "M"),
        "deceasedBoolean": False,
        "communication": [{"language": concept("urn:ietf:bcp:47", "ht"), "preferred": True}, {"preferred": False}],
        "contact": [{"relationship": [concept(V2 + "0131", "C")], "name": {"text": "Bob"}}],
        "generalPractitioner": [_PRACTITIONER],
        "link": [{"other": {"reference": "Patient/2"}, "type": "seealso"}],
    },
    {
        "resourceType": "Practitioner",
        "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}],
        "name": [{"text": "Doctor A"}],
    },
    {
        "resourceType": "PractitionerRole",
        "practitioner": _PRACTITIONER,
        "organization": _ORGANIZATION,
        "telecom": [{"system": "phone", "value": "+1 555 0101"}, {"system": "fax"}],
    },
    {
        "resourceType": "Organization",
        "active": True,
        "name": "Org",
        "identifier": [{"system": "urn:oid:1.2.3.4.5", "value": "9"}],
    },
    {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"system": V3 + "ActCode", "code": "IMP"},
        "identifier": [{"value": "1"}],
        "type": [concept("urn:x-careloop:contact-type", "video")],
        "subject": _PATIENT,
        "statusHistory": [{"status": "arrived"}],
        "diagnosis": [{"rank": 1}],
        "location": [{"status": "active"}],
        "period": {"start": "2024-01-01T10:00:00-05:00", "end": "2024-01-01T16:00:00Z"},
        "participant": [{"type": [concept(V3 + "ParticipationType", "ATND")], "individual": _PRACTITIONER}],
        "hospitalization": {"dischargeDisposition": concept(V2 + "0112", "01")},
        "serviceProvider": _ORGANIZATION,
    },
    {
        "resourceType": "CareTeam",
        "status": "active",
        "subject": _PATIENT,
        "participant": [
            {"member": _PRACTITIONER, "onBehalfOf": _ORGANIZATION, "period": {"start": "2024-01-01"}},
            {
                "role": [
                    {
                        "coding": [
                            {"system": "urn:x-careloop:care-team-role", "code": "lead-coordinator"},
                            {"system": "http://snomed.info/sct", "code": "768820003"},
                        ]
                    }
                ]
            },
        ],
    },
    {
        "resourceType": "Coverage",
        "status": "active",
        "beneficiary": _PATIENT,
        "payor": [_ORGANIZATION],
        "identifier": [{"type": concept(V2 + "0203", "MB"), "system": "urn:oid:1.2.3.6", "value": "2"}],
        "class": [{"name": "Gold"}],
     "costToBeneficiary": [
            {"valueMoney": {"value": 5, "currency": "USD"}, "exception": [{"period": {"start": "2024"}}]}],
    },
    {
        "resourceType": "AllergyIntolerance",
        "code": {"text": "Penicillin"},
        "patient": _PATIENT,
        "reaction": [{"severity": "mild"}],
    }
    | _CLINICAL,
    {
        "resourceType": "Condition",
        "subject": _PATIENT,
        "code": {"text": "Asthma"},
        "abatementDateTime": "2024",
        "clinicalStatus": concept(HL7 + "condition-clinical", "resolved"),
        "category": [concept(HL7 + "condition-category", "encounter-diagnosis")],
    },
    {
        "resourceType": "Goal",
        "lifecycleStatus": "active",
        "description": {"text": "Walk"},
        "subject": _PATIENT,
        "startDate": "2024-01-01",
        "target": [
            {"measure": {"text": "minutes"}, "dueDate": "2024-06-01", "detailQuantity": {"value": 30, "unit": "min"}}
        ],
    },
    {
        "resourceType": "CarePlan",
        "status": "active",
        "intent": "plan",
        "subject": _PATIENT,
        "careTeam": [{"reference": "CareTeam/1"}],
        "category": [
            concept(_US + "CodeSystem/careplan-category", "assess-plan"),
            concept("urn:x-careloop:program", "aco"),
        ],
    },
    {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "subject": _PATIENT,
        "performer": [_ORGANIZATION],
        "code": concept("urn:x-careloop:service", "housing"),
        "category": [concept("http://snomed.info/sct", "410606002")],
    },
    {
        "resourceType": "Provenance",
        "target": [_PATIENT],
        "recorded": "2024-01-01T00:00:00Z",
        "agent": [
            {"who": _PRACTITIONER},
            {"type": concept(HL7 + "provenance-participant-type", "author"), "who": _ORGANIZATION},
        ],
    },
    {
        "resourceType": "Consent",
        "status": "active",
        "scope": concept(HL7 + "consentscope", "patient-privacy"),
        "category": [concept("http://loinc.org", "59284-0")],
        "patient": _PATIENT,
        "dateTime": "2024-01-01",
        "policyRule": concept(HL7 + "consentpolicycodes", "hipaa-auth"),
        "provision": {
            "type": "permit",
            "period": {"start": "2024-01-01", "end": "2025-01-01"},
            "purpose": [{"system": V3 + "ActReason", "code": "TREAT"}],
            "actor": [{"role": concept(V3 + "ParticipationType", "IRCP"), "reference": _ORGANIZATION}],
        },
    },
    {
        "resourceType": "Task",
        "status": "completed",
        "intent": "order",
        "focus": {"reference": "ServiceRequest/1"},
        "code": concept("http://hl7.org/fhir/CodeSystem/task-code", "fulfill"),
        "for": _PATIENT,
        "authoredOn": "2024-01-01T10:00:00Z",
        "lastModified": "2024-01-02T10:00:00Z",
    },
    {
        "resourceType": "EpisodeOfCare",
        "status": "active",
        "patient": _PATIENT,
        "managingOrganization": _ORGANIZATION,
        "type": [concept("urn:x-careloop:program", "care-coordination")],
        "period": {"start": "2024-01-01"},
    },
    {
        "resourceType": "Communication",
        "status": "not-done",
        "statusReason": {"text": "no answer"},
        "subject": _PATIENT,
        "sender": _ORGANIZATION,
        "medium": [concept(V3 + "ParticipationMode", "PHONE")],
        "sent": "2024-01-01T10:00:00Z",
    },
    observation(
        "laboratory",
        "2345-7",
        subject=_PATIENT,
        effectiveDateTime="2024-01-01",
        valueQuantity={"value": 5, "system": "http://unitsofmeasure.org", "code": "mmol/L", "unit": "mmol/L"},
    ),
]
"""Resources as the gateway composes them, with gaps at places that only a fuller resource has."""
