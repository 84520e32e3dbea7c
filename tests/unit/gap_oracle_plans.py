"""G03, G04, G05, G11 and G12 in plain Python: the plan, its goals, the team and the first month. Written from the requirement."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import date
from typing import Any

from tests.unit.gap_oracle import DAY, NETWORK, ZONE, Answer, Oracle, Resource, codes, key, span
from tests.unit.gap_oracle_transitions import end_of

MONTHS = {"month": 1, "six-months": 6, "year": 12}
REFUSED = {"patient-objection", "refused"}


def months_after(day: date, months: int) -> date:
    """The same day so many months later, or the last of that month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


class Plans:
    """What is said of one person's plans, team and first month."""

    def __init__(self, oracle: Oracle) -> None:
        self.o = oracle
        self.today = oracle.now.astimezone(ZONE).date()
        self.plans = [p for p in oracle.mine("CarePlan", "subject") if oracle.plan_stands(p)]
        self.who: dict[str, Any] = {"organization": oracle.lead_organization or oracle.manager, "party": oracle.lead}

    def said(self, rule: str, found: list[Answer]) -> list[Answer]:
        return found or [self.o.answer(rule, "not-applicable", **self.who)]

    def extension(self, resource: Resource, name: str) -> Any:
        return next((v for e in resource.get("extension", []) if e["url"] == NETWORK + name
                     for k, v in e.items() if k != "url"), None)

    def reviewed(self, plan: Resource) -> date | None:
        text = self.extension(plan, "last-reviewed")
        day = date.fromisoformat(text) if text else None
        return day if day and day <= self.today else None

    def activities(self, plan: Resource, kind: str) -> list[Resource]:
        return [a["detail"] for a in plan.get("activity", []) if codes(a["detail"]["code"], NETWORK + "plan-activity") == [kind]
                and a["detail"]["status"] != "cancelled"]

    # --- G11
    def g11(self) -> list[Answer]:
        return self.said("G11", [self.paced(plan) for plan in self.plans])

    def paced(self, plan: Resource) -> Answer:
        who = self.who | {"item": f"CarePlan/{plan['id']}"}
        cadence, reviewed = self.extension(plan, "review-cadence"), self.reviewed(plan)
        began = span((plan.get("period") or {}).get("start") or plan.get("created"))
        since = reviewed or (began.day if began else None)
        last = None if since is None else since + 90 * DAY if cadence == "90-days" else \
            months_after(since, MONTHS[cadence]) if cadence in MONTHS else None
        if cadence not in (*MONTHS, "90-days"):
            return self.o.answer("G11", "open", "missing-element", **who)
        if last is None:
            return self.o.answer("G11", "open", "not-computable", **who)
        who["due"] = end_of(last)
        if reviewed and last >= self.today + 14 * DAY:
            return self.o.answer("G11", "closed", **who)
        if last >= self.today:
            return self.o.answer("G11", "prospective", **who)
        return self.o.answer("G11", "open", "date-out-of-range" if reviewed else "not-found", **who)

    # --- G12
    def g12(self) -> list[Answer]:
        goals = [g for g in self.o.mine("Goal", "subject") if g["lifecycleStatus"] == "active"]
        starts = ((g, span(g.get("startDate"))) for g in goals)
        return self.said("G12", [self.goal(g) for g, start in starts if start is None or start.first <= self.o.now])

    def goal(self, goal: Resource) -> Answer:
        who = self.who | {"item": f"Goal/{goal['id']}"}
        plans = [p for p in self.plans if goal["id"] in [key(g, "Goal") for g in p.get("goal", [])]]
        whole = "description" in goal and any("measure" in t and "dueDate" in t for t in goal.get("target", []))
        if not whole or not any(self.activities(p, "transition") for p in plans):
            return self.o.answer("G12", "open", "missing-element", **who)
        reviews = [r for r in map(self.reviewed, plans) if r]
        if not reviews:
            return self.o.answer("G12", "closed", **who)
        assessed = date.fromisoformat(goal["statusDate"]) if "statusDate" in goal else None
        if "achievementStatus" not in goal or assessed is None or assessed > self.today:
            return self.o.answer("G12", "open", "missing-element", **who)
        late = assessed < max(reviews)
        return self.o.answer("G12", "open" if late else "closed", "date-out-of-range" if late else None, **who)

    # --- G03
    def g03(self) -> list[Answer]:
        faults = [(f"CarePlan/{plan['id']}", self.fault(plan)) for plan in self.plans]
        return self.said("G03", [self.o.answer("G03", "open" if fault else "closed", fault, item=item, **self.who)
                                 for item, fault in faults])

    def fault(self, plan: Resource) -> str | None:
        goals = [g for g in self.o.mine("Goal", "subject") if g["lifecycleStatus"] not in ("cancelled", "rejected")
                 and g["id"] in [key(k, "Goal") for k in plan.get("goal", [])]]
        voices = [g.get("expressedBy") for g in goals]
        own = [v for v in voices if v and (key(v, "Patient") or key(v, "RelatedPerson")
                                           or v.get("type") in ("Patient", "RelatedPerson"))]
        if not own:
            return "missing-element" if None in voices or not voices else "not-found"
        named = [key(i, "Observation") for i in plan.get("supportingInfo", [])]
        parts = {c for o in self.o.mine("Observation", "subject") if o["id"] in named and o["status"] == "final"
                 for c in codes(o["code"], NETWORK + "plan-part")}
        if not {"preferences", "strengths"} <= parts or not self.activities(plan, "self-management"):
            return "missing-element"
        support = any(s.part == "natural-support" or (s.person or "").startswith("RelatedPerson/") for s in self.o.taken)
        return None if support else "not-found"

    # --- G04
    def g04(self) -> list[Answer]:
        found: list[Answer] = []
        for team in self.o.teams:
            organizations = {s.organization for s in self.o.taken if s.team == team["id"] and s.organization}
            if len(organizations) >= 2:
                pairs = {frozenset((a, b)) for one, other in self.talks(team["id"]) for a in one for b in other if a != b}
                possible = len(organizations) * (len(organizations) - 1) / 2
                state = "closed" if len(pairs) / possible >= 0.5 else "open"
                reason = None if state == "closed" else "count-out-of-range" if pairs else "not-found"
                found.append(self.o.answer("G04", state, reason, item=f"CareTeam/{team['id']}", **self.who))
        return self.said("G04", found)

    def talks(self, team: str) -> Iterator[tuple[set[str], set[str]]]:
        """Organizations of the team that told, and that were told, in the last 90 days."""
        seats = [s for s in self.o.taken if s.team == team and s.organization]

        def of(organization: str | None, practitioner: str | None) -> set[str]:
            return {s.organization for s in seats if s.organization and (
                s.organization == organization or (practitioner and s.practitioner == practitioner))}

        for message in self.o.mine("Communication", "subject"):
            if message["status"] in ("completed", "in-progress") and self.lately(message.get("sent") or message.get("received")):
                sender = message.get("sender")
                parties = (self.o.acting(r) for r in message.get("recipient", []))
                told = [(organization, None if organization else practitioner) for practitioner, organization in parties]
                yield (of(key(sender, "Organization"), key(sender, "Practitioner")), {o for pair in told for o in of(*pair)})
        for contact in self.o.contacts():
            if self.lately((contact.get("period") or {}).get("start")):
                there = {o for sort, found in self.o.present(contact) if sort == "o" for o in of(found, None)}
                yield there, there

    def lately(self, text: str | None) -> bool:
        at = span(text)
        return at is not None and at.first <= self.o.now and at.day >= self.today - 90 * DAY

    # --- G05
    def g05(self) -> list[Answer]:
        found = [a for e in self.o.mine("EpisodeOfCare", "patient") for a in self.month(e)]
        return found or [self.o.answer("G05", "not-applicable", **self.o.responsible(self.o.manager))]

    def month(self, episode: Resource) -> list[Answer]:
        period, reason = episode.get("period") or {}, self.extension(episode, "end-reason")
        start, end = span(period.get("start")), span(period.get("end"))
        status = episode["status"]
        asked = status in ("active", "finished") or (status == "cancelled" and reason in (None, "refused"))
        if codes(episode.get("type"), NETWORK + "program")[:1] != ["care-coordination"] or not asked \
                or (start and (start.first > self.o.now or start.day + 365 * DAY < self.today)):
            return []
        manager = self.o.manager or key(episode.get("managingOrganization"), "Organization")
        who = {**self.o.responsible(manager), "item": f"EpisodeOfCare/{episode['id']}"}
        if status == "cancelled":
            return [self.o.answer("G05", "not-applicable", **who)]
        if start is None or (status == "finished" and end is None):
            return [self.o.answer("G05", "open", "not-computable", **who)]
        left = end.first.astimezone(ZONE).date() if end else None
        weeks = [(start.day + 7 * n * DAY, start.day + (7 * n + 6) * DAY) for n in range(4)]
        refused = [d for d in self.refusals() if start.day <= d <= start.day + 30 * DAY]
        return [self.o.answer("G05", "not-applicable", **who | {"item": f"{who['item']}#week-{n}"})
                if any(d <= last for d in refused) or (left and left < last) else
                self.week(first, last, who | {"item": f"{who['item']}#week-{n}", "due": end_of(last)})
                for n, (first, last) in enumerate(weeks, start=1)]

    def missed_contacts(self) -> Iterator[tuple[Resource, date, bool]]:
        """Contacts that did not take place, their day, and whether the member refused."""
        for message in self.o.mine("Communication", "subject"):
            at = span(message.get("sent"))
            if message["status"] == "not-done" and at and at.first <= self.o.now:
                why = {c["code"] for c in (message.get("statusReason") or {}).get("coding", [])}
                yield message, at.day, bool(why & REFUSED)

    def refusals(self) -> list[date]:
        return [day for message, day, refused in self.missed_contacts() if refused
                and set(codes(message.get("reasonCode"), NETWORK + "contact-purpose")) & {"care-coordination", "engagement"}]

    def week(self, first: date, last: date, who: dict[str, Any]) -> Answer:
        starts = [span((c.get("period") or {}).get("start")) for c in self.o.contacts()]
        days = [s.day for s in starts if s and s.first <= self.o.now and first <= s.day <= last]
        if len(set(days)) == 7:
            return self.o.answer("G05", "closed", **who)
        wanted = self.wanted()
        if wanted is None:
            return self.o.answer("G05", "open", "not-computable", **who)
        tried = [m for m, day, refused in self.missed_contacts() if not refused and first <= day <= last
                 and codes(m.get("medium"), NETWORK + "contact-type")]
        located = any(codes(m.get("reasonCode"), NETWORK + "contact-purpose") == ["locate"] for m in tried)
        silent = len(days) + len(tried) >= wanted
        if len(days) >= wanted or (silent and located):
            return self.o.answer("G05", "closed", **who)
        if last >= self.today:
            return self.o.answer("G05", "prospective", **who)
        return self.o.answer("G05", "missed", "not-found" if silent or not (days or tried) else "count-out-of-range", **who)

    def wanted(self) -> int | None:
        """Contacts in a week: 3, or what the plan says; None where that cannot be reckoned."""
        schedules = [a["scheduledTiming"]["repeat"] for p in self.plans for a in self.activities(p, "contact")]
        if any(s["period"] != 1 or s["periodUnit"] not in ("wk", "d") for s in schedules):
            return None
        return max((s["frequency"] * (7 if s["periodUnit"] == "d" else 1) for s in schedules), default=3)


def answers(oracle: Oracle) -> list[Answer]:
    """What the rules of plans say of one member."""
    found = Plans(oracle)
    return [*found.g03(), *found.g04(), *found.g05(), *found.g11(), *found.g12()]
