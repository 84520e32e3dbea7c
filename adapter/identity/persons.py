"""Whose record is it: persons as the connected parts of the graph of links, a pure function of the set of links."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from adapter.model import Issue

INFERRED = "inferred"
CROSSWALK = "crosswalk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Two identifiers (`system|value`) of one person. kind: inferred, crosswalk, or the merging event (A40 ...).

    A merge runs from `other` (loser) to `patient` (survivor); order: of the statement. A crosswalk is what a source says
    now of one of its members: its latest counts alone, `other` '' where there is none any more.
    """

    patient: str
    other: str
    kind: str
    order: tuple[int, ...]
    source: str = ""

    @property
    def merges(self) -> bool:
        """Whether this is a directed merge."""
        return self.kind not in (INFERRED, CROSSWALK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A connected part: its identifiers, the main one, those with a Patient record, loser -> survivor of its merges."""

    main: str
    members: frozenset[str]
    records: frozenset[str] = frozenset()
    merged: Mapping[str, str] = field(default_factory=dict[str, str])
    issues: tuple[Issue, ...] = ()


def alone(patient: str) -> Person:
    """A person of whom one identifier is known."""
    return Person(main=patient, members=frozenset((patient,)), records=frozenset((patient,)))


def resolve(patients: Collection[str], links: Sequence[Link], records: Collection[str],
            priority: Sequence[str]) -> dict[str, Person]:
    """The person of each identifier. records: identifiers that have a Patient record; priority: systems, first wins.

    Source: COMPOSE, identity. Inferred links that alone would join two values of one system are dropped, all of that part;
    crosswalks too where they would join two of the network's own members: a mistyped number must not make two people one.
    """
    nodes = set(patients).union(*((n.patient, n.other) for n in links)) - {""}
    links = _standing(links)
    merges, loop = _merges(links)
    merged_parts = _parts(nodes, [(n.patient, n.other) for n in links if n.merges])
    base = _parts(nodes, [(n.patient, n.other) for n in links if n.kind != INFERRED])
    joined = _parts(nodes, [(n.patient, n.other) for n in links])
    found: dict[str, Person] = {}
    for part in set(joined.values()):
        issues = [Issue(code="merge-loop", place="MRG-1")] if loop & part else []
        pieces = {base[n] for n in part}
        if len(pieces) > 1 and _conflict(pieces):
            issues.append(Issue(code="identity-conflict", place="PID-3"))
        else:
            pieces = {part}
        apart = {p for piece in pieces for p in _members_apart(piece, merged_parts, priority)}
        if apart != pieces:
            issues.append(Issue(code="identity-conflict", place="mrn"))
        for piece in apart:
            merged = {a: b for a, b in merges.items() if a in piece}
            person = Person(main=_main(piece, merged, records, priority), members=piece,
                            records=piece & frozenset(records), merged=merged, issues=tuple(issues))
            found.update(dict.fromkeys(piece, person))
    return found


def _members_apart(piece: frozenset[str], merged: Mapping[str, frozenset[str]], priority: Sequence[str]) -> set[frozenset[str]]:
    """The piece, or the parts that merges alone hold together where it would make one of two of the network's members."""
    parts = {merged[n] for n in piece}
    members = [p for p in parts if any(n.rpartition("|")[0] in priority for n in p)]
    return parts if len(members) > 1 and _conflict([frozenset(n for n in p if n.rpartition("|")[0] in priority)
                                                    for p in members]) else {piece}


def _standing(links: Sequence[Link]) -> list[Link]:
    """The links that count: of a source's crosswalks of one member the latest, if it names another number at all."""
    latest: dict[tuple[str, str], Link] = {}
    for link in links:
        at = (link.source, link.patient)
        if link.kind == CROSSWALK and (at not in latest or (link.order, link.other) > (latest[at].order, latest[at].other)):
            latest[at] = link
    return [n for n in links if n.other and (n.kind != CROSSWALK or latest[n.source, n.patient] == n)]


def linked(patients: Collection[str], links: Sequence[Link]) -> set[str]:
    """These identifiers, where any link names them, and all that links of any kind connect with them, dropped ones too."""
    named = [n for n in links if n.other]
    parts = _parts({n for link in named for n in (link.patient, link.other)}, [(n.patient, n.other) for n in named])
    return set[str]().union(*(parts[n] for n in patients if n in parts))


def _merges(links: Sequence[Link]) -> tuple[dict[str, str], frozenset[str]]:
    """loser -> survivor by the latest statements, and the identifiers whose merges ran in a circle."""
    latest: dict[str, Link] = {}
    for link in sorted((n for n in links if n.merges and n.patient != n.other), key=lambda n: (n.order, n.patient)):
        latest[link.other] = link
    loops: set[str] = set()
    for start in sorted(latest):
        seen: list[Link] = []
        node = start
        while node in latest and latest[node] not in seen:
            seen.append(latest[node])
            node = latest[node].patient
        if node in latest:
            circle = seen[seen.index(latest[node]):]
            last = max(circle, key=lambda n: (n.order, n.patient))
            loops.update(n.other for n in circle)
            del latest[last.patient]
    return {loser: link.patient for loser, link in latest.items()}, frozenset(loops)


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
