"""FHIR definitions as plain dicts, out of HAPI's R4 jar (XML) and the US Core package (JSON); value sets expanded."""

from __future__ import annotations

import json
import tarfile
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]
FHIR = "{http://hl7.org/fhir}"
DEFINITIONS = ("StructureDefinition", "ValueSet", "CodeSystem")


def plain(node: ET.Element) -> Any:
    """A FHIR XML element as FHIR JSON, near enough for definitions: lists stay lists only by `many`."""
    if "value" in node.attrib:
        return node.attrib["value"]
    out: Json = {"url": node.attrib["url"]} if "url" in node.attrib else {}
    for child in node:
        name = child.tag.replace(FHIR, "")
        if child.tag.startswith(FHIR):
            out.setdefault(name, []).append(plain(child))
    return out


def one(node: Json, name: str, default: Any = None) -> Any:
    """The first value of an element."""
    found = node.get(name)
    return (found[0] if isinstance(found, list) else found) if found else default


def many(node: Json, name: str) -> list[Any]:
    """All values of an element."""
    found = node.get(name, [])
    return found if isinstance(found, list) else [found]


def r4_resources(jar: Path, folder: str) -> Iterator[tuple[str, Json]]:
    """(resource type, definition) of each definition in the jar below profile/ or valueset/."""
    with zipfile.ZipFile(jar) as archive:
        for name in sorted(archive.namelist()):
            if f"/r4/model/{folder}/" in name and name.endswith(".xml"):
                for holder in ET.fromstring(archive.read(name)).iter(FHIR + "resource"):
                    for found in holder:
                        yield found.tag.replace(FHIR, ""), plain(found)


def us_core_resources(package: Path) -> Iterator[tuple[str, Json]]:
    """(resource type, definition) of each definition in the US Core package."""
    with tarfile.open(package) as archive:
        for member in sorted(archive.getmembers(), key=lambda m: m.name):
            stem = Path(member.name).name.split("-")[0]
            if Path(member.name).parent == Path("package") and stem in DEFINITIONS:
                stream = archive.extractfile(member)
                if stream is not None:
                    yield stem, json.load(stream)


class Terminology:
    """Code systems and value sets by url; expands those that are plain lists."""

    def __init__(self) -> None:
        self.systems: dict[str, Json] = {}
        self.sets: dict[str, Json] = {}

    def add(self, kind: str, definition: Json) -> None:
        """Keep a CodeSystem or ValueSet."""
        into = {"CodeSystem": self.systems, "ValueSet": self.sets}.get(kind)
        if into is not None and one(definition, "url"):
            into[one(definition, "url")] = definition

    def codes_of_system(self, url: str) -> list[str] | None:
        """Every code of a complete code system, None where it is not at hand."""
        system = self.systems.get(url)
        if system is None or one(system, "content") != "complete" or not many(system, "concept"):
            return None
        return sorted({code for concept in many(system, "concept") for code in _tree(concept)})

    def expand(self, url: str) -> dict[str, list[str]] | None:
        """System -> codes of a value set that has no filter, exclusion or unknown system; None otherwise."""
        value_set = self.sets.get(url.split("|", maxsplit=1)[0])
        compose = one(value_set, "compose") if value_set else None
        if not compose or many(compose, "exclude"):
            return None
        found: dict[str, set[str]] = {}
        for include in many(compose, "include"):
            part = self._include(include)
            if part is None:
                return None
            for system, codes in part.items():
                found.setdefault(system, set()).update(codes)
        return {system: sorted(codes) for system, codes in sorted(found.items())}

    def _include(self, include: Json) -> dict[str, list[str]] | None:
        if many(include, "filter"):
            return None
        system, listed, other = one(include, "system"), many(include, "concept"), many(include, "valueSet")
        if other:
            return self.expand(other[0]) if len(other) == 1 and system is None else None
        codes = sorted(one(c, "code") for c in listed) if listed else self.codes_of_system(system)
        return None if codes is None else {system: codes}


def _tree(concept: Json) -> Iterator[str]:
    yield one(concept, "code")
    for child in many(concept, "concept"):
        yield from _tree(child)
