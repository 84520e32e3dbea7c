"""Gaps of everybody at once, by DuckDB in this process: the rules' own statements over a snapshot's Parquet files.

Bucket by bucket the tables of some members are read once, the shared tables are made once, and every rule goes over
them; rules about organizations follow over all buckets. So memory stays that of few buckets, however many members there are.
`member_id` is the member's number (snapshot.py): lint sees to it that rules only join by it. Over all buckets it is the text
where any row belongs to somebody who is no member, and so has no number.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from adapter.gaps.catalog import Catalog, open_catalog
from adapter.gaps.engine import Gap, gaps_of, in_order, instants, statements
from adapter.gaps.reads import MEMBER_PROGRAM, columns_read, everything_read, times_read
from adapter.gaps.rules import Reason, Rule, Rules, State, open_rules
from adapter.gaps.snapshot import NUMBER, Snapshot, personal, quoted, sql_type
from adapter.gaps.statement import COLUMNS, SHARED_PREFIX, Target, columns_of, compile_shared
from adapter.gaps.tables import PREFIX

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")
MEMORY = "1GB"
AT_ONCE = 2
"""How many buckets at once, each by a thread: the tables of one are a row group or two, too little for several threads."""
READ_AGAIN = 2
"""A table that is named as often as this is read each time; one that is named more often is kept in memory."""
FILES = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"
"""How gaps are written: half as large as with Snappy, and sooner."""
_BIND = re.compile(r"\$(now|today|organization)\b")

APPLYING: tuple[State, ...] = ("withheld", "closed", "prospective", "open", "missed")
"""The states but `not-applicable`, which most rules answer of most members."""
RESULT = ("rule", "member_id", "organization_id", "state", "reason", *COLUMNS)
"""Columns of the gaps that are written; due in seconds since 1970 UTC, evidence separated by spaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a population; fields as in engine.evaluate. memory: of DuckDB, beyond which it uses the disk."""

    now: datetime
    organization: str | None = None
    rule: str | None = None
    states: frozenset[State] | None = None
    denied: frozenset[str] = frozenset()
    rules: Rules
    catalog: Catalog
    memory: str = MEMORY
    threads: int | None = None

    def chosen(self, snapshot: Snapshot) -> list[Rule]:
        """The rules asked for that the snapshot can answer. Raises Rejected (unknown-rule)."""
        rules = [self.rules.named(self.rule)] if self.rule else list(self.rules.rules.values())
        told = [rule for rule in rules if snapshot.journal or not _of_journal(self, rule)]
        return [rule for rule in told if self.wants("withheld") or not self.withheld(rule)]

    def withheld(self, rule: Rule) -> bool:
        """Whether the asker may not see what the rule reads."""
        return bool(self.denied & set(rule.data_classes))

    def wants(self, state: State) -> bool:
        """Whether gaps in that state are asked for."""
        return self.states is None or state in self.states

    def binds(self) -> dict[str, Any]:
        """What the statements' binds stand for. Raises Rejected (outside-calendar)."""
        return {**instants(self.catalog, self.now), "organization": self.organization}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A statement of a rule, and a name of its own."""

    name: str
    rule: Rule
    statement: str


def question(*, now: datetime, organization: str | None = None, rule: str | None = None,
             states: Collection[State] | None = None, denied: Collection[str] = (), rules: Rules | None = None,
             catalog: Catalog | None = None, memory: str = MEMORY, threads: int | None = None) -> Question:
    """A question with the installation's rules and views where no others are given."""
    return Question(now=now, organization=organization, rule=rule, states=None if states is None else frozenset(states),
                    denied=frozenset(denied), rules=rules or open_rules(), catalog=catalog or open_catalog(), memory=memory,
                    threads=threads)


def evaluate(snapshot: Snapshot, asked: Question) -> list[Gap]:
    """The gaps as engine.evaluate gives them for everybody. For many members use `write`, which keeps them out of memory."""
    return in_order([gap for found in _each(snapshot, asked, _told) for gap in found])


def write(snapshot: Snapshot, asked: Question, out: Path) -> int:
    """Write the gaps into the folder `out` as Parquet files (columns RESULT), in no order; how many there are."""
    out.mkdir(parents=True, exist_ok=True)
    return sum(_each(snapshot, asked, partial(_written, out)))


def _told(made: duckdb.DuckDBPyConnection, run: Run) -> list[Gap]:
    return gaps_of(run.rule, made.execute(run.statement).fetchall())


def _written(out: Path, made: duckdb.DuckDBPyConnection, run: Run) -> int:
    """Write what a statement says; how many rows."""
    select = result(run.rule, run.statement, _enumerated)
    written = made.execute(f"COPY ({select}) TO {quoted(out / f'{run.name}.parquet')} ({FILES})").fetchone()
    return written[0] if written else 0


def _of_journal(asked: Question, rule: Rule) -> bool:
    return "arrival" in everything_read(asked.rules, asked.catalog, [rule])[0]


@contextmanager
def database(memory: str, threads: int | None) -> Generator[duckdb.DuckDBPyConnection]:
    """A DuckDB of one's own. memory: what it may take, beyond which it uses the disk."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="careloop-gaps-") as space, duckdb.connect() as made:
        made.execute(f"SET temp_directory = {quoted(space)}; SET memory_limit = {quoted(memory)}; "
                     "SET preserve_insertion_order = false")
        if threads:
            made.execute(f"SET threads = {threads}")
        yield made


def _each(snapshot: Snapshot, asked: Question, take: Callable[[duckdb.DuckDBPyConnection, Run], T]) -> Iterator[T]:
    """What is taken of each statement: those about members bucket by bucket, then those about organizations.

    A thread of its own compiles the statements while others already answer: that is as much as a twentieth of 1,000,000 members.
    """
    chosen = asked.chosen(snapshot)
    threads = asked.threads or os.cpu_count() or 1
    at_once = min(threads, AT_ONCE)
    with (database(asked.memory, threads - at_once + 1) as made, ThreadPoolExecutor(at_once) as pool,
          ThreadPoolExecutor(1) as compiler):
        ours, others = (_Work.begun(compiler, asked, [rule for rule in chosen if (rule.subject == "member") == about_members])
                        for about_members in (True, False))
        if ours.runs:
            for found in pool.map(partial(_part, made, snapshot, asked, ours, take), range(snapshot.buckets)):
                yield from found
        if others.runs:
            made.execute(f"SET threads = {threads}")
            yield from _part(made, snapshot, asked, others, take, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """Rules to go over, being compiled. tables: the views and shared tables that they read; runs: of each rule."""

    tables: Future[_Tables]
    runs: tuple[Future[list[Run]], ...]

    @classmethod
    def begun(cls, compiler: ThreadPoolExecutor, asked: Question, chosen: Sequence[Rule]) -> _Work:
        return cls(tables=compiler.submit(_tables, asked, chosen),
                   runs=tuple(compiler.submit(_runs, asked, rule) for rule in chosen))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tables:
    """What rules read: views, the SELECT of each shared table, names of columns, and what is named often enough to be kept."""

    views: Sequence[str]
    shared: Mapping[str, str]
    columns: frozenset[str]
    often: frozenset[str]


def _tables(asked: Question, chosen: Sequence[Rule]) -> _Tables:
    views, shared = everything_read(asked.rules, asked.catalog, chosen)
    times = times_read(asked.rules, chosen)
    often = {MEMBER_PROGRAM, *(name for name, number in times.items() if number > READ_AGAIN)}
    selects = {name: bound(compile_shared(asked.rules, asked.catalog, name, "duckdb"), asked.binds()) for name in shared}
    return _Tables(views=views, shared=selects, columns=columns_read(asked.rules, chosen), often=frozenset(often))


def _runs(asked: Question, rule: Rule) -> list[Run]:
    target = Target(dialect="duckdb", states=asked.states, one_organization=asked.organization is not None, shared_stored=True)
    found = [withheld(rule)] if asked.withheld(rule) else statements(asked.rules, asked.catalog, rule, target)
    return [Run(name=f"{rule.id}-{number}", rule=rule, statement=bound(statement, asked.binds()))
            for number, statement in enumerate(found)]


def _part(made: duckdb.DuckDBPyConnection, snapshot: Snapshot, asked: Question, work: _Work,
             take: Callable[[duckdb.DuckDBPyConnection, Run], T], bucket: int | None) -> list[T]:
    """What is taken of each statement over a bucket (None: over everybody), in a schema that stands as long."""
    part = "all" if bucket is None else f"{bucket:04}"
    with made.cursor() as own:
        own.execute(f"CREATE SCHEMA part_{part}; SET schema = 'part_{part}'")
        _stand(own, snapshot, asked, work.tables.result(), bucket)
        found = [take(own, replace(run, name=f"{run.name}-{part}")) for runs in work.runs for run in runs.result()]
        own.execute(f"SET schema = 'main'; DROP SCHEMA part_{part} CASCADE")
    return found


def _stand(database: duckdb.DuckDBPyConnection, snapshot: Snapshot, asked: Question, tables: _Tables, bucket: int | None) -> None:
    """Make the tables that the rules read: of one bucket in memory, or of all as views of the files; what is read once too."""
    numbered = bucket is not None or snapshot.all_numbered(asked.catalog, tables.views)
    for name in tables.views:
        select = rows(snapshot, asked.catalog, name, bucket, tables.columns, numbered=numbered)
        kind = "TABLE" if bucket is not None and name in tables.often else "VIEW"
        database.execute(f"CREATE {kind} {PREFIX}{name} AS {select}")
    for name, select in tables.shared.items():
        kind = "TABLE" if name in tables.often else "VIEW"
        database.execute(f"CREATE {kind} {SHARED_PREFIX}{name} AS {select}")


def rows(snapshot: Snapshot, catalog: Catalog, name: str, bucket: int | None, read: Collection[str] | None = None, *,
         numbered: bool = False) -> str:
    """A SELECT of a table's rows: of one bucket, or of all.

    read: names of the columns that are wanted. numbered: `member_id` is the member's number.
    """
    types = {column.name: sql_type(column) for column in catalog.tables[name] if read is None or column.name in read}
    by_number = numbered and personal(catalog, name)
    files = snapshot.files(catalog, name, bucket)
    if not files:
        types |= {"member_id": "INTEGER"} if by_number else {}
        return f"SELECT {', '.join(f'CAST(NULL AS {kind}) AS {column}' for column, kind in types.items())} WHERE 1 = 0"
    listed = ", ".join(quoted(file) for file in files)
    wanted = (f"{NUMBER} AS member_id" if by_number and column == "member_id" else column for column in types)
    return f"SELECT {', '.join(wanted)} FROM read_parquet([{listed}], hive_partitioning = false)"


def bound(statement: str, binds: Mapping[str, Any]) -> str:
    """The statement with its binds as literals: DuckDB makes no table of a statement that has binds."""
    return _BIND.sub(lambda match: _literal(binds[match[1]]), statement)


def _literal(value: object) -> str:
    return str(value) if isinstance(value, int) else quoted(value)


def withheld(rule: Rule) -> str:
    table, subject = ("member", "member_id") if rule.subject == "member" else ("organization", "organization_id")
    return (f"SELECT resource_id AS {subject}, '' AS item, 'withheld' AS verdict, CAST(NULL AS BIGINT) AS due, '' AS evidence, "
            f"CAST(NULL AS VARCHAR(9)) AS responsible_org, CAST(NULL AS VARCHAR(9)) AS responsible_party FROM {PREFIX}{table}")


def result(rule: Rule, statement: str, kind: Callable[[Iterable[str]], str]) -> str:
    """The statement's rows with all columns of RESULT, for DuckDB and Spark alike.

    kind: the type of a column that holds no other texts than these.
    """
    subject = columns_of(rule.subject)[0]
    other = "organization_id" if subject == "member_id" else "member_id"
    codes, states = kind([*rule.verdicts, "withheld"]), kind(get_args(State))
    reasons = kind(get_args(Reason))

    def chosen(told: Mapping[str, str], of: str, otherwise: str | None = None) -> str:
        cases = (f"WHEN {_coded(code, codes)} THEN {_coded(text, of)}" for code, text in told.items())
        return f"CASE gap.verdict {' '.join(cases)} ELSE {_coded(otherwise, of)} END" if told else _coded(otherwise, of)

    columns = {"rule": _coded(rule.id, kind([rule.id])), subject: f"gap.{subject}", other: _coded("", kind([""])),
               "state": chosen({code: verdict.state for code, verdict in rule.verdicts.items()}, states, "withheld"),
               "reason": chosen({code: verdict.reason for code, verdict in rule.verdicts.items() if verdict.reason}, reasons),
               **{name: f"gap.{name}" for name in COLUMNS}}
    told = ", ".join(f"CAST(verdict AS {codes}) AS verdict" if name == "verdict" else name for name in columns_of(rule.subject))
    wanted = ", ".join(f"{columns[name]} AS {name}" for name in RESULT)
    return f"SELECT {wanted} FROM (SELECT {told} FROM ({statement}) AS said) AS gap"


def _enumerated(texts: Iterable[str]) -> str:
    """DuckDB's type of so few texts: kept as numbers, compared and written as such, read as texts."""
    return f"ENUM({', '.join(map(quoted, texts))})"


def _coded(text: str | None, kind: str) -> str:
    return f"CAST({'NULL' if text is None else quoted(text)} AS {kind})"
