"""What operators decide about an installation: each decision journalled, and in force, in one transaction."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection

from adapter.engine.remap import Remapped, remap
from adapter.engine.snapshots import withdraw_feed
from adapter.installation.entries import Entries
from adapter.installation.installation import Installation
from adapter.installation.lists import Lists
from adapter.intake.decisions import Decision, Proposals, Withdrawal, entry_of_decision, map_decision
from adapter.store import journal
from adapter.store.journal import Entry


class Operators:
    """Brings decisions into force."""

    def __init__(self, here: Installation, entries: Entries, lists: Lists) -> None:
        self._here = here
        self._entries = entries
        self._lists = lists

    def decide(self, decision: Decision | Proposals) -> None:
        """Journal what an operator decided about identity, or had searched, and bring it into force."""
        with self._here.composing() as connection:
            entry = self._journal(connection, decision)
            self._here.apply(connection, map_decision(entry.raw, entry.identity, entry.arrival).contributions, later=True)
        self._lists.compose(rested=True)

    def withdraw(self, withdrawal: Withdrawal) -> int:
        """End all that a feed has said until now; how many statements. Raises Rejected (unknown-feed)."""
        here = self._here
        here.feeds.named(withdrawal.feed)
        with here.composing() as connection:
            self._journal(connection, withdrawal)
            count = withdraw_feed(connection, withdrawal.feed, here.feeds, here.key, here.now_us(), here.outlet)
        self._lists.compose()
        return count

    def _journal(self, connection: Connection, decision: Decision | Proposals | Withdrawal) -> Entry:
        entry = entry_of_decision(decision, self._here.arrivals.take(1)[0])
        journal.append(connection, [entry])
        return entry

    def remap(self, feed: str, *, dry_run: bool, everything: bool) -> Remapped:
        """Map and compose a feed anew in one transaction, undone where it is a dry run. Raises Rejected (unknown-feed)."""
        here = self._here
        here.feeds.named(feed)
        with here.composing() as connection:
            done = remap(connection, feed, partial(self._entries.each, connection), here.feeds, here.key, here.now_us(),
                         outlet=here.outlet, everything=everything)
            if dry_run:
                connection.rollback()
        return done
