"""Evidence put into view tables by hand, and what rules make of it: for tests of boundary instants."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from adapter.gaps import tables
from adapter.gaps.engine import Gap, evaluate
from adapter.model import Composed

NOW = datetime(2026, 6, 15, 16, tzinfo=UTC)
"""The as-of instant, a Monday."""

N = "urn:x-careloop:"


def put(db: Connection, kind: str, resource_id: str, **body: Any) -> None:
    """A resource stands, in place of the one that it had."""
    tables.refresh(db, [Composed(resource_type=kind, id=resource_id, key="", person="", body=body, hash="", sources={})])


def ref(kind: str, resource_id: str) -> dict[str, str]:
    """A reference."""
    return {"reference": f"{kind}/{resource_id}"}


def coded(system: str, *codes: str) -> list[dict[str, Any]]:
    """CodeableConcepts of a code system of the network."""
    return [{"coding": [{"system": N + system, "code": code} for code in codes]}]


def gaps(db: Connection, rule: str, now: datetime = NOW) -> dict[str, Gap]:
    """The gaps of the member p by item."""
    return {gap.item: gap for gap in evaluate(db, now=now, member="p", rule=rule)}


def verdict(db: Connection, rule: str, item: str = "Encounter/s", now: datetime = NOW) -> str:
    """The verdict about one item."""
    return gaps(db, rule, now)[item].verdict
