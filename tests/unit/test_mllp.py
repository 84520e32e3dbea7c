"""The MLLP listener and client over real sockets, with an accept that keeps a list."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import Defect, Unavailable
from adapter.intake.ack import acknowledge, control_id_of
from adapter.intake.arrived import Arrived
from adapter.intake.committer import Accept
from adapter.intake.framing import Frame, FrameDecoder, encode
from adapter.intake.limits import Limits
from adapter.intake.loop_thread import Handle, run_in_thread
from adapter.intake.mllp import MllpListener
from adapter.intake.send import send

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
HOST = "127.0.0.1"
WAIT = 20.0


def message(control_id: str, text: str = "") -> bytes:
    return f"MSH|^~\\&|A|B|C|D|20260301||ADT^A01|{control_id}|P|2.5\rNTE|1||{text}\r".encode()


def accepted(raw: bytes) -> bytes:
    return acknowledge(raw, [], "AA", control_id="1", now=NOW)


class Journal:
    """Keeps what it accepts; `gate` holds it, `fail` makes it raise."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.batches: list[int] = []
        self.origins: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.fail: Exception | None = None

    def accept(self, messages: list[Arrived]) -> list[bytes]:
        self.entered.set()
        assert self.gate.wait(WAIT)
        if self.fail:
            raise self.fail
        if any(b"poison" in one.raw for one in messages):
            raise ValueError("poison")
        self.kept += [one.raw for one in messages]
        self.origins |= {one.origin for one in messages}
        self.batches.append(len(messages))
        return [accepted(one.raw) for one in messages]


@contextmanager
def listening(accept: Accept, **limits: float) -> Iterator[Handle]:
    handle = run_in_thread(MllpListener(HOST, 0, accept, Limits(**limits)))  # type: ignore[arg-type]  # sizes are whole
    try:
        yield handle
    finally:
        handle.stop()


def read(raw: bytes) -> str:
    """An acknowledgement as text: in wide letters where the message came in them."""
    return raw.decode("utf-16" if raw[:2] in (b"\xfe\xff", b"\xff\xfe") else "latin-1")


class Sender:
    """A socket that speaks MLLP, or whatever else it is told to."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), WAIT)
        self.decoder = FrameDecoder()
        self.read: list[bytes] = []

    def write(self, sent: bytes) -> Sender:
        self.socket.sendall(sent)
        return self

    def answers(self, count: int) -> list[tuple[str, str]]:
        """(MSA-1, MSA-2) of the next answers; fewer where the listener closes."""
        while len(self.read) < count and (chunk := self.socket.recv(65536)):
            self.read += [event.raw for event in self.decoder.feed(chunk) if isinstance(event, Frame)]
        taken, self.read = self.read[:count], self.read[count:]
        self.last = taken[-1] if taken else b""
        fields = [read(raw).split("\rMSA|")[1].split("\r")[0].split("|") for raw in taken]
        return [(code, control_id) for code, control_id, *_ in fields]

    def closed(self) -> bool:
        try:
            return self.socket.recv(65536) == b""
        except ConnectionResetError:
            return True


def let_the_listener_work(sender: Sender) -> None:
    """Many turns of its loop: a start inside a frame is answered without `accept`."""
    sender.write(b"\x0bMSH|^~\\&|")
    for _ in range(200):
        assert sender.write(b"\x0bMSH|^~\\&|").answers(1) == [("AR", "")]


@pytest.fixture
def journal() -> Journal:
    return Journal()


def test_each_message_is_kept_and_answered_in_order(journal: Journal):
    messages = [message(str(n)) for n in range(500)]
    with listening(journal.accept) as handle:
        sender = Sender(handle.port).write(b"".join(map(encode, messages)))
        assert sender.answers(500) == [("AA", str(n)) for n in range(500)]
    assert journal.kept == messages
    assert max(journal.batches) > 1
    assert journal.origins == {"mllp:127.0.0.1"}


def test_no_answer_before_accept_has_returned(journal: Journal):
    journal.gate.clear()
    with listening(journal.accept) as handle:
        sender = Sender(handle.port).write(encode(message("1")))
        assert journal.entered.wait(WAIT)
        sender.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sender.socket.recv(1)
        sender.socket.settimeout(WAIT)
        journal.gate.set()
        assert sender.answers(1) == [("AA", "1")]


def test_what_gathers_meanwhile_is_committed_together(journal: Journal):
    journal.gate.clear()
    with listening(journal.accept, batch=10) as handle:
        first = Sender(handle.port).write(encode(message("1")))
        assert journal.entered.wait(WAIT)
        others = [Sender(handle.port).write(encode(message(str(n)))) for n in range(25)]
        sentinel = Sender(handle.port).write(b"\x0bMSH|^~\\&|x" + encode(message("s")))
        journal.gate.set()
        assert first.answers(1) == [("AA", "1")]
        assert sentinel.answers(2) == [("AR", ""), ("AA", "s")]
        assert [s.answers(1) for s in others] == [[("AA", str(n))] for n in range(25)]
    assert max(journal.batches) <= 10
    assert sum(journal.batches) == 27


def test_who_sends_a_thousand_at_once_holds_up_nobody(journal: Journal):
    journal.gate.clear()
    with listening(journal.accept, batch=10) as handle:
        first = Sender(handle.port).write(encode(message("first")))
        assert journal.entered.wait(WAIT)
        many = Sender(handle.port).write(encode(message("m")) * 1000)
        let_the_listener_work(other := Sender(handle.port))
        other.write(encode(message("other")) + b"\x0bMSH|^~\\&|")
        let_the_listener_work(Sender(handle.port))
        journal.gate.set()
        assert first.answers(1) == [("AA", "first")]
        assert many.answers(1000) == [("AA", "m")] * 1000
    assert control_id_of(journal.kept[0]) == "first"
    assert message("other") in journal.kept[:12]


def test_large_messages_are_accepted_few_at_a_time(journal: Journal):
    journal.gate.clear()
    with listening(journal.accept) as handle:
        first = Sender(handle.port).write(encode(message("first")))
        assert journal.entered.wait(WAIT)
        many = Sender(handle.port)
        writing = threading.Thread(target=many.write, args=[encode(message("m", "x" * 100_000)) * 20])
        writing.start()
        let_the_listener_work(Sender(handle.port))
        journal.gate.set()
        assert first.answers(1) == [("AA", "first")]
        assert many.answers(20) == [("AA", "m")] * 20
        writing.join()
    assert max(journal.batches) <= 3


def test_a_slow_sender_holds_up_nobody(journal: Journal):
    with listening(journal.accept) as handle:
        slow = Sender(handle.port).write(encode(message("slow"))[:20])
        assert Sender(handle.port).write(encode(message("quick"))).answers(1) == [("AA", "quick")]
        assert slow.write(encode(message("slow"))[20:]).answers(1) == [("AA", "slow")]


def test_unavailable_is_answered_ar_207_and_the_listener_goes_on(journal: Journal):
    journal.fail = Unavailable("store-unavailable")
    with listening(journal.accept) as handle:
        sender = Sender(handle.port).write(encode(message("1")) + encode(message("2")))
        assert sender.answers(2) == [("AR", "1"), ("AR", "2")]
        assert b"|207^Application internal error^HL70357|E|" in sender.last
        journal.fail = None
        assert sender.write(encode(message("1"))).answers(1) == [("AA", "1")]
    assert journal.kept == [message("1")]


def test_one_message_that_breaks_accept_takes_no_other_with_it(journal: Journal):
    journal.gate.clear()
    with listening(journal.accept) as handle:
        Sender(handle.port).write(encode(message("0")))
        assert journal.entered.wait(WAIT)
        sender = Sender(handle.port).write(b"".join(encode(message(str(n), "poison" * (n == 2))) for n in (1, 2, 3)))
        journal.gate.set()
        assert sender.answers(3) == [("AA", "1"), ("AR", "2"), ("AA", "3")]
    assert len(journal.kept) == 3


def test_a_defect_is_told_by_its_own_issue(journal: Journal):
    journal.fail = Defect("mapping-failed", "PV1-3")
    with listening(journal.accept) as handle:
        sender = Sender(handle.port).write(encode(message("1")))
        assert sender.answers(1) == [("AE", "1")]
        assert b"ERR||PV1^1^3|207" in sender.last


def test_an_accept_that_answers_too_little_is_refused():
    with listening(lambda _: []) as handle:
        assert Sender(handle.port).write(encode(message("1"))).answers(1) == [("AR", "1")]


@pytest.mark.parametrize(("sent", "answers"), [
    (b"\x0b" + message("cut") + encode(message("1")), [("AR", "cut"), ("AA", "1")]),
    (message("bare") + b"\x1c\r" + encode(message("1")), [("AR", "bare"), ("AA", "1")]),
    (b"\x00noise\xff" + encode(message("1")), [("AA", "1")]),
    (encode(message("big", "x" * 5000)) + encode(message("1")), [("AR", "big"), ("AA", "1")]),
], ids=["no end", "no start", "noise", "too large"])
def test_broken_frames_are_refused_and_the_next_is_taken(journal: Journal, sent: bytes, answers: list[tuple[str, str]]):
    with listening(journal.accept, frame=4000) as handle:
        assert Sender(handle.port).write(sent).answers(len(answers)) == answers
    assert [control_id_of(raw) for raw in journal.kept] == ["1"]


def test_a_sender_that_shuts_its_side_still_gets_its_answer(journal: Journal):
    journal.gate.clear()
    with listening(journal.accept) as handle:
        sender = Sender(handle.port).write(encode(message("1")) + b"\x0b" + message("2"))
        sender.socket.shutdown(socket.SHUT_WR)
        let_the_listener_work(Sender(handle.port))
        journal.gate.set()
        assert sender.answers(3) == [("AA", "1"), ("AR", "2")]


def test_what_was_received_whole_is_kept_though_the_sender_has_gone(journal: Journal):
    journal.gate.clear()
    with listening(journal.accept) as handle:
        Sender(handle.port).write(encode(message("0")))
        assert journal.entered.wait(WAIT)
        gone = Sender(handle.port).write(encode(message("1")))
        gone.socket.close()
        journal.gate.set()
        assert Sender(handle.port).write(encode(message("2"))).answers(1) == [("AA", "2")]
    assert sorted(control_id_of(raw) for raw in journal.kept) == ["0", "1", "2"]


def test_an_unfinished_frame_is_refused_at_its_deadline(journal: Journal):
    with listening(journal.accept, whole_frame=0.3) as handle:
        sender = Sender(handle.port).write(b"\x0b" + message("late"))
        assert sender.answers(2) == [("AR", "late")]
        assert Sender(handle.port).write(b"noise without end").closed()


def test_an_idle_connection_is_closed(journal: Journal):
    with listening(journal.accept, idle=0.2) as handle:
        assert Sender(handle.port).closed()


def test_no_more_connections_than_allowed(journal: Journal):
    with listening(journal.accept, per_address=2) as handle:
        first, second = Sender(handle.port), Sender(handle.port)
        for sender in (first, second):
            assert sender.write(encode(message("1"))).answers(1) == [("AA", "1")]
        assert Sender(handle.port).closed()
        first.socket.shutdown(socket.SHUT_WR)
        assert first.closed()
        assert Sender(handle.port).write(encode(message("2"))).answers(1) == [("AA", "2")]


def test_a_connection_is_not_read_on_while_too_much_is_unanswered(journal: Journal):
    journal.gate.clear()
    with listening(journal.accept, unanswered=3) as handle:
        sender, other = Sender(handle.port), Sender(handle.port)
        frames = b"".join(encode(message(str(n), "x" * 100_000)) for n in range(20))
        writing = threading.Thread(target=sender.write, args=[frames])
        writing.start()
        let_the_listener_work(other)
        journal.gate.set()
        assert sender.answers(20) == [("AA", str(n)) for n in range(20)]
        writing.join()
    assert max(journal.batches) <= 3


def test_large_frames_that_fill_the_memory_come_one_after_another_and_hold_up_no_small_one(journal: Journal):
    with listening(journal.accept, held=1_000_000) as handle:
        large = [Sender(handle.port) for _ in range(5)]
        for sender in large:
            sender.write(b"\x0b" + message("large") + b"x" * 400_000)
        assert Sender(handle.port).write(encode(message("1"))).answers(1) == [("AA", "1")]
        ends = [threading.Thread(target=sender.write, args=[b"x" * 2_000_000 + b"\r\x1c\r"]) for sender in large]
        for end in ends:
            end.start()
        assert [sender.answers(1) for sender in large] == [[("AA", "large")]] * 5


def test_stop_answers_what_was_received_and_closes(journal: Journal):
    journal.gate.clear()
    with listening(journal.accept) as handle:
        sender = Sender(handle.port).write(encode(message("1")))
        assert journal.entered.wait(WAIT)
        stopping = threading.Thread(target=handle.stop)
        stopping.start()
        journal.gate.set()
        assert sender.answers(2) == [("AA", "1")]
        stopping.join(WAIT)
        assert not stopping.is_alive()
        with pytest.raises(OSError, match="refused"):
            Sender(handle.port)


def test_an_address_in_use_is_told(journal: Journal):
    with listening(journal.accept) as handle, pytest.raises(Unavailable) as caught:
        run_in_thread(MllpListener(HOST, handle.port, journal.accept))
    assert caught.value.issue.code == "address-unusable"


@settings(max_examples=40)
@given(st.lists(st.one_of(st.binary(max_size=30), st.sampled_from(
    [b"\x0b", b"\x1c\r", b"\x1c", b"MSH|", b"\x0bMSH|^~\\&|", encode(message("f"))])), max_size=10).map(b"".join))
def test_any_bytes_get_answers_or_a_close(fuzzed: Handle, sent: bytes):
    sender = Sender(fuzzed.port).write(sent)
    sender.socket.shutdown(socket.SHUT_WR)
    assert all(code in {"AA", "AR"} for code, _ in sender.answers(1000))
    assert Sender(fuzzed.port).write(encode(message("after"))).answers(1) == [("AA", "after")]


@pytest.fixture
def fuzzed(journal: Journal) -> Iterator[Handle]:
    with listening(journal.accept, frame=200) as handle:
        yield handle


def test_the_client_sends_and_yields_one_answer_each(journal: Journal):
    with listening(journal.accept) as handle:
        messages = [message("1"), message("2").replace(b"\r", b"\n"), message("3").replace(b"\r", b"\r\n")]
        acks = list(send(HOST, handle.port, messages, 20))
    assert [control_id_of(raw) for raw in journal.kept] == ["1", "2", "3"]
    assert acks == [accepted(raw) for raw in journal.kept]
    assert not any(b"\n" in raw for raw in journal.kept)


def test_the_client_keeps_line_feeds_that_are_text(journal: Journal):
    with listening(journal.accept) as handle:
        list(send(HOST, handle.port, [message("1", "two\nlines")], 20))
    assert journal.kept == [message("1", "two\nlines")]


def silent(answer: bytes) -> int:
    """The port of a server that answers one connection with these bytes and closes, or, given none, keeps silent."""
    server = socket.create_server((HOST, 0))

    def serve() -> None:
        connection, _ = server.accept()
        connection.recv(65536)
        if answer:
            connection.sendall(answer)
            connection.close()
        else:
            connection.recv(1)
        server.close()

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1]


@pytest.mark.parametrize(("answer", "detail"), [
    (b"", "message 1: no answer in time"), (b"HTTP/1.1 400", "message 1: closed without an answer"),
    (b"\x0bMSH|", "message 1: closed without an answer"),
])
def test_the_client_tells_a_missing_answer(answer: bytes, detail: str):
    with pytest.raises(Unavailable) as caught:
        list(send(HOST, silent(answer), [message("1")], 0.5))
    assert (caught.value.issue.code, caught.value.issue.detail) == ("receiver-unavailable", detail)


def test_the_client_tells_that_nobody_listens():
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Unavailable) as caught:
        list(send(HOST, port, [message("1")], 5))
    assert caught.value.issue.place == f"{HOST}:{port}"
