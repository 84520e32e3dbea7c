"""What is sent to a subscriber: a history Bundle whose first entry is the subscription's status. Pure.

Source: Subscriptions R5 Backport 1.1.0, profiles backport-subscription-notification-r4 and backport-subscription-status-r4.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from adapter.model import Json
from adapter.notices.subscription import BACKPORT, Content
from adapter.store.notices import Notice
from adapter.store.resources import instant

Kind = Literal["handshake", "heartbeat", "event-notification", "query-status", "query-event"]
Events = Sequence[tuple[int, Notice]]
"""Events with their numbers in the subscription."""
_PROCESS = {"method": "POST", "url": "$process-message"}
"""What a message Bundle would be sent to."""
_ERRORS = "urn:x-careloop:issue"
_SPACE = uuid.UUID("6f6d2a0c-52f2-5f0e-9d3c-3a8f6f1f4a11")


def status(kind: Kind, *, subscription: str, base: str, topic: str, state: str, count: int, error: str = "",
           content: Content = "id-only", events: Events = (), named: Collection[int] | None = None) -> Json:
    """The status of a subscription (its id), as Parameters. count: events since its start. topic: canonical.

    named: the events that tell what they are about; of the others (None: there are none) only number and time stand there.
    """
    told = [{"name": "notification-event", "part": _event(
        number, notice, base, content if named is None or number in named else "empty")} for number, notice in events]
    seed = f"{base}|{subscription}|{kind}|{count}|{state}|{[number for number, _ in events]}"
    if named is not None and len(named) < len(events):
        seed += f"|{sorted(named)}"
    return {
        "resourceType": "Parameters",
        "id": str(uuid.uuid5(_SPACE, seed)),
        "meta": {"profile": [f"{BACKPORT}/backport-subscription-status-r4"]},
        "parameter": [
            {"name": "subscription", "valueReference": {"reference": f"{base}/Subscription/{subscription}"}},
            *([{"name": "topic", "valueCanonical": topic}] if content != "empty" else []),
            {"name": "status", "valueCode": state},
            {"name": "type", "valueCode": kind},
            {"name": "events-since-subscription-start", "valueString": str(count)},
            *told,
            *([{"name": "error", "valueCodeableConcept": {"coding": [{"system": _ERRORS, "code": error.partition(" ")[0]}],
                                                          "text": error}}] if error else []),
        ],
    }


def _event(number: int, notice: Notice, base: str, content: Content) -> list[Json]:
    parts: list[Json] = [{"name": "event-number", "valueString": str(number)},
                         {"name": "timestamp", "valueInstant": instant(notice.at)}]
    if content != "empty":
        parts.append({"name": "focus", "valueReference": {"reference": f"{base}/{notice.focus}"}})
        if notice.subject:
            parts.append({"name": "additional-context", "valueReference": {"reference": f"{base}/{notice.subject}"}})
    return parts


def notification(told: Json, at: int, resources: Mapping[str, Json] | None = None) -> Json:
    """The Bundle that is sent, or that $events answers with. told: `status`. at: microseconds since 1970 UTC.

    resources: what goes along, by full URL.
    """
    subscription = told["parameter"][0]["valueReference"]["reference"]
    first: Json = {"fullUrl": f"urn:uuid:{told['id']}", "resource": told,
                   "request": {"method": "GET", "url": f"{subscription}/$status"}, "response": {"status": "200"}}
    return {
        "resourceType": "Bundle",
        "id": str(uuid.uuid5(_SPACE, f"{told['id']}|bundle")),
        "meta": {"profile": [f"{BACKPORT}/backport-subscription-notification-r4"]},
        "type": "history",
        "timestamp": instant(at),
        "entry": [first, *(_entry(url, one) for url, one in (resources or {}).items())],
    }


def _entry(url: str, resource: Json) -> Json:
    address = f"{resource['resourceType']}/{resource['id']}"
    request = {"method": "PUT", "url": address} if resource["resourceType"] != "Bundle" else _PROCESS
    return {"fullUrl": url, "resource": resource, "request": request, "response": {"status": "200"}}
