"""Who is who in the database: links between numbers of persons, and the records that stand behind them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, or_, select, true

from adapter.identity.links import PROPOSED, ROW, Link, link_of
from adapter.store.contributions import chunks, contribution_of, ends_of
from adapter.store.engine import among
from adapter.store.schema import CONTRIBUTION as T

_CHUNK = 400


def links_around(connection: Connection, numbers: Collection[str], rows_of: str = "") -> list[Link]:
    """Every link in the connected parts that hold these numbers of patients, visits and accounts; what a snapshot file
    ended is marked as over. rows_of: of the links that rows make, only those about this resource type."""
    wanted = or_(T.c.event != ROW, T.c.body.contains(f'"new":"{rows_of}"', autoescape=True)) if rows_of else true()
    seen: set[str] = set()
    found: dict[int, Link] = {}
    frontier = set(numbers)
    while frontier:
        seen |= frontier
        reached: set[str] = set()
        for chunk in chunks(sorted(frontier), _CHUNK):
            rows = _links(connection, chunk, wanted)
            ends = ends_of(connection, {row.source for row in rows})
            for row in rows:
                found[row.id] = link_of(contribution_of(row), over=row.seen < ends.get(row.source, 0))
                reached |= {row.patient, row.other, row.key}
        frontier = reached - seen - {""}
    return list(found.values())


def _links(connection: Connection, numbers: Collection[str], wanted: ColumnElement[bool]) -> list[Row[Any]]:
    """The links that name one of these numbers: a query for each index, for asked at once SQLite goes through all links."""
    found: dict[int, Row[Any]] = {}
    for column in (T.c.patient, T.c.key, T.c.other):
        of_type = true() if column is T.c.other else T.c.resource_type == "Link"
        rows = connection.execute(select(T).where(among(connection, column, numbers), of_type, wanted))
        found.update((row.id, row) for row in rows if row.resource_type == "Link")
    return list(found.values())


def proposed(connection: Connection) -> list[Link]:
    """Every proposal of likely duplicates that was ever made."""
    query = select(T).where(T.c.resource_type == "Link", T.c.event == PROPOSED)
    return [link_of(contribution_of(row)) for row in connection.execute(query)]


def keys_beginning(connection: Connection, beginnings: Collection[tuple[str, str, str]]) -> set[tuple[str, str]]:
    """(resource type, key) of what was said under keys that begin so. beginnings: (patient, resource type, beginning)."""
    wanted: dict[tuple[str, str], set[str]] = {}
    for patient, resource_type, beginning in beginnings:
        wanted.setdefault((patient, resource_type), set()).add(beginning)
    patients, types = {patient for patient, _ in wanted}, {resource_type for _, resource_type in wanted}
    found: set[tuple[str, str]] = set()
    for chunk in chunks(patients, _CHUNK):
        query = select(T.c.patient, T.c.resource_type, T.c.key).where(
            among(connection, T.c.patient, chunk), among(connection, T.c.resource_type, types)).distinct()
        found.update((row.resource_type, row.key) for row in connection.execute(query)
                     if row.key.startswith(tuple(wanted.get((row.patient, row.resource_type), ()))))
    return found


def records(connection: Connection, patients: Collection[str]) -> set[str]:
    """Of these identifiers, those that have a Patient record: stated by some source, and not taken back by it since."""
    found: set[str] = set()
    for chunk in chunks(patients, _CHUNK):
        latest = (func.max(T.c.seen).label("seen"), func.max(T.c.stated).label("stated"))
        query = select(T.c.key, T.c.source, T.c.kind, *latest).where(
            T.c.resource_type == "Patient", among(connection, T.c.key, chunk)).group_by(T.c.key, T.c.source, T.c.kind)
        rows = connection.execute(query).all()
        ends = ends_of(connection, {row.source for row in rows})
        rows = [row for row in rows if row.seen >= ends.get(row.source, 0)]
        back = {(row.key, row.source): row.stated for row in rows if row.kind == "withdraw"}
        found.update(row.key for row in rows if row.kind != "withdraw"
                     and ((row.key, row.source) not in back or row.stated > back[row.key, row.source]))
    return found


def numbers_of(connection: Connection, value: str) -> list[str]:
    """The numbers (`system|value`) of persons that have this value in any system, sorted. Looks through all persons."""
    found: set[str] = set()
    for column in (T.c.key, T.c.patient, T.c.other):
        query = select(column).where(T.c.resource_type.in_(("Patient", "Link")), column.endswith(f"|{value}", autoescape=True))
        found.update(connection.scalars(query.distinct()))
    return sorted(found)
