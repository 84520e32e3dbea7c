"""One reading of an upstream server's history, oldest first: which of its versions are not known as ours.

What is not newer than the version that we pushed last is known, for that one builds on it. Version ids that are numbers tell
which is newer. Ids that are names do not: what is told before the one that we pushed last is older, what is told after it is
newer. Where a reading does not tell that one, it is older, or was pushed since the reading began: the server is asked what
stands there.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine

from adapter.deliver.others import is_ours
from adapter.fhirserver.port import FhirServer, Version
from adapter.store import server_state
from adapter.store.engine import reading

Key = tuple[str, str]


class Reading:
    """What is told so far. unplaced: versions of which it is not known yet whether they are newer than ours."""

    def __init__(self, engine: Engine, server: FhirServer) -> None:
        self._engine = engine
        self._server = server
        self._passed: set[Key] = set()
        self.unplaced: dict[Key, list[Version]] = {}

    def foreign(self, versions: Sequence[Version]) -> list[Version]:
        """Of the next versions those that are not known as ours: nearly none, where nobody else writes there."""
        with reading(self._engine) as connection:
            noted = server_state.versions(connection, self._server.name, {_key(v) for v in versions})
        return [v for v in versions if (ours := noted.get(_key(v))) is None or self._is_newer(v, ours)]

    def rest(self) -> list[Version]:
        """At its end, those that are not ours of what could not be placed. What another client changes meanwhile stays unplaced:
        the next reading tells it."""
        found: list[Version] = []
        for key, told in list(self.unplaced.items()):
            there = self._server.read(*key)
            stands = str(there.get("meta", {}).get("versionId", "")) if there else ""
            with reading(self._engine) as connection:
                ours = server_state.pushed(connection, self._server.name, [key]).get(key)
            names = [v.version for v in told]
            if ours is not None and ours.version in names:
                found += told[names.index(ours.version) + 1:]
            elif ours is None or (stands in names if there else told[-1].body is None):  # nothing newer than these
                found += told
            elif stands != ours.version if there else ours.body is not None:  # changed meanwhile
                continue
            del self.unplaced[key]
        return found

    def _is_newer(self, version: Version, ours: str) -> bool:
        key = _key(version)
        if version.version.isdigit() and ours.isdigit():
            return not is_ours(version, ours)
        if version.version == ours:
            self.unplaced.pop(key, None)
            self._passed.add(key)
        elif key in self._passed:
            return True
        else:
            self.unplaced.setdefault(key, []).append(version)
        return False


def _key(version: Version) -> Key:
    return version.resource_type, version.id
