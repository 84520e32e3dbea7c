"""The documented contract of a CSV feed, `profiles/csv/<feed>.json`: its columns and what may stand in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import jsonschema_rs
import orjson

from adapter.errors import Defect
from adapter.home import PROFILES
from adapter.model import Json

CONTRACTS = PROFILES / "csv"
"""Folder of the network's own contracts."""

ColumnKind = Literal["text", "code", "day", "moment", "number"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The contract of one feed. columns: name to kind, in the order of the file. required: in that order too.

    key: the columns that tell a row from another through all its versions (`x-key`), () where the contract names none.
    several: columns that hold several values, divided by `;` (`x-several`).
    lists: column to the codes it may hold. titles: column to what people call it.
    Source: JSON Schema 2020-12 of one row, every cell a string; see `contract_of` for how kinds are read.
    """

    feed: str
    columns: Mapping[str, ColumnKind]
    required: tuple[str, ...]
    validator: jsonschema_rs.Draft202012Validator
    key: tuple[str, ...] = ()
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    several: frozenset[str] = frozenset()
    titles: Mapping[str, str] = field(default_factory=dict[str, str])

    def codes(self, column: str) -> tuple[str, ...]:
        """The codes that a column may hold, () where the contract lists none."""
        return self.lists.get(column, ())


def contract_of(schema: Json) -> Contract:
    """The contract that a JSON Schema states, compiled. Raises Defect (csv-feed) where it is no usable schema.

    Kinds: `enum` code; `format: date` day; `anyOf` of formats moment; `format: decimal` number; else text.
    """
    feed = str(schema.get("title", ""))
    place = f"profiles/csv/{feed}.json"
    try:
        properties: dict[str, Json] = schema["properties"]
        required = frozenset(schema.get("required", ()))
        validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    except (KeyError, ValueError) as error:
        raise Defect("csv-feed", place, "not a JSON Schema of a row") from error
    if unknown := required - properties.keys():
        raise Defect("csv-feed", place, f"required, but no property: {', '.join(sorted(unknown))}")
    key = tuple(schema.get("x-key", ()))
    if strange := set(key) - properties.keys():
        raise Defect("csv-feed", place, f"x-key, but no property: {', '.join(sorted(strange))}")
    return Contract(feed=feed, key=key, several=frozenset(n for n, p in properties.items() if p.get("x-several") is True),
                    titles={n: str(p.get("title", "")) for n, p in properties.items()},
                    lists={n: tuple(p["enum"]) for n, p in properties.items() if "enum" in p},
                    columns={name: _kind(p) for name, p in properties.items()},
                    required=tuple(n for n in properties if n in required), validator=validator)


@lru_cache(maxsize=64)
def load_contract(feed: str, folder: Path = CONTRACTS) -> Contract:
    """The contract of a feed by its name, read once. Raises Defect (csv-feed) where there is none that can be read."""
    path = folder / f"{feed}.json"
    try:
        return contract_of(orjson.loads(path.read_bytes()))
    except (OSError, orjson.JSONDecodeError) as error:
        raise Defect("csv-feed", f"profiles/csv/{feed}.json", "the contract cannot be read") from error


def _kind(column: Mapping[str, Any]) -> ColumnKind:
    if "enum" in column:
        return "code"
    if column.get("format") == "date":
        return "day"
    if column.get("format") == "decimal":
        return "number"
    return "moment" if "anyOf" in column else "text"
