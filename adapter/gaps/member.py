"""Gaps of one member out of SQLite: their rows are read once into tables of the connection's own, and every rule goes over these.

So a statement is short, stays prepared, and cannot be planned as a walk through everybody's rows. The tables are temporary and
in memory; they hold the member who was asked about last. PostgreSQL would write its catalogs for them: there each
statement reads the rows for itself (statement.py).
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection

from adapter.errors import Unavailable
from adapter.gaps.catalog import Catalog
from adapter.gaps.reads import everything_read
from adapter.gaps.rules import Rule, Rules
from adapter.gaps.statement import MINE, SHARED_PREFIX, compile_shared
from adapter.gaps.tables import PREFIX

_MARK = MINE + "mark_"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """A table of one's own, and the SELECT whose rows it holds."""

    name: str
    select: str
    fill: str


def rows_of(connection: Connection, rules: Rules, catalog: Catalog, statements: Sequence[tuple[Rule, str]],
            binds: Mapping[str, Any]) -> Iterator[tuple[Rule, list[Any]]]:
    """The rows of statements that are compiled for one member, shared tables stored (binds name the member and the instant).

    Raises Unavailable (store-unavailable).
    """
    raw: Any = connection.connection.driver_connection
    try:
        _stand(raw, rules, catalog, binds)
        for table in _tables(rules, catalog, tuple(dict.fromkeys(rule for rule, _ in statements))):
            raw.execute(f"DELETE FROM {table.name}")
            raw.execute(table.fill, binds)
        for rule, statement in statements:
            yield rule, raw.execute(statement, binds).fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname == "SQLITE_ERROR":  # a wrong statement
            raise
        raise Unavailable("store-unavailable", detail=error.sqlite_errorname) from error


def _stand(raw: Any, rules: Rules, catalog: Catalog, binds: Mapping[str, Any]) -> None:
    """Make the tables where these do not stand; what is rolled back takes them along."""
    mark = _mark(rules, catalog)
    if raw.execute("SELECT 1 FROM temp.sqlite_master WHERE name = ?", (mark,)).fetchone():
        return
    for (name,) in raw.execute("SELECT name FROM temp.sqlite_master WHERE type = 'table'").fetchall():
        if name.startswith(MINE):
            raw.execute(f"DROP TABLE temp.{name}")
    for table in _tables(rules, catalog, _about_members(rules)):
        raw.execute(f"CREATE TEMPORARY TABLE {table.name} AS SELECT * FROM ({table.select}) WHERE 1 = 0", binds)
    raw.execute(f"CREATE TEMPORARY TABLE {mark} (marked)")


@lru_cache(maxsize=64)
def _tables(rules: Rules, catalog: Catalog, chosen: tuple[Rule, ...]) -> tuple[_Table, ...]:
    """The tables that the rules read, in the order in which they can be filled."""
    views, shared = everything_read(rules, catalog, chosen)
    found: list[_Table] = []
    for name in views:
        columns = [column.name for column in catalog.tables[name]]
        if "member_id" in columns:
            listed = ", ".join(columns)
            found.append(_table(name, f"SELECT {listed} FROM {PREFIX}{name} WHERE member_id = :member"))
    for name in shared:
        found.append(_table(SHARED_PREFIX + name, compile_shared(rules, catalog, name, "sqlite", one_member=True)))
    return tuple(found)


def _table(name: str, select: str) -> _Table:
    return _Table(name=MINE + name, select=select, fill=f"INSERT INTO {MINE}{name} {select}")


@lru_cache(maxsize=64)
def _mark(rules: Rules, catalog: Catalog) -> str:
    """The name of an empty table that stands beside the tables of these definitions."""
    definitions = "\n".join(table.select for table in _tables(rules, catalog, _about_members(rules)))
    return _MARK + hashlib.sha256(definitions.encode()).hexdigest()[:16]


def _about_members(rules: Rules) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules.rules.values() if rule.subject == "member")
