"""Searches as they are asked, checked before any database is touched; and what the embedded server alone can."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from adapter.errors import Rejected
from adapter.fhirserver.query import LARGEST_PAGE, parse_query, prefixed, token_parts, unescaped
from adapter.fhirserver.search import first_page, next_page
from adapter.model import Composed, Json
from adapter.store.engine import migrate, open_engine, writing
from adapter.store.resources import write_resources


def values(text: str) -> tuple[str, ...]:
    """The values of a parameter as they are understood."""
    return tuple(unescaped(value) for value in parse_query("Patient", [("name", text)]).criteria[0].values)


def test_a_query_is_checked_into_parts() -> None:
    query = parse_query("Encounter", [("patient", "a,b"), ("date", "ge2024"), ("_sort", "-date"), ("_count", "20"),
                                      ("_include", "Encounter:patient"), ("_revinclude", "Provenance:target"),
                                      ("_format", "json")])
    assert [(one.param.name, one.values) for one in query.criteria] == [("patient", ("a", "b")), ("date", ("ge2024",))]
    assert query.sort == (("date", True), ("_lastUpdated", False), ("_id", False))
    assert (query.count, query.total) == (20, False)
    assert [(one.source, one.param.name, one.reverse) for one in query.includes] == [
        ("Encounter", "patient", False), ("Provenance", "target", True)]


@pytest.mark.parametrize("params", [
    [("nonsense", "1")], [("name:sounds", "x")], [("patient.name", "x")], [("_count", "-1")], [("_count", "x")],
    [("_sort", "name")], [("_summary", "text")], [("_total", "all")], [("name", "")], [("name", ",")],
    [("birthdate", "1.1.2024")],
    [("birthdate", "ap2024")], [("name:missing", "maybe")], [("_id:exact", "x")], [("_include", "*")],
    [("_include:iterate", "Patient:organization")], [("_has:Encounter:patient:status", "x")], [("gender:not", "male")]])
def test_what_is_not_known_is_refused_by_name(params: list[tuple[str, str]]) -> None:
    with pytest.raises(Rejected) as refusal:
        parse_query("Patient", params)
    assert refusal.value.issue.code == "bad-search"
    assert refusal.value.issue.place == params[0][0]


def test_a_refusal_tells_no_value() -> None:
    with pytest.raises(Rejected) as refusal:
        parse_query("Patient", [("birthdate", "CANARY")])
    assert "CANARY" not in str(refusal.value)


def test_page_size_has_a_limit() -> None:
    assert parse_query("Patient", [("_count", "99999")]).count == LARGEST_PAGE
    assert parse_query("Patient", [], count=99999).count == LARGEST_PAGE


@pytest.mark.parametrize("params", [[("_summary", "count")], [("_count", "0")]])
def test_the_number_alone(params: list[tuple[str, str]]) -> None:
    query = parse_query("Patient", params)
    assert (query.count, query.total) == (0, True)


@given(names=st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=4))
def test_escaped_values_come_back(names: list[str]) -> None:
    text = ",".join(name.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|") for name in names)
    assert values(text.replace("\n", " ")) == tuple(name.replace("\n", " ") for name in names)


@pytest.mark.parametrize(("text", "parts"), [
    ("code", (None, "code")), ("sys|code", ("sys", "code")), ("|code", ("", "code")), ("sys|", ("sys", "")),
    (r"a\|b", (None, "a|b")), (r"sys|a\|b", ("sys", "a|b")), (r"s\\|c", ("s\\", "c"))])
def test_token_parts(text: str, parts: tuple[str | None, str]) -> None:
    assert token_parts(text) == parts


def test_prefixes() -> None:
    day = prefixed("2024-03-01")
    assert day is not None
    assert day[0] == "eq"
    assert prefixed("lt2024-03-01") == ("lt", day[1])
    assert prefixed("ge2024-03-01T10:00:00 05:00") == prefixed("ge2024-03-01T10:00:00+05:00")
    assert prefixed("zz2024") is None


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    """A store with three patients."""
    engine = open_engine(f"sqlite:///{tmp_path / 'store.db'}")
    migrate(engine)
    bodies = [{"id": "a", "name": [{"family": "van der Núñez"}], "birthDate": "1980"},
              {"id": "b", "name": [{"family": "50%_\\x"}]}, {"id": "c", "active": True}]
    with writing(engine) as connection:
        write_resources(connection, [composed("Patient", body) for body in bodies], 1)
        yield connection


def composed(resource_type: str, body: Json) -> Composed:
    """A resource as it is written."""
    return Composed(resource_type=resource_type, id=body["id"], key="k", person="", hash=hashlib.sha256(b"x").hexdigest(),
                    sources={}, body={"resourceType": resource_type, **body})


@pytest.mark.parametrize(("params", "expected", "included"), [
    ([("subject:missing", "false")], "of-a-group of-ana elsewhere", ""), ([("patient:missing", "false")], "of-ana elsewhere", ""),
    ([("patient:missing", "true")], "of-a-group of-nobody", ""),
    ([("patient:missing", "true"), ("_id", "of-a-group,of-ana")], "of-a-group", ""),
    ([("patient", "a")], "of-ana", ""), ([("subject", "a")], "of-a-group of-ana", ""),
    ([("patient", "Group/a")], "", ""), ([("subject", "Group/a")], "of-a-group", ""),
    ([("patient", "http://other.example/fhir/Patient/b")], "elsewhere", ""),
    ([("_id", "of-a-group,of-ana"), ("_include", "CareTeam:patient")], "of-a-group of-ana", "a"),
    ([("_id", "of-a-group,of-ana"), ("_include", "CareTeam:subject")], "of-a-group of-ana", "a a")])
def test_patient_is_the_subject_that_is_a_patient(connection: Connection, params: list[tuple[str, str]], expected: str,
                                                  included: str) -> None:
    """Both stand once in the index."""
    whom = {"of-a-group": "Group/a", "of-ana": "Patient/a", "elsewhere": "http://other.example/fhir/Patient/b", "of-nobody": ""}
    write_resources(connection, [composed("Group", {"id": "a"}), *(
        composed("CareTeam", {"id": name, **({"subject": {"reference": one}} if one else {})}) for name, one in whom.items())], 2)
    page = first_page(connection, "CareTeam", params, 10)
    assert sorted(one["id"] for one in page.resources) == sorted(expected.split())
    assert [one["id"] for one in page.included] == included.split()


@pytest.mark.parametrize(("name", "value", "expected"), [
    ("name:contains", "NUN", "a"), ("name:contains", "der n", "a"), ("name:contains", "%", "b"),
    ("name:contains", "_", "b"),
    ("name:contains", "\\\\x", "b"), ("name:contains", "50_", ""), ("name:missing", "true", "c"),
    ("name:missing", "false", "a b"),
    ("birthdate:missing", "true", "b c"), ("name:exact", "50%_\\\\x", "b"), ("active", "true", "c"),
    ("active", "false", "")])
def test_what_hapi_cannot_by_default(connection: Connection, name: str, value: str, expected: str) -> None:
    found = first_page(connection, "Patient", [(name, value)], 10).resources
    assert [one["id"] for one in found] == expected.split()


@pytest.mark.parametrize(("params", "expected"), [
    ([("_id", "a,b,c"), ("name:missing", "true")], "c"), ([("name", "50"), ("birthdate:missing", "true")], "b"),
    ([("name:missing", "false"), ("birthdate:missing", "false")], "a"),
    ([("active", "true"), ("_lastUpdated", "lt1971")], "c"),
    ([("active", "true"), ("_lastUpdated", "gt1971")], ""), ([("name", "van"), ("birthdate", "1980"),
                                                              ("gender", "male")], "")])
def test_criteria_all_hold(connection: Connection, params: list[tuple[str, str]], expected: str) -> None:
    assert [one["id"] for one in first_page(connection, "Patient", params, 10).resources] == expected.split()


def test_a_token_with_a_page_size_below_nothing(connection: Connection) -> None:
    page = first_page(connection, "Patient", [], 1)
    assert page.next is not None
    parts = json.loads(base64.urlsafe_b64decode(page.next))
    parts[2] = -5
    assert next_page(connection, base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()).resources == ()


def test_those_without_the_date_come_last_by_it_and_first_backwards(connection: Connection) -> None:
    def order(sort: str) -> list[str]:
        page = first_page(connection, "Patient", [("_sort", sort)], 2)
        assert page.next is not None
        return [one["id"] for one in (*page.resources, *next_page(connection, page.next).resources)]

    assert order("birthdate") == ["a", "b", "c"]
    assert order("-birthdate") == ["a", "b", "c"]


@given(text=st.text(max_size=60))
def test_a_page_token_of_nobody_is_refused(connection: Connection, text: str) -> None:
    with pytest.raises(Rejected):
        next_page(connection, text)
