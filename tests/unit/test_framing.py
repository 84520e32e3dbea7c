"""MLLP framing: whatever the network does to the bytes, the same frames and faults come out."""

from __future__ import annotations

import time
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import Rejected
from adapter.intake.framing import HEAD, Fault, Frame, FrameDecoder, encode

A = b"MSH|^~\\&|A\rPID|1\r"
B = b"MSH|^~\\&|B\rPID|2\r"
PIECES = st.sampled_from([
    b"\x0b", b"\x1c\r", b"\x1c", b"\r", b"\n", b"MSH|", b"MS", b"\xef\xbb\xbf", b"FHS|", b"text", b"x" * 30,
    b"\x0bMSH|^~\\&|x\r\x1c\r", b"\x0b\xef\xbb\xbfMSH|", A, encode(A), encode(B),
])


def decoded(chunks: list[bytes], limit: int = 1000) -> list[Frame | Fault]:
    decoder = FrameDecoder(limit)
    found = [event for chunk in chunks for event in decoder.feed(chunk)]
    return found + decoder.finish()


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


@given(st.lists(PIECES, max_size=12).map(b"".join), st.lists(st.integers(0, 10_000), max_size=8), st.integers(5, 60))
def test_every_cut_gives_the_same(stream: bytes, places: list[int], limit: int):
    whole = decoded([stream], limit)
    assert decoded(cut(stream, places), limit) == whole
    assert decoded([stream[i:i + 1] for i in range(len(stream))], limit) == whole


@given(st.lists(st.binary(max_size=40).filter(lambda raw: not {0x0B, 0x1C} & set(raw)), max_size=6),
       st.lists(st.integers(0, 10_000), max_size=8))
def test_frames_come_back_as_they_were_sent(messages: list[bytes], places: list[int]):
    stream = b"".join(encode(message) for message in messages)
    assert decoded(cut(stream, places)) == [Frame(raw=message) for message in messages]


@given(st.binary(max_size=200), st.lists(st.integers(0, 10_000), max_size=4))
def test_anything_before_leaves_the_next_frame_whole(noise: bytes, places: list[int]):
    stream = noise + b"\x1c\r" + encode(A)
    assert decoded(cut(stream, places))[-1] == Frame(raw=A)


@pytest.mark.parametrize(("stream", "expected"), [
    (encode(A) + b"\r\n" + encode(B), [Frame(raw=A), Frame(raw=B)]),
    (b"junk" + encode(A), [Fault(code="frame-start", head=b"junk"), Frame(raw=A)]),
    (A + b"\x1c\r" + encode(B), [Fault(code="frame-start", head=A), Frame(raw=B)]),
    (b"\x0b" + A + encode(B), [Fault(code="frame-incomplete", head=A), Frame(raw=B)]),
    (b"\x0b" + encode(A), [Frame(raw=A)]),
    (b"\x0b" + A + b"\x1c" + encode(B), [Frame(raw=A), Frame(raw=B)]),
    (b"\x0b" + A + b"\x1c", [Frame(raw=A)]),
    (b"\x0b" + A, [Fault(code="frame-incomplete", head=A)]),
    (b"\x0bMSH|a\x0bb\x1cc\r\x1c\r", [Frame(raw=b"MSH|a\x0bb\x1cc\r")]),
    (b"\x0b\xef\xbb\xbfMSH|1\r\x0b\xef\xbb\xbfMSH|2\r\x1c\r",
     [Fault(code="frame-incomplete", head=b"\xef\xbb\xbfMSH|1\r"), Frame(raw=b"\xef\xbb\xbfMSH|2\r")]),
    (b"\x0b\x1c\r", [Frame(raw=b"")]),
    (b"\r\n \x1c\r", []),
    (b"", []),
], ids=["pipelined", "junk between", "no start", "nested start", "start twice", "no last 0D", "no last 0D at the end",
        "cut off", "block characters inside", "nested with mark", "empty frame", "blank", "nothing"])
def test_broken_framing_is_told_and_passed(stream: bytes, expected: list[Frame | Fault]):
    assert decoded([stream]) == expected
    assert decoded([stream[i:i + 1] for i in range(len(stream))]) == expected


@pytest.mark.parametrize("size", [99, 100, 101, 5000])
def test_the_limit_is_on_the_content(size: int):
    raw = b"MSH" + b"x" * (size - 3)
    found = decoded([encode(raw), encode(A)], 100)
    assert found == [Frame(raw=raw) if size <= 100 else Fault(code="too-large", head=raw[:100]), Frame(raw=A)]


def test_an_endless_frame_is_told_once_and_kept_nowhere():
    decoder = FrameDecoder(10_000)
    tracemalloc.start()
    found = decoder.feed(b"\x0bMSH|")
    for _ in range(2000):
        found += decoder.feed(b"x" * 10_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [event.code for event in found if isinstance(event, Fault)] == ["too-large"]
    assert peak < 200_000
    assert decoder.feed(b"\x1c\r" + encode(A)) == [Frame(raw=A)]


def test_noise_is_kept_only_to_its_head():
    decoder = FrameDecoder()
    for _ in range(100):
        assert decoder.feed(b"z" * HEAD) == []
    assert decoder.held == 0
    assert decoder.unfinished
    assert decoder.feed(b"\x0b") == [Fault(code="frame-start", head=b"z" * HEAD)]


def test_time_is_linear_in_small_chunks():
    def seconds(size: int) -> float:
        decoder = FrameDecoder()
        decoder.feed(b"\x0bMSH")
        begin = time.process_time()
        for _ in range(size // 100):
            decoder.feed(b"x\x0b" * 50)
        return time.process_time() - begin
    seconds(100_000)
    assert seconds(4_000_000) < 40 * max(seconds(400_000), 0.01)


def test_a_block_character_cannot_be_framed():
    for raw in (b"MSH\x0b", b"MSH\x1c"):
        with pytest.raises(Rejected):
            encode(raw)


def test_unfinished_tells_when_a_deadline_runs():
    decoder = FrameDecoder()
    assert not decoder.unfinished
    decoder.feed(b"\r\n")
    assert not decoder.unfinished
    decoder.feed(b"\x0bM")
    assert decoder.unfinished
    decoder.feed(b"SH|\r\x1c\r")
    assert not decoder.unfinished
