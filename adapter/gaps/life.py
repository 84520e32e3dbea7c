"""The life of a gap: what it was, what it is now, and what happened in between. Pure.

A gap's state is the rule's answer alone; people assign it and put it off, and may say that it is done, but only evidence
closes it. Source: REQUIREMENTS 1; R4 Task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from adapter.gaps.engine import Gap
from adapter.gaps.rules import State
from adapter.model import Json

What = Literal["due", "opened", "reopened", "closed", "missed", "ended", "assigned", "snoozed", "woken", "claimed"]
"""What can happen to a gap. ended: it applies no more. claimed: somebody said that it is done, without evidence so far."""
LIVING = frozenset[State](("prospective", "open"))
"""States in which somebody has something to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One gap as it is kept. Times are microseconds since 1970 UTC.

    subject: `Patient/<id>` or `Organization/<id>`. since: when it came into its state; opened: when it was open first, None
    if it never was. assigned: a reference, '' for nobody in particular. snoozed: until when it is put off, and why.
    """

    subject: str
    rule: str
    item: str
    state: State
    verdict: str
    reason: str = ""
    due: int | None = None
    evidence: str = ""
    responsible_org: str = ""
    responsible_party: str = ""
    since: int
    opened: int | None = None
    assigned: str = ""
    snoozed: int | None = None
    snooze_reason: str = ""

    @property
    def at(self) -> tuple[str, str, str]:
        """What it is kept by."""
        return (self.subject, self.rule, self.item)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that happened to a gap. by: `careloop`, an operator, or `server:<name>`. why: evidence, or a reason given."""

    life: Life
    what: What
    at: int
    by: str = "careloop"
    why: str = ""


def subject_of(gap: Gap) -> str:
    """`Patient/<id>` or `Organization/<id>` of whom a gap is about."""
    return f"Patient/{gap.member_id}" if gap.member_id else f"Organization/{gap.organization_id}"


def follow(life: Life | None, gap: Gap | None, now: int) -> tuple[Life | None, list[Happening]]:
    """A gap's life after a rule's answer (None: the rule has none for it any more), and what happened.

    A life begins with something to do: what is closed, missed or does not apply when it is first seen has none.
    """
    if life is None:
        if gap is None or gap.state not in LIVING:
            return None, []
        fresh = _told(Life(subject=subject_of(gap), rule=gap.rule, item=gap.item, state=gap.state, verdict="", since=now), gap)
        fresh = replace(fresh, opened=now if gap.state == "open" else None)
        return fresh, [Happening(life=fresh, what="opened" if gap.state == "open" else "due", at=now)]
    state: State = gap.state if gap is not None else "not-applicable"
    told = _told(life, gap) if gap is not None else life
    happened: list[Happening] = []
    if life.snoozed is not None and (life.snoozed <= now or state not in LIVING):
        told = replace(told, snoozed=None, snooze_reason="")
        if state in LIVING:
            happened.append(Happening(life=told, what="woken", at=now))
    if state == life.state:
        return told, [replace(h, life=told) for h in happened]
    told = replace(told, state=state, since=now, opened=life.opened if state != "open" or life.opened else now)
    happened.append(Happening(life=told, what=_step(life, state), at=now, why=told.evidence if state == "closed" else ""))
    return told, [replace(h, life=told) for h in happened]


def _told(life: Life, gap: Gap) -> Life:
    due = None if gap.due is None else round(gap.due.timestamp()) * 1_000_000
    return replace(life, verdict=gap.verdict, reason=gap.reason or "", due=due, evidence=" ".join(gap.evidence),
                   responsible_org=gap.responsible_org, responsible_party=gap.responsible_party)


def _step(before: Life, state: State) -> What:
    match state:
        case "closed":
            return "closed"
        case "missed":
            return "missed"
        case "open":
            return "reopened" if before.opened and before.state != "prospective" else "opened"
        case "prospective":
            return "due"
        case _:
            return "ended"


def assign(life: Life, to: str, now: int, by: str) -> tuple[Life, list[Happening]]:
    """Let somebody see to it; to: a reference. Nothing happens where they do already."""
    if life.assigned == to:
        return life, []
    changed = replace(life, assigned=to)
    return changed, [Happening(life=changed, what="assigned", at=now, by=by, why=to)]


def snooze(life: Life, until: int, reason: str, now: int, by: str) -> tuple[Life, list[Happening]]:
    """Put it off; its state, and the day it is due, go on as they are. Nothing happens to one that is settled."""
    if life.state not in LIVING or until <= now or (life.snoozed, life.snooze_reason) == (until, reason):
        return life, []
    changed = replace(life, snoozed=until, snooze_reason=reason)
    return changed, [Happening(life=changed, what="snoozed", at=now, by=by, why=reason)]


def wake(life: Life, now: int, by: str) -> tuple[Life, list[Happening]]:
    """Put it off no longer."""
    if life.snoozed is None:
        return life, []
    changed = replace(life, snoozed=None, snooze_reason="")
    return changed, [Happening(life=changed, what="woken", at=now, by=by)]


def claim(life: Life, now: int, by: str, why: str = "") -> tuple[Life, list[Happening]]:
    """Note that somebody says it is done. It stays as it is: evidence alone closes a gap."""
    return (life, [Happening(life=life, what="claimed", at=now, by=by, why=why)]) if life.state in LIVING else (life, [])


def pair(lives: Sequence[Life], gaps: Sequence[Gap]) -> list[tuple[Life | None, Gap | None]]:
    """The lives that are kept beside the answers of now, each with the other where it has one."""
    kept = {life.at: life for life in lives}
    pairs: list[tuple[Life | None, Gap | None]] = [(kept.pop((subject_of(gap), gap.rule, gap.item), None), gap) for gap in gaps]
    return [*pairs, *((life, None) for life in kept.values())]


def answered(life: Life, task: Json | None, now: int, by: str) -> tuple[Life, list[Happening]]:
    """A gap's life after another client's update of its Task (None: it deleted it): who sees to it, put off, said to be done.

    Put off by status `on-hold`, with statusReason, until executionPeriod.start (seven days from now without it). Whatever
    else the status says is not taken: the state of a gap is the rule's answer.
    """
    if task is None:
        return life, []
    status, reason = task.get("status"), words_of(task.get("statusReason")) or "no reason given"
    owner: str = _part(task, "owner").get("reference", "")
    taken_up = status in ("accepted", "in-progress", "received") and not life.assigned
    happened: list[Happening] = []
    if status in ("rejected", "cancelled", "failed") and status != status_of(life):
        life, steps = assign(life, "", now, by)
        happened += [replace(step, why=reason) for step in steps]
    elif owner and (taken_up or owner != owner_of(life)):
        life, steps = assign(life, owner, now, by)
        happened += steps
    if status == "on-hold":
        until = instant_of(_part(task, "executionPeriod").get("start", "")) or now + _WEEK
        life, steps = snooze(life, until, reason, now, by)
    elif status == "completed":
        life, steps = claim(life, now, by, reason)
    else:
        life, steps = wake(life, now, by)
    return life, [*happened, *steps]


_WEEK = 7 * 24 * 3600 * 1_000_000


def owner_of(life: Life) -> str:
    """Who is to see to a gap: whom it was assigned to, else who is responsible; a reference, '' for nobody."""
    return life.assigned or life.responsible_party or (f"Organization/{life.responsible_org}" if life.responsible_org else "")


_SETTLED: dict[State, str] = {"closed": "completed", "missed": "failed", "not-applicable": "cancelled"}


def status_of(life: Life) -> str:
    """The status of a gap's Task."""
    if life.state in _SETTLED:
        return _SETTLED[life.state]
    if life.snoozed is not None:
        return "on-hold"
    return "accepted" if life.assigned else "requested"


def _part(task: Json, name: str) -> Json:
    found: Json | None = task.get(name)
    return found or {}


def words_of(concept: Json | None) -> str:
    """A CodeableConcept in words, '' where it has none."""
    concept = concept or {}
    codings: list[Json] = concept.get("coding", [])
    return concept.get("text") or next((c["display"] for c in codings if c.get("display")), "")


def instant_of(text: str) -> int | None:
    """A FHIR dateTime in microseconds, its first instant (UTC where it has no zone); None where it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000_000)
