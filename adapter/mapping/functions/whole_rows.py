"""Functions of a whole CSV row (`from: ROW`): `parts` names the columns each reads, and where they go."""

from __future__ import annotations

from typing import Any

from adapter.identity.links import CROSSWALK, Tie
from adapter.mapping.functions.registry import function
from adapter.mapping.functions.row_parties import organization, practitioner, support_key
from adapter.mapping.functions.rows import concept_of, identifier_type, moment
from adapter.model import Json
from adapter.validate.periods import in_order

_UCUM = "http://unitsofmeasure.org"
_UNITS = frozenset(("%", "a", "cm", "d", "g", "h", "kg", "m", "min", "mg", "mg/dL", "mm[Hg]", "mmol/L", "mo", "s", "wk",
                    "/a", "/d", "/h", "/min", "/mo", "/wk", "[lb_av]", "[in_i]", "Cel", "[degF]"))
"""Units of UCUM that may claim it: what a validator cannot parse would make the whole resource invalid."""
_ENDED_FOR_CAUSE = frozenset({"rejected", "cancelled", "failed"})


def doubt(ctx: Any, column: str, code: str, detail: str = "") -> None:
    """Note a finding about one column while a whole row is mapped."""
    ctx.issue(code, detail, column)


@function("row_name", {"first_name": "given", "middle_name": "given", "last_name": "family"})
def row_name(row: Any, ctx: Any, use: str = "") -> Json | None:
    """first_name, middle_name and last_name as HumanName."""
    given = [t for t in (row.first("first_name").plain(), row.first("middle_name").plain()) if t]
    family = row.first("last_name").plain()
    if not given and not family:
        return None
    found: Json = {"use": use, "family": family, "given": given}
    return {part: value for part, value in found.items() if value}


@function("row_address", {"address_line": "line", "city": "city", "state": "state", "postal_code": "postalCode"})
def row_address(row: Any, ctx: Any) -> Json:
    """address_line, city, state and postal_code as Address."""
    line = row.first("address_line").plain()
    found: Json = {"line": [line] if line else [], "city": row.first("city").plain(),
                   "state": row.first("state").plain(), "postalCode": row.first("postal_code").plain()}
    return {part: value for part, value in found.items() if value}


@function("crosswalk_identifier", {"mrn": "value", "mrn_system": "system"})
def crosswalk_identifier(row: Any, ctx: Any) -> Json | None:
    """mrn of mrn_system as Identifier; it links the hospital's record to the member (COMPOSE: a crosswalk row).

    Without mrn_system the number is kept under a name of the feed's own, and links nothing.
    """
    value, system = row.first("mrn").plain(), row.first("mrn_system").plain()
    if not value:
        ctx.links.append(Tie(ctx.patient, "", CROSSWALK))
        return None
    if system:
        ctx.links.append(Tie(ctx.patient, f"{system}|{value}", CROSSWALK))
    else:
        doubt(ctx, "mrn_system", "required-missing", "mrn links to no record without it")
    return {"type": identifier_type("MR"), "system": system or f"{ctx.local}:mrn", "value": value}


@function("row_payor", {"payer_id": "Organization.identifier", "payer_name": "Organization.name"})
def row_payor(row: Any, ctx: Any) -> Json | None:
    """The payer: the Organization of payer_id, stated with payer_name; a payer with a name only by that name."""
    value, name = row.first("payer_id").plain(), row.first("payer_name").plain()
    if value:
        return organization(value, name, ctx)
    return {"display": name} if name else None


@function("row_practitioner", {"npi": "Practitioner.identifier", "first_name": "Practitioner.name",
                               "last_name": "Practitioner.name"})
def row_practitioner(row: Any, ctx: Any) -> Json | None:
    """Who made the contact, stated as Practitioner: by NPI, else by organization and name."""
    return practitioner(row, ctx)


@function("team_participant", {
    "role": "role", "npi": "member(Practitioner.identifier)", "first_name": "member(Practitioner.name)",
    "last_name": "member(Practitioner.name)",
    "organization_id": "onBehalfOf(Organization.identifier)", "organization_name": "onBehalfOf(Organization.name)",
    "start_date": "period.start", "end_date": "period.end"})
def team_participant(row: Any, ctx: Any, system: str, table: str) -> Json | None:
    """A care_team row as CareTeam.participant; None and an issue where it ends before it begins.

    A natural support is a RelatedPerson and acts for nobody (R4 ctm-1); without a name or NPI the seat names nobody.
    """
    start, end = row.first("start_date").plain(), row.first("end_date").plain()
    if start and end and end < start:
        doubt(ctx, "end_date", "bad-value", "before start_date")
        return None
    found: Json = {"role": [concept_of(row.first("role"), ctx, table, system)]}
    team = organization(row.first("organization_id").plain(), row.first("organization_name").plain(), ctx)
    if row.first("role").plain() == "natural-support":
        key = support_key(row)
        if key:
            found["member"] = {"reference": f"RelatedPerson?{key}"}
    else:
        who = practitioner(row, ctx)
        found |= {"member": who, "onBehalfOf": team} if who else {"onBehalfOf": team}
    return {**found, "period": {"start": start, **({"end": end} if end else {})}}


@function("goal_target", {"target_measure": "measure", "target_value": "detailQuantity.value",
                          "target_unit": "detailQuantity.unit", "due_date": "dueDate"})
def goal_target(row: Any, ctx: Any) -> Json:
    """What is to be reached, how much of it and by when, as Goal.target; how much of nothing is left out (R4 gol-1)."""
    measure, value, due = (row.first(c).plain() for c in ("target_measure", "target_value", "due_date"))
    found: Json = {"measure": {"text": measure}} if measure else {}
    if value and measure:
        found["detailQuantity"] = _quantity(float(value), row.first("target_unit").plain())
    elif value:
        doubt(ctx, "target_measure", "required-missing", "target_value says how much, not of what")
    return {**found, **({"dueDate": due} if due else {})}


def _quantity(number: float, unit: str) -> Json:
    found: Json = {"value": int(number) if number.is_integer() else number}
    if unit:
        found["unit"] = unit
    return {**found, "system": _UCUM, "code": unit} if unit in _UNITS else found


@function("release_start", {"period_start": ""})
def release_start(row: Any, ctx: Any) -> str | None:
    """The first day in force; left out where it was revoked before, or on that day (R4 per-1)."""
    start, revoked = row.first("period_start").plain(), row.first("revoked_at").plain()
    return start if start and not (revoked and not in_order(start, moment(revoked, ctx))) else None


@function("release_end", {"period_end": "", "revoked_at": ""})
def release_end(row: Any, ctx: Any) -> str | None:
    """When it ceases to be in force: when it was revoked, or its last day, whichever comes first."""
    end, revoked = row.first("period_end").plain(), row.first("revoked_at").plain()
    if revoked and (not end or revoked[:10] <= end):
        return moment(revoked, ctx)
    return end or None


@function("status_reason", {"status_reason": "text"})
def status_reason(row: Any, ctx: Any) -> Json | None:
    """Why a referral stands so; an issue where it was rejected, cancelled or failed and nothing is said."""
    text = row.first("status_reason").plain()
    if not text and row.first("status").plain() in _ENDED_FOR_CAUSE:
        doubt(ctx, "status_reason", "required-missing")
    return {"text": text} if text else None


@function("last_modified", {"updated_at": ""})
def last_modified(row: Any, ctx: Any) -> str | None:
    """updated_at, unless it lies before requested_at or is too coarse to tell (R4 inv-1 asks for their order)."""
    text = row.first("updated_at").plain()
    if not text:
        return None
    found = moment(text, ctx)
    if not in_order(moment(row.first("requested_at").plain(), ctx), found):
        doubt(ctx, "updated_at", "bad-value", "before requested_at, or not precise enough to tell")
        return None
    return found
