"""People with a care plan, its goals, a team that talks, and a first month of contacts: what the rules of plans read."""

from __future__ import annotations

from datetime import timedelta

from tests.unit.gap_network import ORGS, PEOPLE, ZONE, D, N, Person, Resource, Subjects, coded, to

H = 3600
KINDS = ("self-management", "transition", "transition", "contact")


def about_goals(person: Person, teams: list[str]) -> list[Resource]:
    """Care plans and goals, each element now and then missing."""
    goals = [goal(person, n) for n in person.several(0, 2)]
    named = [g["id"] for g in goals] or ["none"]
    parts = [person.make("Observation", n, "subject", status=person.mostly("final", "cancelled", share=0.95),
                         code=coded(N + "plan-part", part)) for n, part in enumerate(("preferences", "strengths", "other"))]
    plans = [plan(person, n, named, teams) for n in person.several(1, 2)]
    return [*goals, *parts, *plans]


def goal(person: Person, number: int) -> Resource:
    """A goal with targets."""
    who = person.random.choice(({"reference": f"Patient/{person.member}"}, {"reference": "RelatedPerson/kin"},
                                {"type": "Practitioner", "display": "x"}, {"type": "RelatedPerson", "display": "x"}, None))
    targets = [{name: value for name, value in (("measure", {"text": "m"}), ("dueDate", "2027-01-01"))
                if person.random.random() < 0.8} for _ in person.several(0, 2)]
    achieved = person.mostly(coded("http://terminology.hl7.org/CodeSystem/goal-achievement", "improving"), None)
    return person.make("Goal", number, "subject", lifecycleStatus=person.mostly("active", "cancelled", "rejected", "on-hold"),
                       description_={"text": "d"}, target_=[t for t in targets if t], expressedBy=who, achievementStatus=achieved,
                       startDate=person.mostly(None, day(person), share=0.7), statusDate=person.mostly(day(person), None))


def plan(person: Person, number: int, goals: list[str], teams: list[str]) -> Resource:
    """A care plan: reviewed or not, with a cadence or none, with activities."""
    cadence = person.random.choice(("month", "90-days", "six-months", "year", "now-and-then", None))
    review = [{"url": N + "last-reviewed", "valueDate": day(person)}] if person.random.random() < 0.7 else []
    pace = [{"url": N + "review-cadence", "valueCode": cadence}] if cadence else []
    start = person.mostly({"start": day(person)}, None)
    return person.make("CarePlan", number, "subject", status=person.mostly("active", "draft", "revoked"), period=start,
                       created=person.mostly(None, day(person), share=0.4), category=person.program(),
                       goal=[to("Goal", person.random.choice(goals)) for _ in person.several(0, 2)],
                       careTeam=[to("CareTeam", person.random.choice(teams))], extension=[*review, *pace],
                       supportingInfo=[to("Observation", f"O{n}-{person.member}") for n in range(3)
                                       if person.random.random() < 0.85],
                       activity=[activity(person, kind) for kind in KINDS if person.random.random() < 0.8])


def activity(person: Person, kind: str) -> Resource:
    """Something that a plan says is done; of contacts how often."""
    detail: Resource = {"code": coded(N + "plan-activity", kind), "status": person.mostly("unknown", "cancelled", share=0.95)}
    if kind == "contact":
        times, unit = person.random.choice(((1, "wk"), (2, "wk"), (2, "wk"), (5, "wk"), (1, "d"), (2, "mo")))
        detail["scheduledTiming"] = {"repeat": {"frequency": times, "period": person.mostly(1, 2, share=0.9), "periodUnit": unit}}
    return {"detail": detail}


def day(person: Person) -> str:
    """A day around the boundaries."""
    moment = person.now + timedelta(seconds=person.random.choice(person.offsets))
    return moment.astimezone(ZONE).date().isoformat()


def about_talk(person: Person, _teams: list[str]) -> list[Resource]:
    """Communications and contacts between organizations."""
    found = [person.make("Communication", n, "subject", status=person.mostly("completed", "in-progress", "not-done", share=0.8),
                         sender_=person.mostly(person.org(), to("Practitioner", person.random.choice(PEOPLE))),
                         recipient=[person.acting() for _ in person.several(0, 2)],
                         sent_=person.at(), received=person.mostly(None, person.at())) for n in person.several(0, 5)]
    return found + [{**person.contact(n, [["face-to-face"]], 1), "id": f"C{n}-{person.member}"} for n in person.several(0, 2)]


def about_first_month(person: Person, teams: list[str]) -> list[Resource]:
    """An enrolment that began some weeks ago, contacts and attempts in them."""
    began = person.now - timedelta(days=person.random.choice((0, 5, 6, 7, 8, 13, 20, 27, 28, 31, 40)))
    period = {"start": began.astimezone(ZONE).date().isoformat()} if person.random.random() < 0.9 else {}
    if person.random.random() < 0.35:
        ended = began + timedelta(days=person.random.choice((3, 6, 7, 12, 13, 20, 27)))
        period["end"] = ended.astimezone(ZONE).date().isoformat()
    reason = person.random.choice(("refused", "refused", "goals-met", None, None))
    enrollment = person.make(
        "EpisodeOfCare", 7, "patient", status=person.mostly("active", "finished", "cancelled", "planned", share=0.65),
        type=[coded(N + "program", "care-coordination")], period=period or None,
        managingOrganization_=to("Organization", ORGS[0]),
        extension=[{"url": N + "end-reason", "valueCode": reason}] if reason else None)
    busy = person.random.random() < 0.3
    contacts = [meeting(person, n) for n in (range(40) if busy else person.several(0, 14))]
    attempts = [attempt(person, n) for n in person.several(0, 8)]
    goals = [plan(person, 0, ["none"], teams)] if person.random.random() < 0.4 else []
    return [enrollment, *contacts, *attempts, *goals]


def meeting(person: Person, number: int) -> Resource:
    """A contact."""
    made = person.contact(number, [["telephone"], ["message"], ["face-to-face", "warm-handoff"]], 0.6)
    return {**made, "id": f"C{number}-{person.member}"}


def attempt(person: Person, number: int) -> Resource:
    """A contact that did not take place."""
    why = person.mostly(coded("urn:x", "recipient-unavailable"), coded("urn:x", "patient-objection"),
                        coded(N + "not-done-reason", "refused"), share=0.93)
    purpose = person.random.choice(("locate", "engagement", "care-coordination"))
    return person.make("Communication", number, "subject", status=person.mostly("not-done", "completed", share=0.9),
                       medium_=[coded(N + "contact-type", "telephone")], statusReason_=why, sent_=person.at(),
                       reasonCode=[coded(N + "contact-purpose", purpose)])


_REVIEWS = (0, 0, 1, -1, -2, -13, -14, -15, -16, -17, -27, -28, -29, -30, -31, -32, -75, -76, -77, -88, -89, -90, -91, -92,
            -166, -168, -180, -181, -182, -183, -184, -185, -350, -352, -364, -365, -366, -367)
SUBJECTS: Subjects = {
    "goals": ([n * D for n in _REVIEWS], about_goals),
    "talk": ([n * D + more for n in (0, -1, -30, -89, -90, -90, -91, -91, 1) for more in (0, -5 * H)], about_talk),
    "first month": ([-n * D + more for n in range(30) for more in (0, -2 * H)], about_first_month),
}
"""Subjects of G03, G04, G05, G11 and G12."""
