"""Rows of one header as contributions, the quick way: what a rule made of its cells is kept, by the cells it read (ADR 0019).

A plan knows, for each shape of a row (which columns have a value, and what stands in those that conditions ask), which rules
run. A rule's value is kept by the texts of the columns that it read when it was watched. A row of which anything else
decides (a link, another resource of the row, a null) is mapped the general way (run.py): a plan makes the same or nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from adapter.mapping.context import joined
from adapter.mapping.csv_row import CsvRow
from adapter.mapping.message import Compiled
from adapter.mapping.row_rule import UNKNOWN, KeptRule
from adapter.mapping.row_watch import WatchedContext
from adapter.mapping.rules import Map
from adapter.mapping.run import holds, slots_of_columns, withdraws
from adapter.model import Contribution, Issue, Json, Order, Piece, PiecedBody, Told, is_object
from adapter.parse.er7 import NULL

SHAPES = 1000
"""Shapes of rows that are kept."""
TRIED = 32
"""Rows of a shape after which it is given up, if most of them had to be mapped the general way."""
_MESSAGE_SLOTS = frozenset({"target#", "focus#visit"})
_Shared = dict[tuple[str, str], Json]
"""(type, key) -> body of the shared resources that a row states."""


class _Key:
    """The business key that a map makes of rows of one shape: texts and columns, '' as a column for the patient's number."""

    __slots__ = ("alone", "beginning", "column", "parts")

    def __init__(self, form: str, parts: tuple[tuple[str, str], ...], *, alone: bool) -> None:
        self.beginning = f"{form}|"
        self.parts = parts
        self.alone = alone
        self.column = parts[0][1] if len(parts) == 1 and not parts[0][0] and not alone else ""

    def of(self, cells: Mapping[str, str], patient: str) -> str:
        """The key of a row, '' where a part has no text after all."""
        if self.column:
            text = _text(cells[self.column])
            return self.beginning + text if text else ""
        texts = [text or (_text(cells[column]) if column else patient) for text, column in self.parts]
        if not all(texts):
            return ""
        return texts[0] if self.alone else self.beginning + "/".join(texts)


def _text(cell: str) -> str:
    return "" if "\0" in cell else cell.strip()


def _key(one: Map, cells: Mapping[str, str], patient: str, local: str) -> _Key | None:
    """How rows of this shape make a map's key; None where they make none, or where it is not by columns alone."""
    parts: list[tuple[str, str]] = []
    for part in one.key:
        if isinstance(part, str):
            if part.startswith("="):
                parts.append((part[1:], ""))
            elif part == "patient" and patient:
                parts.append(("", ""))
            else:
                return None
            continue
        column = next((str(p.field) for p in part if p is not None and cells.get(str(p.field))), "")
        if column:
            parts.append(("", column))
        elif part[-1] is not None:
            return None
    alone = len(parts) == 1 and not one.system and isinstance(one.key[0], str)
    return _Key(one.system or f"{local}:{one.label}", tuple(parts), alone=alone)


class _MapPlan:
    """What one map makes of rows of one shape.

    nulls: slots that the file's columns can fill, with the columns. empty: (slots that are stated, findings so far) -> None for
    each of them, and for each that is taken back; whether two rules state one slot. last: what the row before said.
    """

    __slots__ = ("empty", "key", "last", "nulls", "of_patient", "resource", "rules", "scope")

    def __init__(self, one: Map, key: _Key, rules: Sequence[KeptRule], columns: frozenset[str]) -> None:
        self.resource = one.resource
        self.scope: Any = one.scope  # checked by the mapping schema
        self.of_patient = one.scope != "reference" and one.resource != "Patient"
        self.key = key
        self.rules = rules
        self.nulls = slots_of_columns(one, columns) if columns and one.in_full else []
        self.empty: dict[tuple[tuple[str, ...], tuple[Told, ...]], tuple[Json, bool]] = {}
        self.last: tuple[list[Piece], tuple[Told, ...], PiecedBody] | None = None

    def body(self, cells: Mapping[str, str], context: WatchedContext, shared: _Shared, told: list[Told]) -> PiecedBody | None:
        """The body that the rules make of a row; None where two of them meet in one list. told: findings, added to."""
        pieces: list[Piece] = []
        get = cells.get
        for rule in self.rules:
            memory = rule.memory
            if memory is None:
                piece = rule.made(cells, context)
            else:
                piece = memory.get(get(rule.single) if rule.single else tuple([get(c) for c in rule.columns]), UNKNOWN)
                if piece is UNKNOWN:
                    piece = rule.watched(cells, context)
                else:
                    rule.hits += 1
            if piece is not None:
                if piece.stated:
                    _state(piece, shared)
                if piece.told:
                    told += [one for one in piece.told if one not in told]
                if piece.slot:
                    pieces.append(piece)
        last, doubts = self.last, tuple(told) if told else ()
        if last is not None and last[0] == pieces and last[1] == doubts:  # the row before said the same of this resource
            return last[2]
        slots = tuple([piece.slot for piece in pieces])
        empty, twice = self.empty.get((slots, doubts)) or self._empty(slots, doubts)
        if twice:
            standing = _overlaid(pieces)
            if standing is None:
                return None
            pieces, slots = standing, tuple([piece.slot for piece in standing])
        body = PiecedBody(pieces, slots, empty)
        self.last = (pieces, doubts, body)
        return body

    def _empty(self, slots: tuple[str, ...], doubts: tuple[Told, ...]) -> tuple[Json, bool]:
        if len(self.empty) >= SHAPES:
            self.empty.clear()
        empty: Json = dict.fromkeys(slots)
        twice = len(empty) < len(slots)
        empty.update((slot, None) for slot, columns in self.nulls if slot not in empty and not _doubted(columns, doubts))
        self.empty[slots, doubts] = found = (empty, twice)
        return found


def _doubted(columns: Collection[str], told: tuple[Told, ...]) -> bool:
    """Whether a cell of these columns was not understood, so that it takes nothing back (`run_maps` asks the same)."""
    return any(place.endswith(f", {column}") for _, place, _ in told for column in columns)


def _overlaid(pieces: Sequence[Piece]) -> list[Piece] | None:
    """Let the last piece of a slot stand, where its first stood; None for a list, to which each adds."""
    last: dict[str, Piece] = {}
    for piece in pieces:
        if piece.slot in last and piece.value.__class__ is list:
            return None
        last[piece.slot] = piece
    return list(last.values())


def _state(piece: Piece, shared: _Shared) -> None:
    for at, body in piece.stated:
        standing = shared.get(at)
        if standing is None:
            shared[at] = body
        elif standing is not body:
            shared[at] = joined(standing, body)


class _Shape:
    """What rows of one shape become: resources stated, resources taken back. done, failed: how often it could say."""

    __slots__ = ("done", "failed", "maps", "types", "withdrawn")

    def __init__(self, maps: Sequence[_MapPlan], withdrawn: Sequence[tuple[str, _Key]]) -> None:
        self.maps = maps
        self.types = {plan.resource for plan in maps}
        self.withdrawn = withdrawn
        self.failed = 0
        self.done = 0


class RowPlan:
    """How rows of a header become contributions. Safe to share between threads: each takes a context of its own."""

    def __init__(self, compiled: Compiled, columns: Sequence[str]) -> None:
        feed = compiled.feed
        self._compiled = compiled
        self._source, self._mapping = feed.name, compiled.rules.version
        self._columns = frozenset(columns)
        self._maps = compiled.rules.maps.get("ROW", ())
        self._local = f"urn:x-careloop:{feed.name}"
        self._patient = str(feed.options.get("patient", ""))
        snapshot = feed.options.get("snapshot")
        self._fits = not (is_object(snapshot) and "per" in snapshot) and not any(one.alone for one in self._maps)
        asked = {str(place): None for one in self._maps for place, _ in (*one.when, *one.withdraw)}
        self._asked = tuple(asked)
        self._rules: dict[int, KeptRule] = {}
        self._shapes: dict[Any, _Shape | None] = {}
        self._spare: list[WatchedContext] = []

    def said(self, row: CsvRow, patient: str, order: Order, message: str, issues: list[Issue]) -> list[Contribution] | None:
        """What a row states, in the order of `finished`; None where it must be mapped the general way.

        row: its cells, defaults too. issues: of the row; findings of its rules are added.
        """
        cells = row.cells
        if not self._fits or NULL in cells.values():
            return None
        at = (*cells, *map(cells.get, self._asked))
        shape = self._shapes.get(at, UNKNOWN)
        if shape is UNKNOWN:
            shape = self._shape(cells, patient)
            if len(self._shapes) >= SHAPES:
                self._shapes.clear()
            self._shapes[at] = shape
        if shape is None:
            return None
        context = self._spare.pop() if self._spare else self._context()
        context.begin(cells, patient)
        where = f"row {row.number}"
        told: list[Told] = [(i.code, i.place.removeprefix(where), i.detail) for i in issues] if issues else []
        before = len(told)
        said = self._said(shape, cells, patient, context, order, message, told)
        if context.clean:
            self._spare.append(context)
            if said is not None:
                shape.done += 1
                if told:
                    issues += [Issue(code=code, place=where + place, detail=detail) for code, place, detail in told[before:]]
                return said
        shape.failed += 1
        if shape.failed >= TRIED and shape.failed > shape.done:
            self._shapes[at] = None
        return None

    def _context(self) -> WatchedContext:
        return WatchedContext(self._compiled.feed, self._compiled.terminology, self._local, self._patient)

    def _said(self, shape: _Shape, cells: Mapping[str, str], patient: str, context: WatchedContext, order: Order,
              message: str, told: list[Told]) -> list[Contribution] | None:
        source, mapping = self._source, self._mapping
        said: list[Contribution] = []
        shared: _Shared = {}
        stated: set[tuple[str, str, str]] = set()
        for plan in shape.maps:
            key = plan.key.of(cells, patient)
            body = plan.body(cells, context, shared, told) if key else None
            at = (plan.resource, key, patient if plan.scope == "person" else "")
            if body is None or at in stated:
                return None
            stated.add(at)
            if body:
                said.append(Contribution(
                    source=source, resource_type=plan.resource, key=key, scope=plan.scope,
                    patient=patient if plan.of_patient else key if plan.resource == "Patient" else "",
                    kind="snapshot", event="", order=order, body=body, message=message, mapping=mapping))
        for (resource_type, key), body in shared.items():
            if resource_type in shape.types and (resource_type, key, "") in stated:
                return None
            said.append(Contribution(source=source, resource_type=resource_type, key=key, scope="reference", patient="",
                                     kind="snapshot", event="", order=order, body=body, message=message, mapping=mapping))
        gone: set[tuple[str, str, str]] = set()
        for resource_type, withdrawn in shape.withdrawn:
            key = withdrawn.of(cells, patient)
            at = (resource_type, key, "")
            if not key:
                return None
            if at not in stated and at not in gone:
                gone.add(at)
                said.append(Contribution(source=source, resource_type=resource_type, key=key, scope="own", patient=patient,
                                         kind="withdraw", event="", order=order, message=message, mapping=mapping))
        return said

    def _shape(self, cells: Mapping[str, str], patient: str) -> _Shape | None:
        """What rows of this row's shape become; None where that is not for a plan."""
        context = self._context()
        row = CsvRow(cells, 0)
        maps: list[_MapPlan] = []
        withdrawn: list[tuple[str, _Key]] = []
        for one in self._maps:
            applies = holds(one.when, row, context)
            if one.listed or (applies and not patient and not one.no_patient):
                return None
            if not applies and not (self._columns and withdraws(one, row, context, self._columns)):
                continue
            key = _key(one, cells, patient, self._local)
            if key is None:
                return None
            if not applies or (one.withdraw and holds(one.withdraw, row, context)):
                withdrawn.append((one.resource, key))
                continue
            valued = (of_field for field, of_field in one.by_field.items() if cells.get(str(field)))
            rules = [*one.always, *(rule for of_field in valued for rule in of_field)]
            if any(rule.slot in _MESSAGE_SLOTS or rule.effect for rule in rules):
                return None
            maps.append(_MapPlan(one, key, [self._rules.setdefault(id(rule), KeptRule(rule)) for rule in rules], self._columns))
        return _Shape(maps, withdrawn) if context.clean else None
