"""Feeds of which nothing came for longer than usual: feed.yaml says what is usual (`usual_interval: 4 h`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from adapter.mapping.feed import Feed
from adapter.store import journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """When a feed was heard last (microseconds since 1970 UTC; where never, since when it is listened to), and what is usual."""

    feed: str
    last: int
    usual_us: int

    def silent(self, now_us: int) -> bool:
        """Whether it is silent for longer than usual."""
        return now_us - self.last > self.usual_us


def heard(connection: Connection, feeds: Iterable[Feed], now_us: int) -> None:
    """Note that something of these feeds came, taken or not; only of feeds that somebody counts on."""
    for name in sorted({feed.name for feed in feeds if feed.exchange.usual_interval}):
        journal.set_cursor(connection, _name(name), str(now_us))


def listen_for(connection: Connection, feeds: Iterable[Feed], now_us: int) -> None:
    """Begin to count on feeds: those of which nothing ever came are expected from now on."""
    for feed in feeds:
        if feed.exchange.usual_interval and not journal.cursor(connection, _name(feed.name)):
            journal.set_cursor(connection, _name(feed.name), str(now_us))


def last_heard(connection: Connection, feeds: Iterable[Feed]) -> Sequence[Heard]:
    """Every feed that somebody counts on, by name."""
    counted = sorted((feed for feed in feeds if feed.exchange.usual_interval), key=lambda feed: feed.name)
    return [Heard(feed=feed.name, last=int(journal.cursor(connection, _name(feed.name)) or 0),
                  usual_us=feed.exchange.usual_interval * 1_000_000) for feed in counted]


def _name(feed: str) -> str:
    return f"heard:{feed}"
