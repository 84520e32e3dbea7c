"""Lists of many persons (Group): composed on their own, once nothing else waits, since each statement touches all of one.

Which ones is noted in the transaction that stores the statements, so none is forgotten; see docs/adr/0025-lists-of-many.md.
"""

from __future__ import annotations

from dataclasses import replace
from sys import intern
from typing import Any

import orjson
from sqlalchemy import Connection

from adapter.compose.compose import Network, target_id
from adapter.compose.settled import settled
from adapter.engine.affected import Affected, persons_around
from adapter.engine.local import follow
from adapter.feeds import Feeds
from adapter.identity.persons import Person
from adapter.model import Composed, Contribution, Outlet
from adapter.store import contributions as stored
from adapter.store import lists

AT_ONCE = 400
"""Statements that are read at once: their persons and links are many more than themselves."""
SMALL = 1000
"""Statements up to which a list is composed whenever something is said of it."""
REST_US = 5000
"""How long a larger list is left alone after it was composed, for each statement: some twenty times what composing took."""


def compose_list(connection: Connection, one: tuple[str, str], feeds: Feeds, key: bytes, now_us: int,
                 outlet: Outlet | None = None, *, at_once: int = AT_ONCE, small: int = SMALL) -> list[Composed]:
    """Compose a list (type, key) that was noted, in the transaction of the caller; what changed."""
    work = list_affected(connection, one, feeds, key, at_once)
    changed = follow(connection, work, feeds, key, now_us, outlet)
    many = sum(len(said) for said in work.by_target.values())
    lists.composed(connection, one, now_us + many * REST_US if many > small else 0)
    return changed


def list_affected(connection: Connection, one: tuple[str, str], feeds: Feeds, key: bytes, at_once: int = AT_ONCE) -> Affected:
    """All that is said of a list, as `affected` has it, but read in parts and kept small."""
    persons: dict[str, Person] = {}
    said: list[Contribution] = []
    same: dict[bytes, Any] = {}
    for page in stored.pages_of_key(connection, one, at_once):
        theirs, links = persons_around(connection, {c.patient for c in page} - {""}, one[0])
        persons.update(theirs)
        said += [_small(c, one[1], same) for c in settled(page, [n for n in links if not n.over])]
    network = Network(key=key, persons=persons, precedence=feeds.precedence())
    at = (*one, "")
    return Affected(network=network, by_target={at: said} if said else {},
                    vanished=() if said else [(one[0], target_id(at, network), one[1])])


def _small(c: Contribution, key: str, same: dict[bytes, Any]) -> Contribution:
    """A statement that shares what it has in common with the others, which is nearly all."""
    body = {intern(slot) if "#[" not in slot else slot: value if "#[" in slot else _shared(value, same)
            for slot, value in c.body.items()}
    return replace(c, key=key, source=intern(c.source), mapping=intern(c.mapping), body=body)


def _shared(value: Any, same: dict[bytes, Any]) -> Any:
    return same.setdefault(orjson.dumps(value), value)

