"""The lint of HL7 places: segment, field and component must exist in some version of HL7 v2."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import cache
from typing import Any

from adapter.conformance.dictionary import versions
from adapter.mapping.lint_csv import close
from adapter.mapping.rules import Place

HL7_VERSIONS = ("v2_1", "v2_2", "v2_3", "v2_3_1", "v2_4", "v2_5", "v2_5_1", "v2_6", "v2_7", "v2_8", "v2_8_1", "v2_8_2")
"""hl7apy's dictionaries, oldest first."""


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


def place_faults(place: Place) -> Iterator[str]:
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
