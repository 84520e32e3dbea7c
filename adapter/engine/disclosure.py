"""Whether who subscribed may be told of a notice, by the member's Consents as they stand now. Nothing is written.

A notice is a disclosure: of a gap by the organization that is responsible for it, of a stay by the one that gives the care.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, cast

from sqlalchemy import Column, Connection, Integer, MetaData, Table, Text, or_, select

from adapter.consent.decision import NETWORK, Basis, Disclosure, permitted
from adapter.engine.circle import circle, held, of_person
from adapter.gaps.engine import organizations
from adapter.gaps.organizations import by_id
from adapter.gaps.rules import open_rules
from adapter.gaps.tables import PREFIX
from adapter.gaps.task import RULES
from adapter.model import Json
from adapter.notices.protected import classes_of_stay, is_part2
from adapter.notices.topics import GAP_LIFE
from adapter.store.keys import key_and_person
from adapter.store.notices import Notice

_SHARING = "data-sharing"
_AFFILIATION = Table(f"{PREFIX}affiliation", MetaData(), Column("organization", Text), Column("partner", Text),
                     Column("agreement", Text), *(Column(name, Integer) for name in ("active", "start_at", "end_at")))


class Disclosures:
    """Decides about notices in one transaction; what it read of a member it reads once."""

    def __init__(self, connection: Connection, now_us: int) -> None:
        self._connection = connection
        self._now_us = now_us
        self._consents: dict[str, tuple[list[Json], frozenset[str]]] = {}
        self._organizations: dict[str, str] = {}
        self._agreed: dict[str, frozenset[str]] = {}

    def allows(self, notice: Notice, recipients: Collection[str]) -> bool:
        """Whether all of these may be told: organizations by their number in the network, or NETWORK. Nobody known: no.

        What is about an organization is no member's to decide.
        """
        if NETWORK in recipients or not notice.subject.startswith("Patient/"):
            return True
        ids = [self._organization(number) for number in recipients]
        return bool(ids) and all(ids) and self._permitted(notice, [f"Organization/{one}" for one in ids])

    def allows_about(self, person: str, discloser: str, classes: frozenset[str], rests_on: str, recipient: str) -> bool:
        """Whether an organization (by its number in the network) may be told this about a person (key of the main Patient)."""
        one = self._organization(recipient)
        if not one:
            return False
        consents, around = self._of_person(person)
        basis = Basis(circle=around, agreed=self._agreements(discloser),
                      part2=is_part2(held(self._connection, [discloser]).get(discloser)))
        return permitted(Disclosure(recipient=f"Organization/{one}", discloser=discloser, classes=classes,
                                    rests_on=frozenset({rests_on}), at=self._now_us), consents, basis)

    def _permitted(self, notice: Notice, recipients: Collection[str]) -> bool:
        consents, around = self._of_member(notice.subject)
        classes, rests_on, discloser = self._shown(notice)
        basis = Basis(circle=around, agreed=self._agreements(discloser),
                      part2=is_part2(held(self._connection, [discloser]).get(discloser)))
        return all(permitted(Disclosure(recipient=one, discloser=discloser, classes=classes, rests_on=rests_on, at=self._now_us),
                             consents, basis) for one in recipients)

    def _shown(self, notice: Notice) -> tuple[frozenset[str], frozenset[str], str]:
        """Classes of data that a notice shows, what it rests on (`Type/id`), and who discloses it ('' where nobody knows)."""
        stood = held(self._connection, [notice.focus]).get(notice.focus, {})
        if notice.topic == GAP_LIFE.name:
            rules = (code.removeprefix(f"{RULES}|") for code in notice.keys.get("code", ()))
            known = open_rules().rules
            classes = {name for rule in rules for name in (known[rule].data_classes if rule in known else ("",))}
            return frozenset(classes), frozenset(_references(stood)), next(iter(notice.keys.get("organization", ())), "")
        provider = next(iter(notice.keys.get("service-provider", ())), "")
        stay = classes_of_stay(stood, held(self._connection, [provider]).get(provider))
        return stay, frozenset({notice.focus}), provider

    def _of_member(self, subject: str) -> tuple[list[Json], frozenset[str]]:
        """The Consents of a member and the organizations on their care teams."""
        _, person = key_and_person(self._connection, "Patient", subject.removeprefix("Patient/")) or ("", "")
        return self._of_person(person)

    def _of_person(self, person: str) -> tuple[list[Json], frozenset[str]]:
        if person not in self._consents:
            self._consents[person] = (of_person(self._connection, person, "Consent"),
                                      frozenset(circle(self._connection, person, self._now_us)))
        return self._consents[person]

    def _organization(self, number: str) -> str:
        if number not in self._organizations:
            found = by_id(organizations(self._connection), number)  # never by name: anybody may be called so
            self._organizations[number] = found[0] if len(found) == 1 else ""  # nobody has named it yet
        return self._organizations[number]

    def _agreements(self, discloser: str) -> frozenset[str]:
        """Organizations that have an agreement with the discloser to share data, in force."""
        if discloser not in self._agreed:
            a, one, now = _AFFILIATION.c, discloser.removeprefix("Organization/"), self._now_us // 1_000_000
            found = self._connection.execute(select(a.organization, a.partner).where(
                a.agreement == _SHARING, or_(a.organization == one, a.partner == one), or_(a.active.is_(None), a.active == 1),
                or_(a.start_at.is_(None), a.start_at <= now), or_(a.end_at.is_(None), a.end_at >= now)))
            self._agreed[discloser] = frozenset(f"Organization/{side}" for row in found for side in row if side and side != one)
        return self._agreed[discloser]


def _references(value: Any) -> Iterator[str]:
    """Every `Type/id` that something refers to."""
    if isinstance(value, dict):
        for name, inner in cast("Json", value).items():
            if name == "reference" and isinstance(inner, str):
                yield inner
            else:
                yield from _references(inner)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from _references(inner)
