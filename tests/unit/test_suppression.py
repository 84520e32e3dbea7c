"""Small numbers: none of 1 to 10 people is told, and none that is held back can be reckoned from those that are told."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.reports.suppression import Cell, Count, Table, hidden

SMALLEST = 11
NUMBERS = st.one_of(st.sampled_from((0, 0, 1, 2, 9, 10, 11, 12)), st.integers(0, 60))


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Organizations in areas, some in none; what fulfils a measure and what does not, in each."""
    areas = [f"area-{n}" for n in range(draw(st.integers(1, 4)))]
    parents: dict[str, str] = dict.fromkeys(areas, "network")
    cells: dict[tuple[str, str], int] = {}
    for number in range(draw(st.integers(1, 9))):
        area = draw(st.sampled_from(areas))
        parents[f"org-{number}"] = area
        for kind in ("met", "unmet"):
            amount = draw(NUMBERS)
            for place in (f"org-{number}", area, "network"):
                cells[place, kind] = cells.get((place, kind), 0) + amount
    parents = {place: above for place, above in parents.items() if (place, "met") in cells}
    for place in {place for place, _ in cells}:
        cells[place, "whole"] = cells[place, "met"] + cells[place, "unmet"]
    people = draw(st.integers(1, 3))  # a person may be counted several times
    return Table(parents=parents, counts={cell: Count(count=n, people=-(-n // people)) for cell, n in cells.items()})  # pyright: ignore[reportArgumentType] - kinds


def _equations(table: Table) -> list[dict[Cell, int]]:
    """Each sum as a row of coefficients, written down apart from the program."""
    rows: list[dict[Any, int]] = []
    for place, _ in table.counts:
        rows.append({(place, "whole"): -1, (place, "met"): 1, (place, "unmet"): 1})
        for kind in ("met", "unmet", "whole"):
            below = [one for one, above in table.parents.items() if above == place]
            if below:
                rows.append({(place, kind): -1, **{(one, kind): 1 for one in below}})
    return rows


def _rank(rows: list[list[Fraction]]) -> int:
    rank = 0
    rows = [list(row) for row in rows]
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((n for n in range(rank, len(rows)) if rows[n][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        for other in range(rank + 1, len(rows)):
            if rows[other][column]:
                times = rows[other][column] / rows[rank][column]
                rows[other] = [a - times * b for a, b in zip(rows[other], rows[rank], strict=True)]
        rank += 1
    return rank


def _determined(table: Table, gone: frozenset[Cell]) -> set[Cell]:
    """The hidden cells that have one value only: another equation for it does not raise the rank."""
    unknown = sorted(gone)
    rows = [[Fraction(row.get(cell, 0)) for cell in unknown] for row in _equations(table)]
    whole = _rank(rows)
    return {cell for cell in unknown if _rank([*rows, [Fraction(cell == other) for other in unknown]]) == whole}


@given(tables())
@settings(max_examples=300, deadline=None)
def test_no_small_number_stands_there_or_can_be_reckoned(table: Table) -> None:
    gone = hidden(table, SMALLEST)
    assert {cell for cell, one in table.counts.items() if 0 < one.people < SMALLEST} <= gone
    assert _determined(table, gone) == set()


@given(tables())
@settings(max_examples=100, deadline=None)
def test_what_is_held_back_of_a_sum_that_is_told_is_not_small_together(table: Table) -> None:
    gone = hidden(table, SMALLEST)
    for row in _equations(table):
        (total,) = (cell for cell, factor in row.items() if factor < 0)
        inside = [cell for cell, factor in row.items() if factor > 0 and cell in gone]
        if total not in gone and inside:
            assert len(inside) > 1
            assert sum(table.counts[cell].count for cell in inside) >= SMALLEST


def _table(**numbers: tuple[int, int]) -> Table:
    """Organizations of one network, each with what is met and what is not."""
    counts: dict[Cell, Count] = {}
    network = (sum(met for met, _ in numbers.values()), sum(unmet for _, unmet in numbers.values()))
    for place, (met, unmet) in {**numbers, "network": network}.items():
        for kind, number in (("met", met), ("unmet", unmet), ("whole", met + unmet)):
            counts[place, kind] = Count(count=number, people=number)  # pyright: ignore[reportArgumentType] - kinds
    return Table(parents=dict.fromkeys(numbers, "network"), counts=counts)


def test_nothing_is_held_back_where_no_number_is_small() -> None:
    assert hidden(_table(a=(20, 30), b=(0, 12), c=(40, 0)), SMALLEST) == frozenset()


def test_a_small_number_takes_its_neighbours_with_it() -> None:
    gone = hidden(_table(a=(27, 3), b=(50, 40), c=(30, 20)), SMALLEST)
    # 3 is small; 27 of 30 would tell it; c is the smallest that hides both from the network's sums
    assert gone == {("a", "met"), ("a", "unmet"), ("c", "met"), ("c", "unmet")}


def test_zero_is_told() -> None:
    assert ("a", "met") not in hidden(_table(a=(0, 4), b=(50, 40), c=(30, 20)), SMALLEST)


@st.composite
def measures_of_the_same_people(draw: st.DrawFn) -> list[Table]:
    """Several measures of the same members of organizations in areas: their wholes are the same, what fulfils them is not."""
    areas = [f"area-{n}" for n in range(draw(st.integers(1, 3)))]
    above = {f"org-{n}": draw(st.sampled_from(areas)) for n in range(draw(st.integers(2, 4)))}
    wholes = {place: draw(NUMBERS) for place in above}
    parents = {**above, **dict.fromkeys(above.values(), "network")}
    found: list[Table] = []
    for _ in range(draw(st.integers(2, 3))):
        cells: dict[Any, int] = {}
        for place, area in above.items():
            met = draw(st.one_of(st.integers(0, wholes[place]), st.sampled_from((0, wholes[place]))))
            for kind, amount in (("met", met), ("unmet", wholes[place] - met), ("whole", wholes[place])):
                for one in (place, area, "network"):
                    cells[one, kind] = cells.get((one, kind), 0) + amount
        found.append(Table(parents=parents, counts={cell: Count(count=n, people=n) for cell, n in cells.items()}))
    return found


@given(measures_of_the_same_people())
@settings(max_examples=50, deadline=None)
def test_measures_of_the_same_people_give_nothing_away_together(tables: list[Table]) -> None:
    """As `pmpm` has five, and `performance` the same members once more."""
    gone = [hidden(table, SMALLEST) for table in tables]
    wholes = [{cell for cell in one if cell[1] == "whole"} for one in gone]
    assert all(one == wholes[0] for one in wholes)
    together: dict[Any, None] = {_apart(number, cell): None for number, one in enumerate(gone) for cell in sorted(one)}
    rows = [[Fraction({_apart(number, cell): factor for cell, factor in row.items()}.get(one, 0)) for one in together]
            for number, table in enumerate(tables) for row in _equations(table)]
    rows = [row for row in rows if any(row)]
    whole = _rank(rows)
    assert [one for one in together if _rank([*rows, [Fraction(one == other) for other in together]]) == whole] == []


def _apart(number: int, cell: Cell) -> tuple[int, Cell]:
    """A cell among several tables: their wholes are one."""
    return (-1 if cell[1] == "whole" else number, cell)
