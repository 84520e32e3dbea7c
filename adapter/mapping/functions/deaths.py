"""Functions for PDA: a death and the autopsy. Source: LOINC 69453-9, 74497-9 and their use in HL7's guide of death reporting.

That the patient died, and when, is said by PID-29 and PID-30.
"""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.codes import cwe_codeable_concept
from adapter.mapping.functions.primitives import dr_period, yes_no_boolean
from adapter.mapping.functions.registry import OTHER_WORDS, function
from adapter.model import Json

_LOINC = "http://loinc.org"
_CAUSE: Json = {"coding": [{"system": _LOINC, "code": "69453-9"}], "text": "Cause of death"}
_YES_NO: dict[int, Json] = {
    3: {"text": "Death certified"},
    9: {"coding": [{"system": _LOINC, "code": "74497-9"}], "text": "Coroner or medical examiner was contacted"}}


@function("pda_cause", {"1": "", **{f"1.{n}": "" for n in range(1, 23)}})
def pda_cause(segment: Any, ctx: Any) -> Json | None:
    """The cause of death (PDA-1), where there is one alone."""
    causes = _causes(segment, ctx)
    return causes[0] if len(causes) == 1 else None


def _causes(segment: Any, ctx: Any) -> list[Json]:
    return [c for c in (cwe_codeable_concept(rep, ctx) for rep in segment.reps(1) if rep.text) if c]


@function("pda_components", {"1": "valueCodeableConcept", **{f"1.{n}": "valueCodeableConcept" for n in range(1, 23)},
                             "3": "valueBoolean", "9": "valueBoolean"})
def pda_components(segment: Any, ctx: Any) -> list[Json]:
    """Several causes of death, each a component; whether the death was certified (PDA-3), and a matter of the coroner (PDA-9)."""
    causes = _causes(segment, ctx)
    found: list[Json] = [{"code": _CAUSE, "valueCodeableConcept": one} for one in causes] if len(causes) > 1 else []
    for n, code in _YES_NO.items():
        value = yes_no_boolean(segment.first(n), ctx) if segment.raw(n) else None
        if value is not None:
            found.append({"code": code, "valueBoolean": value})
    return found


@function("pda_autopsy_status", {"6": OTHER_WORDS})
def pda_autopsy_status(segment: Any, ctx: Any) -> str:
    """Completed; not done where PDA-6 says that there was no autopsy; in progress where its period (PDA-7) has no end."""
    if segment.first(6).get(1) == "N":
        return "not-done"
    worked = dr_period(segment.first(7), ctx) if segment.raw(7) else None
    return "in-progress" if worked and "end" not in worked else "completed"
