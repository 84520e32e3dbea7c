"""A rule's statement compiled for an engine by sqlglot: shared tables as WITH, views as tables, parameters as literals.

Statements are written in sqlglot's `postgres` dialect. For one member every view t that belongs to persons becomes
a WITH table of view_t's rows WHERE member_id = :member. `:now`, `:today`, `:member` and `:organization` stay as binds, in
the form that the engine's driver wants. In our own store `arrival` is read off the journal. Where programs set parameters of the
rule, it is compiled once for each set of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import sqlglot
from sqlglot import exp

from adapter.errors import Defect
from adapter.gaps.catalog import Catalog
from adapter.gaps.reads import MEMBER_PROGRAM, WRITTEN_IN, parse_statement, tables_read
from adapter.gaps.rules import Parameter, Rule, Rules, State, Subject, Value
from adapter.gaps.tables import ARRIVAL, PREFIX

Dialect = Literal["sqlite", "postgres", "duckdb", "spark"]

COLUMNS = ("item", "verdict", "due", "evidence", "responsible_org", "responsible_party")
"""What a rule's statement yields, in this order, after the subject's id."""

SHARED_PREFIX = "shared_"
"""A shared table `x` that stands as a table is `shared_x`."""

MINE = "my_"
"""A view's rows of the one member who is asked about; also the shared tables, where these stand for one member alone."""


def columns_of(subject: Subject) -> tuple[str, ...]:
    """The columns of a rule about such a subject: its id first."""
    return ("member_id" if subject == "member" else "organization_id", *COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a rule is compiled for: an engine; one member or all; gaps in these states; of one organization or all.

    program: 0 the members of no program that sets parameters of the rule, n those of the nth that does.
    shared_stored: the shared tables stand as tables `shared_<name>` (population.py), and are not made once more; of one member
    as `my_shared_<name>`, and what is read of views as `my_<view>` (member.py).
    """

    dialect: Dialect
    one_member: bool = False
    states: frozenset[State] | None = None
    one_organization: bool = False
    program: int = 0
    shared_stored: bool = False

    @property
    def in_store(self) -> bool:
        """Whether the engine is our own store, and no copy of its tables."""
        return self.dialect in ("sqlite", "postgres")


@lru_cache(maxsize=512)
def compile_rule(rules: Rules, catalog: Catalog, rule: Rule, target: Target) -> str:
    """The SQL of a rule for a target, compiled once. Binds: now (seconds since 1970), today (days since 1970 in the
    network's zone), member, organization.

    Raises Defect (rule-invalid).
    """
    place, programs = f"{rule.id}.yaml, statement", rules.programs_of(rule)
    tree = parse_statement(rule.statement, place)
    if programs:
        tree = _of_program(tree, rule, [program.members for program in programs], target.program)
    tree = _narrowed(tree if target.shared_stored else with_shared(rules, tree, place), rule, target)
    own = programs[target.program - 1].parameters[rule.id] if target.program else {}
    values = {name: own.get(name, p.default) for name, p in parameters_of(rules, rule).items()}
    _set_parameters(tree, values | {"zone": catalog.zone})
    _set_tables(tree, rules, catalog, target)
    return tree.sql(dialect=target.dialect)


def compile_select(rules: Rules, catalog: Catalog, text: str, place: str, *, values: Mapping[str, Value], dialect: Dialect,
                   renamed: Mapping[str, str]) -> str:
    """The SQL of any SELECT over views and shared tables, every value of it a literal, `now` and `today` too.

    The shared tables stand as tables `shared_<name>` (shared_read says which). renamed: other tables that it may read, and what
    they are called. Raises Defect (rule-invalid).
    """
    tree = parse_statement(text, place)
    _set_parameters(tree, values)
    own = {cte.alias for cte in tree.find_all(exp.CTE)}
    for table in list(tree.find_all(exp.Table)):
        if table.name in renamed and table.name not in own:
            table.replace(exp.alias_(exp.to_table(renamed[table.name]), table.alias_or_name, table=True))
    _set_tables(tree, rules, catalog, Target(dialect=dialect, shared_stored=True))
    return tree.sql(dialect=dialect)


@lru_cache(maxsize=512)
def compile_shared(rules: Rules, catalog: Catalog, name: str, dialect: Dialect, one_member: bool = False) -> str:
    """The SELECT of a shared table over the views and the shared tables above it, which stand as Target.shared_stored says."""
    tree = parse_statement(rules.tables[name].statement, f"shared.yaml, tables.{name}.statement")
    _set_parameters(tree, {name: p.default for name, p in rules.parameters.items()} | {"zone": catalog.zone})
    _set_tables(tree, rules, catalog, Target(dialect=dialect, one_member=one_member, shared_stored=True))
    return tree.sql(dialect=dialect)


def with_shared(rules: Rules, tree: exp.Query, place: str) -> exp.Query:
    """The statement with the shared tables that it reads, and those that these read, as its first WITH tables."""
    needed: dict[str, exp.Query] = {}

    def need(query: exp.Query) -> None:
        for name in tables_read(query):
            if name in rules.tables and name not in needed:
                table = parse_statement(rules.tables[name].statement, f"shared.yaml, tables.{name}.statement")
                need(table)
                needed[name] = table

    need(tree)
    own = list(tree.ctes)
    clash = {cte.alias for cte in own} & set(rules.tables)
    if clash:
        raise Defect("rule-invalid", place, f"`{clash.pop()}` is a shared table")
    tree.set("with_", None)
    for name, table in needed.items():
        tree = tree.with_(name, as_=table, copy=False)
    for cte in own:
        tree = tree.with_(cte.alias, as_=cte.this, copy=False)
    return tree


def parameters_of(rules: Rules, rule: Rule) -> dict[str, Parameter]:
    """The parameters a rule's statement may name: its own and the shared ones."""
    return {**rules.parameters, **rule.parameters}


def _set_parameters(tree: exp.Query, values: Mapping[str, Value]) -> None:
    for bind in list(tree.find_all(exp.Placeholder)):
        name = bind.name
        if name in values:
            value = values[name]
            literals = [_literal(v) for v in value] if isinstance(value, list) else [_literal(value)]
            _replace(bind, literals)
        elif name in ("now", "today"):
            bind.replace(exp.cast(exp.Placeholder(this=name), "BIGINT"))


def _replace(bind: exp.Expr, literals: list[exp.Expr]) -> None:
    """A list takes the bind's place within IN (...)."""
    if isinstance(bind.parent, exp.In) and bind.arg_key == "expressions":
        others = [e for e in bind.parent.expressions if e is not bind]
        bind.parent.set("expressions", [*others, *literals])
    else:
        bind.replace(literals[0])


def _literal(value: int | str) -> exp.Expr:
    return exp.Literal.number(value) if isinstance(value, int) else exp.Literal.string(value)


def _set_tables(tree: exp.Query, rules: Rules, catalog: Catalog, target: Target) -> None:
    own, mine = {cte.alias for cte in tree.find_all(exp.CTE)}, dict[str, exp.CTE]()
    for table in list(tree.find_all(exp.Table)):
        name, alias = table.name, table.alias_or_name
        if name in own:
            continue
        if name == "arrival" and target.in_store:
            table.replace(_arrivals(table).subquery(alias))
        elif name in catalog.tables:
            if personal := target.one_member and any(column.name == "member_id" for column in catalog.tables[name]):
                mine[name] = _of_member(name)
            table.replace(exp.alias_(exp.to_table((MINE if personal else PREFIX) + name), alias, table=True))
        elif target.shared_stored and name in rules.tables:
            prefix = MINE + SHARED_PREFIX if target.one_member else SHARED_PREFIX
            table.replace(exp.alias_(exp.to_table(prefix + name), alias, table=True))
    if mine and not target.shared_stored:
        tables = tree.args.get("with_")
        others: list[exp.Expr] = tables.expressions if tables else []
        tree.set("with_", exp.With(expressions=[*mine.values(), *others]))


def _arrivals(table: exp.Table) -> exp.Query:
    """What the journal tells; bounds that the SELECT around sets to `arrived_at` are told of the column that is indexed too."""
    query = sqlglot.parse_one(ARRIVAL, read=WRITTEN_IN, into=exp.Select)
    around = table.find_ancestor(exp.Select)
    where = around.args.get("where") if around else None
    conditions = list(where.this.flatten()) if where and isinstance(where.this, exp.And) else [where.this] if where else []
    bounds = [c for c in conditions if isinstance(c, exp.GTE | exp.LTE) and c.left.name == "arrived_at"
              and isinstance(c.left, exp.Column) and not c.right.find(exp.Column)]
    for arm in list(query.find_all(exp.Select)) if bounds else []:
        told = next(one for one in arm.selects if one.alias == "arrived_at")
        raw = next(told.find_all(exp.Column))
        for bound in bounds:
            least = isinstance(bound, exp.GTE)
            seconds = bound.right.copy() if least else bound.right.copy() + 1
            arm.where((exp.GTE if least else exp.LT)(this=raw.copy(), expression=exp.paren(seconds) * 1_000_000), copy=False)
    return query


def _of_member(name: str) -> exp.CTE:
    """The rows of one member, read once by their index: joined in place, planners would rather scan everybody's."""
    rows = exp.select("*").from_(PREFIX + name).where(exp.column("member_id").eq(exp.Placeholder(this="member")))
    return exp.CTE(this=rows, alias=exp.TableAlias(this=exp.to_identifier(MINE + name)), materialized=True)


def _narrowed(tree: exp.Query, rule: Rule, target: Target) -> exp.Query:
    if target.states is None and not target.one_organization:
        return tree
    query = _around(tree, rule.subject)
    if target.states is not None:
        query = query.where(_wanted(rule, target.states))
    if target.one_organization:
        query = query.where(exp.column("responsible_org").eq(exp.Placeholder(this="organization")))
    return query


def _wanted(rule: Rule, states: frozenset[State]) -> exp.Expr:
    """Which verdicts are in these states, by the shorter list: a long one is a join to DuckDB."""
    told = {code: exp.Literal.string(code) for code in rule.verdicts}
    wanted = [told[code] for code, verdict in rule.verdicts.items() if verdict.state in states]
    others = [told[code] for code, verdict in rule.verdicts.items() if verdict.state not in states]
    if not wanted:
        return exp.false()
    if len(wanted) <= len(others):
        return exp.column("verdict").isin(*wanted)
    return exp.not_(exp.column("verdict").isin(*others)) if others else exp.true()


def _of_program(tree: exp.Query, rule: Rule, members: list[str], program: int) -> exp.Query:
    """The gaps of the members of the nth program, or with 0 of those in none."""
    case = exp.Case()
    for number, code in enumerate(members, start=1):
        case = case.when(exp.column("program").eq(exp.Literal.string(code)), exp.Literal.number(number))
    first = (exp.select("m.resource_id AS member_id", exp.alias_(exp.Min(this=case), "program")).from_(f"{MEMBER_PROGRAM} AS p")
             .join("member AS m", on="m.member_id = p.member_id")
             .where(exp.column("program").isin(*members)).group_by("m.resource_id"))
    own = exp.func("COALESCE", exp.column("program", "own_program"), exp.Literal.number(0))
    return (_around(tree, rule.subject)
            .join(first.subquery("own_program"), on="own_program.member_id = gap.member_id", join_type="LEFT")
            .where(own.eq(exp.Literal.number(program))))


def _around(tree: exp.Query, subject: Subject) -> exp.Select:
    """SELECT ... FROM (the statement) gap, whose WITH tables go to the outer SELECT."""
    tables = tree.args.get("with_")
    tree.set("with_", None)
    query = exp.select(*(exp.column(name, "gap") for name in columns_of(subject))).from_(tree.subquery("gap"))
    query.set("with_", tables)
    return query
