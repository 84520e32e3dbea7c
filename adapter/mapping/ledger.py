"""The account of a message: every valued leaf as mapped, dropped with a reason, or unmapped; and the way back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from adapter.mapping.account import Leaf, beyond, conditional, element_of, leaves_of, part_of
from adapter.mapping.functions.registry import OTHER_WORDS
from adapter.mapping.read_fields import fields_read
from adapter.mapping.rules import Map, Row
from adapter.mapping.run import Step, empties, holds
from adapter.mapping.standing import Output
from adapter.model import Composed, Json, Mapped
from adapter.parse.er7 import NULL

_STATUSES = ("mapped", "dropped", "unmapped")


OWN_SEGMENT = "a sender's own segment without a map: its feed says nothing of it (issue segment-unknown)"
"""Why nothing is made of a Z segment: no standard says what is in it, so it is not counted as unmapped."""

NO_FIELD = "the standard has no such field or component in any version"
"""Why nothing is made of a field or component behind the last one that any version of HL7 v2 gives its segment."""

NOT_STATED = "nothing was stated of it here: who or what it describes is described elsewhere, or not named"
"""Why a leaf whose function could state something has led to nothing, in any resource of the type it could go to."""

NOT_HERE = "nothing of it stands in what came out: another value took its place, or its place takes no such value"
"""Why a leaf is told as dropped whose account has a place for it, and whose value does not stand there or near it."""

NOT_MADE = "nothing is made of it here: the segment lacks what a resource of it is known by, or what its map asks for"
"""Why nothing is made of a field whose maps were all passed over: no key, or a condition that does not hold."""

LIST_EMPTY = "takes back what this sender listed before"
"""What a null value does where it stands for all that a repeated segment would name."""


class _Said(list[tuple[str, str, Json]]):
    """Stands in a context where functions state shared resources, and notes which row and place made them do so."""

    def __init__(self, ledger: Ledger, ctx: Any) -> None:
        super().__init__()
        self._ledger = ledger
        self._ctx = ctx

    def append(self, one: tuple[str, str, Json], /) -> None:
        """Note one shared resource."""
        self._ledger.said(self._ctx, one[0], one[1], one[2])

    def extend(self, several: Iterable[tuple[str, str, Json]], /) -> None:
        """Note several."""
        for one in several:
            self.append(one)


class Ledger:
    """Gathers what ran over one message (or CSV row); off the hot path, only for --loss and --explain."""

    def __init__(self) -> None:
        self._seen: list[tuple[Any, tuple[Map, ...], Any, str]] = []
        self._steps: dict[tuple[int, int, int], Step] = {}
        self._told: Json = {}
        self._of_slot: dict[tuple[str, str], list[str]] = {}
        self._built: dict[int, tuple[Any, set[str]]] = {}
        self._ctx: Any = None
        self._touched: dict[tuple[int, int], set[str]] = {}
        self._output: Output | None = None

    def see(self, source: Any, maps: tuple[Map, ...], ctx: Any) -> None:
        """Note a segment (or row) and the maps that were run over it."""
        self._seen.append((source, maps, ctx, ctx.anchor))
        self._ctx = ctx
        if ctx.stated is None:
            ctx.stated = _Said(self, ctx)

    def step(self, step: Step) -> None:
        """Note a row that ran."""
        self._steps[(id(step.source), id(step.row), step.rep)] = step
        touched = self._touched.setdefault((id(step.source), id(step.row)), set())
        touched.add(step.symbol)
        if step.produced:
            self._tell(step.symbol, step.slot, step.row, step.source, step.rep)
        for builder in self._ctx.builders.values():
            slots = {*builder.snapshot, *builder.effect}
            _, known = self._built.setdefault(id(builder), (builder, set()))
            if builder.symbol != step.symbol:  # a function of this row has built it, or gone on with it
                for slot in sorted(slots - known):
                    touched.add(builder.symbol)
                    self._tell(builder.symbol, slot, step.row, step.source, step.rep)
            known |= slots

    def said(self, ctx: Any, resource_type: str, key: str, body: Json) -> None:
        """Note a shared resource (Organization, Practitioner, Location) that the row under way has stated."""
        if ctx.row is not None and ctx.segment is not None:
            self._touched.setdefault((id(ctx.segment), id(ctx.row)), set()).add(f"{resource_type}?{key}")
            for slot in body:
                self._tell(f"{resource_type}?{key}", slot, ctx.row, ctx.segment, ctx.rep)

    def _tell(self, symbol: str, slot: str, row: Row, source: Any, rep: int) -> None:
        whole = _at(row, source, rep)
        said = self._told.setdefault(symbol, {}).setdefault(slot.split("#", maxsplit=1)[0], [])
        between = ", " if source.name == "ROW" else "-"
        for place in [f"{whole}{between}{field}" for field in fields_read(row, source, symbol, slot)] or [whole]:
            entry = {"place": place, "rule": row.rule}
            self._of_slot.setdefault((symbol, slot), []).append(place)
            if entry not in said:
                said.append(entry)

    def loss(self, mapped: Mapped, composed: Sequence[Composed] = ()) -> Json:
        """Every valued leaf with its place (HL7 path or `row N, column`), status and element or reason; never its value.

        composed: what came of the message; of HL7 leaves the element is then where the value was found in it.
        """
        self._output = Output(composed) if composed else None
        leaves = [self._entry(source, maps, ctx, leaf) for source, maps, ctx in self._again() for leaf in leaves_of(source)]
        stated = _stated(mapped)
        leaves = [leaf if leaf["status"] != "mapped" or _stands(leaf["element"], stated) else
                  {"place": leaf["place"], **_dropped(NOT_STATED)} for leaf in leaves]
        counts = {status: sum(1 for leaf in leaves if leaf["status"] == status) for status in _STATUSES}
        return {"event": mapped.event, "feed": mapped.feed, "counts": counts, "leaves": leaves}

    def _again(self) -> Iterator[tuple[Any, tuple[Map, ...], Any]]:
        """What was seen, each with the context's anchor as it was then."""
        for source, maps, ctx, anchor in self._seen:
            ctx.anchor = anchor
            yield source, maps, ctx

    def explain(self, composed: Sequence[Composed]) -> Json:
        """For each resource its elements, with the places and rules they came from."""
        names: dict[tuple[str, str], str] = {}
        for c in composed:
            if not c.deleted:
                names[c.resource_type, c.key] = names[c.resource_type, f"{c.person}?{c.key}"] = f"{c.resource_type}/{c.id}"
        found: Json = {}
        for symbol, elements in self._told.items():
            head, _, key = symbol.partition("?")
            resource_type, _, patient = head.partition("@")
            name = names.get((resource_type, f"{patient}?{key}")) or names.get((resource_type, key), resource_type)
            for element, said in elements.items():
                found.setdefault(name, {}).setdefault(element, []).extend(said)
        for c in composed:
            if not c.deleted:
                _rest(c, found.setdefault(f"{c.resource_type}/{c.id}", {}))
        return found

    def places(self, symbol: str) -> dict[str, list[str]]:
        """Of what was stated of one resource (`Type?key`): element (or slot of a list's part) -> places."""
        return {**{element: [entry["place"] for entry in said] for element, said in self._told.get(symbol, {}).items()},
                **{slot: places for (of, slot), places in self._of_slot.items() if of == symbol and "#" in slot}}

    def _entry(self, source: Any, maps: tuple[Map, ...], ctx: Any, leaf: Leaf) -> Json:
        n = leaf.n
        if not maps and source.name[0] == "Z":
            return {"place": leaf.place, **_dropped(OWN_SEGMENT)}
        rows = [(one, row) for one in maps
                for row in (*one.by_field.get(n, ()), *one.drops.get(n, ()), *(r for r in one.always if r.whole))]
        said = [entry for one, row in rows if (entry := self._by_row(source, one, row, ctx, leaf))]
        if said:
            return {"place": leaf.place, **min(said, key=lambda one: one[0])[1]}
        if source.raw(n) == NULL and (taken := _withdrawn(maps, n)):
            return {"place": leaf.place, **_dropped(f"takes back the {taken} that the field made")}
        if isinstance(n, int) and beyond(source.name, leaf):
            return {"place": leaf.place, **_dropped(NO_FIELD)}
        concerned = {id(one): one for one in maps if any(part_of(r, leaf) is not None for r in _readers(one, n))}
        if concerned and not any((id(source), id(r), 1) in self._steps for one in concerned.values() for r in _rows(one)):
            emptied = leaf.text == NULL and any(one.listed and empties(one, source) for one in concerned.values())
            return {"place": leaf.place, **_dropped(LIST_EMPTY if emptied else NOT_MADE)}
        return {"place": leaf.place, "status": "unmapped"}

    def _by_row(self, source: Any, one: Map, row: Row, ctx: Any, leaf: Leaf) -> tuple[int, Json] | None:
        """What one row did with a leaf, and how much that says of it (0 most); None where it has nothing to do with it.

        An element comes first, then what a row that made something says, then why the mapping drops it, then why nothing came.
        """
        place = row.place
        assert place is not None
        if (place.component and place.component != leaf.component) or (place.sub and place.sub != (leaf.sub or 1)):
            return None
        if row.drop:
            return (3, _dropped(row.drop)) if holds(row.when, source, ctx) else None
        part = part_of(row, leaf)
        step = self._steps.get((id(source), id(row), 1 if row.whole or row.every else leaf.rep))
        if part is None or (step is None and (leaf.rep == 1 or (id(source), id(row), 1) not in self._steps)):
            return None
        made = step is not None and step.produced
        part = conditional(part, source, leaf)
        if part.startswith("drop: "):
            return 2 if made else 4, _dropped(part[6:])
        if not made:
            return (4, _dropped(f"{one.resource}.{row.target} holds one value; the first repetition was taken")) if step is None \
                else (5, _dropped("nothing usable; see the issues of this place"))
        found = self._found(source, row, leaf, element_of(one, row, part), ctx)
        return int(found["status"] != "mapped"), found

    def _found(self, source: Any, row: Row, leaf: Leaf, account: str, ctx: Any) -> Json:
        """A leaf as mapped to where its account has it; of HL7 to where it was found, or as dropped where it stands nowhere.

        A null is mapped to what it takes back.
        """
        element = account.removesuffix(OTHER_WORDS)
        if self._output is not None and source.name != "ROW" and leaf.text != NULL:
            element = self._output.find(leaf.text, account, self._touched.get((id(source), id(row)), ()), ctx.terminology)
        return {"status": "mapped", "element": element, "rule": row.rule} if element else _dropped(NOT_HERE)


_ELSEWHERE = {"Encounter": {"place": "(event)", "rule": "events.yaml"}, "Patient": {"place": "(identity)", "rule": "links"}}
"""Where elements come from that are no row's: a visit's course, a person's links."""


def _rest(c: Composed, told: Json) -> None:
    """Say of elements that no row wrote where they come from: absent and marked by a profile, or as `_ELSEWHERE` has it."""
    absent = {issue.place.removeprefix(f"{c.resource_type}.").partition(".")[0].partition("[")[0]
              for issue in c.issues if issue.code == "must-have-absent"}
    known = {element.partition(".")[0].lstrip("_") for element in told}
    for name in c.body.keys() - {"resourceType", "id", "meta"}:
        if name.lstrip("_") not in known:
            told[name] = [{"place": "(absent)", "rule": "must-have-absent"} if name[0] == "_" or name in absent else
                          _ELSEWHERE.get(c.resource_type, {"place": "(profile)", "rule": "US Core"})]


def _at(row: Row, source: Any, rep: int) -> str:
    """Where a row read, as places are written everywhere: `NK1[2]-5[3].1`, `row 12, role`, `(constant)`."""
    place = row.place
    if place is None:
        return "(constant)"
    if source.name == "ROW":
        return f"row {source.number}" + (f", {place.field}" if isinstance(place.field, str) and place.field != "ROW" else "")
    name = source.name if source.number == 1 else f"{source.name}[{source.number}]"
    if not place.field:
        return name
    again = f"[{rep}]" if rep > 1 else ""
    tail = f".{place.component}" if place.component else ""
    return f"{name}-{place.field}{again}{tail}" + (f".{place.sub}" if place.sub else "")


def _rows(one: Map) -> Iterator[Row]:
    """Every row of a map but those that drop."""
    yield from one.always
    for rows in one.by_field.values():
        yield from rows


def _readers(one: Map, n: Any) -> Iterator[Row]:
    """The rows of a map that could read a field."""
    yield from one.by_field.get(n, ())
    yield from (row for row in one.always if row.whole)


def _withdrawn(maps: tuple[Map, ...], n: Any) -> str:
    """The resource that a null value in a field takes back: that of the map which asks for a value there."""
    return next((one.resource for one in maps for place, want in one.when
                 if want == "valued" and not isinstance(place, str) and place.field == n), "")


def _stated(mapped: Mapped) -> dict[str, set[str]]:
    """Resource type -> top-level elements that the message states of it."""
    found: dict[str, set[str]] = {}
    for c in mapped.contributions:
        found.setdefault(c.resource_type, set()).update(slot.split("#")[0].split(".")[0].lstrip("_") for slot in c.body)
    return found


def _stands(account: str, stated: dict[str, set[str]]) -> bool:
    """Whether the element of an account (`Patient.name.family`, `Encounter.participant -> Practitioner.name`) is stated."""
    first, _, second = account.partition(" -> ")
    resource_type, _, path = (second if second[:1].isupper() else first).partition(".")
    element = re.match(r"[a-z][A-Za-z]*", path)
    elements = stated.get(resource_type)
    return resource_type == "Bundle" or (elements is not None and (
        element is None or any(one.startswith(element[0]) for one in elements)))


def _dropped(reason: str) -> Json:
    return {"status": "dropped", "reason": reason}
