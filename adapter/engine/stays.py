"""Stays of members with a care team: told when they begin and end, in the transaction that composes their Encounter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from adapter.engine.telling import tell
from adapter.model import Composed, Json
from adapter.notices.alerts import message
from adapter.notices.stays import happened, members_of, stay_notice
from adapter.store import notices
from adapter.store.keys import key_and_person, keys_of_persons
from adapter.store.notices import Notice
from adapter.store.resources import Key, read_resource, read_resources, read_version, with_meta


def tell_stays(connection: Connection, changed: Sequence[Composed], now_us: int) -> None:
    """Tell which of these Encounters began or ended, to the organizations of the person's care team."""
    stays = [c for c in changed if c.resource_type == "Encounter"]
    if not stays:
        return
    told = notices.last_told(connection, {f"Encounter/{c.id}" for c in stays})
    news: list[Notice] = []
    for c in stays:
        focus, encounter = f"Encounter/{c.id}", None if c.deleted else c.body
        before = told.get(focus)
        if what := happened(encounter, before, now_us):
            one = stay_notice(encounter, what, focus, _team(connection, c.person, now_us), before, now_us)
            news += [one] if one.keys["organization"] else []
    tell(connection, news, now_us)


def _team(connection: Connection, person: str, now_us: int) -> set[str]:
    """Organizations on the active care teams of a person (key of the main Patient)."""
    teams = _of_person(connection, person, "CareTeam")
    members = set[str]().union(*(members_of(team, now_us) for team in teams))
    roles = _held(connection, (one for one in members if one.startswith("PractitionerRole/")))
    organizations = {role.get("organization", {}).get("reference", "") for role in roles.values()}
    return {one for one in members | organizations if one.startswith("Organization/")}


def stay_message(connection: Connection, notice: Notice, base: str) -> Json | None:
    """The message that tells a notice of a stay, of resources as they stand now; None where the Encounter never stood.

    An Encounter that was deleted is told as it stood last, entered in error.
    """
    stored = read_resource(connection, "Encounter", notice.focus.removeprefix("Encounter/"))
    if stored is None:
        return None
    last = stored if stored.body is not None else read_version(connection, "Encounter", stored.id, stored.version - 1)
    if last is None or last.body is None:
        return None
    encounter = with_meta(last.body, last.version, last.updated)
    if stored.body is None:
        encounter["status"] = "entered-in-error"
    _, person = key_and_person(connection, "Encounter", stored.id) or ("", "")
    coverages = [one for one in _of_person(connection, person, "Coverage") if one.get("status") == "active"]
    wanted = [_reference(encounter.get("subject")), _reference(encounter.get("serviceProvider")),
              *(_reference(one.get("location")) for one in encounter.get("location", ())),
              *(_reference(one.get("individual")) for one in encounter.get("participant", ())),
              *(_reference(payor) for one in coverages for payor in one.get("payor", ()))]
    held = _held(connection, wanted)
    behind = [_reference(one.get(name)) for one in held.values() if one["resourceType"] == "PractitionerRole"
              for name in ("practitioner", "organization")]
    return message(notice, encounter, [*(held | _held(connection, behind)).values(), *coverages], base)


def _of_person(connection: Connection, person: str, resource_type: str) -> list[Json]:
    if not person:
        return []
    return [*_held(connection, (f"{t}/{i}" for t, i, _ in keys_of_persons(connection, [person]) if t == resource_type)).values()]


def _held(connection: Connection, names: Iterable[str]) -> dict[str, Json]:
    """What stands of these `Type/id`, by that name."""
    keys: list[Key] = [(t, i) for t, mark, i in (name.partition("/") for name in dict.fromkeys(names)) if mark]
    return {f"{t}/{i}": with_meta(s.body, s.version, s.updated)
            for (t, i), s in read_resources(connection, keys).items() if s.body is not None}


def _reference(element: Json | None) -> str:
    found: str = (element or {}).get("reference", "")
    return found
