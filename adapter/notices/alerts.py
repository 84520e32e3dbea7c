"""A notice of a stay as a message: MessageHeader, Encounter, and what these refer to. Pure.

Source: Da Vinci Unsolicited Notifications 1.1.0, profiles notifications-bundle, admit-, transfer- and
discharge-notification-messageheader.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from adapter.model import Json
from adapter.store.notices import Notice
from adapter.store.resources import instant

_ALERTS = "http://hl7.org/fhir/us/davinci-alerts"
_OURS = "urn:x-careloop:notice"
_SPACE = uuid.UUID("0d6bb0b9-7a0c-5d0c-8b57-0d9c7a2f7f3e")
_EVENTS = {
    "admitted": ("notification-admit", "Admit Notification", "admit-notification-messageheader"),
    "transferred": ("notification-transfer", "Transfer Notification", "transfer-notification-messageheader"),
    "discharged": ("notification-discharge", "Discharge Notification", "discharge-notification-messageheader"),
}
"""What happened to code, display and profile of the guide. It has no code for a cancel: those are ours, by its base profile."""
_LEFT_OUT = ("diagnosis", "reasonCode", "reasonReference", "account", "episodeOfCare", "appointment", "basedOn")
"""What of the Encounter is not told: why the person is there may be under a protection that nobody has decided about yet."""


def message(notice: Notice, encounter: Json, others: Sequence[Json], base: str) -> Json:
    """The message Bundle. others: Patient, organizations, locations, practitioners, coverages. base: URL of /fhir."""
    header_id = str(uuid.uuid5(_SPACE, f"{base}|{notice.seq}|header"))
    held = {f"{one['resourceType']}/{one['id']}" for one in others}
    provider = encounter.get("serviceProvider", {}).get("reference", "")
    header: Json = {
        "resourceType": "MessageHeader",
        "id": header_id,
        "meta": {"profile": [f"{_ALERTS}/StructureDefinition/{_profile(notice.what)}"]},
        "eventCoding": _event(notice.what),
        "source": {"name": "CareLoop", "software": "CareLoop", "endpoint": base},
        **({"responsible": {"reference": f"{base}/{provider}"}} if provider in held else {}),
        "focus": [{"reference": f"{base}/Encounter/{encounter['id']}"}],
    }
    told = {name: value for name, value in encounter.items() if name not in _LEFT_OUT}
    return {
        "resourceType": "Bundle",
        "id": str(uuid.uuid5(_SPACE, f"{base}|{notice.seq}|bundle")),
        "meta": {"profile": [f"{_ALERTS}/StructureDefinition/notifications-bundle"]},
        "type": "message",
        "timestamp": instant(notice.at),
        "entry": [{"fullUrl": f"urn:uuid:{header_id}", "resource": header},
                  *({"fullUrl": f"{base}/{one['resourceType']}/{one['id']}", "resource": one} for one in (told, *others))],
    }


def _event(what: str) -> Json:
    if what in _EVENTS:
        code, display, _ = _EVENTS[what]
        return {"system": f"{_ALERTS}/CodeSystem/notification-event", "code": code, "display": display}
    return {"system": _OURS, "code": what}


def _profile(what: str) -> str:
    return _EVENTS[what][2] if what in _EVENTS else "notifications-messageheader"
