"""A context and a row that note what a rule reads of them: what it made depends on that, and on the feed, alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapter.mapping.context import MapContext
from adapter.mapping.csv_row import WHOLE, CsvRow
from adapter.mapping.feed import Feed
from adapter.mapping.rules import Row
from adapter.mapping.terminology import Terminology
from adapter.mapping.values import call
from adapter.model import Issue, Order, Told
from adapter.parse.er7 import Rep

NOWHERE = "row 0"
"""How places begin that are found while a rule is watched; the row's own number is put in for each row."""
_NO_ORDER = Order(occurred=0, stated=0, sequence=0, rank=0, arrival=0)


class WatchedRow(CsvRow):
    """A row whose columns are noted as they are read."""

    __slots__ = ("read", "strayed")

    def __init__(self) -> None:
        super().__init__({}, 0)
        self.read: set[str] = set()
        self.strayed = False

    def valued(self) -> dict[str, str]:
        """The columns that have a value; who asks for all of them cannot be kept by what it read."""
        self.strayed = True
        return super().valued()

    def raw(self, n: str) -> str:
        """A cell, noted."""
        self.read.add(n)
        return self.cells.get(n, "")

    def reps(self, n: str) -> list[Rep]:
        """A cell as repetitions, noted."""
        self.read.add(n)
        return super().reps(n)

    def first(self, n: str) -> Rep:
        """A cell, noted."""
        self.read.add(n)
        return Rep(self.cells.get(n, ""), WHOLE)


class WatchedContext(MapContext):
    """The context of rows whose rules run one by one: it notes whether anything was asked or done that cells do not decide."""

    __slots__ = ("_column", "_number", "row_read")

    def __init__(self, feed: Feed, terminology: Terminology, local: str, column: str) -> None:
        self._column = column
        self._number = ""
        self.row_read = WatchedRow()
        super().__init__(feed, terminology, source=feed.name, local=local, event="", message="", order=_NO_ORDER,
                         issues=list[Issue]())
        self.segment = self.row_read

    @property
    def patient(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  # an attribute that notes who reads it
        """The row's patient; who reads it reads the patient's column."""
        if self._column:
            self.row_read.read.add(self._column)
        return self._number

    @patient.setter
    def patient(self, number: str) -> None:
        self._number = number

    @property
    def refs(self) -> dict[str, str]:
        """What else the row made: no cell decides it alone."""
        self.own = True
        return {}

    @refs.setter
    def refs(self, found: Mapping[str, str]) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # as patient
        pass

    def begin(self, cells: Mapping[str, str], patient: str) -> None:
        """Take a row."""
        self.row_read.cells = cells
        self._number = patient

    def told(self) -> tuple[Told, ...]:
        """The findings since the last time this was asked; one that is at no place of the row stays, and counts as a trace."""
        told = tuple((i.code, i.place.removeprefix(NOWHERE), i.detail) for i in self.issues if i.place.startswith(NOWHERE))
        self.issues[:] = [i for i in self.issues if not i.place.startswith(NOWHERE)]
        return told

    @property
    def clean(self) -> bool:
        """Whether all that rules did so far was to make values, to state shared resources and to tell findings about the row."""
        return not (self.own or self.issues or self.links or self.withdrawn or self.lists or self.builders or self.visit
                    or self.account or self.merged or self.latest or self.row_read.strayed)

    def value(self, row: Row, text: str) -> Any:
        """What a plain row makes of a cell, as `run_plain` puts it into a slot; None for nothing."""
        self.row, self.rep = row, 1
        value = call(row, Rep(text, WHOLE), self)
        return row.default if value is None else value
