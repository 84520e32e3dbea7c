"""Functions for ROL: people with a role, in the care team or in a visit. Source: v2-to-FHIR segment map ROL."""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.reading import segment_period
from adapter.mapping.functions.registry import FUNCTIONS, function
from adapter.model import Json


@function("rol_team_participant", {"3": "role", "4": "member(PractitionerRole)", "5": "period.start", "6": "period.end"})
def rol_team_participant(segment: Any, ctx: Any) -> Json | None:
    """A ROL after PID as CareTeam.participant; ROL-2 DE or UN has no participant to state."""
    member = ctx.refs.get("PractitionerRole")
    if not member or segment.first(2).get(1) in ("DE", "UN"):
        return None
    role = FUNCTIONS["cwe_codeable_concept"].call(segment.first(3), ctx, table="provider-role")
    return {**({"role": [role]} if role else {}), "member": {"reference": member}, **segment_period(segment, ctx, 5, 6)}


@function("rol_encounter_participant", {"3": "type", "4": "individual(PractitionerRole)", "5": "period.start", "6": "period.end"})
def rol_encounter_participant(segment: Any, ctx: Any) -> Json | None:
    """A ROL after PV1 or PR1 as Encounter.participant."""
    individual = ctx.refs.get("PractitionerRole")
    if not individual or segment.first(2).get(1) in ("DE", "UN"):
        return None
    role = FUNCTIONS["cwe_codeable_concept"].call(segment.first(3), ctx, table="provider-role")
    return {**({"type": [role]} if role else {}), "individual": {"reference": individual}, **segment_period(segment, ctx, 5, 6)}
