"""Two known persons that a number would join are never merged in silence: a Task asks a person to look. COMPOSE, identity."""

from __future__ import annotations

from collections.abc import Iterable

from adapter.identity.persons import Person
from adapter.model import Contribution, Order

KEY = "urn:x-careloop:identity-review"
"""System of the keys of such Tasks: one for each set of records in doubt, named by the smallest of its numbers."""
SOURCE = "careloop"
_NO_TIME = Order(occurred=0, stated=0, sequence=0, rank=0, arrival=0)
_WORDS = ("A number ties these records together, but another says that they are two persons. Look at both, then link or "
          "unlink them.")


def reviews(persons: Iterable[Person]) -> list[Contribution]:
    """A Task for each set of records in doubt; gone when somebody linked or unlinked them, or a number was corrected."""
    parts: dict[frozenset[str], list[Person]] = {}
    for person in persons:
        if any(issue.code == "identity-conflict" for issue in person.issues):
            parts.setdefault(person.part, []).append(person)
    return [_task(part, doubted) for part, doubted in parts.items()]


def _task(part: frozenset[str], doubted: list[Person]) -> Contribution:
    records = sorted({record for person in doubted for record in person.records})
    first = min(part)
    patient = min(records, default=first)
    return Contribution(
        source=SOURCE, resource_type="Task", key=f"{KEY}|{first}", scope="own", patient=patient, kind="snapshot", event="",
        order=_NO_TIME, message="", mapping="", body={
            "status": "requested", "intent": "order", "priority": "urgent", "description": _WORDS,
            "code": {"coding": [{"system": "urn:x-careloop:task", "code": "identity-review"}]},
            "for": {"reference": f"Patient?{patient}"},
            "input#record": [{"type": {"text": "record in doubt"}, "valueReference": {"reference": f"Patient!{record}"}}
                             for record in records]})
