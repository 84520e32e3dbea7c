"""A thread of a process that works as soon as it is woken, and looks by itself from time to time."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread


class Background:
    """Does the same again and again until it is stopped; where there was nothing to do it waits to be woken."""

    def __init__(self, name: str, once: Callable[[], bool], idle: float) -> None:
        """once: does what there is to do, and says whether there may be more at once; idle: seconds until it looks by itself."""
        self._once = once
        self._idle = idle
        self._woken = Event()
        self._stopping = False
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    def stop(self) -> None:
        """Finish what is at hand and end; what waits is in the store for the next start."""
        self._stopping = True
        self._woken.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._stopping:
            self._woken.clear()
            if not self._once():
                self._woken.wait(self._idle)
