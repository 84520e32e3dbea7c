"""Whether the files that decide what a message becomes are still those that were read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from adapter.conformance.dictionary import PROFILES
from adapter.parse.rows_contract import CONTRACTS

_DECIDING = ("precedence.yaml", "*/feed.yaml", "*/events.yaml", "*/*.map.yaml", "*/conceptmaps/*.json")
"""Files of a mappings folder; its cases decide nothing."""
_GONE = b""

Seen = Mapping[str, bytes]
"""Files by name (`st-anne/feed.yaml`), each with the hash of its bytes."""


class Watched:
    """The files of the mappings, and of the program beside them; a file is read again where its time or its size is another."""

    def __init__(self, mappings: Path) -> None:
        """Take note of the files as they are; before they are read, so that no change between the two is missed."""
        self._mappings = mappings
        self._known: dict[Path, tuple[tuple[int, int], bytes]] = {}
        self._read = self.now()

    def changed(self) -> tuple[str, ...]:
        """Files that are new, gone, or have other bytes than those that were read: `st-anne/feed.yaml`, sorted."""
        return self.differing(self.now())

    def differing(self, now: Seen) -> tuple[str, ...]:
        """The same, of files as they were looked at."""
        return tuple(sorted(name for name in now.keys() | self._read.keys() if now.get(name) != self._read.get(name)))

    def own(self, name: str) -> bool:
        """Whether a file is the program's own, not of the mappings folder."""
        return name.startswith((f"{CONTRACTS.name}/", f"{PROFILES.name}/")) and not (self._mappings / name).exists()

    def now(self) -> Seen:
        """The files as they are."""
        paths = [*(path for pattern in _DECIDING for path in self._mappings.glob(pattern)),
                 *CONTRACTS.glob("*.json"), *PROFILES.glob("*.yaml")]
        self._known = {path: self._looked(path) for path in paths}
        return {_name(path, self._mappings): digest for path, (_, digest) in self._known.items()}

    def take(self, read: Seen) -> None:
        """These were read, and are what the others are compared with from now on."""
        self._read = read

    def _looked(self, path: Path) -> tuple[tuple[int, int], bytes]:
        """Time and size of a file, and the hash of its bytes; what is taken away while it is looked at has none."""
        try:
            stat = path.stat()
            mark = (stat.st_mtime_ns, stat.st_size)
            known = self._known.get(path)
            return known if known and known[0] == mark else (mark, hashlib.sha256(path.read_bytes()).digest())
        except OSError:
            return (0, 0), _GONE


def _name(path: Path, mappings: Path) -> str:
    return str(path.relative_to(mappings if path.is_relative_to(mappings) else path.parents[1]))
