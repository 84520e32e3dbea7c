"""A search as it is asked: query parameters to a checked Query. Pure; a parameter that is not known is refused by name.

Source: FHIR R4 search (parameters, prefixes, modifiers, result parameters). Values never stand in a refusal: they may
be a patient's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from adapter.errors import Rejected
from adapter.store.search_index import date_range
from adapter.store.search_params import PARAMS, SearchParam

LARGEST_PAGE = 1000
PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")
_IGNORED = frozenset({"_format", "_pretty"})
_STANDING = {"_id": SearchParam(name="_id", type="token", paths=("id",)),
             "_lastUpdated": SearchParam(name="_lastUpdated", type="date", paths=("meta.lastUpdated",))}
_MODIFIERS = {"token": frozenset({"", "missing"}), "string": frozenset({"", "exact", "contains", "missing"}),
              "date": frozenset({"", "missing"}), "uri": frozenset({"", "missing"})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One parameter of the query: any of its values (still escaped) suffices.

    modifier: '', missing, exact, contains or a resource type.
    """

    param: SearchParam
    modifier: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Include:
    """_include (reverse False) or _revinclude: follow reference `param` of type `source`, '' target: to any type."""

    source: str
    param: SearchParam
    target: str
    reverse: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A checked search. sort: (parameter, descending), tie-breakers too. count: page size, 0 for the total alone."""

    resource_type: str
    criteria: tuple[Criterion, ...]
    includes: tuple[Include, ...]
    sort: tuple[tuple[str, bool], ...]
    count: int
    total: bool


def parse_query(resource_type: str, params: Sequence[tuple[str, str]], count: int = 100) -> Query:
    """Check a search. Raises Rejected: not-found for a type that cannot be searched, bad-search for anything else."""
    if resource_type not in PARAMS:
        raise Rejected("not-found", resource_type, "this type cannot be searched")
    results = [(name, value) for name, value in params if name.partition(":")[0] in _RESULT]
    criteria = [_criterion(resource_type, name, value) for name, value in params
                if name.partition(":")[0] not in _RESULT and name not in _IGNORED]
    given = dict(results)
    summary = given.get("_summary", "false")
    if summary not in {"false", "count"}:
        raise Rejected("bad-search", "_summary", "only count and false are known")
    size = _count(given["_count"]) if "_count" in given else max(0, min(count, LARGEST_PAGE))
    return Query(
        resource_type=resource_type, criteria=tuple(criteria), count=0 if summary == "count" else size,
        includes=tuple(_include(name, value) for name, value in results if "include" in name),
        sort=_sort(resource_type, given.get("_sort", "")), total=size == 0 or summary == "count" or _total(given))


def search_param(resource_type: str, name: str) -> SearchParam | None:
    """The parameter of that name, `_id` and `_lastUpdated` among them; None where the type has none."""
    return _STANDING.get(name) or PARAMS.get(resource_type, {}).get(name)


def prefixed(value: str) -> tuple[str, tuple[int, int]] | None:
    """A date value as (prefix, first and last microsecond); None where it is no date."""
    prefix, text = (value[:2], value[2:]) if value[:2] in PREFIXES else ("eq", value)
    span = date_range(text.replace(" ", "+"))  # a + that was not percent-encoded
    return (prefix, span) if span else None


def unescaped(value: str) -> str:
    r"""A value with \, \| \$ and \\ resolved."""
    return re.sub(r"\\(.)", r"\1", value)


def token_parts(value: str) -> tuple[str | None, str]:
    """A token value as (system, code): system None where any will do, code '' where any of the system will."""
    before_bar = re.match(r"(?:\\.|[^\\|])*", value, re.DOTALL)
    end = before_bar.end() if before_bar else 0
    return (unescaped(value[:end]), unescaped(value[end + 1 :])) if end < len(value) else (None, unescaped(value))


_RESULT = frozenset({"_include", "_revinclude", "_count", "_sort", "_summary", "_total"})


def _criterion(resource_type: str, text: str, value: str) -> Criterion:
    name, _, modifier = text.partition(":")
    param = search_param(resource_type, name)
    if param is None:
        raise Rejected("bad-search", text, f"{resource_type} has no such parameter")
    if modifier not in _MODIFIERS.get(param.type, {"", "missing"} | _types(param)) or (modifier and name in _STANDING):
        raise Rejected("bad-search", text, "the modifier is not known here")
    values = tuple(re.findall(r"(?:\\.|[^\\,])+", value))
    if not values:
        raise Rejected("bad-search", text, "the parameter has no value")
    if modifier == "missing" and values not in {("true",), ("false",)}:
        raise Rejected("bad-search", text, ":missing is true or false")
    if param.type == "date" and not modifier and not all(map(prefixed, values)):
        raise Rejected("bad-search", text, "not a date, or an unknown prefix")
    return Criterion(param=param, modifier=modifier, values=values)


def _types(param: SearchParam) -> frozenset[str]:
    return frozenset(PARAMS) if "*" in param.targets else frozenset(param.targets)


def _count(value: str) -> int:
    if not value.isdecimal():
        raise Rejected("bad-search", "_count", "not a number")
    return min(int(value), LARGEST_PAGE)


def _total(given: dict[str, str]) -> bool:
    wanted = given.get("_total", "none")
    if wanted not in {"none", "estimate", "accurate"}:
        raise Rejected("bad-search", "_total", "one of none, estimate, accurate")
    return wanted != "none"


def _sort(resource_type: str, value: str) -> tuple[tuple[str, bool], ...]:
    keys = [(part.lstrip("-"), part.startswith("-")) for part in value.split(",") if part]
    for name, _ in keys:
        param = search_param(resource_type, name)
        if param is None or (param.type != "date" and name != "_id"):
            raise Rejected("bad-search", "_sort", "sorts by _id, _lastUpdated and parameters of type date")
    for name in ("_lastUpdated", "_id"):
        if name not in [key for key, _ in keys]:
            keys.append((name, False))
    return tuple(keys)


def _include(text: str, value: str) -> Include:
    name, _, modifier = text.partition(":")
    source, _, rest = value.partition(":")
    param, _, target = rest.partition(":")
    found = search_param(source, param)
    if modifier or found is None or found.type != "reference":
        raise Rejected("bad-search", text, "write Type:parameter, a reference parameter of that type")
    return Include(source=source, param=found, target=target, reverse=name == "_revinclude")
