"""MLLP listener: many connections, one committer. An acknowledgement leaves only after `accept` has returned.

The frames of all connections queue; one task hands what waits to `accept` in a thread, so that one commit serves many,
and the next batch gathers meanwhile. Answers leave in each connection's own order.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from adapter.errors import Defect, Rejected, Unavailable
from adapter.intake.ack import acknowledge, code_for
from adapter.intake.framing import END, MAX_FRAME, START, Fault, Frame, FrameDecoder
from adapter.logs import log
from adapter.model import Issue

Accept = Callable[[list[tuple[bytes, str]]], list[bytes]]
"""Messages, each with its origin (`mllp:<address>`), to acknowledgements: all committed, or an exception and none."""
Refuse = Callable[[bytes, Issue], bytes]
_LOG = log("mllp")
_CHUNK = 65536
_SMALL = 4 * _CHUNK


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one listener bears. Sizes in bytes, times in seconds.

    frame: content of one frame. unanswered: frames of one connection, before it is not read on. batch: messages in one
    `accept`. held: unfinished frames and queue of all connections; beyond it only small frames, and the largest, grow.
    idle: without a byte. whole_frame: from a frame's first byte to its last, and for a sender to take our answers.
    grace: for a stop to answer what was received.
    """

    frame: int = MAX_FRAME
    connections: int = 1000
    per_address: int = 600
    unanswered: int = 64
    batch: int = 200
    held: int = 16 * MAX_FRAME
    idle: float = 600.0
    whole_frame: float = 60.0
    grace: float = 10.0


def refusal(raw: bytes, issue: Issue) -> bytes:
    """The acknowledgement of a message that could not be accepted, at the present time."""
    return acknowledge(raw, [issue], code_for(issue), control_id=secrets.token_hex(10), now=datetime.now(UTC))


@dataclass(slots=True, kw_only=True, eq=False)
class _Slot:
    """One frame's place among the answers of its connection. ack: None while unanswered, b'' for no answer."""

    connection: _Connection
    raw: bytes = b""
    ack: bytes | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class _Connection:
    writer: asyncio.StreamWriter
    origin: str
    decoder: FrameDecoder
    held: int = 0
    slots: deque[_Slot] = field(default_factory=deque[_Slot])
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def flush(self) -> None:
        """Write the answers that are due, in order."""
        out = bytearray()
        while self.slots and (ack := self.slots[0].ack) is not None:
            self.slots.popleft()
            out += START + ack + END if ack else b""
        if out and not self.writer.is_closing():
            self.writer.write(bytes(out))
        self.moved.set()

    async def fewer_than(self, unanswered: int) -> None:
        """Wait until fewer frames than that are unanswered."""
        while len(self.slots) >= unanswered:
            self.moved.clear()
            await self.moved.wait()


class MllpListener:
    """Listens on host:port (port 0: any free one, known after start) and calls `accept`, never twice at once."""

    def __init__(self, host: str, port: int, accept: Accept, limits: Limits | None = None,
                 refuse: Refuse = refusal) -> None:
        self.host = host
        self.port = port
        self._accept = accept
        self._limits = limits or Limits()
        self._refuse = refuse
        self._queue: deque[_Slot] = deque()
        self._work = asyncio.Event()
        self._eased = asyncio.Event()
        self._held = 0
        self._connections: dict[_Connection, asyncio.Task[None]] = {}
        self._readers: dict[_Connection, asyncio.Task[None]] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mllp-accept")

    async def start(self) -> None:
        """Listen. Raises Unavailable (address-unusable)."""
        try:
            self._server = await asyncio.start_server(self._connected, self.host, self.port, limit=_CHUNK, backlog=512)
        except OSError as error:
            place = f"{self.host}:{self.port}"
            raise Unavailable("address-unusable", place, error.strerror or "not resolved") from error
        self.port = self._server.sockets[0].getsockname()[1]
        self._committer = asyncio.create_task(self._commit())

    async def stop(self) -> None:
        """Take no more, answer what was received whole, close."""
        self._server.close()
        for reading in self._readers.values():
            reading.cancel()
        if handlers := list(self._connections.values()):
            await asyncio.wait(handlers, timeout=self._limits.grace)
        for task in (self._committer, *handlers):
            task.cancel()
        await asyncio.gather(self._committer, *handlers, return_exceptions=True)
        await asyncio.to_thread(self._thread.shutdown)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        origin = f"mllp:{(writer.get_extra_info('peername') or ('unknown',))[0]}"
        limits = self._limits
        same = sum(connection.origin == origin for connection in self._connections)
        if not self._server.is_serving() or len(self._connections) >= limits.connections or same >= limits.per_address:
            _LOG.warning("connection refused", origin=origin, count=len(self._connections))
            writer.close()
            return
        connection = _Connection(writer=writer, origin=origin, decoder=FrameDecoder(limits.frame))
        reading = self._readers[connection] = asyncio.create_task(self._read(connection, reader))
        self._connections[connection] = asyncio.create_task(self._serve(connection, reading))
        self._connections[connection].add_done_callback(lambda _: self._forget(connection))

    def _forget(self, connection: _Connection) -> None:
        del self._connections[connection], self._readers[connection]
        self._hold(-connection.held)
        connection.writer.transport.abort()

    async def _serve(self, connection: _Connection, reading: asyncio.Task[None]) -> None:
        """One connection: read it to its end, then answer what it still waits for."""
        await asyncio.wait([reading])
        if not reading.cancelled() and (error := reading.exception()):
            _LOG.info("connection lost", origin=connection.origin, exc_info=error)
        await connection.fewer_than(1)
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._limits.whole_frame):
                await connection.writer.drain()
                connection.writer.close()
                await connection.writer.wait_closed()

    async def _read(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        decoder, limits, now = connection.decoder, self._limits, asyncio.get_running_loop().time
        deadline, busy = now() + limits.idle, False
        chunk = b"-"
        while chunk:
            paused = now()
            await connection.fewer_than(limits.unanswered)
            deadline += now() - paused
            try:
                async with asyncio.timeout_at(deadline):
                    await self._room(connection)
                    chunk = await reader.read(_CHUNK)
            except TimeoutError:
                chunk = b""
            found = decoder.feed(chunk) if chunk else decoder.finish()
            self._take(connection, found)
            async with asyncio.timeout(limits.whole_frame):
                await connection.writer.drain()
            if not decoder.unfinished:
                deadline, busy = now() + limits.idle, False
            elif found or not busy:
                deadline, busy = now() + limits.whole_frame, True

    async def _room(self, connection: _Connection) -> None:
        """Wait while all connections together hold too much, unless this one holds little, or the most."""
        while (self._held > self._limits.held and connection.held > _SMALL
               and connection is not max(self._connections, key=lambda other: other.held)):
            self._eased.clear()
            await self._eased.wait()

    def _hold(self, more: int) -> None:
        self._held += more
        if more < 0:
            self._eased.set()

    def _take(self, connection: _Connection, found: list[Frame | Fault]) -> None:
        for event in found:
            if isinstance(event, Fault):
                connection.slots.append(_Slot(connection=connection, ack=self._answer_to(event, connection)))
                continue
            slot = _Slot(connection=connection, raw=event.raw)
            connection.slots.append(slot)
            self._queue.append(slot)
            self._hold(len(event.raw))
            self._work.set()
        grown = connection.decoder.held - connection.held
        connection.held += grown
        self._hold(grown)
        connection.flush()

    def _answer_to(self, fault: Fault, connection: _Connection) -> bytes:
        """AR for what was meant as a message; nothing for mere noise."""
        _LOG.warning("no whole frame", code=fault.code, origin=connection.origin)
        if fault.code == "frame-start" and b"MSH" not in fault.head[:16]:
            return b""
        return self._refuse(fault.head, Issue(code=fault.code, place=""))

    async def _commit(self) -> None:
        while True:
            await self._work.wait()
            batch = self._batch()
            if not batch:
                self._work.clear()
                continue
            for slot, ack in zip(batch, await self._answers(batch), strict=True):
                slot.ack = ack
                self._hold(-len(slot.raw))
            for connection in {slot.connection for slot in batch}:
                connection.flush()

    def _batch(self) -> list[_Slot]:
        """What is accepted together: first come, first served, up to `batch` messages and about two large frames."""
        batch: list[_Slot] = []
        size = 0
        while self._queue and len(batch) < self._limits.batch and size <= self._limits.frame:
            batch.append(self._queue.popleft())
            size += len(batch[-1].raw)
        return batch

    async def _answers(self, batch: list[_Slot]) -> list[bytes]:
        """The acknowledgements; where `accept` fails on several and its surroundings are not to blame, one by one."""
        messages = [(slot.raw, slot.connection.origin) for slot in batch]
        try:
            acks = await asyncio.get_running_loop().run_in_executor(self._thread, self._accept, messages)
            if len(acks) == len(batch):
                return acks
            issue = Issue(code="defect", place="", detail="not each message was answered")
            _LOG.error("accept has not answered each message", count=len(batch))
        except Unavailable as error:
            issue = error.issue
            _LOG.warning("messages not accepted", code=issue.code, count=len(batch))
        except Exception as error:  # whatever it is, the senders get an answer and the listener goes on
            if len(batch) > 1:
                return [ack for slot in batch for ack in await self._answers([slot])]
            _LOG.error("message not accepted", exc_info=error)
            issue = error.issue if isinstance(error, Rejected | Defect) else Issue(code="defect", place="")
        return [self._refuse(slot.raw, issue) for slot in batch]


class Listener(Protocol):
    """What runs on an asyncio loop of its own and listens on a port."""

    port: int

    async def start(self) -> None:
        """Listen. Raises Unavailable (address-unusable)."""
        ...

    async def stop(self) -> None:
        """Finish what was begun, close."""
        ...


class Handle:
    """A listener that runs in a thread of its own."""

    def __init__(self, listener: Listener, name: str = "mllp") -> None:
        self._listener = listener
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name=name, daemon=True)
        self._thread.start()
        self._started.result()

    @property
    def port(self) -> int:
        """The port listened on."""
        return self._listener.port

    def stop(self) -> None:
        """Answer what was received whole, close, and wait until that is done. May be called again."""
        with suppress(RuntimeError):  # stopped already, its loop is closed
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        try:
            await self._listener.start()
        except BaseException as error:
            self._started.set_exception(error)
            return
        self._started.set_result(None)
        await self._stopping.wait()
        await self._listener.stop()


def run_in_thread(listener: Listener, name: str = "mllp") -> Handle:
    """Start a listener in a thread of that name, beside a web process. Raises Unavailable (address-unusable)."""
    return Handle(listener, name)
