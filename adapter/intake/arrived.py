"""A message as it came through a door."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from adapter.intake.accept import Taken


class Arrived(NamedTuple):
    """A message, where it came from (`mllp:<address>`), and the feeds that its connection may send; None: any.

    arrival: microseconds since 1970 UTC, None until it is looked at. taken: what it is journalled as, where its header alone
    said so; None where it is to be read closely.
    """

    raw: bytes
    origin: str
    feeds: frozenset[str] | None = None
    arrival: int | None = None
    taken: Taken | None = None
