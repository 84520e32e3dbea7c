"""FHIRPath operators and functions over plain JSON nodes. Source: FHIRPath 2.0; getReferenceKey from SQL on FHIR v2.

A collection is a list; empty stands for "unknown" and most operators hand it on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from adapter.errors import Defect
from adapter.gaps.boundaries import boundary
from adapter.gaps.fhirpath_elements import Items
from adapter.gaps.instants import FHIR_TIME

_REFERENCE = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/([A-Za-z0-9.\-]{1,64})(?:/_history/[^/]+)?")
_DAY = 10  # length of a date with its day


def truth(items: Items, place: str) -> bool | None:
    """A condition's collection as true, false or unknown. Raises Defect (view-invalid) where it is not Boolean."""
    if not items:
        return None
    if len(items) == 1 and isinstance(items[0], bool):
        return items[0]
    raise Defect("view-invalid", place, "a condition must be Boolean")


def single(items: Items, place: str) -> Any:
    """The one item. Raises Defect (view-failed) where there are more."""
    if len(items) > 1:
        raise Defect("view-failed", place, f"{len(items)} values")
    return items[0] if items else None


# --- operators on whole collections

def logic(word: str, left: bool | None, right: bool | None) -> Items:
    """and, or, xor, implies with unknowns (FHIRPath 6.5)."""
    if word == "implies":
        word, left = "or", None if left is None else not left
    if word == "xor":
        return [] if left is None or right is None else [left != right]
    decides = word == "or"
    if decides in (left, right):
        return [decides]
    return [] if left is None or right is None else [not decides]


def equal(left: Items, right: Items) -> bool | None:
    """`=`: unknown where a side is empty, or where times of different precision agree as far as they go."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    verdicts = [_same(a, b) for a, b in zip(left, right, strict=True)]
    return False if False in verdicts else None if None in verdicts else True


def holds(word: str, left: Any, right: Any) -> bool | None:
    """`<`, `<=`, `>`, `>=` between two single values; unknown where they cannot be compared."""
    order = _order(left, right)
    if order is None:
        return None
    return {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[word]


_ARITHMETIC: dict[str, Callable[[Decimal, Decimal], Decimal | int]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
    "div": lambda a, b: int(a / b), "mod": lambda a, b: a - b * int(a / b),
}


def calculate(word: str, left: Any, right: Any, place: str) -> Any:
    """Arithmetic on numbers (decimal, not binary), `+` and `&` on text; None for a division by zero."""
    if isinstance(left, str) and isinstance(right, str) and word in ("+", "&"):
        return left + right
    if not _is_number(left) or not _is_number(right) or word == "&":
        raise Defect("view-invalid", place, f"`{word}` between values of these types")
    if word in ("/", "div", "mod") and right == 0:
        return None
    result = _ARITHMETIC[word](Decimal(repr(left)), Decimal(repr(right)))
    return int(result) if result == int(result) else float(result)


def _same(left: Any, right: Any) -> bool | None:
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    if left == right:
        return True
    if _is_time(left) and _is_time(right):
        order = _order_times(left, right)
        return None if order is None else order == 0
    return False


def _order(left: Any, right: Any) -> int | None:
    if _is_time(left) and _is_time(right):
        return _order_times(left, right)
    alike = (isinstance(left, str) and isinstance(right, str)) or (_is_number(left) and _is_number(right))
    return (left > right) - (left < right) if alike else None


def _order_times(left: str, right: str) -> int | None:
    if len(left) > _DAY and len(right) > _DAY and _offset(left) and _offset(right):
        a, b = _moment(left), _moment(right)
        return (a > b) - (a < b)
    shared = min(len(left), len(right))
    a, b = left[:shared], right[:shared]
    return None if a == b and len(left) != len(right) else (a > b) - (a < b)


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and FHIR_TIME.fullmatch(value) is not None


def _offset(text: str) -> bool:
    return text.endswith("Z") or text[-6] in "+-"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# --- functions: (items, arguments already evaluated) -> items

def _text_test(test: Callable[[str, str], bool]) -> Callable[[Items, Items], Items]:
    def apply(items: Items, arguments: Items) -> Items:
        return [test(items[0], arguments[0])] if items and arguments and isinstance(items[0], str) else []

    return apply


def _join(items: Items, arguments: Items) -> Items:
    return [(arguments[0] if arguments else "").join(str(item) for item in items)]


def _substring(items: Items, arguments: Items) -> Items:
    if not items or not arguments or not isinstance(items[0], str):
        return []
    start, *length = arguments
    return [items[0][start:start + length[0] if length else None]] if 0 <= start < len(items[0]) else []


def _distinct(items: Items, _: Items) -> Items:
    found: Items = []
    for item in items:
        if item not in found:
            found.append(item)
    return found


def _resource_key(items: Items, _: Items) -> Items:
    return [item["id"] for item in items if isinstance(item, dict) and "id" in item]


FUNCTIONS: dict[str, tuple[int, Callable[[Items, Items], Items]]] = {
    "empty": (0, lambda items, _: [not items]),
    "not": (0, lambda items, _: [not items[0]] if items and isinstance(items[0], bool) else []),
    "first": (0, lambda items, _: items[:1]),
    "last": (0, lambda items, _: items[-1:]),
    "count": (0, lambda items, _: [len(items)]),
    "distinct": (0, _distinct),
    "join": (1, _join),
    "startsWith": (1, _text_test(str.startswith)),
    "endsWith": (1, _text_test(str.endswith)),
    "contains": (1, _text_test(lambda text, part: part in text)),
    "substring": (2, _substring),
    "getResourceKey": (0, _resource_key),
    "lowBoundary": (0, lambda items, _: _boundaries(items, "low", "")),
    "highBoundary": (0, lambda items, _: _boundaries(items, "high", "")),
}
"""Functions of the focus and of values: name to (most arguments, function)."""


def _boundaries(items: Items, side: Any, of_type: str) -> Items:
    return [b for b in (boundary(item, side, of_type) for item in items) if b is not None]


def typed_boundary(name: str, of_type: str) -> Callable[[Items, Items], Items]:
    """lowBoundary or highBoundary of an element whose type is known."""
    side = "low" if name == "lowBoundary" else "high"
    return lambda items, _: _boundaries(items, side, of_type)


def reference_key(items: Items, of_type: str) -> Items:
    """getReferenceKey(): the ids that references name, of one resource type where it is given.

    Relative, absolute and versioned references; conditional, contained and `urn:` ones name no key.
    """
    keys: Items = []
    for item in items:
        reference: Any = item.get("reference") if item.__class__ is dict else None
        target = _target(reference) if isinstance(reference, str) else None
        if target and of_type in ("", target[0]):
            keys.append(target[1])
    return keys


@lru_cache(maxsize=8192)
def _target(reference: str) -> tuple[str, str] | None:
    match = _REFERENCE.fullmatch(reference)
    return None if match is None else (match[1], match[2])
