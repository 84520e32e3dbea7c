"""A complete snapshot file brought into force: what it leaves out is over, in the one transaction of the caller."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection

from adapter.engine.local import compose_touched
from adapter.feeds import Feeds
from adapter.model import Outlet
from adapter.store import journal
from adapter.store.snapshots import advance, left_out, withdraw

AT_ONCE = 500
"""Statements that are ended at once: memory does not grow with what a file leaves out."""


def end_left_out(connection: Connection, feed: str, sources: Collection[str], arrival: int, feeds: Feeds, key: bytes,
                 now_us: int, outlet: Outlet | None = None) -> int:
    """End what these sources of a feed said last before a snapshot file arrived; how many statements. Its rows are in force."""
    since = advance(connection, sources, arrival)
    count = 0
    for over in left_out(connection, feed, since, arrival, AT_ONCE) if since else ():
        compose_touched(connection, over, over, feeds, key, now_us, outlet, later=True)
        count += len(over)
    return count


def withdraw_feed(connection: Connection, feed: str, feeds: Feeds, key: bytes, now_us: int, outlet: Outlet | None = None) -> int:
    """End all that a feed, with every source of it, has said until now; how many statements were in force."""
    journal.withdraw(connection, feed)
    count = 0
    for over in withdraw(connection, feed, AT_ONCE):
        compose_touched(connection, over, over, feeds, key, now_us, outlet)
        count += len(over)
    return count
