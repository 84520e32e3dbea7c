"""Which resources new contributions touch, and everything that must be read to compose them again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from adapter.compose.compose import Network, Target, target_id, target_of
from adapter.compose.homes import LEVELS
from adapter.compose.review import is_review, reviews
from adapter.compose.settled import settled
from adapter.compose.shared_plans import is_plan, is_shared, shared_plans
from adapter.feeds import Feeds
from adapter.identity.ids import resource_id
from adapter.identity.links import CHANGES, Link
from adapter.identity.persons import Person, linked, resolve
from adapter.model import Contribution
from adapter.pipeline import MEMBER_SYSTEM
from adapter.store import contributions as stored
from adapter.store import persons as stored_persons
from adapter.store.contributions import Added
from adapter.store.keys import keys_of_persons, pointing

LISTS = frozenset({"Group"})
"""Types of lists of many persons: each statement about one touches all of it, so they may be left for later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """What to compose: contributions by target, and targets that stood before and have none any more.

    later: (type, key) of lists that are affected too, and left out.
    """

    network: Network
    by_target: Mapping[Target, Sequence[Contribution]]
    vanished: Collection[tuple[str, str, str]]
    later: Collection[tuple[str, str]] = ()


def affected(connection: Connection, fresh: Sequence[Contribution], touched: Sequence[Contribution], feeds: Feeds, key: bytes,
             more: Collection[tuple[str, str]] = (), added: Added | None = None, *, later: bool = False) -> Affected:
    """Read what composing needs. fresh: contributions not seen before; touched: all of the batch; more: (type, key) to
    compose beside them; added: what was stored just now, which is not read again; later: leave LISTS out, and name them.

    A person is composed anew as a whole where links or records have changed.
    """
    left = _Left(LISTS if later else ())
    touched = left.out([*touched, *stored.of_rows(connection, {c.other for c in fresh if c.body.get("level") == "row"})])
    persons, known = persons_around(connection, {c.patient for c in touched if c.patient}, numbers=_numbers(touched))
    anew = _anew(fresh, touched, persons, known)
    if anew:  # of all that is composed with them the visits and accounts may have been renumbered too
        theirs = stored.by_patients(connection, set[str]().union(*(p.members for p in anew)))
        numbers = _numbers([*touched, *theirs])
        persons, known = persons_around(connection, {c.patient for c in touched if c.patient}, numbers=numbers)
        anew = _anew(fresh, touched, persons, known)
    links = _standing(known)
    more = left.out_keys([*more, *_left_out(connection, fresh), *_aliases(links), *_naming(connection, anew, links, key)])
    said = _read(connection, touched, persons, anew, more, added, left)
    links += _others(connection, said, persons)
    complete = {persons[c.patient].main for c in (*said, *touched) if is_plan(c) and c.patient}
    siblings = _siblings(connection, said, persons, complete, anew)
    links += _others(connection, siblings, persons)
    said += siblings
    network = Network(key=key, persons=persons, precedence=feeds.precedence())
    stated = [*settled(said, links), *reviews(anew, links)] if links else said
    by_target = _by_target(_planned(stated, network, complete), network)
    members = set[str]().union(*(p.members for p in anew)) if anew else set[str]()
    vanished = _vanished(connection, members, by_target, network)
    vanished += [one for one in _vanished(connection, {m for p in persons.values() if p.main in complete for m in p.members},
                                          by_target, network) if is_shared(one[0], one[2])] if complete else []
    ended = (*said, *touched) if links else touched  # of what was ended nothing may be left to compose
    over = {target_of(c, network) for c in ended if c.resource_type != "Link"} - by_target.keys()
    vanished += [(t[0], target_id(t, network), t[1]) for t in sorted(over)]
    vanished = [one for one in dict.fromkeys(vanished) if left.out_keys([(one[0], one[2])])]
    return Affected(network=network, by_target=by_target, vanished=vanished, later=sorted(left.keys))


def _others(connection: Connection, said: Iterable[Contribution], persons: dict[str, Person]) -> list[Link]:
    """Add the persons of statements who are not known yet; the links that stand around them."""
    unknown = {c.patient for c in said if c.patient} - persons.keys()
    if not unknown:
        return []
    theirs, links = persons_around(connection, unknown)
    persons.update(theirs)
    return _standing(links)


def _by_target(said: Iterable[Contribution], network: Network) -> dict[Target, list[Contribution]]:
    """The statements by what they are composed to; of a record that is not its person's main one, to that one too."""
    by_target: dict[Target, list[Contribution]] = {}
    for c in said:
        by_target.setdefault(target_of(c, network), []).append(c)
        if c.resource_type == "Patient" and (main := network.person(c.key).main) != c.key:
            by_target.setdefault(("Patient", main, ""), []).append(c)
    return by_target


class _Left:
    """Lists that are left out, by (type, key)."""

    def __init__(self, types: Collection[str]) -> None:
        self._types = types
        self.keys: set[tuple[str, str]] = set()

    def out(self, said: Iterable[Contribution]) -> list[Contribution]:
        """Statements without those about lists."""
        listed = list(said)
        self.keys.update((c.resource_type, c.key) for c in listed if c.resource_type in self._types)
        return [c for c in listed if c.resource_type not in self._types]

    def out_keys(self, keys: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """(type, key) without those of lists."""
        listed = list(keys)
        self.keys.update(one for one in listed if one[0] in self._types)
        return [one for one in listed if one[0] not in self._types]


def plans_of(connection: Connection, persons: Collection[str]) -> list[Contribution]:
    """Every statement about organizations' plans for these persons, by any of their numbers."""
    links = stored_persons.links_around(connection, persons)
    numbers = {*persons}.union(*((n.patient, n.other) for n in links)) - {""}
    return [c for c in stored.by_patients(connection, numbers, "CarePlan") if is_plan(c)]


def _siblings(connection: Connection, said: Sequence[Contribution], persons: Mapping[str, Person], complete: Collection[str],
              anew: Sequence[Person]) -> list[Contribution]:
    """All other plans of persons of whom a plan is stated: the shared plan is made of all of them."""
    if not complete:
        return []
    whole = set[str]().union(*(p.members for p in anew)) if anew else set[str]()
    known = {c.key for c in said if is_plan(c)}
    members = {m for p in persons.values() if p.main in complete for m in p.members} - whole
    keys = {("CarePlan", c.key) for c in stored.by_patients(connection, members, "CarePlan") if is_plan(c)}
    return list(stored.by_keys(connection, {k for k in keys if k[1] not in known}))


def _planned(said: Sequence[Contribution], network: Network, complete: Collection[str]) -> list[Contribution]:
    """The statements with those of the shared plans, of persons all of whose plans are here."""
    if not complete:
        return list(said)
    return [c for c in shared_plans(said, lambda patient: network.person(patient).main)
            if not is_shared(c.resource_type, c.key) or network.person(c.patient).main in complete]


def _numbers(touched: Sequence[Contribution]) -> set[str]:
    """Numbers of visits and accounts that statements are about: links may be known of them under another patient."""
    return {c.key if c.resource_type in LEVELS.values() else c.visit for c in touched} - {""}


def _aliases(links: Sequence[Link]) -> set[tuple[str, str]]:
    """(type, key) of every number that these visits and accounts ever went by: others may have stated something of them."""
    return {(LEVELS[n.level], key) for n in links if n.level in LEVELS for key in (n.old, n.new)}


def persons_around(connection: Connection, patients: set[str], rows_of: str = "",
                   numbers: Collection[str] = ()) -> tuple[dict[str, Person], list[Link]]:
    """The persons of these patients, and all links around them; rows_of: of links of rows only those about this type."""
    links = stored_persons.links_around(connection, patients.union(numbers), rows_of)
    everyone = patients.union(*((n.patient, n.other) for n in links)) if links else patients
    return resolve(everyone, _standing(links), stored_persons.records(connection, everyone), (MEMBER_SYSTEM,)), links


def _standing(links: Sequence[Link]) -> list[Link]:
    return [n for n in links if not n.over]


def _anew(fresh: Sequence[Contribution], touched: Sequence[Contribution], persons: Mapping[str, Person],
          links: Sequence[Link]) -> list[Person]:
    """Persons whose links, or whose records among several, have changed: a new link may also part those it does not name.
    So are those of a review, which is made of links, where another client says something of it.

    Where visits, accounts or patients were moved or renumbered, or something was deleted, one statement may be about
    another's resource: such persons are always composed as a whole.
    """
    if not links:
        return []
    stirred = {c.patient for c in fresh if c.resource_type == "Patient" or _stirs(c)}
    stirred |= {c.patient for c in touched if is_review(c)}
    entangled = {p for n in links if n.level in _WHOLE or n.kind in CHANGES for p in (n.patient, n.other) if p}
    stirred |= entangled
    changed = linked(stirred, [n for n in links if n.level not in _LISTS]) | (stirred & entangled)
    return list({persons[n].main: persons[n] for n in sorted(changed)}.values())


_WHOLE = ("account", "visit", "delete")
_LISTS = ("list", "row")


def _stirs(c: Contribution) -> bool:
    return c.resource_type == "Link" and c.body.get("level") not in _LISTS


def _left_out(connection: Connection, fresh: Sequence[Contribution]) -> set[tuple[str, str]]:
    """(type, key) of what new lists may have left out."""
    return stored_persons.keys_beginning(
        connection, [(c.patient, c.body["new"], c.body["old"]) for c in fresh if c.body.get("level") == "list"])


def _naming(connection: Connection, anew: Sequence[Person], links: Sequence[Link], key: bytes) -> set[tuple[str, str]]:
    """(type, key) of others' resources that name a record of these, or a visit that was deleted.

    A message about two persons names the main record of each; a deletion takes back what anybody was said to have in that visit.
    """
    records = {f"Patient/{resource_id(key, 'Patient', m)}" for p in anew for m in p.members}
    visits = {f"Encounter/{resource_id(key, 'Encounter', n.old)}" for n in links if n.level == "delete" and n.old}
    return pointing(connection, records | visits)


def _read(connection: Connection, touched: Sequence[Contribution], persons: Mapping[str, Person], anew: Sequence[Person],
          more: Collection[tuple[str, str]], added: Added | None, left: _Left) -> list[Contribution]:
    whole = set[str]().union(*(p.members for p in anew)) if anew else set[str]()
    own: set[tuple[str, str]] = set(more)
    shared: set[tuple[str, str, str]] = set()
    for c in touched:
        if c.resource_type == "Link" or c.patient in whole:
            continue
        members = persons[c.patient].members if c.patient in persons else frozenset((c.patient,))
        if c.scope == "person":
            shared.update((c.resource_type, c.key, m) for m in members)
        elif c.resource_type == "Patient":
            own.update(("Patient", m) for m in members)
        else:
            own.add((c.resource_type, c.key))
    own.update((c.resource_type, c.key) for c in touched if c.scope == "reference")
    found = left.out(stored.by_patients(connection, whole)) if whole else []
    own.update((c.resource_type, c.key) for c in (*found, *touched)  # a visit or account may be others' too
               if c.scope == "own" and c.patient in whole and c.resource_type != "Link")
    found.extend(stored.by_keys(connection, own, besides=whole, added=added))
    found.extend(c for c in stored.by_person_keys(connection, shared, added) if c.patient not in whole)
    return found


def _vanished(connection: Connection, members: Collection[str], by_target: Mapping[Target, Sequence[Contribution]],
              network: Network) -> list[tuple[str, str, str]]:
    """(type, id, key) of resources of these members that stand, but that nothing states any more under that id."""
    if not members:
        return []
    alive = {(target[0], target_id(target, network)) for target in by_target}
    return [(t, i, k) for t, i, k in keys_of_persons(connection, members) if (t, i) not in alive]
