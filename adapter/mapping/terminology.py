"""Concept maps: from a sender's code to the Coding that FHIR asks for. Read once, then plain dictionaries.

A map is a FHIR R4 ConceptMap in `mappings/<feed>/conceptmaps/<table>.json`; its file name is the table that mapping
rows name. A group whose source is its own target lists codes that need no translation (a feed's own codes may point at
them).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from adapter.errors import Defect
from adapter.mapping.tables import V2_TABLES
from adapter.model import Json


class Terminology:
    """The concept maps of one feed, by table name."""

    __slots__ = ("_folded", "_maps", "sources")

    def __init__(self, maps: Mapping[str, Json]) -> None:
        """maps: table name to ConceptMap resource. Where two groups know a code the first one counts."""
        self._maps: dict[str, dict[str, Json]] = {}
        self._folded: dict[str, dict[str, Json]] = {}
        self.sources: dict[str, str] = {}
        for table, resource in maps.items():
            codes = self._maps[table] = _codings(resource)
            self._folded[table] = _folded(codes)
            groups: list[Json] = resource["group"]
            self.sources[table] = groups[0].get("source", "") if groups else ""

    def code(self, table: str, code: str) -> Json | None:
        """The Coding that a table gives for a code, letter case ignored where that is unambiguous; None without one.

        The result is shared: never change it. Raises KeyError for a table that does not exist.
        """
        return self._maps[table].get(code) or self._folded[table].get(code.casefold())

    def tables(self) -> list[str]:
        """Names of the tables, sorted."""
        return sorted(self._maps)

    def codes(self, table: str) -> dict[str, Json]:
        """Every code of a table with its Coding, for lists and checks. Raises KeyError."""
        return dict(self._maps[table])


def table_codes(number: str) -> frozenset[str] | None:
    """The codes of an HL7 v2 table (`0004`), None where they are not known or left to the user."""
    return V2_TABLES.get(number)


def load_terminology(paths: Iterable[Path]) -> Terminology:
    """Read ConceptMap files; of two of one name the first counts. Raises Defect (mapping-failed) naming the file."""
    maps: dict[str, Json] = {}
    for path in paths:
        if path.stem in maps:
            continue
        try:
            resource: Any = orjson.loads(path.read_bytes())
            maps[path.stem] = resource
            if not _codings(resource):
                raise KeyError("group")
        except (orjson.JSONDecodeError, KeyError, TypeError, IndexError) as error:
            where = f"{path.parent.parent.name}/conceptmaps/{path.name}"
            raise Defect("mapping-failed", where, "not a ConceptMap with groups, elements and targets") from error
    return Terminology(maps)


def _codings(resource: Json) -> dict[str, Json]:
    """Source code to target Coding; an element whose target has no code (equivalence unmatched) has none."""
    found: dict[str, Json] = {}
    for group in resource["group"]:
        for element in group["element"]:
            target = element["target"][0]
            if "code" in target and element["code"] not in found:
                coding = {"system": group["target"], "code": target["code"]}
                if target.get("display"):
                    coding["display"] = target["display"]
                found[element["code"]] = coding
    return found


def _folded(codes: Mapping[str, Json]) -> dict[str, Json]:
    """Codes in lower case, without those that two different codings share."""
    found: dict[str, Json] = {}
    clash: set[str] = set()
    for code, coding in codes.items():
        folded = code.casefold()
        if found.setdefault(folded, coding) != coding:
            clash.add(folded)
    return {code: coding for code, coding in found.items() if code not in clash}
