"""Functions for CSV columns in the form of the canonical contract: ISO 8601 times, contract codes, network ids."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from adapter.mapping.functions.identifiers import sound_system
from adapter.mapping.functions.primitives import ended
from adapter.mapping.functions.registry import Rep, function
from adapter.mapping.functions.row_parties import organization
from adapter.mapping.functions.row_references import language_code
from adapter.model import Json

PRESENT = "urn:x-careloop:organization-present"
"""URL of the extension that names another organization present at a contact."""

def moment(text: str, ctx: Any) -> str:
    """An ISO 8601 date or time as FHIR dateTime; a time without offset gets the feed's zone."""
    if len(text) <= 10:
        return text
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=ctx.feed.zone)).isoformat()


@function("iso_datetime")
def iso_datetime(rep: Rep, ctx: Any) -> str:
    """An ISO 8601 date or time as FHIR dateTime; a time without offset gets the feed's zone."""
    return moment(rep.plain(), ctx)


@function("end_of_period")
def end_of_period(rep: Rep, ctx: Any, start: str) -> str | None:
    """An ISO 8601 date or time as the end of a period that begins in column `start`; left out, and told, where it is before."""
    began = ctx.segment.first(start).plain()
    return ended(moment(began, ctx) if began else "", moment(rep.plain(), ctx), ctx) or None


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
    return {"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": language_code(rep.plain())}]}, "preferred": True}


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
    """An Identifier of a fixed system. kind: code of v2-0203. within: column whose value comes before, with a slash.

    A number that is none of the system (an NPI whose check digit fails) is told, and stands as the sender's own.
    """
    before = ctx.segment.first(within).plain() + "/" if within else ""
    found: Json = {"system": sound_system(system, rep.plain(), ctx), "value": f"{before}{rep.plain()}"}
    return {"type": identifier_type(kind), **found} if kind else found


def identifier_type(kind: str) -> Json:
    """Identifier.type of a code of v2-0203."""
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
