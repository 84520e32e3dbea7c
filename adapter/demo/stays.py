"""Hospital visits of the made-up network: who was where when, and which events each visit gave."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapter.demo.chance import Calendar, deal, stream
from adapter.demo.organizations import Practitioner, Staff
from adapter.demo.people import HOME_HOSPITAL, Member, record_number

_VISITS = {"0": 70, "1": 15, "2": 7, "3": 4, "5": 3, "8": 1}
"""Visits of a member in 90 days, in hundredths of members: most have none, a few have many."""

_KINDS = {"emergency": 45, "emergency-inpatient": 27, "inpatient": 16, "outpatient": 12}
_WARDS = ("3W", "4E", "5N", "ICU", "TELE")

DIAGNOSES = {
    "mental-health": (("F32.9", "Major depressive disorder, single episode, unspecified"),
                      ("F41.1", "Generalized anxiety disorder")),
    "substance-use": (("F10.20", "Alcohol dependence, uncomplicated"), ("F11.20", "Opioid dependence, uncomplicated")),
    "heart": (("I50.9", "Heart failure, unspecified"), ("I48.91", "Unspecified atrial fibrillation")),
    "diabetes": (("E11.65", "Type 2 diabetes mellitus with hyperglycemia"),),
    "": (("R07.9", "Chest pain, unspecified"), ("J18.9", "Pneumonia, unspecified organism"),
         ("N39.0", "Urinary tract infection"), ("S52.501A", "Fracture of lower end of right radius")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One event of a visit. moment: when it happened; of a cancel, when the cancelled event did.

    told: when it was entered. ward: point of care, room and bed, divided by ^. disposition: of a discharge, as claim
    forms number it.
    """

    code: str
    moment: datetime
    told: datetime
    patient_class: str
    ward: str
    disposition: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """One visit. hospital: organization id. record: record number used, a duplicate where `merged` names the right one.

    end: when the patient left, None while still there. cancelled: the admission was taken back.
    """

    member: Member
    hospital: str
    number: int
    kind: str
    record: str
    merged: str
    attending: Practitioner
    diagnoses: tuple[tuple[str, str], ...]
    steps: tuple[Step, ...]
    begin: datetime
    end: datetime | None
    cancelled: bool

    @property
    def inpatient(self) -> bool:
        """Whether the patient was admitted to a bed, and stayed."""
        return "inpatient" in self.kind and not self.cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrival:
    begin: datetime
    end: datetime
    member: Member
    kind: str


def make_stays(seed: int, members: list[Member], staff: Staff, calendar: Calendar) -> list[Stay]:
    """Every visit of the 90 days, in the order of their beginning; those with the greatest burden have the most."""
    rng = stream(seed, "stays")
    counts = sorted((int(c) for c in deal(rng, _VISITS, len(members))), reverse=True)
    ranked = sorted(members, key=lambda m: (m.burden * rng.random(), m.number), reverse=True)
    kinds = iter(deal(rng, _KINDS, sum(counts)))
    arrivals = [a for m, count in zip(ranked, counts, strict=True) for a in _arrivals(rng, m, count, kinds, calendar)]
    arrivals.sort(key=lambda a: (a.begin, a.member.number))
    arrivals += _last_night(ranked, arrivals, calendar)
    return [_stay(rng, number, arrival, staff, calendar) for number, arrival in enumerate(arrivals, 1)]


def _last_night(ranked: list[Member], arrivals: list[_Arrival], calendar: Calendar) -> Iterator[_Arrival]:
    """One who was in no hospital so far was in an emergency department before the last noon: nobody can have followed it up."""
    seen = {a.member.number for a in arrivals}
    found = next((m for m in ranked if m.number not in seen and m.status == "enrolled"), None)
    if found is not None:
        yield _Arrival(begin=calendar.at(89, 22), end=calendar.at(90, 3.5), member=found, kind="emergency")


def _arrivals(rng: random.Random, member: Member, count: int, kinds: Iterator[str],
              calendar: Calendar) -> Iterator[_Arrival]:
    """A member's visits: each in a share of the 90 days of its own, so that no two overlap; the last may go on."""
    share = 89.5 / max(count, 1)
    for n in range(count):
        last = n == count - 1
        begin = calendar.at((n + rng.uniform(0.05, 0.95 if last else 0.4)) * share)
        kind = next(kinds)
        longest = 24 * rng.choice([2, 3, 3, 4, 5, 8, 12])
        hours = rng.uniform(20, longest) if "inpatient" in kind else rng.uniform(1.5, 11)
        hours = hours if last else min(hours, share * 13)
        yield _Arrival(begin=begin, end=begin + timedelta(minutes=round(hours * 60)), member=member, kind=kind)


def _stay(rng: random.Random, number: int, arrival: _Arrival, staff: Staff, calendar: Calendar) -> Stay:
    member = arrival.member
    home = HOME_HOSPITAL[member.region]
    hospital = next(h for h in HOME_HOSPITAL.values() if h != home) if number % 12 == 5 else home
    record = record_number(hospital, member.number)
    duplicate = record_number(hospital, 4_000 + number) if number % 19 == 11 else ""
    cancelled = number % 18 == 7
    steps = [s for s in _steps(rng, number, arrival) if s.told <= calendar.as_of]
    if cancelled:
        steps = [steps[0], _cancel("A11", steps[0], timedelta(minutes=35))]
    known = [d for need in sorted(member.needs) for d in DIAGNOSES.get(need, ())]
    left = arrival.end <= calendar.as_of and not cancelled
    return Stay(member=member, hospital=hospital, number=number, kind=arrival.kind, begin=arrival.begin,
                steps=tuple(steps), cancelled=cancelled, record=duplicate or record, merged=record if duplicate else "",
                end=arrival.end if left else None, attending=rng.choice(staff.of(hospital, "attending")),
                diagnoses=(*rng.sample(known, min(len(known), 1)), rng.choice(DIAGNOSES[""])))


def _steps(rng: random.Random, number: int, arrival: _Arrival) -> Iterator[Step]:
    """The events of a visit as they happened. Now and then a discharge is taken back and given again later."""
    begin, end, kind = arrival.begin, arrival.end, arrival.kind
    patient_class = {"inpatient": "I", "outpatient": "O"}.get(kind, "E")
    ward = {"inpatient": _bed(rng), "outpatient": "CLIN^^"}.get(kind, f"ED^{rng.randint(1, 24)}^")
    yield _step("A01" if kind == "inpatient" else "A04", begin, patient_class, ward)
    if kind == "emergency-inpatient":
        patient_class, ward = "I", _bed(rng)
        yield _step("A01", begin + (end - begin) * 0.2, "I", ward)
    for share in (0.45, 0.7)[:rng.choice([0, 0, 1, 1, 2])] if patient_class == "I" else ():
        ward = _bed(rng)
        yield _step("A02", begin + (end - begin) * share, "I", ward)
    for share in (0.5, 0.8)[:rng.choice([0, 1, 1, 2])]:
        yield _step("A08", begin + (end - begin) * share, patient_class, ward)
    disposition = rng.choices(["01", "03", "07", "65"], [78, 11, 6, 5])[0] if patient_class == "I" else "01"
    if number % 17 == 4:
        early = _step("A03", begin + (end - begin) * 0.9, patient_class, ward, disposition)
        yield early
        yield _cancel("A13", early, (end - begin) * 0.05)
    yield _step("A03", end, patient_class, ward, disposition)


def _step(code: str, moment: datetime, patient_class: str, ward: str, disposition: str = "") -> Step:
    moment = moment.replace(second=0, microsecond=0)
    return Step(code=code, moment=moment, told=moment, patient_class=patient_class, ward=ward, disposition=disposition)


def _cancel(code: str, step: Step, after: timedelta) -> Step:
    return Step(code=code, moment=step.moment, told=step.told + after, patient_class=step.patient_class, ward=step.ward)


def _bed(rng: random.Random) -> str:
    return f"{rng.choice(_WARDS)}^{rng.randint(101, 460)}^{rng.choice('AB')}"
