"""One resource out of all that was said about it; pure: the same set of contributions gives the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from adapter.compose.fold import Said, Statement, fold
from adapter.compose.merge import Sources, alone_said, unite
from adapter.compose.pieced import layout_of, names_of, put_together
from adapter.compose.precedence import Precedence
from adapter.compose.references import resolved
from adapter.compose.said import in_time
from adapter.compose.verdicts import verdict_on
from adapter.identity.ids import resource_id
from adapter.identity.persons import Person, alone
from adapter.model import Composed, Contribution, Issue, Json, PiecedBody

SERVER_KEY = "urn:x-careloop:fhir-id"
"""System of keys that name a resource by the id another client gave it: `urn:x-careloop:fhir-id|Type/id`."""

_SERVER = "server:"

Forms = tuple[int, ...]
"""The layout and the forms of the pieces of a resource, by number (pieced.py)."""
Target = tuple[str, str, str]
"""Resource type, business key, and the person's main key for resources that each person has one of ('' otherwise)."""


_ABOUT = ("subject", "patient", "beneficiary", "for")
"""Elements that name the patient a resource is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What composition needs to know beside contributions: the ids' key, persons, precedence of sources.

    lean: who said what is not asked, nor the hash. literals: symbolic references that were resolved already.
    """

    key: bytes
    persons: Mapping[str, Person]
    precedence: Precedence
    lean: bool = False
    literals: dict[str, str] = field(default_factory=dict[str, str])

    def person(self, patient: str) -> Person:
        """The person of an identifier."""
        return self.persons.get(patient) or alone(patient)

    def literal(self, symbolic: str) -> str:
        """`Type?key` (a Patient: the person's main one), `Type!key` (that very record) or `Type@patient?key` as Type/id."""
        known = self.literals.get(symbolic)
        if known is None:
            known = self.literals[symbolic] = self._literal(symbolic)
        return known

    def _literal(self, symbolic: str) -> str:
        head, mark, key = symbolic.partition("?")
        if not mark:
            head, mark, key = symbolic.partition("!")
            return f"{head}/{resource_id(self.key, head, key)}" if mark else symbolic
        if key.startswith(SERVER_KEY):
            return key[len(SERVER_KEY) + 1:]
        resource_type, at, patient = head.partition("@")
        if at:
            key = f"{self.person(patient).main}|{key}"
        elif resource_type == "Patient":
            key = self.person(key).main
        return f"{resource_type}/{resource_id(self.key, resource_type, key)}"


def target_of(c: Contribution, network: Network) -> Target:
    """Which resource a contribution is about, once its person is known."""
    if c.scope == "person":
        return (c.resource_type, c.key, network.person(c.patient).main)
    return (c.resource_type, c.key, "")


def target_id(target: Target, network: Network) -> str:
    """The id of a target's resource."""
    resource_type, key, main = target
    if key.startswith(SERVER_KEY):
        return key.rpartition("/")[2]
    return resource_id(network.key, resource_type, f"{main}|{key}" if main else key)


def compose(target: Target, contributions: Sequence[Contribution], network: Network) -> Composed:
    """The current resource of a target. For a main Patient, contributions are those of all the person's records."""
    resource_type, key, _ = target
    first = contributions[0]
    is_patient = resource_type == "Patient"
    patient = key if is_patient else _latest_patient(contributions)
    person = network.person(patient) if patient else None
    issues: tuple[Issue, ...] = ()
    if len(contributions) == 1 and first.kind == "snapshot" and (not is_patient or first.key == key):
        united, sources = alone_said(first, lean=network.lean)
    else:
        statements = _statements(key, person, contributions) if is_patient and person else _folded(contributions)
        issues = tuple(i for s in statements for i in s.issues)
        if any(s.source.startswith(_SERVER) for s in statements):
            statements = [_literal(s, network) for s in statements]
        united, sources = unite([s for s in statements if s.slots], network.precedence)
    identifier = target_id(target, network)
    if not united:
        return Composed(resource_type=resource_type, id=identifier, key=key, person=person.main if person else "", body={},
                        hash="", sources={}, issues=issues, deleted=True)
    found: set[str] = set()
    body: Json = {"resourceType": resource_type, "id": identifier, **resolved(united, network.literal, found)}
    if is_patient and person:
        _link(body, key, person, network, found)
        issues = (*issues, *(person.issues if key == person.main else ()))
    main = person.main if person else ""
    if not is_patient and len({c.patient for c in contributions if c.patient}) > 1:
        main, told = _person_named(body, main, contributions, network)
        issues = (*issues, *told)
    return Composed(resource_type=resource_type, id=identifier, key=key, person=main, body=body,
                    hash="", sources=sources, references=frozenset(found), issues=issues)


def nothing(target: Target, c: Contribution, network: Network) -> Composed:
    """What `compose` gives where all that is known of a resource, not of a Patient, is that a source takes it back."""
    person = network.person(c.patient).main if c.patient else ""
    return Composed(resource_type=target[0], id=target_id(target, network), key=target[1], person=person, body={}, hash="",
                    sources={}, deleted=True)


def compose_pieced(target: Target, c: Contribution, said: PiecedBody, network: Network) -> tuple[Composed, Forms]:
    """What `compose` gives for one snapshot of pieces, with their forms; who said what is left out where it is not asked.

    Where it is known what comes of resources of these forms, it is claimed and checked already.
    """
    resource_type, key, _ = target
    person = network.person(c.patient).main if c.patient else ""
    identifier = target_id(target, network)
    body: Json = {"resourceType": resource_type, "id": identifier}
    found: set[str] = set()
    layout = layout_of(resource_type, said.slots)
    forms = put_together(layout, said.pieces, network, body, found)
    if len(body) == 2:
        return Composed(resource_type=resource_type, id=identifier, key=key, person=person, body={}, hash="", sources={},
                        deleted=True), forms
    verdict = verdict_on(forms, layout.ordered, body)
    sources = {} if network.lean else dict.fromkeys(names_of(layout, body), (c.source, c.message))
    if verdict is None:
        return Composed(resource_type=resource_type, id=identifier, key=key, person=person, body=body, hash="",
                        sources=sources, references=frozenset(found)), forms
    stated = None if network.lean else dict(body)
    body.update(verdict.added)
    return Composed(resource_type=resource_type, id=identifier, key=key, person=person, body=body, hash="", sources=sources,
                    references=frozenset(found), checked=True, issues=verdict.issues, stated=stated), forms


def _latest_patient(contributions: Sequence[Contribution]) -> str:
    """The patient that the latest statement names: a visit may have been moved from one to another."""
    told = in_time([c for c in contributions if c.patient])
    return told[-1].patient if told else ""


def _person_named(body: Json, main: str, contributions: Sequence[Contribution],
                  network: Network) -> tuple[str, tuple[Issue, ...]]:
    """The person whom a resource names that was stated of several, `main` where it names none; a finding where sources differ."""
    element = next((name for name in _ABOUT if isinstance(body.get(name), dict)), "")
    named = body[element].get("reference", "") if element else ""
    by_source: dict[str, list[Contribution]] = {}
    for c in contributions:
        by_source.setdefault(c.source, []).append(c)
    latest = {source: _latest_patient(said) for source, said in by_source.items()}
    mains = {source: network.person(patient).main for source, patient in latest.items() if patient}
    found = next((m for m in sorted(set(mains.values())) if network.literal(f"Patient?{m}") == named), main)
    if len(set(mains.values())) == 1:
        return found, ()
    return found, (Issue(code="person-differs", place=f"{body['resourceType']}.{element}", detail=", ".join(sorted(mains))),)


def _folded(contributions: Sequence[Contribution]) -> list[Statement]:
    """What each source says, in the order of the sources' names."""
    by_source: dict[tuple[str, str], list[Contribution]] = {}
    for c in contributions:
        by_source.setdefault((c.source, c.key if c.resource_type == "Patient" else ""), []).append(c)
    return [fold(by_source[k]) for k in sorted(by_source)]


def _literal(statement: Statement, network: Network) -> Statement:
    """A statement with its references resolved: other clients name what they mean by id, and members are told apart by it."""
    slots = {slot: replace(said, value=resolved({"value": said.value}, network.literal, set())["value"])
             for slot, said in statement.slots.items()}
    return Statement(source=statement.source, slots=slots, issues=statement.issues)


def _statements(key: str, person: Person, contributions: Sequence[Contribution]) -> list[Statement]:
    return _patient_statements(key, person, _folded(contributions))


def _patient_statements(key: str, person: Person, statements: list[Statement]) -> list[Statement]:
    """Of a main Patient: all records; of merged ones only the identifiers, as old; of one that goes by another number now
    everything, its old number as old. Of another record: its own only."""
    kept: list[Statement] = []
    for statement in statements:
        record = next(iter(statement.slots.values())).by.key if statement.slots else key
        if record == key:
            kept.append(statement)
            continue
        statement.slots.pop("active", None)  # whether another record is in use says nothing of this one
        if key == person.main and record in person.merged and not _only_renumbered(record, person):
            old = {f"identifier#~{record}~{slot.partition('#')[2]}":
                   replace(said, value=[{**i, "use": "old"} for i in said.value])
                   for slot, said in statement.slots.items() if slot.startswith("identifier#") and said.value}
            kept.append(Statement(source=statement.source, slots=old, issues=statement.issues))
        elif key == person.main:
            kept.append(_renumbered(statement, record) if record in person.renamed else statement)
    return kept


def _only_renumbered(record: str, person: Person) -> bool:
    """Whether a record came to its survivor by changes of number alone, by no merge."""
    while record in person.merged:
        if record not in person.renamed:
            return False
        record = person.merged[record]
    return True


def _renumbered(statement: Statement, old: str) -> Statement:
    """What was said of a record under its old number, that number marked as old."""
    slots: dict[str, Said] = {}
    for slot, said in statement.slots.items():
        if slot.startswith("identifier#") and said.value:
            value = [{**i, "use": "old"} if f"{i.get('system', '')}|{i.get('value', '')}" == old else i for i in said.value]
            slots[f"identifier#~{old}~{slot.partition('#')[2]}"] = replace(said, value=value)
        else:
            slots[slot] = said
    return Statement(source=statement.source, slots=slots, issues=statement.issues)


def _link(body: Json, key: str, person: Person, network: Network, found: set[str]) -> None:
    """Patient.link and active by what became of the person's records (R4 Patient.link; COMPOSE, identity)."""
    links: list[tuple[str, str]] = []
    if key in person.merged:
        links.extend((home, "replaced-by") for home in [_record(person.merged[key], person)] if home in person.records)
        body["active"] = False
    elif key != person.main:
        if person.main in person.records:
            links.append((person.main, "refer"))
    else:
        links.extend((m, "seealso") for m in sorted(person.records) if m != key and m not in person.merged)
    links.extend((loser, "replaces") for loser, survivor in sorted(person.merged.items())
                 if _record(survivor, person) == key and loser in person.records)
    if links:
        body["link"] = [{"other": {"reference": network.literal(f"Patient!{other}")}, "type": kind} for other, kind in links]
        found.update(network.literal(f"Patient!{other}") for other, _ in links)


def _record(survivor: str, person: Person) -> str:
    """The record that a survivor of a merge is; the main one where it is a number without a record of its own."""
    return survivor if survivor in person.records else person.main


def hashed(composed: Composed) -> Composed:
    """The composed resource with the SHA-256 of its body, by which a change is known."""
    c = composed
    text = _NOTHING if c.deleted else hashlib.sha256(orjson.dumps(c.body, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return Composed(resource_type=c.resource_type, id=c.id, key=c.key, person=c.person, body=c.body, hash=text, sources=c.sources,
                    references=c.references, issues=c.issues, deleted=c.deleted, checked=c.checked)


_NOTHING = hashlib.sha256(b"null").hexdigest()
"""The hash of what is deleted."""


__all__ = ["Composed", "Network", "Sources", "Target", "compose", "hashed", "target_id", "target_of"]
