"""Boundary instants of the rules of plans, teams and the first month, one by one: G03, G04, G05, G11, G12."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Connection

from adapter.gaps.engine import evaluate
from adapter.gaps.rules import RULES, open_rules
from tests.unit.gap_evidence import NOW, N, coded, gaps, put, ref, verdict

D = timedelta(days=1)


@pytest.fixture
def db(empty: Connection) -> Connection:
    put(empty, "Patient", "p")
    put(empty, "Organization", "hub", name="Hub")
    return empty


def enrol(db: Connection, start: str = "2026-05-25", **body: Any) -> None:
    put(db, "EpisodeOfCare", "e", **{"status": "active", "patient": ref("Patient", "p"), "period": {"start": start},
                                     "type": coded("program", "care-coordination"),
                                     "managingOrganization": ref("Organization", "hub")} | body)


def plan(db: Connection, cadence: str | None = "month", reviewed: str | None = None, **body: Any) -> None:
    extension = [{"url": N + "review-cadence", "valueCode": cadence}] if cadence else []
    extension += [{"url": N + "last-reviewed", "valueDate": reviewed}] if reviewed else []
    put(db, "CarePlan", "c", **{"status": "active", "subject": ref("Patient", "p"), "extension": extension} | body)


def activity(kind: str, **detail: Any) -> dict[str, Any]:
    return {"detail": {"status": "unknown", "code": coded("plan-activity", kind)[0]} | detail}


def local(text: str) -> datetime:
    return datetime.fromisoformat(text)


# --- G11
@pytest.mark.parametrize(("cadence", "reviewed", "last"), [
    ("month", "2026-01-31", "2026-02-28"), ("month", "2028-01-31", "2028-02-29"), ("month", "2028-02-29", "2028-03-29"),
    ("90-days", "2026-01-01", "2026-04-01"), ("six-months", "2025-08-31", "2026-02-28"), ("year", "2028-02-29", "2029-02-28"),
    ("month", "2026-02-08", "2026-03-08"),  # the day summer time begins
])
def test_g11_the_last_day_of_a_cadence_is_whole(db: Connection, cadence: str, reviewed: str, last: str):
    plan(db, cadence, reviewed, created="2020-01-01")
    end = datetime.fromisoformat(f"{last}T12:00:00-05:00").replace(hour=23, minute=59, second=59)
    gap = gaps(db, "G11", end - timedelta(hours=2))["CarePlan/c"]
    assert gap.due is not None
    assert (gap.verdict, gap.due.astimezone(UTC).date() - D) == ("review-soon", end.date())
    assert verdict(db, "G11", "CarePlan/c", gap.due) == "review-soon"
    assert verdict(db, "G11", "CarePlan/c", gap.due + timedelta(seconds=1)) == "review-overdue"


@pytest.mark.parametrize(("today", "found"), [
    ("2026-06-16T23:59:59-04:00", "reviewed"), ("2026-06-17T00:00:00-04:00", "review-soon")])
def test_g11_is_called_for_two_weeks_before(db: Connection, today: str, found: str):
    plan(db, "month", "2026-05-30", created="2020-01-01")
    assert verdict(db, "G11", "CarePlan/c", local(today)) == found


def test_g11_a_plan_never_reviewed_is_due_after_its_beginning(db: Connection):
    plan(db, "month", created="2026-05-15")
    assert verdict(db, "G11", "CarePlan/c") == "first-review-due"
    assert verdict(db, "G11", "CarePlan/c", NOW + D) == "never-reviewed"
    plan(db, "month")
    assert verdict(db, "G11", "CarePlan/c") == "plan-not-dated"
    plan(db, None, "2026-06-14", created="2026-05-15")
    assert verdict(db, "G11", "CarePlan/c") == "no-cadence"
    plan(db, "month", "2026-06-16", created="2026-05-01")  # a day that is still to come
    assert verdict(db, "G11", "CarePlan/c") == "never-reviewed"


# --- G12
def goal(db: Connection, **body: Any) -> None:
    put(db, "Goal", "g", **{"lifecycleStatus": "active", "subject": ref("Patient", "p"), "description": {"text": "walk"},
                            "target": [{"measure": {"text": "distance"}, "dueDate": "2026-09-01"}],
                            "achievementStatus": coded("x", "improving")[0], "statusDate": "2026-06-01"} | body)


@pytest.mark.parametrize(("body", "found"), [
    ({}, "whole"), ({"description": {}}, "not-described"), ({"target": [{"dueDate": "2026-09-01"}]}, "not-measurable"),
    ({"target": [{"measure": {"text": "d"}}, {"dueDate": "2026-09-01"}]}, "not-dated"), ({"target": []}, "not-measurable"),
    ({"statusDate": "2026-05-31"}, "assessed-before-review"), ({"statusDate": None}, "not-assessed"),
    ({"achievementStatus": None}, "not-assessed"), ({"statusDate": "2026-06-16"}, "not-assessed")])
def test_g12_each_element(db: Connection, body: dict[str, Any], found: str):
    goal(db, **body)
    plan(db, reviewed="2026-06-01", goal=[ref("Goal", "g")], activity=[activity("transition")])
    assert verdict(db, "G12", "Goal/g") == found


def test_g12_asks_the_plan_for_the_transition_and_before_a_review_for_no_assessment(db: Connection):
    goal(db, statusDate=None, achievementStatus=None)
    assert verdict(db, "G12", "Goal/g") == "not-planned"
    plan(db, goal=[ref("Goal", "g")])
    assert verdict(db, "G12", "Goal/g") == "no-transition-step"
    plan(db, goal=[ref("Goal", "g")], activity=[activity("transition")])
    assert verdict(db, "G12", "Goal/g") == "whole"


# --- G03
def centred(db: Connection, expressed: dict[str, Any] | None, parts: tuple[str, ...] = ("preferences", "strengths"),
            own_care: bool = True, support: bool = True) -> None:
    goal(db, expressedBy=expressed)
    for part in parts:
        put(db, "Observation", part, status="final", subject=ref("Patient", "p"), code=coded("plan-part", part)[0])
    plan(db, goal=[ref("Goal", "g")], supportingInfo=[ref("Observation", part) for part in parts],
         activity=[activity("self-management")] if own_care else [])
    seats = [{"role": coded("care-team-role", "natural-support"), "member": ref("RelatedPerson", "kin")}] if support else []
    put(db, "CareTeam", "t", status="active", subject=ref("Patient", "p"), participant=seats)


@pytest.mark.parametrize(("expressed", "found"), [
    (ref("Patient", "p"), "person-centred"), ({"type": "RelatedPerson", "display": "family"}, "person-centred"),
    (ref("Practitioner", "x"), "goals-of-others"), (None, "goal-origin-unknown")])
def test_g03_whose_goal_it_is(db: Connection, expressed: dict[str, Any] | None, found: str):
    centred(db, expressed)
    assert verdict(db, "G03", "CarePlan/c") == found


@pytest.mark.parametrize(("lacking", "found"), [
    ({"parts": ("strengths",)}, "no-preferences"), ({"parts": ("preferences",)}, "no-strengths"),
    ({"own_care": False}, "no-self-management"), ({"support": False}, "no-natural-support")])
def test_g03_each_element(db: Connection, lacking: dict[str, Any], found: str):
    centred(db, ref("Patient", "p"), **lacking)
    assert verdict(db, "G03", "CarePlan/c") == found


def test_g03_a_program_may_ask_for_no_natural_support(db: Connection, tmp_path: Path):
    folder = tmp_path / "rules"
    folder.mkdir()
    for path in RULES.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    programs = [{"members": "program:care-coordination", "text": "x", "parameters": {"G03": {"natural_supports": 0}}}]
    (folder / "programs.yaml").write_text(yaml.safe_dump({"programs": programs}))
    centred(db, ref("Patient", "p"), support=False)
    enrol(db)
    assert verdict(db, "G03", "CarePlan/c") == "no-natural-support"
    assert [g.verdict for g in evaluate(db, now=NOW, member="p", rule="G03", rules=open_rules(folder))] == ["person-centred"]


# --- G04
def seats(db: Connection, *organizations: str) -> None:
    put(db, "CareTeam", "t", status="active", subject=ref("Patient", "p"), participant=[
        {"role": coded("care-team-role", "specialist"), "member": ref("Practitioner", f"of-{o}"),
         "onBehalfOf": ref("Organization", o)} for o in organizations])


def tell(db: Connection, sender: dict[str, str], recipient: dict[str, str], when: str = "2026-06-01") -> None:
    put(db, "Communication", f"{sender['reference']}{recipient['reference']}", status="completed", subject=ref("Patient", "p"),
        sender=sender, recipient=[recipient], sent=when)


def o(name: str) -> dict[str, str]:
    return ref("Organization", name)


@pytest.mark.parametrize(("when", "found"), [
    ("2026-03-17T00:00:00-04:00", "all-pairs"), ("2026-03-16T23:59:59-04:00", "no-pairs"), ("2026-06-15", "all-pairs"),
    ("2026-06-16", "no-pairs")])
def test_g04_ninety_days(db: Connection, when: str, found: str):
    seats(db, "a", "b")
    tell(db, o("a"), o("b"), when)
    assert verdict(db, "G04", "CareTeam/t") == found


def test_g04_half_of_the_pairs_in_either_direction(db: Connection):
    seats(db, "a", "b", "c", "d")  # six pairs
    tell(db, o("a"), o("b"))
    tell(db, o("b"), o("a"))
    tell(db, ref("Practitioner", "of-c"), o("d"))
    tell(db, o("a"), o("elsewhere"))
    assert verdict(db, "G04", "CareTeam/t") == "too-few-pairs"
    tell(db, o("d"), ref("Practitioner", "of-a"))
    assert verdict(db, "G04", "CareTeam/t") == "enough-pairs"


def test_g04_a_contact_with_both_present_counts_and_one_organization_is_no_team(db: Connection):
    seats(db, "a", "b")
    put(db, "Encounter", "k", status="finished", subject=ref("Patient", "p"), type=coded("contact-type", "face-to-face"),
        period={"start": "2026-06-01"}, serviceProvider=o("a"),
        extension=[{"url": N + "organization-present", "valueReference": o("b")}])
    assert verdict(db, "G04", "CareTeam/t") == "all-pairs"
    seats(db, "a", "a")
    assert verdict(db, "G04", "") == "one-organization"


# --- G05
def contact(db: Connection, *when: str) -> None:
    for n, text in enumerate(when):
        put(db, "Encounter", f"k{n}{text}", status="finished", subject=ref("Patient", "p"), period={"start": text},
            type=coded("contact-type", "telephone"))


def attempt(db: Connection, when: str, purpose: str = "engagement", reason: str = "recipient-unavailable") -> None:
    put(db, "Communication", f"a{when}{purpose}", status="not-done", subject=ref("Patient", "p"), sent=when,
        medium=coded("contact-type", "telephone"), statusReason={"coding": [{"code": reason}]},
        reasonCode=coded("contact-purpose", purpose))


def weeks(db: Connection, now: datetime = NOW) -> list[str]:
    return [gap.verdict for _, gap in sorted(gaps(db, "G05", now).items())]


@pytest.mark.parametrize(("days", "found"), [
    (("2026-05-25", "2026-05-26", "2026-05-31T23:59:59-04:00"), "enough-contacts"),
    (("2026-05-25", "2026-05-26", "2026-06-01T00:00:00-04:00"), "too-few-contacts"),
    (("2026-05-24T23:59:59-04:00", "2026-05-26", "2026-05-27"), "too-few-contacts"),
    (tuple(f"2026-05-{n}" for n in range(25, 32)), "every-day"), ((), "no-contact")])
def test_g05_contacts_of_a_full_week_count_from_the_day_of_enrolment(db: Connection, days: tuple[str, ...], found: str):
    enrol(db)
    contact(db, *days)
    assert weeks(db)[0] == found


def test_g05_every_week_has_its_own_state(db: Connection):
    enrol(db)
    contact(db, "2026-05-25", "2026-05-26", "2026-05-27")
    found = gaps(db, "G05")
    assert weeks(db) == ["enough-contacts", "no-contact", "no-contact", "week-running"]
    due = found["EpisodeOfCare/e#week-4"].due
    assert due == datetime.fromisoformat("2026-06-21T23:59:59-04:00")
    assert found["EpisodeOfCare/e#week-3"].state == "missed"  # ended yesterday
    assert gaps(db, "G05", NOW - D)["EpisodeOfCare/e#week-3"].state == "prospective"


def test_g05_weeks_are_told_for_a_year(db: Connection):
    enrol(db, "2025-06-15")
    assert len(weeks(db)) == 4
    assert weeks(db, NOW + D) == ["not-in-first-month"]


def test_g05_no_answer_needs_an_attempt_to_locate(db: Connection):
    enrol(db)
    contact(db, "2026-05-25")
    attempt(db, "2026-05-27")
    assert weeks(db)[0] == "too-few-contacts"
    attempt(db, "2026-05-28")
    assert weeks(db)[0] == "no-attempt-to-locate"
    attempt(db, "2026-05-29", "locate")
    assert weeks(db)[0] == "tried-to-locate"


@pytest.mark.parametrize(("unit", "period", "found"), [
    ("wk", 1, "enough-contacts"), ("d", 1, "too-few-contacts"), ("wk", 2, "schedule-not-computable"),
    ("mo", 1, "schedule-not-computable")])
def test_g05_the_schedule_of_the_plan_counts(db: Connection, unit: str, period: int, found: str):
    enrol(db)
    timing = {"repeat": {"frequency": 1, "period": period, "periodUnit": unit}}
    plan(db, activity=[activity("contact", scheduledTiming=timing)])
    contact(db, "2026-05-26")
    assert weeks(db)[0] == found


def test_g05_a_refusal_ends_the_month_and_is_told_apart(db: Connection):
    enrol(db)
    attempt(db, "2026-06-03", "care-coordination", "patient-objection")
    assert weeks(db) == ["no-contact", "refused", "refused", "refused"]
    reason = [{"url": N + "end-reason", "valueCode": "refused"}]
    enrol(db, status="cancelled", extension=reason)
    assert weeks(db) == ["refused"]
    enrol(db, status="cancelled", extension=[{"url": N + "end-reason", "valueCode": "moved"}])
    assert weeks(db) == ["not-in-first-month"]


@pytest.mark.parametrize(("end", "found"), [("2026-05-31", "no-contact"), ("2026-05-30", "ended")])
def test_g05_a_week_that_the_enrolment_left_is_outside(db: Connection, end: str, found: str):
    enrol(db, status="finished", period={"start": "2026-05-25", "end": end})
    assert weeks(db) == [found, "ended", "ended", "ended"]
    enrol(db, status="finished", period={"start": "2026-05-25"})
    assert weeks(db) == ["not-dated"]
