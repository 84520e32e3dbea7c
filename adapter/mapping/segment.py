"""What one segment makes, gathered by itself and then joined with what the message made before.

Messages repeat themselves: through a stay the same next of kin, insurance and allergies come to the letter. What a segment
made is kept by its text and by all else it was read with, what was noticed included, unless it goes by what is each
message's own: its times and its control id. Where it goes on about what segments before it made, it is kept by those too
(ADR 0012).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from adapter.identity.links import Tie
from adapter.mapping.context import Builder, MapContext
from adapter.mapping.rules import Map
from adapter.mapping.run import Trace, run_maps
from adapter.model import Issue, Json, is_array
from adapter.parse.er7 import Segment

KEPT = 10_000
"""Segments of which a feed keeps what they made, for each sender; then it begins anew."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """What a segment made. first: the first resource of each type, to which later segments may refer. Never changed."""

    builders: dict[tuple[str, str, str], Builder]
    shared: dict[tuple[str, str], Json]
    links: list[Tie]
    lists: dict[tuple[str, str, str], set[str]]
    withdrawn: list[tuple[str, str]]
    first: dict[str, tuple[str, str, str]]
    issues: list[Issue]


def map_segment(maps: tuple[Map, ...], segment: Segment, ctx: MapContext) -> None:
    """Run the maps of a segment, or take what the same text made before; the context has it then."""
    if ctx.memory is None:
        join(gathered(maps, segment, ctx), ctx)
        return
    memory: dict[Any, Any] = ctx.memory.setdefault(Made, {})
    at: Any = (segment.line, segment.number, ctx.patient, ctx.visit, ctx.account, ctx.merged, ctx.anchor, ctx.event,
               ctx.sender.text)
    kept: Any = memory.get(at)
    if kept.__class__ is tuple:  # the types that it looked back at
        kept = memory.get((at, _before(kept, ctx)))
    made: Made = kept or gathered(maps, segment, ctx)
    if kept is None and not ctx.own:
        if len(memory) >= KEPT:
            memory.clear()
        if ctx.looked_back:
            memory[at] = types = tuple(sorted(ctx.looked_back))
            at = (at, _before(types, ctx))
        memory[at] = made
    join(made, ctx)


def _before(types: Iterable[str], ctx: MapContext) -> tuple[Any, ...]:
    """What segments before made of these types, told apart by the objects that are kept of them."""
    return tuple(builder.origins if (builder := ctx.latest.get(t)) else None for t in types)


def gathered(maps: tuple[Map, ...], segment: Segment, ctx: MapContext, trace: Trace | None = None) -> Made:
    """Run the maps of a segment as if it stood alone."""
    outer = (ctx.builders, ctx.shared, ctx.links, ctx.lists, ctx.withdrawn, ctx.issues)
    issues: list[Issue] = []
    ctx.builders, ctx.shared, ctx.links, ctx.lists, ctx.withdrawn, ctx.issues = {}, {}, [], {}, [], issues
    ctx.own, ctx.looked_back = False, set()
    try:
        first = run_maps(maps, segment, ctx, trace)
        return Made(ctx.builders, ctx.shared, ctx.links, ctx.lists, ctx.withdrawn, first, issues)
    finally:
        ctx.builders, ctx.shared, ctx.links, ctx.lists, ctx.withdrawn, ctx.issues = outer


def join(made: Made, ctx: MapContext) -> None:
    """Put what a segment made to what the message has."""
    builders = ctx.builders
    for at, b in made.builders.items():
        standing = builders.get(at)
        if standing is not None:
            standing.snapshot = _added(standing.snapshot, b.snapshot)
            standing.effect = _added(standing.effect, b.effect)
            standing.origins = (standing.origins, made)
            continue
        stated = ctx.shared.pop((b.resource_type, b.key), None) if b.scope == "reference" else None
        snapshot = _added(stated, b.snapshot) if stated else b.snapshot
        builders[at] = Builder(b.resource_type, b.key, b.scope, b.patient, b.visit, snapshot, b.effect, (made,))
    for (resource_type, key), body in made.shared.items():
        ctx.state(resource_type, key, body)
    ctx.issues += made.issues
    ctx.links += made.links
    ctx.withdrawn += made.withdrawn
    for at, members in made.lists.items():
        ctx.lists[at] = ctx.lists.get(at, set()) | members
    for resource_type, at in made.first.items():
        if at in builders:
            ctx.latest[resource_type] = builders[at]


class _Grown(list[Any]):
    """A list of what several segments said, each member once; adding to it takes no longer the longer it is."""

    __slots__ = ("texts",)

    def __init__(self, values: Iterable[Any]) -> None:
        super().__init__()
        self.texts: set[bytes] = set()
        self.add(values)

    def add(self, values: Iterable[Any]) -> None:
        """Append those that it does not have."""
        for value in values:
            text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
            if text not in self.texts:
                self.texts.add(text)
                self.append(value)


def _added(body: Json, more: Json) -> Json:
    """A body with what a later segment says: lists put together, single values by the later, null only where nothing stands."""
    if not more or not body:
        return more or body
    both = dict(body)
    for slot, value in more.items():
        before = both.get(slot)
        if value is None:
            both.setdefault(slot, None)
        elif is_array(value) and is_array(before):
            both[slot] = before if before.__class__ is _Grown else _Grown(before)
            both[slot].add(value)
        else:
            both[slot] = value
    return both
