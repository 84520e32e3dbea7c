"""Which numbers of a table of people are not told, so that no small one stands there or can be reckoned from the others. Pure.

A table has a row for each place (of organizations, areas, everybody) and in each the numbers that fulfil a measure, that do not,
and both together: places add up to the place above, and the first two to the third. Everything that is published stands in
these equations, so a number is safe if no combination of them leaves it as the only one that is not known.
Source: CMS cell size suppression (1 to 10 are not told; complementary suppression); Gusfield 1988 and later work on tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["met", "unmet", "whole"]
Cell = tuple[str, Kind]
"""A place of the table, and which number of it."""
_PRIME = 2_147_483_647


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """A number, and of how many people it is: 12 referrals may be of two."""

    count: int
    people: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The numbers of one measure. parents: each place to the one in which it lies; counts: of every place the same kinds, all
    three, or `met` and `whole` where they do not add up."""

    parents: Mapping[str, str]
    counts: Mapping[Cell, Count]

    def equations(self) -> Iterator[tuple[Cell, list[Cell]]]:
        """Each sum with what it is the sum of."""
        children: dict[str, list[str]] = {}
        for place, parent in self.parents.items():
            children.setdefault(parent, []).append(place)
        for place, kind in self.counts:
            if place in children:
                yield (place, kind), [(one, kind) for one in children[place]]
            if kind == "unmet":
                yield (place, "whole"), [(place, "met"), (place, "unmet")]


def hidden(table: Table, smallest: int) -> frozenset[Cell]:
    """The cells that are not told: every number of 1 to `smallest` - 1 people, and what would give one of them away.

    Of an equation whose sum is told, the hidden parts are two at least and `smallest` together. Zeros are told where others can
    be hidden instead. Which `whole` is hidden depends on the wholes alone, so tables that share them hide the same ones; where
    one is hidden its `unmet` is too, which takes up whatever the whole may be: no measure narrows down the wholes of another.
    """
    wholes = {cell: one for cell, one in table.counts.items() if cell[1] == "whole"}
    gone = _completed(Table(parents=table.parents, counts=wholes), set(), smallest, frozenset())
    beside: set[Cell] = {(place, "unmet") for place, _ in gone if (place, "unmet") in table.counts}
    return frozenset(_completed(table, gone | beside, smallest, frozenset(wholes.keys() - gone)))


def _completed(table: Table, gone: set[Cell], smallest: int, told: frozenset[Cell]) -> set[Cell]:
    """Hidden cells with those that a table needs besides. told: cells that are not hidden any more."""
    gone = gone | {cell for cell, one in table.counts.items() if 0 < one.people < smallest and cell not in told}
    equations = list(table.equations())
    while True:
        more = next((cell for total, parts in equations if (cell := _give_up(table, gone, total, parts, smallest, told))), None)
        more = more or _given_away(table, gone | told, gone, equations)
        if more is None:
            return gone
        gone.add(more)


def _give_up(table: Table, gone: set[Cell], total: Cell, parts: Sequence[Cell], smallest: int,
             told: frozenset[Cell]) -> Cell | None:
    """A cell of an equation to hide next, where the ones that are hidden there are too few."""
    inside = [part for part in parts if part in gone]
    others = [part for part in parts if part not in gone and part not in told]
    if total in gone:
        return None if inside else _least(table, others)
    if not inside or (len(inside) > 1 and sum(table.counts[p].count for p in inside) >= smallest):
        return None
    worth = [part for part in others if table.counts[part].count]
    return _least(table, worth) or (_least(table, others) if total in told else total)


def _least(table: Table, cells: Sequence[Cell]) -> Cell | None:
    """The smallest that is not 0, else any."""
    return min(cells, key=lambda cell: (not table.counts[cell].count, table.counts[cell].count, cell), default=None)


def _given_away(table: Table, settled: set[Cell], gone: set[Cell],
                equations: Sequence[tuple[Cell, list[Cell]]]) -> Cell | None:
    """A cell whose hiding protects one that several equations together give away, none of the settled; None where none is."""
    known = derivable(gone, equations)
    if not known:
        return None
    beside = {cell for total, parts in equations if known & {total, *parts} for cell in (total, *parts)} - settled
    return _least(table, sorted(beside or set(table.counts) - settled))


def derivable(gone: set[Cell] | frozenset[Cell], equations: Sequence[tuple[Cell, list[Cell]]]) -> set[Cell]:
    """The hidden cells that the equations determine: those alone in a row of the reduced system."""
    unknown = sorted(gone)
    place = {cell: number for number, cell in enumerate(unknown)}
    rows: dict[int, dict[int, int]] = {}
    for total, parts in equations:
        row = {place[total]: _PRIME - 1} if total in place else dict[int, int]()
        row |= {place[part]: 1 for part in parts if part in place}
        _reduce_into(rows, row)
    return {unknown[pivot] for pivot, row in rows.items() if len(row) == 1}


def _reduce_into(rows: dict[int, dict[int, int]], row: dict[int, int]) -> None:
    """Take an equation into a reduced system: each pivot stands in its own row alone."""
    for pivot in [column for column in row if column in rows]:
        row = _minus(row, rows[pivot], row.get(pivot, 0))
    if not row:
        return
    pivot = min(row)
    inverse = pow(row[pivot], -1, _PRIME)
    row = {column: value * inverse % _PRIME for column, value in row.items()}
    for other, standing in list(rows.items()):
        if pivot in standing:
            rows[other] = _minus(standing, row, standing[pivot])
    rows[pivot] = row


def _minus(row: Mapping[int, int], other: Mapping[int, int], times: int) -> dict[int, int]:
    left = dict(row)
    for column, value in other.items():
        found = (left.get(column, 0) - times * value) % _PRIME
        if found:
            left[column] = found
        else:
            left.pop(column, None)
    return left
