"""Functions for CSV columns in the form of the canonical contract (ISO 8601 times, contract codes)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from adapter.mapping.functions.registry import Rep, function
from adapter.model import Json

ORGANIZATION = "urn:x-careloop:organization"
NPI = "http://hl7.org/fhir/sid/us-npi"


@function("iso_datetime")
def iso_datetime(rep: Rep, ctx: Any) -> str | None:
    """An ISO 8601 date or time as FHIR dateTime; a time without offset gets the feed's zone."""
    text = rep.plain()
    if len(text) <= 10:
        return text or None
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=ctx.feed.zone)).isoformat()


@function("iso_date")
def iso_date(rep: Rep, ctx: Any) -> str | None:
    """The day of an ISO 8601 date or time."""
    return rep.plain()[:10] or None


@function("code_of")
def code_of(rep: Rep, ctx: Any, table: str) -> str | None:
    """The code that a concept map gives (status and the like); None and an issue where it gives none."""
    found = ctx.code(table, rep.plain())
    if found is None:
        ctx.issue("unknown-code")
        return None
    return found["code"]


@function("concept_of")
def concept_of(rep: Rep, ctx: Any, table: str = "", system: str = "") -> Json | None:
    """A code as CodeableConcept: what the concept map gives, beside the contract's own code under `system`."""
    text = rep.plain()
    codings: list[Json] = [{"system": system, "code": text}] if system else []
    found = ctx.code(table, text) if table else None
    if found is not None and found not in codings:
        codings.append(found)
    if table and found is None:
        ctx.issue("unknown-code")
    return {"coding": codings} if codings else {"text": text}


@function("identifier_of")
def identifier_of(rep: Rep, ctx: Any, system: str = "", system_from: str = "", use: str = "", kind: str = "") -> Json | None:
    """An Identifier of a fixed system, or of the one that another column names; kind: code of v2-0203."""
    found = ctx.segment.first(system_from).plain() if system_from else system
    if not found:
        return None
    identifier: Json = {"system": found, "value": rep.plain()}
    if use:
        identifier["use"] = use
    if kind:
        identifier["type"] = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": kind}]}
    return identifier


@function("reference_to")
def reference_to(rep: Rep, ctx: Any, type: str, system: str) -> Json:
    """A reference to the resource of another key: `type` of `system|cell`."""
    return {"reference": f"{type}?{system}|{rep.plain()}"}


@function("person_reference")
def person_reference(rep: Rep, ctx: Any, type: str) -> Json:
    """A reference to the resource that each person has one of for the cell's key (CareTeam of a program)."""
    return {"reference": f"{type}@{ctx.patient}?{rep.plain()}"}


@function("organization_of")
def organization_of(rep: Rep, ctx: Any, name: str = "", system: str = ORGANIZATION) -> Json:
    """A reference to the Organization of an id, which is stated with the name that column `name` gives."""
    return {"reference": _organization(rep.plain(), ctx, ctx.segment.first(name).plain() if name else "", system)}


@function("organizations_of")
def organizations_of(rep: Rep, ctx: Any, split: str = ";") -> list[Json]:
    """References to the Organizations of several ids in one cell."""
    return [{"reference": _organization(text.strip(), ctx, "", ORGANIZATION)} for text in rep.plain().split(split) if text.strip()]


def _organization(value: str, ctx: Any, name: str, system: str) -> str:
    body: Json = {"identifier#id": [{"system": system, "value": value}], "active": True}
    if name:
        body["name"] = name
    return ctx.emit("Organization", f"{system}|{value}", body)


@function("practitioner_of", parts={"*": "Practitioner.identifier"})
def practitioner_of(rep: Rep, ctx: Any, first: str = "first_name", last: str = "last_name") -> Json:
    """A reference to the Practitioner of an NPI, stated with the names the row gives."""
    return {"reference": practitioner(rep.plain(), ctx, first, last)}


def practitioner(npi: str, ctx: Any, first: str, last: str) -> str:
    """State the Practitioner of an NPI; its symbolic reference."""
    row = ctx.segment
    body: Json = {"identifier#npi": [{"system": NPI, "value": npi}]}
    family, given = row.first(last).plain(), row.first(first).plain()
    if family:
        body["name#row"] = [{"family": family, **({"given": [given]} if given else {})}]
    return ctx.emit("Practitioner", f"{NPI}|{npi}", body)


@function("given_names")
def given_names(rep: Rep, ctx: Any) -> list[str]:
    """A cell as the list of its one name."""
    return [rep.plain()]


@function("yes")
def yes(rep: Rep, ctx: Any) -> bool | None:
    """Y as true, N as false."""
    return {"Y": True, "N": False}.get(rep.plain())


@function("decimal_of")
def decimal_of(rep: Rep, ctx: Any) -> float | int | None:
    """A number in the contract's form."""
    number = float(rep.plain())
    return int(number) if number.is_integer() else number
