"""A deadline for reading that costs nothing while it is met: one timer a connection, not one a read."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager


class Deadline:
    """Ends what a reader waits for with TimeoutError once its time is up. Seconds are of the running loop's clock."""

    def __init__(self, reader: asyncio.StreamReader, seconds: float) -> None:
        self._reader = reader
        self._loop = asyncio.get_running_loop()
        self._at = self._loop.time() + seconds
        self._timer = self._loop.call_at(self._at, self._look)

    def extend(self, seconds: float) -> None:
        """So many seconds from now, whether that is later or sooner than before."""
        self._at = self._loop.time() + seconds
        if self._at < self._timer.when():
            self._timer.cancel()
            self._timer = self._loop.call_at(self._at, self._look)

    @contextmanager
    def paused(self) -> Generator[None]:
        """What is waited for here does not count."""
        left, self._at = self._at - self._loop.time(), float("inf")
        try:
            yield
        finally:
            self._at = self._loop.time() + left
            if self._timer.when() > self._at or self._timer.cancelled():
                self.extend(left)

    def end(self) -> None:
        """Nothing is waited for any more."""
        self._timer.cancel()

    def _look(self) -> None:
        if self._loop.time() < self._at:
            self._timer = self._loop.call_at(min(self._at, self._loop.time() + _LOOK), self._look)
        else:
            self._reader.set_exception(TimeoutError())


_LOOK = 60.0
"""Seconds after which a deadline that was put off without end is looked at again."""
