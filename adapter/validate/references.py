"""Do the references of a set of resources have a target, and one of a type that the element may name?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, cast

from adapter.model import Issue, Json
from adapter.validate import facts
from adapter.validate.walk import LITERAL

_Place = tuple[str | int, ...]
_Steps = dict[str, tuple[bool, str, frozenset[str] | None, Any]]  # whether it repeats, type, targets, steps of the type
_STEPS: dict[str, _Steps] = {}


def check_references(resources: Iterable[Json], exists: Callable[[str], bool]) -> list[Issue]:
    """A `fhir-reference` for each relative literal reference without target, or to a type that may not stand there.

    A target is one of `resources`, or known to `exists`, which is asked `Type/id`, once for each. Other forms (`#id`,
    `urn:uuid:`, absolute, conditional, logical) are not looked at. Place: `Type/id: FHIRPath`.
    """
    given = list(resources)
    known = {f"{one.get('resourceType')}/{one.get('id')}": True for one in given}
    found: list[Issue] = []
    for resource in given:
        named: list[tuple[str, frozenset[str] | None]] = []
        _collect(resource, _steps(resource["resourceType"]), named)
        if any(_wrong(reference, targets, known, exists) for reference, targets in named):
            found += _told(resource, known, exists)
    return found


def _wrong(reference: str, targets: frozenset[str] | None, known: dict[str, bool], exists: Callable[[str], bool]
           ) -> str:
    """What is wrong with a reference, in words; '' where nothing is. known: what `exists` said so far, filled here."""
    there = known.get(reference)
    if there is None:
        literal = LITERAL.fullmatch(reference)
        if literal is None:
            return ""
        plain = f"{literal[1]}/{literal[2]}"
        there = known.get(plain)
        if there is None:
            there = known[plain] = exists(plain)
    kind = reference.partition("/")[0]
    if targets is not None and kind not in targets:
        return f"may not be a {kind}"
    return "" if there else f"no such {kind}"


def _told(resource: Json, known: dict[str, bool], exists: Callable[[str], bool]) -> Iterator[Issue]:
    resource_type: str = resource["resourceType"]
    for reference, targets, path in _placed(resource, _steps(resource_type), ()):
        words = _wrong(reference, targets, known, exists)
        if words:
            place = f"{resource_type}/{resource.get('id', '')}: {facts.fhirpath(resource_type, path)}"
            yield Issue(code="fhir-reference", place=place, detail=words)


def _steps(type_name: str) -> _Steps:
    """The properties of a type below which a Reference may stand."""
    if type_name not in _STEPS:
        found = _STEPS[type_name] = {}
        for f in facts.fields(type_name).values():
            if not f.primitive and (f.type == "Extension" or _leads(f.type, frozenset[str]())):
                found[f.name] = (f.many, f.type, f.targets, {} if f.type == "Resource" else _steps(f.type))
    return _STEPS[type_name]


@cache
def _leads(type_name: str, seen: frozenset[str]) -> bool:
    if type_name in ("Reference", "Resource"):
        return True
    inside: frozenset[str] = seen | {type_name}
    return type_name not in seen and any(_leads(f.type, inside) for f in facts.fields(type_name).values()
                                         if not f.primitive and f.type != "Extension")


def _collect(node: Json, steps: _Steps, named: list[tuple[str, frozenset[str] | None]]) -> None:
    """The references below a node, without their places."""
    for name, value in node.items():
        step = steps.get(name)
        if step is None:
            continue
        many, kind, targets, below = step
        for item in value if many else (value,):
            if kind == "Reference":
                if "reference" in item:
                    named.append((item["reference"], targets))
                if len(item) == 1:
                    continue
            if kind == "Resource":
                if name == "contained":
                    _collect(item, _steps(item["resourceType"]), named)
            else:
                _collect(item, below, named)


def _placed(node: Json, steps: _Steps, path: _Place) -> Iterator[tuple[str, frozenset[str] | None, _Place]]:
    """The same, each with its place."""
    for name, (many, kind, targets, below) in steps.items():
        if name not in node:
            continue
        for index, item in enumerate(cast("list[Json]", node[name])) if many else ((-1, cast("Json", node[name])),):
            here = (*path, name, index) if many else (*path, name)
            if kind == "Reference" and "reference" in item:
                yield item["reference"], targets, here
            if kind != "Resource":
                yield from _placed(item, below, here)
            elif name == "contained":
                yield from _placed(item, _steps(item["resourceType"]), here)
