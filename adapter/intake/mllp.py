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
from datetime import UTC, datetime

from adapter.errors import Unavailable
from adapter.intake.ack import acknowledge, code_for
from adapter.intake.arrived import Arrived
from adapter.intake.committer import Accept, Committer, Look, Refuse
from adapter.intake.connection import Connection, Slot
from adapter.intake.framing import Fault
from adapter.intake.limits import Limits
from adapter.intake.room import Room
from adapter.intake.tls import names_of, told
from adapter.logs import log
from adapter.model import Issue

Admit = Callable[[frozenset[str] | None], frozenset[str] | None]
"""Names of a client certificate, None where none was asked for, to the feeds it may send; None: any; none at all: refused."""
_LOG = log("mllp")
_CHUNK = 65536
"""Bytes that are read at once."""
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


def _as_it_is(one: Arrived) -> Arrived:
    return one


class MllpListener:
    """Listens on host:port (port 0: any free one, known after start) and calls `accept`, never twice at once.

    tls: its context; admit: who may send what, by the names of the client's certificate. look: at each message
    as it comes, while others are committed; it must be quick.
    """

    def __init__(self, host: str, port: int, accept: Accept, limits: Limits | None = None, refuse: Refuse = _refused, *,
                 tls: ssl.SSLContext | None = None, admit: Admit = _anybody, look: Look = _as_it_is) -> None:
        self.host = host
        self.port = port
        self.limits = limits or Limits()
        self.room = Room(self.limits.held)
        self.buffer = memoryview(bytearray(_CHUNK))
        self._refuse = refuse
        self._tls = tls
        self._admit = admit
        self._committer = Committer(accept, refuse, self.limits, lambda size: self.room.hold(-size), look)
        self.add = self._committer.add
        self._guests: set[asyncio.Task[None]] = set()
        self._greeting: set[asyncio.Task[None] | None] = set()
        self._of_address: Counter[str] = Counter()
        self._open: set[Connection] = set()

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
        for task in self._greeting:
            if task is not None:
                task.cancel()
        for connection in self._open:
            connection.end()
        if guests := list(self._guests):
            await asyncio.wait(guests, timeout=self.limits.grace)
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
        limits = self.limits
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
        task, connection = asyncio.current_task(), Connection(origin, self)
        self._greeting.add(task)
        try:
            await self._connect(peer, connection)
        except OSError as error:  # of TLS too
            why = getattr(error, "reason", "") or ""  # a word of OpenSSL's list
            _LOG.warning("no handshake", origin=origin, code=why, exc_info=error)
            peer.close()
            return
        finally:
            self._greeting.discard(task)
        self._open.add(connection)
        try:
            await connection.closed
        finally:
            self._open.discard(connection)
            connection.abort()

    async def _connect(self, peer: socket.socket, connection: Connection) -> None:
        peer.setblocking(False)
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: connection, peer, ssl=self._tls, ssl_handshake_timeout=self.limits.handshake if self._tls else None)

    def feeds_for(self, connection: Connection, transport: asyncio.BaseTransport) -> frozenset[str] | None:
        """The feeds that the connection's certificate lets it send, None for any; none at all: it may send nothing."""
        certificate = transport.get_extra_info("peercert")
        names = names_of(certificate) if certificate else None
        feeds = self._admit(names)
        if feeds is not None and not feeds:
            _LOG.warning("connection refused: its certificate is bound to no feed", origin=connection.origin,
                         certificate=told(names or ()))
        return feeds

    def faulty(self, connection: Connection, fault: Fault) -> Slot:
        """AR for what was meant as a message; nothing for mere noise."""
        connection.faults += 1
        if connection.faults.bit_count() == 1:  # the first, the second, the fourth ...: garbage fills no log
            _LOG.warning("no whole frame", code=fault.code, origin=connection.origin, count=connection.faults)
        if fault.code == "frame-start" and b"MSH" not in fault.head[:16]:
            return Slot(connection=connection, ack=b"")
        ack = self._refuse(Arrived(fault.head, connection.origin, connection.feeds), Issue(code=fault.code, place=""))
        return Slot(connection=connection, ack=ack or b"", closes=ack is None)
