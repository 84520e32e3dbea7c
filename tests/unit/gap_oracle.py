"""The rules once more, in plain Python over FHIR resources and datetimes: written from the requirement, not the SQL.

Nothing of the program is used, so that a misreading of a view, a statement or a dialect shows as a difference.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("America/New_York")
NETWORK = "urn:x-careloop:"
DAY = timedelta(days=1)
DISPOSITION = "http://terminology.hl7.org/CodeSystem/discharge-disposition"
Resource = dict[str, Any]


class Answer(NamedTuple):
    """What a gap must say: everything but words and evidence. member: or the organization that it is about."""

    rule: str
    member: str
    item: str
    state: str
    reason: str | None
    due: datetime | None
    organization: str
    party: str


class Span(NamedTuple):
    """First and last second of what a FHIR time names."""

    first: datetime
    last: datetime

    @property
    def day(self) -> date:
        return self.first.astimezone(ZONE).date()


def span(text: str | None) -> Span | None:
    if text is None:
        return None
    if "T" in text:
        moment = datetime.fromisoformat(text).astimezone(UTC)
        return Span(moment, moment)
    day = date.fromisoformat(text)
    first = datetime.combine(day, time(), ZONE).astimezone(UTC)
    return Span(first, datetime.combine(day + DAY, time(), ZONE).astimezone(UTC) - timedelta(seconds=1))


def codes(concepts: Any, system: str) -> list[str]:
    concepts = concepts if isinstance(concepts, list) else [concepts] if concepts else []
    return [c["code"] for concept in concepts for c in concept.get("coding", []) if c.get("system") == system]


def key(reference: Any, resource_type: str) -> str | None:
    kind, _, found = (reference or {}).get("reference", "").partition("/")
    return found if kind == resource_type else None


def holds(period: Resource | None, now: datetime) -> bool:
    start, end = span((period or {}).get("start")), span((period or {}).get("end"))
    return (start is None or start.first <= now) and (end is None or end.last >= now)


class Seat(NamedTuple):
    """Somebody's place on a care team that stands."""

    team: str
    lead: bool
    practitioner: str | None
    person: str | None
    organization: str | None
    start: Span | None
    end: Span | None
    now: bool
    part: str | None


class Oracle:
    """All that is known of one person, at one instant."""

    def __init__(self, resources: list[Resource], member: str, now: datetime) -> None:
        self.now = now
        self.member = member
        self.resources = resources
        self.roles = {r["id"]: r for r in resources if r["resourceType"] == "PractitionerRole"}
        self.enrollments = [e for e in self.mine("EpisodeOfCare", "patient") if self.enrolled_in(e)]
        self.teams = [t for t in self.mine("CareTeam", "subject")
                      if t["status"] == "active" and self.of_program(t.get("category")) and holds(t.get("period"), now)]
        self.seats = [self.seat(team["id"], p) for team in self.teams for p in team.get("participant", [])]
        self.taken = [s for s in self.seats if s.now]
        leads = [s for s in self.taken if s.lead]
        self.lead_seats = leads
        self.leads = {s.person for s in leads} - {None}
        one = len(self.leads) == 1
        organizations = [s.organization for s in leads if s.organization]
        self.lead_organization = min(organizations) if one and organizations else None
        practitioners = [s.practitioner for s in leads if s.practitioner]
        named = f"Practitioner/{min(practitioners)}" if practitioners else min(self.leads, default="")
        self.lead = named if one else ""
        managers = [m for m in (key(e.get("managingOrganization"), "Organization") for e in self.enrollments) if m]
        self.manager = min(managers) if managers else self.lead_organization

    def mine(self, resource_type: str, element: str) -> list[Resource]:
        wanted = f"Patient/{self.member}"
        return [r for r in self.resources
                if r["resourceType"] == resource_type and r.get(element, {}).get("reference") == wanted]

    def of_program(self, concepts: Any) -> bool:
        found = codes(concepts, NETWORK + "program")
        return not found or found[0] == "care-coordination"

    def enrolled_in(self, episode: Resource) -> bool:
        period = episode.get("period") or {}
        if codes(episode.get("type"), NETWORK + "program")[:1] != ["care-coordination"]:
            return False
        if episode["status"] == "finished":
            return bool(period.get("start") and period.get("end")) and holds(period, self.now)
        return episode["status"] == "active" and holds(period, self.now)

    def acting(self, *references: Any) -> tuple[str | None, str | None]:
        """(practitioner, organization) whom references name, PractitionerRoles looked up."""
        practitioner = organization = None
        for reference in references:
            role = self.roles.get(key(reference, "PractitionerRole") or "", {})
            for found in (reference, role.get("practitioner"), role.get("organization")):
                practitioner = practitioner or key(found, "Practitioner")
                organization = organization or key(found, "Organization")
        return practitioner, organization

    def seat(self, team: str, participant: Resource) -> Seat:
        own = codes(participant.get("role"), NETWORK + "care-team-role")
        snomed = codes(participant.get("role"), "http://snomed.info/sct")
        lead = "lead-coordinator" in own if own else "768820003" in snomed
        practitioner, organization = self.acting(participant.get("onBehalfOf"), participant.get("member"))
        person = practitioner or (participant.get("member") or {}).get("reference")
        period = participant.get("period") or {}
        return Seat(team, lead, practitioner, person, organization, span(period.get("start")), span(period.get("end")),
                    holds(period, self.now), own[0] if own else None)

    def answer(self, rule: str, state: str, reason: str | None = None, *, item: str = "", due: datetime | None = None,
               organization: str | None = None, party: str = "") -> Answer:
        return Answer(rule, self.member, item, state, reason, due, organization or "", party)

    def answers(self) -> list[Answer]:
        return [self.g01(), self.g02(), *self.g07(), *self.g13()]

    # --- G01
    def g01(self) -> Answer:
        who = {"organization": self.manager, "party": self.lead}
        if not self.enrollments:
            return self.answer("G01", "not-applicable", **who)
        if len(self.leads) != 1:
            reason = "count-out-of-range" if self.leads else "missing-element" if self.lead_seats else "not-found"
            return self.answer("G01", "open", reason, **who)
        began = min((s.start for s in self.lead_seats if s.start), default=None)
        former = [s for s in self.seats
                  if s.lead and s.person and s.person not in self.leads and s.end and s.end.last < self.now
                  and (began is None or s.start is None or s.start.first < began.first)]
        if not former:
            return self.answer("G01", "closed", **who)
        if began is None:
            return self.answer("G01", "open", "not-computable", **who)
        return self.lead_changed(former, began, who)

    def lead_changed(self, former: list[Seat], began: Span, who: dict[str, Any]) -> Answer:
        left = max(s.end.day for s in former if s.end)
        if began.day > left + DAY:
            return self.answer("G01", "open", "date-out-of-range", **who)
        if any(self.handed_over(c, [s for s in former if s.end and s.end.day == left], began) for c in self.contacts()):
            return self.answer("G01", "closed", **who)
        by = began.first + 7 * DAY
        if by >= self.now:
            return self.answer("G01", "prospective", due=by, **who)
        return self.answer("G01", "open", "not-found", **who)

    def handed_over(self, contact: Resource, former: list[Seat], began: Span) -> bool:
        start = span(contact["period"]["start"])
        warm = "warm-handoff" in codes(contact["type"], NETWORK + "contact-type")
        if not warm or start is None or start.first > self.now or abs(start.first - began.first) > 7 * DAY:
            return False
        present = self.present(contact)
        who, where = self.min_of("practitioner"), self.min_of("organization")

        def there(practitioner: str | None, organization: str | None, same: bool) -> bool:
            return (practitioner is not None and ("p", practitioner) in present) or (
                organization is not None and not same and ("o", organization) in present)

        return any(there(s.practitioner, s.organization, s.organization == where) and there(who, where, s.organization == where)
                   for s in former)

    def min_of(self, field: str) -> str | None:
        return min((getattr(s, field) for s in self.lead_seats if getattr(s, field)), default=None)

    def contacts(self) -> list[Resource]:
        return [e for e in self.mine("Encounter", "subject") if codes(e.get("type"), NETWORK + "contact-type")
                and e["status"] not in ("planned", "cancelled", "entered-in-error")]

    def present(self, contact: Resource) -> set[tuple[str, str | None]]:
        others = [e["valueReference"] for e in contact.get("extension", []) if "valueReference" in e]
        found: set[tuple[str, str | None]] = set()
        for reference in [contact.get("serviceProvider"), *others,
                          *(p.get("individual") for p in contact.get("participant", []))]:
            practitioner, organization = self.acting(reference)
            found |= {("p", practitioner), ("o", organization)}
        return found

    # --- G02
    def g02(self) -> Answer:
        who = {"organization": self.lead_organization or self.manager, "party": self.lead}
        if not self.enrollments:
            return self.answer("G02", "not-applicable", **who)
        faults = [self.fault(plan) for plan in self.mine("CarePlan", "subject") if self.plan_stands(plan)]
        if not faults:
            return self.answer("G02", "open", "not-found", **who)
        for reason in (None, "count-out-of-range", "missing-element"):
            if reason in faults:
                return self.answer("G02", "open" if reason else "closed", reason, **who)
        raise AssertionError(faults)

    def plan_stands(self, plan: Resource) -> bool:
        period = plan.get("period") or {}
        start, end = span(period.get("start") or plan.get("created")), span(period.get("end"))
        if (start and start.first > self.now) or (end and end.last < self.now):
            return False
        if not self.of_program(plan.get("category")):
            return False
        return plan["status"] == "active" or (plan["status"] == "completed" and end is not None)

    def fault(self, plan: Resource) -> str | None:
        teams = {key(t, "CareTeam") for t in plan.get("careTeam", [])} & {t["id"] for t in self.teams}
        goals = {g["id"] for g in self.mine("Goal", "subject")
                 if g["lifecycleStatus"] not in ("cancelled", "rejected", "entered-in-error")}
        if not teams or not goals & {key(g, "Goal") for g in plan.get("goal", [])}:
            return "missing-element"
        team = [s for s in self.taken if s.team in teams]
        organizations: set[str | None] = set()
        for reference in [plan.get("author"), *plan.get("contributor", [])]:
            practitioner, organization = self.acting(reference)
            organizations |= {s.organization for s in team if (practitioner and s.practitioner == practitioner)
                              or (organization and s.organization == organization)}
        return None if len(organizations - {None}) >= 2 else "count-out-of-range"

    # --- G07
    def g07(self) -> list[Answer]:
        found = [a for a in [*map(self.referred, self.mine("ServiceRequest", "subject")),
                             *map(self.discharged, self.mine("Encounter", "subject"))] if a]
        if found:
            return found
        return [self.answer("G07", "not-applicable", **self.responsible(self.manager))]

    def faces(self) -> list[tuple[Resource, datetime]]:
        met: list[tuple[Resource, datetime]] = []
        for contact in self.contacts():
            start = span(contact["period"]["start"])
            kinds = [c for c in codes(contact["type"], NETWORK + "contact-type") if c != "warm-handoff"]
            if kinds[:1] == ["face-to-face"] and start and start.first <= self.now:
                met.append((contact, start.first))
        return met

    def referred(self, referral: Resource) -> Answer | None:
        made = span(referral.get("authoredOn"))
        if not codes(referral["code"], NETWORK + "service") or referral["intent"] in ("plan", "proposal") \
                or referral["status"] in ("draft", "entered-in-error") or (made and made.first > self.now):
            return None
        to = next((k for k in (key(p, "Organization") for p in referral.get("performer", [])) if k), None)
        who = self.responsible(to or self.manager) | {"item": f"ServiceRequest/{referral['id']}"}
        due = made.last + DAY if made else None
        if self.referral_ended(referral, due):
            return self.answer("G07", "not-applicable", due=due, **who)
        if made is None or due is None:
            return self.answer("G07", "open", "not-computable", **who)
        met = [at for contact, at in self.faces() if at >= made.first and self.by(contact, to, referral["id"])]
        if any(at <= due for at in met):
            return self.answer("G07", "closed", due=due, **who)
        if due >= self.now:
            return self.answer("G07", "prospective", due=due, **who)
        return self.answer("G07", "missed", "date-out-of-range" if met else "not-found", due=due, **who)

    def referral_ended(self, referral: Resource, due: datetime | None) -> bool:
        tasks = [t for t in self.mine("Task", "for") if key(t.get("focus"), "ServiceRequest") == referral["id"]
                 and t["status"] in ("cancelled", "rejected")]
        if not tasks:
            return referral["status"] == "revoked"
        times = [span((t.get("executionPeriod") or {}).get("end") or t.get("lastModified")) for t in tasks]
        known = [t.first for t in times if t]
        if not known or due is None:
            return True
        return min(known) <= min(self.now, due)

    def by(self, contact: Resource, organization: str | None, referral: str) -> bool:
        if organization and ("o", organization) in self.present(contact):
            return True
        answers = [key(b, "ServiceRequest") for b in contact.get("basedOn", [])][:1] == [referral]
        return answers and (organization is None or key(contact.get("serviceProvider"), "Organization") is None)

    def discharged(self, stay: Resource) -> Answer | None:
        if codes(stay.get("type"), NETWORK + "contact-type") or stay["status"] != "finished" \
                or stay["class"]["code"] not in ("IMP", "ACUTE", "NONAC"):
            return None
        period = stay.get("period") or {}
        start, end = span(period.get("start")), span(period.get("end"))
        if (end and end.last > self.now) or (end is None and start and start.first > self.now):
            return None
        who = self.responsible(self.manager) | {"item": f"Encounter/{stay['id']}", "due": end.last if end else None}
        if {"exp", "hosp"} & set(codes((stay.get("hospitalization") or {}).get("dischargeDisposition"), DISPOSITION)):
            return self.answer("G07", "not-applicable", **who)
        if start is None or end is None:
            return self.answer("G07", "open", "not-computable", **who)
        if any(start.first <= at <= end.last for _, at in self.faces()):
            return self.answer("G07", "closed", **who)
        return self.answer("G07", "missed", "not-found", **who)

    def responsible(self, organization: str | None) -> dict[str, Any]:
        same = organization is not None and self.lead_organization == organization
        return {"organization": organization, "party": self.lead if same else ""}

    # --- G13
    def g13(self) -> list[Answer]:
        organizations = {s.organization for s in self.taken} - {None}
        who = self.responsible(self.manager)
        if len(organizations) < 2:
            who["party"] = ""
            return [self.answer("G13", "not-applicable", **who)]
        return [self.pair(recipient, who) for recipient in sorted(o for o in organizations if o and o != self.manager)]

    def pair(self, recipient: str, who: dict[str, Any]) -> Answer:
        who = who | {"item": f"{self.manager or ''}>{recipient}"}
        if self.manager is None:
            return self.answer("G13", "open", "not-computable", **who)
        consents = [c for c in self.mine("Consent", "patient") if self.names(c, recipient)]
        given = [(self.faults(c), span((c["provision"].get("period") or {}).get("start")),
                  span((c["provision"].get("period") or {}).get("end"))) for c in consents]
        force = [end.last if end else None for fault, _, end in given if fault == "none"]
        found = self.in_force(force, given, who) if force else None
        if (found is None or found.state != "closed") and self.agreed(recipient):
            return self.answer("G13", "closed", **who)
        if found:
            return found
        for fault, reason in (("limits", "not-computable"), ("early", "date-out-of-range"),
                              ("ended", "date-out-of-range"),
                              ("class", "missing-element"), ("refused", "not-found")):
            if any(f == fault for f, _, _ in given):
                return self.answer("G13", "open", reason, **who)
        return self.answer("G13", "open", "not-found", **who)

    def agreed(self, recipient: str) -> bool:
        """Whether the two agreed to share data, and the discloser is no Part 2 program, which would need a consent."""
        discloser = next((o for o in self.resources if o["resourceType"] == "Organization" and o["id"] == self.manager), {})
        return "part2-program" not in codes(discloser.get("type"), NETWORK + "organization-type") and any(
            codes(a["code"], NETWORK + "agreement")[:1] == ["data-sharing"] and a.get("active", True)
            and holds(a.get("period"), self.now) and {self.manager, recipient} == {
                key(a["organization"], "Organization"), key(a["participatingOrganization"], "Organization")}
            for a in self.resources if a["resourceType"] == "OrganizationAffiliation")

    def in_force(self, force: list[datetime | None], given: list[Any], who: dict[str, Any]) -> Answer:
        ends = [end for end in force if end]
        horizon = self.now + 30 * DAY
        if None in force or max(ends) > horizon:
            return self.answer("G13", "closed", **who)
        until = max(ends)
        for fault, start, end in given:
            if fault == "early" and start.first <= until + timedelta(seconds=1) and (end is None or end.last > horizon):
                return self.answer("G13", "closed", **who)
        return self.answer("G13", "prospective", due=until, **who)

    def names(self, consent: Resource, recipient: str) -> bool:
        recipients = [key(a["reference"], "Organization") for a in consent["provision"].get("actor", [])
                      if any(c["code"] == "IRCP" for c in a["role"]["coding"])]
        return self.manager in [key(o, "Organization") for o in consent.get("organization",
                                                                            [])] and recipient in recipients

    def faults(self, consent: Resource) -> str:
        provision = consent["provision"]
        start, end = (span((provision.get("period") or {}).get(side)) for side in ("start", "end"))
        given = span(consent.get("dateTime"))
        classes = codes(provision.get("code"), NETWORK + "data-class")
        if consent["status"] == "rejected":
            return "refused"
        signed = given is None or given.first <= self.now
        if consent["status"] not in ("active", "inactive") or provision.get("type") != "permit" or not signed:
            return "nothing"
        if classes and not {"all", "general"} & set(classes):
            return "class"
        if consent["status"] == "inactive" or (end and end.last < self.now):
            return "ended"
        if provision.get("provision"):
            return "limits"
        return "early" if start and start.first > self.now else "none"


class Organizations:
    """What is asked of organizations, at one instant."""

    def __init__(self, resources: list[Resource], now: datetime) -> None:
        self.resources = resources
        self.now = now

    def answers(self) -> list[Answer]:
        return [a for o in self.resources if o["resourceType"] == "Organization" for a in self.directory(o)]

    def today(self, organization: Resource) -> date:
        named = [e["valueCode"] for e in organization.get("extension", []) if e["url"] == NETWORK + "time-zone"]
        zone = ZoneInfo(named[0]) if named and named[0] in ("America/New_York", "America/Chicago") else ZONE
        return self.now.astimezone(zone).date()

    # --- O04
    def directory(self, organization: Resource) -> list[Answer]:
        entries = [h for h in self.resources if h["resourceType"] == "HealthcareService" and h.get("active", True)
                   and key(h["providedBy"], "Organization") == organization["id"]
                   and codes(h.get("type"), NETWORK + "service") != ["on-call"]]
        none = Answer("O04", organization["id"], "", "not-applicable", None, None, organization["id"], "")
        return [self.entry(organization, entry) for entry in entries] or [none]

    def entry(self, organization: Resource, entry: Resource) -> Answer:
        today = self.today(organization)
        days = [date.fromisoformat(e["valueDate"]) for e in entry.get("extension", [])]
        answer = Answer("O04", organization["id"], f"HealthcareService/{entry['id']}", "open", "missing-element", None,
                        organization["id"], "")
        if not days or days[0] > today:
            return answer
        last = days[0] + 180 * DAY
        if last < today:
            return answer._replace(reason="date-out-of-range")
        if last >= today + 14 * DAY:
            return answer._replace(state="closed", reason=None)
        named = [e["valueCode"] for e in organization.get("extension", [])]
        zone = ZoneInfo("America/Chicago") if named == ["America/Chicago"] else ZONE
        end = datetime.combine(last + DAY, time(), zone).astimezone(UTC) - timedelta(seconds=1)
        return answer._replace(state="prospective", reason=None, due=end)
