"""The mappings in force: read as a whole when the gateway starts, and again once changed files are at rest and sound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adapter.errors import Defect
from adapter.feeds import Feeds, open_feeds
from adapter.mapping.lint import lint
from adapter.mapping.watch import Seen, Watched


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look at changed files came to. changed: their names.

    feeds: what is to come into force, None where that cannot be; then faults say why, or the files are the program's own.
    """

    changed: tuple[str, ...]
    feeds: Feeds | None = None
    faults: tuple[str, ...] = ()


class Mappings:
    """The feeds of an installation, and the files that they were read from."""

    def __init__(self, folder: Path) -> None:
        """Read them. Raises Defect (mapping-failed)."""
        self.files = Watched(folder)
        self.feeds = open_feeds(folder)
        self.faults: tuple[str, ...] = ()
        self._folder = folder
        self._seen: Seen = {}
        self._judged: Seen = {}
        self._sound: Seen = {}

    def look(self) -> Look | None:
        """Judge files that are not as they were read; None where there are none, or where they were judged unfit before.

        Files that changed since the last look are left alone until the next: somebody may be writing them.
        """
        now = self.files.now()
        changed = self.files.differing(now)
        rests, self._seen = now == self._seen, now
        if not changed:
            self.faults, self._judged = (), {}
        if not changed or not rests or now == self._judged:
            return None
        found = self._judge(changed)
        if self.files.now() != now:
            return None
        self._sound, self.faults = now, found.faults
        if found.feeds is None:
            self._judged = now
        return found

    def _judge(self, changed: tuple[str, ...]) -> Look:
        """Read them as a whole; none of it comes into force here."""
        if any(self.files.own(name) for name in changed):
            return Look(changed=changed)
        if faults := lint(self._folder):
            return Look(changed=changed, faults=tuple(faults))
        try:
            feeds = open_feeds(self._folder)
        except Defect as error:
            return Look(changed=changed, faults=(f"{error.issue.place}: {error.issue.detail}",))
        if not feeds.compiled:
            return Look(changed=changed, faults=("no feed is there",))
        return Look(changed=changed, feeds=feeds)

    def take(self, feeds: Feeds) -> None:
        """Bring into force what the last look found; until then each look finds it."""
        self.files.take(self._sound)
        self.feeds = feeds
