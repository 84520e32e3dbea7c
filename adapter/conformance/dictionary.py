"""What each version of HL7 v2 says of ADT: structures, fields and datatypes, read from `profiles/hl7v2/dictionary.json`.

That file is made of hl7apy's dictionaries (tools/hl7v2.py); 2.9, which they do not have, is ours: `version-2.9.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

from adapter import home
from adapter.conformance.grammar import Node, parse

PROFILES = home.PROFILES / "hl7v2"
"""Folder of the dictionary and of conformance profiles."""
USUAL = "2.5.1"
"""The version of a message that names none."""
_NEAREST = {"2.0": "2.1", "2.0D": "2.1", "2.3.2": "2.3.1", "2.7.1": "2.7", "2.9.1": "2.9"}
"""Versions without a dictionary of their own: the nearest."""

_UNTIL_24 = ("A01: A04 A05 A08 A13 A14 A28 A31", "A02: A21 A22 A23 A25 A26 A27 A29 A32 A33", "A06: A07", "A09: A10 A11 A15",
             "A24: A37", "A30: A34 A35 A36 A46 A47 A48 A49", "A39: A40 A41 A42", "A43: A44", "A50: A51")
_SINCE_24 = ("A01: A04 A08 A13", "A05: A14 A28 A31", "A06: A07", "A09: A10 A11 A12", "A21: A22 A23 A25 A26 A27 A29 A32 A33",
             "A30: A34 A35 A36 A46 A47 A48 A49", "A39: A40 A41 A42", "A43: A44", "A50: A51", "A52: A53", "A54: A55", "A61: A62")
"""HL7 table 0354: a structure, and the events beside its own that use it. Up to 2.2 each event has its own structure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """The fields of a segment. types: datatype by number, '' a withdrawn one; index 0 is empty.

    required: numbers that must be valued. single: numbers that must not repeat.
    """

    types: tuple[str, ...]
    required: tuple[int, ...]
    single: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version. structures: by event name (`A01`). datatypes: composite -> datatypes of its components, '' a withdrawn one."""

    name: str
    structures: Mapping[str, tuple[Node, ...]]
    segments: Mapping[str, Fields]
    datatypes: Mapping[str, tuple[str, ...]]


@cache
def versions() -> Mapping[str, Version]:
    """Every version, oldest first."""
    written: dict[str, Any] = orjson.loads((PROFILES / "dictionary.json").read_bytes())
    ours: dict[str, Any] = orjson.loads((PROFILES / "version-2.9.json").read_bytes())
    base = written[ours["base"]]
    written["2.9"] = {
        "structures": {name: _added(text, ours["after"]) for name, text in base["structures"].items()},
        "segments": {**base["segments"], **{n: _lengthened(base["segments"].get(n, ""), f) for n, f in ours["segments"].items()}},
        "datatypes": base["datatypes"]}
    return {name: _version(name, one) for name, one in written.items()}


def _added(structure: str, after: Mapping[str, str]) -> str:
    """A structure with the segments that 2.9 has put behind others."""
    words: list[str] = []
    for word in structure.split():
        name = word.strip("()?*+")
        more = after.get(name, "")
        closing = word[word.index(")"):] if ")" in word else ""
        words.append(f"{word.removesuffix(closing)} {more}{closing}" if more else word)
    return " ".join(words)


def _lengthened(fields: str, more: str) -> str:
    return f"{fields} {more}".strip()


def _version(name: str, written: Mapping[str, Any]) -> Version:
    return Version(
        name=name, structures={event: parse(text) for event, text in written["structures"].items()},
        segments={segment: _fields(text, segment) for segment, text in written["segments"].items()},
        datatypes={one: tuple("" if t == "-" else t for t in text.split()) for one, text in written["datatypes"].items()})


def _fields(text: str, segment: str) -> Fields:
    words = ["", *(["", "", *text.split()[2:]] if segment == "MSH" else text.split())]  # MSH-1 and MSH-2 are the delimiters
    return Fields(types=tuple(word.strip("-?*+") for word in words),
                  required=tuple(n for n, word in enumerate(words) if word and word[-1] not in "-?*"),
                  single=frozenset(n for n, word in enumerate(words) if word and word[-1] not in "-*+"))


def version_of(text: str) -> Version:
    """The version that MSH-12 names, or the nearest to it; an unknown one counts as the usual one."""
    known = versions()
    return known.get(text) or known[_NEAREST.get(text, USUAL)]


@cache
def structure_of(event: str, version: str) -> tuple[str, tuple[Node, ...], Version] | None:
    """Name (`ADT_A01`) and nodes of an event's structure, with the version that has it: the version's own, else that of the
    next one after it, else before it. None where no version has the event."""
    known = list(versions().values())
    at = next(n for n, one in enumerate(known) if one.name == version_of(version).name)
    for one in (*known[at:], *reversed(known[:at])):
        name = _structure_name(event, one)
        if name in one.structures:
            return f"ADT_{name}", one.structures[name], one
    return None


@cache
def _shared(version: str) -> Mapping[str, str]:
    """Event -> structure of a version, where it is not the event's own."""
    if version in ("2.1", "2.2"):
        return {}
    table = _UNTIL_24 if version in ("2.3", "2.3.1") else _SINCE_24
    return {event: row[:3] for row in table for event in row[5:].split()}


def _structure_name(event: str, version: Version) -> str:
    """The structure by table 0354; an event that has a structure of its own in this version uses that (A12, A15, A44 ...)."""
    return event if event in version.structures and event not in ("A23", "A29") else _shared(version.name).get(event, event)
