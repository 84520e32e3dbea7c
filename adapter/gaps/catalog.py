"""The views of an installation: every ViewDefinition in profiles/fhir/views, compiled once."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import orjson

from adapter.errors import Defect
from adapter.gaps import calendar
from adapter.gaps.calendar import Calendar, open_calendar
from adapter.gaps.views import ZONE, Column, View, compile_view
from adapter.home import PROFILES

VIEWS = PROFILES / "fhir" / "views"
CALENDAR = PROFILES / "calendar.yaml"

_FORM = "3"
"""Raised when the tables change while the ViewDefinitions do not (a new column type, say)."""


Columns = tuple[Column, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Catalog:
    """The views by name and by resource type, and the calendar, whose days count in `zone` where no other is named.

    tables: the columns of every table that rules may read: the views, `calendar`, `local_day`, and `arrival` of the
    gateway's own journal.
    mark: changes when a definition, the calendar, the zone or the tables' form does.
    """

    views: dict[str, View]
    by_type: dict[str, tuple[View, ...]]
    calendar: Calendar
    zone: str
    tables: dict[str, Columns]
    mark: str


@cache
def open_catalog(zone: str = ZONE, folder: Path = VIEWS, days: Path = CALENDAR) -> Catalog:
    """Read and compile the views. zone: of dates and of times without an offset. days: the calendar's file.

    Raises Defect: view-invalid (a definition that does not compile, is not named as its file, or has no resource_id),
    rule-invalid (the calendar).
    """
    views: dict[str, View] = {}
    by_type: defaultdict[str, tuple[View, ...]] = defaultdict(tuple)
    digest = hashlib.sha256(f"{_FORM} {zone}".encode())
    digest.update(days.read_bytes() + repr(_MADE).encode())
    for path in sorted(folder.glob("*.json")):
        text = path.read_bytes()
        digest.update(text)
        view = compile_view(orjson.loads(text), zone)
        if view.name != path.stem or "resource_id" not in {column.name for column in view.columns}:
            raise Defect("view-invalid", path.name, "a view is named as its file and has a column resource_id")
        views[view.name] = view
        by_type[view.resource] += (view,)
    tables = {name: view.columns for name, view in views.items()} | _MADE
    return Catalog(views, dict(by_type), open_calendar(days), zone, tables, digest.hexdigest())


def _made(*names: str) -> Columns:
    words = ("zone", "feed", "contract", "organization")
    return tuple(Column(name, "string" if name in words else "integer", name not in words) for name in names)


_MADE: dict[str, Columns] = {
    "calendar": _made(*calendar.CALENDAR), "local_day": _made(*calendar.LOCAL_DAY),
    "arrival": _made("feed", "contract", "organization", "arrived_at", "accepted", "refused"),
}
