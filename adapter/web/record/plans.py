"""Care plans in words: the shared ones first, their goals and activities, and when they were reviewed. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from adapter.model import Json
from adapter.web import people
from adapter.web.record.read import Record
from adapter.web.record.words import Row, Section, Table, Words, named, plain, standing

_REVIEWED, _CADENCE = "urn:x-careloop:last-reviewed", "urn:x-careloop:review-cadence"
_CADENCES = {"month": "every month", "90-days": "every 90 days", "six-months": "every six months", "year": "every year"}


def care_plan(record: Record, words: Words) -> Section:
    """Plans, goals and activities; activities of the shared plans, which hold those of every organization's own."""
    plans = record.of("CarePlan")
    whole = {one["reference"] for plan in plans for one in plan.get("partOf", ()) if one.get("reference")}
    shared = [plan for plan in plans if named(plan) in whole]
    ordered = [*shared, *(plan for plan in plans if named(plan) not in whole)]
    more = record.rest("CarePlan")
    return Section(heading="Care plan", tables=(
        Table(caption="Care plans, the shared one first", more=more, none="No care plan is known.",
              columns=("Plan", "Of", "Status", "From", "Until", "Last reviewed", "To be reviewed"),
              rows=[_plan(plan, named(plan) in whole, words) for plan in ordered]),
        Table(caption="Goals, newest first", more=record.rest("Goal"), none="No goal is known.",
              columns=("Goal", "Status", "Achievement", "Since", "Target", "Due"),
              rows=[_goal(goal, words) for goal in record.of("Goal")]),
        Table(caption="Activities", more=more, none="No activity is known.", columns=("Activity", "What", "Status", "Plan"),
              rows=[row for plan in shared or plans for row in _activities(plan, words)])))


def _plan(plan: Json, shared: bool, words: Words) -> Row:
    period, said = plan.get("period", {}), {one.get("url"): one for one in plan.get("extension", ())}
    whose = words.who(plan.get("author"), *plan.get("contributor", ()))
    cadence = said.get(_CADENCE, {}).get("valueCode", "")
    return Row(reference=named(plan), title=_title(plan), cells=(
        f"shared by {whose}" if shared and whose else whose, standing(plan), words.day(period.get("start", "")),
        words.day(period.get("end", "")), said.get(_REVIEWED, {}).get("valueDate", "") or "not known",
        _CADENCES.get(cadence, plain(cadence))))


def _title(plan: Json) -> str:
    return plan.get("title") or "Care plan"


def _goal(goal: Json, words: Words) -> Row:
    targets = goal.get("target", ())
    return Row(reference=named(goal), title=people.concept(goal.get("description", {})) or "Goal", cells=(
        plain(goal.get("lifecycleStatus", "")), people.concept(goal.get("achievementStatus", {})),
        words.day(goal.get("startDate", "")), ", ".join(text for one in targets if (text := _target(one))),
        ", ".join(words.day(one["dueDate"]) for one in targets if one.get("dueDate"))))


def _target(target: Json) -> str:
    detail = target.get("detailQuantity", {})
    unit = detail.get("unit", "")
    amount = f"{detail['value']} {'' if unit.startswith('{') else unit}".strip() if "value" in detail else ""
    return ": ".join(part for part in (people.concept(target.get("measure", {})), amount) if part)


def _activities(plan: Json, words: Words) -> Iterator[Row]:
    for activity in plan.get("activity", ()):
        detail = activity.get("detail", {})
        kind = people.concept(detail.get("code", {})) or words.who(activity.get("reference")) or "activity"
        yield Row(reference=named(plan), title=kind, cells=(
            detail.get("description") or _often(detail.get("scheduledTiming", {}).get("repeat", {})),
            standing(detail), _title(plan)))


_UNITS = {"d": "day", "wk": "week", "mo": "month", "a": "year"}


def _often(repeat: Json) -> str:
    """A schedule in words, as `3 a week`; '' where there is none."""
    unit = _UNITS.get(repeat.get("periodUnit", ""))
    if not unit or "frequency" not in repeat:
        return ""
    period = repeat.get("period", 1)
    return f"{repeat['frequency']} a {unit}" if period == 1 else f"{repeat['frequency']} in {period} {unit}s"
