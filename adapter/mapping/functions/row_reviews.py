"""Functions for a visit that is told of (communications), and for a coordinator's review of the central record (care_team)."""

from __future__ import annotations

from typing import Any

from adapter.mapping.context import symbol
from adapter.mapping.functions.registry import Rep, function
from adapter.mapping.functions.row_parties import organization, practitioner
from adapter.mapping.functions.row_references import OUTPUT
from adapter.mapping.functions.whole_rows import doubt
from adapter.model import Json

RECORD_PART = "urn:x-careloop:record-part"
"""System of the parts of a member's central record."""


@function("told_visit", {"visit_number": "reference(Encounter.identifier)", "visit_system": "reference(Encounter.identifier)"})
def told_visit(row: Any, ctx: Any) -> Json | None:
    """The hospital's Encounter that a communication is about: its number with the system that gave it."""
    value, system = row.first("visit_number").plain(), row.first("visit_system").plain()
    if value and not system:
        doubt(ctx, "visit_system", "required-missing", "visit_number names no visit without it")
    return {"reference": symbol("Encounter", f"{system}|{value}")} if value and system else None


@function("record_reviewer", {"npi": "Practitioner.identifier", "first_name": "Practitioner.name",
                              "last_name": "Practitioner.name", "organization_id": "Organization.identifier",
                              "organization_name": "Organization.name"})
def record_reviewer(row: Any, ctx: Any) -> Json | None:
    """Who read the member's record: the practitioner of the seat, else its organization."""
    who = practitioner(row, ctx)
    return who or organization(row.first("organization_id").plain(), row.first("organization_name").plain(), ctx)


@function("reviewed_parts", {"*": "valueCodeableConcept"})
def reviewed_parts(rep: Rep, _ctx: Any) -> list[Json]:
    """What of a record was read, several by semicolons, each as Task.output of kind reviewed."""
    return [{"type": {"coding": [{"system": OUTPUT, "code": "reviewed"}]},
             "valueCodeableConcept": {"coding": [{"system": RECORD_PART, "code": part}]}}
            for part in dict.fromkeys(rep.plain().split(";"))]
