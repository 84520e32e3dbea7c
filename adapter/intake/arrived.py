"""A message as it came through a door."""

from __future__ import annotations

from typing import NamedTuple


class Arrived(NamedTuple):
    """A message, where it came from (`mllp:<address>`), and the feeds that its connection may send; None: any."""

    raw: bytes
    origin: str
    feeds: frozenset[str] | None = None
