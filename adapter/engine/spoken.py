"""Who said each element of a standing resource: worked out from its contributions when somebody asks, kept nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from adapter.compose.compose import SERVER_KEY, Composed, Network, compose, target_id
from adapter.compose.fold import fold
from adapter.compose.merge import identity_of, member_identity
from adapter.compose.references import resolved
from adapter.compose.shared_plans import is_shared
from adapter.engine.affected import affected, plans_of
from adapter.feeds import Feeds
from adapter.identity.ids import resource_id
from adapter.model import Contribution, is_array
from adapter.store import contributions as stored
from adapter.store import persons as stored_persons
from adapter.store.keys import key_and_person
from adapter.store.resources import Stored, read_resource
from adapter.validate.facts import fhirpath


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """One element of a standing resource. path: as in its JSON, `address[0]`, `period.start`.

    by: the statement that counts, as it was made. slots: of it, those that state this member of a list. others: sources that
    state it too - of a single element each its own, which does not count; of a member of a list the same one, now.
    declared: the line of precedence.yaml that decides for it, '' without one.
    """

    path: str
    resource_type: str
    by: Contribution
    slots: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    declared: str = ""

    @property
    def element(self) -> str:
        """The element as FHIRPath: `Patient.address[0]`, `Patient.deceased.ofType(boolean)`, `Patient.gender.extension`."""
        steps: list[str | int] = []
        for name in self.path.split("."):
            bare, bracket, index = name.lstrip("_").partition("[")
            steps += [bare, int(index[:-1])] if bracket else [bare]
        return fhirpath(self.resource_type, steps) + (".extension" if self.path[0] == "_" else "")


def spoken(connection: Connection, resource_type: str, identifier: str, feeds: Feeds, key: bytes) -> list[Spoken]:
    """Each element of a resource with its statement, by path; empty where it does not stand, or is not made of statements."""
    standing = read_resource(connection, resource_type, identifier)
    about = key_and_person(connection, resource_type, identifier)
    if standing is None or standing.body is None or about is None:
        return []
    work = affected(connection, (), _of(connection, resource_type, identifier, *about, key), feeds, key)
    said = next((c for target, c in work.by_target.items()
                 if target[0] == resource_type and target_id(target, work.network) == identifier), ())
    if not said:
        return []
    target = (resource_type, about[0], about[1] if said[0].scope == "person" else "")
    return sorted(_spoken(compose(target, said, work.network), standing, said, work.network), key=lambda one: one.path)


def _of(connection: Connection, resource_type: str, identifier: str, business: str, person: str,
        key: bytes) -> list[Contribution]:
    """The statements that a resource is found by: of its key, or of its person's numbers where each person has one."""
    if is_shared(resource_type, business):
        return plans_of(connection, {person})
    if business.startswith(SERVER_KEY) or not person or resource_id(key, resource_type, business) == identifier:
        return list(stored.by_keys(connection, [(resource_type, business)]))
    links = stored_persons.links_around(connection, [person])
    members = {person}.union(*((n.patient, n.other) for n in links)) - {""}
    return list(stored.by_person_keys(connection, [(resource_type, business, m) for m in members]))


def _spoken(composed: Composed, standing: Stored, said: Sequence[Contribution], network: Network) -> Iterator[Spoken]:
    made: dict[tuple[str, str], Contribution] = {}
    for c in said:
        at = (c.source, c.message)
        if at not in made or c.order.of_snapshot() > made[at].order.of_snapshot():
            made[at] = c
    folded = {source: fold([c for c in said if c.source == source]).slots for source in {c.source for c in said}}
    now_said = {source: {slot: one.value for slot, one in slots.items()} for source, slots in folded.items()}
    for path, at in composed.sources.items():
        element, _, bracket = path.partition("[")
        now = _now(path, composed, standing)
        if not now or at not in made:
            continue
        if bracket:
            index = int(bracket[:-1])
            slots = _slots(element, index, composed, [c.body for c in said if (c.source, c.message) == at], network)
            others = {source for source, body in now_said.items() if _slots(element, index, composed, [body], network)}
        else:
            slots = ()
            others = {c.source for c in said if c.kind != "withdraw" and c.body.get(element) is not None}
        yield Spoken(path=now, resource_type=composed.resource_type, by=made[at], slots=slots,
                     others=tuple(sorted(others - {at[0]})), declared=network.precedence.by(composed.resource_type, element))


def _slots(element: str, index: int, composed: Composed, said: Iterable[Mapping[str, Any]], network: Network) -> tuple[str, ...]:
    """The slots of statements in which a member of a list stands, by what tells members apart."""
    identity = identity_of(composed.resource_type, element)
    members: Any = composed.body
    for name in element.split("."):
        members = members[name]
    want = member_identity(identity, members[index])
    return tuple(dict.fromkeys(slot for body in said for slot, value in body.items()
                               if value and slot.partition("#")[0] == element and slot != element and any(
                                   member_identity(identity, item) == want
                                   for item in resolved({"value": value}, network.literal, set())["value"])))


def _now(path: str, composed: Composed, standing: Stored) -> str:
    """Where an element stands now: what was not valid is taken out, and members of its list move up; '' where it is gone."""
    element, bracket, index = path.partition("[")
    before, after = composed.body, standing.body or {}
    for name in element.split("."):
        before, after = before.get(name, {}), after.get(name, {})
    if not bracket:
        return path if after != {} else ""
    if not is_array(before) or not is_array(after):
        return ""
    if len(before) == len(after):
        return path
    member = before[int(index[:-1])]
    return f"{element}[{after.index(member)}]" if member in after else ""
