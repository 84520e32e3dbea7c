"""`check`: what it refuses, where it says so, and that it never shows a value or falls over."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.issues import ISSUES
from adapter.validate.check import check
from adapter.validate.periods import in_order
from adapter.validate.profiles import claim
from tests.validator import RICH, SPARSE, V2, concept

_PATIENT = {"reference": "Patient/1"}
_REASON = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}


def _patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient"} | elements


def _found(resource: dict[str, Any]) -> list[tuple[str, str]]:
    return [(issue.place, issue.detail) for issue in check(resource)]


@pytest.mark.parametrize("resource", [*SPARSE, *RICH], ids=lambda resource: resource["resourceType"])
def test_what_claim_makes_is_sound(resource: dict[str, Any]):
    made = deepcopy(resource)
    claim(made)
    assert check(made) == []


_BAD: list[tuple[dict[str, Any], str, str]] = [
    (_patient(gender="banana"), "Patient.gender", "no code of administrative-gender"),
    (_patient(birthDate="2023-02-29"), "Patient.birthDate", "not a date"),
    (_patient(deceasedDateTime="2024-01-01T10:00"), "Patient.deceased.ofType(dateTime)", "not a dateTime"),
    (_patient(deceasedDateTime="2024-01-01T10:00:00"), "Patient.deceased.ofType(dateTime)", "not a dateTime"),
    (_patient(deceasedBoolean=True, deceasedDateTime="2024"), "Patient", "only one type of deceased[x] may be given"),
    (_patient(name={"family": "A"}), "Patient.name", "must be a list"),
    (_patient(name=[{"family": ["A"]}]), "Patient.name[0].family", "must be a string"),
    (_patient(name=[{"family": "A\u0001"}]), "Patient.name[0].family", "not a string"),
    (_patient(name=[{"given": [None, "A"]}]), "Patient.name[0].given[0]", "empty"),
    (_patient(active="true"), "Patient.active", "must be a boolean"),
    (_patient(multipleBirthInteger=1.5), "Patient.multipleBirth.ofType(integer)", "must be a whole number"),
    (_patient(surname="A"), "Patient", "unknown element surname"),
    (_patient(contact=[]), "Patient.contact", "empty"),
    (_patient(managingOrganization={}), "Patient.managingOrganization", "empty"),
    (_patient(language=""), "Patient.language", "empty"),
    (_patient(language="e"), "Patient.language", "not a bcp47 code"),
    (_patient(communication=[{"preferred": True}]), "Patient.communication[0]", "language is missing"),
    (_patient(telecom=[{"value": "1"}]), "Patient.telecom[0]", "cpt-2: value needs system"),
    (_patient(id="a_b"), "Patient.id", "not a id"),
    (_patient(maritalStatus=concept("urn:x:a", "a ")), "Patient.maritalStatus.coding[0].code", "not a code"),
    (
        _patient(maritalStatus=concept(V2 + "0002", "NO")),
        "Patient.maritalStatus.coding[0]",
        "no code of its code system",
    ),
    (_patient(identifier=[{"system": "MRN"}]), "Patient.identifier[0].system", "not an absolute URI"),
    (_patient(identifier=[{"system": "urn:oid:3.1"}]), "Patient.identifier[0].system", "not a uri"),
    (_patient(identifier=[{"system": "urn:uuid:ABC"}]), "Patient.identifier[0].system", "not a uri"),
    (_patient(extension=[{"url": "urn:x:a"}]), "Patient.extension[0]", "ext-1: either extensions or one value"),
    (
        _patient(extension=[{"url": "a", "valueString": "b"}]),
        "Patient.extension[0]",
        "url of an extension must be absolute",
    ),
    (
        _patient(_birthDate={"extension": [{"url": "urn:x:a"}]}),
        "Patient.birthDate.extension[0]",
        "ext-1: either extensions or one value",
    ),
    (
        _patient(managingOrganization={"reference": "#a"}),
        "Patient.managingOrganization",
        "ref-1: no such contained resource",
    ),
    (
        _patient(managingOrganization={"reference": "Organization/a b"}),
        "Patient.managingOrganization",
        "not a reference",
    ),
    (_patient(text={"status": "generated", "div": "<div>a</div>"}), "Patient.text.div", "not a xhtml"),
    (
        _patient(contained=[{"resourceType": "Organization", "id": "a"}]),
        "Patient.contained[0]: Organization",
        "org-1: identifier or name is needed",
    ),
    ({"resourceType": "Encounter", "class": {"code": "IMP"}}, "Encounter", "status is missing"),
    ({"resourceType": "Encounter", "_status": _REASON, "class": {"code": "IMP"}}, "Encounter", "status is missing"),
    (
        {"resourceType": "Condition", "subject": _PATIENT, "clinicalStatus": {"text": "active"}},
        "Condition.clinicalStatus",
        "no code of condition-clinical",
    ),
    (
        {"resourceType": "Condition", "subject": _PATIENT, "abatementString": "a"},
        "Condition",
        "con-4: abatement needs clinicalStatus inactive, remission or resolved",
    ),
    (
        {"resourceType": "AllergyIntolerance", "patient": _PATIENT},
        "AllergyIntolerance",
        "ait-1: clinicalStatus is needed unless verificationStatus is entered-in-error",
    ),
    (
        {
            "resourceType": "CareTeam",
            "participant": [{"member": {"reference": "RelatedPerson/1"}, "onBehalfOf": {"display": "a"}}],
        },
        "CareTeam.participant[0]",
        "ctm-1: onBehalfOf only where the member is a Practitioner",
    ),
    (
        {"resourceType": "Task", "status": "draft", "intent": "order", "authoredOn": "2024", "lastModified": "2023"},
        "Task.lastModified",
        "inv-1: lastModified is before authoredOn, or their precisions do not let one say",
    ),
    (
        {"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": _patient()}]},
        "Bundle.entry[0]",
        "bdl-3: request in batch, transaction and history, only there",
    ),
    (
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": _patient(gender="x")}]},
        "Bundle.entry[0].resource: Patient.gender",
        "no code of administrative-gender",
    ),
    ({"resourceType": "Nonsense"}, "resourceType", "not a resource type that is known here"),
    (_patient(maritalStatus={"text": "a", "extension": [{"url": "a", "valueString": "b"}]}),
     "Patient.maritalStatus.extension[0]", "url of an extension must be absolute"),
    (_patient(maritalStatus={"coding": [{"code": "a", "extension": [{"url": "a", "valueString": "b"}]}]}),
     "Patient.maritalStatus.coding[0].extension[0]", "url of an extension must be absolute"),
    (_patient(extension=[{"url": "urn:x:a", "valueQuantity": {"value": 1, "extension": [{"url": "urn:x:b"}]}}]),
     "Patient.extension[0].value.ofType(Quantity).extension[0]", "ext-1: either extensions or one value"),
    ({"name": "a"}, "resourceType", "not a resource type that is known here"),
]


@pytest.mark.parametrize(("resource", "place", "words"), _BAD, ids=lambda case: str(case)[:60])
def test_what_is_wrong_is_told_at_its_place(resource: dict[str, Any], place: str, words: str):
    assert _found(resource) == [(place, words)]


def test_a_list_of_primitives_may_have_a_null_that_its_sibling_stands_for():
    name = {"given": [None, "A"], "_given": [_REASON, None]}
    assert check(_patient(name=[name])) == []


def test_what_is_nested_too_deep_is_refused():
    item: dict[str, Any] = {"linkId": "1"}
    for _ in range(3000):
        item = {"linkId": "1", "item": [item]}
    assert check({"resourceType": "QuestionnaireResponse", "status": "completed", "item": [item]})


def test_a_missing_primitive_may_be_marked_with_a_reason():
    assert check({"resourceType": "Organization", "_name": _REASON}) == []


def test_all_that_is_wrong_is_told_at_once():
    assert len(check(_patient(gender="banana", birthDate="yesterday", active=1))) == 3


@given(st.dates(min_value=date(1, 1, 1)))
def test_every_day_is_a_date(day: date):
    assert check(_patient(birthDate=day.isoformat())) == []


@given(st.integers(1, 9999), st.integers(1, 12), st.integers(1, 31))
def test_no_other_day_is(year: int, month: int, day: int):
    text = f"{year:04}-{month:02}-{day:02}"
    try:
        date.fromisoformat(text)
        valid = True
    except ValueError:
        valid = False
    assert (check(_patient(birthDate=text)) == []) is valid


_OFFSETS = st.integers(-14 * 4, 14 * 4).filter(lambda quarters: quarters > -14 * 4).map(
    lambda quarters: timezone(timedelta(minutes=15 * quarters)))
_MOMENTS = st.datetimes(datetime(1900, 1, 2), datetime(2100, 1, 1), timezones=_OFFSETS)  # noqa: DTZ001 - bounds are naive


@given(_MOMENTS, _MOMENTS)
def test_times_are_in_order_whatever_their_offsets(first: datetime, second: datetime):
    assert in_order(first.isoformat(), second.isoformat()) is (first <= second)
    period = {"start": first.isoformat(), "end": second.isoformat()}
    assert (check(_patient(identifier=[{"period": period}])) == []) is (first <= second)


@pytest.mark.parametrize(("first", "second", "expected"), [
    ("2024-01-01", "2024-01-01", True), ("2024-01-15", "2024-02", True), ("2024-01-15", "2024-01", False),
    ("2024-01-01", "2024-01-01T23:00:00Z", False), ("2024-01-01T10:00:00Z", "2024-01-02", True),
    ("2024-01-01T23:00:00-05:00", "2024-01-02", False), ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00.5Z", True),
    ("2024-01-01T10:00:00.9Z", "2024-01-01T10:00:00Z", False), ("2016-12-31T23:59:60Z", "2017-01-01", True)])
def test_mixed_precisions_are_in_order_only_where_one_can_say(first: str, second: str, expected: bool):
    assert in_order(first, second) is expected


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.just("Secret-Value") | st.just(" "),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["coding", "system", "reference", "value", "start", "url", "extension"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def _places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for step, inside in steps for place in _places(inside, (*path, step)))]


@settings(max_examples=300)
@given(st.sampled_from(RICH), st.randoms(use_true_random=False), _JSON)
def test_nothing_falls_over_and_no_value_is_shown(resource: dict[str, Any], chance: Any, replacement: Any):
    broken = deepcopy(resource)
    *above, last = chance.choice([place for place in _places(broken) if place and place != ("resourceType",)])
    holder = broken
    for step in above:
        holder = holder[step]
    holder[last] = replacement
    issues = [*claim(broken), *check(broken)]
    assert all(issue.code in ISSUES for issue in issues)
    assert "Secret-Value" not in json.dumps([(issue.place, issue.detail) for issue in issues])


_MODELS_REFUSE = {  # the R4B models see shapes and forms; codes, invariants and empty parts pass them
    "not a date",
    "not a dateTime",
    "only one type of deceased[x] may be given",
    "must be a list",
    "must be a string",
    "must be a whole number",
    "unknown element surname",
    "language is missing",
    "not a id",
    "not a code",
    "status is missing",
}


@pytest.mark.parametrize("resource", RICH, ids=lambda resource: resource["resourceType"])
def test_the_r4b_models_take_what_we_take(resource: dict[str, Any]):
    made = deepcopy(resource)
    claim(made)
    get_fhir_model_class(made["resourceType"]).model_validate(made)


@pytest.mark.parametrize(("resource", "place", "words"), [
    case for case in _BAD if case[2] in _MODELS_REFUSE and "_status" not in case[0]], ids=lambda case: str(case)[:60])
def test_the_r4b_models_refuse_wrong_shapes_too(resource: dict[str, Any], place: str, words: str):
    with pytest.raises(ValueError, match="validation error"):
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
