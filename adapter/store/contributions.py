"""Contributions in the database: added once, read by key and by patient. All SQL of this subject."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection, Row, bindparam, delete, func, or_, select, tuple_, update

from adapter.identity.links import CROSSWALK, INFERRED
from adapter.model import Contribution, Json, Order
from adapter.store.engine import among, insert_rows
from adapter.store.schema import CONTRIBUTION as T
from adapter.store.schema import SNAPSHOT

Item = TypeVar("Item")
_CHUNK = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What became of contributions. fresh: those that say something new (a crosswalk stated again does: it replaces another).

    new: those among them that were not there, each with when it was made last; last: the id of the latest that was there before.
    """

    fresh: list[Contribution]
    new: list[tuple[Contribution, int]]
    last: int


def add(connection: Connection, contributions: Iterable[Contribution]) -> list[Contribution]:
    """Store contributions, as `append`; those that say something new."""
    return append(connection, contributions).fresh


def append(connection: Connection, contributions: Iterable[Contribution]) -> Added:
    """Store contributions.

    A snapshot, or a link that each message states, which repeats an earlier one to the letter is kept once, with the last
    order and a count: only the last matters. So is the list that a source gives of a person's allergies and the like.
    Effects, cancels and merges are kept each (COMPOSE, fold, 5).
    """
    fresh: dict[str, tuple[Contribution, int]] = {}
    seen: dict[str, int] = {}
    told: dict[tuple[Any, ...], tuple[Json, str]] = {}
    for c in contributions:
        identity = _identity_of(c, told)
        known = fresh.get(identity)
        last = c if known is None or _later(c) > _later(known[0]) else known[0]
        fresh[identity] = (last, known[1] + 1 if known else 1)
        seen[identity] = max(seen.get(identity, 0), c.order.arrival)
    standing: dict[str, Row[Any]] = {}
    for row in connection.execute(select(T).where(among(connection, T.c.identity, fresh))):
        standing[row.identity] = row
    last = connection.scalar(select(func.max(T.c.id))) or 0
    new = {i: said for i, said in fresh.items() if i not in standing}
    insert_rows(connection, T, _COLUMNS, [_row(i, *new[i], seen[i]) for i in sorted(new)])  # in the order of the index
    again = [_repeated(standing[i], c, times) | {"to_seen": max(seen[i], standing[i].seen)}
             for i, (c, times) in fresh.items() if i in standing]
    if again:
        connection.execute(
            update(T).where(T.c.id == bindparam("at")).values({n: bindparam(f"to_{n}") for n in (*_ORDER, "seen")}), again)
    moved = [c for i, (c, _) in fresh.items() if i in standing
             and (c.event == CROSSWALK or c.body.get("level") in ("list", "row"))
             and _later(c) > (_order(standing[i]).of_snapshot(), standing[i].message)]
    back = _back(connection, [(c, standing[i]) for i, (c, _) in fresh.items() if i in standing])
    return Added(fresh=[*(c for c, _ in new.values()), *moved, *back], last=last,
                 new=[(c, seen[i]) for i, (c, _) in new.items()])


def _back(connection: Connection, again: Sequence[tuple[Contribution, Row[Any]]]) -> list[Contribution]:
    """What is said again after a snapshot file had ended it: as good as new."""
    ends = ends_of(connection, {row.source for _, row in again}) if again else {}
    return [c for c, row in again if row.seen < ends.get(row.source, 0)] if ends else []


def ends_of(connection: Connection, sources: Collection[str]) -> dict[str, int]:
    """Of these sources, those that send snapshot files, with the arrival of the latest complete one (microseconds, UTC)."""
    found: dict[str, int] = {}
    query = select(SNAPSHOT.c.source, SNAPSHOT.c.arrival).where(among(connection, SNAPSHOT.c.source, sources))
    found.update((row.source, row.arrival) for row in connection.execute(query))
    return found


def _holding(connection: Connection, rows: Sequence[Row[Any]]) -> Iterator[Row[Any]]:
    """Without those that a later snapshot file of their source ended."""
    ends = ends_of(connection, {row.source for row in rows}) if rows else {}
    return (row for row in rows if row.seen >= ends.get(row.source, 0)) if ends else iter(rows)


REPEATED = (INFERRED, CROSSWALK)
"""Links that each message states again: like snapshots they are kept once."""
_ORDER = ("occurred", "occurred_given", "stated", "sequence", "rank", "arrival", "order_by", "event", "message", "mapping",
          "body", "times")


def _later(c: Contribution) -> tuple[Any, ...]:
    return (c.order.of_snapshot(), c.message)


def _repeated(row: Row[Any], c: Contribution, times: int) -> dict[str, Any]:
    withdrawn = row.seen < 0  # it stands nowhere in the order
    later = withdrawn or _later(c) > (_order(row).of_snapshot(), row.message)
    values = dict(zip(_COLUMNS, _row("", c, 0, 0), strict=True)) if later else {n: getattr(row, n) for n in _ORDER}
    values["times"] = row.times + times
    return {"at": row.id, **{f"to_{n}": values[n] for n in _ORDER}}


def _identity_of(c: Contribution, told: dict[tuple[Any, ...], tuple[Json, str]]) -> str:
    """The identity of a statement; rows of a file share the bodies they repeat, so those are hashed once. told: of before."""
    if c.kind != "snapshot":
        return _identity(c)
    at = (id(c.body), c.source, c.resource_type, c.key, c.scope, c.patient, c.visit, c.mapping, c.other)
    known = told.get(at)
    if known is None:
        known = told[at] = (c.body, _identity(c))  # the body stays alive here, so that its id is no other's
    return known[1]


def _identity(c: Contribution) -> str:
    said = [c.source, c.resource_type, c.key, c.scope, c.patient, c.visit, c.kind, c.mapping, c.other, c.body]
    if c.kind == "link" and c.event in REPEATED:
        said += [c.event]
    elif c.body.get("level") == "list":  # only the latest list of a kind counts: what an older one left out it leaves out too
        said = [c.source, c.patient, c.kind, c.body["new"], c.body["old"]]
    elif c.body.get("level") == "row":
        said = [c.source, c.patient, c.kind, c.body["new"], c.other]
    elif c.kind != "snapshot":
        said += [c.event, c.message]
    return near(c.patient or c.key) + hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()[:48]


@lru_cache(maxsize=4096)
def near(name: str) -> str:
    """What identities of statements about one patient begin with: they stand side by side in the index, and so on few pages."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]


_COLUMNS = ("identity", "source", "resource_type", "key", "scope", "patient", "visit", "kind", "event", "occurred",
            "occurred_given", "stated", "sequence", "rank", "arrival", "order_by", "body", "cancels", "other", "message",
            "mapping", "times", "seen")


def _row(identity: str, c: Contribution, times: int, seen: int) -> tuple[Any, ...]:
    """A row of the table, in the order of _COLUMNS."""
    o = c.order
    return (identity, c.source, c.resource_type, c.key, c.scope, c.patient, c.visit, c.kind, c.event, o.occurred,
            int(o.occurred_given), o.stated, o.sequence, o.rank, o.arrival, o.by, orjson.dumps(c.body).decode(),
            " ".join(c.cancels), c.other, c.message, c.mapping, times, seen)


def _order(row: Row[Any]) -> Order:
    return Order(occurred=row.occurred, stated=row.stated, sequence=row.sequence, rank=row.rank, arrival=row.arrival,
                 occurred_given=bool(row.occurred_given), by=row.order_by)


def contribution_of(row: Row[Any]) -> Contribution:
    """A row of the table as what was said."""
    return Contribution(
        source=row.source, resource_type=row.resource_type, key=row.key, scope=row.scope, patient=row.patient,
        visit=row.visit, kind=row.kind, event=row.event, order=_order(row), body=orjson.loads(row.body),
        cancels=tuple(row.cancels.split()), other=row.other, message=row.message, mapping=row.mapping)


def by_patients(connection: Connection, patients: Collection[str], resource_type: str = "") -> Iterator[Contribution]:
    """Every statement (no links) that holds and names one of these patients; of one type alone where it is given."""
    of_type = T.c.resource_type == resource_type if resource_type else T.c.resource_type != "Link"
    for chunk in chunks(patients, _CHUNK):
        query = select(T).where(among(connection, T.c.patient, chunk), of_type)
        for row in _holding(connection, connection.execute(query).all()):
            yield contribution_of(row)


def of_feed(connection: Connection, feed: str) -> list[Contribution]:
    """Every statement and link of a feed, whichever of its senders made it."""
    query = select(T).where(or_(T.c.source == feed, T.c.source.like(f"{feed}/%")))
    return [contribution_of(row) for row in connection.execute(query)]


def take_out(connection: Connection, feed: str, besides: Collection[str] = ()) -> None:
    """Delete everything a feed has said, but for what these messages said last; only what is said anew in the same transaction
    may follow."""
    said = or_(T.c.source == feed, T.c.source.like(f"{feed}/%"))
    for chunk in chunks([r.id for r in connection.execute(select(T.c.id, T.c.message).where(said)) if r.message not in besides],
                        _CHUNK) if besides else ():
        connection.execute(delete(T).where(T.c.id.in_(chunk)))
    if not besides:
        connection.execute(delete(T).where(said))


def by_keys(connection: Connection, keys: Collection[tuple[str, str]], besides: Collection[str] = (),
            added: Added | None = None) -> Iterator[Contribution]:
    """Every statement that holds about these (resource type, key), but not those that name one of the patients `besides`.

    added: what was stored just now, so that it need not be read again.
    """
    by_type: dict[str, list[str]] = {}  # a type and its keys: pairs take the database, and its driver, three times as long
    for resource_type, key in keys:
        by_type.setdefault(resource_type, []).append(key)
    for resource_type, chunk in ((t, chunk) for t, of_type in by_type.items() for chunk in chunks(of_type, _CHUNK)):
        query = select(T).where(T.c.resource_type == resource_type, among(connection, T.c.key, chunk))
        query = query.where(T.c.patient.not_in(besides)) if 0 < len(besides) <= _CHUNK else query
        query = query.where(T.c.id <= added.last) if added else query
        for row in _holding(connection, connection.execute(query).all()):
            if row.patient not in besides:
                yield contribution_of(row)
    yield from (c for c in _new(connection, added) if c.patient not in besides and (c.resource_type, c.key) in keys)


def pages_of_key(connection: Connection, one: tuple[str, str], at_once: int) -> Iterator[Sequence[Contribution]]:
    """Every statement that holds about one (resource type, key), `at_once` read at a time."""
    last = 0
    query = select(T).where(T.c.resource_type == one[0], T.c.key == one[1]).order_by(T.c.id).limit(at_once)
    while rows := connection.execute(query.where(T.c.id > last)).all():
        last = rows[-1].id
        yield [contribution_of(row) for row in _holding(connection, rows)]


def of_rows(connection: Connection, rows: Collection[str]) -> Iterator[Contribution]:
    """Every statement that rows of files made, by what the rows are known by."""
    for chunk in chunks(rows, _CHUNK):
        for row in connection.execute(select(T).where(among(connection, T.c.other, chunk), T.c.resource_type != "Link")):
            yield contribution_of(row)


def by_person_keys(connection: Connection, keys: Collection[tuple[str, str, str]],
                   added: Added | None = None) -> Iterator[Contribution]:
    """Every statement that holds about these (resource type, key, patient). added: as in by_keys."""
    for chunk in chunks(keys, _CHUNK):
        query = select(T).where(tuple_(T.c.resource_type, T.c.key, T.c.patient).in_(chunk))
        query = query.where(T.c.id <= added.last) if added else query
        for row in _holding(connection, connection.execute(query).all()):
            yield contribution_of(row)
    if keys:
        yield from (c for c in _new(connection, added) if (c.resource_type, c.key, c.patient) in keys)


def _new(connection: Connection, added: Added | None) -> list[Contribution]:
    """What was stored just now and holds."""
    if added is None or not added.new:
        return []
    ends = ends_of(connection, {c.source for c, _ in added.new})
    return [c for c, seen in added.new if seen >= ends.get(c.source, 0)] if ends else [c for c, _ in added.new]


def chunks(items: Iterable[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items in lists of at most `size`: databases limit how many values a statement may bind."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
