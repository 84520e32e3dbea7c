"""The ADT traffic of 90 days: every message in the order in which it arrives, with late ones and resends among them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from adapter.demo.adt import Happening, render
from adapter.demo.chance import Calendar, stream
from adapter.demo.organizations import Practitioner, Staff
from adapter.demo.people import HOME_HOSPITAL, Member
from adapter.demo.sites import Site
from adapter.demo.stays import Stay


def traffic(seed: int, calendar: Calendar, site: Site, *, members: list[Member], stays: list[Stay],
            staff: Staff) -> list[bytes]:
    """The messages of one hospital in order of arrival.

    Control ids are unique and follow the time of sending. About one in 25 events was entered hours after it happened,
    one in 40 messages arrives hours late, behind others, and one in 45 arrives twice, byte by byte the same.
    """
    rng = stream(seed, f"traffic {site.prefix}")
    happenings = [*_visits(rng, [s for s in stays if s.hospital == site.organization], staff, calendar),
                  *_updates(rng, [m for m in members if _corrected(m, site)], staff, calendar)]
    happenings.sort(key=lambda h: (h.sent, h.record, h.code))
    arrivals: list[tuple[datetime, int, bytes]] = []
    for n, happening in enumerate(happenings, 1):
        message = render(site, f"{site.prefix}{n:06d}", happening)
        late = timedelta(hours=rng.uniform(2, 9)) if n % 40 == 13 else timedelta()
        arrivals.append((min(happening.sent + late, calendar.as_of), n, message))
        if n % 45 == 20:
            again = happening.sent + timedelta(hours=rng.uniform(1, 20))
            arrivals.append((min(again, calendar.as_of), n, message))
    return [message for _, _, message in sorted(arrivals)]


def _visits(rng: random.Random, stays: list[Stay], staff: Staff, calendar: Calendar) -> Iterator[Happening]:
    known: set[str] = set()
    for stay in stays:
        about = Happening(code="A28", member=stay.member, record=stay.record, occurred=stay.begin, told=stay.begin,
                          sent=stay.begin, doctor=_doctor(stay.member, staff))
        if stay.record not in known and stay.number % 3 == 0:
            yield _at(about, stay.begin - timedelta(minutes=9), 7)
        known.add(stay.record)
        for step in stay.steps:
            told = step.told + timedelta(minutes=rng.randint(1, 6))
            late = told + timedelta(hours=rng.uniform(5, 16))
            if rng.random() < 0.04 and late < calendar.as_of:
                told = late
            event = replace(about, code=step.code, stay=stay, step=step, occurred=step.moment, told=told)
            yield replace(event, sent=told + timedelta(seconds=rng.randint(2, 40)))
        merged = (stay.end or stay.begin) + timedelta(hours=3)
        if stay.merged and merged < calendar.as_of:
            yield _at(replace(about, code="A40", record=stay.merged, merged=stay.record), merged, 5)


def _updates(rng: random.Random, members: list[Member], staff: Staff, calendar: Calendar) -> Iterator[Happening]:
    """A31: somebody corrected what is known of the person."""
    for member in members:
        told = calendar.at(rng.randint(1, 88), rng.uniform(8, 17))
        moved = replace(member, street=f"{member.number} Harvest Lane")
        yield Happening(code="A31", member=moved, record=member.record,
                        occurred=told, told=told, sent=told + timedelta(seconds=4), doctor=_doctor(member, staff))


def _corrected(member: Member, site: Site) -> bool:
    return bool(member.record) and HOME_HOSPITAL[member.region] == site.organization and member.number % 9 == 1


def _at(happening: Happening, moment: datetime, seconds: int) -> Happening:
    return replace(happening, occurred=moment, told=moment, sent=moment + timedelta(seconds=seconds))


def _doctor(member: Member, staff: Staff) -> Practitioner:
    doctors = staff.of(member.practice, "primary-care")
    return doctors[member.number % len(doctors)]
