"""The facts of FHIR: what the file holds, and the questions that composition asks of it."""

from __future__ import annotations

import re

import pytest

from adapter.validate import facts
from adapter.validate.facts import FILE

_GOES_OUT = """Patient RelatedPerson Practitioner PractitionerRole Organization Location HealthcareService Encounter
EpisodeOfCare Account Coverage Condition AllergyIntolerance Observation Procedure CareTeam CarePlan Goal Consent Task
ServiceRequest Claim ClaimResponse MedicationRequest MedicationStatement Communication Appointment Questionnaire
QuestionnaireResponse Flag Group Measure MeasureReport DetectedIssue GuidanceResponse Composition MessageHeader
Provenance AuditEvent Bundle OperationOutcome ConceptMap"""


@pytest.mark.parametrize("resource_type", _GOES_OUT.split())
def test_every_type_that_goes_out_is_known(resource_type: str):
    assert resource_type in facts.resource_types()
    assert {"id", "meta", "extension"} <= set(facts.fields(resource_type)) or resource_type == "Bundle"


@pytest.mark.parametrize(("resource_type", "path", "expected"), [
    ("Encounter", "participant", True), ("Encounter", "participant.type", True), ("Encounter", "period", False),
    ("Encounter", "hospitalization.dischargeDisposition", False), ("Patient", "name.given", True),
    ("Patient", "deceasedBoolean", False), ("Patient", "nonsense", False), ("Nonsense", "name", False),
    ("QuestionnaireResponse", "item.item.item.answer", True), ("Bundle", "entry.link", True)])
def test_what_repeats(resource_type: str, path: str, expected: bool):
    assert facts.is_list(resource_type, path) is expected


@pytest.mark.parametrize(("resource_type", "path", "expected"), [
    ("Encounter", "hospitalization", True), ("Encounter", "period", False), ("Timing", "repeat", True),
    ("Patient", "contact", True), ("Patient", "name", False), ("Patient", "nonsense", False)])
def test_what_is_a_backbone_element(resource_type: str, path: str, expected: bool):
    assert facts.is_backbone(resource_type, path) is expected


def test_reference_targets():
    assert facts.reference_targets("CareTeam", "participant.onBehalfOf") == {"Organization"}
    assert facts.reference_targets("Task", "focus") is None
    assert facts.reference_targets("Patient", "name") is None


def test_a_place_is_fhirpath():
    assert facts.fhirpath("Patient", ["name", 0, "_given", 1]) == "Patient.name[0].given[1]"
    assert facts.fhirpath("Observation", ["valueQuantity", "value"]) == "Observation.value.ofType(Quantity).value"


def test_the_file_is_compact_and_names_no_machine():
    text = FILE.read_text()
    assert len(text) < 700_000
    assert not re.search(r"/(home|root|work|tmp)/", text)
