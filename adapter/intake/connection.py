"""One sender's connection: bytes in, frames to the committer, answers out in the order of the frames. Without tasks.

asyncio calls it as bytes come (a selector's loop reads into the buffer and hands it over at once, so all connections share one).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from adapter.intake.arrived import Arrived
from adapter.intake.deadline import Deadline
from adapter.intake.framing import END, START, Fault, Frame, FrameDecoder
from adapter.intake.limits import Limits
from adapter.intake.room import SMALL, Room
from adapter.logs import log

_LOG = log("mllp")
_REST = 0.004
"""Seconds for which a connection is not read on that has just filled the whole buffer: with 64 kB that makes 16 MB/s at the most.
Without it somebody who floods one connection has the loop look at little else. Once more so long for each fault, up to _WORST."""
_WORST = 24


@dataclass(slots=True, kw_only=True, eq=False)
class Slot:
    """One frame's place among the answers of its connection.

    ack: None while unanswered, b'' for no answer. closes: there will be none, the connection ends instead.
    """

    connection: Connection
    ack: bytes | None = None
    closes: bool = False


class House(Protocol):
    """The listener, as its connections see it."""

    limits: Limits
    room: Room
    buffer: memoryview
    """Where bytes are read into, of all connections."""
    add: Callable[[Slot, Arrived], None]
    """Takes a message that waits to be accepted, and its place."""

    def feeds_for(self, connection: Connection, transport: asyncio.BaseTransport) -> frozenset[str] | None:
        """The feeds that the connection's certificate lets it send, None for any; none at all: it may send nothing."""
        ...

    def faulty(self, connection: Connection, fault: Fault) -> Slot:
        """What answers something that is no whole frame."""
        ...


class Connection(asyncio.BufferedProtocol):
    """An open connection. It reads no further while too much is unanswered, its answers are not taken, or there is no room.

    feeds: see House. held: bytes of its unfinished frame. faults: what came and was no whole frame. closed: done once it is gone.
    """

    def __init__(self, origin: str, house: House) -> None:
        self.origin = origin
        self.feeds: frozenset[str] | None = None
        self.held = 0
        self.faults = 0
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._house = house
        self._decoder = FrameDecoder(house.limits.frame)
        self._slots: deque[Slot] = deque()
        self._begun = self._full = self._ended = self._rests = False
        self._reads = True
        self._leaving: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuse who may send nothing; else read."""
        self._transport = cast("asyncio.Transport", transport)
        self._deadline = Deadline(self._house.limits.idle, self._late)
        self._house.room.enter(self)
        self.feeds = self._house.feeds_for(self, transport)
        if self.feeds is not None and not self.feeds:
            self._transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - called by asyncio
        """Where to read into."""
        return self._house.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have come."""
        if self._ended:
            return
        limits, decoder = self._house.limits, self._decoder
        if nbytes == len(self._house.buffer):
            self._rests = True
            asyncio.get_running_loop().call_later(_REST * (1 + min(self.faults, _WORST)), self._rested)
        found = decoder.feed(bytes(self._house.buffer[:nbytes]))
        self._take(found)
        if not decoder.unfinished:
            self._deadline.extend(limits.idle)
            self._begun = False
        elif found or not self._begun:
            self._deadline.extend(limits.whole_frame)
            self._begun = True
        self.pace()

    def eof_received(self) -> bool:
        """The sender has shut his side: what he waits for is still answered, if it is not TLS, which knows no such half."""
        self._late()
        return self._transport.get_extra_info("sslcontext") is None

    def pause_writing(self) -> None:
        """The sender does not take his answers: he has as long as for a frame."""
        self._leave_after(self._house.limits.whole_frame)
        self.pace()

    def resume_writing(self) -> None:
        """He has taken them."""
        self._stay()
        self.pace()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone. What was received whole is kept all the same."""
        if exc is not None:
            _LOG.info("connection lost", origin=self.origin, exc_info=exc)
        self._ended = True
        self._deadline.end()
        self._stay()
        self._house.room.leave(self)
        if not self.closed.done():
            self.closed.set_result(None)

    def pace(self) -> None:
        """Read on, or wait, as there is room; close where nothing is to come and all is answered."""
        if self._ended:
            self._close()
            return
        full = len(self._slots) >= self._house.limits.unanswered
        if full is not self._full:
            self._full = full
            (self._deadline.pause if full else self._deadline.resume)()
        reads = not (full or self._rests) and self._leaving is None and (self.held <= SMALL or self._house.room.lets_read(self))
        if reads is not self._reads:
            self._reads = reads
            (self._transport.resume_reading if reads else self._transport.pause_reading)()

    def flush(self) -> None:
        """Write the answers that are due, in order; end where one is to be withheld."""
        slots, out = self._slots, b""
        while slots and (ack := slots[0].ack) is not None:
            if slots.popleft().closes:
                slots.clear()
                self._ended = True
            elif ack:
                out = b"%b%b%b%b" % (out, START, ack, END)
        if out and not self._transport.is_closing():
            self._transport.write(out)
        self.pace()

    def end(self) -> None:
        """Read no more; close once all is answered."""
        self._ended = True
        self._close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _rested(self) -> None:
        self._rests = False
        self.pace()

    def _late(self) -> None:
        """Nothing more comes, or too late."""
        if not self._ended:
            self._take(self._decoder.finish())
            self.end()

    def _take(self, found: list[Frame | Fault]) -> None:
        room, slots = self._house.room, self._slots
        for event in found:
            if isinstance(event, Fault):
                slots.append(self._house.faulty(self, event))
                continue
            slot = Slot(connection=self)
            slots.append(slot)
            room.hold(len(event.raw))
            self._house.add(slot, Arrived(event.raw, self.origin, self.feeds))
        if grown := self._decoder.held - self.held:
            self.held += grown
            room.hold(grown)
        if slots and slots[0].ack is not None:
            self.flush()

    def _close(self) -> None:
        """Close once all is answered; the last answers are to be taken in the time of a frame."""
        self._deadline.end()
        self._transport.pause_reading()
        if not self._slots:
            self._transport.close()
            self._leave_after(self._house.limits.whole_frame)

    def _leave_after(self, seconds: float) -> None:
        if self._leaving is None and not self.closed.done():
            self._leaving = asyncio.get_running_loop().call_later(seconds, self.abort)

    def _stay(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
