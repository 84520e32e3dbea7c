"""Gaps kept: looked at when something was written about somebody, and when time has passed; each as a Task on the FHIR server.

Whose gaps are to be looked at is noted in the transaction that writes; looking is a step of its own, so no write waits for
it and none is forgotten. Source: REQUIREMENTS 1.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from adapter.engine.telling import gap_notices, tell
from adapter.errors import Rejected
from adapter.gaps.engine import Gap, evaluate
from adapter.gaps.life import LIVING, Happening, Life, answered, follow, pair, subject_of
from adapter.gaps.rules import open_rules
from adapter.gaps.task import KEY, at_of, task_of
from adapter.gaps.wish import OWNERS, check_wish
from adapter.model import Composed, Contribution, Json
from adapter.store import gap_lives as kept
from adapter.store.keys import key_and_person, standing_names
from adapter.store.resources import read_resource

MANY = 500
"""So many persons to look at are of a bulk load: it is kept, but not told."""
SHARE = 4
"""Where more than one in so many of all persons are, a sweep over everybody is cheaper: it takes half the time a person
(docs/adr/0023) and holds the store for less."""
PART = 500
"""How many gaps a sweep follows in one transaction: who writes meanwhile waits for no more."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
A_LOAD_US = 3600 * 1_000_000
"""What began so short a time before a sweep in place of many looks is part of a bulk load: it is kept, but not told."""
Apply = Callable[[Sequence[Contribution]], Sequence[Composed]]
"""Brings contributions into force, in the caller's transaction; the resources that changed."""


def touched(changed: Iterable[Composed]) -> set[str]:
    """Whose gaps what changed may concern: keys of main Patients, '' for shared data. Tasks of gaps concern nobody's."""
    persons: set[str] = set()
    for c in changed:
        if c.resource_type == "Task" and c.key.startswith(KEY):
            continue
        persons.add(c.person)
        if c.resource_type == "Patient":
            persons.add(c.key)  # a record that was merged away has no gaps any more
    return persons


def look(connection: Connection, apply: Apply, now_us: int, limit: int = 50, *, bulk: bool = False) -> int:
    """Look at the gaps of some of those that were noted; how many persons. bulk: as in follow_some."""
    persons = kept.stale(connection, limit)
    if persons:
        ids = kept.patients(connection, persons)
        look_at(connection, [f"Patient/{ids[person]}" for person in persons if person in ids], apply, now_us, bulk=bulk)
        if "" in persons:
            _look_at_organizations(connection, apply, now_us)
        kept.looked_at(connection, persons)
    return len(persons)


def look_at(connection: Connection, subjects: Iterable[str], apply: Apply, now_us: int, *, bulk: bool = False) -> None:
    """Follow all gaps of these members, as of now. bulk: as in follow_some."""
    members, now = list(subjects), _moment(now_us)
    gaps = [gap for member in members for gap in evaluate(connection, now=now, member=member.removeprefix("Patient/"))]
    _follow(connection, lives_of(kept.of_subjects(connection, members)), gaps, apply, now_us, bulk=bulk)


def turn(connection: Connection, apply: Apply, now_us: int, limit: int = 50) -> int:
    """Look again at those whose gaps turn by the passing of time: what falls due, and what was put off until now."""
    subjects = kept.turning(connection, now_us, limit)
    look_at(connection, [s for s in subjects if s.startswith("Patient/")], apply, now_us)
    if any(s.startswith("Organization/") for s in subjects):
        _look_at_organizations(connection, apply, now_us)
    return len(subjects)


def moving(connection: Connection, rule: str, now_us: int) -> list[tuple[Life | None, Gap | None]]:
    """Whatever something happens to by now of a rule's gaps, everybody's: each life beside its gap. Nothing is written."""
    now, lives = _moment(now_us), lives_of(kept.of_rule(connection, rule))
    found = evaluate(connection, now=now, rule=rule, states=tuple(LIVING))
    alive = {(subject_of(gap), gap.rule, gap.item) for gap in found}
    if any(life.at not in alive for life in lives):
        known = {life.at for life in lives} - alive
        found += [gap for gap in evaluate(connection, now=now, rule=rule, states=("closed", "missed", "not-applicable"))
                  if (subject_of(gap), gap.rule, gap.item) in known]
    return [(life, gap) for life, gap in pair(lives, found) if follow(life, gap, now_us) not in ((life, []), (None, []))]


def follow_some(connection: Connection, moved: Sequence[tuple[Life | None, Gap | None]], apply: Apply, now_us: int, *,
                as_of: int, written: Collection[str] = (), bulk: bool = False) -> int:
    """Follow some of what `moving` found, from their lives as they stand now; how many gaps something happened to.

    as_of: the instant it was found of. Whoever was written about since (`written`, keys as of `touched`), and what has turned
    since, is left alone: others have looked at it, or will, and know more. bulk: much was written at once. Then notices tell
    of gaps alone that stood before: who loads a year of files has not opened ten thousand gaps today.
    """
    moved = _still(connection, moved, written)
    gaps = {(subject_of(gap), gap.rule, gap.item): gap for _, gap in moved if gap is not None}
    at = {life.at for life, _ in moved if life is not None} | gaps.keys()
    if not at:
        return 0
    subjects, rule = {subject for subject, _, _ in at}, next(iter(at))[1]
    lives = [life for life in lives_of(kept.of_subjects(connection, subjects, rule)) if life.at in at]
    later = {life.at for life in lives if life.since > as_of}
    return _follow(connection, [life for life in lives if life.at not in later],
                   [gap for at, gap in gaps.items() if at not in later], apply, now_us, bulk=bulk)


def _still(connection: Connection, moved: Sequence[tuple[Life | None, Gap | None]],
           written: Collection[str]) -> Sequence[tuple[Life | None, Gap | None]]:
    """Without those whose subject was written about."""
    if not written:
        return moved
    subjects = [life.subject if life is not None else subject_of(gap) if gap is not None else "" for life, gap in moved]
    keys = kept.keys(connection, {subject.removeprefix("Patient/") for subject in subjects if subject.startswith("Patient/")})
    return [one for one, subject in zip(moved, subjects, strict=True)
            if keys.get(subject.removeprefix("Patient/"), "") not in written]


def _look_at_organizations(connection: Connection, apply: Apply, now_us: int) -> None:
    for rule in open_rules().rules.values():
        if rule.subject != "member":
            gaps = evaluate(connection, now=_moment(now_us), rule=rule.id)
            _follow(connection, lives_of(kept.of_rule(connection, rule.id)), gaps, apply, now_us)


def _follow(connection: Connection, lives: Sequence[Life], gaps: Sequence[Gap], apply: Apply, now_us: int, *,
            bulk: bool = False) -> int:
    changed: list[Life] = []
    happened: list[Happening] = []
    news: list[Happening] = []
    for before, gap in pair(lives, gaps):
        after, steps = follow(before, gap, now_us)
        if after is not None and after != before:
            changed.append(after)
        happened += steps
        if not bulk or (before is not None and before.since < now_us - A_LOAD_US):
            news += steps
    keep(connection, changed, happened, apply, now_us, news)
    return len(happened)


def keep(connection: Connection, changed: Sequence[Life], happened: Sequence[Happening], apply: Apply, now_us: int,
         news: Sequence[Happening] = ()) -> None:
    """Save lives that changed and what happened, state the Task of each, and tell the news of it to those who subscribed."""
    if not changed and not happened:
        return
    kept.save(connection, [kept.Kept(**asdict(life)) for life in changed])
    kept.tell(connection, [_event(one) for one in happened])
    rules = open_rules().rules
    ids = {life.subject.removeprefix("Patient/") for life in changed if life.subject.startswith("Patient/")}
    keys = kept.keys(connection, ids)
    seq = kept.last_event(connection)
    stated = apply([task_of(life, rules[life.rule], keys.get(life.subject.removeprefix("Patient/"), ""), now_us, seq)
                    for life in changed if life.rule in rules])
    tell(connection, gap_notices(news, {c.key: c.id for c in stated if c.resource_type == "Task"}), now_us)


def change(connection: Connection, key: str, step: Callable[[Life, int], tuple[Life, list[Happening]]], apply: Apply,
           now_us: int) -> bool:
    """Take a step in the life of the gap whose Task has this key; whether anything happened. Raises Rejected (unknown-gap)."""
    at = at_of(key)
    standing = kept.one(connection, *at) if at else None
    if standing is None:
        raise Rejected("unknown-gap")
    [life] = lives_of([standing])
    after, happened = step(life, now_us)
    keep(connection, [after], happened, apply, now_us)
    return bool(happened)


def answer(connection: Connection, key: str, task: Json | None, by: str, apply: Apply, now_us: int) -> None:
    """Take another client's update of a Task, if it is a gap's, as what it may be, and state the Task again."""
    at = at_of(key)
    if at is not None and kept.one(connection, *at) is not None:
        change(connection, key, lambda life, now: answered(life, task, now, by), apply, now_us)


def check(connection: Connection, task_id: str, task: Json, now_us: int) -> None:
    """That another client's update of a gap's Task can be read.

    Raises Rejected (not-found, gone, fhir-structure, gap-task-invalid).
    """
    stored = read_resource(connection, "Task", task_id)
    if stored is None or stored.body is None:
        raise Rejected("gone" if stored else "not-found", "Task")
    named = key_and_person(connection, "Task", task_id)
    at = at_of(named[0]) if named else None
    standing = kept.one(connection, *at) if at else None
    if standing is None:
        raise Rejected("gap-task-invalid", "Task", "it is no gap's; what is told of others comes by the feeds")
    [life] = lives_of([standing])
    check_wish(task, life, now_us, lambda owner: stands(connection, owner))


def stands(connection: Connection, owner: str) -> bool:
    """Whether `Type/id` is one who may see to a gap and stands here."""
    return owner.partition("/")[0] in OWNERS and bool(standing_names(connection, [owner]))


def lives_of(rows: Iterable[kept.Kept]) -> list[Life]:
    """What is kept, as lives."""
    return [Life(**asdict(row)) for row in rows]


def _event(one: Happening) -> dict[str, Any]:
    life = one.life
    return {"at": one.at, "subject": life.subject, "rule": life.rule, "item": life.item, "what": one.what, "state": life.state,
            "actor": one.by, "why": one.why}


def _moment(now_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=now_us)
