"""Traceability: each element of each resource names the HL7 place and rule it came from, and each mapped value its element."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from adapter.errors import Rejected
from adapter.feeds import Feeds, open_feeds
from adapter.home import HOME
from adapter.model import Received
from adapter.parse.batch import split_messages
from adapter.pipeline import Conversion, convert

SAMPLES = Path(os.environ.get("CARELOOP_SHARED", HOME.parent / "shared")) / "samples" / "hl7v2"
INPUTS = sorted((HOME / "mappings").glob("*/cases/*/input.hl7"))
OURS = {"resourceType", "id", "meta"}
OF_NO_ROW = {("Observation", "category"), ("AllergyIntolerance", "clinicalStatus"), ("Patient", "active"),
             ("Patient", "link")}
"""Elements that a profile asks for, or links of records make, and no row; whatever else has no place is not traced."""


@cache
def feeds() -> Feeds:
    return open_feeds(HOME / "mappings")


def conversions(path: Path) -> Iterator[Conversion]:
    feed = path.parts[-4] if path.parts[-3] == "cases" and path.parts[-4] != "common" else None
    for raw in split_messages(path.read_bytes()).messages:
        try:
            yield convert(Received(raw=raw, arrival=datetime(2026, 11, 20, tzinfo=UTC), feed=feed), feeds(), b"key", trace=True)
        except Rejected:
            continue


def leaves(value: Any, path: str) -> Iterator[str]:
    """The path of every leaf, without indexes."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, path)
    else:
        yield path


def unexplained(conversion: Conversion) -> set[str]:
    """Leaves of resources that neither an element of theirs, nor one above or below it, explains."""
    missing: set[str] = set()
    for entry in conversion.bundle["entry"]:
        resource = entry["resource"]
        told = {name.lstrip("_") for name in conversion.explain.get(f"{resource['resourceType']}/{resource['id']}", {})}
        for name, said in conversion.explain.get(f"{resource['resourceType']}/{resource['id']}", {}).items():
            if said[0]["place"] in ("(profile)", "(event)", "(identity)") and (
                    resource["resourceType"], name.lstrip("_")) not in OF_NO_ROW:
                missing.add(f"{resource['resourceType']}.{name}: {said[0]['place']}")
        for name in resource.keys() - OURS:
            for path in set(leaves(resource[name], name.lstrip("_"))):
                if not any(path == t or path.startswith(f"{t}.") or t.startswith(f"{path}.") for t in told):
                    missing.add(f"{resource['resourceType']}.{path}")
    return missing


def strangers(conversion: Conversion) -> set[str]:
    """What is explained though no such resource stands in the Bundle."""
    standing = {f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in conversion.bundle["entry"]}
    return {name for name in conversion.explain if "/" in name and name not in standing}


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parts[-4]}-{path.parts[-2]}")
def test_each_element_of_a_case_is_explained(path: Path) -> None:
    for conversion in conversions(path):
        assert unexplained(conversion) == set()
        assert strangers(conversion) == set()


@pytest.mark.shared
def test_each_element_of_the_samples_is_explained() -> None:
    paths = sorted(SAMPLES.glob("*.hl7"))
    assert paths
    for path in paths:
        for conversion in conversions(path):
            assert unexplained(conversion) == set(), path.name
            assert strangers(conversion) == set(), path.name


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parts[-4]}-{path.parts[-2]}")
def test_each_value_has_its_element_or_its_reason(path: Path) -> None:
    for conversion in conversions(path):
        for leaf in conversion.loss["leaves"]:
            if leaf["status"] == "mapped":
                assert re.fullmatch(r"[A-Z][A-Za-z]+(\.|$).*", leaf["element"]), leaf
                assert leaf["rule"]
            elif leaf["status"] == "dropped":
                assert leaf["reason"]


def test_places_are_written_as_everywhere() -> None:
    conversion = next(conversions(HOME / "mappings" / "common" / "cases" / "admission-in-full" / "input.hl7"))
    places = {said["place"] for elements in conversion.explain.values() for entries in elements.values() for said in entries}
    place = re.compile(r"[A-Z][A-Z0-9]{2}(\[\d+\])?(-\d+(\[\d+\])?(\.\d+){0,2})?|\((constant|absent|event|identity|profile)\)")
    assert {one for one in places if not place.fullmatch(one)} == set()
    assert "PID-3" in places


def test_an_own_segment_without_a_map_is_told_and_not_counted_as_unmapped() -> None:
    conversion = next(conversions(HOME / "mappings" / "st-anne" / "cases" / "own-segment" / "input.hl7"))
    by_place = {leaf["place"]: leaf for leaf in conversion.loss["leaves"]}
    assert by_place["ZPI-3.1"]["element"].startswith("Practitioner")
    assert by_place["ZZT-2.1"]["status"] == "dropped"
    assert "without a map" in by_place["ZZT-2.1"]["reason"]
    assert conversion.loss["counts"]["unmapped"] == 0
    assert ("segment-unknown", "ZZT") in {(issue.code, issue.place) for issue in conversion.issues}


def test_a_segment_that_lacks_what_it_would_be_known_by_is_dropped_with_its_reason() -> None:
    raw = (b"MSH|^~\\&|STANNE|MAIN|CARELOOP|NETWORK|20260302101500||ADT^A01^ADT_A01|R1|P|2.5.1\rEVN||20260302101500\r"
           b"PID|1||4711^^^STANNE^MR||Fernley^Ada||19700201|F\rPV1|1|I|4W^12^A||||||||||||||||V100^^^STANNE\r"
           b"AL1|1|DA||SV|Rash\rAL1|2||\"\"\r")
    loss = convert(Received(raw=raw, arrival=datetime(2026, 11, 20, tzinfo=UTC)), feeds(), b"key", trace=True).loss
    by_place = {leaf["place"]: leaf for leaf in loss["leaves"]}
    assert loss["counts"]["unmapped"] == 0
    assert "known by" in by_place["AL1-5.1"]["reason"]
    assert "listed before" in by_place["AL1[2]-3.1"]["reason"]


def test_a_value_that_is_none_of_its_type_is_told_once_and_dropped_for_that() -> None:
    raw = (b"MSH|^~\\&|STANNE|MAIN|CARELOOP|NETWORK|20260302101500||ADT^A01^ADT_A01|R1|P|2.5.1\rEVN||20260302101500\r"
           b"PID|1||4711^^^STANNE^MR||Fernley^Ada||19700201|F\rPV1|1|I|4W^12^A||||||||||||||||V100^^^STANNE\r"
           b"OBX|1|NM|8302-2^Height^LN||tall|cm|||||F\r")
    made = convert(Received(raw=raw, arrival=datetime(2026, 11, 20, tzinfo=UTC)), feeds(), b"key", trace=True)
    assert [issue.place for issue in made.issues if issue.code == "bad-number"] == ["OBX"]
    [value] = [leaf for leaf in made.loss["leaves"] if leaf["place"] == "OBX-5.1"]
    assert "none of its type" in value["reason"]


@pytest.mark.parametrize(("segment", "place"), [
    ("DG1|1||X1^Cut^L||20260301^D", "DG1-5.2"),
    ("DG1|1||X1^Cut^L|||||||||||||||||A^B^C^D^E", "DG1-20.5"),
    ("AL1|1||X1^Cut^L||||x", "AL1-7.1"),
    ("NK1|1|Tarn^Jo|||||||||||||||||||||N^x", "NK1-23.2")])
def test_what_no_version_has_a_place_for_is_dropped_with_that_reason(segment: str, place: str) -> None:
    raw = (b"MSH|^~\\&|STANNE|MAIN|CARELOOP|NETWORK|20260302101500||ADT^A01^ADT_A01|R1|P|2.5.1\rEVN||20260302101500\r"
           b"PID|1||4711^^^STANNE^MR||Fernley^Ada||19700201|F\rPV1|1|I|4W^12^A||||||||||||||||V100^^^STANNE\r")
    loss = convert(Received(raw=raw + segment.encode(), arrival=datetime(2026, 11, 20, tzinfo=UTC)), feeds(), b"key",
                   trace=True).loss
    [leaf] = [leaf for leaf in loss["leaves"] if leaf["place"] == place]
    assert (loss["counts"]["unmapped"], leaf["status"]) == (0, "dropped")


def test_what_a_row_makes_of_a_whole_segment_names_the_fields_it_read() -> None:
    raw = (b"MSH|^~\\&|STANNE|MAIN|CARELOOP|NETWORK|20260302101500||ADT^A01^ADT_A01|R1|P|2.5.1\rEVN||20260302101500\r"
           b"PID|1||4711^^^STANNE^MR||Fernley^Ada||19700201|F\rPV1|1|I|4W^12^A||||||||||||||||V100^^^STANNE\r"
           b"IN1|1|PLAN|123|Ins Co||||GRP|||||||||SEL\r")
    found = convert(Received(raw=raw, arrival=datetime(2026, 11, 20, tzinfo=UTC)), feeds(), b"key", trace=True).explain
    [coverage] = [elements for name, elements in found.items() if name.startswith("Coverage/")]
    places = {element: {one["place"] for one in said} for element, said in coverage.items()}
    assert places["class"] == {"IN1-2", "IN1-8"}
    assert places["relationship"] == {"IN1-17"}
    assert places["payor"] == {"IN1-3", "IN1-4"}
    [header] = [elements for name, elements in found.items() if name.startswith("MessageHeader/")]
    assert {one["place"] for one in header["sender"]} == {"MSH-4"}
    assert {one["place"] for one in header["destination"]} == {"MSH-5", "MSH-6"}
