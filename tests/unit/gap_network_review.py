"""What the networks draw for the rule about the record that a new coordinator reads (G22)."""

from __future__ import annotations

from tests.unit.gap_network import PEOPLE, D, H, N, Person, Resource, Subjects, coded, to

PARTS = ("history", "medications", "authorizations")


def about_review(person: Person, _teams: list[str]) -> list[Resource]:
    """New coordinators, what they read of the record, and contacts with them."""
    roles = ("care-coordinator", "specialist")
    seats = [{"role": [coded(N + "care-team-role", person.mostly("lead-coordinator", *roles, share=0.6))],
              "member": person.mostly(to("Practitioner", person.random.choice(PEOPLE)), to("PractitionerRole", "rA"),
                                      person.org()),
              "onBehalfOf": person.org(),
              **({"period": {"start": person.at()}} if person.random.random() < 0.8 else {})} for _ in person.several(1, 2)]
    team = person.make("CareTeam", 9, "subject", status="active", participant=seats)
    contacts = [person.contact(n, [["face-to-face"], ["telephone"]], 0.8) for n in person.several(0, 2)]
    return [team, *contacts, *(_review(person, n) for n in person.several(0, 3))]


def _review(person: Person, number: int) -> Resource:
    read = PARTS if person.random.random() < 0.6 else person.random.sample(PARTS, person.random.randint(0, 2))
    return person.make(
        "Task", 90 + number, "for", status="completed",
        code=coded(N + "task-code", person.mostly("record-review", "fulfill", share=0.95)),
        owner=person.mostly(to("Practitioner", person.random.choice(PEOPLE)), person.org()),
        executionPeriod_={"end": person.at()},
        output=[{"type": coded(N + "task-output", "reviewed"), "valueCodeableConcept": coded(N + "record-part", part)}
                for part in read])


SUBJECTS: Subjects = {
    "review": ((0, -1, -H, -D, -2 * D, -10 * D, -30 * D, -60 * D, -89 * D, -90 * D, -91 * D, -120 * D, 1, D), about_review),
}
