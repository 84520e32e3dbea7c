"""Whose word counts first where sources differ: by feed, and by element where the network has declared it.

`mappings/precedence.yaml`: an element (`Patient.address`), or a whole type (`Coverage`), to the feeds whose word counts before
all others', the first most. A name stands for the feeds that extend it too, the nearest name counts; `server` is what other
clients write on a FHIR server. Source: COMPOSE, across sources.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

FIRST = -1_000_000
"""Ranks of declared feeds begin here: before any number that feed.yaml gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Precedence:
    """Ranks of sources; the smaller counts first.

    number: of a feed, as its feed.yaml has it. declared: `Type` or `Type.path` to names. families: feed to its own name and those
    it extends, nearest first.
    """

    number: Callable[[str], int]
    declared: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    families: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    _kept: dict[tuple[str, str, str], int] = field(default_factory=dict[tuple[str, str, str], int])

    def rank(self, source: str, resource_type: str, path: str) -> int:
        """Where a source stands for one element: as declared for it, for what it lies in, for the type, else by number."""
        at = (source, resource_type, path)
        rank = self._kept.get(at)
        if rank is None:
            named = self.by(resource_type, path)
            rank = self._kept[at] = self._place(source, self.declared[named]) if named else self.number(source)
        return rank

    def by(self, resource_type: str, path: str) -> str:
        """The nearest declaration that an element falls under, '' where there is none."""
        if not self.declared:
            return ""
        names = path.split(".")
        for end in range(len(names), 0, -1):
            name = f"{resource_type}.{'.'.join(names[:end])}"
            if name in self.declared:
                return name
            choice = next((d for d in self.declared if d.endswith("[x]") and _chosen(name, d[:-3])), "")
            if choice:
                return choice
        return resource_type if resource_type in self.declared else ""

    def first(self, resource_type: str, path: str, sources: Sequence[str]) -> frozenset[str] | None:
        """The sources whose list alone stands, where the list itself is declared and one of those named states it."""
        name = f"{resource_type}.{path}"
        if name not in self.declared:
            return None
        ranks = {source: self.rank(source, resource_type, path) for source in sources}
        best = min(ranks.values())
        return frozenset(s for s, rank in ranks.items() if rank == best) if best < 0 else None

    def _place(self, source: str, names: Sequence[str]) -> int:
        feed = source.partition("/")[0]
        for name in self.families.get(feed, (feed, feed.partition(":")[0])):
            if name in names:
                return FIRST + list(names).index(name)
        return self.number(source)


def _chosen(name: str, stem: str) -> bool:
    return name.startswith(stem) and name[len(stem):len(stem) + 1].isupper()

