"""What goes to a FHIR server in one transaction: whole lanes, each with all that it refers to and that waits too.

While one pack is on its way the next is made of other lanes, so that of one patient nothing overtakes what was before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import Connection

from adapter.compose.references import referred
from adapter.model import Delivery
from adapter.store import outbox

PACK = 200
"""Resources in one transaction, at most, unless one lane alone has more."""

Key = tuple[str, str]


def next_lanes(connection: Connection, target: str, now_us: int, rest_us: int,
               on_their_way: Collection[str]) -> list[list[Delivery]]:
    """Lanes that may go now, shared data first and alone; a server checks references, so with what they refer to and waits.

    on_their_way: lanes of which something is being sent; these wait, and whatever refers to them.
    """
    names = outbox.due_lanes(connection, target, now_us, PACK, rest_us, on_their_way)
    together: dict[str, list[Delivery]] = {name: [] for name in names}
    for d in outbox.lanes(connection, target, names):
        together[d.lane].append(d)
    lanes = _with_targets(connection, target, together.values())
    free = [lane for lane in lanes if lane and not any(d.lane in on_their_way for d in lane)]
    return _joined(free) if free and free[0][0].shared else free


def key_of(d: Delivery) -> Key:
    """Resource type and id."""
    return d.resource_type, d.id


def targets_of(d: Delivery) -> set[Key]:
    """What a resource refers to."""
    return {(t, i) for t, _, i in (name.partition("/") for name in referred(d.body))} if d.body is not None else set()


def apart(lane: Sequence[Delivery]) -> list[list[Delivery]]:
    """A lane's resources one by one, those that others refer to first; what refers to each other, and deletions, together."""
    left = {key_of(d): d for d in lane if d.body is not None}
    parts: list[list[Delivery]] = []
    while left:
        ready = [d for key, d in left.items() if not (targets_of(d) - {key}) & left.keys()]
        parts.extend([d] for d in ready)
        if not ready:
            parts.append(list(left.values()))
            break
        for d in ready:
            del left[key_of(d)]
    gone = [d for d in lane if d.body is None]
    return [*parts, gone] if gone else parts


def _with_targets(connection: Connection, target: str, lanes: Iterable[list[Delivery]]) -> list[list[Delivery]]:
    """Each lane with all that it refers to and that has not been pushed yet."""
    lanes = list(lanes)
    new = [d for lane in lanes for d in lane]
    found: dict[Key, Delivery] = {}
    refers: dict[Key, set[Key]] = {}
    while new:
        found.update((key_of(d), d) for d in new)
        refers.update((key_of(d), targets_of(d)) for d in new)
        wanted = set[Key]().union(*(refers[key_of(d)] for d in new))
        new = outbox.named(connection, target, sorted(wanted - found.keys()))
    return [[found[key] for key in sorted(_reached(map(key_of, lane), refers))] for lane in lanes]


def _reached(keys: Iterable[Key], refers: Mapping[Key, set[Key]]) -> set[Key]:
    """Keys, and all that is referred to from there and waits."""
    reached = set(keys)
    new = reached
    while new:
        new = {key for one in new for key in refers[one] if key in refers} - reached
        reached |= new
    return reached


def _joined(groups: list[list[Delivery]]) -> list[list[Delivery]]:
    """Groups of shared resources, each resource once: a group that another one holds whole is left out."""
    seen: set[Key] = set()
    kept: list[list[Delivery]] = []
    for group in sorted(groups, key=lambda g: (-len(g), g[0].resource_type, g[0].id)):
        if not seen.issuperset(map(key_of, group)):
            kept.append(group)
            seen.update(map(key_of, group))
    return kept
