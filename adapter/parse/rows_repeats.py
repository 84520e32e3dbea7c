"""Rows of a file that have the key of an earlier one and say otherwise: the later takes the earlier's place, which is told.

What was read is kept in a database on disk of its own, so that memory does not grow with the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from adapter.model import Issue
from adapter.parse.rows import Row

_KEEP = "INSERT OR IGNORE INTO told VALUES (?, ?, ?)"
_FIND = "SELECT number, content FROM told WHERE key = ?"


class Repeats:
    """The keys of a file's rows so far. key: columns that a row is known by (`x-key`); a row that lacks one is not held to it.

    stated: the column that says when a row was stated. Rows of one key that differ in it are a history, and nothing is told.
    defaults: what stands in for empty cells.
    """

    def __init__(self, key: Sequence[str], stated: str, defaults: Mapping[str, str]) -> None:
        self._key = key
        self._stated = stated
        self._defaults = defaults
        self._told = sqlite3.connect("")
        self._told.execute("PRAGMA cache_size = -16000")
        self._told.execute("CREATE TABLE told (key INTEGER PRIMARY KEY, number INTEGER, content INTEGER)")

    def of(self, row: Row) -> tuple[Issue, ...]:
        """What is to be told of a row: at most one csv-row-repeats, which names the earlier row."""
        for cells in row.every if self._key else ():
            parts = [cells.get(column) or self._defaults.get(column, "") for column in self._key]
            if not all(parts):
                continue
            key = hash((*parts, cells.get(self._stated) or self._defaults.get(self._stated, "")))
            content = hash(frozenset(cells.items()))
            if self._told.execute(_KEEP, (key, row.number, content)).rowcount:
                continue
            number, before = self._told.execute(_FIND, (key,)).fetchone()
            if number != row.number and before != content:
                return (Issue(code="csv-row-repeats", place=f"row {row.number}, {self._key[0]}",
                              detail=f"row {number} has the same {', '.join(self._key)}"),)
        return ()
