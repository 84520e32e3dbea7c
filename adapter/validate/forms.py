"""The form of a value: all of it that claiming and checking look at, so that of two values of one form both hold or neither.

What is only looked at for its pattern (a text, a date, whom a reference names) stands in a form as that it fits; everything
else (codes, systems, numbers, which elements there are) stands in it as it is. What compares two elements that may come from
different places (`in_order`) is not in it: `ordered` names those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import cache, partial
from typing import Any

import orjson

from adapter.model import Json, is_array, is_object
from adapter.validate import facts, schema
from adapter.validate.facts import Field
from adapter.validate.numbers import well_formed
from adapter.validate.periods import in_order

Form = Any
"""Something to look up by: texts, bytes and tuples of them."""
Former = Callable[[Any], Form]

_ORDERED = {"Task": (("authoredOn", "lastModified"),)}
"""Resource type -> pairs of elements of which check.py asks that the first is not after the second; Periods beside."""
_LITERAL = re.compile(r"([A-Z][A-Za-z]+)/[A-Za-z0-9.-]{1,64}")
_TEXT = ("text",)
_OF_URI = "urn:ietf:rfc:3986"
_READ = frozenset((("Address", "state"), ("Extension", "url")))
"""Texts that a rule of walk.py or profiles.py reads; of Identifier.value its form says what the rules make of it."""


@cache
def former(resource_type: str, path: str) -> Former:
    """What gives the form of values at a path below a resource (`period.start`), lists as a whole, references resolved."""
    above, _, name = path.rpartition(".")
    holder = facts.field(resource_type, above) if above else None
    owner = holder.type if holder is not None else "" if above else resource_type
    field = facts.fields(owner).get(name) if facts.known_type(owner) else None
    return _exact if field is None else _former(owner, field)


def ordered(resource_type: str, paths: Collection[str]) -> list[tuple[str, str]]:
    """Of these paths, the pairs that must be in order and whose values' forms do not say it."""
    pairs = list(_ORDERED.get(resource_type, ()))
    for path in paths:
        above = path.removesuffix(".start")
        field = facts.field(resource_type, above) if above != path else None
        if field is not None and field.type == "Period":
            pairs.append((path, f"{above}.end"))
    return [(first, second) for first, second in pairs if first in paths and second in paths]


def _exact(value: Any) -> Form:
    return value if value.__class__ is str else orjson.dumps(value)


def _former(owner: str, field: Field) -> Former:
    one = _leaf(owner, field) if field.primitive else _object(field.type)
    return partial(_list, one) if field.many else one


def _list(one: Former, value: Any) -> Form:
    return ("list", *map(one, value)) if is_array(value) else _exact(value)


def _number(identifier: Json) -> Form:
    """What is made of an Identifier's value: whether it can be a number of its system, and as it is where a rule reads it."""
    system, number = identifier.get("system"), identifier.get("value")
    if not isinstance(system, str) or not isinstance(number, str):
        return None
    return number if system == _OF_URI else well_formed(system, number)


def _order(period: Json) -> Form:
    start, end = period.get("start"), period.get("end")
    try:
        return in_order(start, end) if isinstance(start, str) and isinstance(end, str) else None
    except ValueError:  # one is no date, of which its own form tells
        return None


_MORE: dict[str, Former] = {"Identifier": _number, "Period": _order}


@cache
def _object(kind: str) -> Former:
    """The form of objects of a type: those of its parts, which are worked out when they are first met, as types go in circles."""
    if kind == "Resource":
        return _exact
    inner: dict[str, Former] = {}
    more = _MORE.get(kind)

    def part(name: str) -> Former:
        field = facts.fields(kind).get(name)
        found = inner[name] = _exact if field is None else _former(kind, field)
        return found

    def form(value: Any) -> Form:
        if not is_object(value):
            return _exact(value)
        found = [(name, (inner.get(name) or part(name))(one)) for name, one in value.items()]
        return (*found, more(value)) if more is not None else tuple(found)

    return form


def _leaf(owner: str, field: Field) -> Former:
    """What is told of a primitive at an element, by its type."""
    if owner == "Reference" and field.name == "reference":
        return _reference
    if field.codes or field.form or (owner, field.name) in _READ:
        return _exact
    if field.type in ("string", "markdown"):
        return partial(_text, re.compile(schema.primitive("string")["pattern"]))
    if field.type in ("date", "dateTime", "instant"):
        return partial(_date, re.compile(schema.primitive(field.type)["pattern"]))
    return _exact


def _reference(text: Any) -> Form:
    literal = _LITERAL.fullmatch(text) if isinstance(text, str) else None
    return _exact(text) if literal is None else ("to", literal[1])


def _text(pattern: re.Pattern[str], text: Any) -> Form:
    """Of a text that fits its type: that."""
    if not isinstance(text, str):
        return _exact(text)
    return _TEXT if (text and text.isprintable() and not text.isspace()) or pattern.fullmatch(text) else text


def _date(pattern: re.Pattern[str], text: Any) -> Form:
    """Of a date that fits its type: that, and how precise it is."""
    return ("date", len(text)) if isinstance(text, str) and pattern.fullmatch(text) else _exact(text)
