"""What a process keeps in memory from message to message, and how seldom it looks for cycles there."""

from __future__ import annotations

import gc

from adapter.compose.kept import forget_kept
from adapter.feeds import Feeds


def tune_memory() -> None:
    """Let the cycle collector look seldom: what a message makes holds no cycles, and looking took a fifth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def tidy() -> None:
    """Free what a batch of rows left in cycles, which hold all of it; looks at young objects alone, so it takes a millisecond."""
    gc.collect(1)


def forget(feeds: Feeds) -> None:
    """Forget what was kept of earlier messages; every message is then the first (for measurements)."""
    for one in feeds.compiled.values():
        one.memory.clear()
    forget_kept()
