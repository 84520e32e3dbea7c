"""The stream of server-sent events on a socket: who reads slowly holds nobody up, who is far behind misses nothing."""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from adapter.intake.loop_thread import run_in_thread
from adapter.store import notices, pruning
from adapter.store.engine import migrate, open_engine, writing
from adapter.store.notices import Notice
from adapter.web.event_stream import EventStream, Limits
from tests.acceptance.served import until

ASKED = b"GET /events%s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n"


class Stream:
    """A stream with its table of notices."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.engine = open_engine(f"sqlite:///{folder / 'store.db'}")
        migrate(self.engine)
        self.limits = limits

    def tell(self, count: int, rule: str = "G01") -> None:
        with writing(self.engine) as connection:
            notices.add(connection, [
                Notice(at=1, topic="gap-life", what="opened", focus=f"Task/t{n}", subject="Patient/p",
                       keys={"code": [f"urn:x-careloop:rule|{rule}"]}) for n in range(count)])
        self.listener.wake()

    @contextmanager
    def listening(self) -> Generator[None]:
        self.listener = EventStream("127.0.0.1", 0, self.engine, self.limits)
        handle = run_in_thread(self.listener, "events")
        try:
            yield
        finally:
            handle.stop()
            self.engine.dispose()

    def ask(self, query: bytes = b"", header: bytes = b"") -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.listener.port), 30)
        connection.sendall(ASKED % (query, header))
        return connection


def ids(connection: socket.socket, count: int) -> list[int]:
    """The ids of the next events."""
    found: list[int] = []
    with connection.makefile("rb") as lines:
        for line in lines:
            if line.startswith(b"id: "):
                found.append(int(line[4:]))
                if len(found) == count:
                    break
    return found


def test_who_is_far_behind_gets_everything_in_order(tmp_path: Path) -> None:
    stream = Stream(tmp_path, Limits(kept=10, batch=7))
    with stream.listening():
        stream.tell(100)
        with stream.ask(b"", b"Last-Event-ID: 3\r\n") as far, stream.ask(b"?lastEventId=97") as near:
            assert ids(far, 97) == [*range(4, 101)]
            assert ids(near, 3) == [98, 99, 100]


def test_who_comes_back_too_late_is_told_so(tmp_path: Path) -> None:
    stream = Stream(tmp_path, Limits(kept=10))
    with stream.listening():
        stream.tell(30)
        with writing(stream.engine) as connection:
            assert [pruning.prune(connection, 2, 20) for _ in range(3)] == [20, 9, 0]
        stream.tell(3)
        with stream.ask(b"?lastEventId=5") as late, stream.ask(b"?lastEventId=29") as near:
            assert first_event(late) == b'event: pruned\ndata: {"last":29}\n'
            assert ids(late, 4) == [30, 31, 32, 33]
            assert first_event(near).startswith(b"id: 30\n")


def first_event(connection: socket.socket) -> bytes:
    """The first event of a stream, read byte by byte, so that nothing of the next is taken."""
    got = b""
    while got.count(b"\n\n") < 2:  # behind the head of the answer and `retry`
        got += connection.recv(1)
    return got.split(b"\n\n")[1] + b"\n"


def test_only_what_was_asked_for(tmp_path: Path) -> None:
    stream = Stream(tmp_path, Limits(batch=7))
    with stream.listening():
        stream.tell(30)
        stream.tell(1, "G02")
        with stream.ask(b"?rule=G02&lastEventId=0") as listener:
            assert ids(listener, 1) == [31]


def test_who_reads_nothing_is_cut_off_and_holds_nobody_up(tmp_path: Path) -> None:
    stream = Stream(tmp_path, Limits(stalled=1.0, buffer=1024))
    with stream.listening(), stream.ask(b"?lastEventId=0") as slow, stream.ask(b"?lastEventId=0") as quick:
        for _ in range(10):
            stream.tell(4000)
        assert ids(quick, 40_000)[-1] == 40_000
        until(lambda: len(stream.listener.listeners) == 1 or None, 60)
        got = b""
        with suppress(ConnectionResetError):
            while part := slow.recv(1 << 20):
                got += part
        assert got.count(b"id: ") < 40_000


def test_no_more_than_so_many(tmp_path: Path) -> None:
    stream = Stream(tmp_path, Limits(connections=1))
    with stream.listening(), stream.ask() as first:
        assert first.recv(12) == b"HTTP/1.1 200"
        with stream.ask() as second:
            assert second.recv(12) == b"HTTP/1.1 503"


def test_a_quiet_stream_is_kept_alive(tmp_path: Path) -> None:
    stream = Stream(tmp_path, Limits(heartbeat=0.01))
    with stream.listening(), stream.ask() as listener, listener.makefile("rb") as lines:
        assert b":\n" in iter(lines.readline, b"")
