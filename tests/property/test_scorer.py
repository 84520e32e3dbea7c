"""The rules of the scorer itself (bench/found.py), each by a message of a few fields and a Bundle of a few lines."""

from __future__ import annotations

from typing import Any

import pytest

from bench.coverage import counts, found_percent, places, score
from bench.found import haystack, values

HEAD = "MSH|^~\\&|SENDER|SITE|||20260301||ADT^A01|X|P|2.5\r"
PATIENT = {"resourceType": "Patient"}


def _values(line: str) -> set[str]:
    own = {"SENDER", "SITE", "20260301", "ADT", "A01", "2.5"}
    return set(values((HEAD + line).encode())) - own


def _holds(value: str, resource: dict[str, Any]) -> bool:
    bundle = {"resourceType": "Bundle", "entry": [{"fullUrl": "urn:x:1", "resource": {**PATIENT, **resource}}]}
    return haystack(bundle).holds(value)


@pytest.mark.parametrize(("line", "found"), [
    ("PID|123||4711^^^HOSP", {"4711", "HOSP"}),
    ("EVN|123", {"123"}),
    ("PID|1||4711~4711^^^4711", {"4711"}),
    ('PID|1||""~""&""^""', set()),
    ("PID|1||AB^X", set()),
    ("PID|1||a&bcd&efg", {"bcd", "efg"}),
    ("OBX|1|ST|||R\\T\\D\\S\\E", {"R&D^E"}),
    ("OBX|1|FT|||one  \\.br\\two", {"one two"}),
], ids=["set-id", "no-set-id", "distinct", "null", "short", "subcomponents", "unescaped", "blanks"])
def test_what_a_value_is(line: str, found: set[str]) -> None:
    assert _values(line) == found


def test_the_delimiters_are_no_values() -> None:
    assert not {"^~\\&", "|"} & values(HEAD.encode()).keys()


def test_a_value_has_the_places_it_stands_at_without_numbers_of_repetitions() -> None:
    raw = (HEAD + "PID|1||4711~4711^^^4711&x\rNK1|1|4711\rNK1|2|4711").encode()
    assert values(raw)["4711"] == ["PID-3.1", "PID-3.4.1", "NK1-2.1"]


@pytest.mark.parametrize(("value", "resource"), [
    ("Boston", {"address": [{"city": "Boston"}]}),
    ("Boston", {"address": [{"line": ["12 Main St, Boston"]}]}),
    ("555-0100", {"telecom": [{"value": "+1 (617) 555-0100"}]}),
    ("(617)", {"telecom": [{"value": "+1(617)555"}]}),
    ("19800229", {"birthDate": "1980-02-29"}),
    ("19800229233000-0500", {"deceasedDateTime": "1980-02-29T23:30:00-05:00"}),
    ("1980", {"birthDate": "1980"}),
    ("100.50", {"multipleBirthInteger": 100.5}),
    ("120", {"multipleBirthInteger": 120}),
    ("EMER", {"type": {"coding": [{"code": "EM"}, {"system": "urn:x", "code": "EMER"}]}}),
    ("2.16.840.1", {"identifier": [{"system": "urn:oid:2.16.840.1"}]}),
    ("Goat", {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/patient-animal",
                             "extension": [{"url": "species", "valueCodeableConcept": {"text": "Goat"}}]}]}),
    ("R&D", {"managingOrganization": {"display": "R&D"}}),
    ("http://a.example", {"contact": [{"organization": {"display": "http://a.example"}}]}),
], ids=lambda v: v if isinstance(v, str) else "")
def test_found(value: str, resource: dict[str, Any]) -> None:
    assert _holds(value, resource)


@pytest.mark.parametrize(("value", "resource"), [
    ("ton", {"address": [{"city": "Boston"}]}),
    ("123", {"identifier": [{"value": "1234"}]}),
    ("boston", {"address": [{"city": "Boston"}]}),
    ("19800229", {"birthDate": "1980-02-28"}),
    ("19800229", {"name": [{"text": "seen 1980-02-29x"}]}),
    ("20261399", {"birthDate": "2026-13-99"}),
    ("Boston", {"text": {"status": "generated", "div": "<div>Boston</div>"}}),
    ("Boston", {"note": [{"text": "Boston"}]}),
    ("Boston", {"photo": [{"title": "Boston"}]}),
    ("Boston", {"contained": [{"resourceType": "Basic", "code": {"text": "Boston"}}]}),
    ("Boston", {"contained": [{"resourceType": "DocumentReference", "content": [{"attachment": {"title": "Boston"}}]}]}),
    ("Boston", {"extension": [{"url": "urn:x-careloop:PID-11.3", "valueString": "Boston"}]}),
    ("Boston", {"extension": [{"url": "urn:x", "extension": [{"url": "city", "valueString": "Boston"}]}]}),
    ("Boston", {"extension": [{"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race",
                               "extension": [{"url": "https://x.example/PID-11", "valueString": "Boston"}]}]}),
    ("Boston", {"address": [{"text": "Main St^^Boston^MA"}]}),
    ("Boston", {"address": [{"text": "Main St&Boston"}]}),
    ("Patient", {"link": [{"other": {"reference": "Patient/1"}}]}),
    ("species", {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/patient-animal",
                                "extension": [{"url": "species", "valueBoolean": True}]}]}),
    ("true", {"active": True}),
], ids=lambda v: v if isinstance(v, str) else "")
def test_not_found(value: str, resource: dict[str, Any]) -> None:
    assert not _holds(value, resource)


def test_a_score_names_the_places_and_what_became_of_them() -> None:
    raw = (HEAD + "PID|1||4711^^^HOSP\rNK1|1|Doe\rNK1|2|Roe").encode()
    loss = {"counts": {"mapped": 4, "dropped": 1}, "leaves": [
        {"place": "PID-3.4", "status": "dropped", "reason": "why"}, {"place": "NK1[2]-2.1", "status": "unmapped"}]}
    told = score("one", raw, {"a": ["SENDER", "SITE", "2026-03-01", "ADT", "A01", 2.5, "4711"]}, loss)
    assert (told.values, told.found) == (10, 7)
    assert places([told]) == {("PID-3.4", "dropped why"): 1, ("NK1-2.1", "unmapped"): 2}
    assert counts([told]) == {"mapped": 4, "dropped": 1}
    assert found_percent([told]) == pytest.approx(70)


def test_of_a_refused_message_nothing_is_found() -> None:
    refused = score("one", HEAD.encode(), None, refused="no-patient")
    assert (refused.found, refused.values) == (0, 6)
    assert ("MSH-3.1", "refused: no-patient") in places([refused])
