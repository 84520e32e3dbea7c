"""What the networks draw for the rules about referrals on their way, and about requests to payers (G18 to G21)."""

from __future__ import annotations

from typing import Any

from tests.unit.gap_network import D, H, N, Person, Resource, Subjects, coded, to


def _thinned(resource: Resource) -> Resource:
    """Without the elements that are None."""
    return {name: value for name, value in resource.items() if value is not None}


def about_loop(person: Person, _teams: list[str]) -> list[Resource]:
    """Referrals, where they stand, and what was said of them."""
    referrals = [person.make(
        "ServiceRequest", n, "subject", status=person.mostly("active", "revoked", "completed"), authoredOn_=person.at(),
        intent="order", code=coded(N + "service", "housing"),
        performer_=[person.org(), *([to("Practitioner", "pC")] if person.random.random() < 0.2 else [])])
        for n in person.several(1, 2)]
    named = [referral["id"] for referral in referrals]
    tasks = [person.make(
        "Task", n, "for", status=person.random.choice(("requested", "accepted", "in-progress", "completed", "completed",
                                                       "rejected", "cancelled", "failed")),
        focus=to("ServiceRequest", person.mostly(person.random.choice(named), "none")), lastModified_=person.at(),
        statusReason=person.random.choice((None, {"text": "no capacity"})), executionPeriod_=person.period(0.7, 0.5))
        for n in person.several(0, 2)]
    contacts = [person.contact(n, [["face-to-face"], ["telephone"]], 0.8) | {
        "basedOn": [to("ServiceRequest", person.random.choice(named))]} for n in person.several(0, 1)]
    return referrals + tasks + contacts + [_of_referral(person, n, named) for n in person.several(0, 2)]


def _of_referral(person: Person, number: int, named: list[str]) -> Resource:
    element = person.random.choice(("about", "basedOn"))
    return person.make("Communication", number, "subject", status=person.mostly("completed", "not-done"), sent_=person.at(),
                       **{element: [to("ServiceRequest", person.random.choice(named))]})


def about_request(person: Person, _teams: list[str]) -> list[Resource]:
    """Requests to payers with their Tasks, answers, appeals, and what the member was told."""
    out: list[Resource] = []
    for n in person.several(1, 2):
        out += _request(person, n)
    return out


def _request(person: Person, n: int) -> list[Resource]:
    request = to("ServiceRequest", f"SR{n}-{person.member}")
    made = person.at()
    asked = person.make("ServiceRequest", n, "subject", status=person.mostly("active", "revoked"), intent="order",
                        category=[coded(N + "request-kind", "authorization")], authoredOn_=made,
                        code=coded(N + "requested-service", "housing-support"), requester_=person.org(),
                        priority=person.mostly("routine", "urgent", share=0.7))
    claim = person.make("Claim", n, "patient", status="active", use=person.mostly("preauthorization", "claim", share=0.95),
                        insurer_=person.org(), referral=request)
    task = person.make("Task", 10 * n, "for", status=person.random.choice(("requested", "on-hold", "completed", "cancelled")),
                       code=coded("http://hl7.org/fhir/CodeSystem/task-code", "approve"), focus=request, owner_=person.org(),
                       businessStatus_=coded(N + "request-status", person.random.choice(
                           ("submitted", "pended", "approved", "denied", "partly-approved", "withdrawn"))),
                       executionPeriod=person.mostly(None, {"end": person.at()}, share=0.5),
                       restriction=person.mostly(None, {"period": {"end": person.at()}}, share=0.4))
    answers = [_answer(person, 10 * n + k, claim["id"]) for k in person.several(0, 3)]
    appeals = [_appeal(person, 10 * n + k, request) for k in range(1, 1 + person.random.choice((0, 0, 1, 2)))]
    told = [_told(person, 10 * n + k, request) for k in person.several(0, 4)]
    return [one for one, share in ((asked, 1.0), (claim, 0.85), (task, 0.75)) if person.random.random() < share] \
        + answers + appeals + told


def _answer(person: Person, number: int, claim: str) -> Resource:
    decision = person.random.choice(("approved", "denied", "denied", "partly-approved", "pended", "extended", "extended", None))
    adjudication = [{"category": coded(N + "request-status", decision)}] if decision else None
    return _thinned(person.make(
        "ClaimResponse", number, "patient", status=person.mostly("active", "cancelled", share=0.95),
        use=person.mostly("preauthorization", "claim", share=0.95),
        outcome=person.random.choice(("complete", "queued")), created_=person.at(), request=to("Claim", claim),
        adjudication=adjudication))


def _appeal(person: Person, number: int, request: Resource) -> Resource:
    outcome = person.random.choice((None, None, "upheld", "overturned", "withdrawn"))
    return _thinned(person.make(
        "Task", number, "for", status=person.random.choice(("in-progress", "in-progress", "completed", "cancelled")),
        code=coded(N + "task-code", person.random.choice(("internal-appeal", "internal-appeal", "external-appeal"))),
        focus=request, authoredOn_=person.at(), priority=person.random.choice((None, "urgent", "routine")), owner_=person.org(),
        executionPeriod=person.random.choice((None, {"end": person.at()})),
        businessStatus=coded(N + "appeal-outcome", outcome) if outcome else None))


def _told(person: Person, number: int, request: Resource) -> Resource:
    topic = person.random.choice(("request-submitted", "request-pended", "request-decided", "appeal-rights", "request-update"))
    recipient: Any = [person.mostly(to("Patient", person.member), person.org())]
    return person.make("Communication", number, "subject", status=person.mostly("completed", "not-done"), recipient=recipient,
                       topic=coded(N + "communication-topic", topic), about=[request], sent_=person.at())


SUBJECTS: Subjects = {
    "loop": ((0, -1, -H, -D, -2 * D, -3 * D, -4 * D, -5 * D, -6 * D, -13 * D, -14 * D, -15 * D, -30 * D, 1, D), about_loop),
    "request": ((0, -1, -H, -D, -2 * D, -3 * D, -3 * D - 1, -7 * D, -8 * D, -14 * D, -15 * D, -20 * D, -21 * D, -22 * D, -30 * D,
                 -31 * D, -61 * D, -90 * D, -91 * D, -300 * D, 1, D, 3 * D), about_request),
}
