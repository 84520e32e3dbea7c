"""A deadline for reading that costs nothing while it is met: one timer a connection, not one a read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_LOOK = 60.0
"""Seconds after which a deadline that was put off without end is looked at again."""
_NEVER = float("inf")


class Deadline:
    """Calls `over` once its time is up. Seconds are of the running loop's clock."""

    def __init__(self, seconds: float, over: Callable[[], None]) -> None:
        self._over = over
        self._loop = asyncio.get_running_loop()
        self._at = self._loop.time() + seconds
        self._left = 0.0
        self._timer = self._loop.call_at(self._at, self._look)

    def extend(self, seconds: float) -> None:
        """So many seconds from now, whether that is later or sooner than before."""
        self._at = self._loop.time() + seconds
        if self._at < self._timer.when():
            self._timer.cancel()
            self._timer = self._loop.call_at(self._at, self._look)

    def pause(self) -> None:
        """What is waited for from now on does not count."""
        self._left, self._at = self._at - self._loop.time(), _NEVER

    def resume(self) -> None:
        """It counts again."""
        self.extend(self._left)

    def end(self) -> None:
        """Nothing is waited for any more."""
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        if now < self._at:
            self._timer = self._loop.call_at(min(self._at, now + _LOOK), self._look)
        else:
            self._over()
