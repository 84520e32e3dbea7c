"""What organizations state of themselves and agree on: what the rules about organizations and pairs read."""

from __future__ import annotations

from tests.unit.gap_network import ORGS, D, N, Person, Resource, Subjects, coded, to

ELEMENTS = ("data-sharing", "transition-protocol", "release-protocol", "information-route")


def about_agreements(person: Person, _teams: list[str]) -> list[Resource]:
    """Agreements between pairs, in either order, and referrals between them."""
    referrals = [person.make("ServiceRequest", n, "subject", status="active", intent="order", authoredOn_=person.at(),
                             code=coded(N + "service", "housing"), requester=person.acting(), performer=[person.org()])
                 for n in person.several(0, 2)]
    return referrals + [_agreement(person, n) for n in person.several(0, 8)]


def _agreement(person: Person, number: int) -> Resource:
    one, other = person.random.choice((person.random.sample(ORGS, 2), ["oA", "oB"]))
    element = person.random.choice((*ELEMENTS, "information-route"))
    codes = [coded(N + "agreement", element)]
    if element == "information-route":
        codes += person.mostly([coded(N + "information-route", "e-referral")], [],
                               [coded(N + "information-route", "pigeon")], share=0.6)
    return _parts(person, "OrganizationAffiliation", number, organization=to("Organization", one),
                  participatingOrganization=to("Organization", other), code=codes, active_=person.mostly(True, False),
                  period=person.period(0.5, 0.5))


def about_staffing(person: Person, _teams: list[str]) -> list[Resource]:
    """Staff of coordinators, and numbers for any hour."""
    groups = [_parts(person, "Group", n, type=person.mostly("practitioner", "person", share=0.95),
                     active_=person.mostly(True, False, share=0.9), actual=True,
                     code=coded(N + "care-team-role", person.mostly("care-coordinator", "lead-coordinator", "peer-specialist")),
                     managingEntity=person.org(), characteristic=_facts(person)) for n in person.several(0, 3)]
    phone, mail = {"system": "phone", "value": "1"}, {"system": "email", "value": "a"}
    hours = [{"daysOfWeek": ["mon"], "allDay": True}]
    return groups + [_parts(person, "HealthcareService", n, providedBy=person.org(), active_=person.mostly(True, False),
                            type=[coded(N + "service", person.mostly("on-call", "housing"))],
                            telecom=person.mostly([phone], [mail], None),
                            availableTime=person.mostly(hours, None)) for n in person.several(0, 2)]


def _facts(person: Person) -> list[Resource]:
    period = person.mostly({}, {"period": {"start": person.at()}}, {"period": {"end": person.at()}}, share=0.7)
    facts = (("fte", person.random.choice((0, 0.5, 0.5, 1, 2.5))), ("capacity", person.random.choice((0, 1, 2, 60))))
    return [{"code": coded(N + "staffing-fact", name), "valueQuantity": {"value": value}, **period}
            for name, value in facts if person.random.random() < 0.9]


def about_training(person: Person, _teams: list[str]) -> list[Resource]:
    """Modules that were assigned, and what was learned."""
    learner = f"pT-{person.member}"
    learned = [{"code": coded(N + "training-module", person.random.choice(("module-1", "module-2"))),
                **({"period": period} if (period := person.period(0.9, 0.6)) else {})} for _ in person.several(0, 2)]
    modules = ("module-1", "module-1", "module-2", "module-3", "module-9")
    return [{"resourceType": "Practitioner", "id": learner, "qualification": learned}] + [_parts(
        person, "Task", n, status=person.mostly("requested", "completed", "cancelled", share=0.6),
        code=coded(N + "training-module", person.random.choice(modules)), owner=to("Practitioner", learner),
        authoredOn_=person.at(), executionPeriod=person.mostly(None, {"end": person.at()}),
        restriction=person.mostly({"period": {"end": person.at()}}, None, share=0.8), **{"for": person.org()})
        for n in person.several(1, 3)]


def about_culture(person: Person, _teams: list[str]) -> list[Resource]:
    """Self-assessments, of this year and of years before."""
    kinds = ("urn:x-careloop:questionnaire:culture-self-assessment", "urn:x-careloop:questionnaire:other")
    return [_parts(person, "QuestionnaireResponse", n, questionnaire=person.mostly(*kinds, share=0.9),
                   status=person.mostly("completed", "in-progress", share=0.9), subject=person.org(), authored_=person.at())
            for n in person.several(0, 3)]


def _parts(person: Person, kind: str, number: int, **parts: object) -> Resource:
    """A resource that is nobody's; one part in eight whose name ends with `_` is missing."""
    body = {name.rstrip("_"): value for name, value in parts.items()
            if value is not None and not (name.endswith("_") and person.random.random() < 1 / 8)}
    letters = "".join(c for c in kind if c.isupper())
    return {"resourceType": kind, "id": f"{letters}o{number}-{person.member}", **body}


SUBJECTS: Subjects = {
    "agreements": ((0, -1, 1, -D, D, -30 * D, -364 * D, -365 * D, -366 * D, 30 * D), about_agreements),
    "staffing": ((0, -1, 1, -D, D), about_staffing),
    "training": ((0, -1, 1, -D, D, -30 * D, 30 * D), about_training),
    "culture": ((0, -1, 1, -30 * D, -60 * D, -67 * D, -68 * D, -166 * D, -306 * D, -430 * D, -540 * D, -800 * D), about_culture),
}
