"""Lists of many persons of an installation: composed behind what touched them, each in a transaction of its own."""

from __future__ import annotations

from adapter.engine.lists import compose_list
from adapter.errors import Unavailable
from adapter.installation.installation import Installation
from adapter.logs import log
from adapter.store import lists
from adapter.store.engine import reading, writing

PAUSE_US = 60_000_000
"""How long a list that could not be composed is left alone."""
_LOG = log("lists")


class Lists:
    """Composes what was noted; see docs/adr/0025-lists-of-many.md."""

    def __init__(self, here: Installation) -> None:
        self._here = here

    def compose(self, *, rested: bool = False) -> int:
        """Compose each list of which something was said, also one composed a short while ago unless `rested`; how many."""
        with self._here.turn:
            return self.compose_in_turn(rested=rested)

    def compose_in_turn(self, *, rested: bool) -> int:
        """The same for whoever has the turn to compose."""
        here = self._here
        with reading(here.engine) as connection:
            noted = lists.stale(connection, here.now_us() if rested else None)
        count = 0
        for one in noted:
            try:
                with here.in_turn() as connection:
                    compose_list(connection, one, here.feeds, here.key, here.now_us(), here.outlet)
                count += 1
            except Unavailable:
                raise
            except Exception as error:  # it stays noted, and must not hold up the others
                _LOG.error("list failed", resource_type=one[0], exc_info=error)
                with writing(here.engine) as connection:
                    lists.put_off(connection, one, here.now_us() + PAUSE_US)
        return count
