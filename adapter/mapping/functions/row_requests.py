"""Functions for service_requests: how a request for an authorization was decided, and its appeals."""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.registry import Rep, function
from adapter.mapping.functions.row_parties import organization
from adapter.mapping.functions.rows import moment
from adapter.mapping.functions.whole_rows import doubt
from adapter.model import Json
from adapter.validate.periods import in_order

STATUS = "urn:x-careloop:request-status"
DENIAL = "urn:x-careloop:denial-reason"
COVERAGE = "urn:x-careloop:coverage"
_DECIDED = frozenset(("approved", "partly-approved", "denied"))
_DENIED = frozenset(("partly-approved", "denied"))


def _coverage(row: Any) -> str:
    """The key of the Coverage of a row, as mappings/members makes it; '' without coverage_id."""
    number = row.first("coverage_id").plain()
    parts = (row.first("payer_id").plain(), number, row.first("member_id").plain())
    return f"Coverage?{COVERAGE}|{'/'.join(p for p in parts if p)}" if number else ""


@function("coverage_reference", {"*": "reference(Coverage)"})
def coverage_reference(_rep: Rep, ctx: Any) -> Json:
    """The Coverage that the members feed states of payer_id, coverage_id and member_id."""
    return {"reference": _coverage(ctx.segment)}


@function("request_insurance", {"coverage_id": "coverage", "payer_name": "coverage.display", "payer_id": "coverage.identifier"})
def request_insurance(row: Any, _ctx: Any) -> Json:
    """Who is asked to pay, as Claim.insurance: the member's Coverage, without coverage_id the payer by name alone."""
    known = _coverage(row)
    shown = row.first("payer_name").plain() or row.first("payer_id").plain()
    return {"sequence": 1, "focal": True, "coverage": {"reference": known} if known else {"display": shown}}


@function("claim_item", {"*": "productOrService"})
def claim_item(rep: Rep, _ctx: Any, system: str) -> Json:
    """The service that is asked for, as the one Claim.item."""
    return {"sequence": 1, "productOrService": {"coding": [{"system": system, "code": rep.plain()}]}}


@function("request_decision", {"status": "category", "denial_reason": "reason"})
def request_decision(row: Any, ctx: Any) -> Json:
    """What was decided, and why it was denied, as ClaimResponse.adjudication; a denial without reason is told."""
    status, reason = row.first("status").plain(), row.first("denial_reason").plain()
    found: Json = {"category": {"coding": [{"system": STATUS, "code": status}]}}
    if status not in _DENIED:
        return found
    if not reason:
        doubt(ctx, "denial_reason", "required-missing")
        return found
    return {**found, "reason": {"coding": [{"system": DENIAL, "code": reason}]}}


@function("decision_time", {"decided_at": ""})
def decision_time(row: Any, ctx: Any) -> str | None:
    """When it was decided; an issue where the status says that it was and the time is missing, or lies before the request."""
    text = row.first("decided_at").plain()
    if not text:
        if row.first("status").plain() in _DECIDED:
            doubt(ctx, "decided_at", "required-missing", "the decision has no time, so its clock cannot be computed")
        return None
    found = moment(text, ctx)
    if not in_order(moment(row.first("requested_at").plain(), ctx), found):
        doubt(ctx, "decided_at", "bad-value", "before requested_at, or not precise enough to tell")
    return found


@function("appeal_status", {})
def appeal_status(row: Any, _ctx: Any, level: str) -> str:
    """Task.status of an appeal: completed once decided, cancelled when withdrawn, else in progress."""
    outcome = row.first(f"appeal{level}_outcome").plain()
    if outcome == "withdrawn":
        return "cancelled"
    return "completed" if outcome or row.first(f"appeal{level}_decided_at").plain() else "in-progress"


@function("appeal_owner", {"appeal1_body": "reference", "appeal2_body": "reference"})
def appeal_owner(row: Any, ctx: Any, level: str) -> Json | None:
    """Who decides an appeal: the body that is named, else, of the first level, the payer."""
    body = row.first(f"appeal{level}_body").plain()
    if body:
        return organization(body, "", ctx)
    return organization(row.first("payer_id").plain(), row.first("payer_name").plain(), ctx) if level == "1" else None
