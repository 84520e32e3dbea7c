"""Acknowledgements: to whom, with which code, and where the error stands - even for what cannot be read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import message
from adapter.intake.ack import REFUSED_WHOLE, TABLE_0357, acknowledge, code_for, control_id_of
from adapter.issues import ISSUES
from adapter.model import Issue
from adapter.parse.charset import decode
from adapter.parse.er7 import Message, Rep

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
HEADER = "MSH|^~\\&|ADT^1.2^ISO|ST ANNE|CARE|LOOP|20260101||ADT^A08^ADT_A01|C-1|T^R|{}||||||{}\rPID|1\r"


def header(version: str = "2.5.1", charset: str = "") -> bytes:
    return HEADER.format(version, charset).encode()


def answer(raw: bytes, *issues: Issue, code: str = "AE", fallback: str = "utf-8") -> Message:
    ack = acknowledge(raw, issues, code, control_id="ACK1", now=NOW)
    assert ack == acknowledge(raw, issues, code, control_id="ACK1", now=NOW)
    return Message(decode(ack, fallback).text)


def issue(code: str, place: str = "", detail: str = "") -> Issue:
    return Issue(code=code, place=place, detail=detail)


def errors(message: Message) -> list[list[str]]:
    return [segment.fields for segment in message.segments if segment.name == "ERR"]


def test_sender_and_receiver_change_places():
    ack = acknowledge(header(), [], "AA", control_id="ACK1", now=NOW)
    assert ack == (b"MSH|^~\\&|CARE|LOOP|ADT^1.2^ISO|ST ANNE|20260301080000+0000||ACK^A08^ACK|ACK1|T^R|2.5.1\r"
                   b"MSA|AA|C-1\r")


@pytest.mark.parametrize(("version", "type_", "echoed"), [
    ("2.1", "ACK", "2.1"), ("2.2", "ACK^A08", "2.2"), ("2.3", "ACK^A08", "2.3"), ("2.3.1", "ACK^A08^ACK", "2.3.1"),
    ("2.8", "ACK^A08^ACK", "2.8"), ("2.5^USA", "ACK^A08^ACK", "2.5^USA"), ("9", "ACK^A08^ACK", "2.5.1"),
    ("", "ACK^A08^ACK", "2.5.1"),
])
def test_version_and_type(version: str, type_: str, echoed: str):
    msh = answer(header(version)).msh
    assert (msh.raw(9), msh.raw(12)) == (type_, echoed)


@pytest.mark.parametrize(("place", "location"), [
    ("PID-3[2].4", "PID^1^3^2^4"), ("PID-3", "PID^1^3"), ("PID-3[2]", "PID^1^3^2"), ("PID-5.1", "PID^1^5^1^1"),
    ("PID-3.4.2", "PID^1^3^1^4^2"), ("NK1[2]-5", "NK1^2^5"), ("EVN", "EVN^1"), ("ZP1[3]", "ZP1^3"), ("", ""),
    ("row 12, role", ""), ("Patient.name", ""), ("line 4", ""),
])
def test_an_error_is_told_at_its_place(place: str, location: str):
    found = issue("bad-date", place, "20261301")
    (err,) = errors(answer(header(), found))
    assert err[1:8] == ["", location, "102^Data type error^HL70357", "W", "bad-date^not a date or time^L", "", ""]
    assert Rep(err[8], answer(header()).d).plain() == message(found)


@pytest.mark.parametrize(("place", "location"), [
    ("PID-3[2].4", "PID^1^3"), ("EVN", "EVN^1^"), ("row 1", "^^"),
])
def test_old_versions_get_err_1_and_the_text_in_msa_3(place: str, location: str):
    warning, error = issue("bad-date", "PID-7"), issue("no-patient", place)
    ack = answer(header("2.4"), warning, error)
    (err,) = errors(ack)
    assert err[1:] == [f"PID^1^7^102&Data type error&HL70357~{location}^101&Required field missing&HL70357"]
    assert ack.segments[1].first(3).plain().startswith(f"no identifier names the patient ({place})")


@pytest.mark.parametrize(("found", "text"), [
    (issue("no-control-id", "MSH-10"), "MSH-10 is empty (MSH-10) - give each message a control id in MSH-10"),
    (issue("refused-sequence", "PV1", "ADT_A01 needs it"),
     "a segment is missing; the feed is strict (PV1)"),
    (issue("refused-sequence", "PV1", "x" * 90), "a segment is out of its place; the feed is strict (PV1)"),
    (issue("several-messages"), "one frame holds more than one message - send each message in a frame of its own"),
    (issue("refused-form", "PID[12]-3[14].4.2", "CX has 10 components in 2.5"),
     "a field has components that its datatype does not have; the feed is strict..."),
])
def test_msa_3_is_never_cut_in_a_word(found: Issue, text: str):
    assert answer(header("2.4"), found).segments[1].first(3).plain() == text
    assert len(text) <= 80


@pytest.mark.parametrize(("found", "what", "to_do"), [
    (issue("refused-sequence", "PV1", "ADT_A01 needs it"), "a segment is missing; the feed is strict", "add it"),
    (issue("tolerated-sequence", "PV1", "x"), "a segment is out of its place; it was tolerated", "correct the order"),
    (issue("refused-form", "PID-40", "no field of 2.5"), "a field is none of its segment; the feed is strict", "leave it empty"),
    (issue("tolerated-form", "PID-7[2]", "may not repeat in 2.5"), "a field repeats more often than it may; it was tolerated",
     "send fewer"),
    (issue("refused-form", "PID-7", "not a DTM"), "a value has not the form of its datatype; the feed is strict", "correct it"),
])
def test_a_text_names_the_one_thing_that_is_wrong(found: Issue, what: str, to_do: str):
    (err,) = errors(answer(header("2.5.1"), found))
    told = Rep(err[8], answer(header()).d).plain()
    assert told == f"{what} ({found.place}): {found.detail} - {to_do}, or name it in the feed's tolerate"
    assert what in Rep(err[5], answer(header()).d).plain()


def test_severities():
    found = errors(answer(header(), issue("no-patient"), issue("bad-date"), issue("cancel-unmatched")))
    assert [fields[4] for fields in found] == ["E", "W", "I"]


def test_texts_are_escaped_in_the_message_s_own_delimiters():
    raw = b"MSH#@~\\&#A@1.2#F#R#S#20260101##ADT@A01#7#P#2.6\r"
    (err,) = errors(answer(raw, issue("bad-value", "PID-5", "a#b@c&d~e\\f |^ \r\x1c")))
    assert "a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f |^ " in err[8]
    assert err[2] == "PID@1@5"
    assert answer(raw).msh.raw(9) == "ACK@A01@ACK"
    assert answer(raw).msh.raw(5) == "A@1.2"


def ending_in_a_bar(codec: str) -> str:
    """A character of which the second byte looks like a field separator."""
    return next(chr(n) for n in range(0x4E00, 0x9FFF) if chr(n).encode(codec, "ignore")[1:] == b"|")


@pytest.mark.parametrize(("declared", "codec"), [
    ("8859/1", "latin-1"), ("UNICODE UTF-8", "utf-8"), ("", "cp1252"), ("BIG-5", "big5"), ("GB 18030-2000", "gb18030"),
])
def test_names_come_back_in_the_message_s_charset(declared: str, codec: str):
    name = ending_in_a_bar(codec) if codec in ("big5", "gb18030") else "Zoë"
    raw = HEADER.format("2.5", declared).replace("ST ANNE", name).encode(codec)
    ack = acknowledge(raw, [issue("bad-value", "PID-3", "ü")], "AA", control_id="1", now=NOW)
    message = Message(decode(ack, codec).text)
    assert message.msh.raw(6) == name
    assert message.msh.raw(18) == declared


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-8"])
def test_wide_characters_come_back_wide(codec: str):
    raw = ("\ufeff" + HEADER.format("2.5", "").replace("ST ANNE", "Zoë")).encode(codec)
    ack = acknowledge(raw, [], "AA", control_id="1", now=NOW)
    assert Message(decode(ack).text).msh.raw(6) == "Zoë"


@pytest.mark.parametrize(("raw", "control_id"), [
    (b"", ""), (b"hello", ""), (b"MSH", ""), (b"MSH|", ""), (b"\x0b\r\nMSH|^~\\&|A|B|C|D|||ADT^A01|9|P|2.5", "9"),
    (b"MSH|^^^^|A|B|C|D|||ADT^A01|9^1|P|2.5", "9\\S\\1"), (b"MSH|^~\\&|A\x00\x1c|B\x0b|C|D|||ADT^A01|9\x1f|P|2.5", "9"),
    (b"\xff\xfeM\0S\0H", ""), (b"MSH|^~\\&|" + b"x" * 5000, ""),
])
def test_what_can_be_read_of_a_broken_message(raw: bytes, control_id: str):
    ack = answer(raw, issue("not-hl7", "MSH"), code="AR")
    assert control_id_of(raw) == control_id
    assert ack.segments[1].fields[:3] == ["MSA", "AR", control_id]
    assert errors(ack)
    assert ack.d.field == "|"


def test_the_code_follows_the_issue():
    assert code_for(issue("bad-date")) == code_for(issue("cancel-unmatched")) == "AA"
    assert code_for(issue("no-patient")) == code_for(issue("nothing-mapped")) == "AE"
    for code in ("not-hl7", "no-control-id", "unsupported-event", "store-unavailable", "server-unavailable"):
        assert code_for(issue(code)) == "AR"


def test_every_issue_can_be_told():
    assert set(ISSUES) >= REFUSED_WHOLE
    assert {kind.err3 for kind in ISSUES.values()} <= set(TABLE_0357)
    assert all(ISSUES[code].severity == "error" for code in REFUSED_WHOLE)
    for version in ("2.3", "2.8"):
        assert errors(answer(header(version), *(issue(code, "PID-3") for code in ISSUES)))


ODD = st.sampled_from([
    "|", "^", "~", "\\", "&", "#", "MSH", "\r", "\n", "\ufeff", "2.3", "ADT^A01", "\x1c\r", "\x0b", "é", "李", "\0",
])
MIXED = st.lists(st.one_of(ODD, st.text(max_size=4)), max_size=30).map("".join)


@given(st.one_of(
    st.binary(max_size=200),
    MIXED.map(lambda text: text.encode("utf-8", "replace")),
    MIXED.map(lambda text: ("MSH|^~\\&|" + text).encode("utf-16", "replace")),
    st.tuples(st.sampled_from(["BIG-5", "UNICODE UTF-8", "8859/1", "ISO IR87", "UTF-16"]), st.binary(max_size=80))
      .map(lambda drawn: header("2.5", drawn[0]).replace(b"ST ANNE", drawn[1])),
    ), st.text(max_size=30), st.text(max_size=30))
def test_any_bytes_get_one_well_formed_answer(raw: bytes, place: str, detail: str):
    ack = acknowledge(raw, [issue("bad-value", place, detail)], "AE", control_id="1", now=NOW)
    if ack.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff", b"M\0", b"\0M")):  # UTF-16 or UTF-32, as it came
        return
    shifts = {0x1B} if b"ISO IR" in raw else set[int]()  # ISO 2022 changes its sets of characters by escape sequences
    assert not (set(range(0x20)) - {0x0D} - shifts) & set(ack)
    lines = ack.split(b"\r")
    assert [line[:3] for line in lines] == [b"MSH", b"MSA", b"ERR", b""]
