"""MLLP client: one message, one acknowledgement, in order; over TCP or TLS.

A late answer is never taken for the next message's: after a timeout the connection is closed.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable, Iterator

from adapter.errors import Unavailable
from adapter.intake.ack import control_id_of, wanted
from adapter.intake.framing import Frame, FrameDecoder, encode

_CHUNK = 65536


def send(host: str, port: int, messages: Iterable[bytes], timeout: float = 30.0,
         tls: ssl.SSLContext | None = None) -> Iterator[bytes]:
    """Send each message and give its acknowledgement's bytes. timeout: seconds for connecting, and for each answer.

    Of a message that asks for accept and application acknowledgement (MSH-15, MSH-16 AL) the last one is given, b'' of one that
    asks for none. Segments end with CR on the wire. Raises Unavailable (receiver-unavailable) at the first message that gets no
    answer; that one and those behind it are to be sent again. Raises Rejected (binary) for what no frame can carry.
    """
    place = f"{host}:{port}"
    try:
        connection = socket.create_connection((host, port), timeout)
        if tls is not None:
            connection = tls.wrap_socket(connection, server_hostname=host)
    except OSError as error:
        raise Unavailable("receiver-unavailable", place, _reason(error)) from error
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number, raw in enumerate(messages, 1):
            frame = encode(_with_cr(raw))
            try:
                yield _exchange(connection, frame, raw, timeout)
            except OSError as error:
                detail = f"message {number}: {_reason(error)}"
                raise Unavailable("receiver-unavailable", place, detail) from error


def _exchange(connection: socket.socket, frame: bytes, raw: bytes, timeout: float) -> bytes:
    """The last acknowledgement that the message is certain to get."""
    connection.settimeout(timeout)
    connection.sendall(frame)
    answers = _answers(connection, time.monotonic() + timeout)
    accept, application = wanted(raw)
    if not accept and not application:
        return next(answers)
    control_id, answer = control_id_of(raw).encode("latin-1", "replace"), b""
    due = [kind for kind in (accept, application) if kind == "AL"]
    while due:
        code, told_of = _msa(came := next(answers))
        if told_of == control_id:  # else one of a message before, which was not certain to come
            answer, due = came, due[1:] if code == b"CA" else []
    return answer


def _msa(answer: bytes) -> tuple[bytes, bytes]:
    """MSA-1 and MSA-2."""
    line = next((line for line in answer.split(b"\r") if line.startswith(b"MSA")), b"MSA|")
    fields = line.split(line[3:4])
    return (fields[1], fields[2]) if len(fields) > 2 else (b"", b"")


def _answers(connection: socket.socket, deadline: float) -> Iterator[bytes]:
    """What comes, frame by frame. Raises OSError where nothing more comes in time."""
    decoder = FrameDecoder()
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        chunk = connection.recv(_CHUNK)
        found = decoder.feed(chunk) if chunk else decoder.finish()
        yield from (event.raw for event in found if isinstance(event, Frame))
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
