"""What one row makes of what it read: its function's value, wrapped as its target asks, put into the resource under way."""

from __future__ import annotations

from typing import Any

import orjson

from adapter.mapping.context import MapContext
from adapter.mapping.rules import Row
from adapter.model import Json, is_array


def call(row: Row, taken: Any, ctx: MapContext) -> Any:
    """What a row's function makes of a repetition, a segment or a list of them; None where nothing comes of it."""
    function = row.function
    assert function is not None, row.rule
    try:
        value = function.call(taken, ctx, **row.options)
    except Exception as error:  # a mapping that raises must not lose the rest of the message
        ctx.issue("mapping-failed", f"{row.rule} {function.name}: {type(error).__name__}")
        return None
    return None if value in ({}, [], "") else value


def distinct(values: list[Any]) -> list[Any]:
    """The values, each once, in their order; in time that grows with their number alone."""
    if len(values) < 2:
        return values
    once: dict[bytes, Any] = {}
    for value in values:
        once.setdefault(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), value)
    return list(once.values())


def wrapped(row: Row, value: Any) -> list[Any]:
    """The list members (or the one value) that a row's value makes: in its inner elements, in its extension."""
    found: list[Any] = []
    for one in value if row.listed and is_array(value) else (value,):
        inner = one
        for name in reversed(row.wrap):
            inner = {name: inner}
        found.append({"url": row.url, row.value: inner} if row.url else inner)
    return found


def put(row: Row, slot: str, value: Any, body: Json) -> None:
    """A row's value put where it goes: list members once each."""
    for one in wrapped(row, value):
        if not row.listed:
            body[slot] = one
        elif body.get(slot) is None:
            body[slot] = [one]
        elif one not in body[slot]:
            body[slot].append(one)
