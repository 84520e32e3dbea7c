"""Evidence put into view tables by hand, and what rules make of it: for tests of boundary instants.

One way or the other: resource by resource into a transaction (`put`), or as a whole network (`verdicts`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine

from adapter.gaps import tables
from adapter.gaps.engine import Gap, evaluate
from adapter.model import Composed
from tests.unit.gap_checks import holding
from tests.unit.gap_network import N, Resource
from tests.unit.gap_network import coded as of_system

NOW = datetime(2026, 6, 15, 16, tzinfo=UTC)
"""The as-of instant, a Monday."""

NOON = "2026-06-15T12:00:00-04:00"
"""The same instant, as text."""


def put(db: Connection, kind: str, resource_id: str, **body: Any) -> None:
    """A resource stands, in place of the one that it had."""
    tables.refresh(db, [Composed(resource_type=kind, id=resource_id, key="", person="", body=body, hash="", sources={})])


def ref(kind: str, resource_id: str) -> dict[str, str]:
    """A reference."""
    return {"reference": f"{kind}/{resource_id}"}


def about(kind: str, resource_id: str, element: str = "subject", **body: Any) -> Resource:
    """A resource about the member p."""
    return {"resourceType": kind, "id": resource_id, element: ref("Patient", "p"), **body}


def concept(system: str, *codes: str) -> Resource:
    """A CodeableConcept of a code system of the network."""
    return of_system(N + system, *codes)


def coded(system: str, *codes: str) -> list[Resource]:
    """The same, where FHIR has a list."""
    return [concept(system, *codes)]


def enrollment() -> Resource:
    """The member p takes part."""
    return about("EpisodeOfCare", "e", "patient", status="active", type=coded("program", "care-coordination"))


def verdicts(engine: Engine, rule: str, now: str, *resources: Resource) -> dict[str, str]:
    """What the rule says of these resources, by item."""
    with holding(engine, list(resources)) as connection:
        return {gap.item: gap.verdict for gap in evaluate(connection, now=datetime.fromisoformat(now), rule=rule)}


def gaps(db: Connection, rule: str, now: datetime = NOW) -> dict[str, Gap]:
    """The gaps of the member p by item."""
    return {gap.item: gap for gap in evaluate(db, now=now, member="p", rule=rule)}


def verdict(db: Connection, rule: str, item: str = "Encounter/s", now: datetime = NOW) -> str:
    """The verdict about one item."""
    return gaps(db, rule, now)[item].verdict
