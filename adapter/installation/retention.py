"""How long an installation keeps raw bytes, and under which key."""

from __future__ import annotations

from adapter.installation.installation import Installation
from adapter.logs import log
from adapter.store import retention
from adapter.store.engine import reading, writing
from adapter.store.vault import vault_of

_DAY_US = 86_400_000_000
_LOG = log("retention")


class Retention:
    """Marks ages, purges what is older than `days` (0: nothing), seals anew. Each step is short: others write in between."""

    def __init__(self, here: Installation, days: int) -> None:
        self._here = here
        self._days = days

    @property
    def keys(self) -> frozenset[str]:
        """What the keys that raw bytes can be opened with are called."""
        with reading(self._here.engine) as connection:
            return vault_of(connection).names

    def lacking(self) -> str:
        """The key without which work stands still, as it is called: the oldest that waits is sealed with it; '' where none is."""
        with reading(self._here.engine) as connection:
            key = retention.key_of_oldest_waiting(connection)
            return key if key not in {"", *vault_of(connection).names} else ""

    def keep(self) -> int:
        """Mark how old entries are, and purge what is too old; how many entries lost their raw bytes."""
        with writing(self._here.engine) as connection:
            retention.mark(connection, self._here.now_us())
        return self.purge(self._days) if self._days else 0

    def purge(self, days: int) -> int:
        """Purge the raw bytes of settled entries that are older than `days`; how many entries."""
        before = self._here.now_us() - days * _DAY_US
        count, purged = 0, retention.AT_ONCE
        while purged == retention.AT_ONCE:
            with writing(self._here.engine) as connection:
                last = retention.through(connection, before)
                purged = retention.purge(connection, last, self._here.now_us())
                retention.forget_marks(connection, before)
            count += purged
        if count:
            _LOG.warning("raw bytes purged by age", count=count)
        return count

    def reseal(self) -> int:
        """Seal everything under the first of the keys; how many entries. Raises Unavailable where a key is missing."""
        count, last = 0, 0
        while True:
            with writing(self._here.engine) as connection:
                done, last = retention.reseal(connection, last)
            count += done
            if not last:
                return count
