"""Whether the files that decide what a message becomes are still those that were read at the start."""

from __future__ import annotations

import hashlib
from pathlib import Path

from adapter.conformance.dictionary import PROFILES
from adapter.parse.rows_contract import CONTRACTS

_DECIDING = ("*/feed.yaml", "*/events.yaml", "*/*.map.yaml", "*/conceptmaps/*.json")
"""Files of a mappings folder; its cases decide nothing."""


class Watched:
    """The mappings of a running gateway. It runs with what it read at its start; what is changed later waits for a restart."""

    def __init__(self, mappings: Path) -> None:
        """Take note of the files as they are; before they are read, so that no change between the two is missed."""
        self._mappings = mappings
        self._read = self._now()
        self._told: tuple[str, ...] = ()

    def changed(self) -> tuple[str, ...]:
        """Files that are new, gone, or have other bytes than at the start: `st-anne/feed.yaml`, sorted."""
        now = self._now()
        return tuple(sorted(name for name in now.keys() | self._read.keys() if now.get(name) != self._read.get(name)))

    def news(self) -> tuple[str, ...]:
        """The same, empty where nothing came since it was asked last: for a log, which need not say it again and again."""
        changed = self.changed()
        fresh = () if changed == self._told else changed
        self._told = changed
        return fresh

    def _now(self) -> dict[str, bytes]:
        paths = [*(path for pattern in _DECIDING for path in self._mappings.glob(pattern)),
                 *CONTRACTS.glob("*.json"), *PROFILES.glob("*.yaml")]
        return {_name(path, self._mappings): hashlib.sha256(_bytes(path)).digest() for path in paths}


def _name(path: Path, mappings: Path) -> str:
    return str(path.relative_to(mappings if path.is_relative_to(mappings) else path.parents[1]))


def _bytes(path: Path) -> bytes:
    """A file's bytes; what is taken away while it is looked at has none."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
