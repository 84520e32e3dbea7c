"""Whose record is it: persons as the connected parts of the graph of links, a pure function of the set of links."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from adapter.identity.links import CHANGES, INFERRED, Link, standing, survivors
from adapter.model import Issue


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A connected part: its identifiers, the main one, those with a Patient record, loser -> survivor of its merges.

    renamed: losers that only go by another number now: all that was said of them holds for the survivor. part: everything
    that any link, also one in doubt, connects with it.
    """

    main: str
    members: frozenset[str]
    records: frozenset[str] = frozenset()
    merged: Mapping[str, str] = field(default_factory=dict[str, str])
    renamed: frozenset[str] = frozenset()
    part: frozenset[str] = frozenset()
    issues: tuple[Issue, ...] = ()


def alone(patient: str) -> Person:
    """A person of whom one identifier is known."""
    return Person(main=patient, members=frozenset((patient,)), records=frozenset((patient,)))


def resolve(patients: Collection[str], links: Sequence[Link], records: Collection[str],
            priority: Sequence[str]) -> dict[str, Person]:
    """The person of each identifier. records: identifiers that have a Patient record; priority: systems, first wins.

    Links of other levels than the patient are passed over. Inferred links that alone would join two values of one system, or a
    pair that was unlinked, are dropped, all of that part; crosswalks too where they would join two of the network's own
    members: a mistyped number must not make two people one. Source: COMPOSE, identity.
    """
    if not links:
        single = {n: frozenset((n,)) for n in patients if n}
        return {n: Person(main=n, members=one, records=one if n in records else frozenset()) for n, one in single.items()}
    nodes = set(patients).union(*((n.patient, n.other) for n in links)) - {""}
    links, apart_pairs = standing(links)
    merges, loop = survivors((n.other, n.patient, n.order) for n in links if n.merges)
    renamed = frozenset(n.other for n in links if n.kind in CHANGES and merges.get(n.other) == n.patient)
    merged_parts = _parts(nodes, [(n.patient, n.other) for n in links if n.merges])
    base = _parts(nodes, [(n.patient, n.other) for n in links if n.kind != INFERRED])
    joined = _parts(nodes, [(n.patient, n.other) for n in links])
    found: dict[str, Person] = {}
    for part in set(joined.values()):
        issues = [Issue(code="merge-loop", place="MRG-1")] if loop & part else []
        pieces = {base[n] for n in part}
        parted = any(pair <= part for pair in apart_pairs)
        if (len(pieces) > 1 and _conflict(pieces)) or parted:
            issues.append(Issue(code="identity-conflict", place="PID-3"))
        else:
            pieces = {part}
        apart = {p for piece in pieces for p in _members_apart(piece, merged_parts, priority)}
        if apart != pieces:
            issues.append(Issue(code="identity-conflict", place="mrn"))
        for piece in apart:
            merged = {a: b for a, b in merges.items() if a in piece}
            person = Person(main=_main(piece, merged, records, priority), members=piece,
                            records=piece & frozenset(records), merged=merged,
                            renamed=renamed & piece, part=part if issues else frozenset(), issues=tuple(issues))
            found.update(dict.fromkeys(piece, person))
    return found


def _members_apart(piece: frozenset[str], merged: Mapping[str, frozenset[str]], priority: Sequence[str]) -> set[frozenset[str]]:
    """The piece, or the parts that merges alone hold together where it would make one of two of the network's members."""
    parts = {merged[n] for n in piece}
    members = [p for p in parts if any(n.rpartition("|")[0] in priority for n in p)]
    return parts if len(members) > 1 and _conflict([frozenset(n for n in p if n.rpartition("|")[0] in priority)
                                                    for p in members]) else {piece}


def linked(patients: Collection[str], links: Sequence[Link]) -> set[str]:
    """These identifiers, where any link names them, and all that links of any kind connect with them, dropped ones too."""
    named = [n for n in links if n.other]
    parts = _parts({n for link in named for n in (link.patient, link.other)}, [(n.patient, n.other) for n in named])
    return set[str]().union(*(parts[n] for n in patients if n in parts))


def _parts(nodes: Collection[str], edges: Sequence[tuple[str, str]]) -> dict[str, frozenset[str]]:
    near: dict[str, set[str]] = {n: set() for n in nodes}
    for a, b in edges:
        near[a].add(b)
        near[b].add(a)
    found: dict[str, frozenset[str]] = {}
    for node in nodes:
        if node in found:
            continue
        part, todo = {node}, [node]
        while todo:
            for other in near[todo.pop()] - part:
                part.add(other)
                todo.append(other)
        frozen = frozenset(part)
        found.update(dict.fromkeys(frozen, frozen))
    return found


def _conflict(pieces: Collection[frozenset[str]]) -> bool:
    """Whether joining the pieces puts two different values of one system together."""
    seen: set[str] = set()
    for piece in pieces:
        systems = {n.rpartition("|")[0] for n in piece}
        if systems & seen:
            return True
        seen |= systems
    return False


def _main(piece: frozenset[str], merged: Mapping[str, str], records: Collection[str], priority: Sequence[str]) -> str:
    rank = {system: n for n, system in enumerate(priority)}
    return min(piece, key=lambda n: (n in merged, n not in records, rank.get(n.rpartition("|")[0], len(rank)), n))
