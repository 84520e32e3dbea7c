"""Where a report's statement runs: our own store, or DuckDB over a snapshot's Parquet files.

`answer` are the rules' answers at each instant that is judged, `verdict` what the rules' files say of them, FACT the rows of
the report's own statement: figures are counted of them, and opened down to them. They stand for one question, and go with it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import Connection, CursorResult

from adapter.gaps import population
from adapter.gaps.catalog import Catalog
from adapter.gaps.engine import evaluate
from adapter.gaps.population import Question
from adapter.gaps.rules import Rules
from adapter.gaps.snapshot import Snapshot, quoted
from adapter.gaps.statement import Dialect
from adapter.gaps.tables import PREFIX
from adapter.reports.definitions import Answers

if TYPE_CHECKING:
    import duckdb

ANSWER = {"month": "BIGINT", "rule": "TEXT", "member_id": "TEXT", "organization_id": "TEXT", "item": "TEXT", "state": "TEXT",
          "reason": "TEXT", "verdict": "TEXT", "due": "BIGINT", "evidence": "TEXT", "responsible_org": "TEXT",
          "responsible_party": "TEXT"}
"""Columns of `answer`. month: as the calendar counts, the one that is judged. member_id: null where the rule is about
organizations, and organization_id where it is about members. due: seconds since 1970 UTC."""
VERDICT = {"rule": "TEXT", "verdict": "TEXT", "title": "TEXT", "urgency": "TEXT", "pressing": "BIGINT", "text": "TEXT",
           "closes": "TEXT"}
"""Columns of `verdict`: what a rule's file says of each. pressing: 0 urgent, 1 soon, 2 routine."""
FROZEN = {"month": "BIGINT", "measure": "TEXT", "organization": "TEXT", "area": "TEXT", "member_id": "TEXT",
          "numerator": "BIGINT", "finding": "TEXT", "evidence": "TEXT"}
"""Columns of `frozen`: the rows of months that were frozen, as they were."""
FROZEN_MONTH = {"month": "BIGINT"}
"""Columns of `frozen_month`: the months that were frozen."""
PLAN = {"plan": "BIGINT", "organization": "TEXT", "measure": "TEXT", "status": "TEXT", "goal": "TEXT", "owner": "TEXT",
        "review": "BIGINT", "actions": "BIGINT", "result": "TEXT"}
"""Columns of `improvement_plan`: plans as they are now. review: day of the next one, since 1970."""
LIFE = {"rule": "TEXT", "subject": "TEXT", "item": "TEXT", "assigned": "TEXT", "snoozed": "BIGINT", "snooze_reason": "TEXT"}
"""Columns of `gap_life`: gaps that somebody took on or that are put off, as they are kept now. subject: `Patient/<id>` or
`Organization/<id>`. snoozed: until when, seconds since 1970 UTC."""
RENAMED = {"answer": "report_answer", "verdict": "report_verdict", "frozen": "report_frozen",
           "frozen_month": "report_frozen_month", "improvement_plan": "report_plan", "gap_life": "report_life"}
FACT = "report_fact"
OPENED = "report_opened"
"""The rows that the counts of a list open down to."""
_PRESSING = {"urgent": 0, "soon": 1, "routine": 2}
_AT_ONCE = 500

Row = tuple[Any, ...]


class Tables(Protocol):
    """Where statements run."""

    @property
    def dialect(self) -> Dialect:
        """Of its SQL."""
        ...

    def rows(self, statement: str) -> list[Row]:
        """The rows of a SELECT without binds."""
        ...

    def keep(self, table: str, statement: str) -> None:
        """Keep the rows of a SELECT as a table: FACT, or a shared table that it reads."""
        ...

    def answers(self, rules: Rules, catalog: Catalog, wanted: Answers, judged: Mapping[int, datetime]) -> None:
        """Fill `answer` and `verdict`. judged: each month, and the instant at which it is judged."""
        ...

    def frozen(self, months: Collection[int], rows: Sequence[Row]) -> None:
        """Fill `frozen_month` and `frozen`. rows: their values in the order of FROZEN."""
        ...

    def plans(self, rows: Sequence[Row]) -> None:
        """Fill `improvement_plan`. rows: their values in the order of PLAN."""
        ...

    def lives(self, rows: Sequence[Row]) -> None:
        """Fill `gap_life`. rows: their values in the order of LIFE."""
        ...


@contextmanager
def of_store(connection: Connection) -> Generator[Tables]:
    """The tables of our own store; nothing of it is changed."""
    if connection.dialect.name == "postgresql":  # as in engine.py: it would loop over everybody, and compile
        connection.exec_driver_sql("SET LOCAL enable_nestloop = off; SET LOCAL jit = off")
    made = _Store(connection, [])
    yield made
    for table in reversed(made.kept):
        connection.exec_driver_sql(f"DROP TABLE {table}")


@dataclass(slots=True)
class _Store:
    connection: Connection
    kept: list[str]

    @property
    def dialect(self) -> Dialect:
        return "sqlite" if self.connection.dialect.name == "sqlite" else "postgres"

    def rows(self, statement: str) -> list[Row]:
        return [tuple(row) for row in self._run(statement)]

    def keep(self, table: str, statement: str) -> None:
        self.kept.append(table)
        self._run(f"CREATE TEMPORARY TABLE {table} AS {statement}")
        if "member_id" in self._run(f"SELECT * FROM {table} WHERE 1 = 0").keys():  # noqa: SIM118 - a result, not a dict
            self.connection.exec_driver_sql(f"CREATE INDEX {table}_member ON {table} (member_id)")
        self.connection.exec_driver_sql(f"ANALYZE {table}")

    def _run(self, statement: str) -> CursorResult[Any]:
        """Run a statement whose values are literals: a `%` in one of them is none of the driver's."""
        return self.connection.exec_driver_sql(statement, execution_options={"no_parameters": True})

    def answers(self, rules: Rules, catalog: Catalog, wanted: Answers, judged: Mapping[int, datetime]) -> None:
        self._make("answer", ANSWER)
        for month, moment in judged.items():
            for rule in wanted.rules or [None]:
                found = evaluate(self.connection, now=moment, rule=rule, states=wanted.states, rules=rules, catalog=catalog)
                self._put("answer", ((month, gap.rule, gap.member_id or None, gap.organization_id or None, gap.item, gap.state,
                                      gap.reason, gap.verdict, int(gap.due.timestamp()) if gap.due else None,
                                      " ".join(gap.evidence), gap.responsible_org or None, gap.responsible_party or None)
                                     for gap in found))
        self._make("verdict", VERDICT)
        self._put("verdict", verdicts(rules))

    def frozen(self, months: Collection[int], rows: Sequence[Row]) -> None:
        self._make("frozen_month", FROZEN_MONTH)
        self._put("frozen_month", [(month,) for month in months])
        self._make("frozen", FROZEN)
        self._put("frozen", rows)

    def plans(self, rows: Sequence[Row]) -> None:
        self._make("improvement_plan", PLAN)
        self._put("improvement_plan", rows)

    def lives(self, rows: Sequence[Row]) -> None:
        self._make("gap_life", LIFE)
        self._put("gap_life", rows)

    def _make(self, name: str, columns: Mapping[str, str]) -> None:
        listed = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        self.kept.append(RENAMED[name])
        self.connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {RENAMED[name]} ({listed})")

    def _put(self, name: str, rows: Iterable[Row]) -> None:
        found = list(rows)
        mark = "?" if self.dialect == "sqlite" else "%s"
        for at in range(0, len(found), _AT_ONCE):
            marks = ", ".join([mark] * len(found[0]))
            self.connection.exec_driver_sql(f"INSERT INTO {RENAMED[name]} VALUES ({marks})", found[at:at + _AT_ONCE])


def verdicts(rules: Rules) -> list[Row]:
    """The rows of `verdict`."""
    return [(rule.id, code, rule.title, rule.urgency, _PRESSING[rule.urgency], verdict.text, verdict.closes)
            for rule in rules.rules.values() for code, verdict in rule.verdicts.items()]


@contextmanager
def of_snapshot(snapshot: Snapshot, catalog: Catalog, *, memory: str = population.MEMORY,
                threads: int | None = None) -> Generator[Tables]:
    """The tables of a snapshot in DuckDB. memory: what it may take, beyond which it uses the disk."""
    with tempfile.TemporaryDirectory(prefix="careloop-report-") as space, \
            population.database(memory, threads) as database:
        for name in catalog.tables:
            database.execute(f"CREATE VIEW {PREFIX}{name} AS {population.rows(snapshot, catalog, name, None)}")
        yield _Duck(database, snapshot, Path(space), memory, threads)


@dataclass(slots=True)
class _Duck:
    database: duckdb.DuckDBPyConnection
    snapshot: Snapshot
    space: Path
    memory: str
    threads: int | None

    @property
    def dialect(self) -> Dialect:
        return "duckdb"

    def rows(self, statement: str) -> list[Row]:
        return self.database.execute(statement).fetchall()

    def keep(self, table: str, statement: str) -> None:
        self.database.execute(f"CREATE TEMPORARY TABLE {table} AS {statement}")

    def answers(self, rules: Rules, catalog: Catalog, wanted: Answers, judged: Mapping[int, datetime]) -> None:
        parts = [self._answered(rules, catalog, wanted, month, moment) for month, moment in judged.items()]
        none = ", ".join(f"CAST(NULL AS {kind}) AS {column}" for column, kind in ANSWER.items())
        self.database.execute(f"CREATE TEMPORARY TABLE {RENAMED['answer']} AS "
                              + " UNION ALL ".join([*parts, f"SELECT {none} WHERE 1 = 0"]))
        self._fill("verdict", VERDICT, verdicts(rules))

    def frozen(self, months: Collection[int], rows: Sequence[Row]) -> None:
        self._fill("frozen_month", FROZEN_MONTH, [(month,) for month in months])
        self._fill("frozen", FROZEN, rows)

    def plans(self, rows: Sequence[Row]) -> None:
        self._fill("improvement_plan", PLAN, rows)

    def lives(self, rows: Sequence[Row]) -> None:
        self._fill("gap_life", LIFE, rows)

    def _fill(self, name: str, columns: Mapping[str, str], rows: Sequence[Row]) -> None:
        listed = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        self.database.execute(f"CREATE TEMPORARY TABLE {RENAMED[name]} ({listed})")
        if rows:
            self.database.executemany(f"INSERT INTO {RENAMED[name]} VALUES ({', '.join('?' * len(columns))})", list(rows))

    def _answered(self, rules: Rules, catalog: Catalog, wanted: Answers, month: int, moment: datetime) -> str:
        """A SELECT of the answers at one instant, which are written as files: there may be more than memory holds."""
        folder = self.space / str(month)
        for rule in wanted.rules or [None]:
            question: Question = population.question(
                now=moment, rule=rule, states=wanted.states, rules=rules, catalog=catalog, memory=self.memory,
                threads=self.threads)
            population.write(self.snapshot, question, folder)
        empty = ("member_id", "organization_id", "responsible_org", "responsible_party")
        columns = [f"NULLIF({name}, '') AS {name}" if name in empty else name for name in list(ANSWER)[1:]]
        return f"SELECT {month} AS month, {', '.join(columns)} FROM read_parquet({quoted(folder / '*.parquet')})"


def count_by(table: str, columns: Sequence[str], counted: Mapping[str, str]) -> str:
    """A SELECT of FACT or OPENED: columns by which it is counted, and what is counted, name to expression."""
    what = ", ".join([*columns, *(f"{expression} AS {name}" for name, expression in counted.items())])
    return f"SELECT {what} FROM {table}" + (f" GROUP BY {', '.join(columns)}" if columns else "")
