"""Organizations, health service areas and coordinators by what people call them: id, id in the network, name. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from adapter.errors import Rejected

Known = tuple[Any, ...]
"""One that stands: its id, its id in the network, its name; the latter two may be missing."""


def names_of(known: Iterable[Known]) -> dict[str, str]:
    """Id to what is shown: the name, else the id in the network, else the id."""
    return {resource_id: name or number or resource_id for resource_id, number, name in known}


def by_id(known: Iterable[Known], text: str) -> list[str]:
    """The ids of those that an id, or an id in the network, names."""
    return [resource_id for resource_id, number, _ in known if text in (resource_id, number)]


def find(what: Literal["organization", "area", "coordinator"], known: Iterable[Known], text: str) -> str:
    """The id of the one that an id (`Type/id` too), an id in the network, or a name names, in capitals or not.

    Raises Rejected: unknown-organization, ambiguous-organization (several have that name: their ids are told); so of an area or
    coordinator.
    """
    standing = list(known)
    found = by_id(standing, text.removeprefix("Organization/").removeprefix("Location/").removeprefix("Practitioner/"))
    found = found or [one[0] for one in standing if _plain(one[2]) == _plain(text) != ""]
    if not found:
        raise Rejected(f"unknown-{what}", text)
    if len(found) > 1:
        raise Rejected(f"ambiguous-{what}", text, ", ".join(sorted(_told(one) for one in standing if one[0] in found)))
    return found[0]


def _plain(name: str | None) -> str:
    return " ".join((name or "").casefold().split())


def _told(one: Known) -> str:
    resource_id, number, _ = one
    return f"{number} ({resource_id})" if number else resource_id
