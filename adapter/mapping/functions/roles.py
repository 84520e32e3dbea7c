"""Functions for ROL and PRT: people, organizations and places with a role, in the care team, a visit or a procedure.

A participation with an instance id (ROL-1, PRT-1) is told by itself: what an action code deletes or unlinks is taken back, the
others stay. Those without one are the sender's whole list; one that is to change or end another without saying which is told.
The PractitionerRole itself, a person's part in an organization, is shared by all who name it: no one patient's update ends it.
Source: v2-to-FHIR segment maps ROL, PRT; tables 0206, 0287.
"""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.codes import CWE_PARTS
from adapter.mapping.functions.contacts import xtn_contact_point
from adapter.mapping.functions.identifiers import hd_parts, identifier, number_system
from adapter.mapping.functions.organizations import xon_organization
from adapter.mapping.functions.practitioners import XCN_PARTS
from adapter.mapping.functions.reading import segment_period
from adapter.mapping.functions.registry import FUNCTIONS, OTHER_WORDS, below, function
from adapter.model import Json

ENDED = frozenset(("D", "DE", "UN"))
"""Action codes that take a participation back."""
_CHANGING = ENDED | {"CO", "U", "UP"}
_AT_ORGANIZATION = frozenset(("B", "BI", "L"))
"""Address types (table 0190) that are the organization's rather than the person's."""


def _period(start: str, end: str) -> dict[str, str]:
    return {start: "period.start", end: "period.end"}


_ROL = {"2": "drop: what was done; decides whether the participant stands", "3": "role",
        **{f"3.{n}": "role" for n in CWE_PARTS}, **_period("5", "6"), **_period("5.1", "6.1")}
_PRT = {"2": "drop: what was done; decides whether the participant stands", "4": "role",
        **{f"4.{n}": "role" for n in CWE_PARTS}, **_period("11", "12"), **_period("11.1", "12.1")}


@function("rol_team_participant", _ROL)
def rol_team_participant(segment: Any, ctx: Any) -> Json | None:
    """A ROL after PID as CareTeam.participant; ROL-2 DE or UN takes it back."""
    return _participant(segment, ctx, "CareTeam", (3, "provider-role", 5, 6), "role", "member")


@function("rol_encounter_participant", _ROL)
def rol_encounter_participant(segment: Any, ctx: Any) -> Json | None:
    """A ROL after PV1 as Encounter.participant; ROL-2 DE or UN takes it back."""
    return _participant(segment, ctx, "Encounter", (3, "provider-role", 5, 6), "type", "individual")


@function("rol_performer", {"2": _ROL["2"], "3": "function", **{f"3.{n}": "function" for n in CWE_PARTS}})
def rol_performer(segment: Any, ctx: Any) -> Json | None:
    """A ROL after PR1 as Procedure.performer; ROL-2 DE or UN takes it back."""
    return _participant(segment, ctx, "Procedure", (3, "provider-role", 0, 0), "function", "actor")


@function("prt_team_participant", _PRT)
def prt_team_participant(segment: Any, ctx: Any) -> Json | None:
    """A PRT after PID as CareTeam.participant; PRT-2 D takes it back."""
    return _participant(segment, ctx, "CareTeam", (4, "participation", 11, 12), "role", "member")


@function("prt_encounter_participant", _PRT)
def prt_encounter_participant(segment: Any, ctx: Any) -> Json | None:
    """A PRT after PV1 as Encounter.participant; PRT-2 D takes it back."""
    return _participant(segment, ctx, "Encounter", (4, "participation", 11, 12), "type", "individual")


@function("prt_performer", {"2": _PRT["2"], "4": "function", **{f"4.{n}": "function" for n in CWE_PARTS}})
def prt_performer(segment: Any, ctx: Any) -> Json | None:
    """A PRT after PR1 as Procedure.performer; PRT-2 D takes it back."""
    return _participant(segment, ctx, "Procedure", (4, "participation", 0, 0), "function", "actor")


def _participant(segment: Any, ctx: Any, resource_type: str, places: tuple[int, str, int, int], role: str,
                 who: str) -> Json | None:
    """One participant with its role and period. places: field and table of the role, fields of begin and end."""
    coded, table, start, end = places
    _which(segment, ctx)
    if segment.first(2).get(1) in ENDED:
        _take_back(segment, ctx, resource_type)
        return None
    member = ctx.refs.get("PractitionerRole")
    if not member:
        return None
    concept = FUNCTIONS["cwe_codeable_concept"].call(segment.first(coded), ctx, table=table) if segment.raw(coded) else None
    said: Any = concept if role == "function" else [concept]
    return {**({role: said} if concept else {}), who: {"reference": member},
            **(segment_period(segment, ctx, start, end) if start else {})}


def _which(segment: Any, ctx: Any) -> None:
    """Tell of an action code that changes or ends a participation which no instance id names."""
    if segment.first(2).get(1) in _CHANGING and not segment.first(1).get(1):
        ctx.issue("required-missing", f"{segment.name}-1: which one is meant cannot be told; it counts as one of a whole list")


def _take_back(segment: Any, ctx: Any, resource_type: str) -> None:
    """Null for the list part that the row writes for this participant (`participant#ROL/<id>`), unless it has others."""
    builder = ctx.builders[resource_type, ctx.refs[resource_type].partition("?")[2], ""]
    group = "/".join(segment.first(p.field).get(p.component or 1) for p in ctx.row.group)
    builder.snapshot.setdefault(f"{ctx.row.slot.partition('#')[0]}#{segment.name}/{group}", None)


@function("general_practitioner", {"2": _ROL["2"]})
def general_practitioner(segment: Any, ctx: Any) -> Json | None:
    """The PractitionerRole of a ROL or PRT as Patient.generalPractitioner; an action code that ends it takes it back."""
    if segment.first(2).get(1) in ENDED:
        _take_back(segment, ctx, "Patient")
        return None
    return {"reference": ctx.refs["PractitionerRole"]} if "PractitionerRole" in ctx.refs else None


_XAD = FUNCTIONS["xad_address"].parts


@function("rol_practitioner", {**below(XCN_PARTS, 4, "({})"), **below(_XAD, 11, "(Practitioner.address.{})")})
def rol_practitioner(segment: Any, ctx: Any) -> Json | None:
    """The person of a ROL (ROL-4; its repetitions are the same person's other numbers), and where it is found (ROL-11)."""
    return _person(segment, ctx, 4, 11)


@function("prt_practitioner", {**below(XCN_PARTS, 5, "({})"), **below(_XAD, 14, "(Practitioner.address.{})")})
def prt_practitioner(segment: Any, ctx: Any) -> Json | None:
    """The person of a PRT (PRT-5), and where it is found (PRT-14)."""
    return _person(segment, ctx, 5, 14)


def _person(segment: Any, ctx: Any, person: int, address: int) -> Json | None:
    found = FUNCTIONS["xcn_practitioner"].call(segment.first(person), ctx) if segment.raw(person) else None
    key = found.get("reference", "").partition("?")[2] if found else ""
    if key:
        more: Json = {}
        others = [identifier(rep.get(1), number_system(rep.get(1), hd_parts(rep, 9), rep.get(13), ctx), rep.get(13))
                  for rep in segment.reps(person)[1:] if rep.get(1)]
        if others:
            more["identifier#XCN-others"] = others
        where = _addresses(segment, ctx, address, at_organization=False)
        if where:
            more["address#role"] = where
        if more:
            ctx.emit("Practitioner", key, more)
    return found


def _addresses(segment: Any, ctx: Any, field: int, *, at_organization: bool) -> list[Json]:
    return [a for rep in segment.reps(field) if (rep.get(7) in _AT_ORGANIZATION) == at_organization
            and (a := FUNCTIONS["xad_address"].call(rep, ctx))]


@function("prt_identifiers", {
    **below(FUNCTIONS["ei_identifier"].parts, 1), **below(FUNCTIONS["pln_identifier"].parts, 24)})
def prt_identifiers(segment: Any, ctx: Any) -> list[Json]:
    """Numbers of the participation (PRT-1) and licences or the like of who takes part (PRT-24)."""
    found = [FUNCTIONS["ei_identifier"].call(rep, ctx) for rep in segment.reps(1)]
    found += [FUNCTIONS["pln_identifier"].call(rep, ctx) for rep in segment.reps(24)]
    return [one for one in found if one]


_PREFERRED = {"B": ("pager", ""), "C": ("phone", "mobile"), "E": ("email", ""), "F": ("fax", ""), "H": ("phone", "home"),
              "O": ("phone", "work")}
"""Preferred method of contact (table 0185) as system and use of a ContactPoint."""


@function("prt_telecom", {
    **{f"15.{part}": to for part, to in FUNCTIONS["xtn_contact_point"].parts.items()},
    "23.1": f"extension(iso21090-preferred){OTHER_WORDS}",
    **{f"23.{n}": "drop: words for the way to be reached" for n in range(2, 23)}})
def prt_telecom(segment: Any, ctx: Any) -> list[Json]:
    """How the participant is reached (PRT-15), marked where it is the preferred way (PRT-23)."""
    system, use = _PREFERRED.get(segment.first(23).get(1), ("none", ""))
    found: list[Json] = []
    for rep in segment.reps(15):
        point = xtn_contact_point(rep, ctx, use="work")
        if point and point["system"] == system and use in ("", point.get("use")):
            point = {**point, "extension": [*point.get("extension", []), {
                "url": "http://hl7.org/fhir/StructureDefinition/iso21090-preferred", "valueBoolean": True}]}
        found += [point] if point else []
    return found


_XON = FUNCTIONS["xon_organization"].parts


@function("rol_organization", {
    **below(_XON, 14, "({})"), **below(CWE_PARTS, 10, "(Organization.type.{})"), **below(_XAD, 11, "(Organization.address.{})")})
def rol_organization(segment: Any, ctx: Any) -> Json | None:
    """The organization of a ROL (ROL-14) of the type of ROL-10; a type of none that is named stands in words."""
    return _organization(segment, ctx, 14, 10, 11)


@function("prt_organization", {
    **below(_XON, 8, "({})"), **below(CWE_PARTS, 7, "(Organization.type.{})"), **below(_XAD, 14, "(Organization.address.{})")})
def prt_organization(segment: Any, ctx: Any) -> Json | None:
    """The organization of a PRT (PRT-8) of the type of PRT-7; a type of none that is named stands in words."""
    return _organization(segment, ctx, 8, 7, 14)


def _organization(segment: Any, ctx: Any, named: int, kind: int, address: int) -> Json | None:
    found = xon_organization(segment.first(named), ctx) if segment.raw(named) else None
    concept = FUNCTIONS["cwe_codeable_concept"].call(segment.first(kind), ctx, source="HL70406") if segment.raw(kind) else None
    if not found:
        words = segment.first(kind).get(2) or segment.first(kind).get(9) or segment.first(kind).get(1)
        return {"display": words} if concept and words else None
    more: Json = {f"type#{segment.name}": [concept]} if concept else {}
    where = _addresses(segment, ctx, address, at_organization=True)
    if where:
        more["address#role"] = where
    if more:
        ctx.emit("Organization", found["reference"].partition("?")[2], more)
    return found


@function("ei_udi_carrier", {"1": "deviceIdentifier or carrierHRF", "2": "drop: namespace of the carrier; its issuer is a URI",
                             "3": "issuer", "4": "form of the issuer's id"})
def ei_udi_carrier(rep: Any, _ctx: Any) -> Json | None:
    """A UDI (PRT-16) as Device.udiCarrier: as printed where it is a whole carrier, else the device identifier."""
    value, issuer = rep.get(1), rep.get(3)
    if not value:
        return None
    found: Json = {"carrierHRF": value} if value.startswith(("(", "+", "=")) else {"deviceIdentifier": value}
    return {**found, "issuer": f"urn:oid:{issuer}" if rep.get(4) == "ISO" else issuer} if issuer else found
