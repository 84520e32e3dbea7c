"""Report files (profiles/reports): read, checked against their JSON Schema, as frozen records. For authors: docs/reports.md.

A mistake is an Issue `report-invalid` whose place is file and key: `worklist.yaml, columns.due.is`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import orjson
import yaml
from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator

from adapter.errors import Defect
from adapter.gaps.rules import Parameter, Rules, SharedTable, State, open_rules, read_yaml
from adapter.home import PROFILES
from adapter.model import Issue

REPORTS = PROFILES / "reports"
SHARED = "shared.yaml"

Shown = Literal["text", "number", "amount", "instant", "day", "month", "organization", "area", "coordinator", "member",
                "reference", "references", "order", "figure", "judged", "target"]
FIGURES = ("denominator", "numerator")
"""Columns of a report of rates that are counted; EXCLUDED too, where it has that column."""
COUNTS = {"gaps": "denominator", "closed": "numerator"}
"""Columns of a list that are figures of the rows that it opens down to, where it has such."""
EXCLUDED = "excluded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a report's statement, and how it is shown: instants are seconds and days are days since 1970, months those
    since the year 0, organizations, areas, coordinators (Practitioners) and members are ids; what is judged by a list's counts
    goes where one of them is held back. long: left out of the table on a screen."""

    shown: Shown
    text: str
    long: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What a report of rates measures, beside the rules.

    unit: `%`, or what there is of the numerator for each of the denominator. about: whom it measures, a resource type.
    """

    title: str
    text: str
    unit: str
    better: Literal["higher", "lower"]
    about: Literal["Patient", "Practitioner", "Organization"] = "Patient"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The rules' answers that a report reads: in these states; of these rules, of all where none are named."""

    states: list[State]
    rules: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Report:
    """One report as its file has it; fields as in profiles/reports.schema.json. each_rule: every rule is a measure of it too.
    topics: what the values of its stratum `topic` are, in words. opens: what a list's counts open down to, as a report of rates
    by measure, organization and area. stands_by: the column by which a row of it stands though a count of it is held back."""

    name: str
    title: str
    requirement: str
    seed: list[str]
    form: Literal["list", "rates"]
    over: Literal["instant", "months", "days"]
    population: str
    definition: str
    unknown: str
    columns: dict[str, Column]
    statement: str
    parameters: dict[str, Parameter]
    measures: dict[str, Measure]
    answers: Answers | None = None
    each_rule: bool = False
    denominator: str = ""
    numerator: str = ""
    simplified: str = ""
    freezes: bool = False
    plans: bool = False
    lives: bool = False
    months: int = 0
    days: int = 0
    smallest: int = 0
    levels: list[str] = field(default_factory=list[str])
    strata: list[str] = field(default_factory=list[str])
    order: list[str] = field(default_factory=list[str])
    topics: dict[str, str] = field(default_factory=dict[str, str])
    opens: Report | None = None
    stands_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reports:
    """All reports by name. rules: the gap rules, whose shared tables and parameters have those of the reports beside them."""

    reports: dict[str, Report]
    rules: Rules


@cache
def open_reports(folder: Path = REPORTS) -> Reports:
    """Read the reports of a folder. Raises Defect (report-invalid) for the first mistake; `lint.check_reports` tells all."""
    for issue in schema_issues(folder):
        raise Defect(issue.code, issue.place, issue.detail)
    shared: dict[str, Any] = read_yaml(folder / SHARED)
    rules = open_rules()
    own = {name: SharedTable(**table) for name, table in shared["tables"].items()}
    both = Rules(rules=rules.rules, tables={**rules.tables, **own}, parameters={**rules.parameters, **_parameters(shared)},
                 programs=rules.programs)
    reports = [_report(read_yaml(path)) for path in report_files(folder)]
    return Reports(reports={report.name: report for report in reports}, rules=both)


def report_files(folder: Path) -> list[Path]:
    """The report files of a folder, the shared tables apart."""
    return [path for path in sorted(folder.glob("*.yaml")) if path.name != SHARED]


def schema_issues(folder: Path) -> Iterator[Issue]:
    """What is wrong with the form of the files of a folder, each mistake by itself."""
    for path in [folder / SHARED, *report_files(folder)]:
        try:
            content = read_yaml(path)
        except (yaml.YAMLError, OSError) as error:
            yield Issue(code="report-invalid", place=path.name, detail=str(getattr(error, "problem", None) or error))
            continue
        for error in _validator(path.name == SHARED).iter_errors(content):
            key = ".".join(str(part) for part in error.absolute_path)
            yield Issue(code="report-invalid", place=f"{path.name}, {key}" if key else path.name, detail=error.message)


@cache
def _validator(shared: bool) -> Validator:
    schema = orjson.loads((PROFILES / "reports.schema.json").read_bytes())
    if shared:
        schema = {"$defs": schema["$defs"], "$ref": "#/$defs/shared"}
    return Draft202012Validator(schema)


def _report(content: Mapping[str, Any]) -> Report:
    words: dict[str, Any] = {key: value.strip() if isinstance(value, str) else value for key, value in content.items()}
    words["columns"] = {name: Column(shown=one["is"], text=one["text"], long=one.get("long", False))
                        for name, one in content["columns"].items()}
    words["measures"] = {code: Measure(**one) for code, one in content.get("measures", {}).items()}
    words["parameters"] = _parameters(content)
    words["answers"] = Answers(**content["answers"]) if "answers" in content else None
    words["opens"] = _opens(content) if "opens" in content else None
    return Report(**words)


def _opens(content: Mapping[str, Any]) -> Report:
    own = ("opens", "order", "plans", "lives", "parameters", "stands_by")
    kept = {key: value for key, value in content.items() if key not in own}
    return _report(kept | content["opens"] | {"form": "rates", "strata": ["measure"], "levels": ["organization", "area"]})


def _parameters(content: Mapping[str, Any]) -> dict[str, Parameter]:
    return {name: Parameter(**parameter) for name, parameter in content.get("parameters", {}).items()}
