"""Functions for PR1: procedures. Source: v2-to-FHIR segment map PR1[Procedure]."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from adapter.mapping.functions.codes import CWE_PARTS, cwe_codeable_concept
from adapter.mapping.functions.identifiers import ei_identifier
from adapter.mapping.functions.practitioners import XCN_PARTS, xcn_practitioner
from adapter.mapping.functions.primitives import nm_positive_int
from adapter.mapping.functions.registry import OTHER_WORDS, Rep, below, function
from adapter.model import Json

_FUNCTIONS = {"88189002": "Anesthesiologist", "304292004": "Surgeon"}
_WITH_MINUTES = len("2026-03-01T08:00")


@function("pr1_code", below(CWE_PARTS, 3) | {"4": "text"})
def pr1_code(segment: Any, ctx: Any) -> Json | None:
    """PR1-3, in the coding system of PR1-2 where it names none; the words of PR1-4 as text where PR1-3.9 has none."""
    concept: Json = cwe_codeable_concept(segment.first(3), ctx, source=segment.first(2).get(1)) or {}
    text = segment.first(3).get(9) or segment.first(4).plain()
    return {**concept, "text": text} if text else concept or None


@function("pr1_status", {"20": "drop: what was done: decides whether the procedure stands"})
def pr1_status(segment: Any, ctx: Any) -> str:
    """Completed; in preparation where PR1-5 lies ahead of the message; entered in error where PR1-20 deletes it."""
    if segment.first(20).get(1) == "D":
        return "entered-in-error"
    at = _start(segment, ctx)
    return "preparation" if at and at.timestamp() * 1_000_000 > ctx.order.stated else "completed"


def _start(segment: Any, ctx: Any) -> datetime | None:
    """PR1-5 where it is told to the minute."""
    text = ctx.moment(segment.first(5).get(1)) if segment.raw(5) else None
    return datetime.fromisoformat(text) if text and len(text) > _WITH_MINUTES else None


@function("pr1_performed", {"5": ""})
def pr1_performed(segment: Any, ctx: Any) -> str | None:
    """PR1-5 as performedDateTime, where PR1-7 does not make it a period."""
    if pr1_period(segment, ctx):
        return None
    return ctx.moment(segment.first(5).get(1)) if segment.raw(5) else None


@function("pr1_period", {"5": "start", "7": f"end{OTHER_WORDS}"})
def pr1_period(segment: Any, ctx: Any) -> Json | None:
    """PR1-5 to so many minutes later as PR1-7 says, as performedPeriod; None where the start is not told to the minute."""
    minutes = nm_positive_int(segment.first(7), ctx) if segment.raw(7) else None
    start = _start(segment, ctx) if minutes else None
    if not minutes or start is None or minutes > 527_040:
        return None
    return {"start": ctx.moment(segment.first(5).get(1)), "end": (start + timedelta(minutes=minutes)).isoformat()}


@function("xcn_performer", {at: text if text.startswith("drop") else f"actor -> {text}" for at, text in XCN_PARTS.items()})
def xcn_performer(rep: Rep, ctx: Any, code: str = "") -> Json | None:
    """An XCN as Procedure.performer. code: SNOMED CT of what they did (anesthesiologist, surgeon)."""
    actor = xcn_practitioner(rep, ctx)
    if not actor:
        return None
    coding: Json = {"system": "http://snomed.info/sct", "code": code}
    if code in _FUNCTIONS:
        coding["display"] = _FUNCTIONS[code]
    return {**({"function": {"coding": [coding]}} if code else {}), "actor": actor}


@function("ei_procedure", {"1": "identifier.value", "2": "identifier.assigner.display", "3": "identifier.system",
                           "4": "identifier.system"})
def ei_procedure(rep: Rep, ctx: Any) -> Json | None:
    """The procedure that an EI names (PR1-25, the parent), by its identifier."""
    identifier = ei_identifier(rep, ctx)
    return {"type": "Procedure", "identifier": identifier} if identifier else None
