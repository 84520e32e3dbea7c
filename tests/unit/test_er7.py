"""The ER7 reader: what HL7's delimiters and escapes mean, and nothing more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import Rejected
from adapter.parse.delimiters import Delimiters, delimiters
from adapter.parse.er7 import Message, Rep

SAMPLES = sorted((Path(os.environ.get("CARELOOP_SHARED", "../shared")) / "samples" / "hl7v2").glob("*.hl7"))
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
HEADER = "MSH|^~\\&|APP^1.2^ISO|FAC|R|S|20260101||ADT^A01^ADT_A01|7|P|2.5\r"


def refused(text: str) -> tuple[str, str]:
    with pytest.raises(Rejected) as caught:
        Message(text)
    return caught.value.issue.code, caught.value.issue.place


def test_fields_are_counted_as_hl7_counts_them():
    message = Message(HEADER + "PID|1||A^^^X&1.2&ISO^MR~B||Doe^Ann\rNK1|1\rNK1|2|Z\r")
    assert message.msh.raw(1) == "|"
    assert message.msh.raw(2) == "^~\\&"
    assert message.msh.reps(2)[0].plain() == "^~\\&"
    assert message.msh.first(9).parts == ["ADT", "A01", "ADT_A01"]
    pid = message.find("PID")
    assert pid
    first, second = pid.reps(3)
    assert (first.get(1), first.get(4), first.sub(4, 2), first.get(5), first.get(9)) == ("A", "X", "1.2", "MR", "")
    assert second.get(1) == "B"
    assert pid.reps(30) == []
    assert pid.first(30).get(1) == ""
    assert [(s.name, s.number, s.raw(2)) for s in message.segments[2:]] == [("NK1", 1, ""), ("NK1", 2, "Z")]
    assert message.find("PV1") is None


def test_null_is_no_value_but_stands():
    rep = Rep('""^a^""&b', Delimiters())
    assert (rep.get(1), rep.get(2), rep.get(3), rep.sub(3, 1), rep.sub(3, 2)) == ("", "a", "", "", "b")
    assert list(rep.leaves()) == [(2, 0, "a"), (3, 2, "b")]
    pid = Message(HEADER + 'PID|1||""\r').find("PID")
    assert pid
    assert [rep.text for rep in pid.reps(3)] == ['""']
    assert pid.first(3).plain() == ""


@pytest.mark.parametrize(("sent", "read"), [
    (r"a\F\b\S\c\T\d\R\e\E\f", "a|b^c&d~e\\f"), (r"line\.br\two", "line\ntwo"), (r"a\.sp2\b", "a\n\nb"),
    (r"a\.sp\b", "a\nb"), (r"\.ce\mid\.in+4\\.fi\dle", "middle"), (r"\H\bold\N\ ", "bold"), (r"\X4142\c", "ABc"),
    (r"\XC3A9\t\XC3A9\ ", "été"),
    (r"\Z1\keep", r"\Z1\keep"), (r"\XE9\latin", r"\XE9\latin"), (r"\X0\odd", r"\X0\odd"), (r"\X00\nul", r"\X00\nul"),
    (r"\P\cut", r"\P\cut"), ("C:\\dir", "C:\\dir"), ("a\\", "a\\"), (r"\\", r"\\"), (r"a\b\F\c", r"a\b|c"),
])
def test_escape_sequences(sent: str, read: str):
    assert Rep(sent, Delimiters()).plain() == read


def test_hexadecimal_bytes_are_of_the_message_s_charset_where_they_are_no_utf_8():
    latin = Delimiters(charset="iso8859-1")
    assert Rep(r"No\XEB\l^\XC3AB\^a\X85\b", latin).plain() == r"Noël^ë^a\X85\b"
    assert Rep(r"1&No\XEB\l", latin).component(1).get(2) == "Noël"


def test_places_where_an_escape_stands_as_sent():
    sent = "PID|1||C:\\dir||Do\\Q\\e~\\F\\\rOBX|1||||\\.br\\\\X41\\\rOBX|2||\\Z1\\\r"
    assert list(Message(HEADER + sent).misread()) == ["PID-3", "PID-5", "OBX[2]-3"]


def test_escapes_inside_a_component_stand_for_the_message_s_delimiters():
    rep = Rep("1^^^ST\\T\\ANNE \\S\\&1.2&ISO", Delimiters())
    inside = rep.component(4)
    assert [inside.get(n) for n in (1, 2, 3, 4)] == ["ST&ANNE ^", "1.2", "ISO", ""]
    assert rep.component(9).get(1) == ""
    assert inside.component(1).get(1) == "ST&ANNE ^"


def test_a_truncation_character_is_an_escape_where_declared():
    d = delimiters("MSH|^~\\&#|A")
    assert d.unescape("\\P\\") == "#"
    assert d.escaped("#") == "\\P\\"


@pytest.mark.parametrize(("start", "d"), [
    ("MSH#@~\\&#", Delimiters("#", "@", "~", "\\", "&")), ("MSH|^~\\&#|", Delimiters("|", "^", "~", "\\", "&", "#")),
    ("MSH|^~\\|", Delimiters("|", "^", "~", "\\", "\0")), ("MSH|^~|", Delimiters("|", "^", "~", "\0", "\0")),
    ("MSH|^~\\&\r", Delimiters()), ("MSH$%*!+$", Delimiters("$", "%", "*", "!", "+")),
])
def test_delimiters_as_declared(start: str, d: Delimiters):
    assert delimiters(start + "A") == d


@pytest.mark.parametrize("start", [
    "MSH", "MSH|", "MSH|^", "MSH|^|", "MSH|^^~\\|", "MSH|ABCD|", "MSHA^~\\&A", "MSH|^~\\&#!|", "MSH|^~\\ |", "MSH |^~",
    'MSH|^~\\"|',
])
def test_unusable_delimiters_are_refused(start: str):
    assert refused(start) == ("bad-delimiters", "MSH-2")


def test_a_message_with_other_delimiters_reads_alike():
    pid = Message("MSH#@!%+#APP\rPID#1##A@@@X+1@MR!B#a%S%b^c\r").find("PID")
    assert pid
    first, second = (list(rep.leaves()) for rep in pid.reps(3))
    assert first == [(1, 0, "A"), (4, 1, "X"), (4, 2, "1"), (5, 0, "MR")]
    assert second == [(1, 0, "B")]
    assert pid.first(4).plain() == "a@b^c"


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_any_line_end(end: str):
    message = Message("\ufeff\r\n" + (HEADER + "PID|1\r\rPV1|1\r").replace("\r", end))
    assert [segment.name for segment in message.segments] == ["MSH", "PID", "PV1"]
    assert message.stray == []


def test_line_feeds_in_the_text_of_a_message_with_carriage_returns():
    message = Message(HEADER + "NTE|1||first\nsecond\rPV1|1\nPV2|2\n\rDG1|1\n")
    assert [segment.name for segment in message.segments] == ["MSH", "NTE", "PV1", "PV2", "DG1"]
    assert message.segments[1].first(3).plain() == "first\nsecond"


def test_lines_that_are_no_segment_are_counted_and_told():
    message = Message(HEADER + "PID|1\rpv1|1\rPI\rPV1^1\rÄBC|1\r   \rDG1\r")
    assert message.stray == [3, 4, 5, 6]
    assert [segment.name for segment in message.segments] == ["MSH", "PID", "DG1"]


def test_what_is_no_message_or_more_than_one_is_refused():
    assert refused("") == refused(" \r\n") == ("empty", "")
    assert refused("hello") == refused("FHS|^~\\&\rMSH|^~\\&") == ("not-hl7", "MSH")
    assert refused(HEADER + "PID|1\r" + HEADER) == ("several-messages", "MSH[2]")


@given(TEXT, st.sampled_from([Delimiters(), Delimiters("#", "@", "!", "%", "+"), Delimiters(truncation="#")]))
def test_escaped_text_comes_back(text: str, d: Delimiters):
    escaped = d.escaped(text)
    assert not {d.field, d.component, d.repetition, d.sub} & set(escaped)
    assert d.unescape(escaped) == text


def some(inner: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(inner, min_size=1, max_size=3)


@given(some(some(some(some(TEXT)))))
def test_every_leaf_that_was_written_is_read(fields: list[list[list[list[str]]]]):
    d = Delimiters()
    line = "|".join("~".join("^".join("&".join(map(d.escaped, c)) for c in rep) for rep in reps) for reps in fields)
    segment = Message(f"{HEADER}ZZZ|{line}\r").segments[-1]
    for n, reps in enumerate(fields, 1):
        for wanted, rep in zip(reps, segment.reps(n), strict=False):
            leaves = {(c, s or 1): text for c, s, text in rep.leaves()}
            expected = {(c, s): text.strip() for c, subs in enumerate(wanted, 1) for s, text in enumerate(subs, 1)
                        if text.strip() and text != '""'}
            assert leaves == expected
            assert all(rep.sub(c, s) == text for (c, s), text in expected.items())


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str):
    for candidate in (text, "MSH|^~\\&|" + text, "MSH" + text):
        try:
            message = Message(candidate)
        except Rejected:
            continue
        for segment in message.segments:
            for n in range(len(segment.fields)):
                for rep in segment.reps(n):
                    assert all(leaf for _, _, leaf in rep.leaves())
                    assert isinstance(rep.get(1) + rep.sub(1, 1) + rep.plain() + rep.component(1).get(1), str)


@pytest.mark.shared
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_hl7apy_reads_the_samples_alike(path: Path):
    from hl7apy.parser import parse_message

    text = path.read_bytes().decode().replace("\r\n", "\r").replace("\n", "\r").strip("\r") + "\r"
    ours, theirs = Message(text), parse_message(text, find_groups=False)
    assert [segment.name for segment in ours.segments] == [segment.name for segment in theirs.children]
    compared = 0
    for mine, other in zip(ours.segments, theirs.children, strict=True):
        for n in range(3 if mine.name == "MSH" else 1, len(mine.fields)):
            wanted = [field.to_er7() for field in other.children if field.name == f"{mine.name}_{n}"]
            if wanted:  # hl7apy names no field that the version has withdrawn
                compared += 1
                assert [rep.text.rstrip("^& ") for rep in mine.reps(n)] == [text.rstrip("^& ") for text in wanted]
    assert compared > 20


@pytest.mark.shared
def test_there_are_27_samples():
    assert len(SAMPLES) == 27
