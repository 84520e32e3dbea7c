"""Functions for GT1: who pays the bill. The guide leaves GT1 out; R4 has Account.guarantor for it.

The guarantor is the patient, a RelatedPerson or an Organization. Where they work, and whom to ask about the bill, are
Patient.contact: the organization for which a contact is working, and the billing contact person (table 0131, BP).
"""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.codes import cwe_codeable_concept
from adapter.mapping.functions.contacts import xtn_contact_point
from adapter.mapping.functions.identifiers import cx_identifier
from adapter.mapping.functions.insurance import made, organization_body
from adapter.mapping.functions.names import xpn_human_name
from adapter.mapping.functions.organizations import xon_organization
from adapter.mapping.functions.primitives import period, yes_no_boolean
from adapter.mapping.functions.registry import FUNCTIONS, below, function
from adapter.mapping.functions.related import described, is_patient, parts_of, related_person
from adapter.model import Json

_PERSON = {2: "identifier", 3: "name", 5: "address", 6: "home", 7: "work", 8: "birth", 9: "gender", 11: "relationship",
           12: "ssn", 19: "employee", 36: "language", 44: "ethnicity", 55: "race"}
_CONTACT_ROLE = "http://terminology.hl7.org/CodeSystem/v2-0131"


def _role(code: str, display: str) -> Json:
    return {"coding": [{"system": _CONTACT_ROLE, "code": code, "display": display}]}


_BILLING, _EMPLOYER = _role("BP", "Billing contact person"), _role("E", "Employer")


def _applies(ctx: Any, account: bool) -> bool:
    """Whether this map is the one that says it: with the account that PID-18 names, or one of the guarantors' own."""
    return bool(ctx.account) == account


def _is_organization(segment: Any) -> bool:
    return bool(segment.raw(21)) and not segment.raw(3)


@function("gt1_account_status", {})
def gt1_account_status(segment: Any, ctx: Any) -> str | None:
    """Active, for the account of a guarantor's own; where PID-18 names an account, no other is made."""
    del segment
    if not ctx.account:
        return "active"
    for at in [at for at, builder in ctx.builders.items() if at[0] == "Account" and not builder.snapshot and not builder.effect]:
        del ctx.builders[at]
    return None


@function("gt1_subject", {})
def gt1_subject(segment: Any, ctx: Any) -> Json | None:
    """The patient, for the account that a guarantor without PID-18 needs."""
    del segment
    return None if ctx.account else {"reference": f"Patient?{ctx.patient}"}


_ENTRY = {"13": "period.start", "14": "period.end", "22": "onHold"}


@function("gt1_guarantor", {**_ENTRY, "21": "party(Organization)", **{f"21.{n}": "party(Organization)" for n in range(1, 11)}})
def gt1_guarantor(segment: Any, ctx: Any, account: bool = True) -> Json | None:
    """The patient, or an organization (GT1-21), as Account.guarantor. account: of that of PID-18, else of one of its own."""
    if not _applies(ctx, account):
        return None
    if is_patient(segment.first(11).get(1), ctx):
        return _guarantor({"reference": f"Patient?{ctx.patient}"}, segment, ctx)
    party: Json | None = xon_organization(segment.first(21), ctx) if _is_organization(segment) else None
    if party and "reference" in party:
        body = organization_body(segment, ctx, 0, 5, 7)
        ctx.emit("Organization", party["reference"].partition("?")[2], {**body, **_contact_of(segment, ctx)})
    return _guarantor(party, segment, ctx) if party else None


@function("gt1_person", {**_ENTRY, **parts_of(_PERSON)})
def gt1_person(segment: Any, ctx: Any, account: bool = True) -> Json | None:
    """Another person as Account.guarantor, a RelatedPerson. account: of that of PID-18, else of one of its own."""
    number = segment.first(2).get(1) or segment.first(3).plain()
    if not _applies(ctx, account) or is_patient(segment.first(11).get(1), ctx) or _is_organization(segment) or not number:
        return None
    builder = related_person(f"{ctx.local}:RelatedPerson|{ctx.patient}/guarantor/{number}", ctx)
    described(builder, ctx, segment, _PERSON)
    return _guarantor({"reference": builder.symbol}, segment, ctx)


def _guarantor(party: Json, segment: Any, ctx: Any) -> Json:
    """An entry of Account.guarantor: who, since and until when (GT1-13, GT1-14), and whether the bill waits (GT1-22)."""
    hold = yes_no_boolean(segment.first(22), ctx) if segment.raw(22) else None
    liable = period(segment.first(13).get(1), segment.first(14).get(1), ctx)
    return {"party": party, **({"onHold": hold} if hold is not None else {}), **({"period": liable} if liable else {})}


def _contact_of(segment: Any, ctx: Any) -> Json:
    """GT1-45 and GT1-46 as the slot of a guaranteeing organization's contact."""
    contact = _asked(segment, ctx)
    return {"contact#GT1-45": [contact]} if contact else {}


def _asked(segment: Any, ctx: Any) -> Json:
    """Whom to ask about the bill: GT1-45 by name, GT1-46 by telephone."""
    names = made(xpn_human_name, segment.reps(45), ctx)
    ways = made(xtn_contact_point, segment.reps(46), ctx)
    return {**({"name": names[0]} if names else {}), **({"telecom": ways} if ways else {})} if names or ways else {}


_EMPLOYER_PARTS = {
    "16": "organization(Organization.name or alias)",
    **below(FUNCTIONS["xon_organization"].parts, 51, "organization({})"),
    **below(FUNCTIONS["xad_address"].parts, 17, "organization(Organization.address.{})"),
    **below(FUNCTIONS["xtn_contact_point"].parts, 18, "organization(Organization.telecom.{})"),
    **below(FUNCTIONS["cx_identifier"].parts, 29, "organization(Organization.identifier.{})")}


@function("gt1_employer", _EMPLOYER_PARTS)
def gt1_employer(segment: Any, ctx: Any) -> Json | None:
    """The guarantor's employer: Patient.contact of the guarantor, working for it; the patient's own is a contact of role E."""
    employer = _employer(segment, ctx)
    if not employer:
        return None
    names = made(xpn_human_name, segment.reps(3), ctx)
    if is_patient(segment.first(11).get(1), ctx) or not names:
        return {"relationship": [_EMPLOYER], "organization": employer}
    relation = cwe_codeable_concept(segment.first(11), ctx, table="relationship") if segment.raw(11) else None
    return {**({"relationship": [relation]} if relation else {}), "name": names[0], "organization": employer}


def _employer(segment: Any, ctx: Any) -> Json | None:
    """GT1-51 (else the name GT1-16) with address GT1-17, telephone GT1-18 and numbers GT1-29, stated as Organization."""
    body = organization_body(segment, ctx, 0, 17, 18)
    numbers = made(cx_identifier, segment.reps(29), ctx)
    if numbers:
        body["identifier#GT1-29"] = numbers
    name = segment.first(16).get(1)
    if segment.raw(51):
        found: Json | None = xon_organization(segment.first(51), ctx)
        if found and "reference" in found:
            alias = {"alias#GT1-16": [name]} if name and name != segment.first(51).get(1) else {}
            ctx.emit("Organization", found["reference"].partition("?")[2], {**body, **alias})
        return found
    if not name and not numbers:
        return None
    key = f"{numbers[0]['system']}|{numbers[0]['value']}" if numbers else f"{ctx.local}:employer|{name}"
    return {"reference": ctx.emit("Organization", key, {**body, **({"name": name} if name else {})}),
            **({"display": name} if name else {})}


_CONTACT = {"45": "name", "46": "telecom", "48": "relationship"}


@function("gt1_billing_contact", {f"{n}{c}": place for n, place in _CONTACT.items()
                                  for c in ("", *(f".{i}" for i in range(1, 24)))})
def gt1_billing_contact(segment: Any, ctx: Any) -> list[Json]:
    """Whom to ask about the bill (GT1-45, GT1-46) as Patient.contact of role BP, beside their own relationship (GT1-48)."""
    contact = _asked(segment, ctx)
    if not contact or _is_organization(segment):
        return []
    relation = cwe_codeable_concept(segment.first(48), ctx, table="relationship") if segment.raw(48) else None
    others = made(xpn_human_name, segment.reps(45), ctx)[1:]
    return [{"relationship": [_BILLING, *([relation] if relation else [])], **contact},
            *({"relationship": [_BILLING], "name": name} for name in others)]
