"""What FHIR R4 and US Core say of each type, read once from `profiles/fhir/r4-facts.json` (written by tools/facts.py).

The file: `types` by name (`Patient`, and each BackboneElement by its path, `Patient.contact`) with `base` and
`elements` (type, min, max, `to` reference targets, `codes` value set that must be kept, `form` where that set is too
large to list); `codes` value set -> system -> codes; `systems` code system -> all its codes; `primitives` with their
regular expressions; `profiles` of US Core. An element's defaults (min 0, max 1) are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import orjson

from adapter.errors import Defect
from adapter.home import PROFILES
from adapter.model import Json

FILE = PROFILES / "fhir" / "r4-facts.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One JSON property of a type, with its FHIR type.

    choice: name of the choice element it belongs to (`deceased[x]`), else ''. targets: resource types that a Reference
    may name, None for any. codes: url of the value set it may not leave, or ''. form: `bcp47`, `mime`, `iso4217`, or
    ''.
    """

    name: str
    type: str
    many: bool
    required: bool
    choice: str
    targets: frozenset[str] | None
    codes: str
    form: str

    @property
    def primitive(self) -> bool:
        """Whether its value is a JSON string, number or boolean (its extensions stand in `_name`)."""
        return self.type in primitives()


@cache
def _file() -> dict[str, dict[str, Any]]:
    try:
        return cast("dict[str, dict[str, Any]]", orjson.loads(FILE.read_bytes()))
    except OSError as error:
        raise Defect("defect", FILE.name, "the facts of FHIR are missing: run tools/facts.py") from error


def primitives() -> dict[str, Json]:
    """Primitive type -> its regular expression, where it has one."""
    return _file()["primitives"]


@cache
def resource_types() -> frozenset[str]:
    """The resource types that the facts know."""
    return frozenset(name for name, facts in _file()["types"].items()
                     if facts.get("kind") == "resource" and name not in ("DomainResource", "Resource"))


def known_type(name: str) -> bool:
    """Whether a complex type, BackboneElement path or resource type is known."""
    return name in _file()["types"]


def type_names() -> frozenset[str]:
    """Every type that is known: primitives, datatypes, BackboneElement paths, resources."""
    return frozenset((*_file()["types"], *primitives()))


def codes(value_set: str) -> dict[str, list[str]]:
    """System -> codes of a value set that some element may not leave. Raises KeyError for any other."""
    return _file()["codes"][value_set]


@cache
def system_codes() -> dict[str, frozenset[str]]:
    """Code system -> all its codes, for the HL7 systems that are complete and small enough to list."""
    return {system: frozenset(found) for system, found in _file()["systems"].items()}


def profiles() -> dict[str, Json]:
    """US Core profile url -> type, must, max, codes, slices, rules (see tools/facts.py)."""
    return _file()["profiles"]


@cache
def fields(type_name: str) -> dict[str, Field]:
    """JSON property -> Field of a type, inherited ones included, without the `_name` siblings of primitives.

    A choice element has one property for each of its types. Raises KeyError for an unknown type.
    """
    facts = _file()["types"][type_name]
    found = dict(fields(facts["base"])) if facts["base"] else {}
    for name, element in facts["elements"].items():
        for kind in element["type"]:
            field = _field(name, kind, element)
            found[field.name] = field
    return found


def _field(name: str, kind: str, element: Json) -> Field:
    choice = name.endswith("[x]")
    targets = element.get("to") if kind == "Reference" else None
    return Field(name=name[:-3] + kind[0].upper() + kind[1:] if choice else name, type=kind,
                 many=element.get("max", "1") != "1", required=element.get("min", 0) > 0, choice=name if choice else "",
                 targets=frozenset(targets) if targets else None, codes=element.get("codes", ""),
                 form=element.get("form", ""))


@cache
def field(resource_type: str, path: str) -> Field | None:
    """The field at a path below a type (`hospitalization.dischargeDisposition`), None where there is none.

    Choice elements go by their JSON name (`deceasedBoolean`).
    """
    owner, found = resource_type, None
    for name in path.split("."):
        found = fields(owner).get(name) if known_type(owner) else None
        if found is None:
            return None
        owner = found.type
    return found


@cache
def is_list(resource_type: str, path: str) -> bool:
    """Whether the element at a path repeats; False also for an unknown one."""
    found = field(resource_type, path)
    return found is not None and found.many


@cache
def is_backbone(resource_type: str, path: str) -> bool:
    """Whether the element at a path is a BackboneElement (its type is a path of its own, `Encounter.location`)."""
    found = field(resource_type, path)
    return found is not None and "." in found.type


def reference_targets(resource_type: str, path: str) -> frozenset[str] | None:
    """The resource types that the Reference at a path may name; None for any, and where there is no Reference."""
    found = field(resource_type, path)
    return found.targets if found is not None else None


def fhirpath(resource_type: str, steps: Iterable[str | int]) -> str:
    """A place in a resource's JSON as FHIRPath: `Patient.name[0].given[1]`, `Observation.value.ofType(Quantity)`."""
    owner, place = resource_type, resource_type
    for step in steps:
        if isinstance(step, int):
            place += f"[{step}]"
            continue
        found = fields(owner).get(step.lstrip("_")) if known_type(owner) else None
        owner = found.type if found is not None else ""
        name = step.lstrip("_")
        place += f".{found.choice[:-3]}.ofType({found.type})" if found is not None and found.choice else f".{name}"
    return place
