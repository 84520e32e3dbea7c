"""What the rooms of an installation share: database, feeds, key, clock, and the one turn to compose."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine

from adapter.engine.local import apply
from adapter.feeds import Feeds
from adapter.installation.mappings import Mappings
from adapter.model import Composed, Contribution, Outlet
from adapter.pipeline import microseconds
from adapter.store.engine import writing
from adapter.store.resources import lock_writes
from adapter.store.targets import owner_name

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Arrivals:
    """The instants at which things arrive: no two are the same, however many arrive together."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._last = 0
        self._lock = threading.Lock()

    def take(self, count: int) -> list[int]:
        """The present instant for each of some arrivals, one microsecond after another, since 1970 UTC."""
        first = self.reserve(count)
        return list(range(first, first + count))

    def reserve(self, count: int) -> int:
        """The first of so many, one microsecond after another."""
        now = microseconds(self._clock())
        with self._lock:
            first = max(now, self._last + 1)
            self._last = first + count - 1
        return first


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """One installation. key: ids are made with it; outlet: the FHIR server that changes are queued for, if there is one.

    turn: held by whoever composes, so that one does at a time. owner: names this process where it claims work.
    """

    engine: Engine
    mappings: Mappings
    key: bytes
    clock: Callable[[], datetime]
    outlet: Outlet | None
    arrivals: Arrivals
    turn: threading.Lock = field(default_factory=threading.Lock)
    owner: str = field(default_factory=lambda: owner_name(secrets.token_hex(8)))

    @property
    def feeds(self) -> Feeds:
        """The feeds in force; they may be others a moment later, but not while somebody has the turn."""
        return self.mappings.feeds

    def now_us(self) -> int:
        """The present instant in microseconds since 1970 UTC."""
        return microseconds(self.clock())

    @contextmanager
    def composing(self) -> Generator[Connection]:
        """A transaction of whoever has the turn to compose. Raises Unavailable where the database is away."""
        with self.turn, self.in_turn() as connection:
            yield connection

    @contextmanager
    def in_turn(self) -> Generator[Connection]:
        """The same for who has the turn already. No other process composes on this database meanwhile: what is composed of
        all that was said must not miss what another has just stored."""
        with writing(self.engine) as connection:
            lock_writes(connection)
            yield connection

    def apply(self, connection: Connection, said: Sequence[Contribution], *, later: bool = False) -> list[Composed]:
        """Bring contributions into force in the caller's transaction; the resources that changed. later: lists of many persons
        are only noted (Lists)."""
        return apply(connection, said, self.feeds, self.key, self.now_us(), self.outlet, later=later)


def instant(arrival: int) -> datetime:
    """Microseconds since 1970 UTC as a moment."""
    return _EPOCH + timedelta(microseconds=arrival)
