"""The report per member per month once more, in plain Python over FHIR resources: written from its definition in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from tests.unit.gap_oracle import NETWORK, Answer, Oracle, Resource, codes, span
from tests.unit.report_oracle import attributed, month_end, month_of

Key = tuple[str, str, str, str]
"""Measure, month (2026-03), organization id, member id."""
SPOKEN = {"face-to-face", "video", "telephone"}


def pmpm(resources: list[Resource], answers: Mapping[str, list[Answer]], now: datetime) -> dict[Key, bool]:
    """Whether each activity of each attributed member is done, and all of them. answers: the rules', of each month."""
    found: dict[Key, bool] = {}
    for month, told in answers.items():
        at = month_end(month, now)
        closed = {(a.rule, a.member) for a in told if a.state == "closed"}
        for organization, members in attributed(resources, at).items():
            for member in members:
                known = Oracle(resources, member, at)
                done = {"enrolment": bool(known.enrollments), "lead": ("G01", member) in closed,
                        "plan": ("G02", member) in closed,
                        "contact": any(spoken(known, one, organization, month, now) for one in known.contacts())}
                done["eligible"] = all(done.values())
                found |= {(measure, month, organization, member): yes for measure, yes in done.items()}
    return found


def spoken(known: Oracle, contact: Resource, organization: str, month: str, now: datetime) -> bool:
    """A contact of the month in which the organization took part."""
    period: Resource = contact.get("period") or {}
    start = span(period.get("start"))
    kinds = [code for code in codes(contact["type"], NETWORK + "contact-type") if code != "warm-handoff"]
    return (start is not None and start.first <= now and month_of(period["start"]) == month
            and kinds[:1] != [] and kinds[0] in SPOKEN and ("o", organization) in known.present(contact))
