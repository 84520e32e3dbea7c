"""A report asked and answered: its statement runs, its rows are shown or counted, small numbers are held back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from adapter.errors import Defect
from adapter.gaps.catalog import Catalog, open_catalog
from adapter.gaps.organizations import Known, names_of
from adapter.gaps.reads import shared_read
from adapter.gaps.statement import SHARED_PREFIX, compile_select
from adapter.gaps.tables import PREFIX
from adapter.reports.asked import Asked, judged_at, literals, month_of
from adapter.reports.definitions import COUNTS, SHARED, Report, Reports, Shown, open_reports
from adapter.reports.figures import Figure, figures, whole
from adapter.reports.tables import FACT, OPENED, RENAMED, Row, Tables

Fact = dict[str, Any]
"""A row of a report's statement: column to value."""
Frozen = Mapping[int, Sequence[Row]]
"""Months that were frozen, as the calendar counts them, to their rows (values in the order of tables.FROZEN)."""
NOTHING_FROZEN: Frozen = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Organizations, health service areas and coordinators (Practitioners): id to name; organization to area (only those that
    have one)."""

    organizations: Mapping[str, str]
    areas: Mapping[str, str]
    coordinators: Mapping[str, str]
    area_of: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer. facts: the rows asked for, in order, of a report of rates those that its figures count; figures: of rates.
    opened: the rows that the counts of a list open down to, and their figures."""

    report: Report
    question: Asked
    facts: list[Fact]
    figures: list[Figure]
    places: Places
    opened: Answered | None = None


def answer(tables: Tables, report: Report, question: Asked, *, facts: bool = True, reports: Reports | None = None,
           catalog: Catalog | None = None, frozen: Frozen = NOTHING_FROZEN, plans: Sequence[Row] = (),
           lives: Sequence[Row] = ()) -> Answered:
    """Ask a report. facts: without, of a report of rates only the figures are read. frozen: what is kept of its months.
    plans: improvement plans (values in the order of tables.PLAN); lives: gaps that somebody took on or that are put off (LIFE).

    Raises Rejected (outside-calendar), Defect (report-invalid).
    """
    reports, catalog = reports or open_reports(), catalog or open_catalog()
    if report.answers:
        tables.answers(reports.rules, catalog, report.answers, _judged(catalog, report, question))
    if report.freezes:
        tables.frozen(sorted(frozen), [row for rows in frozen.values() for row in rows])
    if report.plans:
        tables.plans(plans)
    if report.lives:
        tables.lives(lives)
    for name in shared_read(reports.rules, report.statement):
        tables.keep(SHARED_PREFIX + name, compiled(reports, catalog, report, question, tables, name))
    tables.keep(FACT, compiled(reports, catalog, report, question, tables))
    where = places(tables)
    rows = _facts(tables, report, question, where) if facts or report.form == "list" else []
    counted = figures(tables, report, question, where.area_of) if report.form == "rates" else []
    found = Answered(report=report, question=question, facts=rows, figures=counted, places=where)
    return found if report.opens is None else _opened(tables, reports, catalog, report.opens, found)


def _opened(tables: Tables, reports: Reports, catalog: Catalog, opens: Report, listed: Answered) -> Answered:
    """The list with its counts, small ones held back over the whole network, and the rows that they open down to."""
    question, where = listed.question, listed.places
    tables.keep(OPENED, compiled(reports, catalog, opens, question, tables))
    counted = figures(tables, opens, question, where.area_of, OPENED)
    told = {(one.place, dict(one.stratum)["measure"]): one for one in counted if one.level == "organization"}
    rows = [row for fact in listed.facts
            if (row := _with_counts(listed.report, fact, told.get((fact["organization"], fact["measure"]))))]
    shown = {(row["organization"], row["measure"]) for row in rows}
    behind = [row for row in _facts(tables, opens, question, where, OPENED) if (row["organization"], row["measure"]) in shown]
    opened = Answered(report=opens, question=question, facts=behind, figures=counted, places=where)
    return replace(listed, facts=rows, opened=opened)


def _with_counts(report: Report, fact: Fact, figure: Figure | None) -> Fact | None:
    """A row with its counts; where one is held back without what is judged by them, or None where it stands by nothing else."""
    counts = {name: getattr(figure, number, None) for name, number in COUNTS.items()}
    if figure is None or None not in counts.values():
        return fact | counts
    if not fact[report.stands_by]:
        return None
    return fact | counts | {name: None for name, column in report.columns.items() if column.shown == "judged"}


def _judged(catalog: Catalog, report: Report, question: Asked) -> dict[int, datetime]:
    """When the rules are asked: at the end of each month, or now."""
    if report.over != "months":
        return {month_of(question.now.astimezone(ZoneInfo(catalog.zone)).date()): question.now}
    found = {month: judged_at(catalog, question, month) for month in question.months()}
    return {month: at for month, at in found.items() if at}


def compiled(reports: Reports, catalog: Catalog, report: Report, question: Asked, tables: Tables, shared: str = "") -> str:
    """The SQL of a report's statement for where it runs, or of a shared table that it reads."""
    values = {name: p.default for name, p in {**reports.rules.parameters, **({} if shared else report.parameters)}.items()}
    text = reports.rules.tables[shared].statement if shared else report.statement
    place = f"{SHARED}, tables.{shared}.statement" if shared else f"{report.name}.yaml, statement"
    try:
        return compile_select(reports.rules, catalog, text, place, values=values | literals(catalog, question),
                              dialect=tables.dialect, renamed=RENAMED)
    except Defect as defect:
        raise Defect("report-invalid", defect.issue.place, defect.issue.detail) from defect


def places(tables: Tables) -> Places:
    """The organizations and areas that are known."""
    found = tables.rows(f"SELECT resource_id, area FROM {PREFIX}organization WHERE area IS NOT NULL")
    return Places(organizations=names_of(organizations(tables)), areas=names_of(areas(tables)),
                  coordinators=names_of(coordinators(tables)),
                  area_of={organization: area for organization, area in found if area})


def organizations(tables: Tables) -> list[Known]:
    """The Organizations that stand, by what they are called."""
    return tables.rows(f"SELECT resource_id, number, name FROM {PREFIX}organization")


def areas(tables: Tables) -> list[Known]:
    """The health service areas that stand, by what they are called."""
    return tables.rows(f"SELECT resource_id, number, name FROM {PREFIX}location WHERE physical_type = 'area'")


def coordinators(tables: Tables) -> list[Known]:
    """The Practitioners that stand, by their NPI and what they are called."""
    rows = tables.rows(f"SELECT resource_id, npi, given, family FROM {PREFIX}practitioner")
    return [(resource_id, npi, " ".join(filter(None, (given, family)))) for resource_id, npi, given, family in rows]


def concerns(report: Report, question: Asked, area_of: Mapping[str, str], row: Mapping[str, Any]) -> bool:
    """Whether a row is about the organization, area and coordinator asked for."""
    if question.coordinator and question.coordinator not in _named(report, row, "coordinator"):
        return False
    named = _named(report, row, "organization")
    if question.organization and question.organization not in named:
        return False
    return not question.area or question.area in [area_of.get(organization) for organization in named]


def _named(report: Report, row: Mapping[str, Any], shown: Shown) -> list[str]:
    return [row[name] for name, column in report.columns.items() if column.shown == shown and row.get(name)]


def _facts(tables: Tables, report: Report, question: Asked, where: Places, table: str = FACT) -> list[Fact]:
    rows = [{name: _value(column.shown, value) for (name, column), value in zip(report.columns.items(), row, strict=True)}
            for row in tables.rows(f"SELECT {', '.join(report.columns)} FROM {table}")]
    mine = [row for row in rows if concerns(report, question, where.area_of, row)]
    by = [*report.order, *report.strata, *report.levels, *report.columns]
    return sorted(mine, key=lambda row: [_key(row[name]) for name in by if name in row])


def _value(shown: Shown, value: Any) -> Any:
    """References each once and in order, as no engine keeps them; what is empty is missing."""
    if shown == "references":
        return " ".join(sorted(set((value or "").split()))) or None
    if isinstance(value, float):
        return whole(value)
    return None if value == "" else value


def _key(value: Any) -> tuple[bool, float, str]:
    """What is missing stands last; numbers by size."""
    if isinstance(value, int | float):
        return (False, value, "")
    return (value is None, 0, value or "")
