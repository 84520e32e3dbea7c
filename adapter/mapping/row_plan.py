"""Rows of one header as contributions, the quick way: what a rule made of its cells is kept, by the cells it read (ADR 0019).

A plan knows, for each shape of a row (which columns have a value, and what stands in those that conditions ask), which rules
run. A rule's value is kept by the texts of the columns that it read when it was watched. A row of which anything else
decides (a link, another resource of the row, a null) is mapped the general way (run.py): a plan makes the same or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapter.mapping.csv_row import CsvRow
from adapter.mapping.message import Compiled
from adapter.mapping.row_map import Key, MapMemory, MapPlan, Shared, key_of_shape
from adapter.mapping.row_rule import UNKNOWN, KeptRule
from adapter.mapping.row_watch import WatchedContext
from adapter.mapping.rules import Map
from adapter.mapping.rules import Row as Rule
from adapter.mapping.run import holds, withdraws
from adapter.model import Contribution, Issue, Order, Told, is_object
from adapter.parse.er7 import NULL

SHAPES = 1000
"""Shapes of rows that are kept."""
TRIED = 32
"""Rows of a shape after which it is given up, if most of them had to be mapped the general way."""
_MESSAGE_SLOTS = frozenset({"target#", "focus#visit"})


class _Shape:
    """What rows of one shape become: resources stated, resources taken back. done, failed: how often it could say.

    types: of the resources stated. meet: whether two statements may be of one resource.
    """

    __slots__ = ("done", "failed", "maps", "meet", "types", "withdrawn")

    def __init__(self, maps: Sequence[MapPlan], withdrawn: Sequence[tuple[str, Key]]) -> None:
        self.maps = maps
        self.types = {plan.resource for plan in maps}
        self.meet = (len(self.types) < len(maps) or len(withdrawn) > 1 or any(one in self.types for one, _ in withdrawn)
                     or any(plan.scope == "reference" for plan in maps))
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
        self._memories: dict[int, MapMemory] = {}
        self._shapes: dict[Any, _Shape | None] = {}
        self._spare: list[WatchedContext] = []

    def said(self, cells: Mapping[str, str], number: int, patient: str, order: Order, message: str, issues: list[Issue]
             ) -> list[Contribution] | None:
        """What a row states, in the order of `finished`; None where it must be mapped the general way.

        cells: defaults too. issues: of the row; findings of its rules are added.
        """
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
        told: list[Told] = [(i.code, i.place.removeprefix(f"row {number}"), i.detail) for i in issues] if issues else []
        before = len(told)
        said = self._said(shape, cells, patient, context, order, message, told)
        if context.clean:
            self._spare.append(context)
            if said is not None:
                shape.done += 1
                if told:
                    issues += [Issue(code=code, place=f"row {number}{place}", detail=detail)
                               for code, place, detail in told[before:]]
                return said
        shape.failed += 1
        if shape.failed >= TRIED and shape.failed > shape.done:
            self._shapes[at] = None
        return None

    def _context(self) -> WatchedContext:
        return WatchedContext(self._compiled.feed, self._compiled.terminology, self._local, self._patient)

    def _said(self, shape: _Shape, cells: Mapping[str, str], patient: str, context: WatchedContext, order: Order,
              message: str, told: list[Told]) -> list[Contribution] | None:
        source, mapping, meet = self._source, self._mapping, shape.meet
        said: list[Contribution] = []
        shared: Shared = {}
        stated: set[tuple[str, str, str]] = set()
        for plan in shape.maps:
            key = plan.key.of(cells, patient)
            body = plan.body(cells, context, shared, told) if key else None
            if body is None:
                return None
            if meet:
                at = (plan.resource, key, patient if plan.scope == "person" else "")
                if at in stated:
                    return None
                stated.add(at)
            if body:
                said.append(Contribution(
                    source=source, resource_type=plan.resource, key=key, scope=plan.scope,
                    patient=patient if plan.of_patient else key if plan.resource == "Patient" else "",
                    kind="snapshot", event="", order=order, body=body, message=message, mapping=mapping))
        for (resource_type, key), body in shared.items():
            if resource_type in shape.types and (not meet or (resource_type, key, "") in stated):
                return None
            said.append(Contribution(source=source, resource_type=resource_type, key=key, scope="reference", patient="",
                                     kind="snapshot", event="", order=order, body=body, message=message, mapping=mapping))
        for resource_type, withdrawn in shape.withdrawn:
            key = withdrawn.of(cells, patient)
            if not key:
                return None
            at = (resource_type, key, "")
            if not meet or at not in stated:
                stated.add(at)
                said.append(Contribution(source=source, resource_type=resource_type, key=key, scope="own", patient=patient,
                                         kind="withdraw", event="", order=order, message=message, mapping=mapping))
        return said

    def _shape(self, cells: Mapping[str, str], patient: str) -> _Shape | None:
        """What rows of this row's shape become; None where that is not for a plan."""
        context = self._context()
        row = CsvRow(cells, 0)
        maps: list[MapPlan] = []
        withdrawn: list[tuple[str, Key]] = []
        for one in self._maps:
            applies = holds(one.when, row, context)
            if one.listed or (applies and not patient and not one.no_patient):
                return None
            if not applies and not (self._columns and withdraws(one, row, context, self._columns)):
                continue
            key = key_of_shape(one, cells, patient, self._local)
            if key is None:
                return None
            if not applies or (one.withdraw and holds(one.withdraw, row, context)):
                withdrawn.append((one.resource, key))
                continue
            valued = (of_field for field, of_field in one.by_field.items() if cells.get(str(field)))
            rules = [*one.always, *(rule for of_field in valued for rule in of_field)]
            if any(rule.slot in _MESSAGE_SLOTS or rule.effect for rule in rules):
                return None
            maps.append(self._planned(one, key, rules))
        return _Shape(maps, withdrawn) if context.clean else None

    def _planned(self, one: Map, key: Key, rules: Sequence[Rule]) -> MapPlan:
        memory = self._memories.setdefault(id(one), MapMemory(one, self._columns))
        return MapPlan(one, key, [self._rules.setdefault(id(rule), KeptRule(rule)) for rule in rules], memory)
