"""The account of a message: every valued leaf as mapped, dropped with a reason, or unmapped; and the way back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from adapter.mapping.rules import Map, Row
from adapter.mapping.run import Step, holds
from adapter.model import Composed, Json, Mapped
from adapter.parse.er7 import NULL

_RANK = {"mapped": 0, "dropped": 1, "unmapped": 2}


OWN_SEGMENT = "a sender's own segment without a map: its feed says nothing of it (issue segment-unknown)"
"""Why nothing is made of a Z segment: no standard says what is in it, so it is not counted as unmapped."""


class Ledger:
    """Gathers what ran over one message (or CSV row); off the hot path, only for --loss and --explain."""

    def __init__(self) -> None:
        self._seen: list[tuple[Any, tuple[Map, ...], Any]] = []
        self._steps: dict[tuple[int, int, int], Step] = {}
        self._order: list[Step] = []

    def see(self, source: Any, maps: tuple[Map, ...], ctx: Any) -> None:
        """Note a segment (or row) and the maps that were run over it."""
        self._seen.append((source, maps, ctx))

    def step(self, step: Step) -> None:
        """Note a row that ran."""
        self._steps[(id(step.source), id(step.row), step.rep)] = step
        self._order.append(step)

    def loss(self, mapped: Mapped) -> Json:
        """Every valued leaf with its place (HL7 path or `row N, column`), status and element or reason; never its value."""
        leaves = [self._entry(source, maps, ctx, place, n, rep, c, s)
                  for source, maps, ctx in self._seen for place, n, rep, c, s in _leaves(source)]
        counts = {status: sum(1 for leaf in leaves if leaf["status"] == status) for status in _RANK}
        return {"event": mapped.event, "feed": mapped.feed, "counts": counts, "leaves": leaves}

    def explain(self, composed: Sequence[Composed]) -> Json:
        """For each resource its elements, with the places and rules they came from."""
        names: dict[tuple[str, str], str] = {}
        for c in composed:
            if not c.deleted:
                names[c.resource_type, c.key] = names[c.resource_type, f"{c.person}?{c.key}"] = f"{c.resource_type}/{c.id}"
        found: Json = {}
        for step in self._order:
            head, _, key = step.symbol.partition("?")
            resource_type, _, patient = head.partition("@")
            name = names.get((resource_type, f"{patient}?{key}")) or names.get((resource_type, key), resource_type)
            if step.produced:
                element = step.slot.split("#")[0]
                place = str(step.row.place) if step.row.place else "(constant)"
                if step.rep > 1:
                    place += f" repetition {step.rep}"
                said = found.setdefault(name, {}).setdefault(element, [])
                said.append({"place": place, "rule": step.row.rule})
        return found

    def _entry(self, source: Any, maps: tuple[Map, ...], ctx: Any, place: str, n: Any, rep: int, c: int, s: int) -> Json:
        best: Json = {"place": place, "status": "unmapped"}
        if not maps and source.name[0] == "Z":
            return {"place": place, **_dropped(OWN_SEGMENT)}
        for one in maps:
            for row in (*one.by_field.get(n, ()), *one.drops.get(n, ()), *(r for r in one.always if r.whole)):
                entry = self._by_row(source, one, row, ctx, n, rep, c, s)
                if entry and _RANK[entry["status"]] < _RANK[best["status"]]:
                    best = {"place": place, **entry}
        return best

    def _by_row(self, source: Any, one: Map, row: Row, ctx: Any, n: Any, rep: int, c: int, s: int) -> Json | None:
        """What one row did with a leaf; None where it has nothing to do with it."""
        place = row.place
        assert place is not None
        if (place.component and place.component != c) or (place.sub and place.sub != (s or 1)):
            return None
        if row.drop:
            return _dropped(row.drop) if holds(row.when, source, ctx) else None
        part = _part(row, n, c, s)
        step = self._steps.get((id(source), id(row), 1 if row.whole or row.every else rep))
        if part is None or (step is None and (rep == 1 or (id(source), id(row), 1) not in self._steps)):
            return None
        if part.startswith("drop: "):
            return _dropped(part[6:])
        if step is None or not step.produced:
            return _dropped("nothing usable; see the issues of this place" if step else
                            f"{one.resource}.{row.target} holds one value; the first repetition was taken")
        target = f"{one.resource}.{row.target}" + (f".{part}" if part else "")
        return {"status": "mapped", "element": part if part[:1].isupper() else target, "rule": row.rule}


def _dropped(reason: str) -> Json:
    return {"status": "dropped", "reason": reason}


def _part(row: Row, n: Any, c: int, s: int) -> str | None:
    """Where the row's function puts a part; None where it does not account for it; '' for the whole."""
    if row.function is None:
        return ""
    parts = row.function.parts
    place = row.place
    assert place is not None
    if row.whole:
        names = [f"{n}.{c}.{s}", f"{n}.{c}", f"{n}"]
    elif place.component:
        names = [f"{s or 1}", "*"]
    else:
        names = [f"{c}.{s or 1}", f"{c}", "*"]
    return next((parts[name] for name in names if name in parts), None)


def _leaves(source: Any) -> Iterator[tuple[str, Any, int, int, int]]:
    """(place, field, repetition, component, subcomponent) of every valued leaf of a segment or row; a field of `""` is one."""
    if source.name == "ROW":
        for column in source.valued():
            yield f"row {source.number}, {column}", column, 1, 1, 0
        return
    name = source.name if source.number == 1 else f"{source.name}[{source.number}]"
    for n in range(1, len(source.fields)):
        if source.name == "MSH" and n in (1, 2):
            continue
        if source.raw(n) == NULL:
            yield f"{name}-{n}.1", n, 1, 1, 0
        for number, rep in enumerate(source.reps(n), 1):
            for c, s, _ in rep.leaves():
                again = f"[{number}]" if number > 1 else ""
                yield f"{name}-{n}{again}.{c}" + (f".{s}" if s else ""), n, number, c, s
