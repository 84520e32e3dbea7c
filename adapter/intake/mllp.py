"""MLLP listener over TCP or TLS: many connections, one committer. An acknowledgement leaves only after `accept` has returned.

Answers leave in each connection's own order. Who is not known, or comes when enough are there, is refused before a byte is read.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from adapter.errors import Unavailable
from adapter.intake.ack import acknowledge, code_for
from adapter.intake.arrived import Arrived
from adapter.intake.committer import Accept, Committer, Refuse
from adapter.intake.connection import Connection, Slot
from adapter.intake.deadline import Deadline
from adapter.intake.framing import Fault, Frame, FrameDecoder
from adapter.intake.limits import Limits
from adapter.intake.tls import names_of
from adapter.logs import log
from adapter.model import Issue

Admit = Callable[[frozenset[str] | None], frozenset[str] | None]
"""Names of a client certificate, None where none was asked for, to the feeds it may send; None: any; none at all: refused."""
_LOG = log("mllp")
_CHUNK = 65536
_SMALL = 4 * _CHUNK
_BACKLOG = 512
_PAUSE = 0.2
"""Seconds before the next try where the system has no file left for a connection."""


def refusal(raw: bytes, issue: Issue) -> bytes:
    """The acknowledgement of a message that could not be accepted, at the present time."""
    return acknowledge(raw, [issue], code_for(issue), control_id=secrets.token_hex(10), now=datetime.now(UTC))


def _refused(arrived: Arrived, issue: Issue) -> bytes:
    return refusal(arrived.raw, issue)


def _anybody(_names: frozenset[str] | None) -> None:
    return None


class MllpListener:
    """Listens on host:port (port 0: any free one, known after start) and calls `accept`, never twice at once.

    tls: its context; admit: who may send what, by the names of the client's certificate.
    """

    def __init__(self, host: str, port: int, accept: Accept, limits: Limits | None = None, refuse: Refuse = _refused, *,
                 tls: ssl.SSLContext | None = None, admit: Admit = _anybody) -> None:
        self.host = host
        self.port = port
        self._limits = limits or Limits()
        self._refuse = refuse
        self._tls = tls
        self._admit = admit
        self._committer = Committer(accept, refuse, self._limits, lambda size: self._hold(-size))
        self._eased = asyncio.Event()
        self._held = 0
        self._guests: set[asyncio.Task[None]] = set()
        self._greeting: set[asyncio.Task[None] | None] = set()
        self._of_address: Counter[str] = Counter()
        self._readers: dict[Connection, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Listen. Raises Unavailable (address-unusable)."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            self._socket = socket.create_server((self.host, self.port), family=family, backlog=_BACKLOG)
        except OSError as error:
            place = f"{self.host}:{self.port}"
            raise Unavailable("address-unusable", place, error.strerror or "not resolved") from error
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]
        self._tasks = [asyncio.create_task(self._committer.run()), asyncio.create_task(self._welcome())]

    async def stop(self) -> None:
        """Take no more, answer what was received whole, close."""
        committing, welcoming = self._tasks
        welcoming.cancel()
        self._socket.close()
        for task in (*self._greeting, *self._readers.values()):
            if task is not None:
                task.cancel()
        if guests := list(self._guests):
            await asyncio.wait(guests, timeout=self._limits.grace)
        for task in (committing, *guests):
            task.cancel()
        await asyncio.gather(committing, welcoming, *guests, return_exceptions=True)
        await self._committer.close()

    async def _welcome(self) -> None:
        loop = asyncio.get_running_loop()
        scheme = "mllps" if self._tls else "mllp"
        while True:
            try:
                peer, address = await loop.sock_accept(self._socket)
            except OSError as error:  # the system has no file left for it: those that are open go on
                _LOG.warning("no connection accepted", exc_info=error)
                await asyncio.sleep(_PAUSE)
                continue
            self._greet(peer, f"{scheme}:{address[0]}")

    def _greet(self, peer: socket.socket, origin: str) -> None:
        limits = self._limits
        if len(self._guests) >= limits.connections or self._of_address[origin] >= limits.per_address:
            _LOG.warning("connection refused", origin=origin, count=len(self._guests))
            peer.close()
            return
        self._of_address[origin] += 1
        guest = asyncio.create_task(self._guest(peer, origin))
        self._guests.add(guest)
        guest.add_done_callback(lambda _: self._forget(guest, origin))

    def _forget(self, guest: asyncio.Task[None], origin: str) -> None:
        self._guests.discard(guest)
        self._of_address[origin] -= 1
        if not self._of_address[origin]:
            del self._of_address[origin]

    async def _guest(self, peer: socket.socket, origin: str) -> None:
        """One connection from its handshake to its end."""
        task = asyncio.current_task()
        self._greeting.add(task)
        try:
            reader, writer = await self._opened(peer)
        except OSError as error:  # of TLS too
            _LOG.warning("no handshake", origin=origin, exc_info=error)
            peer.close()
            return
        finally:
            self._greeting.discard(task)
        try:
            await self._known(reader, writer, origin)
        finally:
            writer.transport.abort()

    async def _opened(self, peer: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_CHUNK)
        protocol = asyncio.StreamReaderProtocol(reader)
        peer.setblocking(False)
        patience = self._limits.handshake if self._tls else None
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, peer, ssl=self._tls, ssl_handshake_timeout=patience)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def _known(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, origin: str) -> None:
        """Refuse who may send nothing; else read."""
        certificate = writer.get_extra_info("peercert")
        feeds = self._admit(names_of(certificate) if certificate else None)
        if feeds is not None and not feeds:
            _LOG.warning("connection refused: its certificate is bound to no feed", origin=origin)
            return
        connection = Connection(writer=writer, origin=origin, decoder=FrameDecoder(self._limits.frame), feeds=feeds)
        reading = self._readers[connection] = asyncio.create_task(self._read(connection, reader))
        try:
            await self._serve(connection, reading)
        finally:
            reading.cancel()
            del self._readers[connection]
            self._hold(-connection.held)

    async def _serve(self, connection: Connection, reading: asyncio.Task[None]) -> None:
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

    async def _read(self, connection: Connection, reader: asyncio.StreamReader) -> None:
        decoder, limits, transport = connection.decoder, self._limits, connection.writer.transport
        deadline, busy = Deadline(reader, limits.idle), False
        chunk = b"-"
        while chunk:
            if len(connection.slots) >= limits.unanswered:
                with deadline.paused():
                    await connection.fewer_than(limits.unanswered)
            try:
                await self._room(connection)
                chunk = await reader.read(_CHUNK)
            except TimeoutError:
                chunk = b""
            found = decoder.feed(chunk) if chunk else decoder.finish()
            self._take(connection, found)
            if transport.get_write_buffer_size():
                async with asyncio.timeout(limits.whole_frame):
                    await connection.writer.drain()
            if not decoder.unfinished:
                deadline.extend(limits.idle)
                busy = False
            elif found or not busy:
                deadline.extend(limits.whole_frame)
                busy = True
        deadline.end()

    async def _room(self, connection: Connection) -> None:
        """Wait while all connections together hold too much, unless this one holds little, or the most."""
        while (self._held > self._limits.held and connection.held > _SMALL
               and connection is not max(self._readers, key=lambda other: other.held)):
            self._eased.clear()
            await self._eased.wait()

    def _hold(self, more: int) -> None:
        self._held += more
        if more < 0:
            self._eased.set()

    def _take(self, connection: Connection, found: list[Frame | Fault]) -> None:
        for event in found:
            if isinstance(event, Fault):
                connection.slots.append(self._faulty(event, connection))
                continue
            slot = Slot(connection=connection, raw=event.raw)
            connection.slots.append(slot)
            self._hold(len(event.raw))
            self._committer.add(slot)
        grown = connection.decoder.held - connection.held
        connection.held += grown
        self._hold(grown)
        if connection.slots and connection.slots[0].ack is not None:
            connection.flush()

    def _faulty(self, fault: Fault, connection: Connection) -> Slot:
        """AR for what was meant as a message; nothing for mere noise."""
        connection.faults += 1
        if connection.faults.bit_count() == 1:  # the first, the second, the fourth ...: garbage fills no log
            _LOG.warning("no whole frame", code=fault.code, origin=connection.origin, count=connection.faults)
        if fault.code == "frame-start" and b"MSH" not in fault.head[:16]:
            return Slot(connection=connection, ack=b"")
        ack = self._refuse(Arrived(fault.head, connection.origin, connection.feeds), Issue(code=fault.code, place=""))
        return Slot(connection=connection, ack=ack or b"", closes=ack is None)
