"""May somebody be told something about a member: what the member's Consents say, and the network's policy where they are silent.

Pure. Source: FHIR R4 Consent; 42 CFR 2.12, 2.31; REQUIREMENTS 1, G13.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from adapter.model import Json
from adapter.store.search_index import date_range

NETWORK = "*"
"""A recipient who is the network itself: its own programs, to whom nothing is disclosed."""
GENERAL = "general"
"""The class of data that network policy lets the member's own circle know. Any other is told by consent alone."""
_CLASS = "urn:x-careloop:data-class"
_ALL = "all"
_PURPOSES = frozenset({"TREAT", "CAREMGT"})
"""What notices are for (v3-ActReason). A release for something else does not cover them."""
LIMITS = ("provision", "class", "securityLabel", "data", "dataPeriod")
"""Parts of a provision that narrow what it permits in a way that is not computed here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """Something about a member that is about to be told. at: microseconds since 1970 UTC.

    recipient, discloser: `Organization/<id>`; where nobody knows who discloses it is '', and a word to any discloser counts.
    classes: of data that it shows.
    rests_on: what it was read off, `Type/id`.
    """

    recipient: str
    discloser: str
    classes: frozenset[str]
    rests_on: frozenset[str] = frozenset()
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What holds where the member said nothing. circle: organizations on the member's active care teams (`Organization/<id>`).

    agreed: those that have an agreement with the discloser to share data. part2: the discloser is a 42 CFR Part 2 program.
    """

    circle: frozenset[str] = field(default_factory=frozenset[str])
    agreed: frozenset[str] = field(default_factory=frozenset[str])
    part2: bool = False


def permitted(asked: Disclosure, consents: Sequence[Json], basis: Basis) -> bool:
    """Whether all of it may be told. consents: every Consent of the member.

    First come restrictions, then a release in force, then what was refused, revoked, ended or is limited; only where none of
    these is about it, policy: general data, of a discloser that is no Part 2 program, within the circle or by agreement.
    """
    about_privacy = [one for one in consents if _is(one.get("scope"), "patient-privacy")]
    if any(_restricts(one, asked) for one in about_privacy):
        return False
    return all(_class_permitted(asked, name, about_privacy, basis) for name in asked.classes)


def _class_permitted(asked: Disclosure, name: str, consents: Iterable[Json], basis: Basis) -> bool:
    named = [one for one in consents if _releases(one, asked, name)]
    if any(one["status"] == "active" and not _limited(one) and covers(one, asked.at) for one in named):
        return True
    if any(one["status"] in ("rejected", "inactive") or _limited(one) or is_over(one, asked.at) for one in named):
        return False
    if name != GENERAL or basis.part2:
        return False
    return asked.recipient == asked.discloser or asked.recipient in basis.circle | basis.agreed


def _releases(consent: Json, asked: Disclosure, name: str) -> bool:
    """Whether it is a release (or its refusal) of this class of data to this recipient.

    It names who discloses. What the recipient itself answers for may rest on others' records: there any discloser counts.
    """
    provision: Json = consent.get("provision", {})
    any_counts = asked.discloser in ("", asked.recipient)
    disclosers = {one.get("reference") for one in consent.get("organization", ())}
    purposes = {one.get("code") for one in provision.get("purpose", ())}
    return (provision.get("type") == "permit" and consent["status"] in ("active", "rejected", "inactive")
            and asked.recipient in recipients(provision)
            and (any_counts or asked.discloser in disclosers)
            and (not purposes or bool(purposes & _PURPOSES)) and _covers_class(provision, {name}))


def _restricts(consent: Json, asked: Disclosure) -> bool:
    """Whether it forbids this: to this recipient or to everybody, of these data or of all."""
    provision: Json = consent.get("provision", {})
    named = recipients(provision)
    about = {one.get("reference", {}).get("reference") for one in provision.get("data", ())}
    return (consent.get("status") == "active" and provision.get("type") == "deny" and covers(consent, asked.at)
            and (not named or asked.recipient in named)
            and (not about or bool(about & asked.rests_on)) and _covers_class(provision, asked.classes))


def _covers_class(provision: Json, names: Iterable[str]) -> bool:
    """Whether it is about one of these classes of data: it names it, or all, or none, or (a restriction) something else."""
    codings = [list(one.get("coding", ())) for one in provision.get("code", ())]
    said = {one.get("code") for of_it in codings for one in of_it if one.get("system") == _CLASS}
    return not said or bool(said & {_ALL, *names})


def _limited(consent: Json) -> bool:
    """Whether a release has exceptions or limits that are not computed here; so it permits nothing."""
    provision: Json = consent["provision"]
    known = all(any(one.get("system") == _CLASS for one in code.get("coding", ())) for code in provision.get("code", ()))
    return not known or any(provision.get(name) for name in LIMITS)


def covers(consent: Json, at: int) -> bool:
    """Whether its time has begun and is not over. at: microseconds since 1970 UTC."""
    period: Json = consent.get("provision", {}).get("period", {})
    begins = (date_range(text) for text in (consent.get("dateTime", ""), period.get("start", "")))
    return all(one is None or one[0] <= at for one in begins) and not is_over(consent, at)


def is_over(consent: Json, at: int) -> bool:
    """Whether its period has ended."""
    end = date_range(consent.get("provision", {}).get("period", {}).get("end", ""))
    return end is not None and end[1] < at


def recipients(provision: Json) -> set[str]:
    """Who may be told by it, or not be told: `Type/id`."""
    return {one.get("reference", {}).get("reference", "") for one in provision.get("actor", ()) if _is(one.get("role"), "IRCP")}


def _is(concept: Json | None, code: str) -> bool:
    return any(one.get("code") == code for one in (concept or {}).get("coding", ()))
