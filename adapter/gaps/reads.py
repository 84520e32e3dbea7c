"""What a rule's statement reads: views, the calendar's tables, shared tables and those that these read; and columns.

A statement is parsed once; whoever changes what came of it has a copy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from adapter.errors import Defect
from adapter.gaps.catalog import Catalog
from adapter.gaps.rules import Rule, Rules

WRITTEN_IN = "postgres"

MEMBER_PROGRAM = "member_program"
"""The shared table that says which programs a member belongs to."""


def parse_statement(text: str, place: str) -> exp.Query:
    """The tree of a statement, one's own to change. Raises Defect (rule-invalid) where it is not one SELECT."""
    return _parsed(text, place).copy()


def _parsed(text: str, place: str) -> exp.Query:
    try:
        trees = _trees(text)
    except SqlglotError as error:
        raise Defect("rule-invalid", place, str(error).splitlines()[0]) from error
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise Defect("rule-invalid", place, "one SELECT is expected")
    return trees[0]


@lru_cache(maxsize=512)
def _trees(text: str) -> Sequence[exp.Expr | None]:
    """Parsed once, wherever it stands: parsing all rules takes a third of a second."""
    return sqlglot.parse(text, read=WRITTEN_IN)


def tables_read(tree: exp.Query) -> set[str]:
    """Tables that a statement names, its own WITH tables apart."""
    return {table.name for table in tree.find_all(exp.Table)} - {cte.alias for cte in tree.find_all(exp.CTE)}


def shared_read(rules: Rules, text: str) -> list[str]:
    """The shared tables that a statement reads, and those that these read, in the order in which they can be made."""
    found = set(_read(text))
    for name in reversed(rules.tables):
        if name in found:
            found |= _read(rules.tables[name].statement)
    return [name for name in rules.tables if name in found]


def everything_read(rules: Rules, catalog: Catalog, chosen: Sequence[Rule]) -> tuple[list[str], list[str]]:
    """What rules read: the views and the calendar's tables, and the shared tables in the order in which they can be made.

    The views that name the subjects, `member` and `organization`, are always there.
    """
    found, _ = _all_read(rules, chosen)
    return sorted(found & set(catalog.tables)), [name for name in rules.tables if name in found]


def columns_read(rules: Rules, chosen: Sequence[Rule]) -> frozenset[str]:
    """Names of all columns that rules and the shared tables of theirs read, of whichever table."""
    _, texts = _all_read(rules, chosen)
    return frozenset(("resource_id", "member_id")).union(*map(_columns, texts))


def times_read(rules: Rules, chosen: Sequence[Rule]) -> Counter[str]:
    """How often rules and the shared tables of theirs name each table."""
    _, texts = _all_read(rules, chosen)
    return sum((_mentioned(text) for text in texts), Counter[str]())


def _all_read(rules: Rules, chosen: Sequence[Rule]) -> tuple[set[str], list[str]]:
    """Every table that rules read, and the statements by which: theirs, and those of shared tables."""
    texts = [rule.statement for rule in chosen]
    found = {"member", "organization"}.union(*map(_read, texts))
    if any(rules.programs_of(rule) for rule in chosen):
        found.add(MEMBER_PROGRAM)
    for name in reversed(rules.tables):
        if name in found:
            texts.append(rules.tables[name].statement)
            found |= _read(rules.tables[name].statement)
    return found, texts


@lru_cache(maxsize=512)
def _read(statement: str) -> frozenset[str]:
    return frozenset(tables_read(_parsed(statement, "statement")))


@lru_cache(maxsize=512)
def _mentioned(statement: str) -> Counter[str]:
    return Counter(table.name for table in _parsed(statement, "statement").find_all(exp.Table))


@lru_cache(maxsize=512)
def _columns(statement: str) -> frozenset[str]:
    return frozenset(column.name for column in _parsed(statement, "statement").find_all(exp.Column))
