"""Figures of the work at hand for monitoring: how long the oldest has waited, lanes, refusals. Each reads and changes nothing."""

from __future__ import annotations

from sqlalchemy import Connection, case, func, select

from adapter.store.journal import FEED
from adapter.store.schema import FINDING, JOURNAL, LANE, OUTBOX

_JOURNAL_STATES = ("waiting", "failed", "held")


def oldest(connection: Connection) -> dict[tuple[str, str], int]:
    """(journal or outbox, state) to since when the oldest entry stands there, microseconds since 1970 UTC."""
    found: dict[tuple[str, str], int] = {}
    for state in _JOURNAL_STATES:
        first = select(JOURNAL.c.arrival).where(JOURNAL.c.state == state).order_by(JOURNAL.c.id).limit(1)
        if (since := connection.scalar(first)) is not None:
            found["journal", state] = since
    leaving = select(OUTBOX.c.state, func.min(OUTBOX.c.queued)).group_by(OUTBOX.c.state)
    return found | {("outbox", row[0]): row[1] for row in connection.execute(leaving)}


def lanes_by_state(connection: Connection) -> dict[str, int]:
    """How many lanes have something that waits: claimed by a process, or free. On SQLite claims are not written."""
    state = case((LANE.c.owner == "", "free"), else_="claimed")
    return {row[0]: row[1] for row in connection.execute(select(state, func.count()).group_by(state))}


def refusals(connection: Connection, after: int, last: int) -> list[tuple[str, str, str, int]]:
    """Reasons of refused messages and rows by (code, feed, event), of the findings with ids above `after` up to `last`."""
    query = select(FINDING.c.code, FEED, JOURNAL.c.event, func.count()).join(JOURNAL, JOURNAL.c.id == FINDING.c.journal).where(
        FINDING.c.id > after, FINDING.c.id <= last, FINDING.c.severity == "error", JOURNAL.c.state == "refused")
    rows = connection.execute(query.group_by(FINDING.c.code, FEED, JOURNAL.c.event))
    return [(row[0], row[1], row[2], row[3]) for row in rows]
