"""Small made-up networks for the gap tests, drawn evenly (a seed, no shrinking) around the rules' boundaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

Resource = dict[str, Any]
N = "urn:x-careloop:"
ORGS = ("oA", "oB", "oC")
PARTS = ("specialist", "specialist", "mental-health", "primary-care", "natural-support")
PEOPLE = ("pA", "pB", "pC")
ROLES = {"rA": ("pA", "oA"), "rB": ("pB", "oB")}
ZONE = ZoneInfo("America/New_York")
DISPOSITION = "http://terminology.hl7.org/CodeSystem/discharge-disposition"

NOWS = (
    datetime(2026, 3, 8, 17, tzinfo=UTC),  # the day summer time begins
    datetime(2026, 11, 2, 4, 59, 59, tzinfo=UTC),  # the last second of the day it ends
    datetime(2028, 2, 29, 5, tzinfo=UTC),  # midnight of a leap day
    datetime(2026, 6, 15, 12, 30, tzinfo=UTC),
)
H, D = 3600, 86400
About = Callable[["Person", list[str]], list[Resource]]
Subjects = Mapping[str, tuple[Sequence[int], About]]
"""What a person can be drawn about: seconds from the as-of instant where its boundaries lie, and what makes its resources
(of a person and the ids of the care teams)."""


def network(random: Random, subjects: Subjects, now: datetime) -> list[Resource]:
    """The resources of one or two people at that instant, each drawn about one of the subjects; references may dangle."""
    resources: list[Resource] = [
        {"resourceType": "Organization", "id": o, "name": o, **_zoned(random), **_kind(random),
         "identifier": [{"system": N + "organization", "value": o}]} for o in ORGS]
    resources += [_entry(random, number, now) for number in range(random.randint(0, 3))]
    for role, (person, organization) in ROLES.items():
        resources.append({"resourceType": "PractitionerRole", "id": role, "practitioner": to("Practitioner", person),
                          "organization": to("Organization", organization)})
    for number in range(random.choice((1, 1, 2))):
        resources += Person(random, f"m{number}", now, subjects).resources()
    merged = [{"type": "replaced-by", "other": to("Patient", "m0")}]
    return [*resources, {"resourceType": "Patient", "id": "old", "link": merged}]


def _zoned(random: Random) -> Resource:
    """A time zone of an organization's own: the network's, another of the calendar, one that it has not, or none."""
    zone = random.choice(("America/New_York", "America/Chicago", "America/Chicago", "Asia/Tokyo", None))
    return {"extension": [{"url": N + "time-zone", "valueCode": zone}]} if zone else {}


def _kind(random: Random) -> Resource:
    """A few are 42 CFR Part 2 programs, or no longer in use."""
    kind = {"type": [coded(N + "organization-type", "part2-program")]}
    return (kind if random.random() < 0.2 else {}) | ({"active": False} if random.random() < 0.06 else {})


def _entry(random: Random, number: int, now: datetime) -> Resource:
    """An entry of the resource directory, verified about 180 days before."""
    day = now.astimezone(ZONE).date() - timedelta(days=random.choice((0, -1, 100, 165, 166, 167, 179, 180, 181, 182)))
    verified = [{"url": N + "last-verified", "valueDate": day.isoformat()}]
    entry: Resource = {"resourceType": "HealthcareService", "id": f"h{number}", "extension": verified,
                       "providedBy": to("Organization", random.choice(ORGS)), "active": True,
                       "type": [coded(N + "service", random.choice(("housing", "housing", "on-call")))]}
    for name in ("extension", "active", "type"):
        if random.random() < 0.1:
            del entry[name]
    return entry | ({"active": False} if random.random() < 0.1 else {})


def to(kind: str, resource_id: str) -> Resource:
    """A reference."""
    return {"reference": f"{kind}/{resource_id}"}


def coded(system: str, *found: str) -> Resource:
    """A CodeableConcept."""
    return {"coding": [{"system": system, "code": code} for code in found]}


class Person:
    """One person's resources, drawn about one subject: what the other rules read is kept plain."""

    def __init__(self, random: Random, member: str, now: datetime, subjects: Subjects) -> None:
        self.random = random
        self.member = member
        self.now = now
        self.subject = random.choice(sorted(subjects))
        self.offsets, self.about = subjects[self.subject]

    # --- how things are drawn
    def mostly(self, usual: Any, *others: Any, share: float = 0.85) -> Any:
        return usual if self.random.random() < share else self.random.choice(others)

    def at(self) -> str:
        moment = (self.now + timedelta(seconds=self.random.choice(self.offsets))).astimezone(ZONE)
        return self.mostly(moment.isoformat(), moment.date().isoformat(), share=0.7)

    def period(self, start: float = 0.5, end: float = 0.3) -> Resource | None:
        found = {"start": self.at()} if self.random.random() < start else {}
        return found | ({"end": self.at()} if self.random.random() < end else {}) or None

    def org(self) -> Resource:
        return to("Organization", self.random.choice(ORGS))

    def person(self) -> Resource:
        role = to("PractitionerRole", self.random.choice(tuple(ROLES)))
        return self.mostly(to("Practitioner", self.random.choice(PEOPLE)), role)

    def acting(self) -> Resource:
        return self.mostly(self.org(), self.person(), share=0.6)

    def program(self) -> Any:
        return self.mostly([coded(N + "program", "care-coordination")], [coded(N + "program", "other")], None,
                           share=0.9)

    def several(self, least: int, most: int) -> range:
        return range(self.random.randint(least, most))

    def make(self, kind: str, number: int, element: str, **parts: Any) -> Resource:
        """A resource about the person; one part in fifteen that may be missing is (its name ends with `_`)."""
        body: Resource = {}
        for name, value in parts.items():
            if value is not None and not (name.endswith("_") and self.random.random() < 1 / 15):
                body[name.rstrip("_")] = value
        letters = "".join(c for c in kind if c.isupper())
        return {"resourceType": kind, "id": f"{letters}{number}-{self.member}",
                element: to("Patient", self.member), **body}

    # --- what is drawn
    def resources(self) -> list[Resource]:
        out = [self.make("EpisodeOfCare", n, "patient", status=self.mostly("active", "finished", "planned",
                                                                            "cancelled"),
                          type=self.program(), managingOrganization_=self.org(),
                          period=self.mostly(None, self.period()))
                for n in self.several(1, 2)]
        teams = [self.make("CareTeam", n, "subject", status=self.mostly("active", "inactive", share=0.95),
                           category=self.program(),
                           participant=self.seats(), period=self.mostly(None, self.period()))
                 for n in self.several(1, 2 if self.subject == "plan" else 1)]
        out += [*teams, *self.about(self, [team["id"] for team in teams])]
        told_of = any(resource["resourceType"] == "Patient" for resource in out)  # a subject may say more of the person itself
        return out if told_of else [{"resourceType": "Patient", "id": self.member}, *out]

    def seats(self) -> list[Resource]:
        seats = [self.seat() for _ in self.several(2, 4)]
        if self.subject == "lead" and self.random.random() < 0.6:  # a change of lead
            former, new = seats[:2]
            former["period"] = {"end": self.at()} | ({"start": "2020-01-01"} if self.random.random() < 0.7 else {})
            new["period"] = {"start": self.at()}
            return [former, new]
        return seats

    def seat(self) -> Resource:
        lead, snomed = coded(N + "care-team-role", "lead-coordinator"), coded("http://snomed.info/sct", "768820003")
        others = [[coded(N + "care-team-role", "care-coordinator"), snomed],
                  [coded(N + "care-team-role", self.random.choice(PARTS))]]
        leads = [[lead, snomed], [lead], [snomed]]
        of_lead = self.subject == "lead"
        seat: Resource = {"role": self.random.choice(leads if self.random.random() < (0.9 if of_lead else 0.25)
                                                     else others)}
        seat["member"] = self.mostly(self.person(), self.org(), to("RelatedPerson", "kin"), None, share=0.9)
        seat["onBehalfOf"] = self.mostly(self.org(), None)
        seat["period"] = self.period(0.9, 0.6) if of_lead else self.mostly(None, self.period())
        return {name: value for name, value in seat.items() if value is not None}

    def about_lead(self, _teams: list[str]) -> list[Resource]:
        return [self.contact(n, [["telephone", "warm-handoff"], ["face-to-face"]], 0.9) for n in self.several(1, 3)]

    def about_plan(self, teams: list[str]) -> list[Resource]:
        goals = [self.make("Goal", n, "subject", lifecycleStatus=self.mostly("active", "cancelled", "rejected",
                                                                             share=0.7))
                 for n in self.several(0, 2)]
        named = [goal["id"] for goal in goals] or ["none"]
        return goals + [self.make(
            "CarePlan", n, "subject", status=self.mostly("active", "completed", "draft", share=0.7),
            category=self.program(),
            period=self.period(), created=self.mostly(None, self.at()), author_=self.acting(),
            careTeam=[to("CareTeam", self.mostly(self.random.choice(teams), "none")) for _ in self.several(1, 2)],
            goal=[to("Goal", self.random.choice(named)) for _ in self.several(1, 2)],
            contributor=[self.acting() for _ in self.several(0, 3)]) for n in self.several(0, 2)]

    def about_handover(self, _teams: list[str]) -> list[Resource]:
        referrals = [self.make(
            "ServiceRequest", n, "subject", status=self.mostly("active", "revoked", "completed", "draft"),
            authoredOn_=self.at(),
            intent=self.mostly("order", "plan"), performer_=[self.org() for _ in self.several(1, 2)],
            code=self.mostly(coded(N + "service", "housing"), coded("urn:other", "x"))) for n in self.several(0, 2)]
        named = [referral["id"] for referral in referrals] or ["none"]
        tasks = [self.make("Task", n, "for", status=self.random.choice(("requested", "cancelled", "rejected",
                                                                        "failed")),
                           focus=to("ServiceRequest", self.random.choice(named)), lastModified_=self.at(),
                           executionPeriod=self.mostly(None, self.period())) for n in self.several(0, 2)]
        stays = [self.make("Encounter", n, "subject", status=self.mostly("finished", "in-progress", "cancelled"),
                           period_=self.period(0.9, 0.9), hospitalization=self.mostly(None, *(
                               {"dischargeDisposition": coded(DISPOSITION, where)} for where in ("home", "exp", "hosp"))),
                           **{"class": {"code": self.mostly("IMP", "ACUTE", "EMER")}})
                 for n in self.several(0, 2)]
        contacts = [self.contact(n, [["face-to-face"], ["video"], ["face-to-face", "warm-handoff"]], 0.8)
                    | {"basedOn": [to("ServiceRequest", self.random.choice(named))]} for n in self.several(0, 3)]
        return referrals + tasks + [{**stay, "id": f"stay-{stay['id']}"} for stay in stays] + contacts

    def about_consent(self, _teams: list[str]) -> list[Resource]:
        return [self.agreement(n) for n in self.several(0, 1)] + [self.make(
            "Consent", n, "patient", status=self.mostly("active", "inactive", "rejected", "draft", share=0.7),
            organization=[to("Organization", o) for o in self.random.sample(ORGS, self.random.choice((1, 3, 3)))],
            dateTime=self.mostly("2020-01-01", self.at()), provision=self.provision()) for n in self.several(1, 3)]

    def agreement(self, number: int) -> Resource:
        """An agreement of two organizations, mostly to share data."""
        one, other = self.random.sample(ORGS, 2)
        return {"resourceType": "OrganizationAffiliation", "id": f"OAc{number}-{self.member}", "active": self.mostly(True, False),
                "organization": to("Organization", one), "participatingOrganization": to("Organization", other),
                "code": [coded(N + "agreement", self.mostly("data-sharing", "release-protocol"))],
                **({"period": period} if (period := self.period(0.3, 0.3)) else {})}

    def provision(self) -> Resource:
        classes = self.random.choice((["all"], ["general"], ["hiv"], ["hiv", "general"], []))
        parts: Resource = {
            "type": self.mostly("permit", "deny"), "period": self.period(0.6, 0.7),
            "actor": [{"role": coded("urn:v3", self.mostly("IRCP", "CST")), "reference": to("Organization", o)}
                      for o in self.random.sample(ORGS, self.random.choice((1, 3, 3)))],
            "code": [coded(N + "data-class", code) for code in classes],
            "provision": self.mostly(None, [{"type": "deny"}])}
        return {name: value for name, value in parts.items() if value}

    def contact(self, number: int, kinds: list[list[str]], share: float) -> Resource:
        kind = self.mostly(kinds[0], *kinds[1:], share=share)
        other = [{"url": N + "organization-present", "valueReference": self.org()}]
        return self.make("Encounter", number, "subject", status=self.mostly("finished", "in-progress", "planned",
                                                                            "cancelled"),
                         type=[coded(N + "contact-type", code) for code in kind], period={"start": self.at()},
                         serviceProvider_=self.org(), extension=self.mostly(other, None, share=0.6),
                         participant=[{"individual": self.person()} for _ in self.several(0, 2)],
                         **{"class": {"code": "AMB"}})


SUBJECTS: Subjects = {
    "lead": ((0, -1, -D, -D, -2 * D, -2 * D, -3 * D, -7 * D, -7 * D - 1, -8 * D, -9 * D, -10 * D, -10 * D, -90 * D, D),
             Person.about_lead),
    "plan": ((-1, -1, -D, -30 * D, 0, 1, D, 30 * D), Person.about_plan),
    "handover": ((0, -1, -H, -D, -D - 1, -D + 1, -2 * D, -2 * D - 1, -2 * D + 1, 1), Person.about_handover),
    "consent": ((0, -1, 1, 30 * D, 30 * D - 1, 30 * D + 1, -30 * D, 40 * D, -D, D), Person.about_consent),
}
"""Subjects of the first rules: G01, G02, G07, G13."""
