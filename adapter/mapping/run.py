"""Rows run over segments or CSV rows: what they say of each resource is gathered in the context's builders."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from adapter.identity.links import GROUPED
from adapter.mapping.context import Builder, MapContext, Source, symbol
from adapter.mapping.plain import run_plain
from adapter.mapping.rules import Condition, Map, Place, Row
from adapter.mapping.values import call, put
from adapter.model import Issue, Json
from adapter.parse.er7 import NULL, Rep


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One row that ran, for --loss and --explain: where it read, what it wrote where, or that nothing came of it."""

    source: Source
    row: Row
    rep: int
    symbol: str
    slot: str
    produced: bool


NOT_A_VISIT = "N"
"""PV1-2 of a message that has a PV1 only because its structure asks for one (HL7 table 0004)."""

Trace = Callable[[Step], None]


def read(source: Source, place: Place) -> str:
    """The text at a place, first repetition, '' where absent."""
    rep = source.first(place.field)
    if place.sub:
        return rep.sub(place.component, place.sub)
    return rep.get(place.component) if place.component else rep.get(1)


def holds(conditions: tuple[Condition, ...], source: Source, ctx: MapContext) -> bool:
    """Whether all conditions hold for a segment."""
    for place, want in conditions:
        text = (ctx.event if place == "event" else ctx.anchor) if isinstance(place, str) else read(source, place)
        if want == "valued":
            if not text:
                return False
        elif want == "empty":
            if text:
                return False
        elif text not in want:
            return False
    return True


def run_maps(maps: tuple[Map, ...], source: Source, ctx: MapContext, trace: Trace | None = None,
             columns: frozenset[str] = frozenset()) -> dict[str, tuple[str, str, str]]:
    """Every map of a segment, in order; a function that raises becomes the issue `mapping-failed` at its place.

    Result: where the first resource of each type stands among the context's builders.

    columns: those a CSV file has. Its rows state their resources in full, so what these columns could say and do not is
    taken back; shared resources of which other rows speak too (no `alone`) excepted. A resource of its own that a map could
    make of it, and whose condition does not hold (any more), is withdrawn: a contact that was not reached is no Encounter.
    """
    ctx.segment = source
    ctx.refs = {}
    valued = source.valued()
    first: dict[str, tuple[str, str, str]] = {}
    for one in maps:
        key = _applies(one, source, ctx, columns)
        if key is None:
            continue
        builder = ctx.build(one.resource, key, one.scope)
        if one.resource not in ctx.refs:
            ctx.refs[one.resource] = builder.symbol
            first[one.resource] = builder.at
        for row in one.always:
            run_row(row, source, ctx, builder, trace)
        for field, rows in one.by_field.items():
            raw = valued.get(field)
            if raw:
                for row in rows:
                    if row.plain and trace is None:
                        run_plain(row, raw, source, ctx, builder)
                    else:
                        run_row(row, source, ctx, builder, trace)
        if columns and one.in_full:
            _take_back(one, builder.snapshot, columns, {i.place for i in ctx.issues})
    return first


def _applies(one: Map, source: Source, ctx: MapContext, columns: frozenset[str]) -> str | None:
    """The key of the resource that a map makes of a segment, None where it makes none."""
    if one.when and not holds(one.when, source, ctx):
        gone = withdraws(one, source, ctx, columns) if columns else one.scope == "own" and _emptied(one.when, source, ctx)
        if gone and (key := key_of(one, source, ctx)) is not None:
            ctx.withdrawn.append((one.resource, key))
        return None
    if one.listed and ctx.patient and empties(one, source):
        _list(one, "", ctx)
        return None
    key = key_of(one, source, ctx) if ctx.patient or one.no_patient else None
    if key is None:
        return None
    if one.listed:
        _list(one, key, ctx)
    if one.withdraw and holds(one.withdraw, source, ctx):
        ctx.withdrawn.append((one.resource, key))
        return None
    return key


def withdraws(one: Map, source: Source, ctx: MapContext, columns: frozenset[str]) -> bool:
    """Whether a CSV row for which a map's condition does not hold takes its resource back; a shared one by empty cells alone."""
    if not one.alone:
        return one.scope == "own"
    empty = [not isinstance(place, str) and want == "valued" and not read(source, place) and str(place.field) in columns
             for place, want in one.when]
    return any(empty) and holds(tuple(c for c, gone in zip(one.when, empty, strict=True) if not gone), source, ctx)


def _emptied(conditions: tuple[Condition, ...], source: Source, ctx: MapContext) -> bool:
    """Whether conditions fail for nothing but a null value, where a value is asked for: the source takes the resource back."""
    nulls = {n for n, (place, want) in enumerate(conditions)
             if want == "valued" and not isinstance(place, str) and source.raw(place.field) == NULL}
    return bool(nulls) and holds(tuple(c for n, c in enumerate(conditions) if n not in nulls), source, ctx)


def empties(one: Map, source: Source) -> bool:
    """Whether a segment of a list names nothing, and has `""` where it would (`AL1|1||""`): the sender's list is empty now.

    A set id names nothing. Source: HL7 v2 chapter 2, repeating segments in snapshot mode.
    """
    places = [p for part in one.key if not isinstance(part, str) and not _optional(part) for p in part if p and p.field != 1]
    return any(source.raw(p.field) == NULL for p in places) and not any(_key_text(source, p) for p in places)


def _list(one: Map, key: str, ctx: MapContext) -> None:
    """Note that a message lists this key, so that what it leaves out of the list is over; '': that it lists nothing."""
    beginning = f"{one.system or f'{ctx.local}:{one.label}'}|{ctx.patient}/"
    if one.listed == "visit":
        beginning += f"{ctx.visit}/"
    if (not key or key.startswith(beginning)) and (ctx.visit or one.listed != "visit"):
        ctx.lists.setdefault((ctx.patient, one.resource, beginning), set()).update([key] if key else ())


def _take_back(one: Map, snapshot: Json, columns: frozenset[str], doubted: set[str]) -> None:
    """Null for each slot of a CSV row's map that its columns leave empty, not where a cell was not understood."""
    for slot, read_here in slots_of_columns(one, columns):
        if not any(place.endswith(f", {column}") for place in doubted for column in read_here):
            snapshot.setdefault(slot, None)


def slots_of_columns(one: Map, columns: frozenset[str]) -> list[tuple[str, Collection[str]]]:
    """The slots of a map that these columns can fill, each with the columns that its row reads."""
    rows = (*one.always, *(r for rows in one.by_field.values() for r in rows))
    read = [(row, row.function.parts.keys() if row.whole and row.function else {str(row.place)}) for row in rows]
    return [(row.slot, read_here) for row, read_here in read
            if row.place is not None and row.slot and not row.group and columns & read_here]


def key_of(one: Map, source: Source, ctx: MapContext) -> str | None:
    """The business key a map makes, None where a part is missing (visit: an issue says so)."""
    parts: list[str] = []
    for part in one.key:
        if isinstance(part, str):
            text = part[1:] if part.startswith("=") else _named(part.rstrip("?"), one, ctx)
        else:
            text = next((t for t in (_key_text(source, p) for p in part if p is not None) if t), "")
        if not text:
            if _optional(part):
                continue
            if part == "visit" and source.name == "PV1" and source.first(2).get(1) != NOT_A_VISIT:
                ctx.row = None
                ctx.issues.append(Issue(code="no-visit-number", place=source.name))
            return None
        parts.append(text)
    if len(parts) == 1 and not one.system and isinstance(one.key[0], str):
        return parts[0]
    return f"{one.system or f'{ctx.local}:{one.label}'}|{'/'.join(parts)}"


def _named(name: str, one: Map, ctx: MapContext) -> str:
    if name == "latest":
        builder = ctx.look_back(one.resource)
        return builder.key if builder else ""
    return getattr(ctx, name)


def _optional(part: str | tuple[Place | None, ...]) -> bool:
    return part.endswith("?") if isinstance(part, str) else part[-1] is None


def _key_text(source: Source, place: Place) -> str:
    if place.component or isinstance(place.field, str):
        return read(source, place)
    return source.first(place.field).plain()


def run_row(row: Row, source: Source, ctx: MapContext, builder: Builder, trace: Trace | None = None) -> None:
    """What one row makes of a segment, put into the builder's snapshot, or effect."""
    ctx.row = row
    ctx.rep = 1
    if row.when and not holds(row.when, source, ctx):
        return
    body: Json = builder.effect if ctx.event in row.effect else builder.snapshot
    slot = row.slot
    if row.group:
        group = "/".join(read(source, p) for p in row.group)
        slot = slot.split("#")[0] + (f"{GROUPED}{group}]" if source.name == "ROW" else f"#{source.name}/{group}")
    for n, value in _values(row, source, ctx):
        if value is _DELETED:
            body.setdefault(slot, None)
        elif value is not None:
            put(row, slot, value, body)
        if trace:
            trace(Step(source=source, row=row, rep=n, symbol=builder.symbol, slot=slot, produced=value is not None))


_DELETED = object()
"""The value of a field that holds the null value: this source deletes what it said."""


def _values(row: Row, source: Source, ctx: MapContext) -> Iterator[tuple[int, Any]]:
    """(repetition, value) of everything a row makes of its segment; None where nothing came of it."""
    place = row.place
    if place is None or row.whole:
        yield 1, _computed(row, source, ctx)
        return
    raw = source.raw(place.field)
    if raw == NULL:
        yield 1, _DELETED
    elif raw and row.every:
        yield 1, call(row, source.reps(place.field), ctx)
    elif raw:
        reps = source.reps(place.field)
        for n, rep in enumerate(reps if row.listed else reps[:1], 1):
            ctx.rep = n
            yield n, _one(row, rep, ctx)


def _one(row: Row, rep: Rep, ctx: MapContext) -> Any:
    place = row.place
    if not rep.text or place is None:
        return None
    if place.component:
        if place.sub:
            text = rep.sub(place.component, place.sub)
            rep = Rep(text, rep.d)
        else:
            rep = rep.component(place.component)
        if not rep.text:
            return None
    if row.function is None:
        if row.constant is not None or row.ref:
            return row.constant if row.constant is not None else _reference(row.ref, ctx)
        return rep.plain() or None
    value = call(row, rep, ctx)
    return row.default if value is None else value


def _computed(row: Row, source: Source, ctx: MapContext) -> Any:
    if row.function is not None:
        return call(row, source, ctx)
    if row.ref:
        return _reference(row.ref, ctx)
    return row.constant


def _reference(name: str, ctx: MapContext) -> Json | None:
    if name == "patient":
        return {"reference": symbol("Patient", ctx.patient)} if ctx.patient else None
    if name == "visit":
        return {"reference": symbol("Encounter", ctx.visit)} if ctx.visit else None
    if name == "account":
        return {"reference": symbol("Account", ctx.account)} if ctx.account else None
    if name.startswith("latest "):
        builder = ctx.look_back(name.removeprefix("latest "))
        return {"reference": builder.symbol} if builder else None
    found = ctx.refs.get(name)
    return {"reference": found} if found else None
