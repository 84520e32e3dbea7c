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


def person_of(resource: Resource) -> str:
    """Whose a resource is, '' for nobody's."""
    for element in ("subject", "patient", "for", "beneficiary"):
        found = key(resource.get(element) if isinstance(resource.get(element), dict) else None, "Patient")
        if found:
            return found
    return ""


def in_force(period: Resource | None, at: datetime) -> bool:
    start, end = (span((period or {}).get(side)) for side in ("start", "end"))
    return (start is None or start.first <= at) and (end is None or end.last >= at)


# --- worklist

def worklist(resources: list[Resource], answers: list[Answer], urgency: Mapping[str, str]) -> list[tuple[Any, ...]]:
    """Organization, rule, subject, item, state, due and coordinator of each, in the order of urgency. Nobody took one on."""
    known = {f"Practitioner/{p['id']}": p["id"] for p in of_type(resources, "Practitioner")}
    waiting = [a for a in answers if a.state in ("open", "prospective")]
    waiting.sort(key=lambda a: (a.state != "open", PRESSING[urgency[a.rule]], a.due is None,
                                a.due or datetime.max.replace(tzinfo=UTC), a.rule))
    return [(a.organization or "", a.rule, a.member, a.item, a.state, a.due, known.get(a.party, "")) for a in waiting]


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
            for measure in heard_of(resources, month, now):
                counts[measure, month, organization][0] += len(members)
        for measure, member, amount in used(resources, month, now):
            for organization, members in lists.items():
                if member in members:
                    counts[measure, month, organization][1] += amount
    return {at: (whole, round(met, 2)) for at, (whole, met) in counts.items()}


def heard_of(resources: list[Resource], month: str, now: datetime) -> list[str]:
    """What somebody said anything of in the month: costs by claims, utilization by visits of any kind."""
    claims = [(c.get("billablePeriod") or {}).get("start") for c in of_type(resources, "Claim")
              if c["use"] == "claim" and c["status"] == "active"]
    visits = [(v.get("period") or {}).get("start") for v in of_type(resources, "Encounter")
              if not codes(v.get("type"), NETWORK + "contact-type")
              and v["status"] not in ("planned", "entered-in-error", "cancelled")]
    found = {"paid": claims, "emergency-visits": visits, "stays": visits}
    return [measure for measure, starts in found.items()
            if any((at := span(start)) and at.first <= now and month_of(start) == month for start in starts)]


def told_alike(visit: Resource) -> tuple[str, date | None, str | None]:
    """Class, day and organization: visits of one person that agree in these are one, told by two."""
    began = day_of((visit.get("period") or {}).get("start"))
    return visit["class"]["code"], began, key(visit.get("serviceProvider"), "Organization")


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
    once: set[tuple[Any, ...]] = set()
    for visit in of_type(resources, "Encounter"):
        start = span((visit.get("period") or {}).get("start"))
        if codes(visit.get("type"), NETWORK + "contact-type") or visit["status"] in ("planned", "entered-in-error", "cancelled") \
                or start is None or start.first > now or month_of(visit["period"]["start"]) != month:
            continue
        kind = {"EMER": "emergency-visits"} | dict.fromkeys(BEDS, "stays")
        if visit["class"].get("code") in kind:
            once.add((key(visit.get("subject"), "Patient"), *told_alike(visit)))
    found += [({"EMER": "emergency-visits"}.get(one[1], "stays"), str(one[0]), 1) for one in once]
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


# --- workflow

def workflow(resources: list[Resource], answers: list[Answer], first: date, last: date,
             primary: Mapping[str, str | None]) -> list[tuple[str, str, str, str, bool]]:
    """Measure, who passes on, who is to take it up, the rule's item, whether in time. primary: each member's primary-care
    organization; answers: of the rules at the as-of instant."""
    found: list[tuple[str, str, str, str, bool]] = []
    things = {f"{r['resourceType']}/{r['id']}": r for r in resources}
    roles = {r["id"]: r for r in of_type(resources, "PractitionerRole")}
    manager = {a.member: a.organization for a in answers if a.rule == "G13"}
    steps = {("G18", "acceptance"): "referral-accepted", ("G18", "loop"): "referral-followed", ("G07", ""): "referral-met",
             ("G09", "notice"): "discharge-notice", ("G24", ""): "specialist-note"}
    for a in answers:
        item, _, step = a.item.partition("#")
        measure = steps.get((a.rule, step))
        thing = things.get(item)
        if measure is None or thing is None or a.state not in ("closed", "open", "missed"):
            continue
        if thing["resourceType"] == "ServiceRequest":
            requester = thing.get("requester", {})
            role = roles.get(key(requester, "PractitionerRole") or "", {})
            passes = key(requester, "Organization") or key(role.get("organization"), "Organization")
            takes = next((k for k in (key(p, "Organization") for p in thing.get("performer", [])) if k), None)
            day = day_of(thing.get("authoredOn"))
        elif a.rule == "G24":
            passes, takes, day = a.organization, primary.get(a.member), day_of((thing.get("period") or {}).get("start"))
        else:
            measure = "discharge-met" if a.rule == "G07" else measure
            passes, takes = key(thing.get("serviceProvider"), "Organization"), manager.get(a.member)
            left = span((thing.get("period") or {}).get("end"))
            day = left.last.astimezone(ZONE).date() if left else None
        if day and first <= day <= last and (not passes or not takes or passes != takes):
            found.append((measure, passes or "", takes or "", a.item, a.state == "closed"))
    return sorted(found)


# --- outreach

CHRONIC = frozenset((
    "B18", "B20", "D57", "E10", "E11", "E13", "E66", "E78", "F01", "F03", "G20", "G30", "G35", "G40",
    "I10", "I11", "I12", "I13", "I20", "I25", "I27", "I42", "I48", "I50", "I69", "I70", "I73", "J43",
    "J44", "J45", "J47", "K50", "K51", "K70", "K74", "M05", "M06", "M15", "M16", "M17", "M32", "M81",
    "N18"))
POINTS = {"chronic conditions": 3, "behavioral health": 2, "functional status": 2, "social need": 2, "emergency visits": 2,
          "stays": 3, "risk": 2}
SEVERAL = {"chronic conditions": 2, "emergency visits": 2}


def outreach(resources: list[Resource], now: datetime) -> list[tuple[int, str, str, str]]:
    """Points, member, criterion and resource of each reason, of the members who are listed."""
    found: list[tuple[int, str, str, str]] = []
    own: defaultdict[str, list[Resource]] = defaultdict(list)
    for resource in resources:
        own[person_of(resource)].append(resource)
    for person in of_type(resources, "Patient"):
        died = span(person.get("deceasedDateTime"))
        if any(link["type"] in ("replaced-by", "refer") for link in person.get("link", [])) or person.get("deceasedBoolean") \
                or (died and died.first <= now):
            continue
        mine = own.get(person["id"], [])
        if not _may_be_asked(mine, now):
            continue
        shown = {why: which for why, which in _reasons(mine, now).items() if len(which) >= SEVERAL.get(why, 1)}
        points = sum(POINTS[why] for why in shown)
        if points >= 3:
            found += [(points, person["id"], why, one) for why, which in shown.items() for one in which]
    return sorted(found)


def _may_be_asked(mine: list[Resource], now: datetime) -> bool:
    for episode in of_type(mine, "EpisodeOfCare"):
        if codes(episode.get("type"), NETWORK + "program")[:1] != ["care-coordination"]:
            continue
        ends = [e["valueCode"] for e in episode.get("extension", []) if e["url"] == NETWORK + "end-reason"]
        period = episode.get("period") or {}
        over = episode["status"] == "finished" and "start" in period and "end" in period
        if ends == ["refused"] or ((episode["status"] == "active" or over) and in_force(period, now)):
            return False
    return True


def _reasons(mine: list[Resource], now: datetime) -> dict[str, set[str]]:
    """Criterion to the resources that show it."""
    today = now.astimezone(ZONE).date()
    found: defaultdict[str, set[str]] = defaultdict(set)
    ill: defaultdict[str, list[str]] = defaultdict(list)
    for condition in of_type(mine, "Condition"):
        if _stands(condition, now):
            for code in codes(condition.get("code"), "http://hl7.org/fhir/sid/icd-10-cm"):
                ill[code[:3]].append(f"Condition/{condition['id']}")
    for block, which in ill.items():
        if block in CHRONIC:
            found["chronic conditions"].add(min(which))
        if "F10" <= block <= "F99":
            found["behavioral health"].add(min(which))
    visits: defaultdict[tuple[Any, ...], list[str]] = defaultdict(list)
    for visit in of_type(mine, "Encounter"):
        start = span((visit.get("period") or {}).get("start"))
        kind = {"EMER": "emergency visits"} | dict.fromkeys(BEDS, "stays")
        if not codes(visit.get("type"), NETWORK + "contact-type") and visit["class"].get("code") in kind and start \
                and visit["status"] not in ("planned", "cancelled", "entered-in-error") and start.first <= now \
                and start.day >= today - timedelta(days=365):
            visits[kind[visit["class"]["code"]], *told_alike(visit)].append(f"Encounter/{visit['id']}")
    for (why, *_), which in visits.items():
        found[why].add(min(which))
    for flag in of_type(mine, "Flag"):
        if flag["status"] == "active" and {"high", "very-high"} & set(codes(flag["code"], NETWORK + "risk-level")) \
                and in_force(flag.get("period"), now):
            found["risk"].add(f"Flag/{flag['id']}")
    for why, which in _screened(mine, now, today).items():
        found[why] |= which
    return found


def _stands(condition: Resource, now: datetime) -> bool:
    clinical = (condition.get("clinicalStatus") or {}).get("coding", [{}])[0].get("code")
    verification = (condition.get("verificationStatus") or {}).get("coding", [{}])[0].get("code")
    onset, over, written = (span(condition.get(name)) for name in ("onsetDateTime", "abatementDateTime", "recordedDate"))
    stands = clinical in (None, "active", "recurrence", "relapse") \
        and verification not in ("refuted", "differential", "entered-in-error")
    return stands and (onset is None or onset.first <= now) and (over is None or over.last > now) \
        and (written is None or written.first <= now)


def _screened(mine: list[Resource], now: datetime, today: date) -> dict[str, set[str]]:
    """What the last screening of each kind found."""
    asked: defaultdict[tuple[str, str], list[tuple[datetime, str, str]]] = defaultdict(list)
    for one in of_type(mine, "Observation"):
        needs, tools = codes(one.get("code"), NETWORK + "need"), codes(one.get("code"), NETWORK + "assessment-tool")
        at, said = span(one.get("effectiveDateTime")), [c["code"] for i in one.get("interpretation", []) for c in i["coding"]]
        kind = ("social need", needs[0]) if needs else ("functional status", tools[0]) if "functional-status" in tools else None
        if kind and at and said and one["status"] in ("final", "amended", "corrected") and at.first <= now \
                and at.day >= today - timedelta(days=365):
            asked[kind].append((at.first, said[0], f"Observation/{one['id']}"))
    found: defaultdict[str, set[str]] = defaultdict(set)
    for (why, _), said in asked.items():
        last = max(at for at, _, _ in said)
        found[why] |= {reference for at, answer, reference in said if at == last and answer == "POS"}
    return found
