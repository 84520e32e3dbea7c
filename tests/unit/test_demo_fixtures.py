"""Every HL7 v2 message in fixtures/ gives what fixtures/README.md says of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapter.errors import Rejected
from adapter.feeds import Feeds, open_feeds
from adapter.model import Received
from adapter.parse.batch import split_messages
from adapter.pipeline import convert

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"
TOLD = re.findall(r"^\| (\S+\.hl7) \| .+? \| (.+?) \|$", (FIXTURES / "README.md").read_text(encoding="utf-8"), re.M)
GOOD = sorted(FIXTURES.glob("hl7v2/A*/*.hl7"))
ARRIVAL = datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def feeds() -> Feeds:
    return open_feeds(ROOT / "mappings")


def outcomes(path: Path, feeds: Feeds) -> list[set[str]]:
    """For each message of a file its refusal, or `-` and the codes of its issues."""
    return [outcome(raw, feeds) for raw in split_messages(path.read_bytes()).messages]


def outcome(raw: bytes, feeds: Feeds) -> set[str]:
    try:
        return {"-", *(issue.code for issue in convert(Received(raw=raw, arrival=ARRIVAL), feeds, b"k" * 32).issues)}
    except Rejected as refused:
        return {refused.issue.code}


def test_every_file_is_told() -> None:
    assert sorted(name for name, _ in TOLD) == sorted(p.name for p in FIXTURES.glob("hl7v2/defects/*.hl7"))


@pytest.mark.parametrize(("name", "expected"), TOLD)
def test_defects(name: str, expected: str, feeds: Feeds) -> None:
    found = outcomes(FIXTURES / "hl7v2" / "defects" / name, feeds)
    wanted = [set(words.split()) for words in expected.split(", ")]
    assert len(found) == len(wanted)
    for got, want in zip(found, wanted, strict=True):
        assert want <= got
        assert "-" in want or got == want


@pytest.mark.parametrize("path", GOOD, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_well_formed_messages_convert(path: Path, feeds: Feeds) -> None:
    assert all("-" in found for found in outcomes(path, feeds))


def test_every_event_in_scope_has_a_message() -> None:
    assert {p.parent.name for p in GOOD} == {"A01", "A02", "A03", "A04", "A08", "A11", "A13", "A28", "A31", "A40"}


def test_a_miscounted_batch_is_told() -> None:
    split = split_messages((FIXTURES / "hl7v2" / "defects" / "batch-miscounted.hl7").read_bytes())
    assert [issue.code for issue in split.issues] == ["batch-count"]
