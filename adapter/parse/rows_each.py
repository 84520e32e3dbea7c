"""One row of a file as several rows of the contract: columns side by side that a partner repeats (goal 1, goal 2 ...)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapter.parse.rows_columns import Join


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of the rows. joins: column -> the headers that make it. fixed: column -> text. asks: headers of which one at least
    must hold something, or the row is none; what only tells parts apart (a join) does not ask."""

    joins: Mapping[str, Join] = field(default_factory=dict[str, Join])
    fixed: Mapping[str, str] = field(default_factory=dict[str, str])
    asks: tuple[str, ...] = ()

    @property
    def columns(self) -> frozenset[str]:
        """The columns that this part gives."""
        return frozenset((*self.joins, *self.fixed))

    @property
    def headers(self) -> frozenset[str]:
        """The headers that it reads."""
        return frozenset(header for join in self.joins.values() for header in join.headers)


class Each:
    """Parts bound to the header of a file. texts: header -> its cell in one record, '' where it is empty."""

    __slots__ = ("_parts", "given")

    def __init__(self, parts: tuple[Part, ...], headers: frozenset[str]) -> None:
        """headers: those of the parts that the file has."""
        self._parts = [part for part in parts if headers & set(part.asks)]
        self.given = tuple(dict.fromkeys(c for part in self._parts for c in (*part.joins, *part.fixed)))

    def rows(self, texts: Mapping[str, str], shared: Mapping[str, str]) -> list[dict[str, str]]:
        """The cells of each row that one record holds; shared: those that all of them have."""
        return [{**shared, **_made(part, texts), **part.fixed} for part in self._parts if any(texts.get(h) for h in part.asks)]


def _made(part: Part, texts: Mapping[str, str]) -> dict[str, str]:
    found = {column: join.made({h: texts.get(h, "") for h in join.headers}) for column, join in part.joins.items()}
    return {column: text for column, text in found.items() if text}
