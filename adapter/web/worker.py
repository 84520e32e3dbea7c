"""The one worker of a process: composes what was journalled, pushes it, reads back what others wrote."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from adapter.errors import Unavailable
from adapter.logs import log
from adapter.web.background import Background

if TYPE_CHECKING:
    from adapter.gateway import Gateway

_LOG = log("worker")
_IDLE = 1.0
_READ_BACK = 5.0
_LOOK = 10.0
_MAPPINGS = 2.0
"""Seconds between two looks at the files of the mappings."""
_SWEEP = 3600.0
_PRUNE = 3600.0
_LONGEST_PAUSE = 30.0


class Worker(Background):
    """A thread that works as soon as it is woken, and looks by itself every second.

    A step that fails is told and tried again after a pause that doubles, up to half a minute; the others go on.
    """

    def __init__(self, gateway: Gateway, told: Callable[[], None] = lambda: None) -> None:
        """told: called where something was done that may have to be told to who subscribed."""
        super().__init__("worker", self._once, _IDLE)
        self._gateway = gateway
        self._told = told
        self._steps = [_Step("work", gateway.work), _Step("gaps", gateway.gaps.keep),
                       _Step("sweep", self._sweep, every=_SWEEP), _Step("prune", self._prune, every=_PRUNE),
                       _Step("deliver", gateway.delivery.push),
                       _Step("disclose", gateway.disclosing.push),
                       _Step("permissions", gateway.disclosing.sweep, every=_SWEEP),
                       _Step("read-back", gateway.delivery.read_back, every=_READ_BACK),
                       _Step("conflicts", gateway.delivery.look_again, every=_LOOK),
                       _Step("mappings", lambda: look(gateway), every=_MAPPINGS), _Step("retention", self._keep, every=_SWEEP),
                       _Step("silence", self._listen, every=_LOOK)]

    def _once(self) -> bool:
        """Every step that is due."""
        return sum(self._done(step) for step in self._steps if not self._stopping) > 0

    def _listen(self) -> int:
        """Tell once of feeds that fell silent, and of those that are heard again."""
        fell, again = self._gateway.silence.news()
        for one in fell:
            _LOG.warning("a feed is silent for longer than usual", code="feed-silent", feed=one.feed,
                         seconds=one.usual_us // 1_000_000)
        for one in again:
            _LOG.info("a feed is heard again", feed=one.feed)
        return 0

    def _sweep(self) -> int:
        """Let what time alone changes happen to gaps that nobody wrote about; what is done here calls for no hurry."""
        self._gateway.gaps.sweep()
        return 0

    def _keep(self) -> int:
        """Purge raw bytes by age; nobody is told."""
        self._gateway.retention.keep()
        return 0

    def _prune(self) -> int:
        """Forget notices that nobody will ask for any more; nobody is told of it."""
        self._gateway.subscriptions.prune()
        return 0

    def _done(self, step: _Step) -> int:
        done = step.run()
        if done:
            self._told()
        return done


def look(gateway: Gateway) -> int:
    """Bring changed mappings into force once they are at rest and sound, and tell of them once either way; 1 if they were."""
    found = gateway.reread()
    if found is None:
        return 0
    place = ", ".join(found.changed)
    if found.feeds is not None:
        _LOG.warning("mappings read anew", count=len(found.changed), place=place)
        return 1
    _LOG.warning(f"mappings changed and not in force: {found.faults[0]}" if found.faults else
                 "contracts or profiles changed: restart", code="mappings-changed", count=len(found.changed), place=place)
    return 0


def watching(gateway: Gateway) -> Background:
    """A thread that only looks at the mappings, for a process without a worker."""
    step = _Step("mappings", lambda: look(gateway))
    return Background("mappings", lambda: step.run() > 0, _MAPPINGS)


class _Step:
    """One kind of work, with the pause it makes after a failure."""

    def __init__(self, name: str, call: Callable[[], int], every: float = 0.0) -> None:
        self._name = name
        self._call = call
        self._every = every
        self._due = 0.0
        self._failures = 0

    def run(self) -> int:
        """How much was done; 0 where the step is not due or failed."""
        if time.monotonic() < self._due:
            return 0
        try:
            done = self._call()
        except Exception as error:  # a worker that ends leaves everything waiting
            self._failed(error)
            return 0
        self._failures = 0
        self._due = time.monotonic() + self._every
        return done

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        pause = min(_LONGEST_PAUSE, 0.5 * 2.0 ** min(self._failures, 8))
        if isinstance(error, Unavailable):
            pause = error.retry_after or pause
            _LOG.warning("step put off", kind=self._name, code=error.issue.code, attempt=self._failures, seconds=pause)
        else:
            _LOG.error("step failed", kind=self._name, attempt=self._failures, seconds=pause, exc_info=error)
        self._due = time.monotonic() + pause
