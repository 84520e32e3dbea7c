"""What a US Core profile must have, compiled from the facts into a small tree, and how a missing element is marked.

Marking (US Core 6.1.0, Missing Data): CodeableConcept and Coding get the coding `data-absent-reason|unknown`; a code
with a required binding the code `unknown` where it exists, else it cannot be marked; anything else the
data-absent-reason extension.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, cast

from adapter.model import Issue, Json
from adapter.validate import facts
from adapter.validate.facts import Field

DAR_EXTENSION = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
DAR_SYSTEM = "http://terminology.hl7.org/CodeSystem/data-absent-reason"

Mark = Literal["extension", "sibling", "coding", "concept", "code", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One element that a profile asks for, and what it asks for below.

    names: JSON names that satisfy it (types of a choice, `_name` siblings). required: min >= 1 in the profile; base: in
    R4 too. most: how many the profile allows, 0 for no limit of its own. write: the name that is written, by `mark`;
    shown: its name in FHIRPath.
    """

    names: tuple[str, ...]
    write: str
    shown: str
    many: bool
    required: bool
    base: bool
    most: int
    mark: Mark
    below: tuple[Need, ...]


def parts(node: Json, element: str) -> list[Json]:
    """The objects of an element that is an object or a list of them; anything else in it is passed over."""
    value: Any = node.get(element)
    items = cast("list[Any]", value) if isinstance(value, list) else [value]
    return [cast("Json", item) for item in items if isinstance(item, dict)]


def text(node: Json, element: str) -> str:
    """The text of a primitive element, '' where there is none."""
    value: Any = node.get(element)
    return value if isinstance(value, str) else ""


def unknown_concept() -> Json:
    """A CodeableConcept that says the reason is unknown."""
    return {"coding": [{"system": DAR_SYSTEM, "code": "unknown", "display": "Unknown"}]}


def absent() -> Json:
    """The data-absent-reason extension, to stand alone in an element."""
    return {"extension": [{"url": DAR_EXTENSION, "valueCode": "unknown"}]}


@cache
def needs(profile: str) -> tuple[Need, ...]:
    """The tree of a profile's needs below its resource. Raises KeyError for an unknown profile."""
    asked = facts.profiles()[profile]
    limits = {path: int(most) for path, most in asked.get("max", {}).items()}
    paths = {path for path in asked["must"] if not path.startswith("text.")} | set(limits)
    return _below(asked["type"], "", frozenset(paths), frozenset(asked["must"]), limits)


def _below(owner: str, prefix: str, paths: frozenset[str], must: frozenset[str], limits: dict[str, int]
           ) -> tuple[Need, ...]:
    names = sorted({path[len(prefix):].split(".")[0] for path in paths if path.startswith(prefix)})
    found: list[Need] = []
    for name in names:
        fields = [f for f in facts.fields(owner).values() if name in (f.name, f.choice)]
        chosen = _to_write(fields)
        below = () if chosen.primitive else _below(chosen.type, f"{prefix}{name}.", paths, must, limits)
        found.append(Need(
            names=tuple(n for f in fields for n in ((f.name, f"_{f.name}") if f.primitive else (f.name,))),
            write=chosen.name, shown=name.removesuffix("[x]"), many=chosen.many, required=prefix + name in must,
            base=chosen.required, most=limits.get(prefix + name, 0), mark=_mark(chosen), below=below))
    return tuple(found)


def _to_write(fields: list[Field]) -> Field:
    """Of the types of a choice, the one that says `unknown` best."""
    order = ("CodeableConcept", "dateTime", "boolean")
    return min(fields, key=lambda f: order.index(f.type) if f.type in order else len(order))


def _mark(field: Field) -> Mark:
    if field.type in ("CodeableConcept", "Coding") and not field.codes:
        return "concept" if field.type == "CodeableConcept" else "coding"
    if field.codes:
        known = any("unknown" in codes for codes in facts.codes(field.codes).values())
        return "code" if field.type == "code" and known else "none"
    return "sibling" if field.primitive else "extension"


Lean = tuple[tuple[str, tuple[str, ...], bool, int, Any], ...]
"""Needs as tuples, for speed: (first name, other names, required, most, what is asked below)."""


@cache
def lean(profile: str) -> Lean:
    """The needs of a profile in the form that `met` reads."""
    return _lean(needs(profile))


def _lean(wanted: tuple[Need, ...]) -> Lean:
    return tuple((need.names[0], need.names[1:], need.required, need.most, _lean(need.below)) for need in wanted)


def met(node: Json, wanted: Lean) -> bool:
    """Whether every need is met, so that nothing has to be marked: the usual case, told in a microsecond or two."""
    for name, others, required, most, below in wanted:
        value = node.get(name)
        if value is None:
            if required and not any(other in node for other in others):
                return False
        elif below or most:
            items = cast("list[Any]", value) if isinstance(value, list) else [value]
            if most and len(items) > most:
                return False
            for item in items if below else ():
                if not isinstance(item, dict) or not met(cast("Json", item), below):
                    return False
    return True


def impossible(node: Json, wanted: tuple[Need, ...], place: str) -> str:
    """The place of the first need that is not met and cannot be marked, '' where there is none."""
    for need in wanted:
        value = _present(node, need)
        if value is None:
            if need.required and (need.mark == "none" or any(n.required and n.mark == "none" for n in need.below)):
                return f"{place}.{need.shown}"
            continue
        if need.most and isinstance(value, list) and len(cast("list[Any]", value)) > need.most:
            return f"{place}.{need.shown}"
        if need.below:
            for child, child_place in _children(value, f"{place}.{need.shown}"):
                found = impossible(child, need.below, child_place)
                if found:
                    return found
    return ""


def satisfy(node: Json, wanted: tuple[Need, ...], place: str, base_only: bool, issues: list[Issue]) -> Json:
    """The node with every missing need marked; the same object where nothing is missing, else a copy.

    base_only: mark only what R4 itself asks for. Adds a `must-have-absent` to issues for each mark.
    """
    changed = node
    for need in wanted:
        value = _present(node, need)
        if value is None:
            if need.required and need.mark != "none" and (need.base or not base_only):
                changed = {**changed, **_marked(need, base_only)}
                issues.append(Issue(code="must-have-absent", place=f"{place}.{need.shown}"))
        elif need.below:
            filled = _filled(value, need, f"{place}.{need.shown}", base_only, issues)
            if filled is not value:
                changed = {**changed, need.write: filled}
    return changed


def _filled(value: Any, need: Need, place: str, base_only: bool, issues: list[Issue]) -> Any:
    if isinstance(value, dict):
        return satisfy(cast("Json", value), need.below, place, base_only, issues)
    if not isinstance(value, list):
        return value
    items = cast("list[Any]", value)
    filled = [satisfy(cast("Json", item), need.below, f"{place}[{index}]", base_only, issues)
              if isinstance(item, dict) else item for index, item in enumerate(items)]
    return items if all(new is old for new, old in zip(filled, items, strict=True)) else filled


def _present(node: Json, need: Need) -> Any:
    for name in need.names:
        if name in node:
            return node[name]
    return None


def _children(value: Any, place: str) -> list[tuple[Json, str]]:
    if isinstance(value, dict):
        return [(cast("Json", value), place)]
    if isinstance(value, list):
        return [(cast("Json", item), f"{place}[{index}]") for index, item in enumerate(cast("list[Any]", value))
                if isinstance(item, dict)]
    return []


def _marked(need: Need, base_only: bool) -> Json:
    """The element that says it is unknown, with what is needed below it."""
    if need.mark == "sibling":
        return {f"_{need.write}": [absent()] if need.many else absent()}
    value: Any = "unknown"
    if need.mark == "concept":
        value = unknown_concept()
    elif need.mark == "coding":
        value = unknown_concept()["coding"][0]
    elif need.mark == "extension":
        below: Json = {}
        for child in need.below:
            if child.required and (child.base or not base_only):
                below |= _marked(child, base_only)
        value = below or absent()
    return {need.write: [value] if need.many else value}
