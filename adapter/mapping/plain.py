"""Plain rows: those that only pass each repetition of a whole field through a function. They are most of all that run.

Messages repeat themselves: what a row made of a field's text is kept, if nothing was noticed on the way (ADR 0008).
"""

from __future__ import annotations

from typing import Any

from adapter.mapping.context import Builder, MapContext, Source
from adapter.mapping.functions.registry import keep
from adapter.mapping.rules import Row
from adapter.mapping.values import call, distinct, wrapped
from adapter.model import Json
from adapter.parse.er7 import NULL


def run_plain(row: Row, raw: str, source: Source, ctx: MapContext, builder: Builder) -> None:
    """Pass each repetition of a field through the row's function; raw: the field as it stands, not empty."""
    ctx.row = row
    body = builder.effect if row.effect and ctx.event in row.effect else builder.snapshot
    if raw == NULL:
        body.setdefault(row.slot, None)
        return
    memory = ctx.memory if row.kept else None
    kept = memory.get((id(row), raw)) if memory is not None else None
    if kept is None:
        issues, outer = len(ctx.issues), ctx.stated
        stated: list[tuple[str, str, Json]] = []
        ctx.stated = stated
        kept = (_plain_values(row, source, ctx), stated)
        ctx.stated = outer
        if memory is not None and len(ctx.issues) == issues:
            keep(memory, (id(row), raw), kept)
    else:
        for one in kept[1]:
            ctx.emit(*one)
    values = kept[0]
    if not values:
        return
    if not row.listed:
        body[row.slot] = values[-1]
    elif body.get(row.slot) is None:
        body[row.slot] = list(values)
    else:
        body[row.slot] = distinct([*body[row.slot], *values])


def _plain_values(row: Row, source: Source, ctx: MapContext) -> list[Any]:
    place, function = row.place, row.function
    assert place is not None, row.rule
    assert function is not None, row.rule
    values: list[Any] = []
    for n, rep in enumerate(source.reps(place.field) if row.listed else (source.first(place.field),), 1):
        ctx.rep = n
        if rep.text:
            value = call(row, rep, ctx)
            if value is None:
                value = row.default
            if value is not None:
                values.extend(wrapped(row, value))
    return distinct(values)
