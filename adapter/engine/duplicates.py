"""Likely duplicates among the persons of the store: which pairs to propose to an operator, and which are likely no more.

Nothing is merged, and nothing written here. A pair that somebody linked or parted, or that was proposed before, is not
proposed again, whichever of a person's records it was about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from adapter.identity.likeness import Row, row_of
from adapter.identity.linkage import Pair, likely_pairs
from adapter.identity.linkage_model import LinkageModel
from adapter.identity.links import Link, proposals, standing
from adapter.identity.persons import Person, resolve
from adapter.pipeline import MEMBER_SYSTEM
from adapter.store import persons as stored_persons
from adapter.store.queries import main_patients


@dataclass(frozen=True, slots=True, kw_only=True)
class Likely:
    """One pair: the numbers and ids of two main Patients, the score, and what was found of each comparison."""

    patient: str
    other: str
    ids: tuple[str, str]
    score: float
    found: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a search gave. new: to be proposed; known: how many stand proposed or decided; over: records likely no more one."""

    persons: int
    new: tuple[Likely, ...]
    known: int
    over: tuple[tuple[str, str], ...]


def search(connection: Connection, model: LinkageModel, threshold: float | None = None) -> Search:
    """Look for likely duplicates. Raises Rejected (linkage-missing), Defect (linkage-invalid)."""
    named: list[tuple[str, str]] = []
    rows: list[Row] = []
    for identifier, key, body in main_patients(connection):
        named.append((identifier, key))
        rows.append(row_of(body, model.nothing, model.identifiers))
    pairs = [_likely(pair, named) for pair in likely_pairs(rows, model, threshold)]
    before = proposals(stored_persons.proposed(connection))
    persons, apart = _persons(connection, {n for p in pairs for n in (p.patient, p.other)}.union(*before))
    decided = {_of_persons(pair, persons) for pair in apart}
    open_before = {_of_persons(pair, persons): pair for pair, n in before.items() if n.members}
    likely = {_of_persons((p.patient, p.other), persons): p for p in pairs}
    new = [p for pair, p in likely.items() if pair not in decided and pair not in open_before]
    over = [(n.patient, n.other) for pair, records in open_before.items() for n in (before[records],)
            if pair not in likely and pair not in decided and len(pair) == 2]
    return Search(persons=len(rows), new=tuple(new), known=len(likely) - len(new), over=tuple(sorted(over)))


def _likely(pair: Pair, named: Sequence[tuple[str, str]]) -> Likely:
    (id_1, key_1), (id_2, key_2) = named[pair.first], named[pair.second]
    return Likely(patient=key_1, other=key_2, ids=(id_1, id_2), score=pair.score,
                  found=tuple(f"{name}: {says}" for name, says in pair.found))


def _persons(connection: Connection, numbers: set[str]) -> tuple[Mapping[str, Person], set[frozenset[str]]]:
    """The persons of these numbers, and the pairs of numbers that are not to be together."""
    links: list[Link] = [n for n in stored_persons.links_around(connection, numbers) if not n.over]
    everyone = numbers.union(*((n.patient, n.other) for n in links)) - {""}
    return resolve(everyone, links, stored_persons.records(connection, everyone), (MEMBER_SYSTEM,)), standing(links)[1]


def _of_persons(pair: Sequence[str] | frozenset[str], persons: Mapping[str, Person]) -> frozenset[str]:
    """A pair of records as one of persons; a single one where both are of the same."""
    return frozenset(persons[number].main for number in pair)
