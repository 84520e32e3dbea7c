"""Months of reports that were frozen, and the rows as they were. All SQL of this subject. What is frozen is never changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from adapter.store.resources import lock_writes
from adapter.store.schema_gaps import REPORT_FREEZE, REPORT_FROZEN_ROW

COLUMNS = ("month", "measure", "organization", "area", "member_id", "numerator", "finding", "evidence")
"""Columns of a row that is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """A month that was frozen. month: 12 a year, since the year 0; at: microseconds since 1970 UTC; actor: who did it."""

    report: str
    month: int
    at: int
    actor: str


def freezes(connection: Connection, report: str) -> list[Freeze]:
    """The months of a report that are frozen, the earliest first."""
    query = select(REPORT_FREEZE).where(REPORT_FREEZE.c.report == report).order_by(REPORT_FREEZE.c.month)
    return [Freeze(**dict(row)) for row in connection.execute(query).mappings()]


def rows(connection: Connection, report: str, month: int) -> list[tuple[Any, ...]]:
    """What is kept of a month, values in the order of COLUMNS."""
    kept = REPORT_FROZEN_ROW.c
    query = select(*(kept[name] for name in COLUMNS)).where(kept.report == report, kept.month == month)
    return [tuple(row) for row in connection.execute(query)]


def keep(connection: Connection, freeze: Freeze, found: Sequence[Mapping[str, Any]]) -> bool:
    """Freeze a month; False where it is frozen. found: its rows, each with the names of COLUMNS but for month."""
    lock_writes(connection)
    if any(one.month == freeze.month for one in freezes(connection, freeze.report)):
        return False
    connection.execute(insert(REPORT_FREEZE).values(report=freeze.report, month=freeze.month, at=freeze.at, actor=freeze.actor))
    if found:
        connection.execute(insert(REPORT_FROZEN_ROW),
                           [{**row, "report": freeze.report, "month": freeze.month} for row in found])
    return True
