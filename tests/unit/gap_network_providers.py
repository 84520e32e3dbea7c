"""Wellness visits, specialists and their notes, peers at hand-offs, primary care with mental health: read by G23 to G27."""

from __future__ import annotations

from datetime import timedelta

from tests.unit.gap_network import PEOPLE, ZONE, D, N, Person, Resource, Subjects, coded, to

CPT = "http://www.ama-assn.org/go/cpt"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
YEAR = 365 * D


def about_wellness(person: Person, _teams: list[str]) -> list[Resource]:
    """Members of ages around 18, their wellness visits as told in several ways, and outreach."""
    born = (person.now - timedelta(days=person.random.choice((6573, 6574, 6575, 6576, 9000, 9000, 9000)))).astimezone(ZONE)
    patient: Resource = {"resourceType": "Patient", "id": person.member, "birthDate": born.date().isoformat()}
    if person.random.random() < 0.1:
        del patient["birthDate"]
    patient |= person.mostly({}, {"deceasedBoolean": True}, {"deceasedDateTime": person.at()}, share=0.85)
    found = [patient, _team(person)]
    found += [_visit(person, n, person.mostly("wellness", "office")) for n in person.several(0, 1)]
    code = {"coding": [{"system": CPT, "code": person.mostly("G0439", "99213")}]}
    day = person.mostly({"date": person.at()}, {}, share=0.4)
    found += [person.make("Claim", n, "patient", status=person.mostly("active", "cancelled"), use=person.mostly(
        "claim", "preauthorization"), billablePeriod_={"start": person.at()}, procedure=person.mostly(
        [{"procedureCodeableConcept": code, **day}], None, share=0.5), item=person.mostly(
        None, [{"productOrService": code}], share=0.7)) for n in person.several(0, 1)]
    found += [person.make("Procedure", n, "subject", status=person.mostly("completed", "not-done", "stopped"), code=code,
                          performedDateTime_=person.at()) for n in person.several(0, 1)]
    reason = [coded(N + "contact-purpose", person.mostly("wellness-visit", "outreach", share=0.6))]
    found += [person.make("Communication", n, "subject", status=person.mostly("not-done", "completed"), reasonCode=reason,
                          sent_=person.at()) for n in person.several(0, 1)]
    return found + [{**person.contact(n, [["telephone"], ["face-to-face"]], 0.8), "reasonCode": reason}
                    for n in person.several(0, 1)]


def about_specialists(person: Person, _teams: list[str]) -> list[Resource]:
    """Chronic conditions, visits with specialists, and what primary care was told of them."""
    visits = [_visit(person, n, "office") for n in person.several(1, 2)]
    about = [to("Encounter", person.random.choice(visits)["id"])]
    return [_team(person), *visits, *[_problem(person, n, ("E11", "E11", "F20", "S52")) for n in person.several(1, 2)],
            *[_message(person, n) | person.mostly({}, {"about": about}) for n in person.several(0, 3)]]


def about_peers(person: Person, _teams: list[str]) -> list[Resource]:
    """Behavioural conditions, peers on the team, hand-offs; and talk between primary care and mental health."""
    found = [_team(person), _problem(person, 0, ("F10", "F33", "F99")), *[_message(person, n) for n in person.several(0, 2)]]
    purpose = [coded(N + "contact-purpose", person.mostly("hand-off", "follow-up", share=0.6))]
    kinds = [["face-to-face", "warm-handoff"], ["face-to-face"]]
    return found + [person.contact(n, kinds, 0.5) | {"reasonCode": purpose} for n in person.several(0, 3)]


def _team(person: Person) -> Resource:
    roles = ("primary-care", "mental-health", "specialist", "peer-specialist")
    seats = [{"role": [coded(N + "care-team-role", role)], "member": person.mostly(person.person(), person.org(), share=0.85),
              **({"onBehalfOf": person.org()} if person.random.random() < 0.8 else {})}
             for role in roles for _ in person.several(0, 2) if person.random.random() < 0.8]
    seats += [{**seat, "period": {"end": person.at()}} for seat in seats[:1] if person.random.random() < 0.1]
    return person.make("CareTeam", 7, "subject", status="active", category=person.program(), participant=seats)


def _visit(person: Person, number: int, kind: str) -> Resource:
    visit = person.make("Encounter", number, "subject", status=person.mostly("finished", "in-progress", "planned", share=0.9),
                        type=[coded(N + "visit-type", kind)], period_={"start": person.at()},
                        participant=[{"individual": person.person()} for _ in person.several(1, 2)],
                        **{"class": {"code": person.mostly("AMB", "EMER", share=0.95)}})
    return {**visit, "id": f"visit-{visit['id']}"}


def _problem(person: Person, number: int, blocks: tuple[str, ...]) -> Resource:
    coding = {"system": person.mostly(ICD, "http://snomed.info/sct", share=0.95), "code": person.random.choice(blocks)}
    return person.make("Condition", number, "subject", code={"coding": [coding]},
                       clinicalStatus_={"coding": [{"code": person.mostly("active", "resolved", share=0.9)}]},
                       verificationStatus_={"coding": [{"code": person.mostly("confirmed", "refuted", share=0.95)}]},
                       onsetDateTime=person.mostly(None, person.at()),
                       abatementDateTime=person.mostly(None, person.at(), share=0.95),
                       recordedDate=person.mostly(None, person.at()))


def _message(person: Person, number: int) -> Resource:
    who = to("Practitioner", person.random.choice(PEOPLE))
    said = [{"url": N + "sender-practitioner", "valueReference": to("Practitioner", person.random.choice(PEOPLE))}]
    return person.make("Communication", number, "subject", status=person.mostly("completed", "not-done", "in-progress"),
                       sender_=person.mostly(who, person.org(), share=0.6),
                       extension=person.mostly(None, said, share=0.8), recipient=[person.acting() for _ in person.several(1, 2)],
                       sent=person.mostly(person.at(), None, share=0.75), received=person.mostly(None, person.at()))


SUBJECTS: Subjects = {
    "wellness": ((0, -1, 1, -D, -YEAR, -YEAR + D, -YEAR - D, -YEAR - 2 * D, -2 * YEAR, -90 * D, -YEAR + 2 * D), about_wellness),
    "specialists": ((0, -1, -D, -28 * D, -29 * D, -30 * D, -31 * D, -32 * D, -60 * D, -61 * D, -YEAR, -YEAR - D, 1),
                    about_specialists),
    "peers": ((0, -1, 1, -D, -60 * D, -89 * D, -90 * D, -91 * D, -91 * D), about_peers),
}
