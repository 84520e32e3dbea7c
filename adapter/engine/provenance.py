"""Provenance of a resource element by element, made when a reader asks for it: who said what, when, in which message.

One for each statement that counts; it names each of its elements as a target of its own, by the extension targetPath.
Source: R4 Provenance; http://hl7.org/fhir/StructureDefinition/targetPath; US Core 6.1.0 Provenance.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection

from adapter.engine.spoken import Spoken, spoken
from adapter.feeds import Feeds
from adapter.identity.ids import resource_id
from adapter.mapping.feed import Feed
from adapter.model import Contribution, Json
from adapter.store.resources import read_resource
from adapter.validate.profiles import claim

TARGET_PATH = "http://hl7.org/fhir/StructureDefinition/targetPath"
MESSAGE = "urn:x-careloop:message"
"""System of the journal's names of messages, rows and writes."""
FEED = "urn:x-careloop:feed"
SERVER = "urn:x-careloop:fhir-server"
_ID_LENGTH = 64
"""Characters of an id in FHIR R4, at the most."""
_MARKED = 8
_MARK = re.compile(rf"[0-9a-f]{{{_MARKED}}}")
_AGENTS = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_EVENTS = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"


def provenances(connection: Connection, resource_type: str, identifier: str, feeds: Feeds, key: bytes) -> list[Json]:
    """The Provenance resources of a standing resource's elements, the latest statement first; empty where none is known."""
    by_statement: dict[tuple[str, str], list[Spoken]] = {}
    for one in spoken(connection, resource_type, identifier, feeds, key):
        by_statement.setdefault((one.by.source, one.by.message), []).append(one)
    ordered = sorted(by_statement.values(), key=lambda said: (-said[0].by.order.stated, said[0].by.source, said[0].by.message))
    return [_provenance(connection, f"{resource_type}/{identifier}", said, feeds, key) for said in ordered]


def target_of_id(identifier: str) -> tuple[str, str] | None:
    """Type and id of the resource that a Provenance made here is about, by its own id; None of any other."""
    resource_type, _, rest = identifier.partition(".")
    about, dot, mark = rest.rpartition(".")
    return (resource_type, about) if dot and about and _MARK.fullmatch(mark) else None


def _id(name: str, by: Contribution) -> str:
    """`Type.id.mark` of the target and the statement, so that it can be read; a UUID where an id has no room for that."""
    about = name.replace("/", ".", 1)
    said = f"{name} {by.source} {by.message}"
    if len(about) + 1 + _MARKED > _ID_LENGTH:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, said))
    return f"{about}.{hashlib.sha256(said.encode()).hexdigest()[:_MARKED]}"


def _provenance(connection: Connection, name: str, said: Sequence[Spoken], feeds: Feeds, key: bytes) -> Json:
    by = said[0].by
    header = _of_message(connection, "MessageHeader", by, key)
    agents: list[Json] = _of_message(connection, "Provenance", by, key).get("agent", [])
    source: Json = {"type": {"coding": [{"system": _AGENTS, "code": "author"}]},
                    "who": agents[0]["who"] if agents else _who(by, feeds, key)}
    entity: Json = {"identifier": {"system": MESSAGE, "value": by.message}}
    if header:
        entity["reference"] = f"MessageHeader/{header['id']}"
    body: Json = {
        "resourceType": "Provenance", "id": _id(name, by),
        "target": [{"reference": name, "extension": [{"url": TARGET_PATH, "valueString": one.element}]} for one in said],
        "recorded": _instant(by.order.stated)}
    if by.kind == "effect" and by.order.occurred_given:
        body["occurredDateTime"] = _instant(by.order.occurred)
    body |= {"activity": {"coding": [{"system": _EVENTS, "code": "UPDATE"}]}, "agent": [source],
             "entity": [{"role": "source", "what": entity}] if by.message else []}
    if not body["entity"]:
        del body["entity"]
    claim(body)
    return body


def _of_message(connection: Connection, resource_type: str, by: Contribution, key: bytes) -> Json:
    """The MessageHeader or Provenance of the message that a statement came in; empty for rows and writes."""
    found = read_resource(connection, resource_type, resource_id(key, resource_type, by.message)) if by.message else None
    return (found.body if found else None) or {}


def _who(by: Contribution, feeds: Feeds, key: bytes) -> Json:
    """The organization that feed.yaml names as the sender's own, else the feed or the server by name."""
    name, _, server = by.source.partition(":")
    if name == "server":
        return {"type": "Device", "identifier": {"system": SERVER, "value": server}, "display": server}
    compiled = feeds.compiled.get(by.source.partition("/")[0])
    organization = _organization(compiled.feed) if compiled else ""
    if organization:
        return {"reference": f"Organization/{resource_id(key, 'Organization', organization)}", "display": by.source}
    return {"type": "Organization", "identifier": {"system": FEED, "value": by.source}, "display": by.source}


def _organization(feed: Feed) -> str:
    return str(feed.options.get("organization", ""))


def _instant(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1_000_000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
