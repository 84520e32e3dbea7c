"""An installation and its FHIR servers: what is composed goes out, what other clients write comes in."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from datetime import datetime, timedelta

from sqlalchemy import Connection

from adapter.deliver import others
from adapter.deliver.history import Reading
from adapter.deliver.push import push
from adapter.deliver.read_back import Written, map_written, read_written
from adapter.deliver.reconcile import Difference, differences, look_again, put_right, replay
from adapter.errors import Rejected
from adapter.fhirserver.embedded import EmbeddedServer
from adapter.fhirserver.port import FhirServer, Version, Write
from adapter.installation.gap_lives import GapLives
from adapter.installation.installation import Installation
from adapter.model import Json, Outlet
from adapter.store import compared, journal, outbox, targets
from adapter.store.contributions import chunks
from adapter.store.engine import reading, writing

VERSIONS = 200
"""Versions of a history that are brought in with one transaction."""
OVERLAP = timedelta(minutes=1)
"""How far before the last version a history is read again: a server may stamp a write before it commits it."""


class Delivery:
    """The servers of an installation. upstream: where changes are pushed, None where the embedded one is all there is.

    rest: seconds that a change waits for further ones, so that they go as one.
    """

    def __init__(self, here: Installation, gaps: GapLives, upstream: FhirServer | None, rest: int = 0,
                 reader: FhirServer | None = None) -> None:
        """reader: the same server by a connection of its own, so that it is read back while something is pushed."""
        self._here = here
        self._reader = reader or upstream
        self._rest_us = rest * 1_000_000
        self._gaps = gaps
        self._rng = random.Random()
        self.upstream = upstream
        self.embedded = EmbeddedServer(here.engine, self._take)

    @property
    def server(self) -> FhirServer:
        """The FHIR server to which resources are pushed."""
        return self.upstream or self.embedded

    def push(self, beside: Executor | None = None) -> int:
        """Push what waits to the upstream server; how many resources it took (0 for the embedded one). beside: see push."""
        here = self._here
        if self.upstream is None:
            return 0
        return push(here.engine, self.upstream, here.now_us, self._rng, here.owner, rest_us=self._rest_us,
                    beside=beside)

    def read_back(self) -> int:
        """Bring in what other clients wrote on the upstream server since the last time; how many writes. None while another
        process is at it, or the server is left alone."""
        if self._reader is None:
            return 0
        server = self._reader
        cursor = f"history:{server.name}"
        with writing(self._here.engine) as connection:
            if not targets.take(connection, server.name, self._here.owner, self._here.now_us()):
                return 0
            since = journal.cursor(connection, cursor)
        last = datetime.fromisoformat(since) if since else None
        count, told = 0, Reading(self._here.engine, server)
        for versions in chunks(server.history(last - OVERLAP if last else None), VERSIONS):
            last = max(last or versions[0].last_updated, *(one.last_updated for one in versions))
            if strange := told.foreign(versions):
                count += self._bring_in(strange, "" if told.unplaced or not since else cursor, last, first=not since)
        for versions in chunks(told.rest(), VERSIONS):
            count += self._bring_in(versions, "", last, first=not since)
        if last is not None and not told.unplaced:
            with writing(self._here.engine) as connection:
                journal.set_cursor(connection, cursor, last.isoformat())
        return count

    def _bring_in(self, versions: Sequence[Version], cursor: str, last: datetime | None, *, first: bool) -> int:
        """Bring in what is not known as ours; how many writes of others that were. What was pushed a moment ago is noted first,
        or read from here on as ours whose answer has not come (server_state.adopt): one of both has the row of the target.

        cursor: '' of a history that is read from where it was again if it is cut off. first: it was never read."""
        here = self._here
        with writing(here.engine) as connection:
            targets.renew(connection, self._upstream().name, here.owner, here.now_us())
            count = sum(others.bring_in(connection, one, self._upstream().name, here.now_us(), first=first) for one in versions)
            if cursor and last:
                journal.set_cursor(connection, cursor, last.isoformat())
        return count

    def look_again(self) -> int:
        """Put right what the upstream server keeps refusing as changed there, though it tells no change; how many resources."""
        return look_again(self._here.engine, self.upstream, self._here.now_us()) if self.upstream else 0

    def differences(self) -> Iterator[tuple[Difference, Json | None]]:
        """What differs between the store and the upstream server. Raises Rejected (no-server), Unavailable."""
        return differences(self._here.engine, self._upstream(), self._outlet())

    def put_right(self, found: Difference, body: Json | None) -> None:
        """Put one difference right: push ours again, or take in what another client wrote."""
        put_right(self._here.engine, self._upstream().name, found, body, self._here.now_us())

    def replay(self) -> int:
        """Queue everything for an upstream server that is empty; how many resources. Raises Rejected (no-server,
        server-not-empty)."""
        return replay(self._here.engine, self._upstream(), self._outlet(), self._here.now_us())

    def never_sent(self) -> bool:
        """Whether something stands here that should have gone to the upstream server, was not pushed, and does not wait to be."""
        with reading(self._here.engine) as connection:
            return next(compared.unsent(connection, self._outlet()), None) is not None

    def waiting(self) -> int:
        """How many resources wait to be pushed."""
        with reading(self._here.engine) as connection:
            return outbox.depth(connection, self._upstream().name, "waiting")

    def _upstream(self) -> FhirServer:
        if self.upstream is None:
            raise Rejected("no-server")
        return self.upstream

    def _outlet(self) -> Outlet:
        return self._here.outlet or Outlet(name=self._upstream().name)

    def settle(self, connection: Connection, written: Sequence[Written]) -> None:
        """What follows from other clients' writes, once composed: gaps are answered, and what differs upstream is put right."""
        self._gaps.answer(connection, written)
        if self.upstream is not None:
            outbox.put_right(connection, self.upstream.name, [(w.resource_type, w.id) for w in written], self._here.now_us())

    def _take(self, writes: Sequence[Write]) -> None:
        """Another client's transaction on the embedded server: journalled and composed in one transaction."""
        with self._here.composing() as connection:
            now = self._here.now_us()
            entries = others.take(connection, writes, self.embedded.name, now)
            written = [read_written(e.raw) for e in entries]
            self._here.apply(connection, [c for w in written for c in map_written(w, self._here.key, now).contributions])
            self._gaps.answer(connection, written)
