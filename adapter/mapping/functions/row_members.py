"""Functions for what members, care_plans and consents say beside the person: attribution, parts of a plan, labels."""

from __future__ import annotations

from typing import Any

from adapter.mapping.context import symbol
from adapter.mapping.functions.primitives import ended
from adapter.mapping.functions.registry import Rep, function
from adapter.model import Json

ACTIVITY = "urn:x-careloop:plan-activity"
_CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
_ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_POLICIES = "http://terminology.hl7.org/CodeSystem/consentpolicycodes"
_PART2 = ((_CONFIDENTIALITY, "R"), (_ACT_CODE, "42CFRPart2"), (_ACT_CODE, "NORDSCLCD"))
"""Labels of what 42 CFR Part 2 protects: restricted, the law, and no disclosure again without consent."""


@function("attributed_member", {"attribution_start": "period.start", "attribution_end": "period.end"})
def attributed_member(row: Any, ctx: Any) -> Json:
    """The row's person as Group.member, with the days of the attribution; an end before the start is left out, and told."""
    start = row.first("attribution_start").plain()
    days = (("start", start), ("end", ended(start, row.first("attribution_end").plain(), ctx, "attribution_end")))
    period = {part: day for part, day in days if day}
    entity = {"reference": symbol("Patient", ctx.patient)}
    return {"entity": entity, "period": period} if period else {"entity": entity}


@function("row_part", {"*": "reference"})
def row_part(_rep: Rep, ctx: Any, type: str, system: str, column: str, part: str) -> Json:
    """A reference to what another map of the row makes of the cell: `type` of `system|column/part`."""
    return {"reference": f"{type}?{system}|{ctx.segment.first(column).plain()}/{part}"}


@function("plan_activity", {"*": "detail"})
def plan_activity(rep: Rep, _ctx: Any, kind: str) -> Json:
    """Words of a plan as CarePlan.activity.detail of a kind; whether it is done is not told, so its status is unknown."""
    return {"detail": {"code": {"coding": [{"system": ACTIVITY, "code": kind}]}, "status": "unknown", "description": rep.plain()}}


@function("plan_schedule", {"*": "detail.scheduledTiming"})
def plan_schedule(rep: Rep, _ctx: Any, kind: str) -> Json:
    """A number of times a week as scheduled CarePlan.activity.detail of a kind."""
    return {"detail": {"code": {"coding": [{"system": ACTIVITY, "code": kind}]}, "status": "scheduled",
                       "scheduledTiming": {"repeat": {"frequency": int(rep.plain()), "period": 1, "periodUnit": "wk"}}}}


@function("part2_labels", {"part2": "", "data_class": ""})
def part2_labels(row: Any, ctx: Any) -> list[Json] | None:
    """Security labels of 42 CFR Part 2, of releases that are under it (see `release_policy`)."""
    return [{"system": system, "code": code} for system, code in _PART2] if _under_part2(row, ctx) else None


@function("release_policy", {"part2": "coding", "data_class": "coding"})
def release_policy(row: Any, ctx: Any) -> Json:
    """The rule of a release: 42 CFR Part 2 for records of a program that is under it (`part2`), else a HIPAA authorization.

    Where nobody says what the discloser is, substance use is held to be such a program's, and that is told.
    """
    system, code = (_ACT_CODE, "42CFRPart2") if _under_part2(row, ctx) else (_POLICIES, "hipaa-auth")
    return {"coding": [{"system": system, "code": code}]}


def _under_part2(row: Any, ctx: Any) -> bool:
    said = row.first("part2").plain()
    if said or row.first("data_class").plain() != "substance-use":
        return said == "Y"
    ctx.issue("required-missing", "is the discloser a Part 2 program? The release is held to be one of such a program", "part2")
    return True
