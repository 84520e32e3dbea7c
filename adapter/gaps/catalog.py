"""The views of an installation: every ViewDefinition in profiles/fhir/views, compiled once."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import orjson

from adapter.errors import Defect
from adapter.gaps.views import ZONE, View, compile_view

PROFILES = Path(__file__).resolve().parents[2] / "profiles"
VIEWS = PROFILES / "fhir" / "views"

_FORM = "1"
"""Raised when the tables change while the ViewDefinitions do not (a new column type, say)."""


@dataclass(frozen=True, slots=True, eq=False)
class Catalog:
    """The views by name and by resource type. mark: changes when a definition, the zone or the tables' form does."""

    views: dict[str, View]
    by_type: dict[str, tuple[View, ...]]
    mark: str


@cache
def open_catalog(zone: str = ZONE, folder: Path = VIEWS) -> Catalog:
    """Read and compile the views. zone: of dates and of times without an offset.

    Raises Defect (view-invalid): a definition that does not compile, is not named as its file, or has no resource_id.
    """
    views: dict[str, View] = {}
    by_type: defaultdict[str, tuple[View, ...]] = defaultdict(tuple)
    digest = hashlib.sha256(f"{_FORM} {zone}".encode())
    for path in sorted(folder.glob("*.json")):
        text = path.read_bytes()
        digest.update(text)
        view = compile_view(orjson.loads(text), zone)
        if view.name != path.stem or "resource_id" not in {column.name for column in view.columns}:
            raise Defect("view-invalid", path.name, "a view is named as its file and has a column resource_id")
        views[view.name] = view
        by_type[view.resource] += (view,)
    return Catalog(views, dict(by_type), digest.hexdigest())
