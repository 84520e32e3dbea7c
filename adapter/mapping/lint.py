"""`careloop check`: every mapping file against its schema, FHIR's elements, the functions, and hl7apy's dictionaries."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from adapter.errors import Defect, message
from adapter.mapping.feed import Feed, load_feed
from adapter.mapping.functions import FUNCTIONS
from adapter.mapping.header import load_events
from adapter.mapping.rules import Map, Place, Row, compile_file
from adapter.mapping.terminology import load_terminology
from adapter.mapping.yaml_lines import load_yaml
from adapter.validate.facts import field as fhir_field
from adapter.validate.facts import resource_types

HL7_VERSION = "hl7apy.v2_8_2"
"""hl7apy's newest dictionary; fields that only 2.9 has are not known to it."""


def lint(mappings: Path) -> list[str]:
    """Every mistake, as `feed/file:line: what - what was meant`; empty where all is well."""
    found: list[str] = []
    for path in sorted(mappings.glob("*/feed.yaml")):
        try:
            feed = load_feed(path.parent)
            if feed.file("events.yaml"):
                load_events(feed.file("events.yaml") or path)
            tables = load_terminology(feed.files("conceptmaps/*.json")).tables() if not load_yaml(path).get("abstract") else None
        except Defect as error:
            found.append(message(error.issue))
            continue
        for file in sorted(path.parent.glob("*.map.yaml")):
            found.extend(_file(file, feed, tables))
    return found


def _file(path: Path, feed: Feed, tables: frozenset[str] | None) -> Iterator[str]:
    try:
        maps = compile_file(path)
    except Defect as error:
        yield message(error.issue)
        return
    if tables is None:
        tables = load_terminology(feed.files("conceptmaps/*.json")).tables()
    for one in maps:
        if one.resource not in resource_types():
            yield f"{one.rule}: no resource type {one.resource}{_close(one.resource, resource_types())}"
            continue
        for row in _rows(one):
            for fault in _row(one, row, tables):
                yield f"{row.rule}: {fault}"


def _rows(one: Map) -> Iterator[Row]:
    yield from one.always
    for rows in one.by_field.values():
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
    table = row.options.get("table")
    if table and table not in tables:
        yield f"no concept map `{table}`{_close(str(table), tables)}"
    if row.function is not None and row.function.name not in FUNCTIONS:
        yield f"no function `{row.function.name}`"


@cache
def _dictionary() -> Any:
    return importlib.import_module(f"{HL7_VERSION}.segments").SEGMENTS


def _place(place: Place) -> Iterator[str]:
    """That segment, field and component exist (hl7apy's dictionaries of 2.8.2)."""
    segments = _dictionary()
    if place.segment not in segments:
        if not place.segment.startswith("Z"):
            yield f"no segment {place.segment}{_close(place.segment, segments)}"
        return
    fields = segments[place.segment][1]
    number = int(place.field)
    if not number:
        return
    if number > len(fields):
        yield f"{place.segment} has {len(fields)} fields, {place} is beyond them"
    elif place.component:
        form, parts, datatype = fields[number - 1][1][:3]
        if form == "sequence" and place.component > len(parts):
            yield f"{place}: {datatype} has {len(parts)} components"


def _close(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean `{close[0]}`?" if close else ""
