"""Gaps of everybody at once, by DuckDB in this process: the rules' own statements over a snapshot's Parquet files.

Bucket by bucket the tables of some members are read once, the shared tables are made once, and every rule goes over
them; rules about organizations follow over all buckets. So memory stays that of one bucket, whoever many members there are.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapter.gaps.catalog import Catalog, open_catalog
from adapter.gaps.engine import Gap, gaps_of, in_order, instants, statements
from adapter.gaps.rules import Rule, Rules, State, open_rules
from adapter.gaps.snapshot import Snapshot, quoted, sql_type
from adapter.gaps.statement import COLUMNS, SHARED_PREFIX, Target, columns_of, compile_shared, everything_read
from adapter.gaps.tables import PREFIX

if TYPE_CHECKING:
    import duckdb

MEMORY = "1GB"
AT_ONCE = 2
"""How many statements run at once: one alone leaves cores idle, for the tables of a bucket are a row group or two."""
_EVERYBODY = "everybody"  # schema of the tables of all members
Run = tuple[str, Rule, str]
"""A name of its own, a rule, and a statement of it."""

_BIND = re.compile(r"\$(now|today|organization)\b")

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


def question(*, now: datetime, organization: str | None = None, rule: str | None = None,
             states: Collection[State] | None = None, denied: Collection[str] = (), rules: Rules | None = None,
             catalog: Catalog | None = None, memory: str = MEMORY, threads: int | None = None) -> Question:
    """A question with the installation's rules and views where no others are given."""
    return Question(now=now, organization=organization, rule=rule, states=None if states is None else frozenset(states),
                    denied=frozenset(denied), rules=rules or open_rules(), catalog=catalog or open_catalog(), memory=memory,
                    threads=threads)


def evaluate(snapshot: Snapshot, asked: Question) -> list[Gap]:
    """The gaps as engine.evaluate gives them for everybody. For many members use `write`, which keeps them out of memory."""
    gaps: list[Gap] = []
    with database(asked.memory, asked.threads) as made:
        for part in _parts(made, snapshot, asked):
            for _, rule, statement in part:
                gaps += gaps_of(rule, made.execute(statement).fetchall())
    return in_order(gaps)


def write(snapshot: Snapshot, asked: Question, out: Path) -> int:
    """Write the gaps into the folder `out` as Parquet files (columns RESULT), in no order; how many there are."""
    out.mkdir(parents=True, exist_ok=True)
    count = 0
    with database(asked.memory, asked.threads) as made, ThreadPoolExecutor(AT_ONCE) as pool:
        for part in _parts(made, snapshot, asked):
            count += sum(pool.map(partial(_written, made, out), part))
    return count


def _written(made: duckdb.DuckDBPyConnection, out: Path, run: Run) -> int:
    """Write what a statement says, on a connection of its own; how many rows."""
    name, rule, statement = run
    with made.cursor() as own:
        if rule.subject != "member":
            own.execute(f"SET schema = '{_EVERYBODY}'")
        to = quoted(out / f"{name}.parquet")
        written = own.execute(f"COPY ({result(rule, statement)}) TO {to} (FORMAT parquet)").fetchone()
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


def _parts(database: duckdb.DuckDBPyConnection, snapshot: Snapshot, asked: Question) -> Iterator[list[Run]]:
    """The statements of a bucket, then those of organizations, while the tables that they read stand."""
    chosen = asked.chosen(snapshot)
    about_members = [rule for rule in chosen if rule.subject == "member"]
    others = [rule for rule in chosen if rule.subject != "member"]
    for bucket in range(snapshot.buckets if about_members else 0):
        _stand(database, snapshot, asked, about_members, bucket)
        yield list(_statements(asked, about_members, f"{bucket:04}"))
    if others:
        for table in database.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            database.execute(f"DROP TABLE {table[0]}")  # of the last bucket: their memory is needed
        database.execute(f"CREATE SCHEMA {_EVERYBODY}; SET schema = '{_EVERYBODY}'")
        _stand(database, snapshot, asked, others, None)
        yield list(_statements(asked, others, "all"))


def _statements(asked: Question, chosen: list[Rule], part: str) -> Iterator[Run]:
    target = Target(dialect="duckdb", states=asked.states, one_organization=asked.organization is not None, shared_stored=True)
    for rule in chosen:
        found = [withheld(rule)] if asked.withheld(rule) else statements(asked.rules, asked.catalog, rule, target)
        for number, statement in enumerate(found):
            yield f"{rule.id}-{part}-{number}", rule, bound(statement, asked.binds())


def _stand(database: duckdb.DuckDBPyConnection, snapshot: Snapshot, asked: Question, chosen: list[Rule],
           bucket: int | None) -> None:
    """Make the tables that the rules read: of one bucket in memory, or of all as views of the files."""
    kind = "VIEW" if bucket is None else "TABLE"
    views, shared = everything_read(asked.rules, asked.catalog, chosen)
    for name in views:
        select = rows(snapshot, asked.catalog, name, bucket)
        database.execute(f"CREATE OR REPLACE {kind} {PREFIX}{name} AS {select}")
    for name in shared:
        select = bound(compile_shared(asked.rules, asked.catalog, name, "duckdb"), asked.binds())
        database.execute(f"CREATE OR REPLACE TABLE {SHARED_PREFIX}{name} AS {select}")


def rows(snapshot: Snapshot, catalog: Catalog, name: str, bucket: int | None) -> str:
    """A SELECT of a table's rows: of one bucket, or of all."""
    files = snapshot.files(catalog, name, bucket)
    if not files:
        columns = (f"CAST(NULL AS {sql_type(column)}) AS {column.name}" for column in catalog.tables[name])
        return f"SELECT {', '.join(columns)} WHERE 1 = 0"
    listed = ", ".join(quoted(file) for file in files)
    return f"SELECT * FROM read_parquet([{listed}], hive_partitioning = false)"


def bound(statement: str, binds: Mapping[str, Any]) -> str:
    """The statement with its binds as literals: DuckDB makes no table of a statement that has binds."""
    return _BIND.sub(lambda match: _literal(binds[match[1]]), statement)


def _literal(value: object) -> str:
    return str(value) if isinstance(value, int) else quoted(value)


def withheld(rule: Rule) -> str:
    table, subject = ("member", "member_id") if rule.subject == "member" else ("organization", "organization_id")
    return (f"SELECT resource_id AS {subject}, '' AS item, 'withheld' AS verdict, CAST(NULL AS BIGINT) AS due, '' AS evidence, "
            f"CAST(NULL AS VARCHAR(9)) AS responsible_org, CAST(NULL AS VARCHAR(9)) AS responsible_party FROM {PREFIX}{table}")


def result(rule: Rule, statement: str) -> str:
    """The statement's rows with all columns of RESULT, for DuckDB and Spark alike."""
    subject = columns_of(rule.subject)[0]
    other = "organization_id" if subject == "member_id" else "member_id"
    states = " ".join(f"WHEN {quoted(code)} THEN {quoted(verdict.state)}" for code, verdict in rule.verdicts.items())
    reasons = " ".join(f"WHEN {quoted(code)} THEN {quoted(verdict.reason)}" for code, verdict in rule.verdicts.items()
                       if verdict.reason)
    columns = {"rule": quoted(rule.id), subject: f"gap.{subject}", other: "''",
               "state": f"CASE gap.verdict {states} ELSE 'withheld' END",
               "reason": f"CASE gap.verdict {reasons} END" if reasons else "CAST(NULL AS VARCHAR(9))",
               **{name: f"gap.{name}" for name in COLUMNS}}
    return f"SELECT {', '.join(f'{columns[name]} AS {name}' for name in RESULT)} FROM ({statement}) AS gap"
