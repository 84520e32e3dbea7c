"""What the networks draw for the rule about service purchases and flexible services (G25)."""

from __future__ import annotations

from tests.unit.gap_network import D, N, Person, Resource, Subjects, coded, to

SNOMED = "http://snomed.info/sct"
NEEDS = ("housing", "housing", "food", "safety")
YEAR = 365 * D


def about_purchases(person: Person, _teams: list[str]) -> list[Resource]:
    """Needs found, referrals that nobody took, and what was asked of payers for them."""
    found = [_result(person, n) for n in person.several(0, 2)]
    referrals = [_referral(person, n, [one["id"] for one in found]) for n in person.several(0, 2)]
    named = [one["id"] for one in referrals]
    tasks = [_course(person, n, named) for n in person.several(0, 2)] if named else []
    return [*found, *referrals, *tasks, *(one for n in person.several(0, 2) for one in _request(person, n))]


def _result(person: Person, number: int) -> Resource:
    found = person.mostly("10828004", "260385009")
    return person.make("Observation", number, "subject", status="final", code=coded(N + "need", person.random.choice(NEEDS)),
                       effectiveDateTime_=person.at(), valueCodeableConcept_=coded(SNOMED, found))


def _referral(person: Person, number: int, found: list[str]) -> Resource:
    why = person.random.random()
    reason: Resource = {"reasonCode": [coded(N + "need", person.random.choice(NEEDS))]} if why < 0.3 else {}
    if found and why > 0.7:
        reason = {"reasonReference": [to("Observation", person.random.choice(found))]}
    return person.make("ServiceRequest", number, "subject", status=person.mostly("active", "revoked", "completed", share=0.7),
                       intent="order", code=coded(N + "service", person.random.choice(("housing", "food", "specialty"))),
                       authoredOn_=person.at(), performer_=[person.org()], **reason)


def _course(person: Person, number: int, named: list[str]) -> Resource:
    return person.make("Task", number, "for", status=person.random.choice(("rejected", "failed", "completed", "requested")),
                       code=coded("http://hl7.org/fhir/CodeSystem/task-code", "fulfill"),
                       focus=to("ServiceRequest", person.random.choice(named)), lastModified_=person.at(),
                       executionPeriod=person.mostly(None, person.period(), share=0.5))


def _request(person: Person, number: int) -> list[Resource]:
    """A request to a payer with its Task and answer; it may not say what it is for."""
    number += 10
    request = to("ServiceRequest", f"SR{number}-{person.member}")
    need = person.random.choice(("housing", "housing", "food", "health", None))
    reason: Resource = {"reasonCode": [coded(N + "need", need)]} if need else {}
    asked = person.make("ServiceRequest", number, "subject", status="active", intent="order", authoredOn_=person.at(),
                        category=[coded(N + "request-kind", person.mostly(
                            person.random.choice(("service-purchase", "flexible-service")), "authorization"))],
                        code=coded(N + "requested-service", "housing-support"), requester=person.org(), **reason)
    begun = [{"type": coded(N + "task-output", "service-started"), "valueDate": person.at()[:10]}]
    claim = person.make("Claim", number, "patient", status="active", use="preauthorization", insurer_=person.org(),
                        referral=request)
    status = person.random.choice(("submitted", "approved", "approved", "denied", "partly-approved", "withdrawn"))
    task = person.make("Task", number, "for", status="requested", focus=request, owner_=person.org(),
                       code=coded("http://hl7.org/fhir/CodeSystem/task-code", "approve"),
                       businessStatus_=coded(N + "request-status", status),
                       executionPeriod=person.mostly(None, {"end": person.at()}, share=0.6),
                       output=person.mostly(None, begun, share=0.6))
    return [asked, *([claim] if person.random.random() < 0.5 else []), *([task] if person.random.random() < 0.9 else [])]


SUBJECTS: Subjects = {
    "purchases": ((-1, -D, -2 * D, -30 * D, -100 * D, -YEAR + D, -YEAR, -YEAR - D, -YEAR - 2 * D, 1, D), about_purchases),
}
