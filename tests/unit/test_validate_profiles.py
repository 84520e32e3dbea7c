"""`claim`: which profiles are named, what is marked as unknown, what stops a claim, and that shared parts are left
alone."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.validate.numbers import valid_npi
from adapter.validate.profiles import US_CORE, claim, known_rules
from tests.validator import HL7, RICH, SPARSE, V2, concept, observation

_REASON = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}
_UNKNOWN = {"coding": [{"system": HL7 + "data-absent-reason", "code": "unknown", "display": "Unknown"}]}
_PATIENT = {"reference": "Patient/1"}


def _claimed(resource: dict[str, Any]) -> tuple[dict[str, Any], list[str], list[str]]:
    """What claim makes of it, the places marked, the places that stop it."""
    made = deepcopy(resource)
    issues = claim(made)
    return (made, [i.place for i in issues if i.code == "must-have-absent"],
            [i.place for i in issues if i.code == "profile-not-claimed"])


def test_a_complete_patient_is_only_given_its_profile():
    patient = {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:x:a", "value": "1"}],
        "name": [{"family": "A"}],
        "gender": "female",
    }
    made, marked, stopped = _claimed(patient)
    assert made == patient | {"meta": {"profile": [US_CORE + "us-core-patient"]}}
    assert (marked, stopped) == ([], [])


def test_what_a_patient_lacks_is_marked():
    made, marked, _ = _claimed({"resourceType": "Patient", "name": [{"text": "Ann"}], "identifier": [{"value": "1"}],
                                "telecom": [{"system": "phone"}], "communication": [{"preferred": True}]})
    assert made["gender"] == "unknown"
    assert made["name"] == [{"text": "Ann"} | _REASON]
    assert made["identifier"] == [{"value": "1", "_system": _REASON}]
    assert made["telecom"] == [{"system": "phone", "_value": _REASON}]
    assert made["communication"] == [{"preferred": True, "language": _UNKNOWN}]
    assert sorted(marked) == ["Patient.communication[0].language", "Patient.gender", "Patient.identifier[0].system",
                              "Patient.name[0].family", "Patient.telecom[0].value"]


@pytest.mark.parametrize(
    ("resource", "element", "expected", "place"),
    [
        ({"resourceType": "Encounter"}, "status", "unknown", "Encounter.status"),
        ({"resourceType": "Encounter"}, "type", [_UNKNOWN], "Encounter.type"),
        ({"resourceType": "Location"}, "_name", _REASON, "Location.name"),
        ({"resourceType": "Organization", "name": "A"}, "_active", _REASON, "Organization.active"),
        ({"resourceType": "Practitioner"}, "name", [{"_family": _REASON}], "Practitioner.name"),
        (
            {"resourceType": "CareTeam", "participant": [{"member": _PATIENT}]},
            "participant",
            [{"member": _PATIENT, "role": [_UNKNOWN]}],
            "CareTeam.participant[0].role",
        ),
        ({"resourceType": "RelatedPerson"}, "relationship", [_UNKNOWN], "RelatedPerson.relationship"),
        (
            {"resourceType": "PractitionerRole", "practitioner": {"display": "A"}},
            "endpoint",
            [_REASON],
            "PractitionerRole.endpoint",
        ),
        ({"resourceType": "Procedure", "status": "completed"}, "_performedDateTime", _REASON, "Procedure.performed"),
        ({"resourceType": "MedicationRequest", "intent": "order"}, "requester", _REASON, "MedicationRequest.requester"),
        (
            {"resourceType": "MedicationRequest", "intent": "order"},
            "medicationCodeableConcept",
            _UNKNOWN,
            "MedicationRequest.medication",
        ),
        (
            {"resourceType": "Provenance", "agent": [{"who": {"reference": "Practitioner/1"}}]},
            "agent",
            [{"who": {"reference": "Practitioner/1"}, "onBehalfOf": _REASON}],
            "Provenance.agent[0].onBehalfOf",
        ),
        (observation("laboratory", "2345-7"), "dataAbsentReason", _UNKNOWN, "Observation.dataAbsentReason"),
        (
            observation("", "8867-4"),
            "category",
            [concept(HL7 + "observation-category", "vital-signs")],
            "Observation.effective",
        ),
    ],
    ids=lambda case: str(case)[:50],
)
def test_each_way_to_mark_what_is_missing(resource: dict[str, Any], element: str, expected: Any, place: str):
    made, marked, stopped = _claimed(resource)
    assert made[element] == expected
    assert place in marked
    assert stopped == []


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        ({"resourceType": "Coverage", "status": "active", "payor": [{"display": "A"}]}, "Coverage.subscriberId"),
        ({"resourceType": "Coverage", "subscriberId": "1"}, "Coverage.status"),
        (
            {
                "resourceType": "Coverage",
                "status": "active",
                "subscriberId": "1",
                "payor": [{"display": "A"}, {"display": "B"}],
            },
            "Coverage.payor",
        ),
        (
            {"resourceType": "CareTeam", "participant": [{"role": [{"text": "A"}, {"text": "B"}]}]},
            "CareTeam.participant[0].role",
        ),
        ({"resourceType": "PractitionerRole", "code": [{"text": "A"}]}, "PractitionerRole.practitioner"),
        (
            {"resourceType": "PractitionerRole", "practitioner": _PATIENT, "telecom": [{"value": "1"}]},
            "PractitionerRole.telecom[0].system",
        ),
        ({"resourceType": "Goal"}, "Goal.lifecycleStatus"),
        ({"resourceType": "ServiceRequest"}, "ServiceRequest.intent"),
        ({"resourceType": "Condition"}, "Condition.category"),
        (
            {
                "resourceType": "Practitioner",
                "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567890"}],
            },
            "Practitioner.identifier[0].value",
        ),
        (
            {"resourceType": "Organization", "identifier": [{"system": "urn:oid:2.16.840.1.113883.4.7", "value": "1"}]},
            "Organization.identifier[0].value",
        ),
        (observation("laboratory", "2345-7", effectiveDateTime="2024"), "Observation.effective.ofType(dateTime)"),
        (
            observation("laboratory", "2345-7", valueQuantity={"value": 1, "code": "mg"}),
            "Observation.value.ofType(Quantity).system",
        ),
    ],
    ids=lambda case: str(case)[:60],
)
def test_what_cannot_be_marked_stops_the_claim(resource: dict[str, Any], place: str):
    made, _, stopped = _claimed(resource)
    assert stopped == [place]
    assert "meta" not in made


def test_what_r4_itself_asks_for_is_marked_without_a_claim():
    made, marked, stopped = _claimed({"resourceType": "Coverage", "status": "active"})
    assert stopped == ["Coverage.subscriberId"]
    assert made["payor"] == [_REASON]
    assert "relationship" not in made
    assert sorted(marked) == ["Coverage.beneficiary", "Coverage.payor"]


def test_a_member_number_may_be_an_identifier():
    coverage = {
        "resourceType": "Coverage",
        "status": "active",
        "identifier": [{"type": concept(V2 + "0203", "MB"), "value": "1"}],
    }
    assert _claimed(coverage)[2] == []


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "CarePlan", "status": "active", "intent": "plan"},
        {"resourceType": "Consent"},
        {"resourceType": "Task"},
        {"resourceType": "Observation"},
        {"resourceType": "Nonsense"},
        {},
    ],
    ids=str,
)
def test_without_a_profile_nothing_is_changed(resource: dict[str, Any]):
    assert _claimed(resource) == (resource, [], [])


def test_a_profile_that_is_named_already_stays_beside_ours():
    made, _, _ = _claimed(
        {"resourceType": "Location", "name": "A", "meta": {"profile": ["urn:x:other"], "source": "urn:x:s"}}
    )
    assert made["meta"] == {"profile": ["urn:x:other", US_CORE + "us-core-location"], "source": "urn:x:s"}


@pytest.mark.parametrize("resource", [*SPARSE, *RICH], ids=lambda resource: resource["resourceType"])
def test_a_second_claim_changes_nothing(resource: dict[str, Any]):
    made, _, _ = _claimed(resource)
    again, marked, _ = _claimed(made)
    assert (again, marked) == (made, [])


@pytest.mark.parametrize("resource", RICH, ids=lambda resource: resource["resourceType"])
def test_parts_below_the_top_are_never_changed(resource: dict[str, Any]):
    shared = deepcopy(resource)
    top = dict(shared)
    claim(top)
    assert shared == resource


def test_every_invariant_of_the_claimed_profiles_is_kept():
    assert set(known_rules()) == {
        "us-core-6",
        "us-core-7",
        "us-core-13",
        "us-core-14",
        "us-core-15",
        "us-core-16",
        "us-core-17",
        "us-core-18",
        "us-core-19",
        "us-core-21",
        "pd-1",
        "provenance-1",
    }


@given(st.integers(0, 999_999_999))
def test_nine_digits_have_one_check_digit(number: int):
    assert sum(valid_npi(f"{number:09}{digit}") for digit in range(10)) == 1


@pytest.mark.parametrize(("value", "expected"), [("1234567893", True), ("1234567890", False), ("123456789", False),
                                                 ("12345678９3", False), ("abcdefghij", False)])
def test_npi(value: str, expected: bool):
    assert valid_npi(value) is expected


_STATED = {
    "Patient": {"identifier": [{"system": "urn:x:a", "value": "1"}], "name": [{"family": "A"}], "gender": "female"},
    "Practitioner": {"identifier": [{"system": "urn:x:a", "value": "1"}], "name": [{"family": "A"}]},
    "Organization": {"active": True, "name": "A"},
    "Location": {"name": "A"},
}


@pytest.mark.parametrize("kind", _STATED)
@pytest.mark.parametrize(("state", "claims"), [("NY", True), ("California", False), ("22031", False), ("ny", False)])
def test_a_state_that_is_no_postal_code_stays_and_nothing_is_claimed(kind: str, state: str, claims: bool):
    address = {"line": ["1 Main St"], "state": state}
    many = [{"state": "NY"}, address]
    made, marked, stopped = _claimed({"resourceType": kind, **_STATED[kind], "address": address if kind == "Location" else many})
    assert made["address"] in (address, many)
    place = f"{kind}.address.state" if kind == "Location" else f"{kind}.address[1].state"
    assert (marked, stopped, "meta" in made) == ([], [] if claims else [place], claims)


def test_a_related_person_may_live_anywhere():
    made, _, stopped = _claimed({"resourceType": "RelatedPerson", "active": True, "patient": _PATIENT,
                                 "name": [{"family": "A"}], "address": [{"state": "Ontario"}]})
    assert (stopped, "meta" in made) == ([], True)


@pytest.mark.parametrize("kind", ["Goal", "QuestionnaireResponse"])
def test_a_goal_or_survey_of_an_organization_claims_no_profile_of_patients(kind: str):
    made, marked, stopped = _claimed({"resourceType": kind, "subject": {"reference": "Organization/1"}})
    assert (made.get("meta"), marked, stopped) == (None, [], [])
    assert "meta" in _claimed({"resourceType": kind, "subject": _PATIENT, "lifecycleStatus": "active", "status": "completed"})[0]
