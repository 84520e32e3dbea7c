"""One sender's connection: its frames that wait for an answer, and the answers in the order of the frames."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from adapter.intake.framing import END, START, FrameDecoder


@dataclass(slots=True, kw_only=True, eq=False)
class Slot:
    """One frame's place among the answers of its connection.

    ack: None while unanswered, b'' for no answer. closes: there will be none, the connection ends instead.
    """

    connection: Connection
    raw: bytes = b""
    ack: bytes | None = None
    closes: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Connection:
    """An open connection. feeds: those that its certificate lets it send, None for any. held: bytes of its unfinished frame.

    faults: what came and was no whole frame.
    """

    writer: asyncio.StreamWriter
    origin: str
    decoder: FrameDecoder
    feeds: frozenset[str] | None = None
    held: int = 0
    faults: int = 0
    slots: deque[Slot] = field(default_factory=deque[Slot])
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def flush(self) -> None:
        """Write the answers that are due, in order; end where one is to be withheld."""
        out = bytearray()
        while self.slots and (ack := self.slots[0].ack) is not None:
            if self.slots[0].closes:
                self.slots.clear()
                self._write(out)
                self.writer.close()
                break
            self.slots.popleft()
            out += START + ack + END if ack else b""
        else:
            self._write(out)
        self.moved.set()

    def _write(self, out: bytearray) -> None:
        if out and not self.writer.is_closing():
            self.writer.write(bytes(out))

    async def fewer_than(self, unanswered: int) -> None:
        """Wait until fewer frames than that are unanswered."""
        while len(self.slots) >= unanswered:
            self.moved.clear()
            await self.moved.wait()
