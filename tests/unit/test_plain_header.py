"""Headers that are read off the bytes at once: a message is taken, and answered, as if it had been read closely."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.feeds import Feeds, open_feeds
from adapter.intake.accept import take, take_at_once
from adapter.intake.arrived import Arrived
from adapter.intake.plain_header import plain_header
from adapter.model import Received
from adapter.pipeline import microseconds
from tests.unit.feeds_of import with_feed

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
NAMES = ["", "ST ANNE", " RIVER", "RIVER ", "A^1.2^ISO", "A^ 1", r"A\T\B", "A&B", "A~B", "Zürich", "MSH", "\t"]
USUAL = ["RIVER", "EAST", "CARELOOP", "NET", "20260301", "", "ADT^A08^ADT_A01", "C-1", "P", "2.5.1"]
OTHERS = {
    3: NAMES, 4: NAMES, 5: NAMES, 6: NAMES, 7: ["", "20260301 ", "^"], 8: ["x", " "],
    9: ["ADT^A08", "ADT", "ADT^Z99", "ADT^A19", "ORU^R01", "", "^A08", "ADT^A08~ADT^A01", "ADT^A08 "],
    10: ["", " 1", "1 ", "1^2", "é", "ACK", "\\F\\"], 11: ["T", "D", "", "P^T", "X", " P"],
    12: ["2.3", "2.1", "2.5^USA", "", "9.9"], 13: ["7", " 8"], 15: ["AL", "NE", " AL"], 16: ["NE", "AL", "ER"],
    18: ["8859/1", "UNICODE UTF-8", "UNICODE UTF-8~X"],
}
"""What may stand in MSH-n instead."""
ENDS = st.sampled_from([
    b"\r", b"\n", b"\r\n", b"", b"\rEVN|A08\r", b"\rMSH|^~\\&|B\r", b"\rPID|1||7^^^E^MR||\r", b"\nPID|1||7||X^Y\r",
    b"\rPID|1\r", b"\rEVN|\rPID|1|| 7 ^^^E\r MSH|x\r", b"\rNTE|1||the HS and MSH\r", b"\rNTE|1\r\tBHS|^~\\&\r",
    b"\rPID|1||7~8\r", b"\nEVN|A08\nMSH|^~\\&|B\n",
])


def written(changes: list[tuple[int, str]]) -> str:
    """The usual header with these changes."""
    fields = [*USUAL]
    for number, text in changes:
        fields += [""] * (number - 2 - len(fields))
        fields[number - 3] = text
    return "|".join(("MSH", r"^~\&", *fields))


HEADERS = st.lists(st.sampled_from([(n, text) for n, texts in OTHERS.items() for text in texts]), max_size=3).map(written)


@pytest.fixture(scope="module", name="feeds")
def _feeds(tmp_path_factory: pytest.TempPathFactory) -> Feeds:
    return open_feeds(with_feed(
        tmp_path_factory.mktemp("plain"), stored="sender: {MSH-3: RIVER}\nacknowledge: stored", free="acknowledge: stored",
        alone="certificate: 'CN:alone'\nacknowledge: stored"))


@given(HEADERS, ENDS)
def test_whatever_the_header_a_plain_one_is_taken_as_one_that_is_read_closely(feeds: Feeds, header: str, end: bytes) -> None:
    raw = header.encode() + end
    at_once = take(Received(raw=raw, arrival=NOW, feed="stored"), feeds).entry
    closely = take(Received(raw=b"\n" + raw, arrival=NOW, feed="stored"), feeds).entry  # a line end before it is no plain header
    assert plain_header(b"\n" + raw) is None
    for name in ("kind", "feed", "sender", "control_id", "event", "state", "ack_code", "issues", "lane"):
        assert getattr(at_once, name) == getattr(closely, name), name
    own, other = (sha256(one.raw).hexdigest().encode() for one in (at_once, closely))
    told = (closely.ack or b"").replace(other[:20], own[:20]).replace(other[:18], own[:18])
    assert (at_once.ack or b"") == told


@given(HEADERS, ENDS)
def test_what_is_taken_at_once_is_what_would_be_taken_later(feeds: Feeds, header: str, end: bytes) -> None:
    raw, arrival = header.encode() + end, microseconds(NOW)
    at_once = take_at_once(Arrived(raw, "file"), arrival, feeds)
    assert at_once is None or at_once == take(Received(raw=raw, arrival=NOW), feeds)


@pytest.mark.parametrize(("allowed", "feed"), [
    (None, "stored"), ({"stored", "free"}, "stored"), ({"alone"}, "alone"), ({"free"}, "")])
def test_at_once_a_certificate_counts_too(feeds: Feeds, allowed: set[str] | None, feed: str) -> None:
    raw, bound = written([]).encode() + b"\r", None if allowed is None else frozenset(allowed)
    at_once = take_at_once(Arrived(raw, "file", bound), microseconds(NOW), feeds)
    later = take(Received(raw=raw, arrival=NOW), feeds, bound)
    assert (at_once.entry.feed if at_once else "") == feed
    assert at_once == later if feed else [issue.code for issue in later.entry.issues] == ["certificate-other"]


def test_usual_headers_are_plain(feeds: Feeds) -> None:
    for path in Path("fixtures/hl7v2").glob("*/admission.hl7"):
        assert plain_header(path.read_bytes().replace(b"\n", b"\r")) is not None
