"""The worker of a process: composes what was journalled, pushes it, reads back what others wrote, sweeps; each by a thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from adapter.errors import Unavailable
from adapter.logs import log
from adapter.web.background import Background

if TYPE_CHECKING:
    from adapter.gateway import Gateway

_LOG = log("worker")
_IDLE = 1.0
_READ_BACK = 5.0
_TIMES, _READ_BACK_LONGEST = 10.0, 60.0
"""Pause after a step that says so, in times of what it took, and the longest: while much is pushed, what is read back is that."""
_CATCH_UP_LONGEST = 60.0
"""The longest pause between two sweeps while a bulk load goes on."""
_LOOK = 10.0
_MAPPINGS = 2.0
"""Seconds between two looks at the files of the mappings."""
_SWEEP = 3600.0
_PRUNE = 3600.0
_LONGEST_PAUSE = 30.0


class Worker(Background):
    """Threads that work as soon as they are woken, and look by themselves every second.

    One composes, one delivers beside it (sending by a thread of its own, so that the server has the next pack at once), one
    delivers to servers of others, which may be slow, one reads back, and one does what goes over the whole store, for which no
    message is to wait. A step that fails is told and tried again after a pause that doubles, up to half a minute; the others go
    on.
    """

    def __init__(self, gateway: Gateway, told: Callable[[], None] = lambda: None) -> None:
        """told: called where something was done that may have to be told to who subscribed."""
        super().__init__("worker", self._once, _IDLE)
        self._gateway = gateway
        self._told = told
        self._exchanges = ThreadPoolExecutor(1, "exchange")
        self._composing = (
            Step("work", gateway.work), Step("gaps", gateway.gaps.keep), Step("mappings", lambda: look(gateway), every=_MAPPINGS),
            Step("silence", self._listen, every=_LOOK))
        delivering = (Step("deliver", lambda: gateway.delivery.push(self._exchanges)),
                      Step("conflicts", gateway.delivery.look_again, every=_LOOK))
        disclosing = (Step("disclose", gateway.disclosing.push), Step("permissions", gateway.disclosing.sweep, every=_SWEEP))
        upkeep = (Step("sweep", self._sweep, every=_SWEEP), Step("catch-up", self._catch_up, longest=_CATCH_UP_LONGEST),
                  Step("prune", self._prune, every=_PRUNE), Step("retention", self._keep, every=_SWEEP))
        self._reading = (Step("read-back", gateway.delivery.read_back, every=_READ_BACK, longest=_READ_BACK_LONGEST),)
        self._beside = (Background("delivery", lambda: self._all(delivering) > 0, _IDLE),
                        Background("disclosure", lambda: self._all(disclosing) > 0, _IDLE),
                        Background("read-back", self._read_back, _IDLE),
                        Background("upkeep", lambda: self._all(upkeep) > 0, _IDLE))

    def start(self) -> None:
        """Begin."""
        for one in self._beside:
            one.start()
        super().start()

    def stop(self) -> None:
        """Finish what is at hand and end; what waits is in the store for the next start."""
        super().stop()
        for one in self._beside:
            one.stop()
        self._exchanges.shutdown()

    def _once(self) -> bool:
        """Every step of composing that is due; what it made is delivered at once."""
        done = self._all(self._composing)
        if done:
            self._beside[0].wake()
            self._beside[1].wake()
        return done > 0

    def _read_back(self) -> bool:
        """What others wrote, which is composed at once."""
        done = self._all(self._reading)
        if done:
            self.wake()
        return done > 0

    def _all(self, steps: Sequence[Step]) -> int:
        """Every step that is due; how much was done."""
        return sum(self._done(step) for step in steps if not self._stopping)

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
        self._gateway.gaps.sweep(self._going_on)
        return 0

    def _catch_up(self) -> int:
        """Sweep in place of many looks."""
        return self._gateway.gaps.catch_up(self._going_on)

    def _going_on(self) -> bool:
        return not self._stopping

    def _keep(self) -> int:
        """Purge raw bytes by age; nobody is told."""
        self._gateway.retention.keep()
        return 0

    def _prune(self) -> int:
        """Forget notices that nobody will ask for any more; nobody is told of it."""
        self._gateway.subscriptions.prune()
        return 0

    def _done(self, step: Step) -> int:
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
    step = Step("mappings", lambda: look(gateway))
    return Background("mappings", lambda: step.run() > 0, _MAPPINGS)


class Step:
    """One kind of work, with the pauses it makes: after a failure, and after each time."""

    def __init__(self, name: str, call: Callable[[], int], every: float = 0.0, longest: float = 0.0,
                 clock: Callable[[], float] = time.monotonic) -> None:
        """every: seconds from its end to the next time; up to `longest` where it took long. clock: in seconds."""
        self._clock = clock
        self._name = name
        self._call = call
        self._every = every
        self._longest = longest
        self._due = 0.0
        self._failures = 0

    def run(self) -> int:
        """How much was done; 0 where the step is not due or failed."""
        if self._clock() < self._due:
            return 0
        began = self._clock()
        try:
            done = self._call()
        except Exception as error:  # a worker that ends leaves everything waiting
            self._failed(error)
            return 0
        self._failures = 0
        ended = self._clock()
        self._due = ended + max(self._every, min(self._longest, _TIMES * (ended - began)))
        return done

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        pause = min(_LONGEST_PAUSE, 0.5 * 2.0 ** min(self._failures, 8))
        if isinstance(error, Unavailable):
            pause = error.retry_after or pause
            _LOG.warning("step put off", kind=self._name, code=error.issue.code, attempt=self._failures, seconds=pause)
        else:
            _LOG.error("step failed", kind=self._name, attempt=self._failures, seconds=pause, exc_info=error)
        self._due = self._clock() + pause
