"""Functions for CSV columns in the form of the canonical contract (ISO 8601 times, contract codes), and of whole rows.

A function of a whole row (`from: ROW`) names in `parts` the columns it reads and where each goes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from adapter.mapping.functions.registry import Rep, function
from adapter.mapping.functions.row_parties import organization, practitioner, support_key
from adapter.model import Issue, Json
from adapter.validate.periods import in_order

PRESENT = "urn:x-careloop:organization-present"
"""URL of the extension that names another organization present at a contact."""

_UCUM = "http://unitsofmeasure.org"
_UNITS = frozenset("% a cm d g h kg m min mg mg/dL mm[Hg] mmol/L mo s wk /d /h /min /mo /wk /a [lb_av] [in_i] Cel [degF]".split())
"""Units of UCUM that may claim it: what a validator cannot parse would make the whole resource invalid."""
_ENDED_FOR_CAUSE = frozenset({"rejected", "cancelled", "failed"})


def doubt(ctx: Any, column: str, code: str, detail: str = "") -> None:
    """Note a finding about one column while a whole row is mapped."""
    ctx.issues.append(Issue(code=code, place=f"row {ctx.segment.number}, {column}", detail=detail))


def moment(text: str, ctx: Any) -> str:
    """An ISO 8601 date or time as FHIR dateTime; a time without offset gets the feed's zone."""
    if len(text) <= 10:
        return text
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=ctx.feed.zone)).isoformat()


# --- one column

@function("iso_datetime")
def iso_datetime(rep: Rep, ctx: Any) -> str:
    """An ISO 8601 date or time as FHIR dateTime; a time without offset gets the feed's zone."""
    return moment(rep.plain(), ctx)


@function("code_of")
def code_of(rep: Rep, ctx: Any, table: str) -> str | None:
    """The code that a concept map gives (status and the like); None and an issue where it gives none."""
    found = coding_of(rep, ctx, table)
    return found["code"] if found else None


@function("coding_of")
def coding_of(rep: Rep, ctx: Any, table: str) -> Json | None:
    """The Coding that a concept map gives; None and an issue where it gives none."""
    found: Json | None = ctx.code(table, rep.plain())
    if found is None:
        ctx.issue("unknown-code")
    return found


@function("fixed_coding", {"*": "code"})
def fixed_coding(rep: Rep, ctx: Any, system: str) -> Json:
    """A code of a standard that the contract itself uses, as Coding."""
    return {"system": system, "code": rep.plain()}


@function("concept_of")
def concept_of(rep: Rep, ctx: Any, table: str = "", system: str = "") -> Json:
    """A code as CodeableConcept: the contract's own coding under `system`, and beside it what the concept map gives.

    Without `system`, a code that the concept map does not know is kept as text, with an issue.
    """
    codings: list[Json] = [{"system": system, "code": rep.plain()}] if system else []
    found = ctx.code(table, rep.plain()) if table else None
    if found is not None:
        codings.append(found)
    if codings:
        return {"coding": codings}
    ctx.issue("unknown-code")
    return {"text": rep.plain()}


@function("worded_concept")
def worded_concept(rep: Rep, ctx: Any, table: str = "") -> Json:
    """Free text as CodeableConcept; a word that the concept map knows gets its code too."""
    found = ctx.code(table, rep.plain()) if table else None
    return {"coding": [found], "text": rep.plain()} if found else {"text": rep.plain()}


@function("preferred_language", {"*": "language"})
def preferred_language(rep: Rep, ctx: Any) -> Json:
    """A BCP-47 tag as preferred Patient.communication, letter case as BCP-47 recommends (`es-MX`, `zh-Hant`)."""
    head, *rest = rep.plain().split("-")
    cased = [p.title() if len(p) == 4 and p.isalpha() else p.upper() if len(p) == 2 else p.lower() for p in rest]
    code = "-".join([head.lower(), *cased])
    return {"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": code}]}, "preferred": True}


@function("omb_extension")
def omb_extension(rep: Rep, ctx: Any, url: str, table: str) -> Json:
    """An OMB category as the US Core race or ethnicity extension; another code is kept as text, with an issue."""
    found = ctx.code(table, rep.plain())
    if found is None:
        ctx.issue("unknown-code")
        return {"url": url, "extension": [{"url": "text", "valueString": rep.plain()}]}
    return {"url": url, "extension": [{"url": "ombCategory", "valueCoding": found},
                                      {"url": "text", "valueString": found["display"]}]}


@function("identifier_of")
def identifier_of(rep: Rep, ctx: Any, system: str, kind: str = "", within: str = "") -> Json:
    """An Identifier of a fixed system. kind: code of v2-0203. within: column whose value comes before, with a slash."""
    before = ctx.segment.first(within).plain() + "/" if within else ""
    found: Json = {"system": system, "value": f"{before}{rep.plain()}"}
    return {"type": _identifier_type(kind), **found} if kind else found


def _identifier_type(kind: str) -> Json:
    return {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": kind}]}


@function("contact_point")
def contact_point(rep: Rep, ctx: Any, system: str, use: str = "") -> Json:
    """A phone number or email address as ContactPoint."""
    return {"system": system, "value": rep.plain(), **({"use": use} if use else {})}


@function("template_text")
def template_text(rep: Rep, ctx: Any, form: str) -> str:
    """A cell inside a fixed text, where `{}` stands in `form`."""
    return form.replace("{}", rep.plain())


@function("text_concept")
def text_concept(rep: Rep, ctx: Any) -> Json:
    """A cell as an element that has `text` (CodeableConcept, Annotation)."""
    return {"text": rep.plain()}


@function("yes")
def yes(rep: Rep, ctx: Any) -> bool | None:
    """Y as true, N as false."""
    return {"Y": True, "N": False}.get(rep.plain())


@function("reference_to")
def reference_to(rep: Rep, ctx: Any, type: str, system: str) -> Json:
    """A reference to the resource of another key: `type` of `system|cell`."""
    return {"reference": f"{type}?{system}|{rep.plain()}"}


@function("person_reference")
def person_reference(rep: Rep, ctx: Any, type: str, system: str) -> Json:
    """A reference to the resource that each person has one of for `system|cell` (the CareTeam of a program)."""
    return {"reference": f"{type}@{ctx.patient}?{system}|{rep.plain()}"}


@function("organization_of", {"*": "reference(Organization.identifier)"})
def organization_of(rep: Rep, ctx: Any, name: str = "") -> Json:
    """A reference to the Organization of an id, which is stated with the name that column `name` gives."""
    return organization(rep.plain(), ctx.segment.first(name).plain() if name else "", ctx)


@function("organizations_of", {"*": "reference(Organization.identifier)"})
def organizations_of(rep: Rep, ctx: Any) -> list[Json]:
    """References to the Organizations of several ids in one cell, separated by semicolons."""
    return [organization(text.strip(), "", ctx) for text in rep.plain().split(";") if text.strip()]


@function("release_recipient", {"*": "reference(Organization.identifier)"})
def release_recipient(rep: Rep, ctx: Any, name: str) -> Json:
    """The Organization that may be told, as Consent.provision.actor with role IRCP (information recipient)."""
    role: Json = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]}
    return {"role": role, "reference": organization_of(rep, ctx, name)}


@function("organizations_present", {"*": "valueReference(Organization.identifier)"})
def organizations_present(rep: Rep, ctx: Any) -> list[Json]:
    """The Organizations of a cell as extensions: Encounter has no element for who else was there."""
    return [{"url": PRESENT, "valueReference": one} for one in organizations_of(rep, ctx)]


@function("expressed_by")
def expressed_by(rep: Rep, ctx: Any) -> Json:
    """Whose goal it is: the person by reference; family or practitioner, of whom nobody is named, by type and word."""
    if rep.plain() == "person":
        return {"reference": f"Patient?{ctx.patient}"}
    kind = {"family": "RelatedPerson", "practitioner": "Practitioner"}.get(rep.plain())
    return {**({"type": kind} if kind else {}), "display": rep.plain()}


# --- a whole row

@function("row_name", {"first_name": "given", "middle_name": "given", "last_name": "family"})
def row_name(row: Any, ctx: Any, use: str = "") -> Json | None:
    """first_name, middle_name and last_name as HumanName."""
    given = [t for t in (row.first("first_name").plain(), row.first("middle_name").plain()) if t]
    family = row.first("last_name").plain()
    if not given and not family:
        return None
    return {**({"use": use} if use else {}), **({"family": family} if family else {}), **({"given": given} if given else {})}


@function("row_address", {"address_line": "line", "city": "city", "state": "state", "postal_code": "postalCode"})
def row_address(row: Any, ctx: Any) -> Json:
    """address_line, city, state and postal_code as Address."""
    found = {to: row.first(column).plain() for column, to in (("city", "city"), ("state", "state"), ("postal_code", "postalCode"))}
    line = row.first("address_line").plain()
    return {**({"line": [line]} if line else {}), **{k: v for k, v in found.items() if v}}


@function("crosswalk_identifier", {"mrn": "value", "mrn_system": "system"})
def crosswalk_identifier(row: Any, ctx: Any) -> Json | None:
    """mrn of mrn_system as Identifier; it links the hospital's record to the member (COMPOSE, identity: a crosswalk row).

    Without mrn_system the number is kept under a name of the feed's own, and links nothing.
    """
    value, system = row.first("mrn").plain(), row.first("mrn_system").plain()
    if not value:
        return None
    if system:
        ctx.links.append((ctx.patient, f"{system}|{value}", "crosswalk"))
    else:
        doubt(ctx, "mrn_system", "required-missing", "mrn links to no record without it")
    return {"type": _identifier_type("MR"), "system": system or f"{ctx.local}:mrn", "value": value}


@function("row_payor", {"payer_id": "Organization.identifier", "payer_name": "Organization.name"})
def row_payor(row: Any, ctx: Any) -> Json | None:
    """The payer: the Organization of payer_id, stated with payer_name; a payer with a name only by that name."""
    value, name = row.first("payer_id").plain(), row.first("payer_name").plain()
    if value:
        return organization(value, name, ctx)
    return {"display": name} if name else None


@function("row_practitioner", {"npi": "Practitioner.identifier", "first_name": "Practitioner.name", "last_name": "Practitioner.name"})
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


@function("goal_target", {"target_measure": "measure", "target_value": "detailQuantity.value", "target_unit": "detailQuantity.unit",
                          "due_date": "dueDate"})
def goal_target(row: Any, ctx: Any) -> Json:
    """What is to be reached, how much of it and by when, as Goal.target; an amount of nothing named is left out (R4 gol-1)."""
    measure, value, unit, due = (row.first(c).plain() for c in ("target_measure", "target_value", "target_unit", "due_date"))
    found: Json = {"measure": {"text": measure}} if measure else {}
    if value and measure:
        coded = {"system": _UCUM, "code": unit} if unit in _UNITS else {}
        number = float(value)
        found["detailQuantity"] = {"value": int(number) if number.is_integer() else number, **({"unit": unit} if unit else {}), **coded}
    elif value:
        doubt(ctx, "target_measure", "required-missing", "target_value says how much, not of what")
    return {**found, **({"dueDate": due} if due else {})}


@function("release_start", {"period_start": ""})
def release_start(row: Any, ctx: Any) -> str | None:
    """The first day in force; left out where the consent was revoked before it, or in its course (R4 per-1)."""
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
