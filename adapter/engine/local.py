"""Contributions into standing resources, in the one transaction of the caller: identity, compose, validate, store, queue."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from adapter.compose.compose import hashed
from adapter.compose.kept import composed_of
from adapter.compose.shared_plans import is_shared
from adapter.compose.standing import stand
from adapter.engine.affected import LISTS, Affected, affected, plans_of
from adapter.engine.gap_keeping import touched
from adapter.engine.stays import tell_stays
from adapter.feeds import Feeds
from adapter.gaps.tables import refresh
from adapter.model import Composed, Contribution, Outlet
from adapter.store import contributions as stored
from adapter.store import findings as noticed
from adapter.store import gap_lives, lists
from adapter.store.contributions import Added
from adapter.store.keys import keys_of_resources, naming, persons_of, pointing, standing_names
from adapter.store.outbox import enqueue
from adapter.store.resources import write_changed
from adapter.validate.check import check
from adapter.validate.profiles import claim


def apply(connection: Connection, said: Sequence[Contribution], feeds: Feeds, key: bytes, now_us: int,
          outlet: Outlet | None = None, *, later: bool = False) -> list[Composed]:
    """Store contributions and bring every resource they touch up to date; those that changed are returned.

    outlet: the FHIR server to queue changes for, None for none. later: lists of many persons are only noted, for
    `lists.compose_list`. Source: COMPOSE, from a message to the world.
    """
    added = stored.append(connection, said)
    return compose_touched(connection, added.fresh, said, feeds, key, now_us, outlet, added, later=later)


def compose_touched(connection: Connection, fresh: Sequence[Contribution], touched: Sequence[Contribution], feeds: Feeds,
                    key: bytes, now_us: int, outlet: Outlet | None, added: Added | None = None, *,
                    later: bool = False) -> list[Composed]:
    """Bring every resource up to date that statements touch; fresh: those of them that are new, or over since now.

    added: what was stored just now, which is not read again. later: as in apply.
    """
    work = affected(connection, fresh, touched, feeds, key, added=added, later=later)
    return follow(connection, work, feeds, key, now_us, outlet, later=later)


def follow(connection: Connection, work: Affected, feeds: Feeds, key: bytes, now_us: int, outlet: Outlet | None, *,
           later: bool = False) -> list[Composed]:
    """Bring what is affected up to date, and whatever refers to what stands now, or no more."""
    changed = bring(connection, work, now_us, outlet)
    noted = set(work.later)
    for _ in range(4):  # what was taken out for want of a target goes in once that stands; what refers to the gone lets go
        gone = {f"{c.resource_type}/{c.id}" for c in changed if c.deleted}
        created = {f"{c.resource_type}/{c.id}" for c in changed} - gone
        wanting, mains = noticed.wanting(connection, created), {p.main for p in work.network.persons.values()}
        more = keys_of_resources(connection, wanting) | naming(connection, mains, gone) | pointing(connection, gone)
        if later:
            noted |= {one for one in more if one[0] in LISTS}
            more -= noted
        if not more:
            break
        again = list(stored.by_keys(connection, more))
        if any(is_shared(*one) for one in more):  # nothing is stated of them: they are made of their persons' plans
            again += plans_of(connection, mains | persons_of(connection, wanting))
        rest = affected(connection, (), again, feeds, key, later=later)
        noted.update(rest.later)
        changed += bring(connection, rest, now_us, outlet)
    lists.note(connection, noted)
    return changed


def bring(connection: Connection, work: Affected, now_us: int, outlet: Outlet | None) -> list[Composed]:
    """Compose what is affected, check it, store what changed and queue it for the FHIR server `outlet`."""
    standing = _standing(connection, work)
    changed, new = write_changed(connection, standing, now_us)
    noticed.replace(
        connection, [f"{c.resource_type}/{c.id}" for c in standing],
        [(0, f"{c.resource_type}/{c.id}", issue) for c in standing for issue in c.issues])
    refresh(connection, changed, new=new)
    gap_lives.note(connection, touched(changed))
    tell_stays(connection, changed, now_us)
    if outlet is not None:
        enqueue(connection, outlet, changed, now_us)
    return changed


def _standing(connection: Connection, work: Affected) -> list[Composed]:
    """What is affected as it may stand; how each was before it was checked is forgotten here."""
    composed = [composed_of(t, work.by_target[t], work.network) for t in sorted(work.by_target)]
    composed += [Composed(resource_type=t, id=i, key=k, person="", body={}, hash="", sources={}, deleted=True)
                 for t, i, k in work.vanished]
    return [hashed(c) for c in stand(composed, lambda names: standing_names(connection, names), claim, check)]
