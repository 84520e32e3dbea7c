"""Two resources whose elements have the same forms are claimed and checked alike (validate/forms.py).

The resources are those of all golden cases. Each of their texts gives way to each of a list of others, one at a time; where the
form stays the same, so must all that claiming and checking say, and what they add.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from adapter.model import Json
from adapter.validate.check import check
from adapter.validate.forms import former, ordered
from adapter.validate.periods import in_order
from adapter.validate.profiles import claim

ROOT = Path(__file__).parents[2]
TEXTS = ("x", " ", "", " pad ", "Ö\n|", "a\u2028b", "\u00a0", "finished", "unknown", "NY", "XX", "CT-1", "2000001018",
         "1234567893", "2026", "2026-03", "2026-03-01", "2026-02-30", "2026-03-01T10:00:00Z", "2026-03-01T10:00:00-05:00",
         "2027-03-01T10:00:00-05:00", "2026-03-01T10:00:00", "2026-03-01T23:59:60Z", "Patient/1", "Practitioner/1",
         "Organization/c1", "Organization/c2", "RelatedPerson/x y", "Patient?x|1", "#a", "urn:uuid:x", "urn:ietf:rfc:3986",
         "http://hl7.org/fhir/sid/us-npi", "http://loinc.org", "urn:oid:1.2")
"""Texts of all kinds: dates, references, codes, systems, numbers with and without check digit, spaces."""


@cache
def resources() -> tuple[Json, ...]:
    """The resources of the golden cases, without the profiles they claim; one of each type with the same elements."""
    found: dict[Any, Json] = {}
    for path in sorted((ROOT / "mappings").glob("*/cases/*/expected.json")):
        for entry in json.loads(path.read_bytes()).get("entry", ()):
            one = {name: value for name, value in entry.get("resource", {}).items() if name != "meta"}
            if one:
                found.setdefault((one["resourceType"], *sorted(one)), one)
    return tuple(found.values())


def form(one: Json, name: str) -> tuple[Any, ...]:
    """The form of an element, and whether those elements that are compared are in order."""
    kind: str = one["resourceType"]
    pairs = [(one[a], one[b]) for a, b in ordered(kind, one)]
    return (former(kind, name)(one[name]), *(in_order(*pair) for pair in pairs if all(map(_dated, pair))))


def _dated(text: str) -> bool:
    return former("Task", "authoredOn")(text) == ("date", len(text))


def leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(node, str):
        yield path
    elif isinstance(node, dict):
        for name, value in node.items():
            yield from leaves(value, (*path, name))
    elif isinstance(node, list):
        for n, value in enumerate(node):
            yield from leaves(value, (*path, n))


def changed(node: Any, path: tuple[Any, ...], text: str) -> Any:
    if not path:
        return text
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[path[0]] = changed(node[path[0]], path[1:], text)
    return copy


def verdict(one: Json) -> Any:
    """All that claiming and checking say of a resource."""
    current = dict(one)
    told = claim(current)
    found = check(current)
    same = {name for name, value in one.items() if current[name] is value}
    return told, found, {name: value for name, value in current.items() if name not in one}, same


def test_what_has_the_same_form_fares_the_same() -> None:
    for one in resources():
        known = verdict(one)
        for path in leaves({name: value for name, value in one.items() if name not in ("resourceType", "id")}):
            before = form(one, path[0])
            for other in (changed(one, path, text) for text in TEXTS):
                if form(other, path[0]) == before:
                    assert verdict(other) == known, (one["resourceType"], path)


def test_texts_dates_and_references_are_not_told_apart() -> None:
    """The property above would hold of forms that tell everything apart."""
    for path, one, other in (
            ("identifier", [{"system": "urn:x:contact", "value": "CT-1"}], [{"system": "urn:x:contact", "value": "CT-2"}]),
            ("period.start", "2026-03-01T10:00:00Z", "2027-04-01T11:30:00Z"),
            ("period", {"start": "2026-03-01", "end": "2026-03-02"}, {"start": "2025-03-01", "end": "2025-03-02"}),
            ("serviceProvider", {"reference": "Organization/a"}, {"reference": "Organization/b"})):
        told = former("Encounter", path)
        assert told(one) == told(other), path
