"""What resources are found by: rows of the search index."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.feeds import open_feeds
from adapter.home import HOME
from adapter.store.search_index import (
    EARLIEST,
    LATEST,
    LONGEST,
    Known,
    date_range,
    fold,
    index_rows,
    microseconds,
    string_value,
    token_value,
)
from adapter.store.search_params import PARAMS
from adapter.validate.facts import field

MOMENTS = st.integers(-(2**51), 2**52).map(lambda n: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=n))


def rows(param: str, **resource: object) -> list[tuple[str, int | None, int | None]]:
    """Rows of one parameter."""
    return [(value, low, high) for name, value, low, high in index_rows(dict(resource)) if name == param]


@pytest.mark.parametrize(("text", "first", "after"), [
    ("2024", "2024-01-01", "2025-01-01"), ("2023", "2023-01-01", "2024-01-01"), ("2024-02", "2024-02-01", "2024-03-01"),
    ("2023-12", "2023-12-01", "2024-01-01"), ("2024-02-29", "2024-02-29", "2024-03-01"),
    ("2024-03-01T10:00Z", "2024-03-01T10:00", "2024-03-01T10:01"),
    ("2024-03-01T10:00:05-05:00", "2024-03-01T15:00:05", "2024-03-01T15:00:06"),
    ("2024-03-01T10:00:05+05:30", "2024-03-01T04:30:05", "2024-03-01T04:30:06"),
    ("2024-03-01T10:00:05.25Z", "2024-03-01T10:00:05.250", "2024-03-01T10:00:05.260"),
    ("2024-03-01T10:00:05.123456Z", "2024-03-01T10:00:05.123456", "2024-03-01T10:00:05.123457"),
    ("0001", "0001-01-01", "0002-01-01")])
def test_date_range(text: str, first: str, after: str) -> None:
    low, beyond = (microseconds(datetime.fromisoformat(moment).replace(tzinfo=UTC)) for moment in (first, after))
    assert date_range(text) == (low, beyond - 1)


@pytest.mark.parametrize("text", ["", "x", "2024-13", "2023-02-29", "2024-1-1-1", "2024-01-01T25:00:00Z", "T10:00",
                                  "20240101"])
def test_what_is_no_date(text: str) -> None:
    assert date_range(text) is None


@given(moment=MOMENTS, digits=st.sampled_from([4, 7, 10, 16, 19, 23, 26]))
def test_a_moment_lies_in_its_own_range(moment: datetime, digits: int) -> None:
    text = moment.replace(tzinfo=None).isoformat(timespec="microseconds")[:digits]
    span = date_range(text + "Z" if digits > 10 else text)
    assert span is not None
    low, high = span
    assert low <= microseconds(moment) <= high
    assert high - low < timedelta(days=366) / timedelta(microseconds=1)


@given(text=st.text(max_size=40))
def test_folding_is_idempotent_and_blind_to_case(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert fold(text.upper().lower()) == fold(text.upper())


@given(text=st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=600))
def test_values_are_short_enough_for_an_index(text: str) -> None:
    assert max(len(string_value(text)), len(token_value(text, text))) <= LONGEST + 1


def test_accents_and_case_are_folded() -> None:
    assert [fold(text) for text in ("Núñez", "  STRASSE  5 ", "Straße 5", "Łukasz")] == [
        "nunez", "strasse 5", "strasse 5", "łukasz"]


def test_tokens_of_every_shape() -> None:
    coding = {"system": "urn:s", "code": "c"}
    assert rows("status", resourceType="Encounter", status="finished") == [
        ("finished|http://hl7.org/fhir/encounter-status", None, None)]
    assert rows("class", resourceType="Encounter", **{"class": coding}) == [("c|urn:s", None, None)]
    assert rows("type", resourceType="Encounter", type=[{"coding": [coding, {"code": "d"}]}, {"text": "alone"}]) == [
        ("c|urn:s", None, None), ("d|", None, None)]
    assert rows("identifier", resourceType="Encounter", identifier=[{"system": "urn:s", "value": "1|%"}]) == [
        ("1%7C%25|urn:s", None, None)]
    assert rows("active", resourceType="Patient", active=False) == [("false|", None, None)]
    assert rows("phone", resourceType="Patient", telecom=[{"system": "phone", "value": "5"},
                                                          {"system": "email", "value": "e"}]) == [
        ("5|phone", None, None)]
    assert rows("deceased", resourceType="Patient", deceasedDateTime="2024") == [("true|", None, None)]


def test_references_keep_to_their_targets() -> None:
    team = {"subject": {"reference": "Group/g"}, "participant": [
        {"member": {"reference": "Practitioner/p/_history/3"}}, {"member": {"display": "no reference"}},
        {"member": {"reference": "#contained"}}, {"member": {"reference": "https://other.example/fhir/Organization/o"}}]}
    assert rows("patient", resourceType="CareTeam", **team) == []
    assert rows("subject", resourceType="CareTeam", **team) == [("Group/g", None, None)]
    assert [value for value, _, _ in rows("participant", resourceType="CareTeam", **team)] == [
        "Practitioner/p", "https://other.example/fhir/Organization/o"]
    assert rows("target", resourceType="Provenance", target=[{"reference": "Any/x"}]) == [("Any/x", None, None)]


def test_periods_open_at_either_end() -> None:
    day = date_range("2024-03-01")
    assert day is not None
    assert rows("date", resourceType="Encounter", period={"start": "2024-03-01"}) == [("", day[0], LATEST)]
    assert rows("date", resourceType="Encounter", period={"end": "2024-03-01"}) == [("", EARLIEST, day[1])]
    assert rows("date", resourceType="Encounter", period={}) == []
    assert rows("date", resourceType="Encounter", period={"start": "yesterday"}) == []


def test_a_timing_spans_its_events() -> None:
    first, last = date_range("2024-03-01"), date_range("2024-03-09")
    assert first is not None
    assert last is not None
    assert rows("occurrence", resourceType="ServiceRequest",
                occurrenceTiming={"event": ["2024-03-05", "2024-03-01"], "repeat": {"boundsPeriod": {
                    "start": "2024-03-02", "end": "2024-03-09"}}}) == [("", first[0], last[1])]


def test_each_row_once() -> None:
    name = {"family": "Lee", "given": ["Lee"]}
    assert rows("name", resourceType="Patient", name=[name, name]) == [("lee\x1fLee", None, None)]


def test_rows_of_values_that_resources_share_are_those_of_each() -> None:
    """`known` goes by the value itself, its element and the type: what stands elsewhere makes other rows."""
    visit, done = {"coding": [{"system": "urn:x", "code": "visit"}]}, "completed"
    resources: list[dict[str, Any]] = [
        {"resourceType": "Encounter", "type": [visit], "status": done, "identifier": [{"system": "urn:x", "value": "1"}]},
        {"resourceType": "Encounter", "reasonCode": [visit], "status": done, "identifier": [{"system": "urn:x", "value": "2"}]},
        {"resourceType": "Communication", "medium": [visit], "status": done}]
    resources.append({**resources[0], "identifier": [{"system": "urn:x", "value": "4"}]})
    known: Known = {}
    assert [index_rows(one, known) for one in resources] == [index_rows(one) for one in resources]


def test_a_type_that_cannot_be_searched_has_no_rows() -> None:
    assert index_rows({"resourceType": "Binary", "id": "a"}) == []


def test_params_of_us_core_are_declared() -> None:
    """US Core 6.1.0, what a server SHALL support, as the digest of the standards lists it."""
    required = {"CarePlan": "patient category", "CareTeam": "patient status participant", "Goal": "patient",
                "Coverage": "patient", "QuestionnaireResponse": "patient", "Encounter": "patient date",
                "ServiceRequest": "patient category authored code", "Patient": "identifier name birthdate gender",
                "Provenance": "target"}
    assert {resource_type: [name for name in names.split() if name not in PARAMS[resource_type]]
            for resource_type, names in required.items()} == {resource_type: [] for resource_type in required}


def made_types() -> set[str]:
    """Every resource type that a map of any feed, or a function, makes."""
    maps = {one.resource for feed in open_feeds(HOME / "mappings").compiled.values()
            for maps in feed.rules.maps.values() for one in maps}
    functions = {kind for path in (HOME / "adapter/mapping/functions").glob("*.py")
                 for kind in re.findall(r"""(?:emit|build)\(\s*["']([A-Z][A-Za-z]+)["']""", path.read_text(encoding="utf-8"))}
    return maps | functions


def test_what_mappings_make_can_be_read_and_searched() -> None:
    made = made_types()
    assert {"Patient", "Organization", "Device", "Flag"} <= made
    assert made - PARAMS.keys() == set()


def test_paths_of_parameters_are_elements_of_their_type() -> None:
    wrong = [f"{kind}.{name}: {path}" for kind, params in PARAMS.items() for name, param in params.items()
             for path in param.paths if field(kind, re.sub(r"^\?|\[.*", "", path)) is None]
    assert wrong == []
