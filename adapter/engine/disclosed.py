"""What of a member's resources may go to another's server now: by the declaration of the target, then by the member's Consents.

A type that may tell of a protected class without saying so counts as `unclassified`, which only a consent lets through that
names no class, or all. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection

from adapter.compose.references import targets
from adapter.compose.standing import stand
from adapter.consent.decision import GENERAL, NETWORK
from adapter.engine.affected import LISTS
from adapter.engine.circle import held
from adapter.engine.disclosure import Disclosures
from adapter.model import Composed, Json, is_array, is_object
from adapter.notices.protected import classes_of_stay
from adapter.store import server_state
from adapter.store.keys import key_and_person
from adapter.validate.check import check
from adapter.validate.profiles import claim

SHARED = frozenset({"Organization", "Practitioner", "PractitionerRole", "Location", "HealthcareService",
                    "OrganizationAffiliation"})
"""Types about nobody's care: the directory of the network."""
OF_MANY = frozenset({*LISTS, "List", "MeasureReport"})
"""Types that tell of many persons at once: they never go, whatever is declared."""
UNCLASSIFIED = "unclassified"
_PLAIN = frozenset({"Patient", "RelatedPerson", "CareTeam", "Coverage"})
_LABELS = {"42CFRPart2": "substance-use", "ETH": "substance-use", "SUD": "substance-use", "OPIOIDUD": "substance-use",
           "PSY": "mental-health", "MH": "mental-health", "BH": "mental-health", "HIV": "hiv",
           "U": GENERAL, "L": GENERAL, "M": GENERAL, "N": GENERAL}
"""Security labels (v3-ActCode, v3-Confidentiality), each with its class of data; any other makes a resource unclassified."""
_DISCLOSERS = ("serviceProvider", "managingOrganization", "payor")

Key = tuple[str, str]


def permitted_bodies(connection: Connection, target: str, recipient: str, classes: Collection[str], types: Collection[str],
                     bodies: Mapping[Key, Json], now_us: int) -> dict[Key, Json]:
    """Of these resources those that may go to a target, without references to what does not stand there, or is to go away."""
    decide = Permits(connection, recipient, classes, types, now_us)
    going = [_composed(key, body) for key, body in bodies.items() if decide.may(key, body)]

    def stays(names: set[str]) -> set[str]:
        there = held(connection, server_state.standing_there(connection, target, names))
        return {name for name, body in there.items() if decide.may((body["resourceType"], body["id"]), body)}

    stood = stand(going, stays, claim, check)
    return {(c.resource_type, c.id): c.body for c in stood if not c.deleted}


class Permits:
    """Decides for one target in one transaction."""

    def __init__(self, connection: Connection, recipient: str, classes: Collection[str], types: Collection[str],
                 now_us: int) -> None:
        self._connection = connection
        self._recipient = recipient
        self._classes = frozenset(classes)
        self._types = types
        self._consents = Disclosures(connection, now_us)

    def may(self, key: Key, body: Json) -> bool:
        """Whether a resource may go."""
        if key[0] not in self._types or key[0] in OF_MANY:
            return False
        _, person = key_and_person(self._connection, *key) or ("", "")
        if not person:
            return key[0] in SHARED
        discloser = _discloser(body)
        shown = classes_of(body, held(self._connection, [discloser]).get(discloser))
        if not shown <= self._classes:
            return False
        return self._recipient == NETWORK or self._consents.allows_about(person, discloser, shown, "/".join(key), self._recipient)


def classes_of(body: Json, discloser: Json | None) -> frozenset[str]:
    """Classes of data that a resource shows, as far as that can be told. discloser: the Organization that answers for it."""
    labels = [one.get("code", "") for one in body.get("meta", {}).get("security", ())]
    found = {_LABELS.get(code, UNCLASSIFIED) for code in labels}
    if body["resourceType"] == "Encounter":
        return frozenset(found | classes_of_stay(body, discloser))
    return frozenset(found | {GENERAL if body["resourceType"] in _PLAIN else UNCLASSIFIED})


def _discloser(body: Json) -> str:
    """The Organization that answers for a resource (`Organization/<id>`), '' where it names none."""
    for name in _DISCLOSERS:
        found: Any = body.get(name)
        named: list[Any] = found if is_array(found) else [found]
        for one in named:
            reference: str = one.get("reference", "") if is_object(one) else ""
            if reference.startswith("Organization/"):
                return reference
    return ""


def _composed(key: Key, body: Json) -> Composed:
    return Composed(resource_type=key[0], id=key[1], key="", person="", body=body, hash="", sources={},
                    references=frozenset(targets(body, set())))
