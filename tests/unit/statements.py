"""Contributions for tests: short to write, with times in minutes of one made-up day."""

from __future__ import annotations

from typing import Any, Literal

from adapter.model import Contribution, Json, Kind, Order, OrderBy

RANKS = {"A01": 20, "A04": 20, "A08": 25, "A02": 30, "A03": 40, "A11": 50, "A13": 50, "A40": 60}
CANCELS = {"A11": ("A01", "A04"), "A13": ("A03",)}
ALONE = {"A11": "cancelled", "A13": "in-progress"}


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


def admit(at: int, stated: int | None = None, **more: Any) -> Contribution:
    """An A01's effect: in progress, in bed `bed`."""
    bed = more.pop("bed", f"bed-{at}")
    return said(
        {"status": "in-progress", "location#PV1-3": [bed], "period.start": f"t{at}"},
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
        {"status": "in-progress", "location#PV1-3": [bed]},
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
    """An A11 or A13; of: EVN-6, the time of what it cancels."""
    return said({"status": ALONE[event]}, stated, of, kind="cancel", event=event, **more)
