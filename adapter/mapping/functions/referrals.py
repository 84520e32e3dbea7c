"""Functions for RF1: a referral, as ServiceRequest. Source: FHIR R4 ServiceRequest (the guide leaves RF1 out of ADT)."""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.codes import cwe_codeable_concept, status_of
from adapter.mapping.functions.primitives import period
from adapter.mapping.functions.registry import function
from adapter.model import Json


@function("rf1_status", {"1": "", "1.1": "", "25": "drop: what was done: decides whether the referral stands", **{
    f"1.{n}": "drop: a status is a code of FHIR's own; the sender's stands in request-statusReason" for n in range(2, 23)}})
def rf1_status(segment: Any, ctx: Any) -> str:
    """ServiceRequest.status by RF1-1 (accepted and pending are active); entered in error where RF1-25 deletes the referral."""
    return status_of(segment, ctx, 1, 25, "referral-status")


@function("rf1_period", {"7": "start", "8": "end"})
def rf1_period(segment: Any, ctx: Any) -> Json | None:
    """When the referral is in force, from RF1-7 to RF1-8."""
    return period(segment.first(7).get(1), segment.first(8).get(1), ctx)


@function("rf1_code", {"3": "", **{f"3.{n}": "coding" for n in range(1, 23)}})
def rf1_code(segment: Any, ctx: Any) -> Json:
    """What is asked for: the type of the referral (RF1-3), else the word `referral` (R4 prr-1 asks for a code)."""
    kind = cwe_codeable_concept(segment.first(3), ctx, source="HL70281") if segment.raw(3) else None
    return kind or {"coding": [{"system": "http://snomed.info/sct", "code": "3457005", "display": "Patient referral"}]}
