"""Which resources match: the criteria of a Query as conditions on the store's tables, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, false, or_, select

from adapter.fhirserver.query import Criterion, Query, prefixed, token_parts, unescaped
from adapter.store.schema import RESOURCE, SEARCH_INDEX
from adapter.store.search_index import LONGEST, fold, string_value, token_value, type_of
from adapter.store.search_params import PARAMS, SearchParam

_HIGHEST = "\U0010ffff"
_R = RESOURCE.c
_S = SEARCH_INDEX.c


def all_match(query: Query) -> ColumnElement[bool]:
    """The narrowest criterion drives (found by value, in one go), the others are asked of what it gives, one by one."""
    first, *others = sorted(query.criteria, key=_width) or (None,)
    ways = [_drives(query.resource_type, first)] if first else []
    return and_(_R.resource_type == query.resource_type, _R.deleted == 0, *ways,
                *(_holds(criterion) for criterion in others if criterion))


_WIDTHS = {"reference": 2, "uri": 2, "string": 3, "token": 4, "date": 5}


def _width(criterion: Criterion) -> int:
    if criterion.modifier == "missing":
        return 6
    return {"_id": 0, "identifier": 1}.get(criterion.param.name, _WIDTHS[criterion.param.type])


def _drives(resource_type: str, criterion: Criterion) -> ColumnElement[bool]:
    standing = _standing_matches(criterion)
    if standing is not None:
        return standing
    rows = select(_S.id).where(_S.resource_type == resource_type, _S.param == criterion.param.indexed)
    if criterion.modifier == "missing":
        rows = rows.where(*points(criterion.param))
        return _R.id.not_in(rows) if criterion.values == ("true",) else _R.id.in_(rows)
    return _R.id.in_(rows.where(_any_value(criterion)))


def _holds(criterion: Criterion) -> ColumnElement[bool]:
    standing = _standing_matches(criterion)
    if standing is not None:
        return standing
    rows = exists().where(*own_rows(criterion.param.indexed))
    if criterion.modifier == "missing":
        rows = rows.where(*points(criterion.param))
        return ~rows if criterion.values == ("true",) else rows
    return rows.where(_any_value(criterion))


def _standing_matches(criterion: Criterion) -> ColumnElement[bool] | None:
    """`_id` and `_lastUpdated`, which stand in the resource's own row; None for any other."""
    if criterion.param.name == "_id":
        return _R.id.in_([unescaped(value) for value in criterion.values])
    if criterion.param.name == "_lastUpdated":
        return or_(*(_date_matches(value, _R.updated, _R.updated) for value in criterion.values))
    return None


def own_rows(param: str) -> tuple[ColumnElement[bool], ...]:
    """The resource's own rows of the index, those of a parameter; so written that SQLite, without statistics, reads no others."""
    return _S.seq.between(_R.index_first, _R.index_last), _S.param.concat("") == param


def points(param: SearchParam) -> Iterator[ColumnElement[bool]]:
    """Which of the rows under its name are a parameter's, where others stand there too."""
    if param.stands_as and "*" not in param.targets:
        yield or_(*(or_(_begins(f"{kind}/"), _S.value.contains(f"/{kind}/", autoescape=True)) for kind in param.targets))


def _any_value(criterion: Criterion) -> ColumnElement[bool]:
    return or_(false(), *(_value_matches(criterion, value) for value in criterion.values))


def _value_matches(criterion: Criterion, escaped: str) -> ColumnElement[bool]:
    value = unescaped(escaped)
    match criterion.param.type:
        case "token":
            return _token_matches(escaped)
        case "string":
            return _string_matches(criterion.modifier, value)
        case "date":
            return _date_matches(value, _S.low, _S.high)
        case "reference":
            return _reference_matches(criterion.param, criterion.modifier, value)
        case "uri":
            return _S.value == value[:LONGEST]


def _token_matches(value: str) -> ColumnElement[bool]:
    system, code = token_parts(value)
    if system is None:
        return _begins(token_value(code))
    if not code:
        return _S.value.endswith("|" + system, autoescape=True)
    return _S.value == token_value(code, system)


def _string_matches(modifier: str, value: str) -> ColumnElement[bool]:
    if modifier == "exact":
        return _S.value == string_value(value)
    if modifier == "contains":
        return _S.value.contains(fold(value), autoescape=True)
    return _begins(fold(value))


def _begins(text: str) -> ColumnElement[bool]:
    return and_(_S.value >= text, _S.value < text + _HIGHEST)


def _date_matches(value: str, low: ColumnElement[Any], high: ColumnElement[Any]) -> ColumnElement[bool]:
    """Resource from low to high against the value's range; ge and le hold where they overlap, as HAPI has it."""
    parsed = prefixed(value)
    if parsed is None:
        return false()
    prefix, (first, last) = parsed
    inside = and_(low >= first, high <= last)
    ways: dict[str, ColumnElement[bool]] = {
        "eq": inside, "ne": ~inside, "gt": high > last, "lt": low < first, "ge": high >= first, "le": low <= last,
        "sa": low > last, "eb": high < first}
    return ways[prefix]


def _reference_matches(param: SearchParam, modifier: str, value: str) -> ColumnElement[bool]:
    if modifier:
        return _S.value == f"{modifier}/{value}" if param.points_at(modifier) else false()
    if "/" in value or ":" in value:
        return _S.value == value[:LONGEST] if param.points_at(type_of(value)) else false()
    targets: Iterable[str] = PARAMS if "*" in param.targets else param.targets
    return _S.value.in_([f"{target}/{value}" for target in targets])
