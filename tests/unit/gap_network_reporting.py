"""Feeds that are expected of organizations, and what arrived: what the rule about reporting reads (O06).

An arrival is no FHIR resource: it stands among them as type `arrival`, and `gap_checks` writes it into the journal's tables.
"""

from __future__ import annotations

from datetime import timedelta

from tests.unit.gap_network import ORGS, ZONE, D, N, Person, Resource, Subjects, coded, to

FEEDS = ("contacts", "contacts", "hl7v2")


def about_reporting(person: Person, _teams: list[str]) -> list[Resource]:
    """Expectations of every period, and files and messages around the periods' ends."""
    return [_expected(person, n) for n in person.several(1, 3)] + [_arrival(person, n) for n in person.several(0, 6)]


def _expected(person: Person, number: int) -> Resource:
    every = person.mostly(person.random.choice(("day", "week", "month", "quarter")), "fortnight", None, share=0.9)
    target: Resource = {"measure": coded(N + "measure", "O06")}
    if person.random.random() < 0.7:
        target["detailQuantity"] = {"value": person.random.choice((50, 90, 100)), "unit": person.mostly("%", "{rows}")}
    if person.random.random() < 0.2:
        target["dueDate"] = _day(person)
    goal: Resource = {
        "resourceType": "Goal", "id": f"Go{number}-{person.member}", "lifecycleStatus": person.mostly("active", "cancelled"),
        "category": [coded(N + "feed", person.random.choice(FEEDS))], "subject": to("Organization", person.random.choice(ORGS)),
        "target": [target]}
    if every:
        goal["extension"] = [{"url": N + "due-every", "valueCode": every}]
    if person.random.random() < 0.4:
        goal["startDate"] = _day(person)
    return goal


def _day(person: Person) -> str:
    days = person.random.choice((0, 1, -1, -2, -7, -14, -31, -60, -92, -200, 40))
    return (person.now.astimezone(ZONE).date() + timedelta(days=days)).isoformat()


def _arrival(person: Person, number: int) -> Resource:
    """A file or message, at an instant; organization None: its feed does not say whose it is."""
    accepted, refused = person.random.choice(((10, 0), (10, 0), (9, 1), (5, 5), (0, 1), (0, 0)))
    feed = person.random.choice(FEEDS)
    if feed == "hl7v2":
        accepted, refused = person.random.choice(((1, 0), (1, 0), (0, 1)))
    at = person.now + timedelta(seconds=person.random.choice(person.offsets))
    return {"resourceType": "arrival", "id": f"{number}-{person.member}", "contract": feed, "at": at.isoformat(),
            "organization": person.mostly(person.random.choice(ORGS), None), "accepted": accepted, "refused": refused}


SUBJECTS: Subjects = {
    "reporting": ((0, -1, 1, -3600, -D, -D, -2 * D, -6 * D, -7 * D, -8 * D, -14 * D, -15 * D, -30 * D, -45 * D, -60 * D, -100 * D,
                   -150 * D, -182 * D, -190 * D), about_reporting),
}
