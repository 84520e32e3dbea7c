"""`careloop check`: every mapping file against its schema, FHIR's elements, the functions, and hl7apy's dictionaries."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from adapter.conformance.dictionary import versions
from adapter.errors import Defect
from adapter.mapping.feed import Feed, load_feed
from adapter.mapping.functions import FUNCTIONS
from adapter.mapping.header import load_events
from adapter.mapping.lint_csv import close, csv_faults
from adapter.mapping.rules import Map, Place, Row, compile_file, parse_place
from adapter.mapping.terminology import load_terminology
from adapter.mapping.yaml_lines import LINE, load_yaml
from adapter.parse.charset import codec_of
from adapter.validate.facts import field as fhir_field
from adapter.validate.facts import fields as fhir_fields
from adapter.validate.facts import resource_types

HL7_VERSIONS = ("v2_1", "v2_2", "v2_3", "v2_3_1", "v2_4", "v2_5", "v2_5_1", "v2_6", "v2_7", "v2_8", "v2_8_1", "v2_8_2")
"""hl7apy's dictionaries, oldest first."""


def lint(mappings: Path) -> list[str]:
    """Every mistake, as `feed/file:line: what - what was meant`; empty where all is well."""
    found: list[str] = []
    feeds: list[Feed] = []
    for path in sorted(mappings.glob("*/feed.yaml")):
        try:
            feed = load_feed(path.parent)
            load_events(feed.file("events.yaml"))
            tables = _tables(feed)
        except Defect as error:
            found.append(_told(error))
            continue
        feeds.append(feed)
        found.extend(_feed(path, feed, tables))
        for file in sorted(path.parent.glob("*.map.yaml")):
            found.extend(_file(file, tables))
    return [*found, *same_senders(feeds)]


def _told(error: Defect) -> str:
    """What stops a file from being read, as every other mistake is told: `feed/file:line: what`."""
    return f"{error.issue.place}: {error.issue.detail}"


KEYS = frozenset((
    "abstract", "authorities", "charset", "codes", "contract", "csv", "defaults", "extends", "format", "order", "organization",
    "patient", "patient_system", "precedence", "primary", "sender", "stated", "strict", "strong", "test", "time_zone", "tolerate",
    "visit_number"))
"""Every key that feed.yaml may have."""


def _feed(path: Path, feed: Feed, tables: frozenset[str]) -> Iterator[str]:
    """What is wrong with a feed.yaml beside what stops it from being read: each mistake with its line."""
    written = load_yaml(path)
    where = f"{path.parent.name}/feed.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()

    def at(word: str) -> str:
        return f"{where}:{next((n for n, line in enumerate(lines, 1) if word in line), 1)}"

    for key in sorted(written.keys() - KEYS - {LINE}):
        yield f"{at(key)}: no key `{key}`{close(key, KEYS)}"
    for key in sorted(feed.sender.keys() - {"MSH-3", "MSH-4"}):
        yield f"{at(key)}: a sender is told by MSH-3 and MSH-4, not `{key}`"
    if feed.format not in ("hl7v2", "csv"):
        yield f"{at('format')}: format is hl7v2 or csv"
    if codec_of(feed.charset) is None:
        yield f"{at('charset')}: no charset `{feed.charset}`"
    if feed.options.get("organization") and "|" not in str(feed.options["organization"]):
        yield f"{at('organization')}: organization is written system|value"
    if feed.format == "csv":
        for place, fault in csv_faults(feed, bool(written.get("abstract"))):
            yield f"{at(place)}: {fault}"
    if feed.format == "hl7v2":
        for name in feed.visit:
            for fault in _place_named(name):
                yield f"{at(name)}: {fault}"
        for table in sorted(feed.codes.keys() - tables):
            yield f"{at(table)}: codes: no concept map `{table}`{close(table, tables)}"


def _place_named(name: str) -> Iterator[str]:
    try:
        yield from _place(parse_place(name))
    except Defect as error:
        yield error.issue.detail


def same_senders(feeds: Sequence[Feed]) -> Iterator[str]:
    """HL7 feeds that two folders claim for one sender."""
    claimed: dict[tuple[str, str], str] = {}
    for feed in feeds:
        if feed.format == "hl7v2" and feed.sender:
            sender = (feed.sender.get("MSH-3", "*"), feed.sender.get("MSH-4", "*"))
            if sender in claimed:
                yield f"{feed.name}/feed.yaml:1: the sender is {claimed[sender]}'s already"
            claimed.setdefault(sender, feed.name)


def _tables(feed: Feed) -> frozenset[str]:
    return frozenset(load_terminology(feed.files("conceptmaps/*.json")).tables())


def _file(path: Path, tables: frozenset[str]) -> Iterator[str]:
    try:
        maps = compile_file(path)
    except Defect as error:
        yield _told(error)
        return
    for one in maps:
        if one.resource not in resource_types():
            yield f"{one.rule}: no resource type {one.resource}{close(one.resource, resource_types())}"
            continue
        for row in sorted(_rows(one), key=lambda r: int(r.rule.rpartition(":")[2])):
            for fault in _row(one, row, tables):
                yield f"{row.rule}: {fault}"


def _rows(one: Map) -> Iterator[Row]:
    yield from one.always
    for rows in (*one.by_field.values(), *one.drops.values()):
        yield from rows


def _row(one: Map, row: Row, tables: frozenset[str]) -> Iterator[str]:
    if row.place is not None and one.segment != "ROW":
        yield from _place(row.place)
    if row.drop:
        return
    element = row.slot.split("#")[0]
    path = ".".join((element, *row.wrap))
    if not element.startswith("_") and fhir_field(one.resource, path) is None:
        yield f"{one.resource} has no element {path}"
    if row.url and fhir_field("Extension", row.value) is None:
        yield f"an extension has no `{row.value}`{close(row.value, _extension_values())}"
    table = row.options.get("table")
    if table and table not in tables:
        yield f"no concept map `{table}`{close(str(table), tables)}"
    if row.function is not None and row.function.name not in FUNCTIONS:
        yield f"no function `{row.function.name}`"


@cache
def _extension_values() -> list[str]:
    return [one for one in fhir_fields("Extension") if one.startswith("value")]


@cache
def _dictionary() -> dict[str, dict[int, Any]]:
    """Segment -> field number -> what the newest version that knows it says; withdrawn fields included."""
    found: dict[str, dict[int, Any]] = {}
    for version in HL7_VERSIONS:
        segments = importlib.import_module(f"hl7apy.{version}.segments").SEGMENTS
        for name, segment in segments.items():
            for one in segment[1] if len(segment) > 1 else ():
                number = str(one[0]).rpartition("_")[2]
                if number.isdigit():
                    found.setdefault(name, {})[int(number)] = one[1]
    newest = versions()["2.9"]  # which hl7apy does not have
    for name, fields in newest.segments.items():
        for number, datatype in enumerate(fields.types):
            components = newest.datatypes.get(datatype)
            if number and number not in found.setdefault(name, {}):
                found[name][number] = ("sequence", components, datatype) if components else ("leaf", None, datatype)
    return found


def _place(place: Place) -> Iterator[str]:
    """That segment, field and component exist."""
    segments = _dictionary()
    if place.segment not in segments:
        if not place.segment.startswith("Z"):
            yield f"no segment {place.segment}{close(place.segment, segments)}"
        return
    number = int(place.field)
    if not number:
        return
    known = segments[place.segment].get(number)
    if known is None:
        yield f"{place.segment} has {max(segments[place.segment])} fields, {place} is none of them"
    elif place.component and known[0] == "sequence" and place.component > len(known[1]):
        yield f"{place}: {known[2]} has {len(known[1])} components"
