"""Stays of members with a care team: told when they begin and end, in the transaction that composes their Encounter."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from adapter.engine.circle import circle, held, of_person
from adapter.engine.telling import tell
from adapter.model import Composed, Json
from adapter.notices.alerts import message
from adapter.notices.stays import happened, stay_notice
from adapter.store import notices
from adapter.store.keys import key_and_person
from adapter.store.notices import Notice
from adapter.store.resources import read_resource, read_version, with_meta


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
            one = stay_notice(encounter, what, focus, circle(connection, c.person, now_us), before, now_us)
            news += [one] if one.keys["organization"] else []
    tell(connection, news, now_us)


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
    coverages = [one for one in of_person(connection, person, "Coverage") if one.get("status") == "active"]
    wanted = [_reference(encounter.get("subject")), _reference(encounter.get("serviceProvider")),
              *(_reference(one.get("location")) for one in encounter.get("location", ())),
              *(_reference(one.get("individual")) for one in encounter.get("participant", ())),
              *(_reference(payor) for one in coverages for payor in one.get("payor", ()))]
    near = held(connection, wanted)
    behind = [_reference(one.get(name)) for one in near.values() if one["resourceType"] == "PractitionerRole"
              for name in ("practitioner", "organization")]
    return message(notice, encounter, [*(near | held(connection, behind)).values(), *coverages], base)


def _reference(element: Json | None) -> str:
    found: str = (element or {}).get("reference", "")
    return found
