"""`check_references`: targets that stand, targets that may not, and forms that are not looked at."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.validate.check import check_references

_TEAM: dict[str, Any] = {"resourceType": "CareTeam", "id": "t", "subject": {"reference": "Patient/p"}, "participant": [
    {"member": {"reference": "Practitioner/d"}, "onBehalfOf": {"reference": "Organization/o"}}]}
_PATIENT = {"resourceType": "Patient", "id": "p"}


def _nowhere(_reference: str) -> bool:
    return False


def _found(resources: list[dict[str, Any]], there: set[str]) -> list[tuple[str, str]]:
    return [(issue.place, issue.detail) for issue in check_references(resources, there.__contains__)]


def test_a_target_stands_in_the_set_or_elsewhere():
    assert _found([_TEAM, _PATIENT], {"Practitioner/d", "Organization/o"}) == []


def test_a_missing_target_is_told_where_it_is_named():
    assert _found([_TEAM, _PATIENT], {"Organization/o"}) == [
        ("CareTeam/t: CareTeam.participant[0].member", "no such Practitioner")]


def test_a_target_of_another_type_is_refused_even_if_it_stands():
    team = _TEAM | {"participant": [{"member": {"reference": "Location/l"}}]}
    assert _found([team, _PATIENT], {"Location/l"}) == [
        ("CareTeam/t: CareTeam.participant[0].member", "may not be a Location")]


def test_each_target_is_asked_for_once():
    asked: list[str] = []

    def exists(reference: str) -> bool:
        asked.append(reference)
        return True

    check_references([_TEAM, _TEAM | {"id": "u"}], exists)
    assert sorted(asked) == ["Organization/o", "Patient/p", "Practitioner/d"]


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Patient", "identifier": [{"assigner": {"reference": "Organization/x"}}]},
        {
            "resourceType": "Patient",
            "extension": [{"url": "urn:x:a", "valueReference": {"reference": "Organization/x"}}],
        },
        {"resourceType": "Patient", "_birthDate": {"id": "a"}, "link": [{"other": {"reference": "Patient/x"}}]},
        {
            "resourceType": "Patient",
            "contained": [{"resourceType": "Organization", "partOf": {"reference": "Organization/x"}}],
        },
        {"resourceType": "Provenance", "target": [{"reference": "Patient/x/_history/3"}]},
        {"resourceType": "Task", "input": [{"valueReference": {"reference": "Patient/x"}}]},
    ],
    ids=lambda resource: str(resource)[17:70],
)
def test_references_are_found_wherever_they_stand(resource: dict[str, Any]):
    assert [issue.code for issue in check_references([resource], _nowhere)] == ["fhir-reference"]


@pytest.mark.parametrize("reference", ["#a", "urn:uuid:7ba3d4a2-5b0c-4d33-9d0e-1de8c2e3f7aa", "https://fhir.example/Patient/1",
                                       "Patient?identifier=a|b"])
def test_other_forms_are_not_looked_at(reference: str):
    assert check_references([{"resourceType": "CareTeam", "subject": {"reference": reference}}], _nowhere) == []


def test_a_version_of_a_target_that_stands():
    resource = {"resourceType": "Provenance", "id": "v", "target": [{"reference": "Patient/p/_history/3"}]}
    assert _found([resource, _PATIENT], set()) == []
