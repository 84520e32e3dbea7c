"""What may stand: composed resources checked together, references without a target taken out, nothing invalid let through."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from adapter.compose.references import without
from adapter.errors import kind_of
from adapter.model import Composed, Issue, Json, is_array
from adapter.validate.periods import PER_1

Exists = Callable[[set[str]], Collection[str]]
Claim = Callable[[Json], list[Issue]]
_NONE = frozenset[str]()
_STEP = re.compile(r"\.([A-Za-z]+)(?:\.ofType\(([A-Za-z]+)\))?(?:\[([0-9]+)\])?")


def stand(composed: Sequence[Composed], exists: Exists, claim: Claim, check: Claim) -> list[Composed]:
    """Each resource as it may be stored: profile claimed and checked; what cannot stand is `deleted`, with its issues.

    exists: of some `Type/id`, those that stand outside this set. claim and check: validate.profiles and validate.check.
    One that is checked already stands as it is. A resource that fails takes its references out of the
    others, until nothing changes.
    """
    names = [f"{c.resource_type}/{c.id}" for c in composed]
    alive = {name for name, c in zip(names, composed, strict=True) if not c.deleted}
    if all(c.references <= alive if c.checked else c.deleted and not c.body for c in composed):  # the usual case, told soonest
        return list(composed)
    outside = set[str]().union(*(c.references for c in composed)) - alive
    known = frozenset(exists(outside - set(names))) if outside else _NONE
    done = list(composed)
    todo = range(len(done))
    while todo:
        missing = outside - known
        failed: set[str] = set()
        for n in todo:
            c = composed[n]
            if not c.checked or (missing and not c.references.isdisjoint(missing)):
                done[n] = stand_alone(_as_stated(c), c.references & missing if missing else _NONE, claim, check)
                if done[n].deleted and names[n] in alive:
                    failed.add(names[n])
        alive -= failed
        outside |= failed
        todo = [n for n, c in enumerate(composed) if names[n] in alive and not c.references.isdisjoint(failed)]
    return done


def _as_stated(c: Composed) -> Composed:
    """The resource before it was claimed and checked: without a reference that is to be taken out it may fare otherwise."""
    return c if c.stated is None else replace(c, body=c.stated, stated=None, issues=(), checked=False)


def stand_alone(c: Composed, missing: frozenset[str], claim: Claim, check: Claim) -> Composed:
    """One resource as it may stand where `missing` is all of what it refers to that does not."""
    if c.deleted:
        return replace(c, body={}) if c.body else c
    issues = [Issue(code="fhir-reference", place=c.resource_type, detail=m) for m in sorted(missing)]
    body: Json = without(c.body, missing) if missing else c.body
    dropped: list[Issue] = []
    for _ in range(8):
        current = dict(body)
        claimed = claim(current)
        found = check(current)
        errors = [i for i in found if kind_of(i).severity == "error"] if found else []
        if not errors:
            return Composed(resource_type=c.resource_type, id=c.id, key=c.key, person=c.person, body=current, hash=c.hash,
                            sources=c.sources, references=c.references, checked=True,
                            issues=(*c.issues, *issues, *dropped, *claimed))
        dropped.extend(errors)
        ends = [i.place for i in errors if i.detail.startswith(PER_1)]
        others = {_element(i.place, c.resource_type) for i in errors if i.place not in ends}
        lessened = _lessened(_without_ends(body, [_steps(place, c.resource_type) for place in ends]), others)
        if lessened == body:
            break
        body = lessened
    return replace(c, body={}, issues=(*c.issues, *issues, *dropped), deleted=True)


def _without_ends(body: Json, periods: Sequence[Sequence[str | int]]) -> Json:
    """The body without the ends of these periods: an end that cannot be right takes no start away."""
    for steps in periods:
        body = _without_end(body, steps)
    return body


def _without_end(node: Any, steps: Sequence[str | int]) -> Any:
    if not steps:
        return {name: value for name, value in node.items() if name not in ("end", "_end")}
    if is_array(node):
        return [_without_end(item, steps[1:]) if n == steps[0] else item for n, item in enumerate(node)]
    return {name: _without_end(value, steps[1:]) if name == steps[0] else value for name, value in node.items()}


def _steps(place: str, resource_type: str) -> list[str | int]:
    """The way through the JSON to a FHIRPath: `Patient.name[0].period`, `Procedure.performed.ofType(Period)`."""
    steps: list[str | int] = []
    for name, kind, index in _STEP.findall(place.removeprefix(resource_type)):
        steps.append(name + kind[:1].upper() + kind[1:])
        if index:
            steps.append(int(index))
    return steps


def _lessened(body: Json, places: set[tuple[str, int | None]]) -> Json:
    """The body without the elements, or list members, in which something is wrong."""
    less = dict(body)
    for name in {name for name, _ in places} & body.keys() - {"resourceType", "id"}:
        indexes = {index for at, index in places if at == name}
        value = body[name]
        kept = [v for n, v in enumerate(value) if n not in indexes] if is_array(value) and None not in indexes else []
        if kept and len(kept) < len(value):
            less[name] = kept
        else:
            del less[name]
    return less


def _element(place: str, resource_type: str) -> tuple[str, int | None]:
    """The top-level element, and the member of it where it is a list, that an issue's FHIRPath lies in."""
    first, _, rest = place.removeprefix(resource_type).lstrip(".").partition(".")
    name, bracket, index = first.partition("[")
    if rest.startswith("ofType("):
        kind = rest[7:].partition(")")[0]
        name += kind[0].upper() + kind[1:]
    return name, int(index.rstrip("]")) if bracket else None
