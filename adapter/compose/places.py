"""Where somebody was in the course of a visit: stays, each with its status and period, out of what events moved.

The bed is PV1-3, a place for a while PV1-11, one to come PV1-42, those before PV1-6 and PV1-43. An event that moves nobody
says nothing of places once one that does is known. Source: HL7 v2 chapter 3, notes to A02, A09, A10, A15; FHIR R4
EncounterLocationStatus.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from adapter.compose.said import Said
from adapter.model import Contribution, Json, is_object

_BED, _PRIOR, _WHILE, _COMING, _PRIOR_WHILE = (f"location#PV1-{n}" for n in (3, 6, 11, 42, 43))
PLACES = (_BED, _PRIOR, _WHILE, _COMING, _PRIOR_WHILE)
"""Slots of the places that PV1 names."""
BEFORE = "location#before "
"""How slots of stays that are over begin; the latest has number 1."""


@dataclass(slots=True)
class Stay:
    """A place somebody was, is or will be at; never changed. start, end: microseconds since 1970, None where nobody said."""

    place: Any
    by: Contribution
    start: int | None = None
    end: int | None = None

    def entry(self, status: str) -> Json:
        """The stay as member of Encounter.location."""
        entry: Json = {"location": self.place, "status": status}
        if self.start is not None or self.end is not None:
            entry["period"] = {name: utc(at) for name, at in (("start", self.start), ("end", self.end)) if at is not None}
        return entry


@dataclass(slots=True)
class Trail:
    """The stays of a visit, followed from event to event. moved: an event told where the bed is, or was."""

    bed: Stay | None = None
    visiting: Stay | None = None
    coming: list[Stay] = field(default_factory=list[Stay])
    before: list[Stay] = field(default_factory=list[Stay])
    moved: bool = False

    @property
    def stays(self) -> list[Stay]:
        """All stays: bed, place for a while, those to come, and those before, the latest first."""
        return [*(s for s in (self.bed, self.visiting) if s), *self.coming, *reversed(self.before)]

    def follow(self, one: Contribution) -> None:
        """Go on by one event."""
        told = {slot: items[0]["location"] for slot in PLACES
                if (items := one.body.get(slot)) and is_object(items[0]) and items[0].get("location")}
        if one.body.get("status") == "finished":
            self._end(one)
        elif one.body.get("status") == "planned":
            for slot in (_BED, _WHILE, _COMING):
                self._expect(one, told.get(slot))
            self._remember(one, told, None)
        elif one.event == "A15":
            self._expect(one, told.get(_COMING))
            self._visit(one, told.get(_WHILE), None)
            self._remember(one, told, None)
        elif one.event == "A09" and _COMING in told:
            self._depart(one, told)
        elif one.event in ("A09", "A10") and _WHILE in told:
            if self.bed is None:
                self._arrive(one, told.get(_BED), None)
            self._remember(one, told, one.order.occurred)
            self._visit(one, told[_WHILE], one.order.occurred)
        elif told:
            self._move(one, told)

    def _move(self, one: Contribution, told: dict[str, Any]) -> None:
        at = one.order.occurred
        before = self.bed
        self._remember(one, told, at)
        again = one.event == "A22" and not self.moved  # back at a bed that nobody told the beginning of
        self._arrive(one, told.get(_BED), None if again else at)
        if _WHILE in told:
            self._visit(one, told[_WHILE], at)
        elif self.visiting and (self.bed is not before or one.event == "A10"):
            self.before.append(_over(self.visiting, at))
            self.visiting = None
        self._expect(one, told.get(_COMING))

    def _depart(self, one: Contribution, told: dict[str, Any]) -> None:
        """In transit: no more at the old place, not yet at the new one."""
        at, old = one.order.occurred, told.get(_PRIOR, told.get(_BED))
        if self.bed is None and _BED in told and told[_BED] != old:
            self._arrive(one, told[_BED], None)
        if self.bed is not None and (old is None or self.bed.place == old):
            self.before.append(_over(self.bed, at))
            self.bed = None
        if self.visiting is not None:
            self.before.append(_over(self.visiting, at))
            self.visiting = None
        self._remember(one, {_PRIOR: old, **told} if old else told, at)
        self._visit(one, told.get(_WHILE), at)
        self._expect(one, told[_COMING])
        self.moved = True

    def _arrive(self, one: Contribution, place: Any, at: int | None) -> None:
        if place is None:
            return
        self.moved = True
        if self.bed is not None and self.bed.place == place:
            if not self.before and _begins(one):
                self.bed = Stay(place, one, at)
            return
        if self.bed is not None:
            self.before.append(_over(self.bed, one.order.occurred))
        self.bed = Stay(place, one, at)
        self.coming.clear()

    def _visit(self, one: Contribution, place: Any, at: int | None) -> None:
        if place is None or (self.visiting is not None and self.visiting.place == place):
            return
        if self.visiting is not None:
            self.before.append(_over(self.visiting, one.order.occurred))
        self.visiting = Stay(place, one, at)
        self.coming = [s for s in self.coming if s.place != place]

    def _expect(self, one: Contribution, place: Any) -> None:
        if place is not None and not any(s and s.place == place for s in (self.bed, self.visiting, *self.coming)):
            self.coming.append(Stay(place, one))

    def _remember(self, one: Contribution, told: dict[str, Any], at: int | None) -> None:
        """Places before that no event told of."""
        for slot in (_PRIOR, _PRIOR_WHILE):
            place = told.get(slot)
            if place is not None and place != told.get(_BED) and all(s.place != place for s in self.stays):
                self.before.append(Stay(place, one, None, at))

    def _end(self, one: Contribution) -> None:
        self.before.extend(_over(s, one.order.occurred) for s in (self.bed, self.visiting) if s)
        self.bed = self.visiting = None
        self.coming.clear()


def _begins(one: Contribution) -> bool:
    """Whether an event says that the visit begins when it occurred: told again, it puts the beginning right."""
    start = one.body.get("period.start", "")
    return one.event in ("A01", "A04") and "T" in start and utc(one.order.occurred) == utc(
        int(datetime.fromisoformat(start).timestamp()) * 1_000_000)


def _over(stay: Stay, at: int) -> Stay:
    """A stay that ended; a time that lies before its beginning says nothing."""
    return replace(stay, end=at if stay.start is None or stay.start <= at else None)


def located(slots: dict[str, Said], trail: Trail, status: str) -> None:
    """Put the stays into the slots. status: of the Encounter, which those of its places may not contradict."""
    stays = trail.stays
    if stays:
        assumed = None if trail.moved else slots.get(_BED)
        for slot in PLACES:
            slots.pop(slot, None)
        if assumed and not assumed.effect and assumed.value and all(s.place != assumed.value[0]["location"] for s in stays):
            slots[_BED] = assumed
        _put(slots, _BED, [trail.bed], "active")
        _put(slots, _WHILE, [trail.visiting], "active")
        _put(slots, _COMING, trail.coming, "planned")
        for n, stay in enumerate(reversed(trail.before), 1):
            _put(slots, f"{BEFORE}{n}", [stay], "completed")
    for slot, said in slots.items():
        if slot.startswith("location#PV") and said.value:
            fitting = [_fitting(one, slot, status) for one in said.value]
            if fitting != said.value:
                slots[slot] = Said(fitting, said.order, said.by, said.effect)


def _put(slots: dict[str, Said], slot: str, stays: list[Stay | None] | list[Stay], status: str) -> None:
    there = [s for s in stays if s is not None]
    if there:
        slots[slot] = Said([s.entry(status) for s in there], there[-1].by.order.of_effect(), there[-1].by, True)


def _fitting(entry: Json, slot: str, status: str) -> Json:
    """A place whose status fits that of the visit: nobody is at a place of a visit that is over, or did not begin.

    What a snapshot thought of the bed, or the place for a while, by its class alone does not count where events tell.
    """
    held = "active" if slot in (_BED, _WHILE) and status and "status" in entry else entry.get("status")
    if status == "in-progress" and held == entry.get("status"):
        return entry
    match status, held:
        case "finished", "active":
            return {**entry, "status": "completed"}
        case "planned", "active":
            return {**entry, "status": "planned"}
        case ("cancelled", "active" | "planned") | ("finished", "planned"):
            return {name: value for name, value in entry.items() if name != "status"}
        case "onleave", "active" if slot == _BED:
            return {**entry, "status": "reserved"}
        case _:
            return entry if held is None else {**entry, "status": held}


@lru_cache(maxsize=4096)
def utc(moment: int) -> str:
    """Microseconds since 1970 as dateTime in UTC, to the second."""
    return datetime.fromtimestamp(moment // 1_000_000, UTC).isoformat(timespec="seconds")
