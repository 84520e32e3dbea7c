"""Sends notices: a few threads, one subscription in one of them at a time, so that a slow receiver delays no other."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING

from adapter.errors import Unavailable
from adapter.logs import log
from adapter.web.background import Background

if TYPE_CHECKING:
    from adapter.installation.subscriptions import Subscriptions

_LOG = log("notifier")
_SENDERS = 8
_IDLE = 0.5
_AFTER_A_FAULT = 30.0


class Notifier(Background):
    """Sends what is due as soon as it is woken, and looks by itself every half second."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        super().__init__("notifier", self._once, _IDLE)
        self._subscriptions = subscriptions
        self._lock = Lock()
        self._sending: set[str] = set()
        self._held: dict[str, float] = {}
        self._pool = ThreadPoolExecutor(max_workers=_SENDERS, thread_name_prefix="notify")

    def stop(self) -> None:
        """Finish what is being sent and end; what waits goes with the next start."""
        super().stop()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _once(self) -> bool:
        """Hand what is due to the senders; each wakes this again when it is done."""
        try:
            due = self._subscriptions.due()
        except Unavailable as error:
            _LOG.warning("step put off", kind="notify", code=error.issue.code)
            due = []
        with self._lock:
            now = time.monotonic()
            due = [one for one in due if one not in self._sending and self._held.get(one, 0.0) <= now]
            self._sending.update(due)
        for one in due:
            self._pool.submit(self._send, one)
        return False

    def _send(self, subscription_id: str) -> None:
        try:
            while self._subscriptions.send(subscription_id) and not self._stopping:
                pass
        except Exception as error:  # one that cannot be sent must not be tried without a pause
            _LOG.error("step failed", kind="notify", resource_type="Subscription", resource_id=subscription_id, exc_info=error)
            self._held[subscription_id] = time.monotonic() + _AFTER_A_FAULT
        finally:
            with self._lock:
                self._sending.discard(subscription_id)
            self.wake()
