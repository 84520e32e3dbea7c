"""What the networks draw for the rules about what a person needs: assessments, benefits, language, social needs (G14 to G17)."""

from __future__ import annotations

from datetime import date

from tests.unit.gap_network import ZONE, D, N, Person, Resource, Subjects, coded, to

SNOMED = "http://snomed.info/sct"
NEEDS = ("housing", "transport", "food")


def _ago(person: Person, years: int, days: int) -> str:
    """A day of so many years before the as-of instant, and so many days after that."""
    today = person.now.astimezone(ZONE).date()
    born = date(today.year - years, today.month, min(today.day, 28))
    return date.fromordinal(born.toordinal() + days).isoformat()


def about_assessment(person: Person, _teams: list[str]) -> list[Resource]:
    """Conditions and level-of-care assessments of a person of any age."""
    born = _ago(person, person.random.choice((5, 6, 17, 18, 19, 40)), person.random.choice((0, 1, -1)))
    patient: Resource = {"resourceType": "Patient", "id": person.member}
    if person.random.random() < 0.9:
        patient["birthDate"] = born
    conditions = [person.make(
        "Condition", n, "subject", code=coded(person.mostly("http://hl7.org/fhir/sid/icd-10-cm", SNOMED),
                                              person.mostly(person.random.choice(("F20.0", "F10.20", "F19", "F99")),
                                                            "E11.9", "F09", "G20")),
        clinicalStatus_=coded("urn:clinical", person.mostly("active", "resolved")),
        verificationStatus_=coded("urn:verification", person.mostly("confirmed", "refuted")),
        onsetDateTime=person.mostly(None, person.at()), abatementDateTime=person.mostly(None, person.at()),
        recordedDate_=person.mostly("2020-01-01", person.at())) for n in person.several(1, 2)]
    tools = ("locus", "locus", "calocus-casii", "ecsii", "asam", "phq-9")
    return [patient, *conditions, *(_assessment(person, n, person.random.choice(tools)) for n in person.several(0, 3))]


def _assessment(person: Person, number: int, tool: str) -> Resource:
    levels = ("1", "2", "2.1", "3", "3.7", "3.7-WM", "4")
    offered = [{"code": coded(N + "assessment-part", "level-offered"),
                "valueCodeableConcept": coded(N + "level-of-care:" + tool, person.random.choice(levels))}]
    return person.make("Observation", number, "subject", status=person.mostly("final", "cancelled"),
                       code=coded(N + "assessment-tool", tool), effectiveDateTime_=person.at(), component_=offered,
                       valueCodeableConcept_=coded(N + "level-of-care:" + tool, person.random.choice(levels)))


def about_benefits(person: Person, _teams: list[str]) -> list[Resource]:
    """Cases for benefits, at any step."""
    return [person.make(
        "Task", n, "for", status="accepted", owner_=person.org(), output=_steps(person),
        code=coded(N + "benefit", person.random.choice(("ssi", "ssi", "ssdi", "va", "housing"))), ) for n in person.several(1, 4)]


def _steps(person: Person) -> list[Resource]:
    drawn = {"screened": {"valueDate": person.at()[:10]}, "eligible": {"valueBoolean": person.mostly(True, False, share=0.8)},
             "applied": {"valueDate": person.at()[:10]},
             "application-method": {"valueCodeableConcept": coded(N + "application-method", person.mostly("soar", "standard"))},
             "outcome": {"valueCodeableConcept": coded(N + "benefit-outcome", person.mostly("approved", "pending", "denied"))},
             "decided": {"valueDate": person.at()[:10]}}
    until = person.random.randint(0, len(drawn))
    return [{"type": coded(N + "task-output", kind), **value} for kind, value in list(drawn.items())[:until]
            if person.random.random() < 0.85]


def about_language(person: Person, _teams: list[str]) -> list[Resource]:
    """What is recorded of a person's language, and in which one contacts were held."""
    patient: Resource = {"resourceType": "Patient", "id": person.member}
    if person.random.random() < 0.9:
        patient["communication"] = [{"language": coded("urn:ietf:bcp:47", person.mostly("es", "en")), "preferred": True}]
    if person.random.random() < 0.9:
        url = "http://hl7.org/fhir/StructureDefinition/patient-interpreterRequired"
        patient["extension"] = [{"url": url, "valueBoolean": person.mostly(True, False, share=0.8)}]
    return [patient, *(_spoken(person, n) for n in person.several(1, 3))]


def _spoken(person: Person, number: int) -> Resource:
    contact = person.contact(number, [["face-to-face"], ["telephone"]], 0.8)
    used: list[Resource] = []
    if person.random.random() < 0.8:
        used.append({"url": N + "language-used", "valueCode": person.mostly("en", "es", share=0.5)})
    if person.random.random() < 0.7:
        used.append({"url": N + "interpreter-used", "valueBoolean": person.random.random() < 0.3})
    contact["extension"] = [*contact.get("extension", []), *used]
    if person.random.random() < 0.2:
        translator = {"type": [coded("http://terminology.hl7.org/CodeSystem/participant-type", "translator")]}
        contact["participant"] = [*contact["participant"], translator | {"individual": to("RelatedPerson", "kin")}]
    return contact


def about_needs(person: Person, _teams: list[str]) -> list[Resource]:
    """Screenings for social needs, and what was done about what they found."""
    whole = person.random.random() < 0.5
    when = person.at()
    results = [_result(person, n, need, when if whole else person.at()) for n, need in enumerate(
        NEEDS if whole else [person.random.choice((*NEEDS, "safety")) for _ in person.several(1, 5)])]
    referrals = [_referral(person, n, [r["id"] for r in results]) for n in person.several(0, 2)]
    named = [r["id"] for r in referrals] or ["none"]
    tasks = [person.make("Task", n, "for", status=person.random.choice(("requested", "completed", "completed", "failed")),
                         focus=to("ServiceRequest", person.random.choice(named)), lastModified_=person.at(),
                         executionPeriod=person.mostly(None, person.period(), share=0.5)) for n in person.several(0, 2)]
    return [*results, *referrals, *tasks]


def _result(person: Person, number: int, need: str, when: str) -> Resource:
    found = person.random.choice(("10828004", "10828004", "260385009"))
    declined = {"dataAbsentReason": coded("urn:a", "asked-declined")}
    answer = {"valueCodeableConcept": coded(SNOMED, found)} if person.random.random() < 0.93 else declined
    return person.make("Observation", number, "subject", status="final", code=coded(N + "need", need), effectiveDateTime_=when,
                       **answer)


def _referral(person: Person, number: int, results: list[str]) -> Resource:
    why = person.random.random()
    reason = {"reasonReference": [to("Observation", person.random.choice(results))]} if why < 0.6 else \
        {"reasonCode": [coded(N + "need", person.random.choice(NEEDS))]}
    return person.make("ServiceRequest", number, "subject", status=person.mostly("active", "revoked", "completed"),
                       intent="order", code=coded(N + "service", "housing"),
                       authoredOn_=person.at(), performer_=[person.org()], **reason)


YEAR = 365 * D
SUBJECTS: Subjects = {
    "assessment": ((-1, -D, -30 * D, -179 * D, -180 * D, -181 * D, -182 * D, -300 * D, 1, D), about_assessment),
    "benefits": ((-1, -D, -30 * D, -300 * D, 1, D), about_benefits),
    "language": ((-1, -D, -30 * D, -300 * D, 1, D), about_language),
    "needs": ((-1, -D, -30 * D, -100 * D, -YEAR + D, -YEAR, -YEAR - D, -YEAR - 2 * D, 1, D), about_needs),
}
