"""Who a CSV row names: organizations by id, practitioners by NPI, natural supports by name."""

from __future__ import annotations

from typing import Any

from adapter.mapping.context import slug
from adapter.mapping.functions.identifiers import sound_system
from adapter.model import Json

ORGANIZATION = "urn:x-careloop:organization"
NPI = "http://hl7.org/fhir/sid/us-npi"
UNNUMBERED = "urn:x-careloop:practitioner"
"""System of the keys of practitioners without NPI: organization and name. It is never stated as an identifier."""
SUPPORT = "urn:x-careloop:related-person"
"""System of the keys of natural supports: member and name."""


def organization(value: str, name: str, ctx: Any) -> Json:
    """State the Organization of an id; a reference to it."""
    body: Json = {"identifier#id": [{"system": ORGANIZATION, "value": value}], "active": True}
    if name:
        body["name"] = name
    return {"reference": ctx.emit("Organization", f"{ORGANIZATION}|{value}", body)}


def numbered(npi: str, ctx: Any, column: str = "") -> tuple[str, Json]:
    """Key and body of the Practitioner of an NPI. One whose check digit fails is the sender's own number, and is told.

    column: that has it, where a whole row is mapped.
    """
    system = sound_system(NPI, npi, ctx, column)
    return f"{system}|{npi}", {"identifier#npi": [{"system": system, "value": npi}]}


def practitioner(row: Any, ctx: Any, column: str = "npi") -> Json | None:
    """State the Practitioner a row names, by npi, else by organization_id and name; a reference, None for nobody.

    column: by which a finding about the NPI is told.
    """
    npi, given, family = (row.first(c).plain() for c in ("npi", "first_name", "last_name"))
    own = f"{UNNUMBERED}|{slug(row.first('organization_id').plain())}/{slug(family)}/{slug(given)}"
    no_number: Json = {}
    key, body = numbered(npi, ctx, column) if npi else (own, no_number)
    if given or family:
        body["name#row"] = [{**({"family": family} if family else {}), **({"given": [given]} if given else {})}]
    if not body:
        return None
    if not npi and row.first("phone").plain():
        body["telecom#phone"] = [{"system": "phone", "value": row.first("phone").plain(), "use": "work"}]
    return {"reference": ctx.emit("Practitioner", key, body)}


def support_key(row: Any) -> str:
    """The key of the RelatedPerson of a natural support: member, first name, last name (else relationship); '' without.

    The same as the map of RelatedPerson in mappings/care_team makes.
    """
    member, given = row.first("member_id").plain(), row.first("first_name").plain()
    family = row.first("last_name").plain() or row.first("relationship").plain() or given
    return f"{SUPPORT}|{'/'.join(t for t in (member, given, family) if t)}" if family else ""
