"""What the made-up network says of its own organizations: directory, staffing, agreements between pairs, targets."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from adapter.demo.cells import cells
from adapter.demo.chance import Calendar, iso, stream
from adapter.demo.names import STREETS, TOWNS
from adapter.demo.organizations import ORGANIZATIONS, Organization, Staff, npi

_SERVICES = {"primary-care": ("primary-care", "care-coordination"), "mental-health": ("behavioral-health", "peer-support"),
             "csu": ("crisis",), "substance-use": ("behavioral-health", "peer-support"), "specialist": ("specialty",),
             "social-services": ("food", "transport"), "housing": ("housing",), "payer": ("care-coordination",)}
_TARGETS = {"G01": "90", "G02": "75", "G07": "80", "G09": "70", "G13": "95"}
_EXPECTED = {"hospital": (("hl7v2", "day"),), "primary-care": (("contacts", "week"), ("care_plans", "month")),
             "mental-health": (("contacts", "week"), ("assessments", "month")),
             "payer": (("members", "month"), ("utilization", "month"))}
"""Kind of organization -> the feeds that it sends, and how often."""
_ROUTES = ("shared-ehr", "e-referral", "e-referral", "direct-message", "exchange", "interface")
_COORDINATING = ("lead-coordinator", "care-coordinator")


def organization_rows(seed: int, staff: Staff, calendar: Calendar) -> Iterator[dict[str, str]]:
    """The organizations feed: every kind of row, with entries long unverified, expired agreements and thin staffing."""
    rng = stream(seed, "directory")
    for number, one in enumerate(ORGANIZATIONS.values()):
        yield from _itself(rng, number, one, calendar)
        yield from _staffing(rng, one, staff, calendar)
        if one.kind in ("primary-care", "mental-health", "hospital"):
            yield from (_row("target", one, calendar, {
                "measure": measure, "target_value": value, "target_unit": "%", "start_date": calendar.day(0).isoformat(),
                "end_date": calendar.day(364).isoformat()}) for measure, value in _TARGETS.items())
        yield from (_row("expected-feed", one, calendar, {
            "feed": feed, "due_every": every, "target_value": "98", "target_unit": "%",
            "start_date": calendar.day(0).isoformat()}) for feed, every in _EXPECTED.get(one.kind, ()))
    yield from _agreements(rng, calendar)


def _row(record: str, one: Organization, calendar: Calendar, *parts: dict[str, str]) -> dict[str, str]:
    return cells("organizations", {"record": record, "organization_id": one.id, "organization_name": one.name,
                                   "updated_at": iso(calendar.at(89, 5))}, *parts)


def _itself(rng: random.Random, number: int, one: Organization, calendar: Calendar) -> Iterator[dict[str, str]]:
    area = one.region or rng.choice(["east", "west"])
    city, state, postal_code = rng.choice(TOWNS[area])
    answers, assessed = one.kind in _SERVICES and rng.random() < 0.7, rng.random() < 0.6
    yield _row("organization", one, calendar, {
        "active": "Y", "npi": npi(5_000 + number), "type": one.kind, "phone": one.phone,
        "email": f"desk@{one.id.removeprefix('ORG-').lower()}.example.org",
        "address_line": f"{rng.randint(1, 240)} {rng.choice(STREETS)}", "city": city, "state": state, "postal_code": postal_code,
        "part2_program": "Y" if one.kind == "substance-use" else "N", "health_service_area": area,
        "time_zone": one.zone.key, "on_call_phone": f"{one.phone[:-2]}{(number + 30) % 100:02d}" if answers else "",
        "culture_assessed": calendar.day(rng.choice([-300, -40, 20, 50])).isoformat() if assessed else ""})
    for place, service in enumerate(_SERVICES.get(one.kind, ()), 1):
        yield _row("service", one, calendar, {
            "active": "Y", "service_id": f"SVC-{one.id.removeprefix('ORG-')}-{place}", "service": service,
            "service_name": f"{one.name}: {service.replace('-', ' ')}", "phone": one.phone, "health_service_area": area,
            "always_open": "Y" if service == "crisis" else "N",
            "verified_date": calendar.day(rng.choice([85, 60, 20, -30, -120, -200])).isoformat()})


def _staffing(rng: random.Random, one: Organization, staff: Staff, calendar: Calendar) -> Iterator[dict[str, str]]:
    for role in _COORDINATING:
        heads = len(staff.of(one.id, role))
        if heads:
            yield _row("staffing", one, calendar, {
                "role": role, "headcount": str(heads), "fte": f"{heads * rng.choice([0.5, 0.8, 1.0]):.1f}",
                "capacity": rng.choice(["12", "25", "60"]), "start_date": calendar.day(0).isoformat()})


def _agreements(rng: random.Random, calendar: Calendar) -> Iterator[dict[str, str]]:
    """Between pairs of organizations: most share data, fewer have protocols; some agreements ran out."""
    shares = {"data-sharing": 0.6, "transition-protocol": 0.4, "release-protocol": 0.35, "information-route": 0.5}
    for one, other in itertools.combinations(ORGANIZATIONS.values(), 2):
        for agreement, share in shares.items():
            if rng.random() < share * (0.4 if one.region and other.region and one.region != other.region else 1):
                over = rng.random() < 0.12
                yield _row("agreement", one, calendar, {
                    "active": "N" if over else "Y", "partner_id": other.id, "partner_name": other.name,
                    "agreement": agreement, "route": rng.choice(_ROUTES) if agreement == "information-route" else "",
                    "start_date": calendar.day(rng.randint(-700, -60)).isoformat(),
                    "end_date": calendar.day(rng.randint(-50, 80) if over else rng.randint(95, 900)).isoformat()})
