"""Which feeds are silent for longer than usual, and what changed of that."""

from __future__ import annotations

from collections.abc import Sequence

from adapter.installation.installation import Installation
from adapter.intake.silence import Heard, last_heard
from adapter.store.engine import reading


class Silence:
    """Watches the feeds that something is to come of. Raises Unavailable where the database is away."""

    def __init__(self, here: Installation) -> None:
        self._here = here
        self._told: dict[str, Heard] = {}

    def heard(self) -> list[tuple[Heard, bool]]:
        """Each feed that is watched, and whether it is silent now."""
        feeds = [one.feed for one in self._here.feeds.compiled.values() if one.feed.exchange.usual_interval]
        if not feeds:
            return []
        now = self._here.now_us()
        with reading(self._here.engine) as connection:
            return [(one, one.silent(now)) for one in last_heard(connection, feeds)]

    def silent(self) -> list[Heard]:
        """The feeds that are silent now."""
        return [one for one, silent in self.heard() if silent]

    def news(self) -> tuple[Sequence[Heard], Sequence[Heard]]:
        """Feeds that fell silent, and those heard again, since this was asked last."""
        now = {one.feed: one for one in self.silent()}
        fell = [one for feed, one in now.items() if feed not in self._told]
        again = [one for feed, one in self._told.items() if feed not in now]
        self._told = now
        return fell, again
