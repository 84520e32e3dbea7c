"""Functions for IN1-14, IN1-28, IN3 and AUT: an insurer's authorization, as the ClaimResponse to a preauthorization.

Of FHIR R4's resources it alone has the number, the period and the insurer of an authorization (preAuthRef, preAuthPeriod).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from adapter.mapping.functions.clinical import current
from adapter.mapping.functions.contacts import xtn_contact_point
from adapter.mapping.functions.insurance import at_work, made
from adapter.mapping.functions.observations import cwe_organization
from adapter.mapping.functions.quantities import cp_money, mo_money
from adapter.mapping.functions.registry import Rep, function
from adapter.model import Json

_UNKNOWN = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}],
            "display": "unknown"}
_CASE_MANAGER = {"coding": [{"system": "http://snomed.info/sct", "code": "768832004", "display": "Case manager"}],
                 "text": "case manager"}


def coverage_of(ctx: Any) -> Any:
    """The Coverage that this segment makes, or goes on about; None without one."""
    return current("Coverage", ctx) or ctx.look_back("Coverage")


@function("stated_time", {})
def stated_time(segment: Any, ctx: Any) -> str:
    """When the message was stated (EVN-2, else MSH-7), in UTC."""
    del segment
    return datetime.fromtimestamp(ctx.order.stated / 1_000_000, UTC).isoformat(timespec="seconds")


@function("coverage_payor", {})
def coverage_payor(segment: Any, ctx: Any) -> Json:
    """The insurer of the coverage that an authorization belongs to; marked as unknown where the message names none."""
    del segment
    coverage = coverage_of(ctx)
    payors: list[Json] = (coverage.snapshot.get("payor#IN1") or []) if coverage is not None else []
    return payors[0] if payors else _UNKNOWN


@function("coverage_insurance", {})
def coverage_insurance(segment: Any, ctx: Any) -> Json | None:
    """The coverage that an authorization belongs to, as ClaimResponse.insurance."""
    del segment
    coverage = coverage_of(ctx)
    return {"sequence": 1, "focal": True, "coverage": {"reference": coverage.symbol}} if coverage is not None else None


@function("aui_created", {"2": "", "3": "drop: where the authorization came from; the insurer gives it"})
def aui_created(rep: Rep, ctx: Any) -> str | None:
    """The day of an authorization (AUI.2)."""
    return ctx.day(rep.get(2)) if rep.get(2) else None


@function("aut_insurer", {"2": "Organization.identifier", "3": "Organization.name", "2.1": "Organization.identifier.value",
                          "2.2": "Organization.name", "2.3": "Organization.identifier.system",
                          **{f"2.{n}": "drop: the Organization goes by its primary code" for n in range(4, 23)}})
def aut_insurer(segment: Any, ctx: Any) -> Json | None:
    """Who authorizes (AUT-2, named by AUT-3), stated as Organization; None where AUT names nobody."""
    name = segment.first(3).plain()
    found: Json | None = cwe_organization(segment.first(2), ctx) if segment.raw(2) else None
    if found and "reference" in found and name:
        ctx.emit("Organization", found["reference"].partition("?")[2], {"active": True, "name": name})
        return {**found, "display": name}
    if found or not name:
        return found
    return {"reference": ctx.emit("Organization", f"{ctx.local}:payor|{name}", {"active": True, "name": name}), "display": name}


_AGENCY = {
    "15": "Organization.contact.name.text", "16": "Organization.contact.telecom",
    **{f"16.{n}": "Organization.contact.telecom" for n in range(1, 19)}, "18": "Organization",
    "18.1": "Organization.identifier.value", "18.2": "Organization.name", "18.3": "Organization.identifier.system",
    **{f"18.{n}": "drop: the Organization goes by its primary code" for n in range(4, 23)},
    "19": "Organization.telecom", **{f"19.{n}": "Organization.telecom" for n in range(1, 19)},
    "28": "drop: when the insurer's answer was asked for online (2.9): how, not what",
    "29": "drop: whether asking online worked (2.9)", "29.1": "drop: whether asking online worked (2.9)",
    "30": "drop: why asking online failed (2.9)", "30.1": "drop: why asking online failed (2.9)",
    "31": "drop: check digit of asking online (2.9)"}


@function("in3_agency", _AGENCY)
def in3_agency(segment: Any, ctx: Any) -> Json | None:
    """The agency that certifies (IN3-18) with its telephone (IN3-19) and contact (IN3-15, IN3-16), stated as Organization."""
    found: Json | None = cwe_organization(segment.first(18), ctx) if segment.raw(18) else None
    if not found or "reference" not in found:
        return found
    body: Json = {"active": True}
    telecoms = made(xtn_contact_point, segment.reps(19), ctx, use="work")
    ways = made(xtn_contact_point, segment.reps(16), ctx, use="work")
    name = segment.first(15).plain()
    if telecoms:
        body["telecom#IN3-19"] = at_work(telecoms)
    if name or ways:
        body["contact#IN3-15"] = [{**({"name": {"text": name}} if name else {}), **({"telecom": ways} if ways else {})}]
    ctx.emit("Organization", found["reference"].partition("?")[2], body)
    return found


@function("in3_case_manager", {"*": "member.display"})
def in3_case_manager(rep: Rep, ctx: Any) -> Json | None:
    """The insurer's case manager (IN3-21), of whom the name alone is sent, as CareTeam.participant."""
    del ctx
    return {"role": [_CASE_MANAGER], "member": {"display": rep.plain()}} if rep.plain() else None


@function("cp_total", {"1": "amount", "1.1": "amount.value", "1.2": "amount.currency", **{
    str(n): "drop: kind and range of a price; Money is the amount" for n in range(2, 7)}})
def cp_total(rep: Rep, ctx: Any, words: str = "") -> Json | None:
    """A CP as ClaimResponse.total. words: what it is a total of."""
    amount = cp_money(rep, ctx)
    return {"category": {"text": words}, "amount": amount} if amount else None


@function("mo_total", {"1": "amount.value", "2": "amount.currency"})
def mo_total(rep: Rep, ctx: Any, words: str = "") -> Json | None:
    """An MO as ClaimResponse.total. words: what it is a total of."""
    amount = mo_money(rep, ctx)
    return {"category": {"text": words}, "amount": amount} if amount else None


@function("deleted_status", {"*": ""})
def deleted_status(rep: Rep, ctx: Any) -> str | None:
    """An action code of D (table 0206) as the status entered-in-error."""
    del ctx
    return "entered-in-error" if rep.get(1) == "D" else None
