"""Notices that are kept no longer, and the events that subscribers had of them. All SQL of this subject.

Numbers are never used again: the newest notice is always kept, and a subscription counts its events by itself.
"""

from __future__ import annotations

from sqlalchemy import Connection, and_, case, delete, exists, func, select, update

from adapter.store import journal
from adapter.store.contributions import chunks
from adapter.store.schema_gaps import NOTICE, SUBSCRIPTION, SUBSCRIPTION_EVENT

_CHUNK = 300
_PRUNED = "notices:pruned"
_GOES_ON = ("admitted", "transferred", "discharge-cancelled")
"""What was told last of a stay that goes on: that it was told decides what is told next."""


def prune(connection: Connection, before_us: int, limit: int = 1000) -> int:
    """Forget the oldest notices of before an instant, so many at most; how many. Their events count as sent.

    Kept are the newest notice, and the last one of each stay that goes on.
    """
    later = NOTICE.alias()
    newest = connection.scalar(select(func.max(NOTICE.c.seq))) or 0
    goes_on = and_(NOTICE.c.topic == "encounter-start-end", NOTICE.c.what.in_(_GOES_ON),
                   ~exists().where(later.c.focus == NOTICE.c.focus, later.c.seq > NOTICE.c.seq))
    old = list(connection.scalars(select(NOTICE.c.seq).where(
        NOTICE.c.seq < newest, NOTICE.c.at < before_us, ~goes_on).order_by(NOTICE.c.seq).limit(limit)))
    if not old:
        return 0
    _forget_events(connection, old[-1])
    for chunk in chunks(old, _CHUNK):
        connection.execute(delete(NOTICE).where(NOTICE.c.seq.in_(chunk)))
    journal.set_cursor(connection, _PRUNED, str(max(old[-1], pruned(connection))))
    return len(old)


def pruned(connection: Connection) -> int:
    """Number of the last notice up to which some are not kept any more; 0 where all are."""
    return int(journal.cursor(connection, _PRUNED) or 0)


def first_event(connection: Connection, subscription_id: str, events: int) -> int:
    """Number of the first event of a subscription that is kept, of so many that there were."""
    e = SUBSCRIPTION_EVENT.c
    return connection.scalar(select(func.min(e.number)).where(e.subscription == subscription_id)) or events + 1


def _forget_events(connection: Connection, seq: int) -> None:
    """Forget the events of notices up to a number."""
    e, s = SUBSCRIPTION_EVENT.c, SUBSCRIPTION.c
    last = select(e.subscription, func.max(e.number).label("number")).where(e.notice <= seq).group_by(e.subscription)
    for subscription, number in connection.execute(last).all():
        connection.execute(delete(SUBSCRIPTION_EVENT).where(e.subscription == subscription, e.number <= number))
        connection.execute(update(SUBSCRIPTION).where(s.id == subscription).values(
            sent=case((s.sent < number, number), else_=s.sent)))
