"""Search over the store: a Query to SQL, a page at a time. Works on SQLite and PostgreSQL alike.

A page goes on where the last one ended in the order of the sort (its keys and, at last, the id): while nothing is
written in between, every resource comes exactly once.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, or_, select

from adapter.errors import Rejected
from adapter.fhirserver.matching import all_match, own_rows, points
from adapter.fhirserver.port import Page
from adapter.fhirserver.query import Include, Query, parse_query
from adapter.model import Json
from adapter.store.resources import read_resources, with_meta
from adapter.store.schema import RESOURCE, SEARCH_INDEX
from adapter.store.search_index import EARLIEST, LATEST

_R = RESOURCE.c
_S = SEARCH_INDEX.c


def first_page(connection: Connection, resource_type: str, params: Sequence[tuple[str, str]], count: int) -> Page:
    """Search; resources carry meta.versionId and meta.lastUpdated. Raises Rejected (bad-search, not-found)."""
    return _page(connection, parse_query(resource_type, params, count), params, None)


def next_page(connection: Connection, token: str) -> Page:
    """The page that a `next` token names. Raises Rejected (bad-search) where it is none of ours."""
    try:
        resource_type, params, count, position = orjson.loads(base64.urlsafe_b64decode(token.encode()))
        query = parse_query(resource_type, [(name, value) for name, value in params], count)
        if [type(key) for key in position] != [str if name == "_id" else int for name, _ in query.sort]:
            raise ValueError("position")
    except (ValueError, TypeError, AttributeError) as error:
        raise Rejected("bad-search", "page", "the page token is not one of this server") from error
    return _page(connection, query, params, position)


def _page(connection: Connection, query: Query, params: Sequence[tuple[str, str]],
          position: Sequence[Any] | None) -> Page:
    matches = all_match(query)
    total = None
    if query.total:
        total = connection.execute(select(func.count()).select_from(RESOURCE).where(matches)).scalar_one()
    if query.count == 0:
        return Page(resources=(), total=total)
    rows = connection.execute(_select(query, matches, position)).all()
    shown = rows[: query.count]
    token = None
    if len(rows) > query.count:
        token = _token(query, params, list(shown[-1])[-len(query.sort) :])
    resources = tuple(with_meta(orjson.loads(row.body), row.version, row.updated) for row in shown)
    return Page(resources=resources, included=_included(connection, query, shown), next=token, total=total)


def _token(query: Query, params: Sequence[tuple[str, str]], ended_at: list[Any]) -> str:
    parts = [query.resource_type, [list(pair) for pair in params], query.count, ended_at]
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode()


def _select(query: Query, matches: ColumnElement[bool], position: Sequence[Any] | None) -> Select[Any]:
    keys = [(_sort_key(query, name, descending), descending) for name, descending in query.sort]
    named = (key.label(f"key{n}") for n, (key, _) in enumerate(keys))
    statement = select(_R.id, _R.version, _R.updated, _R.body, *named).where(matches)
    if position is not None:
        statement = statement.where(_after(keys, position))
    return statement.order_by(*(key.desc() if descending else key for key, descending in keys)).limit(query.count + 1)


def _sort_key(query: Query, name: str, descending: bool) -> ColumnElement[Any]:
    if name == "_lastUpdated":  # where few match, they are to be sorted, not all resources read in the order of time
        return _R.updated + 0 if query.criteria else _R.updated
    if name == "_id":
        return _R.id
    dates = select(func.max(_S.low) if descending else func.min(_S.low)).where(*own_rows(name))
    return func.coalesce(dates.scalar_subquery(), EARLIEST if descending else LATEST)


def _after(keys: Sequence[tuple[ColumnElement[Any], bool]], position: Sequence[Any]) -> ColumnElement[bool]:
    """Rows behind a position: the first key no earlier (an index can begin there), and key by key until one differs."""
    (first, first_descends), start = keys[0], position[0]
    ways: list[ColumnElement[bool]] = []
    for n, (key, descending) in enumerate(keys):
        equal = [earlier == value for (earlier, _), value in zip(keys[:n], position, strict=False)]
        ways.append(and_(*equal, key < position[n] if descending else key > position[n]))
    return and_(first <= start if first_descends else first >= start, or_(*ways))


def _included(connection: Connection, query: Query, shown: Sequence[Row[Any]]) -> tuple[Json, ...]:
    ids = [row.id for row in shown]
    keys: dict[tuple[str, str], None] = {}
    for include in query.includes if ids else ():
        keys |= dict.fromkeys(_pointing_at(connection, include, query.resource_type, ids) if include.reverse
                              else _pointed_at(connection, include, query.resource_type, ids))
    for resource_id in ids:
        keys.pop((query.resource_type, resource_id), None)
    found = read_resources(connection, keys)
    return tuple(with_meta(one.body, one.version, one.updated) for key in sorted(found)
                 if (one := found[key]).body is not None)


def _pointed_at(connection: Connection, include: Include, shown: str, ids: list[str]) -> list[tuple[str, str]]:
    if include.source != shown:
        return []
    rows = select(_S.value).join(RESOURCE, and_(*own_rows(include.param.indexed))).where(
        _R.resource_type == shown, _R.id.in_(ids), *points(include.param))
    targets = (value.partition("/") for value in connection.execute(rows).scalars())
    return [(kind, target) for kind, _, target in targets if include.target in {"", kind}]


def _pointing_at(connection: Connection, include: Include, shown: str, ids: list[str]) -> list[tuple[str, str]]:
    if include.target not in {"", shown} or not include.param.points_at(shown):
        return []
    rows = select(_S.id).where(_S.resource_type == include.source, _S.param == include.param.indexed,
                               _S.value.in_([f"{shown}/{resource_id}" for resource_id in ids]))
    return [(include.source, source) for source in connection.execute(rows).scalars()]
