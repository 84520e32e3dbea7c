"""A Subscription resource of R4 as the topic-based backport shapes it, read into what it asks for. Pure.

Source: Subscriptions R5 Backport 1.1.0, profile backport-subscription.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import parse_qsl

from adapter.errors import Rejected
from adapter.model import Json
from adapter.notices.topics import ENCOUNTER, TOPICS, Topic
from adapter.store.resources import with_meta
from adapter.store.subscriptions import Subscribed
from adapter.validate.check import check

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
Content = Literal["empty", "id-only", "full-resource"]
CONTENTS: tuple[Content, ...] = ("empty", "id-only", "full-resource")
MOST_EVENTS = 100
"""Events in one notification, at most."""
_TIMEOUT, _LONGEST_TIMEOUT = 10, 60
_SHORTEST_HEARTBEAT = 10
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+): *([\x20-\x7e]*)")
_OURS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection", "expect", "upgrade"})
_MIMES = ("application/fhir+json", "application/json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a Subscription asks for. criteria: all of these names, any of each one's values.

    timeout, heartbeat: seconds; heartbeat 0 for none. most: events in one notification. until: when it ends, as it is
    written, '' for never. bare: messages are sent as they are, each by itself, without a status and a handshake.
    """

    topic: Topic
    criteria: Mapping[str, tuple[str, ...]]
    endpoint: str
    headers: Mapping[str, str]
    content: Content
    timeout: int
    heartbeat: int
    most: int
    until: str
    bare: bool


def read_subscription(body: Json) -> Asked:
    """What a client's Subscription asks for. Raises Rejected (fhir-structure, subscription-invalid) with its place."""
    if issues := check(body):
        raise Rejected("fhir-structure", issues[0].place, issues[0].detail, tuple(issues))
    return asked_of(body)


def asked_of(body: Json) -> Asked:
    """What a sound Subscription asks for. Raises Rejected (subscription-invalid)."""
    topic = next((topic for topic in TOPICS.values() if topic.url == body["criteria"]), None)
    if topic is None:
        raise _invalid("criteria", f"a topic is one of {', '.join(topic.url for topic in TOPICS.values())}")
    channel: Json = body["channel"]
    if channel["type"] not in ("rest-hook", "message"):
        raise _invalid("channel.type", "only rest-hook and message are sent to; read the others from /events")
    if channel.get("payload") not in _MIMES:
        raise _invalid("channel.payload", f"one of {', '.join(_MIMES)}")
    content = next(_values(channel.get("_payload"), "backport-payload-content", "valueCode"), None)
    if content not in CONTENTS:
        raise _invalid("channel.payload", f"extension backport-payload-content says {', '.join(CONTENTS)}")
    bare = channel["type"] == "message"
    if bare and (topic is not ENCOUNTER or content != "full-resource"):
        raise _invalid("channel.type", f"message is for {ENCOUNTER.url} with full-resource")
    return Asked(
        topic=topic, criteria=_criteria(topic, body), endpoint=channel.get("endpoint", ""), headers=_headers(channel),
        content=content, until=body.get("end", ""), bare=bare,
        timeout=min(_LONGEST_TIMEOUT, max(1, _number(channel, "backport-timeout", "valueUnsignedInt", _TIMEOUT))),
        heartbeat=0 if bare else _heartbeat(channel),
        most=1 if bare else min(MOST_EVENTS, max(1, _number(channel, "backport-max-count", "valuePositiveInt", MOST_EVENTS))))


def shown(one: Subscribed) -> Json:
    """A subscription as a resource; without the headers, in which a receiver's credentials stand."""
    channel = {name: value for name, value in one.body["channel"].items() if name != "header"}
    resource: Json = {"resourceType": "Subscription", "id": one.id, **one.body, "status": one.status, "channel": channel,
                      "meta": {"profile": [f"{BACKPORT}/backport-subscription"]}}
    return with_meta(resource | ({"error": one.error} if one.error else {}), one.version, one.updated)


def _criteria(topic: Topic, body: Json) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for text in _values(body.get("_criteria"), "backport-filter-criteria", "valueString"):
        kind, mark, query = str(text).partition("?")
        if kind != topic.focus or not mark:
            raise _invalid("criteria", f"a filter begins with {topic.focus}?")
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name not in topic.filters or not value:
                raise _invalid("criteria", f"filters of this topic are {', '.join(topic.filters)}")
            if name in found:
                raise _invalid("criteria", "each filter once; separate several values by commas")
            found[name] = tuple(value.split(","))
    return found


def _headers(channel: Json) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in channel.get("header", ()):
        form = _HEADER.fullmatch(line)
        if form is None or form[1].lower() in _OURS:
            raise _invalid("channel.header", "write Name: value; not a header of the connection itself")
        headers[form[1]] = form[2]
    return headers


def _heartbeat(channel: Json) -> int:
    seconds = _number(channel, "backport-heartbeat-period", "valueUnsignedInt", 0)
    return max(_SHORTEST_HEARTBEAT, seconds) if seconds else 0


def _number(channel: Json, extension: str, name: str, default: int) -> int:
    value = next(_values(channel, extension, name), default)
    return value if isinstance(value, int) else default


def _values(element: Json | None, extension: str, name: str) -> Iterator[Any]:
    """Values of an extension of the backport on an element, or on a primitive's `_name`."""
    found = cast("list[Json]", (element or {}).get("extension", []))
    return (one[name] for one in found if one.get("url") == f"{BACKPORT}/{extension}" and name in one)


def _invalid(place: str, detail: str) -> Rejected:
    return Rejected("subscription-invalid", f"Subscription.{place}", detail)
