"""A ROL that changes or ends a participation must say which; where it does not that is told, and it counts as one of a list."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapter.feeds import Feeds, open_feeds
from adapter.home import HOME
from adapter.model import Issue, Received
from adapter.pipeline import convert

HEAD = (r"MSH|^~\&|STANNE|MAIN|CARELOOP|NETWORK|20260301081000||ADT^A08|P1|P|2.5.1" "\rEVN|A08|20260301081000\r"
        "PID|1||S1^^^STANNE^MR||Wrenmere^Viola||19580904|F\r")


@pytest.fixture(name="feeds", scope="module")
def _feeds() -> Feeds:
    return open_feeds(HOME / "mappings")


def told(feeds: Feeds, role: str) -> list[Issue]:
    received = Received(raw=(HEAD + role + "\r").encode(), arrival=datetime(2026, 11, 20, tzinfo=UTC))
    return [issue for issue in convert(received, feeds, b"key").issues if issue.code == "required-missing"]


@pytest.mark.parametrize("action", ["UP", "CO", "DE", "UN"])
def test_a_change_without_an_instance_id_is_told(feeds: Feeds, action: str) -> None:
    [issue] = told(feeds, f"ROL||{action}|PP^Primary Care Provider^HL70443|1234567893^Poole^Ray^^^^^^NPI")
    assert issue.detail.startswith("ROL-1: ")
    assert told(feeds, f"ROL|R1|{action}|PP^Primary Care Provider^HL70443|1234567893^Poole^Ray^^^^^^NPI") == []


def test_an_addition_needs_none(feeds: Feeds) -> None:
    assert told(feeds, "ROL||AD|PP^Primary Care Provider^HL70443|1234567893^Poole^Ray^^^^^^NPI") == []
