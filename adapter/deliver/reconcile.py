"""A FHIR server compared with the store, resource by resource, and what differs put right.

A server that was restored from a backup, emptied, or written behind its history stands otherwise than what was noted when it
was pushed. What is ours goes there anew; what another client wrote comes in as its statement; nothing is overwritten unseen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import Connection, Engine

from adapter.deliver import others
from adapter.deliver.read_back import moment_of
from adapter.errors import Rejected
from adapter.fhirserver.port import FhirServer, Version
from adapter.model import Json, Outlet
from adapter.store import compared, outbox
from adapter.store.compared import Standing
from adapter.store.engine import reading, writing
from adapter.store.resources import without_meta
from adapter.store.server_state import content

How = Literal["missing", "older", "changed", "left", "renumbered"]
"""missing: not there, whether or not it ever was. older: there as we pushed it once. changed: as another client left it.
left: deleted here, and there yet. renumbered: the same, under another version id."""
CONFLICTS = 3
"""Conflicts in a row after which a resource is looked at by itself: a restored server tells no newer version of it."""
AT_ONCE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One resource that stands otherwise on the server."""

    resource_type: str
    id: str
    how: How


def differences(engine: Engine, server: FhirServer, outlet: Outlet) -> Iterator[tuple[Difference, Json | None]]:
    """What differs between the store and a server, with what stands there; what waits to be pushed is not looked at."""
    with reading(engine) as connection:
        types = compared.types(connection, server.name)
    for resource_type in types:
        seen: set[str] = set()
        page = server.search(resource_type, [], AT_ONCE)
        while True:
            there = {one["id"]: one for one in page.resources}
            seen |= there.keys()
            with reading(engine) as connection:
                here = compared.standing(connection, server.name, resource_type, there)
            for one, body in there.items():
                if one in here and (how := _how(engine, here[one], body)):
                    yield Difference(resource_type=resource_type, id=one, how=how), body
            if page.next is None:
                break
            page = server.search_page(page.next)
        with reading(engine) as connection:
            absent = [one for one in compared.expected(connection, outlet, resource_type) if one not in seen]
        for one in absent:
            body = server.read(resource_type, one)  # it may have come while pages were read
            if body is None:
                yield Difference(resource_type=resource_type, id=one, how="missing"), None


def look_again(engine: Engine, server: FhirServer, now_us: int) -> int:
    """Look at what the server keeps refusing as changed, though its history tells nothing of it; how many were put right."""
    with reading(engine) as connection:
        stuck = compared.in_conflict(connection, server.name, CONFLICTS, AT_ONCE)
    count = 0
    for resource_type, one in stuck:
        body = server.read(resource_type, one)
        with reading(engine) as connection:
            here = compared.standing(connection, server.name, resource_type, [one], waiting=True).get(one)
        how = "missing" if body is None else _how(engine, here, body) if here else "changed"  # on one without answer
        if how:
            put_right(engine, server.name, Difference(resource_type=resource_type, id=one, how=how), body, now_us)
            count += 1
    return count


def put_right(engine: Engine, target: str, found: Difference, body: Json | None, now_us: int) -> None:
    """Queue what is ours, and bring in what is another client's, of one difference; body: what stands on the server."""
    key = (found.resource_type, found.id)
    with writing(engine) as connection:
        if body is None:
            outbox.forget(connection, target, *key, now_us)
            return
        version = str(body["meta"]["versionId"])
        if found.how == "renumbered":
            compared.renumber(connection, target, *key, version, without_meta(body))
        elif found.how == "changed":
            _bring_in(connection, target, found, body, now_us)
        else:
            compared.push_again(connection, target, *key, version, without_meta(body), now_us)


def replay(engine: Engine, server: FhirServer, outlet: Outlet, now_us: int) -> int:
    """Queue all that goes to a server, which holds nothing; how many resources. Nobody is told anything.

    Raises Rejected (server-not-empty).
    """
    if server.search("Patient", [], 1).resources or server.search("Organization", [], 1).resources:
        raise Rejected("server-not-empty", server.name)
    with writing(engine) as connection:
        return compared.begin_anew(connection, outlet, now_us)


def _how(engine: Engine, here: Standing, there: Json) -> How | None:
    if here.body is None:
        return "left"
    if content(here.body) == content(there):
        same = here.version == str(there.get("meta", {}).get("versionId", ""))
        return None if same and not here.waits else "renumbered"
    with reading(engine) as connection:
        mine = compared.versions(connection, here.resource_type, here.id)
    return "older" if any(content(body) == content(there) for _, body in mine) else "changed"


def _bring_in(connection: Connection, target: str, found: Difference, body: Json, now_us: int) -> None:
    """Another client's version as its statement: the difference from what we had there when it was written."""
    meta = body["meta"]
    stated = datetime.fromisoformat(meta["lastUpdated"]).astimezone(UTC) if "lastUpdated" in meta else datetime.now(UTC)
    mine = compared.versions(connection, found.resource_type, found.id)
    before = [one for updated, one in mine if updated <= moment_of(stated)] or [one for _, one in mine[-1:]]
    theirs = Version(resource_type=found.resource_type, id=found.id, version=str(meta["versionId"]), last_updated=stated,
                     body=body)
    others.found(connection, theirs, target, before[0] if before else None, now_us)
