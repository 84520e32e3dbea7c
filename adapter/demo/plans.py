"""Shared care plans and goals: shared by organizations or of one only, with and without goals, current and overdue."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from adapter.demo.chance import Calendar, deal, iso, stream
from adapter.demo.organizations import ORGANIZATIONS
from adapter.demo.teams import Team

CASES = {"shared": 46, "one-organization": 18, "none": 16, "no-goals": 6, "draft": 5, "overdue": 6, "ended": 3}
"""How the plan stands, in hundredths of enrolled members."""

_CADENCE = {"month": 31, "90-days": 90, "six-months": 182, "year": 365}
_PREFERENCES = ("Visits at home, in the morning", "Call first, never just come by", "Talk with my daughter in the room", "")
_STRENGTHS = ("Keeps a diary", "Close to her sister", "Cooks well and likes company", "Finished school at forty", "")
_SELF = ("Checks blood sugar twice a day", "Takes a walk when sleep does not come", "Fills the pill box on Sundays", "")
_NEXT = ("Monthly group at the community center", "Back to the practice alone after summer", "", "")
_GOALS = (
    ("mental-health", "Sleep through the night at least five nights a week", "nights slept through", "5", "/wk"),
    ("mental-health", "See my counselor every other week", "visits a month", "2", "/mo"),
    ("substance-use", "Stay sober and keep going to the group", "groups a week", "3", "/wk"),
    ("heart", "Weigh myself every morning and call if I gain three pounds", "weighings a week", "7", "/wk"),
    ("diabetes", "Bring my A1c under 8", "hemoglobin A1c", "8", "%"),
    ("housing", "Have a lease in my own name", "signed leases", "1", "{count}"),
    ("food", "Not run out of food before the end of the month", "days without food", "0", "d"),
    ("", "Walk to the library twice a week", "walks a week", "2", "/wk"),
    ("", "Cook dinner with my grandchildren on Sundays", "dinners a month", "4", "/mo"),
    ("", "Take my medicines on my own", "doses missed a week", "1", "/wk"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One member's plan. case: of CASES."""

    id: str
    team: Team
    case: str
    created: date
    contributors: tuple[str, ...]


def make_plans(seed: int, teams: list[Team], calendar: Calendar) -> list[Plan]:
    """The plans of the members that have one."""
    rng = stream(seed, "plans")
    plans: list[Plan] = []
    for team, dealt in zip(teams, deal(rng, CASES, len(teams)), strict=True):
        case = "ended" if team.member.ended else dealt
        if case == "none" or not team.parts:
            continue
        begin = team.member.enrolled or calendar.start
        created = min(begin + timedelta(days=rng.randint(3, 28)), calendar.day(88))
        others = [o for o in team.organizations if o != _author(team)]
        contributors = () if case == "one-organization" else tuple(others[:rng.randint(1, 3)])
        plans.append(Plan(id=f"CP-{team.member.number:05d}", team=team, case=case, created=created,
                          contributors=contributors))
    return plans


def plan_rows(seed: int, plans: list[Plan], calendar: Calendar) -> Iterator[dict[str, str]]:
    """The care_plans feed; a part of the plans lacks what makes a plan the person's own."""
    rng, words = stream(seed, "plan rows"), stream(seed, "plan words")
    for plan in plans:
        cadence = rng.choice(list(_CADENCE))
        author = _author(plan.team)
        status = {"draft": "draft", "ended": "completed"}.get(plan.case, "active")
        yield {
            "plan_id": plan.id, "member_id": plan.team.member.id, "program": "care-coordination", "status": status,
            "title": "Shared care plan" if plan.contributors else "Care plan", "author_org": author,
            "author_org_name": ORGANIZATIONS[author].name, "contributing_orgs": ";".join(plan.contributors),
            "created_date": plan.created.isoformat(), "period_start": plan.created.isoformat(),
            "period_end": (plan.created + timedelta(days=365)).isoformat() if plan.case != "ended" else
            max(plan.created, calendar.day(80)).isoformat(),
            "last_reviewed": _reviewed(rng, plan, _CADENCE[cadence], calendar), "review_cadence": cadence,
            "preferences": words.choice(_PREFERENCES), "strengths": words.choice(_STRENGTHS),
            "self_management": words.choice(_SELF), "transition_step": words.choice(_NEXT),
            "contacts_per_week": words.choice(["", "", "1", "2", "3"]),
            "updated_at": iso(calendar.at(89, 9)),
        }


def goal_rows(seed: int, plans: list[Plan], calendar: Calendar) -> Iterator[dict[str, str]]:
    """The goals feed; a tenth lacks a due date, a tenth a measure, and a fifth was expressed by a practitioner."""
    rng, reviews = stream(seed, "goals"), stream(seed, "goals assessed")
    for plan in plans:
        if plan.case == "no-goals":
            continue
        fitting = [g for g in _GOALS if not g[0] or g[0] in plan.team.member.needs]
        for n, goal in enumerate(rng.sample(fitting, min(len(fitting), rng.randint(1, 3))), 1):
            row = _goal(rng, plan, n, goal, calendar)
            stated = row.pop("updated_at")
            back = reviews.randint(1, 40) if reviews.random() < 0.75 else reviews.randint(90, 150)
            assessed = max(plan.created, calendar.day(89 - back)).isoformat() if row["achievement_status"] else ""
            yield row | {"assessed_on": assessed, "updated_at": stated}


def _goal(rng: random.Random, plan: Plan, number: int, goal: tuple[str, ...], calendar: Calendar) -> dict[str, str]:
    _, description, measure, value, unit = goal
    measured = rng.random() > 0.1
    lifecycle = "completed" if plan.case == "ended" else rng.choice(["active", "active", "accepted", "on-hold"])
    achieved = rng.choice(["in-progress", "improving", "no-change", "worsening", "", "achieved"])
    return {
        "goal_id": f"G-{plan.team.member.number:05d}-{number}", "member_id": plan.team.member.id, "plan_id": plan.id,
        "description": description, "lifecycle_status": lifecycle,
        "achievement_status": "achieved" if lifecycle == "completed" else achieved,
        "start_date": plan.created.isoformat(), "target_measure": measure if measured else "",
        "target_value": value if measured else "", "target_unit": unit if measured else "",
        "due_date": "" if rng.random() < 0.1 else calendar.day(rng.randint(60, 300)).isoformat(),
        "expressed_by": rng.choice(["person", "person", "person", "family", "practitioner"]),
        "updated_at": iso(calendar.at(89, 10)),
    }


def _author(team: Team) -> str:
    return team.lead or team.member.practice


def _reviewed(rng: random.Random, plan: Plan, cadence: int, calendar: Calendar) -> str:
    """The day of the last review: inside the cadence, or long before it, or never."""
    back = cadence + rng.randint(10, 60) if plan.case == "overdue" else rng.randint(1, min(cadence, 60))
    reviewed = calendar.day(90 - back)
    return reviewed.isoformat() if reviewed > plan.created else ""
