"""FHIRPath steps from a node to the elements below it, over plain JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Items = list[Any]

CHOICES = frozenset((
    "abatement", "age", "allowed", "asNeeded", "author", "deceased", "defaultValue", "definition", "diagnosis", "dose",
    "due", "effective", "entity", "event", "identified", "item", "legallyBinding", "location", "medication", "minimum",
    "multipleBirth", "observation", "occurred", "occurrence", "onset", "performed", "probability", "procedure",
    "product", "rate", "reported", "scheduled", "serviced", "source", "start", "statusReason", "subject", "target",
    "time", "timing", "topic", "trigger", "value"))
"""Names of FHIR R4 choice elements: `value` also stands for valueString, valueQuantity ... where it is not there."""


def element(name: str) -> Callable[[Items], Items]:
    """The step to one element: the values of each item's, lists opened."""

    def step(items: Items) -> Items:
        found: Items = []
        for item in items:
            value: Any = item.get(name) if item.__class__ is dict else None
            if value.__class__ is list:
                found.extend(v for v in value if v is not None)
            elif value is not None:
                found.append(value)
        return found

    return step


def chain(names: Sequence[str]) -> Callable[[Items], Items]:
    """The steps through elements one below the other; quick where each has one value."""
    steps = [element(name) for name in names]
    if len(steps) == 1:
        return steps[0]

    def walk(items: Items) -> Items:
        if len(items) == 1:
            node = items[0]
            for name in names:
                node = node.get(name) if node.__class__ is dict else None
                if node is None:
                    return []
                if node.__class__ is list:
                    break
            else:
                return [node]
        for step in steps:
            items = step(items)
        return items

    return walk


def choice(name: str) -> Callable[[Items], Items]:
    """The step to a choice element, whatever type its value has."""
    plain, length = element(name), len(name)

    def step(items: Items) -> Items:
        found: Items = []
        for item in items:
            if item.__class__ is dict and name not in item:
                found.extend(v for k, v in item.items() if k.startswith(name) and k[length:length + 1].isupper())
            else:
                found.extend(plain([item]))
        return found

    return step


def of_resource_type(name: str) -> Callable[[Items], Items]:
    """The resources of a type among the items."""
    return lambda items: [item for item in items if item.__class__ is dict and item.get("resourceType") == name]
