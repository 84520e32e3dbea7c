"""`GET /events`: notices as server-sent events, from one asyncio loop that holds no web worker and no queue a listener.

One task follows the table of notices and keeps the last of them; each listener goes through these, or through the table
where it is further behind, at its own speed. Who does not read is cut off, and resumes by Last-Event-ID.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

import orjson
from sqlalchemy import Engine

from adapter.consent.decision import NETWORK
from adapter.engine.disclosure import Disclosures
from adapter.errors import Rejected, Unavailable, kind_of
from adapter.logs import log
from adapter.store import notices, pruning
from adapter.store.engine import reading
from adapter.store.notices import Notice
from adapter.web.errors import told
from adapter.web.event_request import Wanted, event, pruned_event, read_request

_LOG = log("events")
_OPENING = (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nConnection: close\r\n"
            b"X-Content-Type-Options: nosniff\r\nX-Accel-Buffering: no\r\n\r\nretry: 2000\n\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the stream bears. Times in seconds, sizes in bytes.

    connections: at once. head: of a request, and request: until it is whole. kept: notices held for all listeners.
    batch: notices read at once. buffer: what may be on the way to a listener. stalled: how long it may take nothing.
    heartbeat: between comments on a quiet stream. look: between looks at the table, where nobody wakes the stream.
    """

    connections: int = 500
    head: int = 8192
    request: float = 10.0
    kept: int = 1000
    batch: int = 200
    buffer: int = 65536
    stalled: float = 30.0
    heartbeat: float = 15.0
    look: float = 0.5


class EventStream:
    """Listens on host:port (port 0: any free one, known after start); see intake.loop_thread."""

    def __init__(self, host: str, port: int, engine: Engine, limits: Limits | None = None,
                 now_us: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self.host = host
        self.port = port
        self._engine = engine
        self._limits = limits or Limits()
        self._now_us = now_us
        self._recent: deque[Notice] = deque(maxlen=self._limits.kept)
        self._last = 0
        self._moved = asyncio.Event()
        self._woken = asyncio.Event()
        self.listeners: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. Raises Unavailable (address-unusable; the store's)."""
        self._last = await asyncio.to_thread(self._newest)
        self._loop = asyncio.get_running_loop()
        try:
            self._server = await asyncio.start_server(self._connected, self.host, self.port, limit=self._limits.head)
        except OSError as error:
            raise Unavailable("address-unusable", f"{self.host}:{self.port}", error.strerror or "not resolved") from error
        self.port = self._server.sockets[0].getsockname()[1]
        self._follower = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Close all; listeners come again by themselves, and go on where they were."""
        self._server.close()
        tasks = [self._follower, *self.listeners]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """Something happened that may have to be told; may be called from any thread."""
        with suppress(RuntimeError):  # its loop is closed
            self._loop.call_soon_threadsafe(self._woken.set)

    # --- what happens

    async def _follow(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.look):
                    await self._woken.wait()
            self._woken.clear()
            try:
                while found := await asyncio.to_thread(self._after, self._last):
                    self._recent.extend(found)
                    self._last = found[-1].seq
                    moved, self._moved = self._moved, asyncio.Event()
                    moved.set()
            except Unavailable as error:
                _LOG.warning("step put off", kind="events", code=error.issue.code)

    def _newest(self) -> int:
        with reading(self._engine) as connection:
            return notices.last(connection)

    def _pruned(self) -> int:
        with reading(self._engine) as connection:
            return pruning.pruned(connection)

    def _after(self, seq: int) -> list[Notice]:
        with reading(self._engine) as connection:
            return notices.after(connection, seq, self._limits.batch)

    def _allowed(self, found: Sequence[Notice], wanted: Wanted) -> list[Notice]:
        """Of these notices those of which a listener may be told now."""
        with reading(self._engine) as connection:
            disclosures = Disclosures(connection, self._now_us())
            return [notice for notice in found if disclosures.allows(notice, wanted.recipients)]

    # --- who listens

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self.listeners) >= 2 * self._limits.connections:
            writer.transport.abort()
            return
        listener = asyncio.create_task(self._serve(reader, writer))
        self.listeners.add(listener)
        listener.add_done_callback(self.listeners.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        except (OSError, TimeoutError, Unavailable):
            pass  # it went away, or takes nothing: it comes again and goes on where it was
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._limits.request):
                wanted = read_request(await reader.readuntil(b"\r\n\r\n"))
            if len(self.listeners) > self._limits.connections:
                raise Unavailable("too-many-listeners", retry_after=5)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        except (Rejected, Unavailable) as error:
            writer.write(_refusal(error))
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            return
        writer.transport.set_write_buffer_limits(high=self._limits.buffer)
        writer.write(_OPENING)
        if wanted.after and wanted.after < (forgotten := await asyncio.to_thread(self._pruned)):
            writer.write(pruned_event(forgotten))
        await self._tell(writer, wanted)

    async def _tell(self, writer: asyncio.StreamWriter, wanted: Wanted) -> None:
        """Write notices one batch after another, none before the one before is on its way."""
        at = self._last if wanted.after is None else min(wanted.after, await asyncio.to_thread(self._newest))
        while not writer.is_closing():
            moved = self._moved
            if at < self._last:
                found = await self._behind(at)
                at = found[-1].seq if found else self._last
                heard = [notice for notice in found if wanted.hears(notice)]
                if NETWORK not in wanted.recipients:
                    heard = await asyncio.to_thread(self._allowed, heard, wanted)
                writer.write(b"".join(event(notice) for notice in heard))
            async with asyncio.timeout(self._limits.stalled):
                await writer.drain()
            if at >= self._last and not await self._moves(moved):
                writer.write(b":\n\n")

    async def _behind(self, at: int) -> list[Notice]:
        """The next notices behind a number: of those that are held, else of the table."""
        if self._recent and self._recent[0].seq <= at + 1:
            return [notice for notice in self._recent if notice.seq > at][:self._limits.batch]
        return [notice for notice in await asyncio.to_thread(self._after, at) if notice.seq <= self._last]

    async def _moves(self, moved: asyncio.Event) -> bool:
        """Whether something new comes before the next heartbeat is due."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.heartbeat):
                await moved.wait()
        return moved.is_set()


def _refusal(error: Rejected | Unavailable) -> bytes:
    status = HTTPStatus(kind_of(error.issue).http)
    said = orjson.dumps({"errors": [told(error.issue)]})
    again = "Retry-After: 5\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else ""
    return (f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\nContent-Length: {len(said)}\r\n"
            f"Cache-Control: no-store\r\n{again}Connection: close\r\n\r\n").encode() + said
