"""What tests of reports share: a network loaded once, its resources, a report asked of it on either engine."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from sqlalchemy import Connection, select

from adapter.gaps import snapshot
from adapter.gaps.catalog import open_catalog
from adapter.gaps.engine import Gap, evaluate
from adapter.reports.asked import asked
from adapter.reports.definitions import open_reports
from adapter.reports.run import Answered, answer
from adapter.reports.tables import Tables, of_snapshot, of_store
from adapter.store.schema import RESOURCE
from tests.unit.gap_checks import answer as gap_answer
from tests.unit.gap_oracle import Answer, Resource


def ask(tables: Tables, name: str, now: datetime, first: date | None = None, last: date | None = None, *,
        smallest: int = 0, **where: str) -> Answered:
    """A report asked. smallest: instead of its own."""
    report = open_reports().reports[name]
    if smallest:
        report = replace(report, smallest=smallest, opens=report.opens and replace(report.opens, smallest=smallest))
    return answer(tables, report, asked(report, open_catalog(), now, first=first, last=last, **where))


def of(connection: Connection, name: str, now: datetime, first: date | None = None, last: date | None = None, *,
       smallest: int = 0, **where: str) -> Answered:
    """A report of the store."""
    with of_store(connection) as tables:
        return ask(tables, name, now, first, last, smallest=smallest, **where)


@contextmanager
def duck(connection: Connection) -> Generator[Tables]:
    """The store's tables in DuckDB."""
    with TemporaryDirectory() as space, of_snapshot(snapshot.of_store(connection, Path(space)), open_catalog()) as tables:
        yield tables


def standing(connection: Connection) -> list[Resource]:
    """Every resource that stands."""
    rows = connection.execute(select(RESOURCE).where(RESOURCE.c.deleted == 0))
    return [{**orjson.loads(row.body), "resourceType": row.resource_type, "id": row.id} for row in rows]


def gaps(connection: Connection, now: datetime) -> list[Answer]:
    """The rules' answers, as the oracle says them."""
    found: list[Gap] = evaluate(connection, now=now)
    return [gap_answer(gap) for gap in found]


def plain(value: Any) -> Any:
    """'' for what is missing."""
    return "" if value is None else value
