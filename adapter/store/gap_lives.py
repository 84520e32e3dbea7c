"""Gaps as they are kept, what happened to them, and whose are to be looked at again. All SQL of this subject."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, delete, func, insert, or_, select, tuple_

from adapter.store.contributions import chunks
from adapter.store.engine import among, insert_rows
from adapter.store.schema import RESOURCE, RESOURCE_VERSION
from adapter.store.schema_gaps import GAP, GAP_EVENT, GAP_STALE

_CHUNK = 300
_LIVING = ("prospective", "open")
_GAP_TASK = "urn:x-careloop:gap|"
"""How keys of gaps' own Tasks begin: they are no news about the person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A row of what is kept; the names as in gaps.life.Life. Times are microseconds since 1970 UTC."""

    subject: str
    rule: str
    item: str
    state: str
    verdict: str
    reason: str
    due: int | None
    evidence: str
    responsible_org: str
    responsible_party: str
    since: int
    opened: int | None
    assigned: str
    snoozed: int | None
    snooze_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a gap. seq: its number, rising; at: microseconds since 1970 UTC."""

    seq: int
    at: int
    subject: str
    rule: str
    item: str
    what: str
    state: str
    actor: str
    why: str


def note(connection: Connection, persons: Iterable[str]) -> None:
    """Remember that the gaps of these persons (keys of main Patients; '' for organizations) are to be looked at."""
    wanted = set(persons)
    there = set(connection.scalars(select(GAP_STALE.c.person).where(among(connection, GAP_STALE.c.person, wanted))))
    insert_rows(connection, GAP_STALE, ("person",), [(person,) for person in sorted(wanted - there)])


def stale(connection: Connection, limit: int) -> list[str]:
    """Persons whose gaps are to be looked at."""
    return list(connection.scalars(select(GAP_STALE.c.person).order_by(GAP_STALE.c.person).limit(limit)))


def stale_count(connection: Connection) -> int:
    """How many persons' gaps are to be looked at."""
    return connection.scalar(select(func.count()).select_from(GAP_STALE)) or 0


def persons(connection: Connection) -> int:
    """How many Patients stand or stood."""
    return connection.scalar(select(func.count()).select_from(RESOURCE).where(RESOURCE.c.resource_type == "Patient")) or 0


def last_version(connection: Connection) -> int:
    """Number of the last version of any resource."""
    return connection.scalar(select(func.max(RESOURCE_VERSION.c.seq))) or 0


def all_looked_at(connection: Connection, since: int) -> None:
    """Everybody's gaps were looked at, but for those about whom something was written after the version of that number.

    These wait even where another looked meanwhile: what was reckoned before may have been kept over what that found.
    """
    later = written(connection, since)
    connection.execute(delete(GAP_STALE))
    note(connection, later)


def written(connection: Connection, since: int) -> set[str]:
    """About whom something was written after the version of that number: keys of main Patients, '' for shared data."""
    v, r = RESOURCE_VERSION.c, RESOURCE.c
    query = select(r.person, r.resource_type, r.key).distinct().select_from(RESOURCE_VERSION).join(
        RESOURCE, and_(r.resource_type == v.resource_type, r.id == v.id)).where(
        v.seq > since, or_(v.resource_type != "Task", ~r.key.startswith(_GAP_TASK)))
    rows = connection.execute(query).all()
    return {row.person for row in rows} | {row.key for row in rows if row.resource_type == "Patient"}


def looked_at(connection: Connection, persons: Collection[str]) -> None:
    """Their gaps were looked at."""
    for chunk in chunks(sorted(persons), _CHUNK):
        connection.execute(delete(GAP_STALE).where(GAP_STALE.c.person.in_(chunk)))


def patients(connection: Connection, persons: Collection[str]) -> dict[str, str]:
    """Key of a Patient to its id, of those that stand or stood."""
    found: dict[str, str] = {}
    for chunk in chunks(sorted(persons), _CHUNK):
        query = select(RESOURCE.c.key, RESOURCE.c.id).where(RESOURCE.c.resource_type == "Patient", RESOURCE.c.key.in_(chunk))
        found.update((row.key, row.id) for row in connection.execute(query))
    return found


def keys(connection: Connection, ids: Collection[str]) -> dict[str, str]:
    """Id of a Patient to its key."""
    found: dict[str, str] = {}
    for chunk in chunks(sorted(ids), _CHUNK):
        query = select(RESOURCE.c.id, RESOURCE.c.key).where(RESOURCE.c.resource_type == "Patient", RESOURCE.c.id.in_(chunk))
        found.update((row.id, row.key) for row in connection.execute(query))
    return found


def of_subjects(connection: Connection, subjects: Collection[str], rule: str = "") -> list[Kept]:
    """What is kept of the gaps of these subjects."""
    found: list[Kept] = []
    for chunk in chunks(sorted(subjects), _CHUNK):
        query = select(GAP).where(GAP.c.subject.in_(chunk))
        found += _rows(connection, query.where(GAP.c.rule == rule) if rule else query)
    return found


def of_rule(connection: Connection, rule: str) -> list[Kept]:
    """What is kept of the gaps of a rule."""
    return _rows(connection, select(GAP).where(GAP.c.rule == rule))


def one(connection: Connection, subject: str, rule: str, item: str) -> Kept | None:
    """One gap."""
    rows = _rows(connection, select(GAP).where(GAP.c.subject == subject, GAP.c.rule == rule, GAP.c.item == item))
    return rows[0] if rows else None


def in_hand(connection: Connection) -> list[tuple[str, str, str, str, int | None, str]]:
    """Gaps that somebody took on or that are put off: rule, subject, item, who has it, until when (seconds since 1970), why."""
    query = select(GAP.c.rule, GAP.c.subject, GAP.c.item, GAP.c.assigned, GAP.c.snoozed, GAP.c.snooze_reason).where(
        GAP.c.state.in_(_LIVING), or_(GAP.c.assigned != "", GAP.c.snoozed.is_not(None)))
    return [(rule, subject, item, assigned, None if until is None else until // 1_000_000, reason)
            for rule, subject, item, assigned, until, reason in connection.execute(query)]


def turning(connection: Connection, now: int, limit: int) -> list[str]:
    """Subjects of which something turns by the passing of time alone: a date due is past, or what was put off wakes.

    What is open already stays so on that date, as when its answer cannot be computed. Rules count whole seconds.
    """
    query = select(GAP.c.subject).distinct().where(or_(
        and_(GAP.c.state == "prospective", GAP.c.due < now - now % 1_000_000), GAP.c.snoozed <= now)).limit(limit)
    return list(connection.scalars(query))


def save(connection: Connection, rows: Sequence[Kept]) -> None:
    """Put what is kept of these gaps in place of what was."""
    for chunk in chunks(rows, _CHUNK):
        at = [(row.subject, row.rule, row.item) for row in chunk]
        connection.execute(delete(GAP).where(tuple_(GAP.c.subject, GAP.c.rule, GAP.c.item).in_(at)))
        connection.execute(insert(GAP), [asdict(row) for row in chunk])


def tell(connection: Connection, events: Sequence[dict[str, Any]]) -> None:
    """Add what happened; each with the names of Event but for seq."""
    if events:
        connection.execute(insert(GAP_EVENT), list(events))


def last_event(connection: Connection) -> int:
    """Number of the last thing that happened, 0 before the first."""
    return connection.scalar(select(func.max(GAP_EVENT.c.seq))) or 0


def events(connection: Connection, after: int = 0, *, limit: int = 1000, subject: str = "") -> list[Event]:
    """What happened behind number `after`, oldest first."""
    query = select(GAP_EVENT).where(GAP_EVENT.c.seq > after).order_by(GAP_EVENT.c.seq).limit(limit)
    rows = connection.execute(query.where(GAP_EVENT.c.subject == subject) if subject else query)
    return [Event(**dict(row)) for row in rows.mappings()]


def _rows(connection: Connection, query: Select[Any]) -> list[Kept]:
    return [Kept(**dict(row)) for row in connection.execute(query).mappings()]
