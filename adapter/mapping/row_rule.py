"""One rule of a CSV map with what it made of the cells it read.

It is kept by the texts of all columns that any of its runs read: a run that finds the same there goes the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapter.mapping.context import Builder
from adapter.mapping.row_watch import WatchedContext
from adapter.mapping.rules import Row
from adapter.mapping.run import run_row
from adapter.mapping.values import distinct, wrapped
from adapter.model import Piece

KEPT = 1024
"""Texts of which a rule keeps what it made; where most rows bring new ones it keeps none any more."""
UNKNOWN: Any = object()
"""What stands for texts of which nothing is kept."""


class KeptRule:
    """One row of a mapping file, with what it made of texts.

    memory: texts of the columns -> piece, None where nothing is kept. single: the one column, '' where there are several.
    """

    __slots__ = ("columns", "hits", "memory", "row", "single")

    def __init__(self, row: Row) -> None:
        self.row = row
        self.columns: tuple[str, ...] = ()
        self.single = ""
        self.memory: dict[Any, Piece | None] | None = {}
        self.hits = 0

    def watched(self, cells: Mapping[str, str], context: WatchedContext) -> Piece | None:
        """What the row makes of these cells, kept by what it read."""
        read = context.row_read.read
        read.clear()
        piece = self.made(cells, context)
        if context.clean:
            self._keep(cells, piece, read)
        return piece

    def _keep(self, cells: Mapping[str, str], piece: Piece | None, read: set[str]) -> None:
        """Keep a piece by all that any run read: a run that finds the same there goes the same way."""
        memory: dict[Any, Piece | None] = {} if self.memory is None else self.memory
        if not read.issubset(self.columns):
            self.columns = tuple(sorted(read.union(self.columns)))
            self.single = self.columns[0] if len(self.columns) == 1 else ""
            memory.clear()
        if len(memory) >= KEPT:
            memory.clear()
            if self.hits < KEPT:
                self.memory = None
            self.hits = 0
        memory[cells.get(self.single) if self.single else tuple([cells.get(c) for c in self.columns])] = piece

    def made(self, cells: Mapping[str, str], context: WatchedContext) -> Piece | None:
        """What the row makes of these cells; None for nothing. What it does beside is told by the context."""
        row = self.row
        if row.plain and row.place is not None:
            column = str(row.place.field)
            context.row_read.read.add(column)
            slot, value = row.slot, _plain(row, context.value(row, cells[column]))
        else:
            builder = Builder("", "", "")
            run_row(row, context.row_read, context, builder)
            if builder.effect or len(builder.snapshot) > 1:
                context.own = True
            slot, value = next(iter(builder.snapshot.items()), ("", None))
        stated, told = context.shared, context.told() if context.issues else ()
        if stated:
            context.shared = {}
        if value is None and not stated and not told:
            return None
        return Piece(slot if value is not None else "", value, tuple(stated.items()) if stated else (), told)


def _plain(row: Row, value: Any) -> Any:
    """The slot's value of a plain row: as `run_plain` puts it into an empty body."""
    if value is None or not (row.listed or row.url or row.wrap):
        return value
    values = distinct(wrapped(row, value))
    return (values if row.listed else values[-1]) if values else None
