"""What a person must look at becomes a Task: records that numbers contradict themselves about, and likely duplicates.

Two known persons are never merged in silence. Pure: the Tasks are a function of the links. Source: COMPOSE, identity.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from adapter.identity.links import Link, proposals, standing
from adapter.identity.persons import Person
from adapter.model import Contribution, Json, Order

KEY = "urn:x-careloop:identity-review"
"""System of the keys of Tasks about contradictions: one for each set of records, named by the smallest of its numbers."""
LIKELY = "urn:x-careloop:duplicate-review"
"""System of the keys of Tasks about likely duplicates: one for each pair of records."""
SOURCE = "careloop"
_NO_TIME = Order(occurred=0, stated=0, sequence=0, rank=0, arrival=0)
_LAST = Order(occurred=2**62, stated=2**62, sequence=0, rank=0, arrival=2**62)
"""Order of what is settled: whatever else is said of such a Task, it is closed."""
_WORDS = ("A number ties these records together, but another says that they are two persons. Look at both, then link or "
          "unlink them.")


_LIKELY_WORDS = ("These records are likely of one person. Look at both, then link them, or say that they are distinct "
                 "(or reject this task).")


def reviews(persons: Collection[Person], links: Sequence[Link] = ()) -> list[Contribution]:
    """A Task for each set of records in doubt, and for each pair that was proposed where one of these persons is in it."""
    return [*_in_doubt(persons), *_likely(persons, links)]


def is_review(c: Contribution) -> bool:
    """Whether a statement is about one of these Tasks."""
    return c.resource_type == "Task" and c.key.startswith((KEY, LIKELY))


def _in_doubt(persons: Iterable[Person]) -> list[Contribution]:
    """Gone when somebody linked or unlinked them, or a number was corrected."""
    parts: dict[frozenset[str], list[Person]] = {}
    for person in persons:
        if any(issue.code == "identity-conflict" for issue in person.issues):
            parts.setdefault(person.part, []).append(person)
    return [_doubt(part, doubted) for part, doubted in parts.items()]


def _doubt(part: frozenset[str], doubted: list[Person]) -> Contribution:
    records = sorted({record for person in doubted for record in person.records})
    first = min(part)
    return _task(f"{KEY}|{first}", min(records, default=first), records, {
        "status": "requested", "priority": "urgent", "description": _WORDS, "code": _code("identity-review")})


def _likely(persons: Collection[Person], links: Sequence[Link]) -> list[Contribution]:
    """Requested until somebody linked the two (completed), or said that they are two (rejected), or it is likely no more."""
    latest = proposals(links)
    if not latest:
        return []
    apart = standing(links)[1]
    of = {number: person for person in persons for number in person.members}
    return [_proposed(pair, latest[pair], _settled(latest[pair], of, apart))
            for pair in sorted(latest, key=sorted) if any(number in of for number in pair)]


def _settled(n: Link, of: Mapping[str, Person], apart: Collection[frozenset[str]]) -> str:
    first, second = of.get(n.patient), of.get(n.other)
    if first and second:
        if first.main == second.main:
            return "completed"
        if any(len(pair & first.members) == len(pair & second.members) == 1 for pair in apart):
            return "rejected"
    return "requested" if n.members else "cancelled"


def _proposed(pair: frozenset[str], n: Link, status: str) -> Contribution:
    records = sorted(pair)
    score: Json = {"input#score": [{"type": {"text": "probability"}, "valueDecimal": n.score}]} if n.members else {}
    return _task(f"{LIKELY}|{' '.join(records)}", records[0], records, {
        "status": status, "priority": "routine", "description": _LIKELY_WORDS, "code": _code("duplicate-review"), **score,
        "input#found": [{"type": {"text": "comparison"}, "valueString": told} for told in sorted(n.members)]},
        settled=status in ("completed", "rejected"))


def _code(code: str) -> Json:
    return {"coding": [{"system": "urn:x-careloop:task", "code": code}]}


def _task(key: str, patient: str, records: Sequence[str], body: Json, *, settled: bool = False) -> Contribution:
    told = "record in doubt" if key.startswith(KEY) else "record"
    return Contribution(
        source=SOURCE, resource_type="Task", key=key, scope="own", patient=patient, kind="snapshot", event="",
        order=_LAST if settled else _NO_TIME, message="", mapping="", body={
            **body, "intent": "order", "for": {"reference": f"Patient?{patient}"},
            "input#record": [{"type": {"text": told}, "valueReference": {"reference": f"Patient!{record}"}}
                             for record in records]})
