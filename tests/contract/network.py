"""A made-up network to search in; `run` begins each id and makes identifiers its own."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
PROGRAM = "urn:x-careloop:program"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def resources(run: str) -> list[Json]:
    """Two persons with their encounters, teams, plans and papers, three organizations, two practitioners."""
    return [*_people(run), *_providers(run), *_encounters(run), *_coordination(run), *_papers(run)]


def _ref(kind: str, run: str, name: str) -> Json:
    return {"reference": f"{kind}/{run}-{name}"}


def _coded(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def _people(run: str) -> list[Json]:
    return [
        {"resourceType": "Patient", "id": f"{run}-ana", "active": True, "gender": "female", "birthDate": "1980-02-29",
         "identifier": [{"system": f"urn:x-test:{run}", "value": "M1"},
                        {"system": "urn:x-test:mrn", "value": f"{run}|7"}],
         "name": [{"family": f"Núñez{run}", "given": ["Ana", "María"]}],
         "telecom": [{"system": "phone", "value": f"555-{run}"}, {"system": "email", "value": f"ana@{run}.example"}],
         "address": [{"line": ["12 Quay"], "city": f"Port {run}", "state": "NY", "postalCode": "10001"}],
         "managingOrganization": _ref("Organization", run, "cma")},
        {"resourceType": "Patient", "id": f"{run}-bo", "gender": "male", "birthDate": "1990-07-01", "deceasedDateTime":
         "2024-05-05", "identifier": [{"system": f"urn:x-test:{run}", "value": "M2"}],
         "name": [{"family": f"Okafor{run}", "given": ["Bo"]}], "address": [{"city": f"Hill {run}"}]},
        {"resourceType": "RelatedPerson", "id": f"{run}-eva", "patient": _ref("Patient", run, "ana"),
         "name": [{"family": f"Núñez{run}", "given": ["Eva"]}],
         "relationship": [_coded("http://terminology.hl7.org/CodeSystem/v3-RoleCode", "SIS")]},
    ]


def _providers(run: str) -> list[Json]:
    organizations: list[Json] = [
        {"resourceType": "Organization", "id": f"{run}-{name}", "active": True, "name": f"{title} {run}",
         "identifier": [{"system": "urn:x-careloop:organization", "value": f"{run}-{name}"}]}
        for name, title in (("hospital", "Saint Anne"), ("cma", "Lake Care"), ("clinic", "Elm Clinic"))]
    return [
        *organizations,
        {"resourceType": "Practitioner", "id": f"{run}-kim", "name": [{"family": f"Kim{run}"}], "identifier":
         [{"system": "http://hl7.org/fhir/sid/us-npi", "value": f"{run}1"}]},
        {"resourceType": "Practitioner", "id": f"{run}-lee", "name": [{"family": f"Lee{run}"}]},
        {"resourceType": "PractitionerRole", "id": f"{run}-kimrole", "practitioner": _ref("Practitioner", run, "kim"),
         "organization": _ref("Organization", run, "cma"), "code": [_coded("urn:x-test:role", run)]},
        {"resourceType": "Location", "id": f"{run}-ward", "name": f"Ward {run}", "status": "active",
         "managingOrganization": _ref("Organization", run, "hospital")},
    ]


def _encounters(run: str) -> list[Json]:
    return [
        {"resourceType": "Encounter", "id": f"{run}-stay", "status": "finished",
         "class": {"system": ACT, "code": "IMP"},
         "type": [_coded("http://snomed.info/sct", "183452005")], "subject": _ref("Patient", run, "ana"),
         "identifier": [{"system": f"urn:x-test:{run}", "value": "V1"}],
         "period": {"start": "2024-03-01T10:00:00Z", "end": "2024-03-04T15:30:00Z"},
         "participant": [{"individual": _ref("Practitioner", run, "kim")}],
         "serviceProvider": _ref("Organization", run, "hospital"),
         "location": [{"location": _ref("Location", run, "ward")}],
         "hospitalization": {"dischargeDisposition": _coded("urn:x-test:disposition", "home")}},
        {"resourceType": "Encounter", "id": f"{run}-call", "status": "finished", "class": {"system": ACT, "code": "VR"},
         "type": [_coded("urn:x-careloop:contact-type", "telephone")], "subject": _ref("Patient", run, "ana"),
         "period": {"start": "2024-03-06T09:00:00Z", "end": "2024-03-06T09:10:00Z"},
         "serviceProvider": _ref("Organization", run, "cma")},
        {"resourceType": "Encounter", "id": f"{run}-open", "status": "in-progress",
         "class": {"system": ACT, "code": "EMER"},
         "subject": _ref("Patient", run, "bo"), "period": {"start": "2024-06-01T00:00:00Z"}},
        {"resourceType": "EpisodeOfCare", "id": f"{run}-enrolled", "status": "active",
         "patient": _ref("Patient", run, "ana"),
         "type": [_coded(PROGRAM, "care-coordination")], "managingOrganization": _ref("Organization", run, "cma"),
         "period": {"start": "2024-01-15"}},
    ]


def _coordination(run: str) -> list[Json]:
    person = _ref("Patient", run, "ana")
    return [
        {"resourceType": "CareTeam", "id": f"{run}-team", "status": "active", "subject": person,
         "category": [_coded(PROGRAM, "care-coordination")], "participant": [
             {"role": [_coded("http://snomed.info/sct", "768820003")], "member": _ref("Practitioner", run, "kim"),
              "onBehalfOf": _ref("Organization", run, "cma")},
             {"role": [_coded("urn:x-test:role", "natural-support")], "member": _ref("RelatedPerson", run, "eva")}]},
        {"resourceType": "CareTeam", "id": f"{run}-oldteam", "status": "inactive", "subject": person,
         "participant": [{"member": _ref("Practitioner", run, "lee")}]},
        {"resourceType": "Goal", "id": f"{run}-goal", "lifecycleStatus": "active", "subject": person,
         "startDate": "2024-02",
         "description": {"text": "walk"}, "target": [{"dueDate": "2024-12-31", "measure": {"text": "steps"}}]},
        {"resourceType": "CarePlan", "id": f"{run}-plan", "status": "active", "intent": "plan", "subject": person,
         "category": [_coded("http://hl7.org/fhir/us/core/CodeSystem/careplan-category", "assess-plan")],
         "careTeam": [_ref("CareTeam", run, "team")], "goal": [_ref("Goal", run, "goal")],
         "period": {"start": "2024-02-01"}},
        {"resourceType": "ServiceRequest", "id": f"{run}-referral", "status": "active", "intent": "order",
         "subject": person,
         "category": [_coded("urn:x-test:category", "social")], "code": _coded("urn:x-careloop:service", "housing"),
         "authoredOn": "2024-03-05T12:00:00Z", "requester": _ref("Organization", run, "cma"),
         "performer": [_ref("Organization", run, "clinic")]},
        {"resourceType": "Task", "id": f"{run}-task", "status": "requested", "intent": "order", "for": person,
         "code": _coded("http://hl7.org/fhir/CodeSystem/task-code", "fulfill"),
         "focus": _ref("ServiceRequest", run, "referral"),
         "owner": _ref("Organization", run, "clinic"), "authoredOn": "2024-03-05T12:00:00Z",
         "lastModified": "2024-03-05T12:00:00Z"},
        {"resourceType": "Communication", "id": f"{run}-missed", "status": "not-done", "subject": person,
         "sent": "2024-03-07T08:00:00Z", "sender": _ref("Organization", run, "cma")},
    ]


def _papers(run: str) -> list[Json]:
    person = _ref("Patient", run, "ana")
    recipient = {"role": _coded("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP"),
                 "reference": _ref("Organization", run, "cma")}
    return [
        {"resourceType": "Consent", "id": f"{run}-consent", "status": "active", "patient": person,
         "scope": _coded("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
         "category": [_coded("http://loinc.org", "59284-0")], "dateTime": "2024-01-10", "performer": [person],
         "organization": [_ref("Organization", run, "hospital")], "policy": [{"uri": "urn:x-test:policy"}],
         "provision": {"type": "permit", "period": {"start": "2024-01-10", "end": "2025-01-09"}, "actor": [recipient]}},
        {"resourceType": "Coverage", "id": f"{run}-coverage", "status": "active", "beneficiary": person,
         "payor": [_ref("Organization", run, "clinic")]},
        {"resourceType": "Account", "id": f"{run}-account", "status": "active", "subject": [person],
         "identifier": [{"system": f"urn:x-test:{run}", "value": "A1"}]},
        {"resourceType": "Provenance", "id": f"{run}-prov", "recorded": "2024-03-04T16:00:00Z",
         "target": [_ref("Encounter", run, "stay"), person], "agent": [{"who": _ref("Organization", run, "hospital")}]},
        {"resourceType": "MessageHeader", "id": f"{run}-header", "source": {"endpoint": f"urn:x-test:{run}"},
         "eventCoding": {"system": "http://terminology.hl7.org/CodeSystem/v2-0003", "code": "A03"},
         "focus": [_ref("Encounter", run, "stay")]},
    ]
