"""What `claim` makes passes the real HAPI validator with US Core 6.1.0; and both find wrong what is wrong."""

from __future__ import annotations

import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from adapter.validate.check import check
from adapter.validate.facts import FILE
from adapter.validate.profiles import claim
from tests.validator import IGS, RICH, ROOT, SPARSE, V2, concept, hapi_errors

pytestmark = [pytest.mark.hapi, pytest.mark.shared]

_WRONG: list[dict[str, Any]] = [  # FHIR and we refuse each of these
    {"resourceType": "Patient", "gender": "banana"},
    {"resourceType": "Patient", "birthDate": "2023-02-29"},
    {"resourceType": "Patient", "birthDate": "0000"},
    {"resourceType": "Patient", "telecom": [{"value": "1"}]},
    {"resourceType": "Patient", "contact": [{"gender": "male"}]},
    {"resourceType": "Patient", "identifier": [{"system": "STANNE", "value": "1"}]},
    {"resourceType": "Patient", "identifier": [{"system": "urn:oid:STANNE", "value": "1"}]},
    {"resourceType": "Patient", "identifier": [{"type": concept(V2 + "0203", "ZZZ")}]},
    {"resourceType": "Patient", "identifier": [{"period": {"start": "2024-02", "end": "2024-01"}}]},
    {"resourceType": "Patient", "identifier": [{"period": {"start": "2024", "end": "2024-01"}}]},
    {
        "resourceType": "Patient",
        "identifier": [{"period": {"start": "2024-01-01T23:00:00-05:00", "end": "2024-01-02"}}],
    },
    {"resourceType": "Patient", "extension": [{"url": "urn:x:a"}]},
    {"resourceType": "Patient", "extension": [{"url": "relative", "valueString": "a"}]},
    {"resourceType": "Patient", "managingOrganization": {}},
    {"resourceType": "Patient", "managingOrganization": {"reference": "#nowhere"}},
    {"resourceType": "Patient", "maritalStatus": concept("urn:x:a", "two  spaces")},
    {"resourceType": "Patient", "id": "not_an_id"},
    {"resourceType": "Organization", "telecom": [{"system": "phone", "value": "1", "use": "home"}], "name": "a"},
    {"resourceType": "Organization", "active": True},
    {"resourceType": "Encounter", "status": "finished"},
    {"resourceType": "EpisodeOfCare", "status": "nonsense", "patient": {"reference": "Patient/1"}},
    {"resourceType": "Condition", "subject": {"reference": "Patient/1"}, "abatementString": "ended"},
    {"resourceType": "Condition", "subject": {"reference": "Patient/1"}, "clinicalStatus": {"text": "active"}},
    {"resourceType": "AllergyIntolerance", "patient": {"reference": "Patient/1"}},
    {
        "resourceType": "Task",
        "status": "draft",
        "intent": "order",
        "authoredOn": "2024-01-02",
        "lastModified": "2024-01-01",
    },
    {"resourceType": "Consent", "status": "active", "scope": {"text": "a"}, "category": [{"text": "b"}]},
]


def test_claimed_resources_are_valid_by_the_hapi_validator():
    resources = deepcopy([*SPARSE, *RICH])
    for number, resource in enumerate(resources):
        claim(resource)
        resource.setdefault("id", f"n{number}")
        assert check(resource) == []
    assert hapi_errors(resources) == []


def test_what_is_wrong_is_wrong_to_both():
    resources = [resource | {"id": resource.get("id", f"n{number}")} for number, resource in enumerate(_WRONG)]
    told = hapi_errors(resources, us_core=False)
    for number, resource in enumerate(resources):
        assert check(resource), resource
        assert any(f"(line {number + 1})" in error for error in told), resource


def test_the_committed_facts_are_what_the_definitions_say(tmp_path: Path):
    fresh = tmp_path / "facts.json"
    subprocess.run(
        [sys.executable, str(ROOT / "tools/facts.py"), str(IGS / "us_core_610.tgz"), "--out", str(fresh)], check=True
    )
    assert fresh.read_bytes() == FILE.read_bytes()
