"""Symbolic references become Type/id; those without a target are taken out, never left dangling."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

import orjson

from adapter.model import Json

Resolve = Callable[[str], str]
_REFERENCE = re.compile(rb'"reference":("(?:[^"\\\\]|\\\\.)*")')


def resolved(body: Json, resolve: Resolve, found: set[str]) -> Json:
    """A body with each symbolic reference resolved; the literal ones (`Type/id`) are added to `found`.

    Done on the JSON text, in which references are few: ten times as fast as walking the tree. The body stays as it was.
    """
    text = orjson.dumps(body)
    if b'"reference":"' not in text:
        return body

    def replace(match: re.Match[bytes]) -> bytes:
        literal = resolve(orjson.loads(match[1]))
        if "/" in literal and ":" not in literal:
            found.add(literal)
        return b'"reference":' + orjson.dumps(literal)

    return orjson.loads(_REFERENCE.sub(replace, text))


def targets(value: Any, found: set[str]) -> set[str]:
    """Every relative literal reference (`Type/id`) below a value, added to `found`."""
    if isinstance(value, dict):
        for name, inner in value.items():  # pyright: ignore[reportUnknownVariableType]  # FHIR JSON
            if name == "reference" and isinstance(inner, str):
                if "/" in inner and ":" not in inner:
                    found.add(inner)
            elif isinstance(inner, (dict, list)):
                targets(inner, found)
    elif isinstance(value, list):
        for inner in value:  # pyright: ignore[reportUnknownVariableType]  # FHIR JSON
            if isinstance(inner, (dict, list)):
                targets(inner, found)
    return found


def without(value: Any, missing: Collection[str]) -> Any:
    """A copy without references to `missing` targets; what becomes empty goes too (a display or identifier stays)."""
    if isinstance(value, dict):
        if value.get("reference") in missing:  # pyright: ignore[reportUnknownMemberType]  # FHIR JSON
            value = {k: v for k, v in value.items() if k not in ("reference", "type")}  # pyright: ignore[reportUnknownVariableType]  # FHIR JSON
        kept = {k: without(v, missing) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType]  # FHIR JSON
        return {k: v for k, v in kept.items() if v not in ({}, [])}
    if isinstance(value, list):
        kept_items = [without(v, missing) for v in value]  # pyright: ignore[reportUnknownVariableType]  # FHIR JSON
        return [v for v in kept_items if v not in ({}, [])]
    return value
