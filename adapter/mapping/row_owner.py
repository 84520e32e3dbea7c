"""Rows own what they state: the latest statement of a row withdraws what earlier ones stated of other resources.

A goal that moved to another plan, a member with another coverage, a seat with another beginning: the row's own columns say
where its statement goes, so only the row itself can say that it went there no more. A row is known again by the key that its
contract names (`x-key`); each statement of such a row carries it, and one Link a resource type says where it stands now.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from adapter.identity.links import ROW
from adapter.mapping.rules import Map, Place
from adapter.model import Contribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """What rows of a feed own. key: the columns a row is known by. kinds: resource type -> columns that must be there for a
    row to say where it goes, of each alternatives."""

    key: tuple[str, ...]
    kinds: Mapping[str, tuple[tuple[str, ...], ...]]

    def name(self, cells: Mapping[str, str], local: str) -> str:
        """What a row is known by, '' where a column of its key is empty."""
        parts = [cells.get(column, "") for column in self.key]
        return f"{local}:row|{'/'.join(parts)}" if parts and all(parts) else ""


def owner_of(key: tuple[str, ...], maps: Sequence[Map]) -> Owner:
    """What rows own: resources whose key, or members of lists whose group, a later statement of the row can change."""
    kinds: dict[str, tuple[tuple[str, ...], ...]] = {}
    for one in maps if key else ():
        rows = (*one.always, *(row for rows in one.by_field.values() for row in rows))
        deciding = {str(p) for part in one.key if not isinstance(part, str) for p in part if p is not None}
        deciding |= {str(p) for row in rows for p in row.group}
        if one.scope == "reference" or one.resource == "Patient" or deciding <= set(key):
            continue
        kinds[one.resource] = tuple(_names(part) for part in one.key if not isinstance(part, str) and None not in part)
    return Owner(key=key, kinds=kinds)


def _names(part: tuple[Place | None, ...]) -> tuple[str, ...]:
    return tuple(str(place) for place in part)


def owned(said: Sequence[Contribution], owner: Owner, name: str, patient: str, columns: Collection[str]) -> list[Contribution]:
    """The statements of a row with its name, and what it says of where they stand. columns: those that the file has."""
    kinds = [kind for kind, parts in owner.kinds.items() if all(any(c in columns for c in part) for part in parts)]
    if not name or not patient or not said or not kinds:
        return list(said)
    marked = [replace(c, other=name) if c.resource_type in kinds and c.kind == "snapshot" and c.scope != "reference" else c
              for c in said]
    first = said[0]
    where: dict[str, set[str]] = {kind: set() for kind in kinds}
    for c in marked:
        if c.other == name:
            where[c.resource_type].add(_target(c))
    return [*marked, *(Contribution(
        source=first.source, resource_type="Link", key=patient, scope="own", patient=patient, kind="withdraw", event=ROW,
        order=first.order, other=name, message=first.message, mapping=first.mapping,
        body={"level": "row", "new": kind, "members": sorted(members)}) for kind, members in where.items())]


def _target(c: Contribution) -> str:
    return f"{c.key}?{c.patient}" if c.scope == "person" else c.key
