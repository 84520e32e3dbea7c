"""O06 in plain Python: whether expected feeds arrived in their periods. Written from the requirement."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tests.unit.gap_oracle import DAY, NETWORK, ZONE, Answer, Organizations, Resource, codes, key


def answers(organizations: Organizations) -> list[Answer]:
    """Of every organization."""
    return [a for o in organizations.resources if o["resourceType"] == "Organization" for a in of_one(organizations, o)]


def of_one(known: Organizations, organization: Resource) -> list[Answer]:
    goals = [g for g in known.resources if g["resourceType"] == "Goal" and g["lifecycleStatus"] == "active"
             and key(g.get("subject"), "Organization") == organization["id"] and codes(g.get("category"), NETWORK + "feed")]
    none = Answer("O06", organization["id"], "", "not-applicable", None, None, organization["id"], "")
    return [a for goal in goals for a in expected(known, organization, goal)] or [none]


def expected(known: Organizations, organization: Resource, goal: Resource) -> list[Answer]:
    answer = Answer("O06", organization["id"], f"Goal/{goal['id']}", "open", "missing-element", None, organization["id"], "")
    today = known.today(organization)
    every = next((e["valueCode"] for e in goal.get("extension", [])), None)
    if every not in ("day", "week", "month", "quarter"):
        return [answer]
    first = begin(today, every)
    target = goal["target"][0]
    found: list[Answer] = []
    for start in (begin(first - DAY, every), first):
        last = begin(start + {"day": 1, "week": 7, "month": 31, "quarter": 100}[every] * DAY, every) - DAY
        if ("startDate" in goal and date.fromisoformat(goal["startDate"]) > start) \
                or ("dueDate" in target and date.fromisoformat(target["dueDate"]) < last):
            continue
        one = answer._replace(item=f"{answer.item}#{start:%Y%m%d}", due=midnight(last + DAY, organization) - timedelta(seconds=1))
        found.append(one._replace(**said(known, organization, goal, midnight(start, organization), one.due or known.now)))
    return found


def begin(day: date, every: str) -> date:
    """The first day of the period that a day lies in."""
    if every == "week":
        return day - day.weekday() * DAY
    if every == "day":
        return day
    return date(day.year, day.month if every == "month" else (day.month - 1) // 3 * 3 + 1, 1)


def midnight(day: date, organization: Resource) -> datetime:
    named = [e["valueCode"] for e in organization.get("extension", [])]
    zone = ZoneInfo("America/Chicago") if named == ["America/Chicago"] else ZONE
    return datetime.combine(day, time(), zone).astimezone(UTC)


def said(known: Organizations, organization: Resource, goal: Resource, start: datetime, end: datetime) -> dict[str, str | None]:
    share = goal["target"][0].get("detailQuantity") or {"value": 95, "unit": "%"}
    if share["unit"] != "%":
        return {"state": "open", "reason": "not-computable"}
    feed = codes(goal["category"], NETWORK + "feed")[0]
    came = [a for a in known.resources if a["resourceType"] == "arrival" and a["contract"] == feed
            and start <= datetime.fromisoformat(a["at"]) <= min(end, known.now)]
    mine = [a for a in came if a["organization"] == organization["identifier"][0]["value"]]
    accepted, refused = (sum(a[word] for a in mine) for word in ("accepted", "refused"))
    if mine and accepted >= share["value"] / 100 * (accepted + refused):
        return {"state": "closed", "reason": None}
    if not mine and any(a["organization"] is None for a in came):
        return {"state": "open", "reason": "missing-element"}
    if end >= known.now:
        return {"state": "prospective", "reason": None}
    return {"state": "missed", "reason": "count-out-of-range" if mine else "not-found"}
