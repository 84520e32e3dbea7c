"""What happens becomes notices, and events of those who subscribed, in the transaction in which it happens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection

from adapter.engine.disclosure import Disclosures
from adapter.errors import Rejected
from adapter.gaps.life import Happening, owner_of
from adapter.gaps.task import RULES, STATES, key_of
from adapter.notices.subscription import asked_of
from adapter.notices.topics import GAP_LIFE, matches
from adapter.store import notices, subscriptions
from adapter.store.notices import Notice

_TOLD = ("active", "error")
"""States in which a subscription has events: those that happen while its receiver fails are counted, and sent later."""


def tell(connection: Connection, news: Sequence[Notice], now_us: int) -> None:
    """Store notices, each as the next event of every subscription that asks for it and may be told.

    What may not be told is no event of it: the gap in its numbers would tell.
    """
    told = notices.add(connection, news)
    disclosures = Disclosures(connection, now_us)
    for one in subscriptions.with_status(connection, _TOLD) if told else ():
        if one.status == "error" and one.due is None:  # its receiver never took the handshake
            continue
        try:
            asked = asked_of(one.body)
        except Rejected:  # what an older program took may be asking for too much of this one
            continue
        wanted = [n for n in told if n.topic == asked.topic.name and matches(n, asked.criteria)]
        allowed = [n.seq for n in wanted if disclosures.allows(n, one.recipients)]
        if allowed:
            subscriptions.add_events(connection, one.id, allowed, now_us)
        if len(allowed) < len(wanted):
            subscriptions.withhold(connection, one.id, len(wanted) - len(allowed))


def gap_notices(happened: Iterable[Happening], tasks: Mapping[str, str]) -> list[Notice]:
    """The notices of what happened to gaps. tasks: business key of a gap's Task to its id."""
    return [_of_gap(one, tasks[key_of(one.life)]) for one in happened
            if one.what in GAP_LIFE.what and key_of(one.life) in tasks]


def _of_gap(one: Happening, task: str) -> Notice:
    life = one.life
    keys = {
        "code": [f"{RULES}|{life.rule}"],
        "business-status": [f"{STATES}|{life.state}"],
        "owner": [owner_of(life)] if owner_of(life) else [],
        "organization": [f"Organization/{life.responsible_org}"] if life.responsible_org else [],
        "patient": [life.subject] if life.subject.startswith("Patient/") else [],
        "subject": [life.subject],
        "event": [one.what],
    }
    return Notice(at=one.at, topic=GAP_LIFE.name, what=one.what, focus=f"Task/{task}", subject=life.subject, keys=keys)
