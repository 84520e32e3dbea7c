"""The made-up network's coordinators: modules they were assigned and did, and what they answered to the needs assessments."""

from __future__ import annotations

import random
from collections.abc import Iterator

from adapter.demo.cells import cells
from adapter.demo.chance import Calendar, deal, iso, stream
from adapter.demo.organizations import ORGANIZATIONS, Practitioner, Staff
from adapter.mapping.questionnaires import Question, surveys

COURSE = {"completed": 55, "late": 10, "in-progress": 10, "assigned": 15, "overdue": 7, "excused": 3}
"""How a module went, in hundredths. late: done after its day; overdue: not done, its day is past."""

_ROLES = ("lead-coordinator", "care-coordinator", "peer-specialist")
_WORDS = ("I ask what a good day looks like.", "Reaching the plan on a Friday afternoon.", "None.",
          "A list that I go through weekly.")


def coordinators(staff: Staff) -> list[Practitioner]:
    """Everybody who coordinates care, by organization."""
    return [who for organization in ORGANIZATIONS for role in _ROLES for who in staff.of(organization, role)]


def training_rows(seed: int, staff: Staff, calendar: Calendar) -> Iterator[dict[str, str]]:
    """The trainings feed: the first modules for everybody, later ones for a few."""
    rng = stream(seed, "trainings")
    assigned = [(who, n) for who in coordinators(staff) for n in range(1, rng.choice([2, 3, 3, 4, 6, 8]))]
    for (who, number), case in zip(assigned, deal(rng, COURSE, len(assigned)), strict=True):
        yield _training(rng, who, number, case, calendar)


def _training(rng: random.Random, who: Practitioner, number: int, case: str, calendar: Calendar) -> dict[str, str]:
    given = rng.randint(-60, 40)
    due = given + rng.randint(30, 45) if case in ("completed", "late", "overdue") else rng.randint(95, 140)
    done = {"completed": rng.randint(given, min(due, 88)), "late": min(due + rng.randint(1, 10), 88)}.get(case)
    return cells("trainings", _who(who), {
        "module": f"module-{number}", "assigned_date": calendar.day(given).isoformat(), "due_date": calendar.day(due).isoformat(),
        "status": {"late": "completed", "overdue": "assigned"}.get(case, case), "updated_at": iso(calendar.at(89, 8)),
        **({} if done is None else {
            "completed_date": calendar.day(done).isoformat(), "valid_until": calendar.day(done + 365).isoformat(),
            "trainer_org": "ORG-EVERGREEN", "trainer_org_name": ORGANIZATIONS["ORG-EVERGREEN"].name})})


def survey_rows(seed: int, staff: Staff, calendar: Calendar) -> Iterator[dict[str, str]]:
    """The surveys feed: most coordinators answered the first needs assessment, fewer the second, some without their name."""
    rng = stream(seed, "surveys")
    number = 0
    for name, share, day in (("needs-assessment-module-1", 0.8, 10), ("needs-assessment-module-2", 0.5, 40)):
        for who in coordinators(staff):
            if rng.random() < share:
                number += 1
                yield from _response(rng, f"SV-{number:04d}", name, who, day, calendar)


def _response(rng: random.Random, response: str, survey: str, who: Practitioner, day: int,
              calendar: Calendar) -> Iterator[dict[str, str]]:
    answered = calendar.at(day + rng.randint(0, 20), rng.uniform(8, 17))
    about = _who(who)
    if rng.random() < 0.25:
        about = {column: about[column] for column in ("organization_id", "organization_name")}
    for link, question in surveys()[survey].questions.items():
        if rng.random() < (0.92 if question.options else 0.4):
            yield cells("surveys", about, {
                "response_id": response, "survey": survey, "question": link, "answer": _answer(rng, question),
                "answered_at": iso(answered), "updated_at": iso(answered)})


def _answer(rng: random.Random, question: Question) -> str:
    """Words, one option (the middle ones most often), or some of several."""
    options = list(question.options)
    if not options:
        return rng.choice(_WORDS)
    if question.many:
        return ";".join(sorted(rng.sample(options, rng.randint(1, len(options))), key=options.index))
    return options[min(int(rng.triangular(0, len(options))), len(options) - 1)]


def _who(who: Practitioner) -> dict[str, str]:
    return {"organization_id": who.organization, "organization_name": ORGANIZATIONS[who.organization].name, "npi": who.npi,
            "first_name": who.first, "last_name": who.last}
