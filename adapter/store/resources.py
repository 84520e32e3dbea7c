"""The current resources, their versions and what they are found by: written and read here. Which keys and names stand: keys.py.

A body stands without meta.versionId and meta.lastUpdated; `with_meta` puts them in on the way out. `updated` never
falls from one write to the next, so a history read since the last one seen misses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, delete, func, or_, select, text, update

from adapter.model import Composed, Json
from adapter.store.engine import among, insert_rows
from adapter.store.keys import Key, by_type
from adapter.store.schema import LATER, RESOURCE, RESOURCE_VERSION, SEARCH_INDEX
from adapter.store.search_index import Known, index_rows

EVERY = "*"
"""Stands for all elements in the column `sources`."""
_VERSIONS_AT_ONCE = 500
_MANY = 50
"""So many resources at once come of a file, whose rows repeat each other."""
_WRITE_LOCK = 0x6361_7772  # key of PostgreSQL's advisory lock: writers go one after the other, as on SQLite
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One version of a resource. updated: microseconds since 1970 UTC. body: without these two, None where deleted."""

    resource_type: str
    id: str
    version: int
    updated: int
    body: Json | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    version: int
    hash: str
    deleted: bool
    key: str
    person: str
    index_first: int
    index_last: int


def write_resources(connection: Connection, composed: Sequence[Composed], now_us: int) -> list[Composed]:
    """Write those that changed as new versions, with their search index; they are the result, in the order given."""
    return write_changed(connection, composed, now_us)[0]


def write_changed(connection: Connection, composed: Sequence[Composed], now_us: int) -> tuple[list[Composed], set[Key]]:
    """The same; and (type, id) of those among them that are new, of which nothing can stand anywhere yet.

    An equal hash writes nothing but a moved key or person; what is deleted and never stood is passed over. Of several
    with one type and id the last counts. now_us: microseconds since 1970 UTC. Holds the write lock until the commit.
    """
    if not composed:
        return [], set()
    lock_writes(connection)
    wanted = {(one.resource_type, one.id): one for one in composed}
    standing = _standing(connection, wanted)
    changed = [one for key, one in wanted.items() if _differs(one, standing.get(key))]
    moved = [one for key, one in wanted.items() if (old := standing.get(key)) and _moved(one, old)]
    if changed:
        updated = max(now_us, last_updated(connection) or now_us)
        ordered = _in_index_order(changed)
        _write_rows(connection, ordered, standing, updated, _write_search_index(connection, ordered, standing))
    _execute_each(connection, _MOVE, [{"t": one.resource_type, "i": one.id, "key": one.key, "person": one.person}
                                      for one in moved])
    return changed, {key for one in changed if (key := (one.resource_type, one.id)) not in standing}


def lock_writes(connection: Connection) -> None:
    """Let no other transaction write until this one ends; on SQLite none does anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITE_LOCK})


def read_resource(connection: Connection, resource_type: str, resource_id: str) -> Stored | None:
    """The current version (body None where it is deleted); None where it never was."""
    return next(iter(read_resources(connection, [(resource_type, resource_id)]).values()), None)


def read_resources(connection: Connection, keys: Iterable[Key]) -> dict[Key, Stored]:
    """The current versions of those that stand or once stood."""
    found: dict[Key, Stored] = {}
    for resource_type, ids in by_type(keys):
        query = select(RESOURCE).where(RESOURCE.c.resource_type == resource_type, RESOURCE.c.id.in_(ids))
        for row in connection.execute(query):
            body = None if row.deleted else orjson.loads(row.body)
            found[resource_type, row.id] = Stored(resource_type=resource_type, id=row.id, version=row.version,
                                                  updated=row.updated, body=body)
    return found


def read_version(connection: Connection, resource_type: str, resource_id: str, version: int) -> Stored | None:
    """One version by its number (body None where it is a deletion); None where there is none."""
    query = select(RESOURCE_VERSION).where(of_resource(resource_type, resource_id), RESOURCE_VERSION.c.version == version)
    row = connection.execute(query).one_or_none()
    return _stored(row) if row is not None else None


def history_of(connection: Connection, resource_type: str, resource_id: str) -> list[Stored]:
    """Every version of one resource, oldest first."""
    query = select(RESOURCE_VERSION).where(of_resource(resource_type, resource_id)).order_by(RESOURCE_VERSION.c.version)
    return [_stored(row) for row in connection.execute(query)]


def of_resource(resource_type: str, resource_id: str) -> ColumnElement[bool]:
    """Which versions are this resource's: the first stands where the resource says, those after it in an index."""
    r, v = RESOURCE.c, RESOURCE_VERSION.c
    first = select(r.first_version).where(r.resource_type == resource_type, r.id == resource_id).scalar_subquery()
    return or_(v.seq == first, and_(v.resource_type == resource_type, v.id == resource_id, LATER))


def history(connection: Connection, since_us: int | None = None) -> Iterator[Stored]:
    """Every version written at or after `since_us`, oldest first, read in portions."""
    v = RESOURCE_VERSION.c
    query = select(RESOURCE_VERSION).order_by(v.updated, v.seq).limit(_VERSIONS_AT_ONCE)
    portion: Select[Any] = query if since_us is None else query.where(v.updated >= since_us)
    while rows := connection.execute(portion).all():
        yield from map(_stored, rows)
        last = rows[-1]
        portion = query.where(v.updated >= last.updated, or_(v.updated > last.updated, v.seq > last.seq))


def last_updated(connection: Connection) -> int | None:
    """When the newest version was written (microseconds since 1970 UTC); None in an empty store."""
    return connection.execute(select(func.max(RESOURCE_VERSION.c.updated))).scalar_one()


def with_meta(body: Json, version: int, updated: int) -> Json:
    """A copy of the body whose meta names its version and when it was written (microseconds since 1970 UTC)."""
    meta = {**body.get("meta", {}), "versionId": str(version), "lastUpdated": instant(updated)}
    return {"resourceType": body["resourceType"], "id": body.get("id"), **body, "meta": meta}


def without_meta(body: Json) -> Json:
    """The body as it stands in the store: without meta.versionId and meta.lastUpdated, and without an empty meta."""
    if not body.get("meta"):
        return {name: value for name, value in body.items() if name != "meta"}
    meta = {name: value for name, value in body["meta"].items() if name not in {"versionId", "lastUpdated"}}
    rest = {name: value for name, value in body.items() if name != "meta"}
    return {**rest, "meta": meta} if meta else rest


def instant(updated: int) -> str:
    """Microseconds since 1970 UTC as a FHIR instant."""
    return (_EPOCH + timedelta(microseconds=updated)).isoformat(timespec="microseconds").replace("+00:00", "Z")


_UPDATE = update(RESOURCE).where(RESOURCE.c.resource_type == bindparam("t"), RESOURCE.c.id == bindparam("i"))
_UNINDEX = delete(SEARCH_INDEX).where(SEARCH_INDEX.c.seq.between(bindparam("first"), bindparam("last")))
_INDEX_COLUMNS = "seq, resource_type, id, param, value, low, high"
_INDEX_SQLITE = f"INSERT INTO search_index ({_INDEX_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
_INDEX_POSTGRESQL = (
    f"INSERT INTO search_index ({_INDEX_COLUMNS}) SELECT * FROM"
    " unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[])")
_MOVE = update(RESOURCE).where(RESOURCE.c.resource_type == bindparam("t"), RESOURCE.c.id == bindparam("i"))


def _differs(one: Composed, old: _Standing | None) -> bool:
    if old is None:
        return not one.deleted
    return one.deleted != old.deleted or (not one.deleted and one.hash != old.hash)


def _moved(one: Composed, old: _Standing) -> bool:
    return not _differs(one, old) and (one.key, one.person) != (old.key, old.person)


def _in_index_order(composed: Iterable[Composed]) -> list[Composed]:
    """By type and id: ids are anywhere in an index, and in its order each page of it is read and written once."""
    return sorted(composed, key=lambda one: (one.resource_type, one.id))


def _standing(connection: Connection, keys: Iterable[Key]) -> dict[Key, _Standing]:
    r = RESOURCE.c
    found: dict[Key, _Standing] = {}
    for resource_type, ids in by_type(keys):
        query = select(r.id, r.version, r.hash, r.deleted, r.key, r.person, r.index_first, r.index_last).where(
            r.resource_type == resource_type, among(connection, r.id, ids))
        for row in connection.execute(query):
            found[resource_type, row.id] = _Standing(version=row.version, hash=row.hash, deleted=bool(row.deleted), key=row.key,
                                                     person=row.person, index_first=row.index_first, index_last=row.index_last)
    return found


def _write_rows(connection: Connection, changed: Sequence[Composed], standing: dict[Key, _Standing], updated: int,
                indexed: dict[Key, tuple[int, int]]) -> None:
    new: list[tuple[Any, ...]] = []
    newer: list[dict[str, Any]] = []
    versions: list[tuple[Any, ...]] = []
    for number, one in zip(_numbers(connection, len(changed)), changed, strict=True):
        old = standing.get((one.resource_type, one.id))
        version = old.version + 1 if old else 1
        body = "" if one.deleted else orjson.dumps(without_meta(one.body), option=orjson.OPT_SORT_KEYS).decode()
        row = (one.key, one.person, version, one.hash, int(one.deleted), updated, body, _sources_text(one.sources),
               *indexed[one.resource_type, one.id])
        if old:
            newer.append({"t": one.resource_type, "i": one.id, **dict(zip(_ROW, row, strict=True))})
        else:
            new.append((one.resource_type, one.id, number, *row))
        versions.append((number, one.resource_type, one.id, version, updated, None if one.deleted else body))
    insert_rows(connection, RESOURCE, ("resource_type", "id", "first_version", *_ROW), new)
    _execute_each(connection, _UPDATE, newer)
    insert_rows(connection, RESOURCE_VERSION, _VERSION, versions)


def _sources_text(sources: Mapping[str, tuple[str, str]]) -> str:
    """Who said which element; what one statement said as a whole names it once."""
    said = set(sources.values())
    return orjson.dumps({EVERY: said.pop()} if len(said) == 1 else sources).decode()


_ROW = ("key", "person", "version", "hash", "deleted", "updated", "body", "sources", "index_first", "index_last")
_VERSION = ("seq", "resource_type", "id", "version", "updated", "body")


def _numbers(connection: Connection, count: int) -> Sequence[int]:
    """Numbers of the next versions, rising; until the commit nobody else takes any."""
    if connection.dialect.name == "postgresql":
        taken = text("SELECT nextval(pg_get_serial_sequence('resource_version', 'seq')) FROM generate_series(1, :count)")
        return sorted(connection.scalars(taken, {"count": count}))
    last = connection.scalar(select(func.max(RESOURCE_VERSION.c.seq))) or 0
    return range(last + 1, last + 1 + count)


def _write_search_index(connection: Connection, changed: Sequence[Composed],
                        standing: dict[Key, _Standing]) -> dict[Key, tuple[int, int]]:
    """Each resource's rows stand side by side; the first and last `seq` of each, 0 where it has none.

    An index by resource would cost a fifth of what a load writes: ids are anywhere in it.
    """
    _execute_each(connection, _UNINDEX, [{"first": old.index_first, "last": old.index_last} for one in changed
                                         if (old := standing.get((one.resource_type, one.id))) and old.index_last])
    last = connection.scalar(select(func.max(SEARCH_INDEX.c.seq))) or 0
    rows: list[tuple[Any, ...]] = []
    indexed: dict[Key, tuple[int, int]] = {}
    known: Known | None = {} if len(changed) >= _MANY else None
    for one in changed:
        own = () if one.deleted else index_rows(one.body, known)
        indexed[one.resource_type, one.id] = (last + 1, last + len(own)) if own else (0, 0)
        rows += [(last + n, one.resource_type, one.id, *row) for n, row in enumerate(own, start=1)]
        last += len(own)
    if rows and connection.dialect.name == "postgresql":  # one statement for all: a statement a row takes four times as long
        connection.exec_driver_sql(_INDEX_POSTGRESQL, tuple(list(column) for column in zip(*rows, strict=True)))
    elif rows:
        connection.exec_driver_sql(_INDEX_SQLITE, rows)
    return indexed


def _execute_each(connection: Connection, statement: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(statement, rows)


def _stored(row: Row[Any]) -> Stored:
    return Stored(resource_type=row.resource_type, id=row.id, version=row.version, updated=row.updated,
                  body=None if row.body is None else orjson.loads(row.body))
