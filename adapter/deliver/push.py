"""Outbox -> FHIR server: whole lanes packed into transactions, split on failure, tried again or left for an operator.

A refused pack is halved lane by lane, a refused lane taken apart, so that only the culprit and what refers to it stay behind.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine

from adapter.compose.references import targets
from adapter.errors import Rejected, Unavailable
from adapter.fhirserver.port import FhirServer, Write
from adapter.model import Delivery
from adapter.store import outbox
from adapter.store import targets as targets_of
from adapter.store.engine import reading, writing

PATIENCE = 2
"""Attempts of a pack before one that makes the server fail (HTTP 500) is looked for, so that it holds up no others."""
PACK = 200
"""Resources in one transaction, at most, unless one lane alone has more."""
_FIRST_WAIT, _LONGEST_WAIT = 2.0, 300.0

Key = tuple[str, str]


@dataclass(slots=True, kw_only=True)
class _Run:
    """One push: where it goes, on which versions, and what it has settled so far, which no later part of it repeats."""

    engine: Engine
    server: FhirServer
    clock_us: Callable[[], int]
    rng: random.Random
    owner: str
    versions: dict[Key, str]
    settled: set[Key] = field(default_factory=set[Key])
    begun: set[Key] = field(default_factory=set[Key])
    left: bool = False


def push(engine: Engine, server: FhirServer, clock_us: Callable[[], int], rng: random.Random, owner: str = "", *,
         rest_us: int = 0) -> int:
    """Push what is due; the number of resources that the server took. What they refer to and waits goes along.

    owner: this process; of several one pushes to a server at a time. A server that is away is left alone for a while.
    rest_us: how long a change waits for further ones.
    """
    with reading(engine) as connection:
        if not outbox.due(connection, server.name, clock_us(), 1, rest_us):
            return 0
    with writing(engine) as connection:
        if not targets_of.take(connection, server.name, owner, clock_us()):
            return 0
    with reading(engine) as connection:
        batch = outbox.due(connection, server.name, clock_us(), PACK, rest_us)
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
    versions = {key: p.version for key, p in have.items()}
    return _push_lanes(_Run(engine=engine, server=server, clock_us=clock_us, rng=rng, owner=owner, versions=versions), lanes)


def _with_targets(connection: Connection, target: str, lane: list[Delivery]) -> list[Delivery]:
    """A lane with all that it refers to and that has not been pushed yet: a server checks references."""
    found = {(d.resource_type, d.id): d for d in lane}
    new = lane
    while new:
        wanted = set[Key]().union(*map(_targets, new))
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


def _push_lanes(run: _Run, lanes: Sequence[list[Delivery]]) -> int:
    """One transaction for all lanes; where it is refused, by parts down to the culprit, so that others flow."""
    everything = list({_key(d): d for lane in lanes for d in lane if _key(d) not in run.settled}.values())
    if not everything or run.left:
        return 0
    wait = _backoff(max(d.attempts for d in everything), run.rng)
    _begin(run, everything)
    try:
        written = run.server.transaction([_write(d, run.versions) for d in everything])
    except Unavailable as error:
        half = len(lanes) // 2
        if half and error.issue.detail.startswith("HTTP 500") and min(d.attempts for d in everything) >= PATIENCE:
            return sum(_push_lanes(run, part) for part in (lanes[:half], lanes[half:]))
        _postpone(run, everything, error.retry_after or wait, error.issue.code, dead=False)
        if not error.issue.detail.startswith("HTTP 500"):  # that may be for what was sent: others are tried
            _leave_alone(run, error)
        return 0
    except Rejected as error:
        half = len(lanes) // 2
        parts = [lanes[:half], lanes[half:]] if half else [[part] for part in _apart(everything)]
        if len(parts) > 1:
            return sum(_push_lanes(run, part) for part in parts)
        _postpone(run, everything, wait, error.issue.code, dead=error.issue.code != "version-conflict")
        return 0
    run.settled.update(map(_key, everything))
    with writing(run.engine) as connection:
        outbox.note_pushed(connection, run.server.name, [(d, w.version) for d, w in zip(everything, written, strict=True)])
        outbox.revive(connection, run.server.name, {f"{d.resource_type}/{d.id}" for d in everything}, run.clock_us())
        targets_of.answered(connection, run.server.name)
        targets_of.renew(connection, run.server.name, run.owner, run.clock_us())
    return len(everything)


def _begin(run: _Run, deliveries: Sequence[Delivery]) -> None:
    """Note what is sent before it is: of what a lost answer, or a crash, was about nobody knows whether the server has it."""
    new = [d for d in deliveries if _key(d) not in run.begun]
    if new:
        run.begun.update(map(_key, new))
        with writing(run.engine) as connection:
            outbox.begin(connection, run.server.name, new)


def _apart(lane: Sequence[Delivery]) -> list[list[Delivery]]:
    """A lane's resources one by one, those that others refer to first; what refers to each other, and deletions, together."""
    left = {_key(d): d for d in lane if d.body is not None}
    parts: list[list[Delivery]] = []
    while left:
        ready = [d for key, d in left.items() if not (_targets(d) - {key}) & left.keys()]
        parts.extend([d] for d in ready)
        if not ready:
            parts.append(list(left.values()))
            break
        for d in ready:
            del left[_key(d)]
    gone = [d for d in lane if d.body is None]
    return [*parts, gone] if gone else parts


def _key(d: Delivery) -> Key:
    return d.resource_type, d.id


def _targets(d: Delivery) -> set[Key]:
    return {(t, i) for t, _, i in (name.partition("/") for name in targets(d.body, set()))}


def _write(d: Delivery, versions: dict[Key, str]) -> Write:
    return Write(resource_type=d.resource_type, id=d.id, body=d.body, if_match=versions.get(_key(d)) or None)


def _backoff(attempts: int, rng: random.Random) -> float:
    """Seconds to wait after so many attempts: doubling, with full jitter above the first wait."""
    return _FIRST_WAIT + rng.random() * min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(attempts, 10))


def _postpone(run: _Run, deliveries: Sequence[Delivery], wait: float, error: str, *, dead: bool) -> None:
    run.settled.update(map(_key, deliveries))
    with writing(run.engine) as connection:
        outbox.postpone(connection, run.server.name, deliveries, _after(run, wait), error, dead=dead)
        targets_of.renew(connection, run.server.name, run.owner, run.clock_us())


def _leave_alone(run: _Run, error: Unavailable) -> None:
    """The server is away: nothing at all is sent there for as long as it says, or longer and longer (a circuit breaker)."""
    run.left = True
    with writing(run.engine) as connection:
        wait = error.retry_after or _backoff(targets_of.failures(connection, run.server.name), run.rng)
        targets_of.away(connection, run.server.name, _after(run, wait))


def _after(run: _Run, wait: float) -> int:
    return run.clock_us() + min(round(wait * 1_000_000), targets_of.LONGEST_US)
