"""Writes profiles/hl7v2/dictionary.json: what hl7apy's dictionaries say of ADT, in a form small enough to be read at once.

By version: `structures` (segments in order, groups in parentheses), `segments` (datatypes of the fields, in order) and
`datatypes` (datatypes of the components, in order). A suffix is a cardinality: none 1..1, `?` 0..1, `*` 0..*, `+` 1..*.
`-` stands for a field that the version has withdrawn. Run it again where hl7apy has a newer version.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import orjson

TARGET = Path(__file__).resolve().parents[1] / "profiles" / "hl7v2" / "dictionary.json"
VERSIONS = ("2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.1", "2.8.2")
_BESIDE = ("PRT", "ARV", "NTE", "CON", "OBX", "IAR", "MRG", "NPU")
"""Segments that are kept though a version has no place for them in ADT: real senders write them there."""

_CORRECTED = {("2.3.1", "OBX_4"): (0, 1), ("2.7", "OBX_4"): (0, 1), ("2.8", "OBX_4"): (0, -1)}
"""Cardinalities where hl7apy, by version and field, is stricter than the standard. OBX-4 is C, conditional, in chapter 7 of each
version: needed only where several OBX of one OBX-3 must be told apart. Required always, it would refuse legal messages."""


def dictionary() -> dict[str, Any]:
    """Every version of VERSIONS as the file has it."""
    return {version: _version(version) for version in VERSIONS}


def _version(version: str) -> dict[str, Any]:
    package = f"hl7apy.v{version.replace('.', '_')}"
    messages: dict[str, Any] = importlib.import_module(f"{package}.messages").MESSAGES
    segments: dict[str, Any] = importlib.import_module(f"{package}.segments").SEGMENTS
    datatypes: dict[str, Any] = importlib.import_module(f"{package}.datatypes").DATATYPES
    structures = {name.removeprefix("ADT_"): _structure(messages[name][1]) for name in sorted(messages) if name[:4] == "ADT_"}
    named = {name.strip("()?*+") for text in structures.values() for name in text.split()} | set(_BESIDE)
    fields = {name: _fields(version, segments[name][1]) for name in sorted(named & segments.keys()) if len(segments[name]) > 1}
    return {"structures": structures, "segments": fields, "datatypes": _datatypes(datatypes, fields)}


def _suffix(cardinality: tuple[int, int]) -> str:
    least, most = cardinality
    return ("" if least else "?") if most == 1 else ("+" if least else "*")


def _structure(children: Any) -> str:
    return " ".join((f"({_structure(part[1])})" if kind == "GRP" else name) + _suffix(cardinality)
                    for name, part, cardinality, kind in children)


def _fields(version: str, children: Any) -> str:
    found: dict[int, str] = {}
    for name, part, stated, _ in children:
        cardinality: tuple[int, int] = _CORRECTED.get((version, name)) or stated
        found[int(name.rpartition("_")[2])] = "-" if cardinality == (0, 0) else part[2] + _suffix(cardinality)
    return " ".join(found.get(n, "-") for n in range(1, max(found) + 1))


def _datatypes(datatypes: dict[str, Any], fields: dict[str, str]) -> dict[str, str]:
    """The composites that fields have, and those in them."""
    composites: dict[str, dict[int, str]] = {}
    for name, part in datatypes.items():
        composite, _, number = name.rpartition("_")
        if number.isdigit():
            composites.setdefault(composite, {})[int(number)] = part[2]
    wanted = {one.strip("?*+") for text in fields.values() for one in text.split()}
    found: dict[str, str] = {}
    while wanted:
        name = wanted.pop()
        if name in composites and name not in found:
            parts = composites[name]
            found[name] = " ".join(parts.get(n, "-") for n in range(1, max(parts) + 1))
            wanted |= set(parts.values())
    return {name: found[name] for name in sorted(found)}


def text() -> bytes:
    """The file's content."""
    return orjson.dumps(dictionary(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


if __name__ == "__main__":
    TARGET.write_bytes(text())
    sys.stdout.write(f"{TARGET.name}: {TARGET.stat().st_size // 1024} KB\n")
