"""MLLP framing without sockets: bytes in, frames and faults out, the same for every way of cutting the bytes.

A frame is 0B, the message, 1C 0D. Source: HL7 v2 transport specification, MLLP release 1 (block format).
A 1C that no 0D (nor the next frame's 0B) follows is content, so a stray one cannot cut a message short; likewise a 0B
that no MSH, FHS or BHS follows. Both are refused later as control characters: the whole message, in one answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from adapter.errors import Rejected

START = b"\x0b"
END = b"\x1c\r"
MAX_FRAME = 16 * 1024 * 1024
HEAD = 4096
"""How much of what is no frame is kept: enough for a header to answer to."""

_END = re.compile(rb"\x1c(?:\r|(?=\x0b))|\x0b(?=(?:\xef\xbb\xbf)?(?:MSH|FHS|BHS))")
_START = re.compile(rb"\x0b|\x1c\r")
_TAIL = 7
"""More than the longest part of an `_END` that may still be on its way."""
_BLANK = b"\r\n \t\x1a"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The content of one whole frame, without its block characters."""

    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What was no whole frame: an issue code of errors.py, and the first HEAD bytes of what was passed over."""

    code: Literal["frame-incomplete", "frame-start", "too-large"]
    head: bytes


class FrameDecoder:
    """Reads one connection's bytes. Time is linear in what is fed; memory at most one frame and one chunk.

    limit: bytes a frame's content may have. A larger one is told once, as soon as that is certain; what follows is
    passed over up to its end, or the next frame's start.
    """

    __slots__ = ("_begin", "_buffer", "_limit", "_scanned", "_skipped", "_state")

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._begin: int = 0
        self._scanned: int = 0
        self._skipped = b""
        self._state: Literal["between", "inside", "oversized"] = "between"

    @property
    def held(self) -> int:
        """Bytes kept until more comes."""
        return len(self._buffer)

    @property
    def unfinished(self) -> bool:
        """Whether something has begun that has not come to its end."""
        return self._state != "between" or bool(self._skipped) or bool(self._buffer)

    def feed(self, chunk: bytes) -> list[Frame | Fault]:
        """What became certain with these bytes, in order."""
        if self._is_frame(chunk):
            return [Frame(raw=chunk[1:-2])]
        self._buffer += chunk
        found: list[Frame | Fault] = []
        while self._step(found):
            pass
        del self._buffer[: self._begin]
        self._scanned = max(0, self._scanned - self._begin)
        self._begin = 0
        return found

    def finish(self) -> list[Frame | Fault]:
        """What is left when nothing more comes; a frame that lacks only its last 0D is whole."""
        content, skipped, state = bytes(self._buffer), self._skipped, self._state
        self.__init__(self._limit)
        if state == "between":
            return [Fault(code="frame-start", head=skipped)] if skipped else []
        if state == "oversized" or not content.strip(_BLANK):
            return []
        whole = content.endswith(b"\x1c")
        size = len(content) - whole
        if size > self._limit:
            return [Fault(code="too-large", head=content[: min(HEAD, self._limit)])]
        return [Frame(raw=content[:size]) if whole else Fault(code="frame-incomplete", head=content[:HEAD])]

    def _is_frame(self, chunk: bytes) -> bool:
        """Whether these bytes are one frame and nothing else, as of a sender who waits for each answer."""
        return (chunk[:1] == START and not self.unfinished and chunk.find(END[:1]) == len(chunk) - 2 and chunk[-1:] == END[1:]
                and chunk.find(START, 1) < 0 and len(chunk) - 3 <= self._limit)

    def _step(self, found: list[Frame | Fault]) -> bool:
        return self._between(found) if self._state == "between" else self._inside(found)

    def _between(self, found: list[Frame | Fault]) -> bool:
        buffer = self._buffer
        match = _START.search(buffer, self._begin)
        stop = match.start() if match else len(buffer) - buffer.endswith(b"\x1c", self._begin)
        if len(self._skipped) < HEAD:
            self._skipped = (self._skipped + buffer[self._begin : stop]).lstrip(_BLANK)[:HEAD]
        self._begin = match.end() if match else stop
        if not match:
            return False
        if self._skipped:
            found.append(Fault(code="frame-start", head=self._skipped))
            self._skipped = b""
        if match.group() == START:
            self._state, self._scanned = "inside", self._begin
        return True

    def _inside(self, found: list[Frame | Fault]) -> bool:
        buffer = self._buffer
        may_end = buffer.find(END[:1], self._scanned) >= 0 or buffer.find(START, self._scanned) >= 0  # much faster than a search
        match = _END.search(buffer, self._scanned) if may_end else None
        if match is None:
            self._scanned = max(self._begin, len(buffer) - _TAIL)
            if self._state == "inside" and len(buffer) - self._begin > self._limit + _TAIL:
                found.append(self._oversized())
                self._state = "oversized"
            if self._state == "oversized":
                self._begin = self._scanned
            return False
        ended = buffer[match.start()] == END[0]
        if self._state == "inside":
            found.extend(self._content(match.start(), ended))
        self._state = "between" if ended else "inside"
        self._begin = self._scanned = match.end()
        return True

    def _content(self, stop: int, ended: bool) -> list[Frame | Fault]:
        if stop - self._begin > self._limit:
            return [self._oversized()]
        content = bytes(self._buffer[self._begin : stop])
        if ended:
            return [Frame(raw=content)]
        return [Fault(code="frame-incomplete", head=content[:HEAD])] if content.strip(_BLANK) else []

    def _oversized(self) -> Fault:
        return Fault(code="too-large", head=bytes(self._buffer[self._begin : self._begin + min(HEAD, self._limit)]))


def encode(raw: bytes) -> bytes:
    """A message as a frame. Raises Rejected (binary) where it holds a block character, which no frame can carry."""
    if START in raw or END[:1] in raw:
        raise Rejected("binary", detail="a message cannot hold 0B or 1C")
    return START + raw + END
