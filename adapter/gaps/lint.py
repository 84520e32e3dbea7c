"""Lint of rule files: their form, and whether their statements stay in the SQL subset that every engine reads alike.

The subset is a list of what is allowed. Left out on purpose: LIKE (case), division (integers), window, date and text
functions (dialects), subqueries in conditions (Spark), outer joins but LEFT, SELECT *, ORDER BY and LIMIT. A member_id is for
joins alone, since it may be a number (population.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify

from adapter.errors import Defect
from adapter.gaps.catalog import Catalog, open_catalog
from adapter.gaps.reads import MEMBER_PROGRAM, WRITTEN_IN, parse_statement, tables_read
from adapter.gaps.rules import PROGRAMS, RULES, Parameter, Program, Rule, Rules, open_rules, schema_issues
from adapter.gaps.statement import columns_of, parameters_of, with_shared
from adapter.model import Issue

_ALLOWED: tuple[type[exp.Expr], ...] = (
    exp.Select, exp.Union, exp.With, exp.CTE, exp.From, exp.Join, exp.Where, exp.Group, exp.Having, exp.Subquery,
    exp.Table, exp.TableAlias, exp.Alias, exp.Identifier, exp.Column, exp.Distinct, exp.Paren,
    exp.And, exp.Or, exp.Not, exp.Is, exp.In, exp.Between, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE,
    exp.Add, exp.Sub, exp.Mul, exp.Neg, exp.DPipe, exp.Case, exp.If, exp.Coalesce, exp.Cast, exp.DataType,
    exp.Count, exp.Min, exp.Max, exp.Sum, exp.Literal, exp.Null, exp.Boolean, exp.Star, exp.Placeholder,
)
_CASTS = (exp.DataType.Type.BIGINT, exp.DataType.Type.TEXT)
_JOINS = (("", ""), ("", "INNER"), ("LEFT", ""), ("LEFT", "OUTER"))
_BINDS = ("now", "today", "zone")


def check_rules(folder: Path = RULES, catalog: Catalog | None = None) -> list[Issue]:
    """Every mistake in the rule files of a folder; empty where there is none."""
    issues = list(schema_issues(folder))
    if issues:
        return issues
    catalog, rules = catalog or open_catalog(), open_rules(folder)
    known = set(catalog.tables)
    for name, table in rules.tables.items():
        place = f"shared.yaml, tables.{name}.statement"
        issues += Linter(rules, catalog, known, rules.parameters).issues(table.statement, place)
        issues += _key_issues(table.statement, place, told=False)
        known.add(name)
    for rule in rules.rules.values():
        place = f"{rule.id}.yaml, statement"
        issues += Linter(rules, catalog, known, parameters_of(rules, rule)).issues(rule.statement, place)
        issues += _rule_issues(rule, place)
        issues += _key_issues(rule.statement, place, told=True)
    for number, program in enumerate(rules.programs):
        issues += _program_issues(rules, program, f"{PROGRAMS}, programs.{number}")
    return issues


@dataclass(frozen=True, slots=True)
class Linter:
    """Looks at statements. known: tables that they may name; parameters and binds: what they may bind beside `now` and the like;
    others: tables beside the catalog's and the shared ones, with their columns."""

    rules: Rules
    catalog: Catalog
    known: set[str]
    parameters: dict[str, Parameter]
    binds: Collection[str] = ()
    others: Mapping[str, Collection[str]] = field(default_factory=dict[str, Collection[str]])

    def issues(self, text: str, place: str) -> list[Issue]:
        """What is wrong with a statement."""
        try:
            tree = parse_statement(text, place)
        except Defect as defect:
            return [defect.issue]
        found = [*_outside(tree), *self.names(tree)]
        if "%" in text:
            found.append("`%` is outside the portable subset")
        if not found:
            found = list(self.columns(tree, place))
        return [Issue(code="rule-invalid", place=place, detail=detail) for detail in dict.fromkeys(found)]

    def names(self, tree: exp.Query) -> Iterator[str]:
        """Tables and binds that nobody declared."""
        for table in sorted(tables_read(tree) - self.known):
            yield f"`{table}` is neither a view nor a shared table above"
        for bind in tree.find_all(exp.Placeholder):
            if bind.name in (*_BINDS, *self.binds):
                continue
            if bind.name not in self.parameters:
                yield f"`:{bind.name}` is not declared in parameters"
            elif self._is_list(bind.name) and not isinstance(bind.parent, exp.In):
                yield f"`:{bind.name}` is a list and belongs into IN (...)"

    def _is_list(self, parameter: str) -> bool:
        return isinstance(self.parameters[parameter].default, list)

    def columns(self, tree: exp.Query, place: str) -> Iterator[str]:
        """Columns that no table has."""
        schema: dict[str, object] = {
            name: {column.name: "text" for column in columns} for name, columns in self.catalog.tables.items()}
        schema |= {name: dict.fromkeys(columns, "text") for name, columns in self.others.items()}
        try:
            whole = with_shared(self.rules, tree.copy(), place)
            qualify(whole, schema=schema, dialect=WRITTEN_IN, quote_identifiers=False)
        except SqlglotError as error:
            yield str(error).splitlines()[0]
        except Defect as defect:  # a shared table that is wrong is told at its own place
            if defect.issue.place == place:
                yield defect.issue.detail


def _outside(tree: exp.Query) -> Iterator[str]:
    for node in tree.walk():
        forbidden = _FORBIDDEN_FORMS.get(type(node))
        if not isinstance(node, _ALLOWED) or (forbidden is not None and forbidden(node)):
            yield f"`{_brief(node)}` is outside the portable subset"


_FORBIDDEN_FORMS: dict[type[exp.Expr], Callable[[Any], bool]] = {
    exp.Join: lambda join: join.args.get("on") is None or (join.side, join.kind) not in _JOINS,
    exp.In: lambda within: within.args.get("query") is not None,
    exp.Star: lambda star: not isinstance(star.parent, exp.Count),
    exp.Subquery: lambda subquery: not isinstance(subquery.parent, exp.From | exp.Join),
    exp.Cast: lambda cast: cast.to.this not in _CASTS,
    exp.Union: lambda union: bool(union.args.get("distinct")),
    exp.With: lambda with_: bool(with_.args.get("recursive")),
    exp.Select: lambda select: any(select.args.get(part) for part in ("order", "limit", "offset")),
}


def _rule_issues(rule: Rule, place: str) -> Iterator[Issue]:
    try:
        tree = parse_statement(rule.statement, place)
    except Defect:
        return
    columns = columns_of(rule.subject)
    if tuple(tree.named_selects) != columns:
        yield Issue(code="rule-invalid", place=place, detail=f"the columns are {', '.join(columns)}")
    given = _verdicts(tree)
    for code in sorted(given ^ set(rule.verdicts)):
        where = "is not given by the statement" if code in rule.verdicts else "is not declared"
        yield Issue(code="rule-invalid", place=f"{rule.id}.yaml, verdicts.{code}", detail=f"verdict `{code}` {where}")
    binds = {bind.name for bind in tree.find_all(exp.Placeholder)}
    for name in sorted(set(rule.parameters) - binds):
        yield Issue(code="rule-invalid", place=f"{rule.id}.yaml, parameters.{name}", detail="it is not read")


def _key_issues(text: str, place: str, *, told: bool) -> Iterator[Issue]:
    """Uses of a member_id that hold for texts alone. told: what the statement itself yields is told, and must be the text."""
    try:
        tree = parse_statement(text, place)
    except Defect:
        return
    outer = set(map(id, _outer(tree))) if told else set[int]()
    for column in tree.find_all(exp.Column):
        if column.name == "member_id" and not _joins(column, outer):
            used = column if isinstance(column.parent, exp.Select) else column.parent or column
            detail = f"`{_brief(used)}`: a member_id is for joins; what is told is accountable's `patient`"
            yield Issue(code="rule-invalid", place=place, detail=detail)
    for alias in tree.find_all(exp.Alias):
        if alias.alias == "member_id" and id(alias.parent) not in outer and _key(alias.this) is None:
            yield Issue(code="rule-invalid", place=place, detail=f"`{_brief(alias)}`: only a member_id is a member_id")


def _outer(tree: exp.Expr) -> Iterator[exp.Expr]:
    """The SELECTs whose rows are those of the statement."""
    if isinstance(tree, exp.Union):
        yield from _outer(tree.this)
        yield from _outer(tree.expression)
    else:
        yield tree


def _joins(column: exp.Column, outer: set[int]) -> bool:
    """Whether a member_id stands where a number would do as well as a text."""
    parent = column.parent
    if isinstance(parent, exp.EQ):
        return _key(parent.this) is not None and _key(parent.expression) is not None
    if isinstance(parent, exp.Alias):
        return parent.alias == "member_id" and id(parent.parent) not in outer
    if isinstance(parent, exp.Select):
        return id(parent) not in outer
    return isinstance(parent, exp.Is | exp.Group | exp.Count | exp.Distinct)


def _key(node: exp.Expr) -> exp.Column | None:
    return node if isinstance(node, exp.Column) and node.name == "member_id" else None


def _program_issues(rules: Rules, program: Program, place: str) -> Iterator[Issue]:
    for name, values in program.parameters.items():
        rule = rules.rules.get(name)
        problem = ("no such rule" if rule is None else "only rules about members" if rule.subject != "member"
                   else "" if MEMBER_PROGRAM in rules.tables else f"the shared table {MEMBER_PROGRAM} is missing")
        if rule is None or problem:
            yield Issue(code="rule-invalid", place=f"{place}.parameters.{name}", detail=problem)
            continue
        for parameter, value in values.items():
            known = rule.parameters.get(parameter)
            detail = ("the rule has no such parameter" if known is None else
                      "" if type(value) is type(known.default) else "its value is of another type than the default")
            if detail:
                yield Issue(code="rule-invalid", place=f"{place}.parameters.{name}.{parameter}", detail=detail)


def _verdicts(tree: exp.Query) -> set[str]:
    """The codes that the columns named verdict can take."""
    codes: set[str] = set()
    for alias in tree.find_all(exp.Alias):
        if alias.alias == "verdict":
            codes |= {literal.this for literal in _results(alias.this)}
    return codes


def _results(node: exp.Expr) -> Iterator[exp.Literal]:
    if isinstance(node, exp.Literal):
        yield node
    elif isinstance(node, exp.Case):
        for branch in [*(branch.args["true"] for branch in node.args["ifs"]), node.args.get("default")]:
            if branch is not None:
                yield from _results(branch)
    elif isinstance(node, exp.Coalesce):
        for part in (node.this, *node.expressions):
            yield from _results(part)


def _brief(node: exp.Expr) -> str:
    text = node.sql(dialect=WRITTEN_IN)
    return text if len(text) <= 60 else f"{text[:57]}..."
