"""Quick ways through the paths that most views are made of: from one node, without a scope, and no further than it has anything.

Most elements of a view are absent from most resources, so a path ends where its first element is missing. What is not of
these shapes gives None here, and is left to fhirpath.py: elements one below the other, where(), extension(), ofType(),
first(), keys; exists(), empty(), not(), `and`, `or`; `=` and `!=` with text, a number or a Boolean that is no time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from adapter.gaps.fhirpath_elements import CHOICES, Items, choice, element
from adapter.gaps.fhirpath_functions import reference_key, truth
from adapter.gaps.fhirpath_syntax import Node, parse
from adapter.gaps.instants import FHIR_TIME

QuickItems = Callable[[Any], Items]
"""A node to the collection of a path."""
QuickTruth = Callable[[Any], bool | None]
"""A node to a condition: true, false or unknown."""
_Step = Callable[[Items], Items]
_TRUTHS = frozenset(("exists", "empty", "not"))


def quick_items(text: object, constants: Mapping[str, Any]) -> QuickItems | None:
    """The collection of a path, from one node; None where the path is of another shape."""
    return _items(parse(text), constants)


def quick_truth(text: object, constants: Mapping[str, Any]) -> QuickTruth | None:
    """A condition on one node; None where it is of another shape. It raises Defect (view-invalid) where it is not Boolean."""
    return _truth(parse(text), constants, str(text))


def is_condition(text: object) -> bool:
    """Whether a path is Boolean by its form."""
    return _is_condition(parse(text))


def _is_condition(node: Node) -> bool:
    return (node.kind == "operator" and node.value in ("and", "or", "=", "!=")) or _calls(node, *_TRUTHS)


def _calls(node: Node, *names: str) -> bool:
    return node.kind == "function" and node.value in names and not node.parts and node.base is not None


def _items(node: Node, constants: Mapping[str, Any]) -> QuickItems | None:
    chain = [node]
    while (base := chain[-1].base) is not None:
        chain.append(base)
    head, steps = chain.pop(), list[_Step]()
    for at, after in zip([head, *reversed(chain)], [*reversed(chain), None], strict=True):
        step = _step(at, after, constants)
        if step is None:
            return None
        steps.append(step)
    if head.kind == "function" and head.value not in ("extension", "getReferenceKey", "getResourceKey"):
        return None
    plain = head.kind == "member" and steps[0] is not _same and head.value not in CHOICES
    first = str(head.value) if plain else ""
    return _walk(first, steps[1:] if first else steps)


def _walk(first: str, steps: list[_Step]) -> QuickItems:
    """first: the element that the path begins with, '' where it begins with a function."""

    def items(node: Any) -> Items:
        found: Items = [node]
        if first:
            value: Any = cast("dict[str, Any]", node).get(first) if node.__class__ is dict else None
            if value is None:
                return []
            found = [v for v in cast("list[Any]", value) if v is not None] if value.__class__ is list else [value]
        for step in steps:
            if not found:
                return found
            found = step(found)
        return found

    return items


def _same(items: Items) -> Items:
    return items


def _step(node: Node, after: Node | None, constants: Mapping[str, Any]) -> _Step | None:
    """One step of a path; after: the one behind it."""
    name = str(node.value)
    if node.kind == "member":
        if after is not None and after.kind == "function" and after.value == "ofType":
            return _same  # the step behind it reads the element by the name that has the type in it
        return None if name[:1].isupper() else choice(name) if name in CHOICES else element(name)
    if node.kind != "function":
        return None
    if name == "ofType" and node.base is not None and node.base.kind == "member" and _is_word(node):
        of_type = str(node.parts[0].value)
        return element(f"{node.base.value}{of_type[:1].upper()}{of_type[1:]}")
    return _called(node, constants)


def _called(node: Node, constants: Mapping[str, Any]) -> _Step | None:
    name = node.value
    if name == "where" and len(node.parts) == 1:
        keep = _truth(node.parts[0], constants, "")
        return None if keep is None else lambda items: [item for item in items if keep(item) is True]
    if name == "extension" and len(node.parts) == 1 and node.parts[0].kind == "literal":
        url, extensions = node.parts[0].value, element("extension")
        return lambda items: [one for one in extensions(items) if one.get("url") == url]
    if name == "getReferenceKey" and (not node.parts or _is_word(node)):
        of_type = str(node.parts[0].value) if node.parts else ""
        return lambda items: reference_key(items, of_type)
    if name == "getResourceKey" and not node.parts:
        return lambda items: [item["id"] for item in items if item.__class__ is dict and "id" in item]
    return (lambda items: items[:1]) if name == "first" and not node.parts else None


def _is_word(node: Node) -> bool:
    return len(node.parts) == 1 and node.parts[0].kind in ("member", "literal") and node.parts[0].base is None


def _truth(node: Node, constants: Mapping[str, Any], place: str) -> QuickTruth | None:
    if node.base is not None and _calls(node, *_TRUTHS):
        return _asked(str(node.value), node.base, constants, place)
    if node.kind == "operator":
        if node.value in ("and", "or"):
            left, right = (_truth(part, constants, place) for part in node.parts)
            return None if left is None or right is None else _joined(left, right, decides=node.value == "or")
        return _equality(node, constants) if node.value in ("=", "!=") else None
    items = _items(node, constants)
    return None if items is None else lambda item: truth(items(item), place)


def _asked(name: str, base: Node, constants: Mapping[str, Any], place: str) -> QuickTruth | None:
    if name == "not":
        of = _truth(base, constants, place) if _is_condition(base) else None
        return None if of is None else lambda item: None if (verdict := of(item)) is None else not verdict
    items = None if _is_condition(base) else _items(base, constants)
    if items is None:
        return None
    return (lambda item: bool(items(item))) if name == "exists" else (lambda item: not items(item))


def _joined(left: QuickTruth, right: QuickTruth, *, decides: bool) -> QuickTruth:
    """decides: the truth that one side is enough for."""

    def joined(item: Any) -> bool | None:
        one, other = left(item), right(item)
        if one is decides or other is decides:
            return decides
        return None if one is None or other is None else not decides

    return joined


def _equality(node: Node, constants: Mapping[str, Any]) -> QuickTruth | None:
    left, right = node.parts
    wanted: Any = right.value if right.kind == "literal" else constants.get(str(right.value))
    items = _items(left, constants)
    if items is None or right.kind not in ("literal", "constant") or wanted.__class__ not in (str, int, bool):
        return None
    if isinstance(wanted, str) and FHIR_TIME.fullmatch(wanted):
        return None
    return _compared(items, wanted, alike=node.value == "=")


def _compared(items: QuickItems, wanted: Any, *, alike: bool) -> QuickTruth:
    is_bool = wanted.__class__ is bool

    def compared(item: Any) -> bool | None:
        found = items(item)
        if not found:
            return None
        same = len(found) == 1 and found[0] == wanted and (found[0].__class__ is bool) is is_bool
        return same is alike

    return compared
