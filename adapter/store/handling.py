"""What operators do with what waits or stopped, in the journal and on its way out. All SQL of this subject."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, Row, delete, select, tuple_, update

from adapter.store import journal, lanes
from adapter.store.contributions import chunks
from adapter.store.journal import Entry
from adapter.store.schema import FINDING, JOURNAL, OUTBOX
from adapter.store.vault import vault_of

Act = Literal["hold", "release", "retry", "drop", "resubmit"]
ACTS: tuple[Act, ...] = ("hold", "release", "retry", "drop", "resubmit")
FROM: dict[Act, tuple[str, ...]] = {
    "hold": ("waiting", "failed"), "release": ("held",), "retry": ("failed", "refused", "held", "dropped"),
    "drop": ("waiting", "failed", "refused", "held"), "resubmit": ("failed", "refused", "held"),
}
"""States of journal entries from which each act leads."""
FROM_OUT: dict[Act, tuple[str, ...]] = {
    "hold": ("waiting", "dead"), "release": ("held",), "retry": ("waiting", "dead", "held"), "drop": ("waiting", "dead", "held"),
    "resubmit": (),
}
"""The same of resources in the outbox."""
_CHUNK = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """What an operator did. subjects: numbers of entries, `Type/id` of resources, each with its state before; at: microseconds
    since 1970 UTC. became: number of the entry that an edited one was sent again as, 0 for none."""

    act: str
    at: int
    by: str
    reason: str
    subjects: dict[str, str]
    became: int = 0


def entry(connection: Connection, number: int) -> Entry | None:
    """One journal entry by its number."""
    return journal.numbered(connection, number)


def leaving(connection: Connection, resource_type: str, resource_id: str) -> Sequence[Row[Any]]:
    """The outbox rows of a resource, one for each server it is on its way to."""
    return connection.execute(select(OUTBOX).where(
        OUTBOX.c.resource_type == resource_type, OUTBOX.c.id == resource_id).order_by(OUTBOX.c.target)).all()


def move(connection: Connection, ids: Collection[int], state: str) -> None:
    """Put entries into a state; attempts begin anew, and what waits has its lane again."""
    for chunk in chunks(sorted(ids), _CHUNK):
        connection.execute(update(JOURNAL).where(JOURNAL.c.id.in_(chunk)).values(state=state, attempts=0))
        if state == "waiting":
            for row in connection.execute(select(JOURNAL.c.id, JOURNAL.c.kind, JOURNAL.c.feed, JOURNAL.c.lane,
                                                 JOURNAL.c.arrival).where(JOURNAL.c.id.in_(chunk))).all():
                lanes.add(connection, [(row.lane, row.feed if row.kind in journal.OF_FILES else "", row.arrival)])


def forget_findings(connection: Connection, one: Entry) -> None:
    """Forget why an entry failed before it is tried again; what was noticed of a message on arrival stays."""
    about = FINDING.c.journal == one.id
    connection.execute(delete(FINDING).where(about if one.kind != "hl7v2" else about & (FINDING.c.severity == "error")))


def move_out(connection: Connection, keys: Collection[tuple[str, str]], state: str, now_us: int) -> None:
    """Put resources of the outbox into a state, to be sent at once where it is `waiting`."""
    for chunk in chunks(sorted(keys), _CHUNK):
        connection.execute(update(OUTBOX).where(tuple_(OUTBOX.c.resource_type, OUTBOX.c.id).in_(chunk)).values(
            state=state, attempts=0, due=now_us))


def drop_out(connection: Connection, keys: Collection[tuple[str, str]]) -> None:
    """Take resources out of the outbox: they are sent again when they change."""
    for chunk in chunks(sorted(keys), _CHUNK):
        connection.execute(delete(OUTBOX).where(tuple_(OUTBOX.c.resource_type, OUTBOX.c.id).in_(chunk)))


def handled(connection: Connection, limit: int, subject: str = "") -> list[Handled]:
    """What operators did, the last first; subject: about that number or `Type/id` alone."""
    vault = vault_of(connection)
    query = select(JOURNAL.c.identity, JOURNAL.c.raw, JOURNAL.c.raw_key, JOURNAL.c.arrival).where(
        JOURNAL.c.kind == "operator", JOURNAL.c.event.in_(ACTS))
    found: list[Handled] = []
    for row in connection.execute(query.order_by(JOURNAL.c.id.desc())):
        said = orjson.loads(vault.unseal(row.identity, row.raw, row.raw_key))
        if not subject or subject in said["subjects"] or subject == str(said["became"]):
            found.append(Handled(act=said["does"], at=row.arrival, by=said["by"], reason=said["reason"],
                                 subjects=said["subjects"], became=said["became"]))
        if len(found) >= limit:
            break
    return found
