"""Months of a report frozen: what is paid for stays what it was, and what is learned later is told beside it."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from adapter.errors import Rejected
from adapter.gaps.catalog import Catalog
from adapter.reports.asked import asked, month_end, month_name, month_of
from adapter.reports.definitions import Report
from adapter.reports.run import Answered, Frozen, answer
from adapter.reports.tables import FROZEN, of_store
from adapter.store import frozen as kept


def frozen_months(connection: Connection, report: Report) -> Frozen:
    """What is kept of the months of a report that were frozen."""
    return {one.month: kept.rows(connection, report.name, one.month) for one in kept.freezes(connection, report.name)}


def freeze(connection: Connection, report: Report, catalog: Catalog, first: date, now: datetime, actor: str) -> int:
    """Freeze the month that begins on `first`, by what is known now; how many rows are kept.

    Raises Rejected: month-not-over, month-frozen.
    """
    month = month_of(first)
    if month_end(month) >= now.astimezone(ZoneInfo(catalog.zone)).date():
        raise Rejected("month-not-over", month_name(month))
    question = asked(report, catalog, now, first=first, last=month_end(month))
    with of_store(connection) as tables:
        facts = answer(tables, report, question, catalog=catalog).facts
    names = [name for name in FROZEN if name != "month"]
    found = [{name: fact[name] if fact[name] is not None else "" for name in names} for fact in facts]
    freezing = kept.Freeze(report=report.name, month=month, at=round(now.timestamp() * 1_000_000), actor=actor)
    if not kept.keep(connection, freezing, found):
        raise Rejected("month-frozen", month_name(month))
    return len(found)


def adjustments(answered: Answered) -> Answered:
    """Only what is other now than it was frozen."""
    changed = [fact for fact in answered.facts if fact["adjustment"] or fact["moved"]]
    return Answered(report=answered.report, question=answered.question, facts=changed, figures=[], places=answered.places)
