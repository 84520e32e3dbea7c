"""Files of messages: each message once, as it stands, and nothing lost around them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.intake.framing import encode
from adapter.parse.batch import split_messages

A = b"MSH|^~\\&|A\rPID|1\r"
B = b"MSH|^~\\&|B\rPID|2\r"


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
@pytest.mark.parametrize("between", [b"", b"\r\r", b"\r\n\r\n"])
def test_messages_one_after_another(end: bytes, between: bytes):
    a, b = A.replace(b"\r", end), B.replace(b"\r", end)
    assert split_messages(a + between + b).messages == [a, b]


def test_a_file_of_one_message_is_that_message():
    for raw in (A, A.rstrip(), b"\xef\xbb\xbf" + A, A.replace(b"\r", b"\r\n")):
        assert split_messages(raw).messages == [raw]


def test_blocks_of_mllp_in_a_file():
    assert split_messages(encode(A) + encode(B)).messages == [A, B]
    assert split_messages(b"\x0b" + A + b"\x1c\n\x0b" + B + b"\x1c").messages == [A, B]


def test_a_stray_block_end_cuts_no_message_short():
    raw = b"MSH|^~\\&|A\rNTE|1|a\x1cb\r"
    assert split_messages(raw).messages == [raw]


@pytest.mark.parametrize("end", [b"\r", b"\r\n"])
def test_a_batch_with_true_counts(end: bytes):
    raw = b"FHS|^~\\&\rBHS|^~\\&\r" + A + b"BTS|1\rBHS|^~\\&\r" + B + A + b"BTS|2\rFTS|2\r"
    found = split_messages(raw.replace(b"\r", end))
    assert found.messages == [m.replace(b"\r", end) for m in (A, B, A)]
    assert found.issues == ()


@pytest.mark.parametrize(("raw", "place", "detail"), [
    (b"BHS|^~\\&\r" + A + b"BTS|2\r", "BTS-1", "declared 2, found 1"),
    (b"BHS|^~\\&\r" + A + b"junk\rBTS|x\r", "BTS-1", "not a number; found 1"),
    (b"FHS|^~\\&\rBHS|^~\\&\r" + A + b"BTS|1\rFTS|3\r", "FTS-1", "declared 3, found 1"),
    (b"FHS|^~\\&\r" + A + b"FTS|0\r", "FTS-1", "declared 0, found 1"),
    (b"BHS|^~\\&\r" + A, "BTS", "the last batch has no BTS, it may be cut short"),
    (b"BHS|^~\\&\r" + A + b"BHS|^~\\&\r" + B + b"BTS|1\r", "BTS", "a batch has no BTS"),
    (b"FHS|^~\\&\r" + A, "FTS", "the file has no FTS, it may be cut short"),
])
def test_a_wrong_count_is_told(raw: bytes, place: str, detail: str):
    assert [(i.code, i.place, i.detail) for i in split_messages(raw).issues] == [("batch-count", place, detail)]


def test_batches_without_headers_are_counted_by_their_trailers():
    assert split_messages(A + b"BTS|1\r" + B + A + b"BTS|2\rFTS|2\r").issues == ()


def test_counts_may_be_left_out():
    assert split_messages(b"FHS|^~\\&\rBHS|^~\\&\r" + A + b"BTS\rFTS|\r").issues == ()


def test_other_delimiters_of_a_batch():
    raw = b"BHS#@~\\&\rMSH#@~\\&#A\rBTS#1#all\r"
    assert split_messages(raw).messages == [b"MSH#@~\\&#A\r"]
    assert split_messages(raw).issues == ()


def test_text_of_no_message_comes_back_to_be_refused():
    found = split_messages(b"log of today\r\n" + A + b"BTS|1\rleft over\r" + b"FTS\r")
    assert found.messages == [b"log of today\r\n", A, b"left over\r"]
    assert split_messages(encode(A) + b"between\r" + encode(B)).messages == [A, b"between\r", B]


def test_nothing_comes_back_as_it_is_but_an_empty_batch_is_none():
    assert split_messages(b"").messages == [b""]
    assert split_messages(b"\r\n").messages == [b"\r\n"]
    assert split_messages(b"BHS|^~\\&\rBTS|0\r").messages == []


def test_a_byte_order_mark_holds_for_all():
    mark = b"\xef\xbb\xbf"
    assert split_messages(mark + A + B).messages == [mark + A, mark + B]


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_wide_characters(codec: str):
    a, b = "\ufeffMSH|^~\\&|Zoë\r", "\ufeffMSH|^~\\&|李\r"
    found = split_messages(("\ufeff" + a[1:] + b[1:]).encode(codec))
    assert found.messages == [a.encode(codec), b.encode(codec)]


def test_broken_wide_characters_are_left_to_be_refused():
    raw = b"\xff\xfeM\0S\0H"
    assert split_messages(raw).messages == [raw]


@given(st.lists(st.sampled_from([
    A, B, b"\r", b"\n", b"\x0b", b"\x1c\r", b"FHS|^~\\&\r", b"BTS|1\r", b"text\r", b"PID|9\r", b"MSH", b"\xef\xbb\xbf",
]), max_size=10).map(b"".join))
def test_no_text_is_lost(raw: bytes):
    found = split_messages(raw)
    left = b"".join(found.messages)
    for word in (b"PID|1", b"PID|2", b"PID|9", b"text"):
        assert left.count(word) == raw.count(word)
    assert all(m.count(b"\rMSH|") == 0 for m in found.messages)
