"""Ways to spoil a message, and what must hold of the answer to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
from hypothesis import settings
from hypothesis import strategies as st

from adapter.errors import Rejected
from adapter.feeds import Feeds, open_feeds
from adapter.issues import ISSUES
from adapter.model import Received
from adapter.parse.batch import split_messages
from adapter.pipeline import convert
from adapter.validate.check import check
from tests.conftest import ROOT, SHARED
from tests.fuzz import examples

BOUNDED = settings(max_examples=examples(800))
ARRIVAL = datetime(2026, 4, 1, tzinfo=UTC)


def _messages() -> list[bytes]:
    files = sorted((ROOT / "mappings").rglob("*.hl7")) + sorted((SHARED / "samples" / "hl7v2").glob("*.hl7"))
    return [raw.replace(b"\n", b"\r") if b"\r" not in raw else raw
            for file in files for raw in split_messages(file.read_bytes()).messages]


MESSAGES = _messages()
FEEDS = open_feeds(ROOT / "mappings")
HL7_FEEDS = [None, *sorted(name for name, one in FEEDS.compiled.items() if one.feed.format == "hl7v2")]
LENGTHS = (1, 2, 7, 8, 9, 16, 64, 300)
VALUES = st.one_of(
    st.sampled_from([
        b'""', b'""^""', b'"', b"^", b"^^^^^^^^^^", b"&&&", b"~~~", b"~^~&~", b"^&^&^", b"\\", b"\\\\", b"\\X", b"\\X41",
        b"\\Xzz\\", b"\\X00\\", b"\\XEDA080\\", b"\\XFF\\", b"\\X0D\\MSH|", b"\\F\\\\S\\\\T\\\\R\\\\E\\", b"\\H\\x\\N\\",
        b"\\.br\\", b"\\.sp99\\", b"\\.sp+\\", b"\\.in-999\\", b"\\C2842\\", b"\\Zx\\", b"00000000", b"20260231", b"20261301",
        b"99991231235959.9999+1400", b"00010101000000+1400", b"00010101000000-1200", b"99991231235959-1200",
        b"20260308023000", b"20261101013000", b"2026030825", b"202603082460", b"20260301120060", b"20260301+9999",
        b"19700101000000-0000", b"0", b"-0", b"-1", b"1e5", b"1E400", b"NaN", b"Infinity", b"9" * 400, b"." + b"9" * 400,
        b"1.", b".5", b"+7", b"0x1F", b"1_000", b" 7 ", b"\xd9\xa3\xd9\xa4", b"\xc2\xb2", b"\xe2\x85\xa7", b"\xef\xbc\x97",
        b"\x00", b"\x01\x02", b"\x7f", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\xc2\x85", b"\xc2\xa0",
        b"\xef\xbf\xbd", b"\xef\xbb\xbf", b"\xf0\x9f\x98\x80", b"e\xcc\x81", b"\xe2\x80\x8b", b" ", b"\t", b"a b",
        b"urn:oid:", b"urn:oid:1", b"urn:uuid:x", b"http://", b"http://a b", b"javascript:alert(1)", b"1.2.3",
        b"2.16.840.1.1", b"<script>", b"<div xmlns='x'>", b"${x}", b"../../etc", b"Patient/1", b"#x", b"|", b"Y", b"N", b"U",
        b"A", b"D", b"X", b"\r", b"\n", b"\r\n", b"\x0b", b"\x1c\r", b"\rMSH|^~\\&|", b"\rPID|", b"\rPV1|1|I", b"\rMRG|",
        b"\rZZZ|", b"\rXX", b"\rpid|1"]),
    st.binary(max_size=12),
    st.text(max_size=8).map(lambda text: text.encode("utf-8", "surrogatepass")))
CHARSETS = [b"", b"ASCII", b"8859/1", b"8859/15", b"UNICODE UTF-8", b"UNICODE", b"UTF-16", b"ISO IR14", b"GB 18030-2000",
            b"BIG-5", b"KS X 1001", b"X", b"8859/1~UNICODE UTF-8", b"hex", b"rot13"]
TRIGGERS = [f"A{n:02}".encode() for n in range(1, 63)] + [b"A99", b"", b"O01", b"a01"]


# --- ways to spoil a message: each takes its bytes and a source of choices


def _lines(raw: bytes) -> list[bytes]:
    return raw.split(b"\r")


def cut(raw: bytes, draw: Callable[[Any], Any]) -> bytes:
    return raw[:draw(st.integers(0, len(raw)))]


def cut_off_the_beginning(raw: bytes, draw: Callable[[Any], Any]) -> bytes:
    return raw[draw(st.integers(0, len(raw))):]


def cut_out(raw: bytes, draw: Callable[[Any], Any]) -> bytes:
    begin = draw(st.integers(0, len(raw)))
    return raw[:begin] + raw[begin + draw(st.integers(0, 40)):]


def double_segments(raw: bytes, draw: Callable[[Any], Any]) -> bytes:
    lines = _lines(raw)
    n = draw(st.integers(0, len(lines) - 1))
    return b"\r".join(lines[:n] + [lines[n]] * draw(st.integers(2, 5)) + lines[n + 1:])


def shuffle_segments(raw: bytes, draw: Callable[[Any], Any]) -> bytes:
    lines = _lines(raw)
    return b"\r".join([lines[0], *draw(st.permutations(lines[1:]))])


def drop_segment(raw: bytes, draw: Callable[[Any], Any]) -> bytes:
    lines = _lines(raw)
    del lines[draw(st.integers(0, len(lines) - 1))]
    return b"\r".join(lines)


def _in_fields(raw: bytes, draw: Callable[[Any], Any], change: Callable[[list[bytes], int], None]) -> bytes:
    lines = _lines(raw)
    n = draw(st.integers(0, len(lines) - 1))
    fields = lines[n].split(b"|")
    change(fields, draw(st.integers(0, len(fields) - 1)))
    lines[n] = b"|".join(fields)
    return b"\r".join(lines)


def double_fields(raw: bytes, draw: Callable[[Any], Any]) -> bytes:
    return _in_fields(raw, draw, lambda fields, n: fields.insert(n, fields[n]))


def spoil_field(raw: bytes, draw: Callable[[Any], Any]) -> bytes:
    def change(fields: list[bytes], n: int) -> None:
        fields[n] = draw(VALUES)
    return _in_fields(raw, draw, change)


def spoil_part(raw: bytes, draw: Callable[[Any], Any]) -> bytes:
    def change(fields: list[bytes], n: int) -> None:
        parts = fields[n].split(b"^") + [b""] * draw(st.integers(0, 12))
        parts[draw(st.integers(0, len(parts) - 1))] = draw(VALUES)
        fields[n] = b"^".join(parts)
    return _in_fields(raw, draw, change)


def swap_fields(raw: bytes, draw: Callable[[Any], Any]) -> bytes:
    def change(fields: list[bytes], n: int) -> None:
        m = draw(st.integers(0, len(fields) - 1))
        fields[n], fields[m] = fields[m], fields[n]
    return _in_fields(raw, draw, change)


def repeat_field(raw: bytes, draw: Callable[[Any], Any]) -> bytes:
    def change(fields: list[bytes], n: int) -> None:
        fields[n] = draw(st.sampled_from([b"~", b"^", b"&"])).join([fields[n]] * draw(st.sampled_from(LENGTHS)))
    return _in_fields(raw, draw, change)


def insert_bytes(raw: bytes, draw: Callable[[Any], Any]) -> bytes:
    n = draw(st.integers(0, len(raw)))
    return raw[:n] + draw(VALUES) + raw[n:]


def other_delimiters(raw: bytes, draw: Callable[[Any], Any]) -> bytes:
    chars = draw(st.lists(st.integers(33, 126), min_size=5, max_size=5, unique=draw(st.booleans())))
    return raw.translate(bytes.maketrans(b"|^~\\&", bytes(chars)))


def other_charset(raw: bytes, draw: Callable[[Any], Any]) -> bytes:
    lines = _lines(raw)
    fields = lines[0].split(b"|") + [b""] * 18
    fields[17] = draw(st.sampled_from(CHARSETS))
    lines[0] = b"|".join(fields[:19])
    text = b"\r".join(lines)
    return text.decode("latin-1").encode("utf-16") if draw(st.integers(0, 9)) == 0 else text


def other_trigger(raw: bytes, draw: Callable[[Any], Any]) -> bytes:
    lines = _lines(raw)
    fields = lines[0].split(b"|")
    if len(fields) > 8:
        fields[8] = b"ADT^" + draw(st.sampled_from(TRIGGERS))
    lines[0] = b"|".join(fields)
    return b"\r".join(lines)


def other_ends_of_line(raw: bytes, draw: Callable[[Any], Any]) -> bytes:
    return raw.replace(b"\r", draw(st.sampled_from([b"\n", b"\r\n", b"\r\r", b"\n\r", b"\x85", b"\x0b"])))


def graft(raw: bytes, draw: Callable[[Any], Any]) -> bytes:
    """Segments of one message behind those of another."""
    return raw + b"\r" + b"\r".join(_lines(draw(st.sampled_from(MESSAGES)))[1:])


WAYS = [cut, cut_off_the_beginning, cut_out, double_segments, shuffle_segments, drop_segment, double_fields, spoil_field,
        spoil_part, swap_fields, repeat_field, insert_bytes, other_delimiters, other_charset, other_trigger, other_ends_of_line,
        graft]


@st.composite
def spoilt(draw: Callable[[Any], Any]) -> bytes:
    """A message that was spoilt in one to four ways."""
    raw = draw(st.sampled_from(MESSAGES))
    for way in draw(st.lists(st.sampled_from(WAYS), min_size=1, max_size=4)):
        raw = way(raw, draw)
    return raw


# --- what must hold


def answer(raw: bytes, feed: str | None = None, *, trace: bool = False, feeds: Feeds = FEEDS) -> Any:
    """The Bundle that a message becomes, None where it is refused; any other exception is a failure."""
    try:
        made = convert(Received(raw=raw, arrival=ARRIVAL, feed=feed), feeds, b"fuzz", trace)
    except Rejected:
        return None
    assert {issue.code for issue in made.issues} <= ISSUES.keys()
    return orjson.loads(orjson.dumps(made.bundle))


def assert_sound(bundle: Any) -> None:
    """Every resource is valid FHIR, no reference is without a target, no two have one id."""
    assert check(bundle) == []
    names = [f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in bundle["entry"]]
    assert len(set(names)) == len(names)
    assert _references(bundle) <= set(names)


def _references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["reference"]} if isinstance(node.get("reference"), str) else set[str]()
        return own.union(*(_references(inner) for inner in node.values()))
    return set[str]().union(*(_references(inner) for inner in node)) if isinstance(node, list) else set()
