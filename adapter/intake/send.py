"""MLLP client: one message, one acknowledgement, in order.

A late answer is never taken for the next message's: after a timeout the connection is closed.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator

from adapter.errors import Unavailable
from adapter.intake.framing import Frame, FrameDecoder, encode

_CHUNK = 65536


def send(host: str, port: int, messages: Iterable[bytes], timeout: float = 30.0) -> Iterator[bytes]:
    """Send each message and give its acknowledgement's bytes. timeout: seconds for connecting, and for each answer.

    Segments end with CR on the wire. Raises Unavailable (receiver-unavailable) at the first message that gets no
    answer; that one and those behind it are to be sent again. Raises Rejected (binary) for what no frame can carry.
    """
    place = f"{host}:{port}"
    try:
        connection = socket.create_connection((host, port), timeout)
    except OSError as error:
        raise Unavailable("receiver-unavailable", place, _reason(error)) from error
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number, raw in enumerate(messages, 1):
            frame = encode(_with_cr(raw))
            try:
                yield _exchange(connection, frame, timeout)
            except OSError as error:
                detail = f"message {number}: {_reason(error)}"
                raise Unavailable("receiver-unavailable", place, detail) from error


def _exchange(connection: socket.socket, frame: bytes, timeout: float) -> bytes:
    deadline = time.monotonic() + timeout
    decoder = FrameDecoder()
    connection.settimeout(timeout)
    connection.sendall(frame)
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        chunk = connection.recv(_CHUNK)
        found = decoder.feed(chunk) if chunk else decoder.finish()
        for event in found:
            if isinstance(event, Frame):
                return event.raw
        if not chunk:
            raise ConnectionError("closed without an answer")


def _with_cr(raw: bytes) -> bytes:
    """CRLF as CR; LF too where no CR ends a segment, else it is text."""
    raw = raw.replace(b"\r\n", b"\r")
    return raw if b"\r" in raw.rstrip(b"\r") else raw.replace(b"\n", b"\r")


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return error.strerror or str(error)
