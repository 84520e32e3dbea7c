"""Outbox -> FHIR server: whole lanes packed into transactions, split on failure, tried again or left for an operator.

A refused pack is halved lane by lane, a refused lane taken apart, so that only the culprit and what refers to it stay behind.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from concurrent import futures
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine

from adapter.deliver.packs import Key, apart, key_of, next_lanes
from adapter.deliver.unanswered import may_go
from adapter.errors import Rejected, Unavailable
from adapter.fhirserver.port import FhirServer, Write, Written
from adapter.model import Delivery, Issue
from adapter.store import outbox, server_state, unanswered
from adapter.store import targets as targets_of
from adapter.store.engine import reading, writing

PATIENCE = 2
"""Attempts of a pack before one that makes the server fail (HTTP 500) is looked for, so that it holds up no others."""
GUARDED = 2
"""Attempts of a creation at which it may go over nothing; what is refused longer was deleted once, or would be for ever."""
PACKS = 10
"""Packs of one push, at most, where the next is made while one is on its way."""
_FIRST_WAIT, _LONGEST_WAIT = 2.0, 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """Where a push goes, and by whom."""

    engine: Engine
    server: FhirServer
    clock_us: Callable[[], int]
    rng: random.Random
    owner: str
    rest_us: int
    read_back: bool


@dataclass(slots=True, kw_only=True)
class _Run:
    """One pack: on which versions it builds, and what it has settled so far, which no later part of it repeats.

    left: the server is away, and is left alone.
    """

    way: _Way
    lanes: list[list[Delivery]]
    versions: dict[Key, str]
    settled: set[Key] = field(default_factory=set[Key])
    begun: set[Key] = field(default_factory=set[Key])
    left: bool = False


def push(engine: Engine, server: FhirServer, clock_us: Callable[[], int], rng: random.Random, owner: str = "", *,
         rest_us: int = 0, beside: Executor | None = None, read_back: bool = True) -> int:
    """Push what is due; the number of resources that the server took. What they refer to and waits goes along.

    owner: this process; of several one pushes to a server at a time. A server that is away is left alone for a while.
    rest_us: how long a change waits for further ones. beside: has one thread, by which packs go one after another while the next
    is made here; without it one pack goes. read_back: whether what other clients write there comes in, so that ours never goes
    over it unseen.
    """
    way = _Way(engine=engine, server=server, clock_us=clock_us, rng=rng, owner=owner, rest_us=rest_us, read_back=read_back)
    with reading(engine) as connection:
        if not outbox.any_due(connection, server.name, clock_us(), rest_us):
            return 0
    with writing(engine) as connection:
        if not targets_of.take(connection, server.name, owner, clock_us()):
            return 0
    run = _next(way, ())
    if run is None:
        return 0
    return _push_lanes(run, run.lanes) if beside is None else _one_after_another(run, beside)


def _next(way: _Way, on_their_way: Collection[str]) -> _Run | None:
    """The next pack, noted as begun; None where nothing may go.

    What was begun once and got no answer is looked at first, and while nothing is on its way: a server serves one at a time.
    The pack is made anew then: what another client wrote may have come in meanwhile, and is to be composed before.
    """
    looked, settled = set[Key](), set[Key]()
    while True:
        with reading(way.engine) as connection:
            lanes = next_lanes(connection, way.server.name, way.clock_us(), way.rest_us, on_their_way)
            if not lanes:
                return None
            run = _Run(way=way, lanes=lanes, versions=_versions(connection, way, lanes), settled=settled)
        silent = [d for d in _all_of(run, lanes)
                  if way.read_back and d.attempts and key_of(d) not in run.versions and key_of(d) not in looked]
        if not silent:
            _begin(run, _all_of(run, lanes))
            return run
        if on_their_way or not _looked_at(run, silent):
            return None
        looked.update(map(key_of, silent))


def _versions(connection: Connection, way: _Way, lanes: Sequence[list[Delivery]]) -> dict[Key, str]:
    return server_state.versions(connection, way.server.name, [key_of(d) for lane in lanes for d in lane])


def _looked_at(run: _Run, silent: Sequence[Delivery]) -> bool:
    """Whether the server could be asked what it has of these; what is not to be sent yet counts as settled."""
    way, left = run.way, list[Delivery]()
    for d in silent:
        try:
            left += [] if may_go(way.engine, way.server, d) else [d]
        except Unavailable as error:
            _leave_alone(run, error)
            return False
        with writing(way.engine) as connection:
            targets_of.renew(connection, way.server.name, way.owner, way.clock_us())
    if left:
        with writing(way.engine) as connection:  # as an attempt it counts: after some, that comes in (reconcile.look_again)
            outbox.begin(connection, way.server.name, left)
        _postpone(run, left, _backoff(max(d.attempts for d in left), way.rng), "version-conflict", dead=False)
    return True


def _one_after_another(run: _Run, beside: Executor) -> int:
    """Pack after pack, each made while the one before is on its way, and sent before that is noted."""
    count, sends = 0, [_send(run, beside)]
    try:
        for left in reversed(range(PACKS)):
            sent = sends[-1]
            following = _next(run.way, {d.lane for lane in run.lanes for d in lane}) if left else None
            ahead = following is not None and sent.exception() is None
            if following is not None and ahead:
                sends.append(_send(following, beside))
            count += _push_lanes(run, run.lanes, sent)
            if following is None or run.left:
                break
            if not ahead:
                sends.append(_send(following, beside))
            run = following
        return count
    finally:
        futures.wait(sends)  # whatever happened here, nothing is on its way when the next push begins


def _send(run: _Run, beside: Executor) -> Future[list[Written]]:
    return beside.submit(run.way.server.transaction, [_write(d, run) for d in _all_of(run, run.lanes)])


def _all_of(run: _Run, lanes: Sequence[list[Delivery]]) -> list[Delivery]:
    """What is not settled of these lanes, each resource once."""
    return list({key_of(d): d for lane in lanes for d in lane if key_of(d) not in run.settled}.values())


def _push_lanes(run: _Run, lanes: Sequence[list[Delivery]], sent: Future[list[Written]] | None = None) -> int:
    """One transaction for all lanes; where it is refused, by parts down to the culprit, so that others flow.

    sent: the transaction's answer, where it is on its way already.
    """
    way, everything = run.way, _all_of(run, lanes)
    if not everything or run.left:
        return 0
    wait = _backoff(max(d.attempts for d in everything), way.rng)
    _begin(run, everything)
    try:
        written = sent.result() if sent else way.server.transaction([_write(d, run) for d in everything])
    except Unavailable as error:
        half = len(lanes) // 2
        if half and error.issue.detail.startswith("HTTP 500") and min(d.attempts for d in everything) >= PATIENCE:
            return sum(_push_lanes(run, part) for part in (lanes[:half], lanes[half:]))
        _postpone(run, everything, error.retry_after or wait, _told(error.issue), dead=False)
        if not error.issue.detail.startswith("HTTP 500"):  # that may be for what was sent: others are tried
            _leave_alone(run, error)
        return 0
    except Rejected as error:
        half = len(lanes) // 2
        parts = [lanes[:half], lanes[half:]] if half else [[part] for part in apart(everything)]
        if len(parts) > 1:
            return sum(_push_lanes(run, part) for part in parts)
        _postpone(run, everything, wait, _told(error.issue), dead=error.issue.code != "version-conflict")
        return 0
    run.settled.update(map(key_of, everything))
    over = [(d, w.version) for d, w in zip(everything, written, strict=True) if _went_over(run, d, w)]
    taken = [(d, w.version) for d, w in zip(everything, written, strict=True) if not _went_over(run, d, w)]
    with writing(way.engine) as connection:
        targets_of.renew(connection, way.server.name, way.owner, way.clock_us())
        outbox.note_pushed(connection, way.server.name, taken, way.clock_us())
        unanswered.answered(connection, way.server.name, [d for d, _ in taken], run.versions)
        unanswered.note(connection, way.server.name, [d for d, _ in over],
                        {key_of(d): str(int(version) - 1) for d, version in over if version.isdigit()})
        outbox.revive(connection, way.server.name, {f"{d.resource_type}/{d.id}" for d in everything}, way.clock_us())
        targets_of.answered(connection, way.server.name)
    if over:
        _postpone(run, [d for d, _ in over], wait, "version-conflict", dead=False)
    return len(taken)


def _went_over(run: _Run, d: Delivery, w: Written) -> bool:
    """Whether a creation went over something that is not known here: it counts as one without an answer, for what stood there
    is told by the server's history first."""
    return _creates(run, d) and w.status == 200 and w.version not in ("", "1")


def _begin(run: _Run, deliveries: Sequence[Delivery]) -> None:
    """Note what is sent before it is: of what a lost answer, or a crash, was about nobody knows whether the server has it."""
    new = [d for d in deliveries if key_of(d) not in run.begun]
    if new:
        run.begun.update(map(key_of, new))
        with writing(run.way.engine) as connection:
            outbox.begin(connection, run.way.server.name, new)
            if run.way.read_back:
                unanswered.note(connection, run.way.server.name, new, run.versions)


def _creates(run: _Run, d: Delivery) -> bool:
    """Whether it goes without If-Match, to where what other clients write is read back."""
    return run.way.read_back and d.body is not None and key_of(d) not in run.versions


def _write(d: Delivery, run: _Run) -> Write:
    return Write(resource_type=d.resource_type, id=d.id, body=d.body, if_match=run.versions.get(key_of(d)) or None,
                 new=d.attempts < GUARDED and _creates(run, d))


def _backoff(attempts: int, rng: random.Random) -> float:
    """Seconds to wait after so many attempts: doubling, with full jitter above the first wait."""
    return _FIRST_WAIT + rng.random() * min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(attempts, 10))


def _told(issue: Issue) -> str:
    """Why something did not go, for who looks into the queue: http tells codes, statuses and places, no word of the server."""
    return f"{issue.code} {issue.detail}".strip()[:200]


def _postpone(run: _Run, deliveries: Sequence[Delivery], wait: float, error: str, *, dead: bool) -> None:
    """dead: leave them for an operator; but where another process pushed meanwhile, what they refer to may have come by it."""
    run.settled.update(map(key_of, deliveries))
    with writing(run.way.engine) as connection:
        alone = targets_of.renew(connection, run.way.server.name, run.way.owner, run.way.clock_us())
        outbox.postpone(connection, run.way.server.name, deliveries, _after(run, wait), error, dead=dead and alone)


def _leave_alone(run: _Run, error: Unavailable) -> None:
    """The server is away: nothing at all is sent there for as long as it says, or longer and longer (a circuit breaker)."""
    run.left = True
    with writing(run.way.engine) as connection:
        wait = error.retry_after or _backoff(targets_of.failures(connection, run.way.server.name), run.way.rng)
        targets_of.away(connection, run.way.server.name, _after(run, wait))


def _after(run: _Run, wait: float) -> int:
    return run.way.clock_us() + min(round(wait * 1_000_000), targets_of.LONGEST_US)
