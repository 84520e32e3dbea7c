"""What a schema cannot see in the parts of a resource: codings, periods, extensions, references inside the resource.

The same rules twice: `sound` says in a few microseconds whether all is well, `findings` says what is not, and where.
Both walk along the types of the facts and expect a resource whose structure holds (schema.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, cast

from adapter.model import Json
from adapter.validate import facts
from adapter.validate.periods import PER_1, in_order

Path = tuple[str | int, ...]
Steps = dict[str, tuple[str, bool, str, Any]]
"""JSON property -> (rule of its kind, whether it repeats, its type, the steps of its type)."""

LITERAL = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]{1,64})?")
_SYMBOLIC = re.compile(r"[A-Z][A-Za-z]+(?:@[^?]*)?[?!]\w+:")  # of the composer's own: resolved before anything stands
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_BARE = frozenset((  # nothing to see below these but extensions
    "Quantity", "Money", "Age", "Duration", "Count", "Distance", "Range", "Ratio"))


_STEPS: dict[str, Steps] = {}


def steps_of(type_name: str) -> Steps:
    """The properties of a type that the walk goes into, each with the steps of its own type.

    So the table may go in circles. `_name` siblings of primitives are Elements. Raises KeyError for an unknown type.
    """
    if type_name not in _STEPS:
        found = _STEPS[type_name] = {}
        for field in facts.fields(type_name).values():
            if field.primitive:
                found[f"_{field.name}"] = ("", field.many, "Element", steps_of("Element"))
            else:
                inside = {} if field.type == "Resource" else steps_of(field.type)
                found[field.name] = (_rule(type_name, field.type), field.many, field.type, inside)
    return _STEPS[type_name]


def _rule(owner: str, kind: str) -> str:
    if kind == "Extension" and owner == "Extension":
        return "inner"
    return "bare" if kind in _BARE else kind if kind in _RULES or kind in ("CodeableConcept", "Resource") else ""


def sound(node: Json, steps: Steps, systems: dict[str, frozenset[str]], root: Json) -> bool:
    """Whether nothing is wrong below a node. root: the resource it stands in; systems: `facts.system_codes()`."""
    for name, value in node.items():
        step = steps.get(name)
        if step is None:
            continue
        rule, many, _, below = step
        for item in value if many else (value,):
            if rule == "CodeableConcept":
                for coding in item.get("coding", ()):
                    codes = systems.get(coding.get("system"))
                    if (codes is not None and coding.get("code") not in codes and "code" in coding) or (
                            "extension" in coding and not sound(coding, steps_of("Coding"), systems, root)):
                        return False
            elif rule == "":
                if item is not None and not sound(item, below, systems, root):
                    return False
                continue
            elif rule == "Resource" or (rule == "Reference" and len(item) == 1 and _plain(item)):
                continue
            elif rule != "bare" and _RULES[rule](item, root):
                return False
            if (rule in _DEEP or "extension" in item) and not sound(item, below, systems, root):
                return False
    return True


def findings(node: Json, type_name: str, root: Json, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """(path below the resource, what is wrong) of each thing that is wrong below a node."""
    for name, (rule, many, kind, _) in steps_of(type_name).items():
        if name not in node or rule == "Resource":
            continue
        for index, item in enumerate(cast("list[Any]", node[name])) if many else ((-1, node[name]),):
            if item is None:
                continue
            here = (*path, name, index) if many else (*path, name)
            words = _RULES[rule](item, root) if rule in _RULES else ""
            if words:
                yield here, words
            yield from findings(item, kind, root, here)


def resources_inside(node: Json, type_name: str, path: Path = ()) -> Iterator[tuple[Path, Json]]:
    """(path, resource) of each resource that stands inside another: contained, in a Bundle's entries, in Parameters."""
    for name, (rule, many, kind, _) in steps_of(type_name).items():
        if name not in node or not (rule == "Resource" or kind.startswith(("Bundle.entry", "Parameters.parameter"))):
            continue
        for index, item in enumerate(cast("list[Json]", node[name])) if many else ((-1, cast("Json", node[name])),):
            here = (*path, name, index) if many else (*path, name)
            if rule == "Resource":
                yield here, item
            else:
                yield from resources_inside(item, kind, here)


def _plain(node: Json) -> bool:
    """Whether a Reference holds nothing that has to be looked at."""
    reference: str = node.get("reference", "#")
    return reference[0] != "#" and " " not in reference and "\t" not in reference and "|" not in reference


_DEEP = frozenset(("Extension", "inner"))  # rules whose kind holds parts that are worth a look


# --- rules: words, or '' where all is well

def _coding(node: Json, _root: Json) -> str:
    known = facts.system_codes().get(node.get("system", ""))
    return "" if known is None or "code" not in node or node["code"] in known else "no code of its code system"


def _period(node: Json, _root: Json) -> str:
    if "start" in node and "end" in node and not in_order(node["start"], node["end"]):
        return f"{PER_1}: start is not before end, or their precisions do not let one say"
    return ""


def _extension(node: Json, root: Json) -> str:
    absolute = _ABSOLUTE.match(node["url"]) is not None
    return _inner_extension(node, root) or ("" if absolute else "url of an extension must be absolute")


def _inner_extension(node: Json, _root: Json) -> str:
    if len(node) == 2 and "id" not in node:  # url and one thing more
        return ""
    values = {name.lstrip("_") for name in node if name.startswith(("value", "_value"))}
    return "" if len(values) + ("extension" in node) == 1 else "ext-1: either extensions or one value"


def _reference(node: Json, root: Json) -> str:
    reference: str = node.get("reference", "")
    if reference[:1] == "#" and len(reference) > 1:
        inside: list[Json] = root.get("contained", [])
        return "" if any(one.get("id") == reference[1:] for one in inside) else "ref-1: no such contained resource"
    if " " in reference or "\t" in reference or _SYMBOLIC.match(reference):
        return "not a reference"
    if "type" in node:
        literal = LITERAL.fullmatch(reference)
        return "type differs from the reference" if literal and literal[1] != node["type"] else ""
    return ""


_RULES: dict[str, Callable[[Json, Json], str]] = {
    "Coding": _coding, "Period": _period, "Extension": _extension, "inner": _inner_extension, "Reference": _reference}
