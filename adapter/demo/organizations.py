"""The organizations of the made-up network and who works there."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from adapter.demo.names import FEMALE, MALE, surname

EAST = ZoneInfo("America/New_York")
WEST = ZoneInfo("America/Chicago")


@dataclass(frozen=True, slots=True, kw_only=True)
class Practitioner:
    """Somebody who works at an organization. role: as the care_team feed writes it."""

    npi: str
    first: str
    last: str
    role: str
    organization: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """One organization. kind: hospital, primary-care, mental-health ... region: east, west, or '' for both."""

    id: str
    name: str
    kind: str
    region: str
    zone: ZoneInfo
    phone: str


_LISTED = (
    ("ORG-STANNE", "St. Anne Medical Center", "hospital", "east"),
    ("ORG-LAKESIDE", "Lakeside Regional Hospital", "hospital", "west"),
    ("ORG-MAPLE", "Maple Street Family Medicine", "primary-care", "east"),
    ("ORG-RIVER", "Riverbend Primary Care", "primary-care", "east"),
    ("ORG-NORTH", "Northfield Community Health Center", "primary-care", "west"),
    ("ORG-HARBOR", "Harbor Community Mental Health", "mental-health", "east"),
    ("ORG-WILLOW", "Willow Creek Behavioral Health", "mental-health", "west"),
    ("ORG-BRIDGE", "Bridgeway Crisis Stabilization Unit", "csu", "east"),
    ("ORG-CEDAR", "Cedar Ridge Skilled Nursing", "snf", ""),
    ("ORG-GREENWAY", "Greenway Recovery Services", "substance-use", ""),
    ("ORG-SUMMIT", "Summit Heart Specialists", "specialist", ""),
    ("ORG-TABLE", "Common Table Community Services", "social-services", ""),
    ("ORG-DOOR", "Open Door Housing Partnership", "housing", ""),
    ("ORG-EVERGREEN", "Evergreen Health Plan", "payer", ""),
    ("ORG-COMMONS", "Commons Managing Entity", "managing-entity", ""),
)
MANAGING_ENTITY = "ORG-COMMONS"
"""Who answers for the public behavioural-health system, and hears of what it lacks."""

ORGANIZATIONS: dict[str, Organization] = {
    key: Organization(id=key, name=name, kind=kind, region=region, zone=WEST if region == "west" else EAST,
                      phone=f"{'708' if region == 'west' else '518'}-555-01{60 + n}")
    for n, (key, name, kind, region) in enumerate(_LISTED)}

_STAFF = {
    "hospital": ("care-coordinator", "attending", "attending", "attending", "attending"),
    "primary-care": ("primary-care", "primary-care", "primary-care", "lead-coordinator", "lead-coordinator"),
    "mental-health": ("mental-health", "mental-health", "lead-coordinator", "peer-specialist"),
    "csu": ("mental-health", "peer-specialist"),
    "snf": ("care-coordinator",),
    "substance-use": ("mental-health", "peer-specialist"),
    "specialist": ("specialist", "specialist"),
    "social-services": ("social-services", "social-services", "lead-coordinator"),
    "housing": ("social-services",),
    "payer": ("care-coordinator", "lead-coordinator"),
    "managing-entity": (),
}


class Staff:
    """Everybody who works in the network, with made-up NPIs (beginning with 2, which are not given out)."""

    def __init__(self, rng: random.Random) -> None:
        serials = iter(range(1_001, 2_000, 7))
        self._by_organization = {o.id: tuple(_hired(rng, o, serials)) for o in ORGANIZATIONS.values()}

    def of(self, organization: str, role: str) -> tuple[Practitioner, ...]:
        """Those with a role at an organization."""
        return tuple(p for p in self._by_organization[organization] if p.role == role)

    def pick(self, rng: random.Random, organization: str, role: str) -> Practitioner:
        """One of those with a role, else one of all who work there."""
        return rng.choice(self.of(organization, role) or self._by_organization[organization])


def npi(serial: int) -> str:
    """A National Provider Identifier with its check digit (Luhn over 80840 and the nine digits)."""
    digits = f"2{serial:08d}"
    total = 24
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return f"{digits}{-total % 10}"


def _hired(rng: random.Random, organization: Organization, serials: Iterator[int]) -> list[Practitioner]:
    return [Practitioner(npi=npi(next(serials)), first=rng.choice(FEMALE + MALE), last=surname(rng), role=role,
                         organization=organization.id) for role in _STAFF[organization.kind]]
