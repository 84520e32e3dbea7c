"""The memory that all connections of a listener share: unfinished frames, and messages that wait for their commit."""

from __future__ import annotations

from typing import Protocol

SMALL = 256 * 1024
"""Bytes of an unfinished frame that any connection may hold, however crowded it is."""


class Guest(Protocol):
    """Who holds bytes. held: of its unfinished frame."""

    held: int

    def pace(self) -> None:
        """Read on, or wait, as there is room."""
        ...


class Room:
    """So many bytes; beyond them only small frames, and the largest, grow."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held = 0
        self._guests: set[Guest] = set()
        self._waiting: set[Guest] = set()

    def enter(self, guest: Guest) -> None:
        """A connection that may hold something."""
        self._guests.add(guest)

    def leave(self, guest: Guest) -> None:
        """It is gone, and its unfinished frame with it."""
        self._guests.discard(guest)
        self._waiting.discard(guest)
        self.hold(-guest.held)

    def hold(self, more: int) -> None:
        """More bytes are held, or fewer: then who waited looks again."""
        self._held += more
        if more < 0 and self._waiting:
            waiting, self._waiting = self._waiting, set()
            for guest in waiting:
                guest.pace()

    def lets_read(self, guest: Guest) -> bool:
        """Whether a connection may read on; where not, it is told to look again."""
        if self._held <= self._size or guest.held <= SMALL or guest is max(self._guests, key=lambda other: other.held):
            return True
        self._waiting.add(guest)
        return False
