"""What one MLLP listener bears before it refuses, waits or closes."""

from __future__ import annotations

from dataclasses import dataclass

from adapter.intake.framing import MAX_FRAME


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one listener bears. Sizes in bytes, times in seconds.

    frame: content of one frame. connections, per_address: open at once, handshakes included. unanswered: frames of one
    connection, before it is not read on. batch: messages in one `accept`. held: unfinished frames and queue of all connections;
    beyond it only small frames, and the largest, grow. handshake: for TLS. idle: without a byte. whole_frame: from a frame's
    first byte to its last, and for a sender to take our answers. grace: for a stop to answer what was received.
    """

    frame: int = MAX_FRAME
    connections: int = 1000
    per_address: int = 600
    unanswered: int = 64
    batch: int = 200
    held: int = 16 * MAX_FRAME
    handshake: float = 10.0
    idle: float = 600.0
    whole_frame: float = 60.0
    grace: float = 10.0
