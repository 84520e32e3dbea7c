"""Functions for rows of the medications feed: what is taken, by whose word, and who reconciled it."""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.primitives import ended
from adapter.mapping.functions.registry import function
from adapter.mapping.functions.row_parties import organization, practitioner
from adapter.model import Json

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"


@function("medication_concept", {"medication": "text", "rxnorm": "coding"})
def medication_concept(row: Any, ctx: Any) -> Json:
    """The medication in words, and its RxNorm code where the row gives one."""
    del ctx
    code = row.first("rxnorm").plain()
    found: Json = {"coding": [{"system": RXNORM, "code": code}]} if code else {}
    return {**found, "text": row.first("medication").plain()}


@function("ordered_dosage", {"dosage": "text", "start_date": "timing.repeat.boundsPeriod.start",
                             "end_date": "timing.repeat.boundsPeriod.end"})
def ordered_dosage(row: Any, ctx: Any) -> Json:
    """How an order is to be taken, from when to when, as Dosage."""
    words, start, end = (row.first(c).plain() for c in ("dosage", "start_date", "end_date"))
    end = ended(start, end, ctx, "end_date")
    found: Json = {"text": words} if words else {}
    bounds = {part: day for part, day in (("start", start), ("end", end)) if day}
    return {**found, "timing": {"repeat": {"boundsPeriod": bounds}}} if bounds else found


_PARTIES = {"npi": "Practitioner.identifier", "first_name": "Practitioner.name", "last_name": "Practitioner.name",
            "organization_id": "Organization.identifier", "organization_name": "Organization.name"}


@function("prescriber", _PARTIES)
def prescriber(row: Any, ctx: Any) -> Json | None:
    """Who ordered it: the practitioner, else the organization; the organization is stated too."""
    where = _organization(row, ctx)
    return practitioner(row, ctx) or where


@function("medication_reporter", {**_PARTIES, "reported_by": ""})
def medication_reporter(row: Any, ctx: Any) -> Json | None:
    """By whose word it is known: the member, the practitioner or the organization; by reported_by, else whom the row names."""
    by = row.first("reported_by").plain()
    if by == "member":
        return {"reference": f"Patient?{ctx.patient}"}
    where = _organization(row, ctx)
    return where if by == "organization" else practitioner(row, ctx) or where


@function("reconciliation_performer", {
    "reconciled_npi": "actor(Practitioner.identifier)", "reconciled_first_name": "actor(Practitioner.name)",
    "reconciled_last_name": "actor(Practitioner.name)", "reconciled_org": "onBehalfOf(Organization.identifier)",
    "reconciled_org_name": "onBehalfOf(Organization.name)"})
def reconciliation_performer(row: Any, ctx: Any) -> Json | None:
    """Who reconciled, for which organization, as Procedure.performer; the organization alone where nobody is named."""
    reconciler = _Reconciler(row)
    where, who = _organization(reconciler, ctx), practitioner(reconciler, ctx, "reconciled_npi")
    if who is None:
        return {"actor": where} if where else None
    return {"actor": who, **({"onBehalfOf": where} if where else {})}


@function("reconciliation_part", {"reconciled_at": "reference"})
def reconciliation_part(row: Any, ctx: Any) -> Json | None:
    """The reconciliation (Procedure) that this row was part of, where it tells of one."""
    return {"reference": ctx.refs["Procedure"]} if row.first("reconciled_at").plain() else None


_RECONCILER = {"organization_id": "reconciled_org", "organization_name": "reconciled_org_name"}


class _Reconciler:
    """The columns about who reconciled, under the names that they have of others."""

    def __init__(self, row: Any) -> None:
        self._row = row

    def first(self, column: str) -> Any:
        """The cell of that column for the reconciler."""
        return self._row.first(_RECONCILER.get(column, f"reconciled_{column}"))


def _organization(row: Any, ctx: Any) -> Json | None:
    value, name = row.first("organization_id").plain(), row.first("organization_name").plain()
    return organization(value, name, ctx) if value else None
