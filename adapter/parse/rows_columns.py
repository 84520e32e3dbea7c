"""What a feed makes of a partner's cells before they are read: split and joined columns, constants, rows left out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Want = frozenset[str] | bool
"""What a cell must hold: one of some texts, or anything (True), or nothing (False)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One header's cell into several columns: by a separator, or by the named groups of a pattern of the whole cell."""

    columns: tuple[str, ...]
    by: str = ""
    form: re.Pattern[str] | None = None

    def parts(self, text: str) -> dict[str, str] | None:
        """Column -> text; None where the cell has not the form. What the separator does not find is empty."""
        if self.form is None:
            return dict(zip(self.columns, (one.strip() for one in text.split(self.by, len(self.columns) - 1)), strict=False))
        match = self.form.fullmatch(text)
        return {name: (one or "").strip() for name, one in match.groupdict().items()} if match else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Several headers' cells into one column, with a text between those that are not empty. whole: only where none is.

    parts: headers, or a fixed text as `=text`, which alone makes no column.
    """

    parts: tuple[str, ...]
    between: str
    whole: bool = False

    @property
    def headers(self) -> tuple[str, ...]:
        """The headers among the parts."""
        return tuple(part for part in self.parts if not part.startswith("="))

    def made(self, texts: Mapping[str, str]) -> str:
        """The column of one row; texts: header -> its cell. '' where no header holds anything, or (whole) one does not."""
        told = sum(bool(texts[header]) for header in self.headers)
        if not told or (self.whole and told < len(self.headers)):
            return ""
        found = (part[1:] if part.startswith("=") else texts[part] for part in self.parts)
        return self.between.join(text for text in found if text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How columns come from a partner's headers, and which rows count.

    splits: header -> Split. joins: column -> Join. constants: column -> text. keep, skip: header -> what it holds in rows
    that alone count, or do not. ignore: headers that are of no use.
    """

    splits: Mapping[str, Split] = field(default_factory=dict[str, Split])
    joins: Mapping[str, Join] = field(default_factory=dict[str, Join])
    constants: Mapping[str, str] = field(default_factory=dict[str, str])
    keep: Mapping[str, Want] = field(default_factory=dict[str, Want])
    skip: Mapping[str, Want] = field(default_factory=dict[str, Want])
    ignore: frozenset[str] = frozenset()

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are made here, never taken from a header of their own."""
        return frozenset((*(c for s in self.splits.values() for c in s.columns), *self.joins, *self.constants))

    @property
    def headers(self) -> frozenset[str]:
        """The headers that are read here."""
        return frozenset((*self.splits, *(h for j in self.joins.values() for h in j.headers), *self.keep, *self.skip))


class Shaper:
    """A Shape bound to the header of a file: where its headers stand."""

    __slots__ = ("_constants", "_empty", "_joins", "_keep", "_skip", "_splits", "given")

    def __init__(self, shape: Shape, places: Mapping[str, int], empty: frozenset[str]) -> None:
        at = {header: place for header in shape.headers if (place := places.get(folded(header))) is not None}
        self._empty = empty
        self._splits = [(at[h], h, s) for h, s in shape.splits.items() if h in at]
        self._joins = [({h: at.get(h, -1) for h in j.headers}, j, c) for c, j in shape.joins.items()
                       if any(h in at for h in j.headers)]
        self._constants = dict(shape.constants)
        self._keep = [(at[h], want) for h, want in shape.keep.items()]
        self._skip = [(at[h], want) for h, want in shape.skip.items()]
        self.given = (*dict.fromkeys((*(c for _, _, s in self._splits for c in s.columns), *(c for _, _, c in self._joins),
                                      *self._constants)),)

    def skips(self, parts: Sequence[str]) -> bool:
        """Whether a row, of whatever width, is one that the feed leaves out."""
        return any(place < len(parts) and _is(self._text(parts, place), want) for place, want in self._skip)

    def leaves(self, parts: Sequence[str]) -> bool:
        """Whether a whole row is none of those that alone count."""
        return not all(_is(self._text(parts, place), want) for place, want in self._keep)

    def fill(self, parts: Sequence[str], cells: dict[str, str]) -> list[str]:
        """Put the columns made here into the cells; the headers whose cell has not the form to be split."""
        unread: list[str] = []
        for place, header, split in self._splits:
            if text := self._text(parts, place):
                if (found := split.parts(text)) is None:
                    unread.append(header)
                else:
                    cells.update((column, one) for column, one in found.items() if one)
        for places, join, column in self._joins:
            if text := join.made({h: self._text(parts, place) if place >= 0 else "" for h, place in places.items()}):
                cells[column] = text
        cells.update(self._constants)
        return unread

    def _text(self, parts: Sequence[str], place: int) -> str:
        text = parts[place].strip()
        return "" if text in self._empty else text


def _is(text: str, want: Want) -> bool:
    return bool(text) is want if isinstance(want, bool) else text in want


def folded(header: str) -> str:
    """A header as it is compared: without outer spaces and letter case."""
    return header.strip().casefold()
