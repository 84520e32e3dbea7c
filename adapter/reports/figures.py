"""The figures of a report of rates: its facts counted for each place and everybody, small numbers held back.

Places are the values of the report's levels, from the finest up; an organization lies in its health service area. Numbers are
held back over the whole network, before an organization or area is chosen: what one asks for does not change what is told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapter.reports.asked import Asked
from adapter.reports.definitions import EXCLUDED, Report
from adapter.reports.suppression import Cell, Count, Kind, Table, hidden
from adapter.reports.tables import FACT, Tables, count_by

NETWORK = "network"
"""The level above all others: everybody."""

_COUNTED = {
    "denominator": "SUM(denominator)", "numerator": "SUM(numerator)",
    "whole": "COUNT(DISTINCT CASE WHEN denominator > 0 THEN member_id END)",
    "met": "COUNT(DISTINCT CASE WHEN numerator > 0 THEN member_id END)",
    "unmet": "COUNT(DISTINCT CASE WHEN denominator > numerator THEN member_id END)"}

_LEFT_OUT = {"left_out": f"SUM({EXCLUDED})",
             "left_out_people": f"COUNT(DISTINCT CASE WHEN {EXCLUDED} > 0 THEN member_id END)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number pair; a number that is held back is None.

    stratum: the report's strata, and their values. level: of the place, `network` for everybody; place: its id, '' where none is
    named; within: the places above it, level to id. excluded: how many the denominator leaves out, where a report counts that.
    target: what is aimed at.
    """

    stratum: tuple[tuple[str, Any], ...]
    level: str
    place: str
    within: tuple[tuple[str, str], ...]
    denominator: float | None
    numerator: float | None
    excluded: float | None = None
    target: float | None = None

    @property
    def rate(self) -> float | None:
        """numerator / denominator, where both are told and there is something to divide by."""
        if self.numerator is None or not self.denominator:
            return None
        return self.numerator / self.denominator


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    level: str
    place: str
    within: tuple[tuple[str, str], ...]
    counts: Mapping[str, float]
    excluded: Count
    target: float | None

    @property
    def path(self) -> str:
        return _path(self.level, self.place, self.within)


def whole(number: float) -> float:
    """A number to the cent, and without a fraction where it has none: engines add up in numbers of different kinds."""
    rounded = round(number, 2)
    return int(rounded) if rounded == int(rounded) else rounded


def figures(tables: Tables, report: Report, question: Asked, area_of: Mapping[str, str], table: str = FACT) -> list[Figure]:
    """The figures of the facts that stand, those asked for, in the order of strata and places. table: FACT or OPENED."""
    strata: defaultdict[tuple[Any, ...], list[_Counted]] = defaultdict(list)
    for height in range(len(report.levels) + 1):
        for stratum, counted in _level(tables, report, report.levels[height:], table):
            strata[stratum].append(counted)
    found = [figure for stratum in sorted(strata, key=str)
             for figure in _told(report, stratum, sorted(strata[stratum], key=lambda one: one.path))]
    return [figure for figure in found if _stands(report, figure) and _asked_for(figure, question, area_of)]


def _stands(report: Report, figure: Figure) -> bool:
    """Whether a figure has a row: what has no organization or area counts above alone, a pair may lack one of its two."""
    return bool(figure.place) or figure.level == NETWORK or "partner" in report.levels


def _level(tables: Tables, report: Report, levels: Sequence[str], table: str) -> Iterator[tuple[tuple[Any, ...], _Counted]]:
    """What is counted at the first of these levels, or of everybody where there is none."""
    target = next((name for name, column in report.columns.items() if column.shown == "target"), None)
    wanted = _COUNTED | ({"target": f"MAX({target})"} if target else {}) | (_LEFT_OUT if EXCLUDED in report.columns else {})
    columns = [*report.strata, *levels]
    for row in tables.rows(count_by(table, columns, wanted)):
        named = dict(zip([*columns, *wanted], row, strict=True))
        place, *above = [named[level] or "" for level in levels] or [""]
        yield (tuple(named[name] for name in report.strata),
               _Counted(level=levels[0] if levels else NETWORK, place=place, within=tuple(zip(levels[1:], above, strict=True)),
                        counts={name: whole(named[name] or 0) for name in _COUNTED},
                        excluded=Count(count=named.get("left_out") or 0, people=named.get("left_out_people") or 0),
                        target=_aim(named.get("target")) if levels and levels[0] == report.levels[0] else None))


def _aim(target: float | None) -> float | None:
    return None if target is None else whole(target)


def _told(report: Report, stratum: tuple[Any, ...], counted: Sequence[_Counted]) -> Iterator[Figure]:
    named = tuple(zip(report.strata, stratum, strict=True))
    measure = dict(named).get("measure", "")
    adds_up = measure not in report.measures or report.measures[measure].unit == "%"
    parents = {one.path: _parent(one) for one in counted if one.level != NETWORK}
    counts: dict[Cell, Count] = {(one.path, kind): count for one in counted for kind, count in _counts(one, adds_up).items()}
    gone = hidden(Table(parents=parents, counts=counts), report.smallest)
    left_out = hidden(Table(parents=parents, counts={(one.path, "whole"): one.excluded for one in counted}), report.smallest)
    for one in counted:
        shows = {"denominator": (one.path, "whole") not in gone, "numerator": (one.path, "met") not in gone}
        numbers = {name: one.counts[name] if shows[name] else None for name in shows}
        excluded = one.excluded.count if EXCLUDED in report.columns and (one.path, "whole") not in left_out else None
        yield Figure(stratum=named, level=one.level, place=one.place, within=one.within, target=one.target, excluded=excluded,
                     denominator=numbers["denominator"], numerator=numbers["numerator"])


def _counts(one: _Counted, adds_up: bool) -> dict[Kind, Count]:
    """The cells of a place. Where the numerator is no part of the denominator (an amount for each member), people are counted."""
    people = {kind: int(one.counts[kind]) for kind in ("whole", "met", "unmet")}
    whole = Count(count=int(one.counts["denominator"]), people=people["whole"])
    if not adds_up:
        return {"whole": whole, "met": Count(count=people["met"], people=people["met"])}
    met = int(one.counts["numerator"])
    return {"met": Count(count=met, people=people["met"]), "whole": whole,
            "unmet": Count(count=whole.count - met, people=people["unmet"])}


def _path(level: str, place: str, within: tuple[tuple[str, str], ...]) -> str:
    return "/".join((NETWORK, *(f"{name}={value}" for name, value in reversed(((level, place), *within)) if name != NETWORK)))


def _parent(one: _Counted) -> str:
    if not one.within:
        return NETWORK
    (level, place), *above = one.within
    return _path(level, place, tuple(above))


def _asked_for(figure: Figure, question: Asked, area_of: Mapping[str, str]) -> bool:
    where = {figure.level: figure.place, **dict(figure.within)}
    named = [where[level] for level in ("organization", "partner") if where.get(level)]
    if question.organization and question.organization not in named:
        return False
    return not question.area or question.area in (where.get("area"), *(area_of.get(one) for one in named))
