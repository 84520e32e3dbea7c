"""Which resources stand, by business key, person and name: no look-up here reads a body.

A business key is what sources agree on (`system|value`), a person the key of their main Patient, a name `Type/id`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from sqlalchemy import Connection, and_, or_, select

from adapter.store.engine import among
from adapter.store.schema import RESOURCE, SEARCH_INDEX
from adapter.store.search_params import PARAMS

Key = tuple[str, str]
"""Type and id."""

_IDS_AT_ONCE = 500
_OPEN = [(resource_type, param.indexed) for resource_type, params in PARAMS.items() for param in params.values()
         if "*" in param.targets]
"""Type and search parameter of references that may point at any type."""


def _pointing_at(target: str, types: Collection[str] = PARAMS) -> list[Key]:
    """Type and search parameter of references of these types that may point at that one, and of those that are open to all."""
    return sorted({*_OPEN, *((resource_type, param.indexed) for resource_type in types
                             for param in PARAMS[resource_type].values() if target in param.targets)})


_OF_SHARED = {"Encounter": _pointing_at("Encounter"), "Account": _pointing_at("Account"),
              "Patient": _pointing_at("Patient", ("Account",))}
"""The same by what they point at, where others' resources may: visits and accounts are told of two persons, and go with one."""


def key_and_person(connection: Connection, resource_type: str, resource_id: str) -> tuple[str, str] | None:
    """(business key, person) of a resource, None where it never was."""
    query = select(RESOURCE.c.key, RESOURCE.c.person).where(
        RESOURCE.c.resource_type == resource_type, RESOURCE.c.id == resource_id)
    row = connection.execute(query).first()
    return (row.key, row.person) if row is not None else None


def keys_of_persons(connection: Connection, persons: Iterable[str]) -> list[tuple[str, str, str]]:
    """(type, id, key) of every standing resource whose person is one of these."""
    found: list[tuple[str, str, str]] = []
    for chunk in _parts(persons):
        query = select(RESOURCE.c.resource_type, RESOURCE.c.id, RESOURCE.c.key).where(
            RESOURCE.c.person.in_(chunk), RESOURCE.c.deleted == 0)
        found.extend((row.resource_type, row.id, row.key) for row in connection.execute(query))
    return found


def standing_of_keys(connection: Connection, keys: Iterable[Key]) -> list[tuple[str, str, str, str]]:
    """(type, id, key, person) of every standing resource of these (type, business key)."""
    found: list[tuple[str, str, str, str]] = []
    for resource_type, business in by_type(keys):
        query = select(RESOURCE.c.id, RESOURCE.c.key, RESOURCE.c.person).where(
            RESOURCE.c.resource_type == resource_type, RESOURCE.c.key.in_(business), RESOURCE.c.deleted == 0)
        found.extend((resource_type, row.id, row.key, row.person) for row in connection.execute(query))
    return found


def keys_of_resources(connection: Connection, names: Iterable[str]) -> set[tuple[str, str]]:
    """(type, business key) of these resources, named `Type/id`."""
    found: set[tuple[str, str]] = set()
    for resource_type, ids in by_type(_split(names)):
        query = select(RESOURCE.c.key).where(RESOURCE.c.resource_type == resource_type, RESOURCE.c.id.in_(ids))
        found.update((resource_type, key) for key in connection.scalars(query))
    return found


def persons_of(connection: Connection, names: Iterable[str]) -> set[str]:
    """The persons (keys of their main Patients) of these resources, named `Type/id`."""
    found: set[str] = set()
    for resource_type, ids in by_type(_split(names)):
        query = select(RESOURCE.c.person).where(RESOURCE.c.resource_type == resource_type, RESOURCE.c.id.in_(ids))
        found.update(connection.scalars(query))
    return found - {""}


def of_others(connection: Connection, names: Iterable[str], person: str) -> set[str]:
    """Of these `Type/id`, those of another person than this one (key of the main Patient); what is nobody's is not among them."""
    found: set[str] = set()
    for resource_type, ids in by_type(_split(names)):
        query = select(RESOURCE.c.id).where(RESOURCE.c.resource_type == resource_type, RESOURCE.c.id.in_(ids),
                                            RESOURCE.c.person.not_in(["", person]))
        found.update(f"{resource_type}/{i}" for i in connection.scalars(query))
    return found


def naming(connection: Connection, persons: Iterable[str], names: Iterable[str]) -> set[tuple[str, str]]:
    """(type, business key) of what stands of these persons and refers to one of these `Type/id`."""
    texts = [f'%"{name}"%' for name in sorted(names)]
    found: set[tuple[str, str]] = set()
    for chunk in _parts(persons) if texts else ():
        query = select(RESOURCE.c.resource_type, RESOURCE.c.key).where(
            RESOURCE.c.person.in_(chunk), RESOURCE.c.deleted == 0, or_(*(RESOURCE.c.body.like(text) for text in texts)))
        found.update((row.resource_type, row.key) for row in connection.execute(query))
    return found


def pointing(connection: Connection, names: Collection[str]) -> set[tuple[str, str]]:
    """(type, business key) of what stands, of anybody, and refers to one of these: to a visit or an account, from an account, or
    by what is open to all types.

    That is how a message about two persons, and who said what in it, name the resources of both; and what was done or
    measured in a visit names it, whosever it is said to be.
    """
    by_target: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        target = name.partition("/")[0]
        by_target[target if target in _OF_SHARED else ""].append(name)
    asked = [(at, wanted) for target, wanted in by_target.items() for at in _OF_SHARED.get(target, _OPEN)]
    found: set[tuple[str, str]] = set()
    for (resource_type, param), wanted in asked:
        for chunk in _parts(wanted):
            query = select(RESOURCE.c.key).join(SEARCH_INDEX, and_(
                SEARCH_INDEX.c.resource_type == RESOURCE.c.resource_type, SEARCH_INDEX.c.id == RESOURCE.c.id)).where(
                RESOURCE.c.resource_type == resource_type, RESOURCE.c.deleted == 0,
                SEARCH_INDEX.c.param == param, SEARCH_INDEX.c.value.in_(chunk))
            found.update((resource_type, key) for key in connection.scalars(query))
    return found


def standing_names(connection: Connection, names: Iterable[str]) -> set[str]:
    """Of these `Type/id`, those that stand."""
    found: set[str] = set()
    for resource_type, ids in by_type(_split(names)):
        query = select(RESOURCE.c.id).where(RESOURCE.c.resource_type == resource_type, RESOURCE.c.deleted == 0,
                                            among(connection, RESOURCE.c.id, ids))
        found.update(f"{resource_type}/{i}" for i in connection.scalars(query))
    return found


def by_type(keys: Iterable[Key]) -> Iterator[tuple[str, list[str]]]:
    """Type by type the ids (or business keys) of these, in portions that one statement takes."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for resource_type, resource_id in keys:
        found[resource_type].append(resource_id)
    for resource_type, ids in found.items():
        ids.sort()  # as the index has them, which reads each of its pages once
        for start in range(0, len(ids), _IDS_AT_ONCE):
            yield resource_type, ids[start : start + _IDS_AT_ONCE]


def _split(names: Iterable[str]) -> list[Key]:
    return [(t, i) for t, _, i in (name.partition("/") for name in names)]


def _parts(items: Iterable[str]) -> Iterator[list[str]]:
    listed = list(items)
    for start in range(0, len(listed), _IDS_AT_ONCE):
        yield listed[start:start + _IDS_AT_ONCE]
