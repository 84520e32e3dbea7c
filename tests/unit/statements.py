"""Contributions for tests: short to write, with times in minutes of one made-up day."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from adapter.mapping.header import load_events
from adapter.model import Contribution, Json, Kind, Order, OrderBy

EVENTS = load_events(Path(__file__).parents[2] / "mappings" / "common" / "events.yaml")
RANKS = {code: event.rank for code, event in EVENTS.items()}
CANCELS = {code: event.cancels for code, event in EVENTS.items()}
ALONE = {code: event.alone for code, event in EVENTS.items()}


def order(
    stated: int,
    occurred: int | None = None,
    *,
    event: str = "",
    sequence: int = 0,
    arrival: int = 0,
    by: OrderBy = "event",
) -> Order:
    """An Order; occurred None: no EVN-6."""
    return Order(
        occurred=stated if occurred is None else occurred,
        stated=stated,
        sequence=sequence,
        rank=RANKS.get(event, 0),
        arrival=arrival,
        occurred_given=occurred is not None,
        by=by,
    )


def said(
    body: Json,
    stated: int = 0,
    occurred: int | None = None,
    *,
    kind: Kind = "snapshot",
    event: str = "A08",
    source: str = "feed",
    resource_type: str = "Encounter",
    key: str = "visits|1",
    scope: Literal["own", "person", "reference"] = "own",
    patient: str = "mrn|1",
    message: str = "",
    **more: Any,
) -> Contribution:
    """A contribution; a message of its own unless one is named."""
    at = order(stated, occurred, event=event, **more)
    return Contribution(
        source=source,
        resource_type=resource_type,
        key=key,
        scope=scope,
        patient=patient,
        kind=kind,
        event=event,
        order=at,
        body=body,
        cancels=CANCELS.get(event, ()) if kind == "cancel" else (),
        message=message or f"{source}-{event}-{stated}-{occurred}-{at.sequence}-{at.arrival}",
        mapping="m1",
    )


def place(bed: str, status: str = "active") -> Json:
    """An entry of Encounter.location."""
    return {"location": {"reference": f"Location?beds|{bed}"}, "status": status}


def admit(at: int, stated: int | None = None, **more: Any) -> Contribution:
    """An A01's effect: in progress, in bed `bed`."""
    bed = more.pop("bed", f"bed-{at}")
    return said(
        {"status": "in-progress", "location#PV1-3": [place(bed)], "period.start": f"t{at}"},
        at if stated is None else stated,
        at,
        kind="effect",
        event="A01",
        **more,
    )


def transfer(at: int, stated: int | None = None, **more: Any) -> Contribution:
    """An A02's effect."""
    bed = more.pop("bed", f"bed-{at}")
    return said(
        {"status": "in-progress", "location#PV1-3": [place(bed)]},
        at if stated is None else stated,
        at,
        kind="effect",
        event="A02",
        **more,
    )


def discharge(at: int, stated: int | None = None, **more: Any) -> Contribution:
    """An A03's effect."""
    return said(
        {"status": "finished", "period.end": f"t{at}"},
        at if stated is None else stated,
        at,
        kind="effect",
        event="A03",
        **more,
    )


def cancel(event: str, stated: int, of: int | None = None, **more: Any) -> Contribution:
    """A cancel; of: EVN-6, the time of what it cancels."""
    return said({"status": ALONE[event]}, stated, of, kind="cancel", event=event, **more)
