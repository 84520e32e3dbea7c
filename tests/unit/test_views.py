"""The ViewDefinition compiler beyond the official tests: times as numbers, references, mistakes, and our own views."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import Defect
from adapter.gaps.catalog import VIEWS, open_catalog
from adapter.gaps.fhirpath import Scope, compile_path
from adapter.gaps.fhirpath_functions import truth
from adapter.gaps.fhirpath_quick import is_condition, quick_items, quick_truth
from adapter.gaps.fhirpath_values import MANY, quick_value
from adapter.gaps.instants import Reading, reader
from adapter.gaps.views import View, compile_view

ZONE = "America/New_York"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NODE = {"resourceType": "Observation", "id": "o", "status": "final", "n": 3, "big": 10, "on": True, "text": "one two",
        "names": [{"use": "a", "given": ["x", None, "y"]}, {"use": "b"}], "valueQuantity": {"value": 1.5},
        "at": "2026-03-01T10:00:00-05:00", "same": "2026-03-01T15:00:00Z", "day": "2026-03-01", "month": "2026-03",
        "ref": {"reference": "http://x/fhir/Patient/p/_history/3"}, "odd": {"reference": "Patient?s|1"},
        "urn": {"reference": "urn:uuid:1"}}


def path(text: str) -> list[Any]:
    return compile_path(text, {"c": "b"})([NODE], Scope(NODE))


@pytest.mark.parametrize(("text", "expected"), [
    ("names.given", ["x", "y"]), ("names.where(use = %c).exists()", [True]), ("names.exists(use = 'z')", [False]),
    ("names.all(use.exists())", [True]), ("names.select(use)", ["a", "b"]), ("names.last().use", ["b"]),
    ("names.count()", [2]),
    ("names.use | names.use", ["a", "b"]), ("'a' in names.use", [True]), ("names.use contains 'z'", [False]),
    ("value.value", [1.5]), ("Observation.status", ["final"]), ("Patient.status", []), ("%resource.id", ["o"]),
    ("text.startsWith('one') and text.endsWith('two') and text.contains(' ')", [True]), ("text & '!'", ["one two!"]),
    ("n + 1 * 2", [5]), ("(n + 1) * 2", [8]), ("-n", [-3]), ("big div n", [3]), ("big mod n", [1]), ("big / 0", []),
    ("0.1 + 0.2", [0.3]),
    ("n > 2 implies on", [True]), ("nothing = 1 or on", [True]), ("nothing = 1 and on", []), ("on xor on", [False]),
    ("at = same", [True]), ("at < same", [False]), ("at >= same", [True]), ("day = month", []),
    ("day > '2026-02'", [True]),
    ("on = 1", [False]), ("{}.empty()", [True]), ("n != 4", [True]), ("at > @2026-02-28T00:00:00Z", [True]),
    ("ref.getReferenceKey()", ["p"]), ("ref.getReferenceKey(Patient)", ["p"]), ("odd.getReferenceKey()", []),
    ("urn.getReferenceKey()", []), ("names.use.distinct().join('-')", ["a-b"]), ("$this.id", ["o"]), ("`n`", [3]),
    ("'it\\'s'", ["it's"]),
    ("day.highBoundary()", ["2026-03-01"]), ("at.lowBoundary()", ["2026-03-01T10:00:00.000-05:00"]),
    ("big.highBoundary()", [10.5]),
])
def test_fhirpath(text: str, expected: list[Any]):
    assert path(text) == expected


@pytest.mark.parametrize("text", ["names.", "names[", "f(", "unknown()", "a ++ b", "'open", "%undefined",
                                  "names.where()", "@@", "a b",
                                  "text + 1", "names.where(use)", "first(1)", "ofType()", "names.given > 1"])
def test_a_wrong_path_is_our_defect(text: str):
    with pytest.raises(Defect):
        path(text)


@given(st.integers(631_152_000, 2_208_988_800), st.sampled_from([ZONE, "UTC", "Asia/Kolkata"]))
def test_times_become_first_last_and_day(seconds: int, zone: str):
    local = datetime.fromtimestamp(seconds, ZoneInfo(zone))
    text = local.astimezone(ZoneInfo("Asia/Tokyo")).isoformat()
    assert reader("first", zone)(text) == reader("last", zone)(text) == seconds
    assert reader("day", zone)(text) == (local.date() - EPOCH.date()).days
    first, last = reader("first", zone)(local.date().isoformat()), reader("last", zone)(local.date().isoformat())
    assert first is not None
    assert last is not None
    assert first <= seconds <= last
    assert last - first in (23 * 3600 - 1, 24 * 3600 - 1, 25 * 3600 - 1)


@pytest.mark.parametrize(("text", "first", "last"), [
    ("2026-03-08", "2026-03-08T05:00:00Z", "2026-03-09T03:59:59Z"),  # 23 hours: summer time begins
    ("2028-02", "2028-02-01T05:00:00Z", "2028-03-01T04:59:59Z"),  # a leap day
    ("2025", "2025-01-01T05:00:00Z", "2026-01-01T04:59:59Z"),
    ("2026-06-01T10:00", "2026-06-01T14:00:00Z", "2026-06-01T14:00:59Z"),
    ("2026-06-30T23:59:60Z", "2026-06-30T23:59:59Z", "2026-06-30T23:59:59Z"),
    ("2026-06-01T10:00:00.999Z", "2026-06-01T10:00:00Z", "2026-06-01T10:00:00Z"),
])
def test_an_imprecise_time_lasts_to_its_end(text: str, first: str, last: str):
    readings: list[tuple[Reading, str]] = [("first", first), ("last", last)]
    for reading, expected in readings:
        assert reader(reading, ZONE)(text) == datetime.fromisoformat(expected).timestamp()


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "2026-02-30", "20260301", None, 5])
def test_what_is_no_time_is_nothing(text: Any):
    assert reader("first", ZONE)(text) is None


def view(*columns: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {"name": "v", "resource": "Observation", "select": [{"column": list(columns)}], **parts}


@pytest.mark.parametrize("definition", [
    view(), view({"name": "1", "path": "id"}), view({"name": "a"}),
    view({"name": "a", "path": "id"}, {"name": "a", "path": "id"}),
    view({"name": "a", "path": "id", "tag": [{"name": "careloop/time", "value": "noon"}]}),
    view({"name": "a", "path": "id"}, where=[{"path": "nope("}]),
    view({"name": "a", "path": "id"}, constant=[{"name": "c"}]),
    {"name": "v", "resource": "Observation", "select": [{"forEach": "names", "repeat": ["names"],
                                                         "column": [{"name": "a", "path": "use"}]}]},
    {"name": "v", "resource": "Observation", "select": {"column": []}},
])
def test_a_wrong_view_is_our_defect(definition: dict[str, Any]):
    with pytest.raises(Defect):
        compile_view(definition)


def test_a_column_of_several_values_fails_with_its_place():
    compiled = compile_view(view({"name": "use", "path": "names.use"}))
    with pytest.raises(Defect, match=r"v\.use"):
        compiled.rows(NODE)


def test_our_views_compile_and_are_named_as_their_files():
    catalog = open_catalog()
    assert set(catalog.views) == {path.stem for path in VIEWS.glob("*.json")}
    shared = {"Organization", "OrganizationAffiliation", "PractitionerRole", "Practitioner", "HealthcareService", "Location",
              "Group", "Provenance"}
    for name, compiled in catalog.views.items():
        columns = {column.name for column in compiled.columns}
        assert "resource_id" in columns
        assert ("member_id" in columns) is (compiled.resource not in shared or name == "group_member")


def test_a_lead_is_known_by_the_networks_role_else_by_snomed():
    local, snomed = "urn:x-careloop:care-team-role", "http://snomed.info/sct"
    found = []
    for codings in ([(local, "lead-coordinator")], [(snomed, "768820003")],
                    [(local, "care-coordinator"), (snomed, "768820003")], []):
        role = [{"coding": [{"system": system, "code": code} for system, code in codings]}]
        rows = open_catalog().views["team_participant"].rows({"resourceType": "CareTeam", "id": "t",
                                                              "participant": [{"role": role}]})
        names = [column.name for column in open_catalog().views["team_participant"].columns]
        found.append(dict(zip(names, rows[0], strict=True))["lead"])
    assert found == [True, True, False, False]


@pytest.mark.parametrize(("node", "row"), [
    ({"period": {"start": "2026-01-01"}, "subject": {"reference": "Patient/p"}}, ("2026-01-01", "p", None, None, None)),
    ({"period": [{"start": "a"}], "subject": [{"reference": "Group/p"}]}, ("a", None, None, None, None)),
    ({"type": [{"coding": [{"system": "s", "code": "x"}]}, {"coding": [{"system": "t"}, {"system": "t", "code": "y"}]}]},
     (None, None, "y", "x", None)),
    ({"type": {"coding": [{"code": "z"}]}}, (None, None, None, "z", None)),
    ({"subjectReference": {"reference": "Patient/q"}, "valueCode": "v"}, (None, "q", None, None, "v")),
    ({"valueString": "v", "type": []}, (None, None, None, None, None)),
])
def test_quick_ways_to_a_value_find_what_the_path_finds(node: dict[str, Any], row: tuple[Any, ...]):
    paths = ["period.start", "subject.getReferenceKey(Patient)", "type.coding.where(system = %t).code.first()",
             "type.coding.code.first()", "value.ofType(code)"]
    columns = [{"name": f"c{n}", "path": path} for n, path in enumerate(paths)]
    view = compile_view({"name": "v", "resource": "Encounter", "select": [{"column": columns}],
                         "constant": [{"name": "t", "valueString": "t"}]})
    resource = {"resourceType": "Encounter", "id": "e", **node}
    assert view.rows(resource) == [row]
    for path, found in zip(paths, row, strict=True):
        items = compile_path(path, {"t": "t"})([resource], Scope(resource))
        assert items == ([] if found is None else [found])


def test_quick_ways_agree_with_the_paths_of_our_views_on_every_golden_resource():
    cases = (VIEWS.parents[2] / "mappings").glob("*/cases/*/expected.json")
    bundles = [orjson.loads(path.read_bytes()) for path in cases]
    resources = [entry["resource"] for bundle in bundles for entry in (bundle.get("bundle") or bundle).get("entry", [])]
    tried = 0
    for definition in (orjson.loads(path.read_bytes()) for path in VIEWS.glob("*.json")):
        constants = {constant["name"]: constant["valueString"] for constant in definition.get("constant", [])}
        mine = [resource for resource in resources if resource["resourceType"] == definition["resource"]]
        for column in definition["select"][0]["column"]:
            quick, path = quick_value(column["path"], constants), compile_path(column["path"], constants)
            for resource in mine if quick is not None else ():
                found = quick(resource) if quick is not None else None
                items = path([resource], Scope(resource))
                assert found is MANY or items == ([] if found is None else [found]), column
                tried += 1
        for condition in definition.get("where", []):
            holds, path = quick_truth(condition["path"], constants), compile_path(condition["path"], constants)
            assert holds is not None, f"{definition['name']}: {condition['path']} is not of a quick shape"
            for resource in mine:
                assert holds(resource) == truth(path([resource], Scope(resource)), "")
                tried += 1
    assert tried > 10_000


def _some(**elements: Any) -> Any:
    """Nodes with any of these elements."""
    return st.fixed_dictionaries({}, optional=elements)


def _url(extension: dict[str, Any]) -> str:
    return extension["url"]


_CODING = _some(system=st.sampled_from("st"), code=st.sampled_from("xyz"))
_CONCEPTS = _some(coding=st.lists(_CODING, max_size=3), text=st.just("x"))
_EXTENSIONS: Any = st.sampled_from([{"url": "u", "valueBoolean": True}, {"url": "w", "valueBoolean": False}, {"url": "u"},
                                    {"url": "u", "valueCode": "v"}, {"url": "u", "valueReference": {"reference": "Task/t"}}])
_NODES = _some(
    id=st.just("e"), status=st.sampled_from("abc"), type=_CONCEPTS | st.lists(_CONCEPTS, max_size=3), active=st.booleans(),
    rank=st.integers(0, 2) | st.booleans(), valueCode=st.just("v"), valueBoolean=st.booleans(), deceasedBoolean=st.booleans(),
    deceasedDateTime=st.just("2026-03-01"), extension=st.lists(_EXTENSIONS, max_size=2, unique_by=_url),
    basedOn=st.lists(st.sampled_from([{"reference": "Task/t"}, {"reference": "Group/g"}, {}]), max_size=3),
    given=st.lists(st.none() | st.just("x"), max_size=3))
_TRUTHS = ["type.coding.where(system = %t).exists()", "type.coding.where(system = %t).empty()", "status != 'a'", "rank = 1",
           "(status = 'a' or status = 'b').not()", "status = 'a' and active = true", "given.empty().not()", "given = 'x'",
           "type.coding.where(system = %t and code != 'x').exists() or extension('u').value.ofType(boolean)",
           "deceased.ofType(boolean) = true or deceased.ofType(dateTime).exists()", "type.where(coding.exists()).exists()"]
_PATHS = ["type.coding.where(system = %t and code != 'x').code", "basedOn.getReferenceKey(Task).first()", "getResourceKey()",
          "extension('u').value.ofType(code)", "type.where(coding.where(code = 'x').exists()).text", "value", "given.first()",
          "type.where(text = 'x' or coding.empty()).coding.code.first()", "extension('u').value.ofType(Reference)", "deceased"]


@given(_NODES)
def test_quick_shapes_say_of_any_node_what_the_paths_say(node: dict[str, Any]):
    for text in (*_TRUTHS, *_PATHS):
        expected, quick = compile_path(text, {"t": "t"})([node], Scope(node)), quick_items(text, {"t": "t"})
        holds = quick_truth(text, {"t": "t"}) if is_condition(text) else None
        if holds is not None:
            found = holds(node)
            assert expected == ([] if found is None else [found]), text
        else:
            assert quick is not None, text
            assert quick(node) == expected, text


@pytest.mark.parametrize("text", ["status = '2026'", "at = @2026-03-01", "rank > 1", "names[0]", "status in given",
                                  "status.not()", "(rank + 1).exists()", "Encounter.status", "%rowIndex = 0",
                                  "status.join('-')", "{}"])
def test_other_shapes_have_no_quick_way(text: str):
    assert quick_items(text, {}) is None
    assert quick_truth(text, {}) is None


@pytest.mark.parametrize("view", open_catalog().by_type["Task"], ids=lambda view: view.name)
def test_no_view_of_tasks_shows_the_task_that_a_gap_stands_as(view: View) -> None:
    """It is an answer of rules, and must not become a fact that they read."""
    said = {"type": {"coding": [{"system": "urn:x-careloop:service", "code": "a"}]}, "valueString": "b"}
    task = {"resourceType": "Task", "id": "t", "status": "requested", "intent": "order", "for": {"reference": "Patient/p"},
            "focus": {"reference": "ServiceRequest/s"}, "input": [said], "output": [said]}
    assert view.rows(task)
    assert view.rows({**task, "identifier": [{"system": "urn:x-careloop:gap", "value": "G18|Patient/p|ServiceRequest/s"}]}) == []
