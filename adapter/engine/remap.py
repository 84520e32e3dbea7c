"""What a feed has journalled, mapped anew by the mapping in force: its old statements go, the new ones take their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from adapter.compose.compose import target_id
from adapter.engine.affected import Affected, affected
from adapter.engine.lists import list_affected
from adapter.engine.local import bring
from adapter.feeds import Feeds
from adapter.model import Composed, Contribution, Issue, Json, Mapped, Outlet, is_array, is_object
from adapter.store import contributions as stored
from adapter.store import findings as noticed
from adapter.store import journal, retention
from adapter.store.journal import Entry
from adapter.store.keys import standing_of_keys
from adapter.store.resources import Stored, read_resources

AT_ONCE = 500
"""Journal entries that are mapped, and contributions that are composed, at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One resource that differs. how: changed, new or gone. elements: the paths that differ, without indexes."""

    resource_type: str
    id: str
    how: str
    elements: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remapped:
    """What mapping a feed anew changed, or would change. entries: those mapped; outdated: statements of another mapping
    version. refused: entries that the mapping of now does not take. purged: statements that stay as they are, because the raw
    bytes of what made them were purged."""

    entries: int
    outdated: int
    refused: tuple[tuple[int, Issue], ...]
    changes: tuple[Change, ...]
    purged: int = 0


def remap(connection: Connection, feed: str, map_entries: Callable[[Sequence[Entry]], Iterator[Mapped | Issue]], feeds: Feeds,
          key: bytes, now_us: int, *, outlet: Outlet | None, everything: bool) -> Remapped:
    """Map and compose a feed's processed entries anew, in the caller's transaction (which may be rolled back afterwards).

    map_entries: each entry as mapped now, or why not. everything: also where each statement has the version of now, as after
    a change of the program. Holds all statements of the feed in memory.
    """
    before = stored.of_feed(connection, feed)
    over = retention.purged(connection, feed)
    staying = [c for c in before if c.message in over]
    outdated = sum(c.mapping != feeds.named(feed).rules.version for c in before if c.message not in over)
    if not outdated and not everything:
        return Remapped(entries=0, outdated=0, refused=(), changes=(), purged=len(staying))
    stored.take_out(connection, feed, over)
    after, refused, entries = _say(connection, feed, map_entries)
    changes = _compose(connection, before, [*after, *staying], feeds, key, now_us, outlet)
    journal.settle(connection, [entry for entry, _ in refused], "failed")
    noticed.add(connection, [(entry, "", issue) for entry, issue in refused])
    return Remapped(entries=entries, outdated=outdated, refused=tuple(refused), changes=changes,
                    purged=len(staying))


def _say(connection: Connection, feed: str, map_entries: Callable[[Sequence[Entry]], Iterator[Mapped | Issue]]) -> tuple[
        list[Contribution], list[tuple[int, Issue]], int]:
    said: list[Contribution] = []
    refused: list[tuple[int, Issue]] = []
    last = count = 0
    while entries := journal.done(connection, feed, last, AT_ONCE):
        last = entries[-1].id
        count += len(entries)
        anew: list[Contribution] = []
        for entry, mapped in zip(entries, map_entries(entries), strict=True):
            if isinstance(mapped, Issue):
                refused.append((entry.id, mapped))
            else:
                anew.extend(mapped.contributions)
        stored.add(connection, anew)
        said.extend(anew)
    return said, refused, count


def _compose(connection: Connection, before: Sequence[Contribution], after: Sequence[Contribution], feeds: Feeds, key: bytes,
             now_us: int, outlet: Outlet | None) -> tuple[Change, ...]:
    """Everything that was stated before, or is now; what nobody states any more goes."""
    turned = [replace(c, patient=c.other, other=c.patient) for c in before if c.resource_type == "Link" and c.other]
    touched = sorted((*before, *turned, *after), key=lambda c: (c.patient, c.resource_type, c.key))
    changes = _Changes()
    alive: set[tuple[str, str]] = set()
    persons: set[str] = set()
    work: Affected | None = None
    for chunk, work in _works(connection, touched, feeds, key):
        targets = {(one[0], target_id(one, work.network)) for one in work.by_target}
        persons |= {member for c in chunk for member in work.network.person(c.patient).members}
        over = {(t, i) for t, i, _ in work.vanished}
        changes.note(read_resources(connection, (targets | over) - alive), bring(connection, work, now_us, outlet))
        alive |= targets
    scopes = {(c.resource_type, c.key): c.scope for c in before}
    gone = [(t, i, k) for t, i, k, person in standing_of_keys(connection, scopes)
            if (t, i) not in alive and (scopes[t, k] != "person" or person in persons)]
    if gone and work is not None:
        standing = read_resources(connection, [(t, i) for t, i, _ in gone])
        changes.note(standing, bring(connection, replace(work, by_target={}, vanished=gone), now_us, outlet))
    return changes.told()


def _works(connection: Connection, touched: Sequence[Contribution], feeds: Feeds,
           key: bytes) -> Iterator[tuple[Sequence[Contribution], Affected]]:
    """What to compose, with the statements it is for; the lists of many persons at the end, each once."""
    lists: set[tuple[str, str]] = set()
    for chunk in _persons_together(touched):
        work = affected(connection, chunk, chunk, feeds, key, later=True)
        lists.update(work.later)
        yield chunk, work
    for one in sorted(lists):
        yield (), list_affected(connection, one, feeds, key)


class _Changes:
    """Bodies before and after, of the resources that changed."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str], Json | None] = {}
        self._after: dict[tuple[str, str], Json | None] = {}

    def note(self, standing: Mapping[tuple[str, str], Stored], changed: Sequence[Composed]) -> None:
        """Note what changed, and what stood before."""
        for c in changed:
            name = (c.resource_type, c.id)
            if name not in self._before:
                self._before[name] = standing[name].body if name in standing else None
            self._after[name] = None if c.deleted else c.body

    def told(self) -> tuple[Change, ...]:
        """Each resource that differs, by type and id."""
        return tuple(_change(name, self._before[name], self._after[name]) for name in sorted(self._after)
                     if self._before[name] != self._after[name])


def _change(name: tuple[str, str], before: Json | None, after: Json | None) -> Change:
    how = "new" if before is None else "gone" if after is None else "changed"
    elements = sorted(set(differing(before, after))) if before is not None and after is not None else ()
    return Change(resource_type=name[0], id=name[1], how=how, elements=tuple(elements))


def differing(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """The paths of elements that differ; of lists the list's own path, or that of what differs in members of equal place."""
    if before == after:
        return
    if is_object(before) and is_object(after):
        for name in {*before, *after}:
            yield from differing(before.get(name), after.get(name), f"{path}.{name}" if path else name)
    elif is_array(before) and is_array(after) and len(before) == len(after):
        for old, new in zip(before, after, strict=True):
            yield from differing(old, new, path)
    else:
        yield path


def _persons_together(touched: Sequence[Contribution]) -> Iterator[Sequence[Contribution]]:
    """Statements about AT_ONCE subjects or so; those about one patient are never parted."""
    chunk: list[Contribution] = []
    for c in touched:
        if len(chunk) >= AT_ONCE and c.patient != chunk[-1].patient:
            yield chunk
            chunk = []
        chunk.append(c)
    if chunk:
        yield chunk

