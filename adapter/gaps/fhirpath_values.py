"""Quick ways to the one value of a path, for the shapes that most columns have: nothing is put into lists on the way.

Four shapes: the resource's own key; elements one below the other; the same and getReferenceKey(); the first code of a
CodeableConcept, of one system or of any. What is of another shape goes by fhirpath_quick.py. Whatever is not so simple at a node
(a list, a choice element by another name) is MANY: the path decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from adapter.gaps.fhirpath_elements import CHOICES
from adapter.gaps.fhirpath_functions import reference_key
from adapter.gaps.fhirpath_quick import is_condition, quick_items, quick_truth
from adapter.gaps.fhirpath_syntax import Node, parse

MANY: Final = object()
"""What a quick way gives where it is not sure of one value."""

Quick = Callable[[Any], Any]


def quick_value(text: object, constants: Mapping[str, Any]) -> Quick | None:
    """A function of a node to the path's value, None or MANY; None where the path has no such shape."""
    node = parse(text)
    names = _names(node)
    if names is not None:
        return _walk(names)
    if node.kind == "function" and node.value == "getResourceKey" and node.base is None:
        return _one("id")
    if node.kind == "function" and node.value == "getReferenceKey" and node.base is not None:
        return _key(node)
    code = _first_code(node, constants) if node.kind == "function" and node.value == "first" else None
    return code or (quick_truth(text, constants) if is_condition(text) else _single(text, constants))


def _single(text: object, constants: Mapping[str, Any]) -> Quick | None:
    """The one item of a collection."""
    items = quick_items(text, constants)
    if items is None:
        return None

    def one(node: Any) -> Any:
        found = items(node)
        return MANY if len(found) > 1 else found[0] if found else None

    return one


def _names(node: Node | None) -> tuple[str, ...] | None:
    """The names of elements one below the other, `value.ofType(code)` as valueCode; None where the path is another."""
    names: list[str] = []
    while node is not None:
        name = str(node.value)
        if node.kind == "function" and name == "ofType" and node.base is not None and node.base.kind == "member":
            of_type = str(node.parts[0].value)
            node, name = node.base, f"{node.base.value}{of_type[:1].upper()}{of_type[1:]}"
        elif node.kind != "member":
            return None
        if name[:1].isupper():
            return None
        names.insert(0, name)
        node = node.base
    return tuple(names) or None


def _walk(names: tuple[str, ...]) -> Quick:
    *above, last = names
    if not above:
        return _one(last)

    def walk(node: Any) -> Any:
        for name in names:
            if node.__class__ is not dict:
                return None
            value: Any = cast("dict[str, Any]", node).get(name)
            if value is None:
                return MANY if name in CHOICES else None
            if value.__class__ is list:
                return MANY
            node = value
        return node

    return walk


def _one(name: str) -> Quick:
    missing = MANY if name in CHOICES else None

    def one(node: Any) -> Any:
        value: Any = cast("dict[str, Any]", node).get(name) if node.__class__ is dict else None
        if value is None:
            return missing
        return MANY if value.__class__ is list else value

    return one


def _key(node: Node) -> Quick | None:
    names = _names(node.base)
    if names is None or len(node.parts) > 1:
        return None
    walk, of_type = _walk(names), str(node.parts[0].value) if node.parts else ""

    def key(item: Any) -> Any:
        reference = walk(item)
        if reference is None or reference is MANY:
            return reference
        keys = reference_key([reference], of_type)
        return keys[0] if keys else None

    return key


def _first_code(node: Node, constants: Mapping[str, Any]) -> Quick | None:
    """`x.coding.code.first()`, or `x.coding.where(system = %s).code.first()`."""
    code = node.base
    if code is None or code.kind != "member" or code.value != "code" or code.base is None:
        return None
    where, system = code.base, None
    if where.kind == "function" and where.value == "where" and where.base is not None:
        system = _system(where.parts[0], constants)
        if system is None:
            return None
        where = where.base
    names = _names(where)
    if names is None or len(names) < 2 or names[-1] != "coding":
        return None
    return _code(_walk(names[:-1]), names[:-1][-1] if len(names) == 2 else "", system)


def _system(condition: Node, constants: Mapping[str, Any]) -> str | None:
    if condition.kind != "operator" or condition.value != "=":
        return None
    left, right = condition.parts
    if left.kind != "member" or left.base is not None or left.value != "system" or right.kind != "constant":
        return None
    wanted = constants.get(str(right.value))
    return wanted if isinstance(wanted, str) else None


def _code(walk: Quick, own: str, system: str | None) -> Quick:
    """own: the concepts' element of the node itself, which may be a list; '' where they lie deeper."""

    def code(node: Any) -> Any:
        concepts: Any = cast("dict[str, Any]", node).get(own) if own and node.__class__ is dict else None
        if concepts.__class__ is not list:
            concepts = walk(node)
            if concepts is None or concepts is MANY:
                return concepts
            concepts = (concepts,)
        for concept in concepts:
            for coding in concept.get("coding", ()):
                if (system is None or coding.get("system") == system) and (found := coding.get("code")) is not None:
                    return found
        return None

    return code
