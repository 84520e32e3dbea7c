"""What one map of a CSV feed makes of rows: its key by columns, and a body of the pieces that its rules made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapter.mapping.context import joined
from adapter.mapping.row_rule import UNKNOWN, KeptRule
from adapter.mapping.row_watch import WatchedContext
from adapter.mapping.rules import Map
from adapter.mapping.run import slots_of_columns
from adapter.model import Json, Piece, PiecedBody, Told

KEPT = 1000
"""Sets of slots of which it is kept what a body without values is."""
Shared = dict[tuple[str, str], Json]
"""(type, key) -> body of the shared resources that a row states."""


class Key:
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


def key_of_shape(one: Map, cells: Mapping[str, str], patient: str, local: str) -> Key | None:
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
    return Key(one.system or f"{local}:{one.label}", tuple(parts), alone=alone)


class MapMemory:
    """What rows of a header, of any shape, leave behind of one map.

    nulls: slots that the file's columns can fill, with the columns. doubts: place of a finding -> those of these columns that are
    meant: they take nothing back, as in `run_maps`. empty: (slots that are stated, columns in doubt) -> None for each slot, and
    for each that is taken back; whether two rules state one slot. last: what the row before said.
    """

    __slots__ = ("_doubts", "_empty", "_nulls", "last")

    def __init__(self, one: Map, columns: frozenset[str]) -> None:
        self._nulls = slots_of_columns(one, columns) if columns and one.in_full else []
        self._doubts: dict[str, tuple[str, ...]] = {}
        self._empty: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[Json, bool]] = {}
        self.last: tuple[list[Piece], tuple[str, ...], PiecedBody] | None = None

    def doubts(self, told: Sequence[Told]) -> tuple[str, ...]:
        """The columns whose cells were not understood, of those that this map would take something back for."""
        doubts: list[str] = []
        for _, place, _ in told:
            columns = self._doubts.get(place)
            if columns is None:
                columns = self._doubts[place] = tuple(sorted({column for _, read in self._nulls for column in read
                                                              if place.endswith(f", {column}")}))
            doubts += columns
        return tuple(doubts)

    def empty(self, slots: tuple[str, ...], doubts: tuple[str, ...]) -> tuple[Json, bool]:
        """What a body of these slots is without values; whether two rules state one slot."""
        found = self._empty.get((slots, doubts))
        if found is None:
            if len(self._empty) >= KEPT:
                self._empty.clear()
            empty: Json = dict.fromkeys(slots)
            twice = len(empty) < len(slots)
            empty.update((slot, None) for slot, columns in self._nulls if slot not in empty and not set(doubts) & set(columns))
            found = self._empty[slots, doubts] = (empty, twice)
        return found


class MapPlan:
    """What one map makes of rows of one shape."""

    __slots__ = ("key", "memory", "of_patient", "resource", "rules", "scope")

    def __init__(self, one: Map, key: Key, rules: Sequence[KeptRule], memory: MapMemory) -> None:
        self.resource = one.resource
        self.scope: Any = one.scope  # checked by the mapping schema
        self.of_patient = one.scope != "reference" and one.resource != "Patient"
        self.key = key
        self.rules = rules
        self.memory = memory

    def body(self, cells: Mapping[str, str], context: WatchedContext, shared: Shared, told: list[Told]) -> PiecedBody | None:
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
            if piece is None:
                continue
            if piece.beside:
                _state(piece, shared)
                told += [one for one in piece.told if one not in told]
                if not piece.slot:
                    continue
            pieces.append(piece)
        kept = self.memory
        last, doubts = kept.last, kept.doubts(told) if told else ()
        if last is not None and last[0] == pieces and last[1] == doubts:  # the row before said the same of this resource
            return last[2]
        slots = tuple([piece.slot for piece in pieces])
        empty, twice = kept.empty(slots, doubts)
        if twice:
            standing = _overlaid(pieces)
            if standing is None:
                return None
            pieces, slots = standing, tuple([piece.slot for piece in standing])
        body = PiecedBody(pieces, slots, empty)
        kept.last = (pieces, doubts, body)
        return body


def _overlaid(pieces: Sequence[Piece]) -> list[Piece] | None:
    """Let the last piece of a slot stand, where its first stood; None for a list, to which each adds."""
    last: dict[str, Piece] = {}
    for piece in pieces:
        if piece.slot in last and piece.value.__class__ is list:
            return None
        last[piece.slot] = piece
    return list(last.values())


def _state(piece: Piece, shared: Shared) -> None:
    for at, body in piece.stated:
        standing = shared.get(at)
        if standing is None:
            shared[at] = body
        elif standing is not body:
            shared[at] = joined(standing, body)
