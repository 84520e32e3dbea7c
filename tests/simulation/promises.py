"""The promises of the gateway, asked of a world: what holds at every moment, and what holds once all faults are over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import select

from adapter.deliver.read_back import read_written
from adapter.gaps.task import KEY
from adapter.gateway import Gateway
from adapter.model import Json
from adapter.store.engine import reading
from adapter.store.journal import Entry
from adapter.store.keys import key_and_person
from adapter.store.schema import JOURNAL, RESOURCE
from tests.simulation.clients import NOTE
from tests.simulation.gaps import tasks
from tests.simulation.server import Key

if TYPE_CHECKING:
    from tests.simulation.world import World

Bodies = dict[Key, dict[str, Any]]


def always(world: World) -> Iterator[str]:
    """What is broken of what holds at every moment.

    All that was acknowledged is in the journal, once; what other clients wrote stands on the server as they left it.
    """
    with reading(world.gateway.engine) as connection:
        kept = Counter(connection.scalars(select(JOURNAL.c.raw).where(JOURNAL.c.kind == "hl7v2")))
    for engine in world.engines:
        for n in engine.acknowledged:
            if not kept[engine.messages[n]]:
                yield f"an acknowledged message of {engine.name} is not in the journal"
    if any(times > 1 for times in kept.values()):
        yield "a message is in the journal twice"
    yield from _theirs_on_the_server(world)


def _theirs_on_the_server(world: World) -> Iterator[str]:
    """Elements and resources of other clients that are not as they left them.

    Where two of our resources were joined into one, of two values of an element the later stands, as for any two statements of
    one source; that it does in the end the undisturbed run says (in_the_end).
    """
    standing = world.server.standing
    for key, body in world.clients.created.items():
        if standing[key].body != body or not standing[key].client:
            yield f"{'/'.join(key)} of another client was overwritten"
    for key, elements in world.clients.own.items():
        body = standing[key].body
        if body is not None and any(not _stands(world, body, name, n) for name, n in elements.items()):
            yield f"an element of another client on {'/'.join(key)} was overwritten"


def _stands(world: World, body: Json, element: str, n: int) -> bool:
    """Whether an element has its own last value, the nth that clients added, or a later one of a resource joined there."""
    own, *later = world.clients.added[n:]
    found = _theirs(body)[element]
    if found == own.value:
        return True
    with reading(world.gateway.engine) as connection:
        keys = {f"{one.get('system', '')}|{one.get('value', '')}" for one in body.get("identifier", ())}
        return any(one.element == element and one.value == found and one.key[0] == own.key[0]
                   and (key_and_person(connection, *one.key) or ("",))[0] in keys for one in later)


def _theirs(body: Json) -> dict[str, Any]:
    """The elements that only other clients write."""
    note = next((one.get("valueString") for one in body.get("extension", ()) if one.get("url") == NOTE), None)
    return {"language": body.get("language"), "extension": note}


def in_the_end(world: World, expected: Bodies) -> Iterator[str]:
    """What is broken once all faults are over; expected: what stands where nothing ever went wrong."""
    yield from _heard(world)
    found = standing(world.gateway)
    yield from _differing("store", found, expected)
    upstream = {key: told.body for key, told in world.server.standing.items() if told.body is not None}
    yield from _differing("server", upstream, {**expected, **tasks(world.gateway)})


def entries_of_clients(gateway: Gateway) -> list[Entry]:
    """What came in of other clients, in the order of the journal, as it waited there."""
    with reading(gateway.engine) as connection:
        rows = connection.execute(select(JOURNAL).where(JOURNAL.c.kind == "fhir").order_by(JOURNAL.c.id)).all()
    return [Entry(identity=row.identity, kind=row.kind, feed=row.feed, source=row.source, arrival=row.arrival, raw=row.raw,
                  state="waiting", origin=row.origin) for row in rows]


def _heard(world: World) -> Iterator[str]:
    """That the journal holds each write of another client once, with what stood before it, and nothing that was ours.

    Where one was deleted again, before it was known that the server has what it was written on, it needs not be heard of: our
    sources still state the resource, it is sent anew, and all that was written on the deleted one is over.
    """
    heard = {((w.resource_type, w.id), int(w.version.removeprefix("v"))): w for e in entries_of_clients(world.gateway)
             for w in (read_written(e.raw),)}
    said = {(one.key, one.version): one for one in world.clients.wrote}
    for (key, version), one in said.items():
        w = heard.get((key, version))
        if w is None:
            if any(later.after is None for later in world.clients.wrote if later.key == key and later.version >= version):
                continue
            yield f"version {version} of {'/'.join(key)}, of another client, was not heard of"
        elif _content(w.body) != _content(one.after) or (key not in world.clients.created and w.body and
                                                         _content(w.base) != _content(one.before)):
            yield f"version {version} of {'/'.join(key)} was heard of otherwise than another client wrote it"
    for key, version in heard.keys() - said.keys():
        yield f"version {version} of {'/'.join(key)} counts as another client's and is ours"


def _differing(where: str, bodies: Bodies, expected: Bodies) -> Iterator[str]:
    different = sorted({f"{t}/{i}" for t, i in {**bodies, **expected}
                        if _content(bodies.get((t, i))) != _content(expected.get((t, i)))})
    if different:
        yield f"the {where} differs in {', '.join(different)}"


def standing(gateway: Gateway) -> Bodies:
    """All that stands in the store but the Tasks of gaps: those tell what was known when (see gaps)."""
    with reading(gateway.engine) as connection:
        query = select(RESOURCE.c.resource_type, RESOURCE.c.id, RESOURCE.c.body).where(
            RESOURCE.c.deleted == 0, ~RESOURCE.c.key.startswith(f"{KEY}|"))
        return {(row.resource_type, row.id): orjson.loads(row.body) for row in connection.execute(query)}


def _content(body: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if body is None else {name: value for name, value in body.items() if name not in ("id", "meta")}
