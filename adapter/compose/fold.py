"""Many statements of one source about one resource, folded into what that source says now; arrival does not matter.

Source: COMPOSE, fold inside one source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from adapter.compose.course import COURSE, follow, staff
from adapter.compose.said import Said, in_time
from adapter.model import Contribution, Issue, Key


@dataclass(slots=True, kw_only=True)
class Statement:
    """What one source says now of one resource: slot -> Said; precedence is filled in by the composer."""

    source: str
    slots: dict[str, Said] = field(default_factory=dict[str, Said])
    issues: list[Issue] = field(default_factory=list[Issue])


def fold(contributions: Sequence[Contribution]) -> Statement:
    """Fold the contributions of one source about one resource; links are not for here."""
    statement = Statement(source=contributions[0].source)
    withdrawn = max((c.order.of_snapshot() for c in contributions if c.kind == "withdraw"), default=None)
    alive = [c for c in contributions if withdrawn is None or c.order.of_snapshot() > withdrawn]
    snapshots = [c for c in alive if c.kind == "snapshot"]
    effects = [c for c in alive if c.kind == "effect"]
    cancels = in_time([c for c in alive if c.kind == "cancel"])
    ties: set[str] = set()
    for c in in_time(snapshots):
        _overlay(statement, c, c.order.of_snapshot(), ties, effect=False)
    if effects or cancels:
        _take(statement, effects, cancels, ties)
    statement.issues.extend(Issue(code="order-tied", place=slot.partition("#")[0]) for slot in sorted(ties))
    return statement


def _take(statement: Statement, effects: Sequence[Contribution], cancels: Sequence[Contribution], ties: set[str]) -> None:
    """Let the effects that stand, and what cancels leave, have their say over the snapshots."""
    live = in_time(_live(effects, cancels, statement.issues), effect=True)
    slots = statement.slots
    if any(c.body.get("status") for c in (*live, *cancels)):
        for slot in COURSE:
            slots.pop(slot, None)
    stated = dict(slots)
    for c in live:
        _overlay(statement, c, c.order.of_effect(), ties, effect=True)
    if (*effects, *cancels)[0].resource_type == "Encounter":
        late = follow(slots, _once(live), cancels)
        statement.issues.extend(Issue(code="event-after-end", place="MSH-9.2", detail=c.event) for c in late)
        staff(slots, live, stated)


def _once(live: Sequence[Contribution]) -> Sequence[Contribution]:
    """Each event once: told again for the same time, what it said last counts."""
    told: dict[tuple[str, int], Contribution] = {}
    for c in live:
        at = (c.event, c.order.occurred)
        before = told.pop(at, None)
        told[at] = replace(c, body={**before.body, **c.body}) if before else c
    return list(told.values())


def _overlay(statement: Statement, c: Contribution, order: Key, ties: set[str], *, effect: bool) -> None:
    slots = statement.slots
    for slot, value in c.body.items():
        before = slots.get(slot)
        if before is not None and before.effect == effect:
            if before.order[:4] == order[:4]:
                if before.value != value:
                    ties.add(slot)
            else:
                ties.discard(slot)
        elif slot in ties:
            ties.discard(slot)
        slots[slot] = Said(value, order, c, effect)


def _same_time(effect: Contribution, of: int | None) -> bool:
    """Whether a cancel whose EVN-6 is `of` can mean an effect; one without EVN-6 of its own is not told apart by it."""
    happened = effect.order.occurred
    if of is None or not effect.order.occurred_given or happened == of:
        return True
    return not (happened % _MINUTE and of % _MINUTE) and happened // _MINUTE == of // _MINUTE


_MINUTE = 60_000_000
"""Senders give EVN-6 with seconds in one message and without in the next."""


def _live(effects: Sequence[Contribution], cancels: Sequence[Contribution], issues: list[Issue]) -> list[Contribution]:
    """Effects that no cancel retracts. A cancel with EVN-6 pairs by the time of what it cancels, else with the latest."""
    live = list(effects)
    seen: set[tuple[str, tuple[int, ...], int | None]] = set()
    for cancel in cancels:
        at, of = cancel.order.of_snapshot()[:4], cancel.order.occurred if cancel.order.occurred_given else None
        if (cancel.event, at, of) in seen:  # one cancel, sent again
            continue
        seen.add((cancel.event, at, of))
        pairs = [e for e in effects if e.event in cancel.cancels and e.order.of_snapshot()[:4] <= at and _same_time(e, of)]
        if not pairs:
            issues.append(Issue(code="cancel-unmatched", place="MSH-9.2", detail=cancel.event))
        standing = [e for e in pairs if e in live]
        if standing:
            last = max(standing, key=lambda e: (e.order.of_snapshot(), e.message)).order.occurred
            live = [e for e in live if not (e in standing and e.order.occurred == last)]
    return live
