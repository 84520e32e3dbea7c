"""What stands about a member, and which organizations care for them now. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from adapter.model import Json
from adapter.notices.stays import members_of
from adapter.store.keys import Key, keys_of_persons
from adapter.store.resources import read_resources, with_meta


def circle(connection: Connection, person: str, now_us: int) -> set[str]:
    """Organizations (`Organization/<id>`) on the active care teams of a person (key of the main Patient)."""
    members = set[str]().union(*(members_of(team, now_us) for team in of_person(connection, person, "CareTeam")))
    roles = held(connection, (one for one in members if one.startswith("PractitionerRole/")))
    organizations = {role.get("organization", {}).get("reference", "") for role in roles.values()}
    return {one for one in members | organizations if one.startswith("Organization/")}


def of_person(connection: Connection, person: str, resource_type: str) -> list[Json]:
    """Every standing resource of this type of a person (key of the main Patient)."""
    if not person:
        return []
    return [*held(connection, (f"{t}/{i}" for t, i, _ in keys_of_persons(connection, [person]) if t == resource_type)).values()]


def held(connection: Connection, names: Iterable[str]) -> dict[str, Json]:
    """What stands of these `Type/id`, by that name."""
    keys: list[Key] = [(t, i) for t, mark, i in (name.partition("/") for name in dict.fromkeys(names)) if mark]
    return {f"{t}/{i}": with_meta(s.body, s.version, s.updated)
            for (t, i), s in read_resources(connection, keys).items() if s.body is not None}
