"""Lint of report files: their form, their statements in the rules' SQL subset, and what they say of their columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sqlglot import exp

from adapter.errors import Defect
from adapter.gaps.catalog import Catalog, open_catalog
from adapter.gaps.lint import Linter
from adapter.gaps.reads import parse_statement
from adapter.gaps.rules import open_rules
from adapter.model import Issue
from adapter.reports.definitions import (
    COUNTS,
    EXCLUDED,
    FIGURES,
    REPORTS,
    SHARED,
    Report,
    Reports,
    open_reports,
    report_files,
    schema_issues,
)
from adapter.reports.tables import ANSWER, FROZEN, FROZEN_MONTH, LIFE, PLAN, VERDICT

BINDS = ("from_day", "to_day", "from_at", "to_at")
"""Binds of a report's statement beside those of rules: the period asked for."""
_ANSWERED = {"answer": list(ANSWER), "verdict": list(VERDICT)}
_FROZEN = {"frozen": list(FROZEN), "frozen_month": list(FROZEN_MONTH)}


def check_reports(folder: Path = REPORTS, catalog: Catalog | None = None) -> list[Issue]:
    """Every mistake in the report files of a folder; empty where there is none."""
    issues = list(schema_issues(folder))
    if issues:
        return issues
    catalog, reports = catalog or open_catalog(), open_reports(folder)
    issues += [Issue(code="report-invalid", place=f"{path.name}, name", detail="a report is named as its file")
               for path in report_files(folder) if path.stem not in reports.reports]
    known = {*catalog.tables, *open_rules().tables}
    for name in reports.rules.tables:
        if name not in known:
            linter = Linter(reports.rules, catalog, known, reports.rules.parameters, BINDS)
            issues += linter.issues(reports.rules.tables[name].statement, f"{SHARED}, tables.{name}.statement")
            known.add(name)
    for report in reports.reports.values():
        issues += [*_of_report(reports, catalog, known, report), *_of_opened(reports, catalog, known, report)]
    return [replace(issue, code="report-invalid") for issue in issues]


def _of_report(reports: Reports, catalog: Catalog, known: set[str], report: Report) -> Iterator[Issue]:
    place, parameters = f"{report.name}.yaml, statement", {**reports.rules.parameters, **report.parameters}
    others = (_ANSWERED if report.answers else {}) | (_FROZEN if report.freezes else {})
    others |= {"improvement_plan": list(PLAN)} if report.plans else {}
    others |= {"gap_life": list(LIFE)} if report.lives else {}
    yield from Linter(reports.rules, catalog, known | set(others), parameters, BINDS, others).issues(report.statement, place)
    try:
        tree = parse_statement(report.statement, place)
    except Defect:
        return
    if list(tree.named_selects) != list(report.columns):
        yield _issue(place, f"the columns are {', '.join(report.columns)}")
    binds = {bind.name for bind in tree.find_all(exp.Placeholder)}
    yield from (_issue(f"{report.name}.yaml, parameters.{name}", "it is not read") for name in report.parameters
                if name not in binds)
    yield from (_issue(f"{report.name}.yaml", detail) for detail in _of_columns(reports, report))


def _of_opened(reports: Reports, catalog: Catalog, known: set[str], report: Report) -> Iterator[Issue]:
    """Of the rows that a list's counts open down to, and the columns that are those counts."""
    if report.opens is None:
        return
    for issue in _of_report(reports, catalog, known, report.opens):
        yield replace(issue, place=issue.place.replace(", statement", ", opens.statement"))
    for name in ("organization", "measure", report.stands_by, *COUNTS):
        if name not in report.columns:
            yield _issue(f"{report.name}.yaml, columns", f"the column {name} is missing, by which its counts open")


def _of_columns(reports: Reports, report: Report) -> Iterator[str]:
    for name in (*report.order, *report.levels, *report.strata):
        if name not in report.columns:
            yield f"`{name}` is no column"
    if report.form == "rates":
        counted = [name for name, column in report.columns.items() if column.shown == "figure"]
        if set(counted) - {EXCLUDED} != set(FIGURES):
            yield f"the figures are {' and '.join(FIGURES)}"
        if "measure" not in report.strata:
            yield "the stratum measure is missing, by which figures have their Measure"
        if "member_id" not in report.columns:
            yield "the column member_id is missing, by which people are counted"
    for rule in report.answers.rules if report.answers else ():
        if rule not in reports.rules.rules:
            yield f"`{rule}` is no rule"


def _issue(place: str, detail: str) -> Issue:
    return Issue(code="report-invalid", place=place, detail=detail)
