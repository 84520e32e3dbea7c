"""Resources in words for the page: names, roles, periods. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from adapter.model import Json

_ROLE = ("practitioner", "organization")
_NAMELESS = "no name"
_NUMBERED = ("Organization", "Practitioner")
_PREFERRED = ("usual", "official", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A Patient in a list. identifiers: values only, as people say them."""

    id: str
    name: str
    born: str
    gender: str
    identifiers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One participant of a care team."""

    role: str
    name: str
    organization: str
    since: str
    until: str


def member(patient: Json) -> Member:
    """A Patient as a Member."""
    values = dict.fromkeys(one["value"] for one in patient.get("identifier", ()) if one.get("value"))
    return Member(id=patient["id"], name=human_name(patient), born=patient.get("birthDate", ""),
                  gender=patient.get("gender", ""), identifiers=tuple(values))


def human_name(person: Json) -> str:
    """The name to call a person by: usual, official, else the first that is in use; 'no name' without any."""
    names = sorted((one for one in person.get("name", ()) if one.get("use") != "old"), key=_preference)
    for name in names:
        parts = [*name.get("given", ()), name.get("family", "")]
        if text := name.get("text") or " ".join(part for part in parts if part):
            return text
    return _NAMELESS


def _preference(name: Json) -> int:
    use = name.get("use", "")
    return _PREFERRED.index(use) if use in _PREFERRED else len(_PREFERRED)


def title(resource: Json) -> str:
    """What to call any resource: a person's or organization's name; where nobody named an organization or practitioner, its
    number; else its type."""
    name = resource.get("name")
    said = name if isinstance(name, str) else human_name(resource) if name else ""
    if said not in ("", _NAMELESS) or resource["resourceType"] not in _NUMBERED:
        return said or resource["resourceType"]
    return next((one["value"] for one in resource.get("identifier", ()) if one.get("value")), said or resource["resourceType"])


def named(resource: Json, known: Mapping[str, Json]) -> str:
    """The same; a role is called by whose it is, else by where. known: `Type/id` -> resource."""
    if resource["resourceType"] != "PractitionerRole":
        return title(resource)
    return next((name for one in _ROLE if (name := called(resource.get(one, {}), known))), title(resource))


def behind(resources: Iterable[Json]) -> list[str]:
    """What roles among these are called by, `Type/id`."""
    return [reference for role in resources if role["resourceType"] == "PractitionerRole"
            for one in _ROLE if (reference := role.get(one, {}).get("reference", "")).count("/") == 1]


def seats(team: Json, known: Mapping[str, Json]) -> list[Seat]:
    """The participants of a CareTeam. known: `Type/id` -> resource, for names."""
    return [
        Seat(role=_roles(one.get("role", ())), name=called(one.get("member", {}), known),
             organization=called(one.get("onBehalfOf", {}), known),
             since=one.get("period", {}).get("start", "")[:10], until=one.get("period", {}).get("end", "")[:10])
        for one in team.get("participant", ())
    ]


def references(team: Json) -> list[str]:
    """What a CareTeam's participants point at, `Type/id`, each once."""
    found = [one.get(element, {}).get("reference", "") for one in team.get("participant", ())
             for element in ("member", "onBehalfOf")]
    return [reference for reference in dict.fromkeys(found) if reference.count("/") == 1]


def key(reference: str) -> tuple[str, str]:
    """`Type/id` apart."""
    resource_type, _, resource_id = reference.partition("/")
    return resource_type, resource_id


def called(reference: Json, known: Mapping[str, Json]) -> str:
    """What a reference's target is called, its display where that is not known. known: `Type/id` -> resource."""
    target = known.get(reference.get("reference", ""))
    return named(target, known) if target else reference.get("display", "")


def _roles(concepts: Sequence[Json]) -> str:
    return ", ".join(dict.fromkeys(text for one in concepts if (text := concept(one))))


def concept(value: Json) -> str:
    """A CodeableConcept in words: its text, else a display, else a code."""
    codings = value.get("coding", ())
    return (value.get("text") or next((one["display"] for one in codings if one.get("display")), "")
            or next((one["code"].replace("-", " ") for one in codings if one.get("code")), ""))
