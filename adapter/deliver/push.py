"""Outbox -> FHIR server: whole lanes packed into transactions, split on failure, tried again or left for an operator."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, Engine

from adapter.compose.references import targets
from adapter.errors import Rejected, Unavailable
from adapter.fhirserver.port import FhirServer, Write, Written
from adapter.model import Delivery
from adapter.store import outbox
from adapter.store.engine import reading, writing

PACK = 200
"""Resources in one transaction, at most, unless one lane alone has more."""
_FIRST_WAIT, _LONGEST_WAIT = 2.0, 300.0


def push(engine: Engine, server: FhirServer, clock_us: Callable[[], int], rng: random.Random) -> int:
    """Push what is due; the number of resources that the server took. What they refer to and waits goes along."""
    with reading(engine) as connection:
        batch = outbox.due(connection, server.name, clock_us(), PACK)
        if not batch:
            return 0
        if batch[0].shared:
            lanes = [_with_targets(connection, server.name, [d]) for d in batch if d.shared]
            lanes = _joined(lanes)
        else:
            together: dict[str, list[Delivery]] = {}
            for d in outbox.lanes(connection, server.name, sorted({d.lane for d in batch})):
                together.setdefault(d.lane, []).append(d)
            lanes = [_with_targets(connection, server.name, lane) for lane in together.values()]
        have = outbox.pushed(connection, server.name, [(d.resource_type, d.id) for lane in lanes for d in lane])
    return _push_lanes(engine, server, lanes, {key: p.version for key, p in have.items()}, clock_us, rng)


def _with_targets(connection: Connection, target: str, lane: list[Delivery]) -> list[Delivery]:
    """A lane with all that it refers to and that has not been pushed yet: a server checks references."""
    found = {(d.resource_type, d.id): d for d in lane}
    new = lane
    while new:
        wanted = {(t, i) for d in new for t, _, i in (name.partition("/") for name in targets(d.body, set()))}
        new = outbox.named(connection, target, sorted(wanted - found.keys()))
        found.update({(d.resource_type, d.id): d for d in new})
    return sorted(found.values(), key=lambda d: (d.resource_type, d.id))


def _joined(groups: list[list[Delivery]]) -> list[list[Delivery]]:
    """Groups of shared resources, each resource once: a group that another one holds whole is left out."""
    seen: set[tuple[str, str]] = set()
    kept: list[list[Delivery]] = []
    for group in sorted(groups, key=lambda g: (-len(g), g[0].resource_type, g[0].id)):
        if not seen.issuperset((d.resource_type, d.id) for d in group):
            kept.append(group)
            seen.update((d.resource_type, d.id) for d in group)
    return kept


def _push_lanes(engine: Engine, server: FhirServer, lanes: Sequence[list[Delivery]], versions: dict[tuple[str, str], str],
                clock_us: Callable[[], int], rng: random.Random) -> int:
    """One transaction for all lanes; where it is refused, by halves down to the culprit, so that others flow."""
    if not lanes:
        return 0
    everything = list({(d.resource_type, d.id): d for lane in lanes for d in lane}.values())
    try:
        written = server.transaction([_write(d, versions) for d in everything])
    except Unavailable as error:
        wait = error.retry_after or _backoff(max(d.attempts for d in everything), rng)
        _postpone(engine, server, everything, clock_us() + round(wait * 1_000_000), error.issue.code, dead=False)
        return 0
    except Rejected as error:
        if len(lanes) > 1:
            half = len(lanes) // 2
            return (_push_lanes(engine, server, lanes[:half], versions, clock_us, rng)
                    + _push_lanes(engine, server, lanes[half:], versions, clock_us, rng))
        conflict = error.issue.code == "version-conflict"
        wait = _backoff(max(d.attempts for d in everything), rng)
        _postpone(engine, server, everything, clock_us() + round(wait * 1_000_000), error.issue.code, dead=not conflict)
        return 0
    _done(engine, server, everything, written)
    return len(everything)


def _write(d: Delivery, versions: dict[tuple[str, str], str]) -> Write:
    return Write(resource_type=d.resource_type, id=d.id, body=d.body, if_match=versions.get((d.resource_type, d.id)) or None)


def _backoff(attempts: int, rng: random.Random) -> float:
    """Seconds to wait after so many attempts: doubling, with full jitter above the first wait."""
    return _FIRST_WAIT + rng.random() * min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(attempts, 10))


def _postpone(engine: Engine, server: FhirServer, deliveries: Sequence[Delivery], due_us: int, error: str, *, dead: bool) -> None:
    with writing(engine) as connection:
        outbox.postpone(connection, server.name, deliveries, due_us, error, dead=dead)


def _done(engine: Engine, server: FhirServer, deliveries: Sequence[Delivery], written: Sequence[Written]) -> None:
    with writing(engine) as connection:
        outbox.note_pushed(connection, server.name, [(d, w.version) for d, w in zip(deliveries, written, strict=True)])
