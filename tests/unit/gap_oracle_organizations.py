"""O01, O02, O03 and O05 in plain Python: what is asked of organizations and pairs. Written from the requirement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.unit.gap_oracle import DAY, NETWORK, ZONE, Answer, Oracle, Organizations, Resource, Span, codes, holds, key, span

ELEMENTS = ("data-sharing", "transition-protocol", "release-protocol", "information-route")
ROUTES = ("shared-ehr", "e-referral", "direct-message", "exchange", "interface")
MODULES = tuple(f"module-{n}" for n in range(1, 8))


def answers(organizations: Organizations, members: Sequence[Oracle]) -> list[Answer]:
    """Every answer of these rules about every organization; members: all that is known of each."""
    return [a for o in organizations.resources if o["resourceType"] == "Organization"
            for one in [_One(organizations, members, o)]
            for a in (*one.staffing(), *one.training(), *one.agreements(), one.culture())]


class _One:
    """One organization."""

    def __init__(self, organizations: Organizations, members: Sequence[Oracle], organization: Resource) -> None:
        self.all = organizations
        self.members = members
        self.organization = organization
        self.id: str = organization["id"]
        self.now = organizations.now

    def of(self, kind: str, element: str) -> list[Resource]:
        return [r for r in self.all.resources if r["resourceType"] == kind and key(r.get(element), "Organization") == self.id]

    def answer(self, rule: str, state: str, reason: str | None = None, item: str = "", due: datetime | None = None,
               party: str = "") -> Answer:
        return Answer(rule, self.id, item, state, reason, due, self.id, party)

    # --- O01
    def staffing(self) -> list[Answer]:
        led = sum(1 for m in self.members if m.enrollments and (m.lead_organization or m.manager) == self.id)
        staff = [facts for g in self.of("Group", "managingEntity") if (facts := self.staff(g))]
        if not led and not staff:
            return [self.answer("O01", "not-applicable")]
        able = sum(facts.get("fte", 0) * facts.get("capacity", 0) for facts in staff)
        lacking = not staff or any(len(facts) < 2 for facts in staff)
        reason = None if led <= able else "missing-element" if lacking else "count-out-of-range"
        return [self.answer("O01", "open" if reason else "closed", reason, f"Organization/{self.id}#caseload"), self.on_call()]

    def staff(self, group: Resource) -> dict[str, float]:
        role = codes(group["code"], NETWORK + "care-team-role")[0]
        if group["type"] != "practitioner" or not group.get("active", True) or "coordinator" not in role:
            return {}
        return {f["code"]["coding"][0]["code"]: f["valueQuantity"]["value"] for f in group["characteristic"]
                if holds(f.get("period"), self.now)}

    def on_call(self) -> Answer:
        entries = [h for h in self.of("HealthcareService", "providedBy")
                   if h.get("active", True) and codes(h.get("type"), NETWORK + "service") == ["on-call"]]
        numbered = [h for h in entries if any(t["system"] == "phone" for t in h.get("telecom", []))]
        item = f"Organization/{self.id}#on-call"
        if any(h.get("availableTime") for h in numbered):
            return self.answer("O01", "closed", None, item)
        return self.answer("O01", "open", "missing-element" if entries else "not-found", item)

    # --- O02
    def training(self) -> list[Answer]:
        tasks = [t for t in self.of("Task", "for") if set(codes(t.get("code"), NETWORK + "training-module")) & set(MODULES)]
        begun = [t for t in tasks if not (made := span(t.get("authoredOn"))) or made.first <= self.now]
        return [self.module(t) for t in begun] or [self.answer("O02", "not-applicable")]

    def module(self, task: Resource) -> Answer:
        who: dict[str, Any] = {"item": f"Task/{task['id']}", "party": task["owner"]["reference"]}
        due = _end(task.get("restriction", {}).get("period"))
        done = self.done(task)
        if task["status"] == "cancelled":
            return self.answer("O02", "not-applicable", **who)
        if done in ("valid", "ticked"):
            return self.answer("O02", "closed", **who)
        if due and due.last >= self.now:
            return self.answer("O02", "prospective", due=due.last, **who)
        if done == "expired":
            return self.answer("O02", "open", "date-out-of-range", **who)
        if due is None:
            return self.answer("O02", "open", "missing-element", **who)
        return self.answer("O02", "open", "not-found", due=due.last, **who)

    def done(self, task: Resource) -> str:
        module = codes(task["code"], NETWORK + "training-module")
        learner = next(p for p in self.all.resources if f"{p['resourceType']}/{p['id']}" == task["owner"]["reference"])
        periods: list[Resource] = [q.get("period") or {} for q in learner["qualification"]
                                   if codes(q["code"], NETWORK + "training-module") == module]
        learned = [p for p in periods if not (since := span(p.get("start"))) or since.first <= self.now]
        if learned:
            return "valid" if any(holds(p, self.now) for p in learned) else "expired"
        end = _end(task.get("executionPeriod"))
        return "ticked" if task["status"] == "completed" and (end is None or end.last <= self.now) else ""

    # --- O03
    def agreements(self) -> list[Answer]:
        partners = {s.organization for m in self.members for s in m.taken if self.id in {t.organization for t in m.taken}}
        for referral in self.all.resources:
            partners |= self.referred(referral)
        found = [self.agreement(partner, element) for partner in sorted(p for p in partners if p) if partner != self.id
                 for element in ELEMENTS]
        return found or [self.answer("O03", "not-applicable")]

    def referred(self, referral: Resource) -> set[str | None]:
        made = span(referral.get("authoredOn"))
        if referral["resourceType"] != "ServiceRequest" or not codes(referral["code"], NETWORK + "service") \
                or referral["intent"] != "order" or referral["status"] == "draft" or made is None or made.first > self.now:
            return set()
        if made.day < (self.now.astimezone(ZONE).date() - 365 * DAY):
            return set()
        ends = {key(referral.get("requester"), "Organization"),
                next((k for p in referral.get("performer", []) if (k := key(p, "Organization"))), None)}
        return ends if self.id in ends else set()

    def agreement(self, partner: str, element: str) -> Answer:
        item = f"{self.id}>{partner}#{element}"
        found = {self.fault(a, element) for a in self.all.resources if a["resourceType"] == "OrganizationAffiliation"
                 and {key(a["organization"], "Organization"), key(a["participatingOrganization"], "Organization")}
                 == {self.id, partner} and codes(a["code"], NETWORK + "agreement") == [element]}
        if None in found:
            return self.answer("O03", "closed", None, item)
        reason = next((r for r in ("missing-element", "date-out-of-range") if r in found), "not-found")
        return self.answer("O03", "open", reason, item)

    def fault(self, agreement: Resource, element: str) -> str | None:
        if not agreement.get("active", True) or not holds(agreement.get("period"), self.now):
            return "date-out-of-range"
        named = codes(agreement["code"], NETWORK + "information-route")
        return "missing-element" if element == "information-route" and not set(named) & set(ROUTES) else None

    # --- O05
    def culture(self) -> Answer:
        part = any(s.organization == self.id for m in self.members for s in m.taken)
        manages = any(m.enrollments and m.managed == self.id for m in map(_Managed, self.members))
        if not part and not manages:
            return self.answer("O05", "not-applicable")
        on_file = [span(q.get("authored")) for q in self.of("QuestionnaireResponse", "subject")
                   if q["questionnaire"].endswith(":culture-self-assessment") and q["status"] == "completed"]
        made = [q for q in on_file if q is None or q.first <= self.now]
        if not made:
            return self.answer("O05", "open", "not-found")
        days = [q.day for q in made if q]
        if not days:
            return self.answer("O05", "open", "missing-element")
        year, this = max(days).year, self.all.today(self.organization).year
        if year >= this:
            return self.answer("O05", "closed")
        if year < this - 1:
            return self.answer("O05", "open", "date-out-of-range")
        named = [e["valueCode"] for e in self.organization.get("extension", [])]
        zone = ZoneInfo("America/Chicago") if named == ["America/Chicago"] else ZONE
        end = datetime.combine(date(this + 1, 1, 1), time(), zone).astimezone(UTC) - timedelta(seconds=1)
        return self.answer("O05", "prospective", due=end)


def _end(period: Resource | None) -> Span | None:
    return span(period.get("end")) if period else None


class _Managed:
    """Who manages a member's enrolment, the lead left aside."""

    def __init__(self, oracle: Oracle) -> None:
        self.enrollments = oracle.enrollments
        named = [m for m in (key(e.get("managingOrganization"), "Organization") for e in oracle.enrollments) if m]
        self.managed = min(named, default=None)
