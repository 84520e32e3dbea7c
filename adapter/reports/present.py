"""A report as people and programs read it: rows of cells, for a table, CSV and JSON. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import orjson

from adapter.gaps.instants import EPOCH_DAY
from adapter.gaps.rules import Rules
from adapter.reports.asked import month_name
from adapter.reports.definitions import EXCLUDED, Shown
from adapter.reports.figures import Figure
from adapter.reports.run import Answered, Places

Cell = str | int | float | None
"""What stands in a row; None where nothing is known, or a number is held back."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
COUNTED = ("level", "excluded", "denominator", "numerator", "rate", "unit", "target", "meets", "change", "suppressed")
"""Columns of figures beside the report's strata and levels."""


def fact_rows(answered: Answered, *, brief: bool = False) -> list[dict[str, Cell]]:
    """The report's rows, in order: columns to sort by apart, with `brief` the long ones too."""
    columns: dict[str, Shown] = {name: column.shown for name, column in answered.report.columns.items()
               if column.shown != "order" and not (brief and column.long)}
    return [{name: _shown(shown, fact[name], answered.places) for name, shown in columns.items()} for fact in answered.facts]


def figure_rows(answered: Answered, rules: Rules) -> list[dict[str, Cell]]:
    """The figures: strata, what is measured in words, levels, both numbers, the rate (in percent where the unit is `%`), whether
    the target is met, and how the rate changed since the month before."""
    before = {(figure.stratum, figure.level, figure.place, figure.within): figure for figure in answered.figures}
    return [_figure(answered, figure, before, rules) for figure in answered.figures]


def as_csv(rows: Sequence[Mapping[str, Cell]], columns: Sequence[str]) -> str:
    """The rows as CSV (RFC 4180, with a header); a text that a spreadsheet would run as a formula gets a leading `'`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_safe(row[column]) for column in columns] for row in rows)
    return text.getvalue()


def as_json(rows: Sequence[Mapping[str, Cell]]) -> bytes:
    """The rows as a JSON list of objects."""
    return orjson.dumps(list(rows), option=orjson.OPT_INDENT_2)


def columns_of(answered: Answered, *, figures: bool) -> list[str]:
    """The columns of fact_rows, or of figure_rows."""
    report = answered.report
    if figures:
        counted = [name for name in COUNTED if name != EXCLUDED or EXCLUDED in report.columns]
        return [*report.strata, *(["title"] if "measure" in report.strata else []), *reversed(report.levels), *counted]
    return [name for name, column in report.columns.items() if column.shown != "order"]


def title_of(answered: Answered, rules: Rules, measure: str, topic: str = "") -> str:
    """What a measure is about: a rule, or a measure of the report's own, with the topic where that has words."""
    own, told = answered.report.measures.get(measure), answered.report.topics.get(topic)
    title = own.title if own else rules.rules[measure].title if measure in rules.rules else measure
    return f"{title}: {told}" if told else title


def unit_of(answered: Answered, measure: str) -> str:
    """`%`, or what there is of the numerator for each of the denominator."""
    own = answered.report.measures.get(measure)
    return own.unit if own else "%"


def scored(rate: float | None, unit: str) -> float | None:
    """A rate as it is told: in percent, or as it is."""
    return None if rate is None else round(rate * 100, 1) if unit == "%" else round(rate, 3)


def _figure(answered: Answered, figure: Figure, before: Mapping[Any, Figure], rules: Rules) -> dict[str, Cell]:
    report, named = answered.report, dict(figure.stratum)
    measure = named.get("measure", "")
    unit = unit_of(answered, measure)
    rate = scored(figure.rate, unit)
    where = {figure.level: figure.place, **dict(figure.within)}
    row: dict[str, Cell] = {name: _shown(report.columns[name].shown, value, answered.places) for name, value in figure.stratum}
    row |= {"title": title_of(answered, rules, measure, named.get("topic", ""))} if measure else {}
    row |= {level: _shown(report.columns[level].shown, where.get(level), answered.places) for level in report.levels}
    meets = None if rate is None or figure.target is None else rate >= figure.target if _higher(answered, measure) \
        else rate <= figure.target
    row |= {"excluded": figure.excluded} if EXCLUDED in report.columns else {}
    held = [figure.denominator, figure.numerator, *([figure.excluded] if EXCLUDED in report.columns else [])]
    return row | {"level": figure.level, "denominator": figure.denominator, "numerator": figure.numerator, "rate": rate,
                  "unit": unit, "target": figure.target, "meets": None if meets is None else "yes" if meets else "no",
                  "change": _change(rate, unit, figure, before),
                  "suppressed": "yes" if None in held else None}


def _higher(answered: Answered, measure: str) -> bool:
    own = answered.report.measures.get(measure)
    return own is None or own.better == "higher"


def _change(rate: float | None, unit: str, figure: Figure, before: Mapping[Any, Figure]) -> float | None:
    """The difference to the month before, where both are told."""
    stratum = tuple((name, value - 1 if name == "month" else value) for name, value in figure.stratum)
    earlier = before.get((stratum, figure.level, figure.place, figure.within)) if stratum != figure.stratum else None
    last = scored(earlier.rate, unit) if earlier else None
    return None if rate is None or last is None else round(rate - last, 3)


def _shown(shown: Shown, value: Any, places: Places) -> Cell:  # noqa: PLR0911 - one for each kind of column
    if value is None or value == "":
        return None
    match shown:
        case "instant":
            return datetime.fromtimestamp(value, UTC).isoformat().replace("+00:00", "Z")
        case "day":
            return date.fromordinal(value + EPOCH_DAY).isoformat()
        case "month":
            return month_name(value)
        case "organization":
            return places.organizations.get(value, value)
        case "area":
            return places.areas.get(value, value)
        case "coordinator":
            return places.coordinators.get(value, value)
        case "amount":
            return round(value, 2)
        case _:
            return value


def _safe(cell: Cell) -> str:
    if not isinstance(cell, str):
        return "" if cell is None else str(cell)
    return f"'{cell}" if cell.startswith(_FORMULA) or cell.lstrip().startswith(_FORMULA[:4]) else cell


