"""The course of a visit: what its events, in the order they happened, make of status, class, places and attending staff.

The state is followed event by event, since an event does not mean the same in every state: a transfer begins nothing that
was ended, a pre-admission takes nobody back who is here. Source: HL7 v2 chapter 3; FHIR R4 Encounter; COMPOSE, fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from adapter.compose.places import Trail, located, utc
from adapter.compose.said import Said
from adapter.model import Contribution, Json

ENDING = ("period.end", "hospitalization.dischargeDisposition")
COURSE = frozenset({"status", *ENDING})
"""Slots that events alone decide once any event with a status, or a cancel that leaves one, is known."""

OPENING = frozenset({"A01", "A04"})
FOLLOWING = frozenset({"A02", "A09", "A10", "A15", "A16", "A17"})
"""Events of somebody who is here: they say so where nothing else does, and neither begin a visit again nor end a leave."""
CHANGING = frozenset({"A06", "A07"})
LEAVING = frozenset({"A21", "A22"})


def follow(slots: dict[str, Said], live: Sequence[Contribution], cancels: Sequence[Contribution]) -> list[Contribution]:
    """Put into the slots what the live effects, in order, and the cancels make of a visit; returns events told after its end.

    slots: by snapshots and effects one by one; what the course decides is replaced. After a discharge nobody comes, goes or is
    awaited in this visit: such an event moves nobody; its class alone counts, since classes are corrected afterwards.
    """
    status, late = _status(live, cancels)
    if status.now is not None:
        slots["status"] = status.now
        if status.now.value != "finished":
            for slot in ENDING:
                slots.pop(slot, None)
    classes = _classes(live, late)
    if classes.now is not None:
        slots["class"] = classes.now
    for slot, past in (("statusHistory#events", status.past), ("classHistory#events", classes.past)):
        if past:
            slots[slot] = Said(past, live[-1].order.of_effect(), live[-1], True)
    trail = Trail()
    for one in live:
        if one not in late:
            trail.follow(one)
    located(slots, trail, status.now.value if status.now else "")
    return late


@dataclass(slots=True)
class _Line:
    """What holds now, since when (None: no event said so), and what held before, with periods."""

    element: str
    now: Said | None = None
    since: int | None = None
    past: list[Json] = field(default_factory=list[Json])

    def turn(self, said: Said, at: int) -> None:
        """Let a value hold from an event on; the same value again only has a later witness."""
        if self.since is None or self.now is None or self.now.value != said.value:
            if self.since is not None and self.since <= at and self.now is not None and self.now.value is not None:
                self.past.append({self.element: self.now.value, "period": {"start": utc(self.since), "end": utc(at)}})
            self.since = at
        self.now = said


def _status(live: Sequence[Contribution], cancels: Sequence[Contribution]) -> tuple[_Line, list[Contribution]]:
    """The status, and the events that do not hold since the visit was over.

    What a cancel leaves shows where no event tells one; an admission that was cancelled is where others begin.
    """
    line = _Line("status")
    late: list[Contribution] = []
    left = revoked = None
    for cancel in cancels:
        if cancel.body.get("status"):
            left = Said(cancel.body["status"], cancel.order.of_snapshot(), cancel, True)
            if not OPENING.isdisjoint(cancel.cancels):
                revoked = left
    line.now = revoked
    for one in live:
        if one.body.get("status"):
            again = revoked is not None and one.order.of_snapshot() > revoked.order
            if _holds(one, line.now.value if line.now else "", again=again):
                line.turn(Said(one.body["status"], one.order.of_effect(), one, True), one.order.occurred)
            elif line.now and line.now.value == "finished":
                late.append(one)
    line.now = line.now or left
    return line, late


def _holds(one: Contribution, state: str, *, again: bool) -> bool:
    """Whether an event's status holds in a state. again: it was stated after the cancel that left the visit cancelled."""
    if one.body["status"] == "planned":
        return state in ("", "cancelled", "planned")
    if one.event in FOLLOWING:
        return state in ("", "planned", "in-progress") or (state == "cancelled" and again)
    if one.event in LEAVING:
        return state != "finished" and (state != "cancelled" or again)
    if one.event in CHANGING:
        return state not in ("finished", "onleave")
    return True


def _classes(live: Sequence[Contribution], late: Sequence[Contribution]) -> _Line:
    """The class: one that is only planned takes no other's place; one told after the end corrects the last, without a past."""
    line = _Line("class")
    planned = True
    for one in live:
        if "class" in one.body:
            said = Said(one.body["class"], one.order.of_effect(), one, True)
            coming = one.body.get("status") == "planned"
            if one in late:
                line.now = line.now if coming else said
            elif planned or not coming:
                line.turn(said, one.order.occurred)
                planned = coming
    return line


def staff(slots: dict[str, Said], live: Sequence[Contribution], stated: dict[str, Said]) -> None:
    """Let the last event that changed somebody's part (A54, A61) hold until a later snapshot says otherwise.

    stated: what the snapshots say.
    """
    last: dict[str, Contribution] = {}
    for one in live:
        last.update((slot, one) for slot in one.body if slot.startswith("participant#"))
    for slot, one in last.items():
        snapshot = stated.get(slot)
        if snapshot is not None and snapshot.order > one.order.of_snapshot():
            slots[slot] = snapshot

