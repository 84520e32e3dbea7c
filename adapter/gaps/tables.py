"""The flat tables that rules read: one for each view, made of our own resources, kept up to date as they are written.

They hold nothing of their own: made on demand from the ViewDefinitions and the calendar, and made again when these change.
Times are BIGINT seconds since 1970 UTC or days; Booleans 0 and 1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Index,
    MetaData,
    SmallInteger,
    Table,
    Text,
    delete,
    insert,
    inspect,
    select,
    text,
    tuple_,
)

from adapter.gaps.calendar import calendar_rows, local_day_rows
from adapter.gaps.catalog import Catalog, Columns, open_catalog
from adapter.gaps.views import Asked, Row, View
from adapter.gaps.views import Column as ViewColumn
from adapter.model import Composed, Json
from adapter.store.engine import among
from adapter.store.schema import RESOURCE

PREFIX = "view_"
"""Table of view `x` is `view_x`: the database has tables of its own that a view might be named like."""

ARRIVAL = """SELECT f.feed, COALESCE(s.contract, f.feed) AS contract, s.organization, f.arrival / 1000000 AS arrived_at,
       f.accepted, f.refused
FROM csv_file AS f LEFT JOIN view_sender AS s ON s.feed = f.feed
WHERE f.complete = 1
UNION ALL
SELECT j.feed, COALESCE(s.contract, 'hl7v2') AS contract, s.organization, j.arrival / 1000000 AS arrived_at,
       CASE WHEN j.state = 'done' THEN 1 ELSE 0 END AS accepted, CASE WHEN j.state = 'refused' THEN 1 ELSE 0 END AS refused
FROM journal AS j LEFT JOIN view_sender AS s ON s.feed = j.feed
WHERE j.kind = 'hl7v2' AND j.state IN ('done', 'refused')
UNION ALL
SELECT j.feed, COALESCE(s.contract, j.feed) AS contract, s.organization, j.arrival / 1000000 AS arrived_at,
       0 AS accepted, 1 AS refused
FROM journal AS j LEFT JOIN view_sender AS s ON s.feed = j.feed
WHERE j.kind = 'csv' AND j.state = 'refused' AND j.control_id = '0'"""
"""The table `arrival` is no table here: the journal tells it. A file with the rows of it, a file that was refused as a whole
(one refused), or one message; and by which contract and of which organization's its feed is."""

Sender = tuple[str, str, str | None]
"""A feed, the contract of its rows (hl7v2 of messages), and the network's id of the organization that sends it, if it says so."""

_SQL_TYPES: dict[str, Any] = {"boolean": SmallInteger(), "integer": BigInteger(), "positiveInt": BigInteger(),
                              "unsignedInt": BigInteger(), "decimal": Float()}
_KEYS = {"calendar": (("zone", "day"), ("zone", "business_number"), ("zone", "month")),
         "local_day": (("zone", "network_day"),)}
"""Indexes beside those on resource_id and member_id."""

_KEYS_OF_MEMBER = ("resource_id", "member_id")
_KEYS_OF_OTHERS = ("resource_id", "organization", "practitioner", "partner", "target")  # columns by which rules join them
_COPY_FROM = 100
_REBUILD_AT_ONCE = 2000
_REBUILD_LOCK = 0x6361_7276  # key of PostgreSQL's advisory lock around making the tables
_MARKS = MetaData()
_MARK = Table("view_mark", _MARKS, Column("mark", Text, primary_key=True))
_SENDER = Table("view_sender", _MARKS, Column("feed", Text, primary_key=True), Column("contract", Text, nullable=False),
                Column("organization", Text))


def prepare(connection: Connection, catalog: Catalog | None = None) -> bool:
    """Make the tables and fill them from the resources where they are missing or older than the definitions.

    True where it was done; cheap where nothing is to do. Call it at start, after the schema's migrations.
    """
    catalog = catalog or open_catalog()
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _REBUILD_LOCK})
    if is_current(connection, catalog):
        return False
    _drop(connection)
    _metadata(catalog).create_all(connection)
    _MARKS.create_all(connection)
    _insert(connection, "calendar", catalog.tables["calendar"], calendar_rows(catalog.calendar, catalog.zone))
    _insert(connection, "local_day", catalog.tables["local_day"], local_day_rows(catalog.calendar, catalog.zone))
    rebuild(connection, catalog)
    connection.execute(insert(_MARK).values(mark=catalog.mark))
    return True


def is_current(connection: Connection, catalog: Catalog | None = None) -> bool:
    """Whether the tables stand and are those of the definitions."""
    if not inspect(connection).has_table(_MARK.name):
        return False
    return connection.scalar(select(_MARK.c.mark)) == (catalog or open_catalog()).mark


def name_senders(connection: Connection, senders: Sequence[Sender]) -> None:
    """Say what each feed brings, and whose it is; written only where something else stood."""
    standing = {tuple(row) for row in connection.execute(select(_SENDER))}
    if standing != set(senders):
        connection.execute(delete(_SENDER))
        connection.execute(insert(_SENDER), [dict(zip(_SENDER.c.keys(), one, strict=True)) for one in senders])


def refresh(connection: Connection, changed: Sequence[Composed], catalog: Catalog | None = None, *,
            new: Collection[tuple[str, str]] = ()) -> None:
    """Replace the rows of the changed resources, in the transaction that writes them; deleted ones lose their rows.

    Of several with one type and id the last counts. new: (type, id) of those that have no rows yet. Raises Defect (view-failed).
    """
    catalog = catalog or open_catalog()
    last = {(c.resource_type, c.id): c for c in changed if c.resource_type in catalog.by_type}
    gone: defaultdict[str, list[str]] = defaultdict(list)
    living: list[tuple[str, str, Json]] = []
    for (resource_type, resource_id), composed in sorted(last.items(), key=itemgetter(0)):  # in the order of the indexes
        if (resource_type, resource_id) not in new:
            gone[resource_type].append(resource_id)
        if not composed.deleted:
            living.append((resource_type, resource_id, composed.body))
    for resource_type, ids in gone.items():
        for view in catalog.by_type[resource_type]:
            _forget(connection, _table(catalog, view), ids)
    _write(connection, catalog, living)


def rebuild(connection: Connection, catalog: Catalog | None = None) -> None:
    """Empty every table and fill it from the resources that stand."""
    catalog = catalog or open_catalog()
    for view in catalog.views.values():
        connection.execute(delete(_table(catalog, view)))
    for chunk in _resources(connection, sorted(catalog.by_type)):
        _write(connection, catalog, chunk)


def _resources(connection: Connection, types: Sequence[str]) -> Iterator[list[tuple[str, str, Json]]]:
    after = ("", "")
    while True:
        rows = connection.execute(
            select(RESOURCE.c.resource_type, RESOURCE.c.id, RESOURCE.c.body)
            .where(RESOURCE.c.deleted == 0, RESOURCE.c.resource_type.in_(types),
                   tuple_(RESOURCE.c.resource_type, RESOURCE.c.id) > after)
            .order_by(RESOURCE.c.resource_type, RESOURCE.c.id).limit(_REBUILD_AT_ONCE)).all()
        if not rows:
            return
        yield [(row.resource_type, row.id, orjson.loads(row.body)) for row in rows]
        after = (rows[-1].resource_type, rows[-1].id)


def _write(connection: Connection, catalog: Catalog, resources: Sequence[tuple[str, str, Json]]) -> None:
    nodes = (body if body.get("id") == resource_id and body.get("resourceType") == resource_type
             else {**body, "resourceType": resource_type, "id": resource_id} for resource_type, resource_id, body in resources)
    for name, rows in flatten(catalog, nodes).items():
        _insert(connection, name, catalog.tables[name], rows)


def flatten(catalog: Catalog, nodes: Iterable[Json]) -> dict[str, list[Row]]:
    """The rows of each view that has any, of whole resources (with resourceType and id); Booleans as 0 and 1."""
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for node in nodes:
        asked: Asked = {}
        for view in catalog.by_type.get(node["resourceType"], ()):
            found = view.rows(node, asked)
            if found:
                rows[view.name] += _as_numbers(found, view.truths) if view.truths else found
    return rows


def _as_numbers(rows: list[Row], truths: tuple[int, ...]) -> list[Row]:
    numbers: list[Row] = []
    for row in rows:
        cells = list(row)
        for at in truths:
            if cells[at] is not None:
                cells[at] = int(cells[at])
        numbers.append(tuple(cells))
    return numbers


def _insert(connection: Connection, name: str, columns: Columns, rows: Sequence[Row]) -> None:
    """Insert rows of a view's table, by PostgreSQL's COPY where they are many."""
    names = ", ".join(column.name for column in columns)
    if connection.dialect.name == "postgresql" and len(rows) > _COPY_FROM:
        cursor: Any = connection.connection.cursor()
        with cursor.copy(f"COPY {PREFIX}{name} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    elif rows:
        mark = "?" if connection.dialect.name == "sqlite" else "%s"
        marks = ", ".join([mark] * len(columns))
        connection.exec_driver_sql(f"INSERT INTO {PREFIX}{name} ({names}) VALUES ({marks})", list(rows))


def _forget(connection: Connection, table: Table, ids: Sequence[str]) -> None:
    connection.execute(delete(table).where(among(connection, table.c.resource_id, ids)))


def _drop(connection: Connection) -> None:
    standing = [name for name in inspect(connection).get_table_names() if name.startswith(PREFIX)]
    for name in standing:
        Table(name, MetaData()).drop(connection)


def _table(catalog: Catalog, view: View) -> Table:
    return _metadata(catalog).tables[PREFIX + view.name]


_METADATA: dict[str, MetaData] = {}


def _metadata(catalog: Catalog) -> MetaData:
    """The tables of a catalog, made once."""
    if catalog.mark not in _METADATA:
        metadata = MetaData()
        for name, columns in catalog.tables.items():
            if name != "arrival":
                _define(metadata, name, columns)
        _METADATA[catalog.mark] = metadata
    return _METADATA[catalog.mark]


def _define(metadata: MetaData, view: str, columns: Columns) -> None:
    name = PREFIX + view
    table = Table(name, metadata, *(Column(c.name, _sql_type(c)) for c in columns))
    for key in _KEYS_OF_MEMBER if "member_id" in table.c else _KEYS_OF_OTHERS:
        if key in table.c:
            Index(f"{name}_{key}", table.c[key])
    for keys in _KEYS.get(view, ()):
        Index(f"{name}_{keys[-1]}", *(table.c[key] for key in keys))


def _sql_type(column: ViewColumn) -> Any:
    if column.number:
        return BigInteger()
    return _SQL_TYPES.get(column.type, Text())
