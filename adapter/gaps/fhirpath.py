"""FHIRPath compiled to Python closures: parsed once for each view, called for each resource."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from adapter.errors import Defect
from adapter.gaps.fhirpath_elements import CHOICES, Items, chain, choice, element, of_resource_type
from adapter.gaps.fhirpath_functions import (
    FUNCTIONS,
    calculate,
    equal,
    holds,
    logic,
    reference_key,
    single,
    truth,
    typed_boundary,
)
from adapter.gaps.fhirpath_syntax import Node, parse
from adapter.gaps.instants import FHIR_TIME
from adapter.model import Json


@dataclass(slots=True)
class Scope:
    """What an expression may see beside its focus: the resource, and the row's place in its forEach or repeat."""

    resource: Json
    row_index: int = 0


Path = Callable[[Items, Scope], Items]


def compile_path(text: object, constants: Mapping[str, Any], of_type: str = "") -> Path:
    """A function (focus, scope) -> collection. of_type: declared type of the column, which boundaries go by.

    Raises Defect (view-invalid): not FHIRPath, an unknown function or constant.
    """
    return _Compiler(str(text), constants, of_type).compile(parse(text))


class _Compiler:
    def __init__(self, place: str, constants: Mapping[str, Any], of_type: str) -> None:
        self.place = place
        self.constants = constants
        self.of_type = of_type

    def compile(self, node: Node) -> Path:
        build: Callable[[Node], Path] = getattr(self, f"_{node.kind}")
        return build(node)

    def _base(self, node: Node) -> Path | None:
        return None if node.base is None or node.base.kind == "this" else self.compile(node.base)

    def _after(self, node: Node, step: Callable[[Items], Items]) -> Path:
        """A step on the base's collection, or on the focus where there is no base."""
        base = self._base(node)
        if base is None:
            return lambda items, _: step(items)
        return lambda items, scope: step(base(items, scope))

    # --- terms
    def _literal(self, node: Node) -> Path:
        items: Items = [] if node.value is None else [node.value]
        return lambda _items, _scope: items

    def _this(self, _node: Node) -> Path:
        return lambda items, _: items

    def _constant(self, node: Node) -> Path:
        name = str(node.value)
        if name == "rowIndex":
            return lambda _, scope: [scope.row_index]
        if name in ("resource", "context"):
            return lambda _, scope: [scope.resource]
        if name not in self.constants:
            raise Defect("view-invalid", self.place, f"constant `%{name}` is not defined")
        items: Items = [self.constants[name]]
        return lambda _items, _scope: items

    # --- steps
    def _member(self, node: Node) -> Path:
        name = str(node.value)
        if node.base is None and name[:1].isupper():
            return self._after(node, of_resource_type(name))
        if name in CHOICES:
            return self._after(node, choice(name))
        names: list[str] = [name]
        while node.base is not None and _is_plain(node.base):
            node = node.base
            names.insert(0, str(node.value))
        return self._after(node, chain(names))

    def _index(self, node: Node) -> Path:
        base, at = self._base(node), self.compile(node.parts[0])
        place = self.place

        def index(items: Items, scope: Scope) -> Items:
            number = single(at(items, scope), place)
            found = items if base is None else base(items, scope)
            return found[number:number + 1] if isinstance(number, int) and number >= 0 else []

        return index

    def _function(self, node: Node) -> Path:
        special: Callable[[Node], Path] | None = getattr(self, f"_call_{node.value}", None)
        if special is not None:
            return special(node)
        if node.value not in FUNCTIONS:
            raise Defect("view-invalid", self.place, f"function `{node.value}()` is not of the subset")
        most, function = FUNCTIONS[str(node.value)]
        if len(node.parts) > most:
            raise Defect("view-invalid", self.place, f"`{node.value}()` takes {most} arguments")
        if not node.parts:
            return self._after(node, lambda items: function(items, []))
        base, arguments = self._base(node), [self.compile(part) for part in node.parts]
        return lambda items, scope: function(items if base is None else base(items, scope),
                                             [value for argument in arguments for value in argument(items, scope)])

    # --- functions that read their argument as an expression of each item, or as a type
    def _criterion(self, node: Node) -> Callable[[Any, Scope], bool]:
        if len(node.parts) != 1:
            raise Defect("view-invalid", self.place, f"`{node.value}()` takes one condition")
        quick = self._quick(node.parts[0])
        if quick is not None:
            return quick
        condition, place = self.compile(node.parts[0]), self.place
        return lambda item, scope: truth(condition([item], scope), place) is True

    def _quick(self, condition: Node) -> Callable[[Any, Scope], bool] | None:
        """`code = 'x'`, and `and` between such: most conditions are, and need no collections."""
        if condition.kind != "operator" or condition.value not in ("=", "and"):
            return None
        left, right = condition.parts
        if condition.value == "and":
            one, other = self._quick(left), self._quick(right)
            return None if one is None or other is None else lambda item, scope: one(item, scope) and other(item, scope)
        wanted = right.value if right.kind == "literal" else self.constants.get(str(right.value))
        if right.kind not in ("literal", "constant") or not isinstance(wanted, str) or FHIR_TIME.fullmatch(wanted):
            return None
        if left.base is not None or not _is_plain(left):
            return None
        name = str(left.value)
        return lambda item, _: item.__class__ is dict and item.get(name) in (wanted, [wanted])

    def _call_where(self, node: Node) -> Path:
        base, keep = self._base(node), self._criterion(node)
        return lambda items, scope: [
            item for item in (items if base is None else base(items, scope)) if keep(item, scope)]

    def _call_exists(self, node: Node) -> Path:
        if node.parts:
            where = self._call_where(node)
            return lambda items, scope: [bool(where(items, scope))]
        return self._after(node, lambda items: [bool(items)])

    def _call_all(self, node: Node) -> Path:
        base, keep = self._base(node), self._criterion(node)
        return lambda items, scope: [
            all(keep(item, scope) for item in (items if base is None else base(items, scope)))]

    def _call_select(self, node: Node) -> Path:
        if len(node.parts) != 1:
            raise Defect("view-invalid", self.place, "`select()` takes one expression")
        base, project = self._base(node), self.compile(node.parts[0])
        return lambda items, scope: [
            value for item in (items if base is None else base(items, scope)) for value in project([item], scope)]

    def _call_ofType(self, node: Node) -> Path:  # noqa: N802 - named as the function it compiles
        wanted = self._type_name(node)
        if node.base is not None and node.base.kind == "member":
            name = f"{node.base.value}{wanted[:1].upper()}{wanted[1:]}"
            return self.compile(Node("member", name, node.base.base))
        return self._after(node, of_resource_type(wanted))

    def _call_getReferenceKey(self, node: Node) -> Path:  # noqa: N802 - named as the function it compiles
        of_type = self._type_name(node) if node.parts else ""
        return self._after(node, lambda items: reference_key(items, of_type))

    def _call_extension(self, node: Node) -> Path:
        if len(node.parts) != 1:
            raise Defect("view-invalid", self.place, "`extension()` takes the url")
        base, url = self._base(node), self.compile(node.parts[0])
        extensions = element("extension")

        def extension(items: Items, scope: Scope) -> Items:
            wanted = url(items, scope)
            return [e for e in extensions(items if base is None else base(items, scope)) if [e.get("url")] == wanted]

        return extension

    def _call_lowBoundary(self, node: Node) -> Path:  # noqa: N802 - named as the function it compiles
        return self._boundary(node)

    def _call_highBoundary(self, node: Node) -> Path:  # noqa: N802 - named as the function it compiles
        return self._boundary(node)

    def _boundary(self, node: Node) -> Path:
        base = node.base
        typed = base if base is not None and base.kind == "function" and base.value == "ofType" else None
        function = typed_boundary(str(node.value), str(typed.parts[0].value) if typed else self.of_type)
        return self._after(node, lambda items: function(items, []))

    def _type_name(self, node: Node) -> str:
        if len(node.parts) != 1 or node.parts[0].kind not in ("member", "literal"):
            raise Defect("view-invalid", self.place, f"`{node.value}()` takes a type")
        return str(node.parts[0].value)

    # --- operators
    def _negate(self, node: Node) -> Path:
        operand, place = self.compile(node.parts[0]), self.place
        return lambda items, scope: [calculate("-", 0, v, place) for v in operand(items, scope)]

    def _operator(self, node: Node) -> Path:
        word, place = str(node.value), self.place
        left, right = (self.compile(part) for part in node.parts)
        if word in ("and", "or", "xor", "implies"):
            return lambda items, scope: logic(word, truth(left(items, scope), place), truth(right(items, scope), place))
        if word in ("=", "!="):
            return lambda items, scope: _verdict(equal(left(items, scope), right(items, scope)), word == "=")
        if word == "|":
            distinct = FUNCTIONS["distinct"][1]
            return lambda items, scope: distinct([*left(items, scope), *right(items, scope)], [])
        if word in ("in", "contains"):
            one, many = (left, right) if word == "in" else (right, left)
            return lambda items, scope: _within(one(items, scope), many(items, scope))
        if word in ("<", "<=", ">", ">="):
            return self._pairwise(left, right, lambda a, b: holds(word, a, b))
        return self._pairwise(left, right, lambda a, b: calculate(word, a, b, place))

    def _pairwise(self, left: Path, right: Path, combine: Callable[[Any, Any], Any]) -> Path:
        place = self.place

        def pairwise(items: Items, scope: Scope) -> Items:
            a, b = single(left(items, scope), place), single(right(items, scope), place)
            result = None if a is None or b is None else combine(a, b)
            return [] if result is None else [result]

        return pairwise


def _verdict(verdict: bool | None, wanted: bool) -> Items:
    return [] if verdict is None else [verdict is wanted]


def _within(one: Items, many: Items) -> Items:
    return [any(equal(one, [item]) is True for item in many)] if one else []


def _is_plain(node: Node) -> bool:
    """A member that is neither a choice element nor a resource type at the beginning of a path."""
    name = str(node.value)
    return node.kind == "member" and name not in CHOICES and not (node.base is None and name[:1].isupper())
