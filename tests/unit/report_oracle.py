"""Reports once more, in plain Python over FHIR resources: written from their definitions in words, not from the SQL.

The gaps themselves are given: the rules have oracles of their own. Nothing else of the program is used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tests.unit.gap_oracle import NETWORK, ZONE, Answer, Resource, codes, key, span

Key = tuple[str, str, str]
"""Measure, month (2026-03), organization id ('' for nobody)."""
PRESSING = {"urgent": 0, "soon": 1, "routine": 2}
BEDS = ("IMP", "ACUTE", "NONAC")


def month_end(month: str, now: datetime) -> datetime:
    """The last second of a month where the network is, or now."""
    year, number = int(month[:4]), int(month[5:])
    after = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=ZONE).astimezone(UTC)
    return min(after - timedelta(seconds=1), now)


def day_of(text: str | None) -> date | None:
    found = span(text)
    return found.day if found else None


def month_of(text: str | None) -> str:
    day = day_of(text)
    return day.strftime("%Y-%m") if day else ""


def of_type(resources: list[Resource], kind: str) -> list[Resource]:
    return [r for r in resources if r["resourceType"] == kind]


def in_force(period: Resource | None, at: datetime) -> bool:
    start, end = (span((period or {}).get(side)) for side in ("start", "end"))
    return (start is None or start.first <= at) and (end is None or end.last >= at)


# --- worklist

def worklist(answers: list[Answer], urgency: Mapping[str, str]) -> list[tuple[Any, ...]]:
    """Organization, rule, subject, item of each, in the order of urgency."""
    waiting = [a for a in answers if a.state in ("open", "prospective")]
    waiting.sort(key=lambda a: (a.state != "open", PRESSING[urgency[a.rule]], a.due is None,
                                a.due or datetime.max.replace(tzinfo=UTC), a.rule))
    return [(a.organization or "", a.rule, a.member, a.item, a.state, a.due) for a in waiting]


# --- performance

def performance(resources: list[Resource], answers: Mapping[str, list[Answer]], now: datetime) -> dict[Key, tuple[float, float]]:
    """Denominator and numerator of every measure, month and organization. answers: of each month."""
    counts: defaultdict[Key, list[float]] = defaultdict(lambda: [0, 0])
    for month, found in answers.items():
        for a in found:
            if a.state in ("closed", "open", "missed"):
                about = a.organization or (a.member if a.rule.startswith("O") else "")
                counts[a.rule, month, about][0] += 1
                counts[a.rule, month, about][1] += a.state == "closed"
        lists = attributed(resources, month_end(month, now))
        for organization, members in lists.items():
            for measure in ("paid", "emergency-visits", "stays"):
                counts[measure, month, organization][0] += len(members)
        for measure, member, amount in used(resources, month, now):
            for organization, members in lists.items():
                if member in members:
                    counts[measure, month, organization][1] += amount
    return {at: (whole, round(met, 2)) for at, (whole, met) in counts.items()}


def attributed(resources: list[Resource], at: datetime) -> dict[str, set[str]]:
    """Organization to the members on its attribution list then."""
    people = {p["id"] for p in of_type(resources, "Patient")
              if not any(link["type"] in ("replaced-by", "refer") for link in p.get("link", []))}
    lists: defaultdict[str, set[str]] = defaultdict(set)
    for group in of_type(resources, "Group"):
        organization = key(group.get("managingEntity"), "Organization")
        if organization is None or "care-coordination" not in codes(group.get("code"), NETWORK + "program"):
            continue
        for entry in group.get("member", []):
            member = key(entry["entity"], "Patient")
            if member in people and not entry.get("inactive") and in_force(entry.get("period"), at):
                lists[organization].add(member)
    return lists


def used(resources: list[Resource], month: str, now: datetime) -> list[tuple[str, str, float]]:
    """Measure, member and amount of whatever began in the month."""
    found: list[tuple[str, str, float]] = []
    for visit in of_type(resources, "Encounter"):
        start = span((visit.get("period") or {}).get("start"))
        if codes(visit.get("type"), NETWORK + "contact-type") or visit["status"] in ("planned", "entered-in-error", "cancelled") \
                or start is None or start.first > now or month_of(visit["period"]["start"]) != month:
            continue
        kind = {"EMER": "emergency-visits"} | dict.fromkeys(BEDS, "stays")
        if visit["class"].get("code") in kind:
            found.append((kind[visit["class"]["code"]], str(key(visit.get("subject"), "Patient")), 1))
    answers = {key(a.get("request"), "Claim"): a for a in of_type(resources, "ClaimResponse") if a["status"] == "active"}
    for claim in of_type(resources, "Claim"):
        start = span((claim.get("billablePeriod") or {}).get("start"))
        if claim["use"] == "claim" and claim["status"] == "active" and start and start.first <= now \
                and month_of(claim["billablePeriod"]["start"]) == month and claim["id"] in answers:
            paid = [t["amount"]["value"] for t in answers[claim["id"]].get("total", [])
                    if any(c["code"] == "benefit" for c in t["category"]["coding"])]
            found += [("paid", str(key(claim["patient"], "Patient")), amount) for amount in paid]
    return found


def targets(resources: list[Resource], at: datetime) -> dict[tuple[str, str], float]:
    """(measure, organization) to what it aims at then."""
    found: dict[tuple[str, str], float] = {}
    for goal in of_type(resources, "Goal"):
        organization, start = key(goal["subject"], "Organization"), span(goal.get("startDate"))
        if organization is None or goal["lifecycleStatus"] != "active" or (start and start.first > at):
            continue
        for target in goal.get("target", []):
            due, amount = span(target.get("dueDate")), target.get("detailQuantity", {})
            for measure in codes(target.get("measure"), NETWORK + "measure"):
                if "value" in amount and (due is None or due.day >= at.astimezone(ZONE).date()):
                    found[measure, organization] = max(amount["value"], found.get((measure, organization), 0))
    return found
