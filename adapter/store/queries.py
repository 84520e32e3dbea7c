"""Questions of the page, the metrics and `careloop queue` to the database; each reads and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, Select, and_, func, select

from adapter.errors import kind_of
from adapter.issues import ISSUES
from adapter.model import Issue, Json
from adapter.store.journal import FEED, OF_FILES
from adapter.store.schema import FINDING, JOURNAL, OUTBOX, RESOURCE
from adapter.store.subscriptions import failing

Stage = Literal["received", "composed", "delivered", "refused", "failed", "test", "undelivered", "withdrawn", "held",
                "dropped", "replaced"]
"""Where a message stands; `composed` becomes `delivered` once nothing it said waits for the FHIR server any more."""

_STAGE_OF_STATE: dict[str, Stage] = {"waiting": "received", "refused": "refused", "failed": "failed", "test": "test",
                                     "withdrawn": "withdrawn", "held": "held", "dropped": "dropped", "replaced": "replaced"}
_BACKLOG = 1000
_WEIGHT = {"error": 0, "warning": 1, "information": 2}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRow:
    """One journalled message or row. arrival: UTC. sender: MSH-3|MSH-4, '' for others than HL7 v2.

    codes: what was found, errors first, each once.
    """

    journal: int
    kind: str
    arrival: datetime
    feed: str
    event: str
    sender: str
    control_id: str
    origin: str
    ack_code: str
    stage: Stage
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    """One finding. journal: the entry it is about, 0 where it was made on composing; subject: `Type/id` of the resource then."""

    journal: int
    subject: str
    issue: Issue


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """One thing that waits or stopped: a journal entry, a resource on its way, a subscriber, a silent feed. since: UTC.

    target: the server it is on its way to. detail: what that said, in codes, statuses and places.
    """

    place: Literal["journal", "outbox", "notices", "feeds"]
    state: str
    subject: str
    lane: str
    since: datetime
    attempts: int
    code: str
    target: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Counts: journal and outbox by state, living resources by type."""

    journal: dict[str, int]
    outbox: dict[str, int]
    resources: dict[str, int]


def messages(connection: Connection, limit: int = 50, journal: int = 0) -> list[MessageRow]:
    """The last journalled messages, newest first, each with its stage; of `journal` that one alone, where it is."""
    columns = (JOURNAL.c.id, JOURNAL.c.kind, JOURNAL.c.identity, JOURNAL.c.arrival, FEED.label("feed"), JOURNAL.c.event,
               JOURNAL.c.sender, JOURNAL.c.control_id, JOURNAL.c.origin, JOURNAL.c.ack_code, JOURNAL.c.state)
    query = select(*columns).where(JOURNAL.c.id == journal) if journal else select(*columns).order_by(JOURNAL.c.id.desc())
    rows = connection.execute(query.limit(limit)).all()
    codes = _codes(connection, [row.id for row in rows])
    waiting, dead = _identities(connection, "waiting"), _identities(connection, "dead")
    return [
        MessageRow(journal=row.id, kind=row.kind, arrival=moment(row.arrival), feed=row.feed, event=row.event,
                   sender=row.sender if row.kind == "hl7v2" else "",
                   control_id=row.control_id, origin=row.origin, ack_code=row.ack_code,
                   stage=_stage(row.state, row.identity, waiting, dead), codes=codes.get(row.id, ()))
        for row in rows
    ]


def findings_of(connection: Connection, journal: int, limit: int = 1000) -> list[FindingRow]:
    """What was found about one journal entry, errors first, each place in the order in which it was found."""
    rows = _findings(connection, select(FINDING).where(FINDING.c.journal == journal).order_by(FINDING.c.id).limit(limit))
    return sorted(rows, key=lambda row: _WEIGHT.get(kind_of(row.issue).severity, 3))


def findings_composing(connection: Connection, limit: int = 200) -> list[FindingRow]:
    """What was found last on composing resources, newest first; not what a resource itself says to be absent."""
    query = select(FINDING).where(FINDING.c.journal == 0, FINDING.c.code != "must-have-absent")
    return _findings(connection, query.order_by(FINDING.c.id.desc()).limit(limit))


def findings_arriving(connection: Connection, limit: int = 200) -> list[FindingRow]:
    """The last errors and warnings about messages and rows, newest first."""
    query = select(FINDING).where(FINDING.c.journal != 0, FINDING.c.severity != "information")
    return _findings(connection, query.order_by(FINDING.c.id.desc()).limit(limit))


def _findings(connection: Connection, query: Select[Any]) -> list[FindingRow]:
    """The findings that are still known by their code."""
    return [FindingRow(journal=row.journal, subject=row.subject, issue=Issue(code=row.code, place=row.place, detail=row.detail))
            for row in connection.execute(query) if row.code in ISSUES]


def _stage(state: str, identity: str, waiting: set[str] | None, dead: set[str] | None) -> Stage:
    if state in _STAGE_OF_STATE:
        return _STAGE_OF_STATE[state]
    if dead is None or identity in dead:
        return "undelivered"
    return "composed" if waiting is None or identity in waiting else "delivered"


def _identities(connection: Connection, state: str) -> set[str] | None:
    """Messages that have said something in a resource of the outbox; None where it is too long to look through."""
    queued = select(RESOURCE.c.sources).join(
        OUTBOX, and_(OUTBOX.c.resource_type == RESOURCE.c.resource_type, OUTBOX.c.id == RESOURCE.c.id)
    ).where(OUTBOX.c.state == state).limit(_BACKLOG + 1)
    texts = connection.execute(queued).scalars().all()
    if len(texts) > _BACKLOG:
        return None
    return {identity for text in texts for _source, identity in orjson.loads(text).values()}


def _codes(connection: Connection, journal: list[int]) -> dict[int, tuple[str, ...]]:
    found = connection.execute(
        select(FINDING.c.journal, FINDING.c.severity, FINDING.c.code).where(FINDING.c.journal.in_(journal)).distinct()
    ).all()
    by_entry: dict[int, dict[str, None]] = {}
    for row in sorted(found, key=lambda row: (_WEIGHT.get(row.severity, 3), row.code)):
        by_entry.setdefault(row.journal, {})[row.code] = None
    return {entry: tuple(codes) for entry, codes in by_entry.items()}


def backlog(connection: Connection) -> Backlog:
    """Journal entries by state, outbox rows by state, living resources by type."""
    journal = select(JOURNAL.c.state, func.count()).group_by(JOURNAL.c.state)
    outbox = select(OUTBOX.c.state, func.count()).group_by(OUTBOX.c.state)
    resources = select(RESOURCE.c.resource_type, func.count()).where(RESOURCE.c.deleted == 0).group_by(
        RESOURCE.c.resource_type).order_by(RESOURCE.c.resource_type)
    return Backlog(journal=_tally(connection, journal), outbox=_tally(connection, outbox),
                   resources=_tally(connection, resources))


def _tally(connection: Connection, query: Select[str, int]) -> dict[str, int]:
    return {row[0]: row[1] for row in connection.execute(query).all()}


def queue(connection: Connection, limit: int = 200) -> list[QueueRow]:
    """What waits, is held or failed, and the outbox, oldest first; what was refused, newest first; subscribers not reached."""
    held = select(JOURNAL.c.id, JOURNAL.c.state, JOURNAL.c.feed, JOURNAL.c.event, JOURNAL.c.sender, JOURNAL.c.arrival,
                  JOURNAL.c.attempts, JOURNAL.c.kind, JOURNAL.c.origin, JOURNAL.c.control_id).limit(limit)
    ahead = held.where(JOURNAL.c.state.in_(("waiting", "failed", "held"))).order_by(JOURNAL.c.id)
    refused = held.where(JOURNAL.c.state == "refused").order_by(JOURNAL.c.id.desc())
    entries = [*connection.execute(ahead), *connection.execute(refused)]
    codes = _codes(connection, [row.id for row in entries])
    rows = [QueueRow(place="journal", state=row.state,
                     subject=f"{row.id} {row.event or _unnamed(row)}".strip(),
                     lane=row.sender if row.kind == "hl7v2" else row.feed, since=moment(row.arrival),
                     attempts=row.attempts,
                     code=next((code for code in codes.get(row.id, ()) if not code.startswith("tolerated-")), ""))
            for row in entries]
    leaving = connection.execute(select(OUTBOX).order_by(OUTBOX.c.queued).limit(limit)).all()
    rows += [QueueRow(place="outbox", state=row.state, subject=f"{row.resource_type}/{row.id}", lane=row.lane,
                      since=moment(row.queued), attempts=row.attempts, code=row.error.partition(" ")[0], target=row.target,
                      detail=row.error.partition(" ")[2]) for row in leaving]
    rows += [QueueRow(place="notices", state=one.status, subject=f"Subscription/{one.id}", lane=f"{one.events - one.sent} events",
                      since=moment(since), attempts=one.attempts, code=one.error) for one, since in failing(connection, limit)]
    return rows


def _unnamed(row: Any) -> str:
    """What an entry of no event is called: where it came from, and its row or control id."""
    return f"{row.origin} row {row.control_id}" if row.kind in OF_FILES else f"{row.origin} {row.control_id}"


def acknowledged_since(connection: Connection, journal: int) -> tuple[int, list[tuple[str, str, str, int]]]:
    """Entries above id `journal` counted by (feed, event, acknowledgement code), and the highest id among them."""
    last = connection.execute(select(func.max(JOURNAL.c.id))).scalar() or journal
    query = select(FEED, JOURNAL.c.event, JOURNAL.c.ack_code, func.count()).where(
        JOURNAL.c.id > journal, JOURNAL.c.id <= last).group_by(FEED, JOURNAL.c.event, JOURNAL.c.ack_code)
    return last, [(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]


def findings_since(connection: Connection, finding: int) -> tuple[int, list[tuple[str, str, int]]]:
    """Findings above id `finding` counted by (severity, code), and the highest id among them."""
    last = connection.execute(select(func.max(FINDING.c.id))).scalar() or finding
    query = select(FINDING.c.severity, FINDING.c.code, func.count()).where(
        FINDING.c.id > finding, FINDING.c.id <= last).group_by(FINDING.c.severity, FINDING.c.code)
    return last, [(row[0], row[1], row[2]) for row in connection.execute(query)]


def moment(microseconds: int) -> datetime:
    """Microseconds since 1970 UTC as a datetime."""
    return _EPOCH + timedelta(microseconds=microseconds)


def main_patients(connection: Connection) -> Iterator[tuple[str, str, Json]]:
    """(id, key, body) of each person's main Patient that stands, by key, read in portions."""
    r = RESOURCE.c
    query = select(r.id, r.key, r.body).where(r.resource_type == "Patient", r.deleted == 0, r.key == r.person).order_by(r.key)
    for rows in connection.execute(query.execution_options(yield_per=_BACKLOG)).partitions():
        yield from ((row.id, row.key, orjson.loads(row.body)) for row in rows)
