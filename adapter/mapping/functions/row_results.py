"""Functions for assessments, benefits and conditions: what a whole row says of one result, case or problem."""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.registry import Rep, function
from adapter.mapping.functions.whole_rows import doubt
from adapter.model import Json

ASSESSMENT = "urn:x-careloop:assessment"
LEVEL = "urn:x-careloop:level-of-care"
PART = "urn:x-careloop:assessment-part"
STAGE = "urn:x-careloop:benefit-stage"
SCREENS = frozenset(("phq-2", "phq-9", "gad-7", "audit-c", "dast-10", "functional-status"))
"""Tools whose total score is what was found; the others find a level, or whether a need is there."""
_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_SYSTEMS = {"icd10cm": "http://hl7.org/fhir/sid/icd-10-cm", "snomed": "http://snomed.info/sct"}
_OVER = frozenset(("inactive", "remission", "resolved"))
_ENDED = {"approved": "completed", "denied": "completed", "withdrawn": "cancelled", "declined-by-member": "cancelled"}
"""Outcome of an application -> status of its Task; pending is in progress."""


@function("assessment_identifier", {"assessment_id": "value", "domain": "value"})
def assessment_identifier(row: Any, _ctx: Any) -> Json:
    """The id of a result: that of the assessment, and the domain of a screening."""
    parts = (row.first("assessment_id").plain(), row.first("domain").plain())
    return {"system": ASSESSMENT, "value": "/".join(p for p in parts if p)}


def _level(text: str, tool: str) -> Json:
    return {"coding": [{"system": f"{LEVEL}:{tool}", "code": text}]}


@function("assessment_value", {"level": "", "result": ""})
def assessment_value(row: Any, ctx: Any, table: str) -> Json | None:
    """The level of care that a tool found, or whether a need was found; None where it is said that it is not known."""
    level, result = row.first("level").plain(), row.first("result").plain()
    if row.first("domain").plain():
        found = ctx.code(table, result) if result else None
        return {"coding": [found]} if found else None
    tool = row.first("tool").plain()
    return _level(level, tool) if level and tool not in SCREENS else None


@function("screening_score", {"score": "value"})
def screening_score(row: Any, _ctx: Any) -> Json | None:
    """The total score of a screening as Observation.valueQuantity; None for tools that find a level, or needs by domain."""
    score = row.first("score")
    if row.first("tool").plain() not in SCREENS or row.first("domain").plain() or not score.plain():
        return None
    return _points(score.plain())


def _points(text: str) -> Json:
    number = float(text)
    return {"value": int(number) if number.is_integer() else number, "unit": "points",
            "system": "http://unitsofmeasure.org", "code": "{score}"}


@function("assessment_absence", {"result": ""})
def assessment_absence(row: Any, ctx: Any, table: str) -> Json | None:
    """Why there is no result: declined, or unknown; an issue where nothing is said at all."""
    result = row.first("result").plain()
    domain, level = row.first("domain").plain(), row.first("level").plain()
    score = row.first("score").plain() if row.first("tool").plain() in SCREENS else ""
    if result in ("declined", "unknown") and (domain or not (level or score)):
        return {"coding": [ctx.code(table, result)]}
    if domain and not result:
        doubt(ctx, "result", "required-missing")
    if not domain and not level and not row.first("score").plain():
        doubt(ctx, "level", "required-missing", "neither level nor score, and no domain that was screened")
    return None


@function("score_component", {"*": "valueQuantity.value"})
def score_component(rep: Rep, _ctx: Any) -> Json:
    """A total score as Observation.component."""
    return {"code": {"coding": [{"system": PART, "code": "score"}]}, "valueQuantity": _points(rep.plain())}


@function("level_component", {"*": "valueCodeableConcept"})
def level_component(rep: Rep, ctx: Any, part: str) -> Json:
    """A level on the scale of the row's tool as Observation.component."""
    return {"code": {"coding": [{"system": PART, "code": part}]},
            "valueCodeableConcept": _level(rep.plain(), ctx.segment.first("tool").plain())}


@function("benefit_status", {"outcome": "", "eligible": "", "applied_on": "", "screened_on": ""})
def benefit_status(row: Any, _ctx: Any) -> str:
    """Task.status of a benefit: requested until screened, completed when not eligible or decided, else on the way."""
    outcome = row.first("outcome").plain()
    if outcome in _ENDED:
        return _ENDED[outcome]
    if outcome or row.first("applied_on").plain():
        return "in-progress"
    if row.first("eligible").plain() == "N":
        return "completed"
    return "accepted" if row.first("screened_on").plain() else "requested"


@function("benefit_stage", {"outcome": "", "eligible": "", "applied_on": "", "screened_on": ""})
def benefit_stage(row: Any, _ctx: Any) -> Json:
    """How far a benefit is, as Task.businessStatus: not-screened, screened, eligible, not-eligible, applied, or the outcome."""
    outcome, eligible = row.first("outcome").plain(), row.first("eligible").plain()
    if outcome and outcome != "pending":
        stage = outcome
    elif outcome or row.first("applied_on").plain():
        stage = "applied"
    elif eligible in ("Y", "N"):
        stage = "eligible" if eligible == "Y" else "not-eligible"
    else:
        stage = "screened" if row.first("screened_on").plain() else "not-screened"
    return {"coding": [{"system": STAGE, "code": stage}]}


@function("benefit_start", {"screened_on": ""})
def benefit_start(row: Any, ctx: Any) -> str | None:
    """The day of the screening, with which work on a benefit begins; left out where it ended before."""
    start, end = row.first("screened_on").plain(), _benefit_end(row)
    if start and end and end < start:
        doubt(ctx, "screened_on", "bad-value", "after the day on which it was over")
        return None
    return start or None


@function("benefit_end", {"decided_on": "", "eligible": "", "screened_on": ""})
def benefit_end(row: Any, _ctx: Any) -> str | None:
    """The day on which it was over: of the outcome, or of the screening that found the member not eligible."""
    return _benefit_end(row) or None


def _benefit_end(row: Any) -> str:
    decided: str = row.first("decided_on").plain()
    screened: str = row.first("screened_on").plain()
    return decided or (screened if row.first("eligible").plain() == "N" else "")


@function("condition_code", {"code": "coding.code", "code_system": "coding.system", "description": "text"})
def condition_code(row: Any, _ctx: Any) -> Json:
    """A problem as CodeableConcept: its code, and its words."""
    words = row.first("description").plain()
    coding = {"system": _SYSTEMS[row.first("code_system").plain()], "code": row.first("code").plain()}
    return {"coding": [coding], **({"text": words} if words else {})}


@function("condition_clinical_status", {"clinical_status": "", "verification_status": ""})
def condition_clinical_status(row: Any, _ctx: Any) -> Json | None:
    """Condition.clinicalStatus; none of a problem that was entered in error (R4 con-5)."""
    if row.first("verification_status").plain() == "entered-in-error":
        return None
    return {"coding": [{"system": _CLINICAL, "code": row.first("clinical_status").plain()}]}


@function("condition_abatement", {"abatement_date": ""})
def condition_abatement(row: Any, ctx: Any) -> str | None:
    """The day on which a problem ended; left out of, and taken back from, one that is still active or in error (R4 con-4)."""
    text = row.first("abatement_date").plain()
    if not text or row.first("verification_status").plain() == "entered-in-error":
        return None
    if row.first("clinical_status").plain() not in _OVER:
        doubt(ctx, "abatement_date", "bad-value", "clinical_status says that the problem is still active")
        ctx.emit("Condition", ctx.refs["Condition"].partition("?")[2], {"abatementDateTime": None})
        return None
    if row.first("onset_date").plain() > text:
        doubt(ctx, "abatement_date", "bad-value", "before onset_date")
        return None
    return text
