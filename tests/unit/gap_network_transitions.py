"""People who left a bed or an emergency department, and what follows: what the rules of transitions read."""

from __future__ import annotations

from tests.unit.gap_network import D, N, Person, Resource, Subjects, coded, to

H = 3600
MINE = "oM"
"""An organization that is there for these subjects alone: a managing entity, a clinic of mental health or a unit."""


def about_transition(person: Person, _teams: list[str]) -> list[Resource]:
    """Stays, and some of what can follow them: never all at once, so that most things are missing somewhere."""
    stays = [stay(person, n, ("IMP", "IMP", "ACUTE", "NONAC", "EMER")) for n in person.several(1, 3)]
    return [*_common(person, stays), *[reconciliation(person, n) for n in person.several(0, 2)]]


def about_emergency(person: Person, _teams: list[str]) -> list[Resource]:
    """Emergency visits with a reason, and what can follow them."""
    stays = [stay(person, n, ("EMER", "EMER", "EMER", "IMP")) for n in person.several(1, 2)]
    return [*_common(person, stays), *[problem(person, n) for n in person.several(0, 1)]]


def about_linkage(person: Person, _teams: list[str]) -> list[Resource]:
    """Stays at a higher level of care of people with a medication."""
    stays = [stay(person, 0, ("IMP",))]
    stays[0]["type"] = [coded(N + "visit-type", person.mostly("psychiatric-inpatient", "detox"))]
    return [*_common(person, stays), *[{**medicine(person, n), "status": "active"} for n in (3, 4)],
            *[message(person, n, [stays[0]["id"]]) for n in (3, 4)]]


def _common(person: Person, stays: list[Resource]) -> list[Resource]:
    kind = person.random.choice(("mental-health", "managing-entity", "managing-entity", "csu", "hospital"))
    found: list[Resource] = [
        {"resourceType": "Organization", "id": f"{MINE}-{person.member}", "type": [coded(N + "organization-type", kind)]},
        {"resourceType": "PractitionerRole", "id": f"rS-{person.member}", "practitioner": to("Practitioner", "pC"),
         "organization": to("Organization", f"{MINE}-{person.member}"),
         "specialty": [{"coding": [{"system": "http://nucc.org/provider-taxonomy",
                                    "code": person.mostly("208D00000X", "2084P0800X", share=0.6)}]}]}]
    found += stays
    found += [visit(person, n) for n in person.several(0, 2)]
    found += [{**person.contact(n, [["face-to-face"], ["video"], ["telephone"], ["message"]], 0.4), "id": f"C{n}-{person.member}"}
              for n in person.several(0, 2)]
    found += [message(person, n, [s["id"] for s in stays]) for n in person.several(0, 2)]
    found += [flag(person, n) for n in person.several(0, 1)]
    return found + [medicine(person, n) for n in person.several(0, 2)]


def role(person: Person) -> Resource:
    """Somebody of the organization of these subjects, by what they are there."""
    return to("PractitionerRole", f"rS-{person.member}")


def where(person: Person) -> Resource:
    """An organization of the network, or the one of these subjects."""
    return person.random.choice((person.org(), to("Organization", f"{MINE}-{person.member}")))


def stay(person: Person, number: int, classes: tuple[str, ...]) -> Resource:
    """A stay in a bed or an emergency visit, its parts now and then missing."""
    kinds = [coded("http://terminology.hl7.org/CodeSystem/v2-0007", person.mostly("E", "C", "R", "U", share=0.5))]
    kinds += [coded(N + "visit-type", person.random.choice(("inpatient", "psychiatric-inpatient", "crisis-stabilization")))]
    left = coded("http://terminology.hl7.org/CodeSystem/discharge-disposition",
                 person.mostly("home", "exp", "hosp", "psy", share=0.8))
    services = coded("urn:x", person.mostly("MED", "PSY", "310116000", share=0.7))
    period = person.period(0.9, 0.95) or {}
    made = person.make("Encounter", number, "subject",
                       status=person.mostly("finished", "in-progress", "planned", "cancelled", share=0.85),
                       period_=period, serviceProvider_=where(person), serviceType=person.mostly(None, services),
                       type=person.random.choice((kinds, kinds[:1], kinds[1:], None)),
                       hospitalization=person.mostly({"dischargeDisposition": left}, None, share=0.5),
                       **{"class": {"code": person.random.choice(classes)}}, **reasons(person))
    return {**made, "id": f"stay{number}-{person.member}"}


def reasons(person: Person) -> Resource:
    """Why a visit took place: coded reasons, or diagnoses with or without a rank."""
    blocks = ("F32.9", "F32.9", "F10.20", "F10.20", "R07.9", "T40.1X1A", "F17.210")
    draw = person.random.random()
    if draw < 0.45:
        return {"reasonCode": [coded("http://hl7.org/fhir/sid/icd-10-cm", person.random.choice(blocks))
                               for _ in person.several(1, 2)]}
    if draw < 0.75:
        return {"diagnosis": [{"condition": to("Condition", f"C0-{person.member}"),
                               **person.random.choice(({}, {"rank": 1}, {"rank": 2}))} for _ in person.several(1, 2)]}
    return {}


def problem(person: Person, number: int) -> Resource:
    """A problem of the person's, which a diagnosis may name."""
    return person.make("Condition", number, "subject", code_=coded("http://hl7.org/fhir/sid/icd-10-cm",
                                                                  person.random.choice(("F33.1", "F11.20", "I10"))),
                       clinicalStatus=coded("urn:x", "active"))


def visit(person: Person, number: int) -> Resource:
    """A visit outside a bed."""
    kind = person.random.choice(("office", "behavioral-health", "urgent-care", ""))
    who = [{"individual": person.mostly(person.person(), role(person),
                                        to("Practitioner", "pC"))}]
    made = person.make("Encounter", number, "subject", period={"start": person.at()}, participant=person.mostly(None, who),
                       status=person.mostly("finished", "planned", "in-progress", "cancelled"),
                       type=[coded(N + "visit-type", kind)] if kind else None, serviceProvider_=where(person),
                       **{"class": {"code": person.random.choice(("AMB", "AMB", "VR", "HH", "OBSENC"))}}, **reasons(person))
    return {**made, "id": f"visit{number}-{person.member}"}


def message(person: Person, number: int, stays: list[str]) -> Resource:
    """A notice to organizations, or a refusal."""
    sent = person.mostly({"sent": person.at()}, {"sent": person.at(), "received": person.at()}, {}, share=0.6)
    about = person.random.choice(([to("Encounter", person.random.choice(stays))], None, None))
    if person.random.random() < 0.25:
        why = person.random.choice((coded("urn:x", "patient-objection"), coded(N + "not-done-reason", "refused"),
                                    coded("urn:x", "recipient-unavailable")))
        return person.make("Communication", number, "subject", status="not-done", about=about, statusReason_=why,
                           reasonCode=[coded(N + "contact-purpose", person.mostly("psychiatric-linkage", "engagement"))], **sent)
    topics = ("admission-notice", "discharge-summary", "transition", "no-appointment", "no-appointment", "general")
    return person.make("Communication", number, "subject", status=person.mostly("completed", "not-done", "in-progress"),
                       topic=coded(N + "communication-topic", person.random.choice(topics)), about=about,
                       recipient=[person.random.choice((where(person), person.person(), role(person)))
                                  for _ in person.several(1, 2)], **sent)


def flag(person: Person, number: int) -> Resource:
    """A level of risk."""
    return person.make("Flag", number, "subject", status=person.mostly("active", "inactive"), period=person.period(0.6, 0.2),
                       code=coded(N + "risk-level", person.mostly("high", "low", "very-high", share=0.6)))


def medicine(person: Person, number: int) -> Resource:
    """A medication that was ordered, or is said to be taken."""
    status = person.mostly("active", "stopped", "completed", "cancelled", share=0.7)
    period = person.mostly(None, person.period(), share=0.5)
    if person.random.random() < 0.5:
        return person.make("MedicationStatement", number, "subject", status=status, effectivePeriod=period,
                           dateAsserted_=person.at())
    timing = [{"timing": {"repeat": {"boundsPeriod": period}}}] if period else None
    return person.make("MedicationRequest", number, "subject", status=status, authoredOn_=person.at(), dosageInstruction=timing)


def reconciliation(person: Person, number: int) -> Resource:
    """A reconciliation of medications, or another act."""
    code = person.mostly(coded("http://snomed.info/sct", "430193006"), coded("http://www.ama-assn.org/go/cpt", "1111F"),
                         coded("http://snomed.info/sct", "1"))
    return person.make("Procedure", number, "subject", status=person.mostly("completed", "not-done", "in-progress"),
                       code=code, performedDateTime_=person.at())


_DAYS = (0, 0, -1, -1, -2, -2, -3, -4, -7, -7, -8, -9, -14, -15, -16, -30, -31, -32, -33, 1)
_OFFSETS = [day * D + more for day in _DAYS for more in (0, -5 * H)]

SUBJECTS: Subjects = {
    "transition": (_OFFSETS, about_transition),
    "linkage": (_OFFSETS, about_linkage),
    "emergency": (_OFFSETS, about_emergency),
}
"""Subjects of G06, G08, G09, G10 and G28."""
