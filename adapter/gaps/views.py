"""SQL on FHIR v2 ViewDefinitions compiled to Python closures: one resource in, rows out. Pure.

Beyond the standard, a column tag `careloop/time` (`first`, `last`, `day` or `ymd`) makes a number of a FHIR time: see
instants.py. Boolean columns stay Boolean here; tables.py stores them as 0 and 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol, cast, get_args

from adapter.errors import Defect
from adapter.gaps.fhirpath import Path, Scope, compile_path
from adapter.gaps.fhirpath_functions import single, truth
from adapter.gaps.fhirpath_quick import quick_items, quick_truth
from adapter.gaps.fhirpath_values import MANY, Quick, quick_value
from adapter.gaps.instants import Reading, reader
from adapter.model import Json

ZONE = "America/New_York"
"""Zone of dates and of times without an offset, where the network names none."""

TIME_TAG = "careloop/time"

Row = tuple[Any, ...]
Asked = dict[str, bool | None]
"""Conditions with their constants, and what they say of one resource."""
_Rows = Callable[[list[Any], Scope], list[Row]]
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its FHIR type ('' where not declared), and whether it is a number made of a time."""

    name: str
    type: str
    number: bool


class _RowsOf(Protocol):
    def __call__(self, node: Json, asked: Asked | None = None) -> list[Row]: ...


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A compiled ViewDefinition. rows: the rows of one resource of type `resource`, in the order of `columns`.

    Conditions that views share are asked once of a resource where its views are given one and the same `Asked`.
    truths: which columns are Boolean. rows raises Defect (view-failed) where a column that is no collection finds more
    than one value.
    """

    name: str
    resource: str
    columns: tuple[Column, ...]
    rows: _RowsOf
    truths: tuple[int, ...]


def compile_view(definition: Json, zone: str = ZONE) -> View:
    """The view of a ViewDefinition. Raises Defect (view-invalid) naming the path that is wrong."""
    name, resource = str(definition.get("name", "")), definition.get("resource")
    if not isinstance(resource, str) or not resource:
        raise Defect("view-invalid", name, "`resource` is missing")
    compiler = _Compiler(name, _constants(definition), zone)
    columns, rows = compiler.selects(_list(definition, "select", name, needed=True))
    names = [column.name for column in columns]
    if not names or len(set(names)) != len(names):
        raise Defect("view-invalid", name, "two columns have one name" if names else "there is no column")
    constants = repr(sorted(compiler.constants.items(), key=repr))
    conditions = [(f"{w.get('path')} {constants}" if "%" in str(w.get("path")) else str(w.get("path")),
                   compiler.condition(w.get("path"))) for w in _list(definition, "where", name)]

    def rows_of(node: Json, asked: Asked | None = None) -> list[Row]:
        if node.get("resourceType") != resource:
            return []
        verdicts: Asked = {} if asked is None else asked
        for condition, holds in conditions:
            if condition not in verdicts:
                verdicts[condition] = holds(node)
            if not verdicts[condition]:
                return []
        return rows([node], Scope(node))

    truths = tuple(at for at, column in enumerate(columns) if column.type == "boolean")
    return View(name, resource, tuple(columns), rows_of, truths)


def _constants(definition: Json) -> dict[str, Any]:
    constants: dict[str, Any] = {}
    for constant in _list(definition, "constant", str(definition.get("name", ""))):
        values = [value for key, value in constant.items() if key.startswith("value")]
        if len(values) != 1 or not isinstance(constant.get("name"), str):
            raise Defect("view-invalid", f"constant {constant.get('name')}", "a constant needs a name and one value")
        constants[constant["name"]] = values[0]
    return constants


def _list(node: Json, key: str, place: str, needed: bool = False) -> list[Json]:
    entries = node.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in cast("list[Any]", entries)):
        raise Defect("view-invalid", place, f"`{key}` is a list of objects")
    if needed and not entries:
        raise Defect("view-invalid", place, f"`{key}` is missing")
    return cast("list[Json]", entries)


class _Compiler:
    def __init__(self, name: str, constants: dict[str, Any], zone: str) -> None:
        self.name = name
        self.constants = constants
        self.zone = zone

    def path(self, text: object, of_type: str = "") -> Path:
        return compile_path(text, self.constants, of_type)

    def condition(self, text: object) -> Callable[[Json], bool | None]:
        """Whether the view has rows of a resource."""
        path, place = self.path(text), str(text)
        return quick_truth(text, self.constants) or (lambda node: truth(path([node], Scope(node)), place))

    def nodes(self, text: object) -> Path:
        """The nodes that a select goes through, from its one focus."""
        path, quick = self.path(text), quick_items(text, self.constants)
        return path if quick is None else lambda focus, _: quick(focus[0])

    def selects(self, selects: Sequence[Json]) -> tuple[list[Column], _Rows]:
        """Sibling selects: every combination of their rows."""
        return _crossed([self.select(select) for select in selects])

    def select(self, select: Json) -> tuple[list[Column], _Rows]:
        """One select: its own columns, nested selects and unionAll, for each node that it goes through."""
        parts: list[tuple[list[Column], _Rows]] = []
        columns = _list(select, "column", self.name)
        if columns:
            parts.append(self.columns(columns))
        parts.extend(self.select(s) for s in _list(select, "select", self.name))
        branches = _list(select, "unionAll", self.name)
        if branches:
            parts.append(self.union(branches))
        found, rows = _crossed(parts)
        return found, self.repeated(select, found, rows)

    def repeated(self, select: Json, columns: list[Column], rows: _Rows) -> _Rows:
        """The rows for each node of forEach, forEachOrNull or repeat; as they are without one."""
        ways = [key for key in ("forEach", "forEachOrNull", "repeat") if key in select]
        if len(ways) > 1:
            raise Defect("view-invalid", self.name, f"{' and '.join(ways)} in one select")
        if not ways:
            return rows
        if ways == ["repeat"]:
            nodes = _descend([self.path(path) for path in cast("list[object]", select["repeat"])])
        else:
            nodes = self.nodes(select[ways[0]])
        if ways == ["forEachOrNull"]:
            indexed = {c["name"] for c in select.get("column", []) if c.get("path") == "%rowIndex"}
            nothing = tuple(0 if column.name in indexed else None for column in columns)
            return lambda focus, scope: _each(nodes(focus, scope), scope, rows) or [nothing]
        return lambda focus, scope: _each(nodes(focus, scope), scope, rows)

    def union(self, branches: Sequence[Json]) -> tuple[list[Column], _Rows]:
        parts = [self.select(branch) for branch in branches]
        names = [[column.name for column in columns] for columns, _ in parts]
        if any(n != names[0] for n in names):
            raise Defect("view-invalid", self.name, "the branches of unionAll differ in their columns")
        return parts[0][0], lambda focus, scope: [row for _, rows in parts for row in rows(focus, scope)]

    def columns(self, columns: Sequence[Json]) -> tuple[list[Column], _Rows]:
        parts = [self.column(column) for column in columns]
        readers = [read for _, read, _ in parts]
        quick = [way for _, _, way in parts if way is not None]

        def row(focus: list[Any], scope: Scope) -> list[Row]:
            if len(quick) < len(readers):
                return [tuple([read(focus, scope) for read in readers])]
            node = focus[0]
            cells = [way(node) for way in quick]
            if MANY in cells:
                cells = [read(focus, scope) if cell is MANY else cell for cell, read in zip(cells, readers, strict=True)]
            return [tuple(cells)]

        return [c for c, _, _ in parts], row

    def column(self, column: Json) -> tuple[Column, Callable[[list[Any], Scope], Any], Quick | None]:
        name, of_type = column.get("name"), str(column.get("type", ""))
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise Defect("view-invalid", self.name, f"`{name}` is no column name")
        place, path = f"{self.name}.{name}", self.path(column.get("path"), of_type)
        number = self.reading(column, place)
        if column.get("collection"):
            return Column(name, of_type, False), path, None

        quick = quick_value(column.get("path"), self.constants)

        def value(focus: list[Any], scope: Scope) -> Any:
            if quick is not None and (found := quick(focus[0])) is not MANY:
                return found
            items = path(focus, scope)
            return (items[0] if len(items) == 1 else single(items, place)) if items else None

        if number is None:
            return Column(name, of_type, False), value, quick
        return Column(name, of_type, True), lambda focus, scope: number(value(focus, scope)), quick and _numbered(quick, number)

    def reading(self, column: Json, place: str) -> Callable[[object], int | None] | None:
        for tag in _list(column, "tag", place):
            if tag.get("name") == TIME_TAG:
                if tag.get("value") not in get_args(Reading):
                    raise Defect("view-invalid", place, f"tag {TIME_TAG} is one of {', '.join(get_args(Reading))}")
                return reader(tag["value"], self.zone)
        return None


def _crossed(parts: list[tuple[list[Column], _Rows]]) -> tuple[list[Column], _Rows]:
    columns = [column for part, _ in parts for column in part]
    if len(parts) == 1:
        return columns, parts[0][1]
    every = [rows for _, rows in parts]
    if len(every) == 2:
        left, right = every
        return columns, lambda focus, scope: [
            one + other for one, other in product(left(focus, scope), right(focus, scope))]
    return columns, lambda focus, scope: [
        sum(combination, ()) for combination in product(*[rows(focus, scope) for rows in every])]


def _numbered(quick: Quick, number: Callable[[object], int | None]) -> Quick:
    def numbered(node: Any) -> Any:
        found = quick(node)
        return found if found is MANY else number(found)

    return numbered


def _each(nodes: list[Any], scope: Scope, rows: _Rows) -> list[Row]:
    resource = scope.resource
    return [row for at, node in enumerate(nodes) for row in rows([node], Scope(resource, at))]


def _descend(paths: Sequence[Path]) -> Path:
    """repeat: the nodes that the paths reach, each followed by those that they reach from it."""

    def descend(focus: list[Any], scope: Scope) -> list[Any]:
        found: list[Any] = []
        for path in paths:
            for node in path(focus, scope):
                found.append(node)
                found.extend(descend([node], scope))
        return found

    return descend
