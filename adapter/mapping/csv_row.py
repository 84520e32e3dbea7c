"""A CSV row, read as the engine reads a segment."""

from __future__ import annotations

from collections.abc import Mapping

from adapter.parse.delimiters import Delimiters
from adapter.parse.er7 import Rep

WHOLE = Delimiters("\0", "\0", "\0", "\0", "\0")
"""Delimiters that never occur: a cell is one text."""


class CsvRow:
    """A CSV row, read as the engine reads a segment; number: of the record in its file."""

    __slots__ = ("cells", "number")

    name = "ROW"

    def __init__(self, cells: Mapping[str, str], number: int) -> None:
        self.cells = cells
        self.number = number

    def valued(self) -> dict[str, str]:
        """The columns that have a value, as they stand."""
        return {name: text for name, text in self.cells.items() if text}

    def raw(self, n: str) -> str:
        """A cell as it stands, '' where absent."""
        return self.cells.get(n, "")

    def reps(self, n: str) -> list[Rep]:
        """The cell as the one repetition of its column."""
        text = self.cells.get(n, "")
        return [Rep(text, WHOLE)] if text else []

    def first(self, n: str) -> Rep:
        """The cell, empty where absent."""
        return Rep(self.cells.get(n, ""), WHOLE)
