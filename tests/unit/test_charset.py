"""Charsets: read as declared or refused, never guessed, never a replacement character."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import Defect, Rejected
from adapter.parse.charset import codec_of, declared_codec, decode


def header(charset: str) -> str:
    return f"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5||||||{charset}\rPID|1||"


def refused(raw: bytes, fallback: str = "utf-8") -> tuple[str, str]:
    with pytest.raises(Rejected) as caught:
        decode(raw, fallback)
    return caught.value.issue.code, caught.value.issue.place


@pytest.mark.parametrize(("declared", "codec", "name"), [
    ("UNICODE UTF-8", "utf-8", "Zoë Łuk 李"), ("UTF-8", "utf-8", "Zoë"), ("UNICODE", "utf-8", "Zoë"),
    ("utf8", "utf-8", "Zoë"),
    ("8859/1", "iso8859-1", "Zoë"), ("8859/2", "iso8859-2", "Łuk"), ("8859/15", "iso8859-15", "Zoë €"),
    ("ISO-8859-1", "iso8859-1", "Zoë"), ("windows-1252", "cp1252", "Zoë “x”"), ("CP1250", "cp1250", "Łuk"),
    ("8859/1~UNICODE UTF-8", "iso8859-1", "Zoë"), ("~8859/1", "iso8859-1", "Zoë"),
    ("GB 18030-2000", "gb18030", "李"), ("BIG-5", "big5", "李"), ("KS X 1001", "euc_kr", "이"),
    ("ASCII~ISO IR87", "iso2022_jp_ext", "山田"), ("UNICODE UTF-16", "utf-8", "Zoë"), ("ASCII", "ascii", "Zoe"),
])
def test_msh_18_is_read_as_it_says(declared: str, codec: str, name: str):
    text = header(declared) + name
    found = decode(text.encode(codec), "cp437")
    assert (found.text, found.charset, found.issues) == (text, codec, ())


@pytest.mark.parametrize(("mark", "codec"), [
    ("\ufeff", "utf-8"), ("\ufeff", "utf-16-le"), ("\ufeff", "utf-16-be"), ("\ufeff", "utf-32-le"),
    ("\ufeff", "utf-32-be"), ("", "utf-16-le"), ("", "utf-16-be"), ("", "utf-32-le"), ("", "utf-32-be"),
])
def test_a_byte_order_mark_or_wide_letters_decide(mark: str, codec: str):
    text = header("8859/1") + "Zoë 李"
    found = decode((mark + text + "\r\n").encode(codec), "ascii")
    assert (found.text, found.charset) == (text, codec)


def test_an_empty_msh_18_falls_to_the_feed():
    raw = (header("") + "Zoë").encode("cp1252")
    assert decode(raw, "windows-1252").text.endswith("Zoë")
    assert refused(raw) == ("charset", "MSH-18")


@pytest.mark.parametrize("declared", ["ASCII", "8859/1"])
def test_a_wrong_one_byte_declaration_falls_to_the_feed_and_is_told(declared: str):
    raw = (header(declared) + "“Zoë” \u0152").encode()
    found = decode(raw.replace(b"\xc5\x92", b"\xc2\x93"), "utf-8")
    assert found.charset == "utf-8"
    assert [(issue.code, issue.place) for issue in found.issues] == [("charset-differs", "MSH-18")]


@pytest.mark.parametrize(("raw", "fallback"), [
    (header("UNICODE UTF-8").encode() + b"Zo\xeb", "cp1252"),
    (header("ASCII").encode() + b"Zo\xeb", "utf-8"),
    (header("KLINGON").encode() + "Zoë".encode(), "utf-8"),
    (header("8859/1").encode() + b"\x93Zoe\x94", "utf-8"),
    ("\ufeff".encode() + header("8859/1").encode() + b"Zo\xeb", "cp1252"),
    ((header("") + "x").encode("utf-16")[:-1], "utf-8"),
])
def test_what_cannot_be_read_strictly_is_refused(raw: bytes, fallback: str):
    assert refused(raw, fallback) == ("charset", "MSH-18")


def test_an_unknown_name_does_no_harm_where_all_is_ascii():
    assert decode(header("CNS 11643-1992").encode()).charset == "ascii"


@pytest.mark.parametrize("raw", [
    b"", b"\r\n", b"\x0b\x1c\r", b"\xef\xbb\xbf", b"\xff\xfe", "\ufeff\r\n".encode("utf-16-le"),
])
def test_nothing_is_refused_as_empty(raw: bytes):
    assert refused(raw)[0] == "empty"


@pytest.mark.parametrize("raw", [
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", header("").encode() + b"a\0b", header("").encode() + b"a\x0bb",
    header("ASCII").encode() + b"\x1b$B;3\x1b(B", (header("") + "a\0").encode("utf-16") + b"x\0",
])
def test_control_characters_are_refused_as_binary(raw: bytes):
    assert refused(raw)[0] == "binary"


def test_what_is_no_message_is_not_blamed_on_the_charset():
    assert refused(b"Gr\xfc\xdfe") == ("not-hl7", "MSH")


def test_an_unknown_charset_of_the_feed_is_our_mistake():
    with pytest.raises(Defect):
        decode(header("").encode(), "rot13")


def test_names_that_are_no_charset_of_text_are_unknown():
    assert [codec_of(name) for name in ("hex", "rot13", "idna", "8859/12", "", "unicode_escape")] == [None] * 6


def test_a_delimiter_inside_a_wide_character_of_the_header_is_none():
    text = header("BIG-5").replace("|A|", "|吜|") + "李"
    assert b"|" in "吜".encode("big5")
    assert decode(text.encode("big5")).text == text


def test_the_declared_charset_without_reading_the_message():
    assert declared_codec((header("8859/2") + "x").encode()) == "iso8859-2"
    assert declared_codec(header("").encode()) == declared_codec(b"hello") == ""


@given(st.binary(max_size=300),
       st.sampled_from(["", "ASCII", "8859/1", "UNICODE UTF-8", "UTF-16", "ISO IR87", "?", "BIG-5"]))
def test_any_bytes_are_read_whole_or_refused(tail: bytes, declared: str):
    for raw in (tail, header(declared).encode() + tail):
        try:
            found = decode(raw)
        except Rejected:
            continue
        assert "\ufffd" not in found.text
        assert found.text.encode(found.charset, "strict") is not None


@given(st.text(max_size=40), st.sampled_from(["utf-8", "utf-16", "gb18030"]))
def test_a_replacement_character_never_comes_in(text: str, codec: str):
    declared = {"utf-8": "UNICODE UTF-8", "utf-16": "UNICODE UTF-16", "gb18030": "GB 18030-2000"}[codec]
    try:
        raw = (header(declared) + text + "\ufffd").encode(codec)
    except UnicodeEncodeError:
        return
    assert refused(raw)[0] in ("charset", "binary", "not-hl7")


@given(st.text(alphabet=st.characters(codec="iso8859-1", exclude_categories=("Cc",)), max_size=20),
       st.sampled_from([("8859/1", "iso8859-1"), ("8859/15", "iso8859-15"), ("8859/9", "iso8859-9"), ("", "cp1252")]))
def test_letters_of_one_byte_come_through_as_they_are(text: str, named: tuple[str, str]):
    declared, codec = named
    try:
        raw = (header(declared) + "x" + text + "x").encode(codec)
    except UnicodeEncodeError:
        return
    assert decode(raw, "cp1252").text == header(declared) + "x" + text + "x"
