"""Identifiers: CX, EI, HD, DLN, PLN and the identifying parts of XON and XCN.

system: what the context makes of the assigning authority. assigner: the authority and facility by name, and by the
universal id of the facility, or of an authority whose id is no URI. Source: v2-to-FHIR maps CX, EI, HD, DLN, PLN;
tables 0203, 0301.
"""

from __future__ import annotations

from functools import lru_cache

from adapter.mapping.functions.codes import cwe_codeable_concept
from adapter.mapping.functions.primitives import period
from adapter.mapping.functions.reading import components
from adapter.mapping.functions.registry import Context, Rep, function
from adapter.mapping.functions.systems import V2
from adapter.mapping.tables import V2_TABLES
from adapter.mapping.uris import universal_uri
from adapter.model import Json
from adapter.validate.numbers import well_formed

CHECK_DIGIT = "http://hl7.org/fhir/StructureDefinition/identifier-checkDigit"
CHECK_SCHEME = "http://hl7.org/fhir/StructureDefinition/namingsystem-checkDigit"
URI_SYSTEM = "urn:ietf:rfc:3986"

_TYPES = V2_TABLES["0203"]
_UNIVERSAL_TYPES = V2_TABLES["0301"]


@lru_cache(maxsize=1024)
def identifier_type(code: str) -> Json:
    """Identifier.type of a code of table 0203, as text where it is not in it. Shared: never change it."""
    return {"coding": [{"system": V2 + "0203", "code": code}]} if code in _TYPES else {"text": code}


@lru_cache(maxsize=4096)
def universal_identifier(universal_id: str, universal_type: str) -> Json | None:
    """A universal id with its type (HD.2, HD.3) as Identifier; None without. Shared: never change it."""
    if not universal_id:
        return None
    found: Json = {}
    if universal_type in _UNIVERSAL_TYPES:
        found["type"] = {"coding": [{"system": V2 + "0301", "code": universal_type}]}
    elif universal_type:
        found["type"] = {"text": universal_type}
    uri = universal_uri(universal_id, universal_type)
    return {**found, "system": URI_SYSTEM, "value": uri} if uri else {**found, "value": universal_id}


def hd_parts(rep: Rep, n: int) -> tuple[str, str, str]:
    """Namespace, universal id and its type of component n, an HD."""
    parts = rep.parts
    if n > len(parts) or not parts[n - 1]:
        return "", "", ""
    if rep.d.sub not in parts[n - 1]:
        return rep.get(n), "", ""
    return rep.sub(n, 1), rep.sub(n, 2), rep.sub(n, 3)


NOBODY = ("", "", "")
"""An HD without any part."""


def told(rep: Rep, n: int) -> str:
    """The words of component n, a CWE: original text, else text, else code; '' where it is absent."""
    if n > len(rep.parts) or not rep.parts[n - 1]:
        return ""
    return rep.sub(n, 9) or rep.sub(n, 2) or rep.get(n)


def assigner(authority: tuple[str, str, str], facility: tuple[str, str, str], *others: str) -> Json | None:
    """Identifier.assigner of an authority and the facility where it assigned the identifier.

    others: the words for a jurisdiction and an agency that had a part in it.
    """
    names = list(dict.fromkeys(name for name in (authority[0], facility[0], *others) if name))
    value: Json = {}
    identifier = universal_identifier(facility[1], facility[2]) or universal_identifier(authority[1], authority[2])
    if identifier:
        value["identifier"] = identifier
    if names:
        value["display"] = ", ".join(names)
    return value or None


def check_digit(digit: str, scheme: str) -> list[Json] | None:
    """The extensions that hold a check digit and its scheme."""
    found: list[Json] = []
    if digit:
        found.append({"url": CHECK_DIGIT, "valueString": digit})
    if scheme:
        found.append({"url": CHECK_SCHEME, "valueString": scheme})
    return found or None


def number_system(value: str, authority: tuple[str, str, str], kind: str, ctx: Context) -> str:
    """The system of the number of a practitioner or organization; the sender's own where it cannot be what it claims to be.

    An NPI has a check digit: one that fails is no NPI, is told (bad-value), and is nobody's number but the sender's.
    """
    return sound_system(ctx.system(*authority, kind), value, ctx)


def sound_system(system: str, value: str, ctx: Context, column: str = "") -> str:
    """The system of a number, the sender's own and a finding (bad-value) where it can be no number of it.

    column: of the CSV row that has the number, where a whole row is mapped.
    """
    if well_formed(system, value):
        return system
    ctx.issue("bad-value", "the number has not the form of its system, and stands as the sender's own", column)
    return ctx.system("malformed-number")


def identifier(value: str, system: str, kind: str = "", *, extension: list[Json] | None = None,
               valid: Json | None = None, by: Json | None = None) -> Json:
    """An Identifier of parts already read."""
    found: Json = {}
    if extension:
        found["extension"] = extension
    if kind:
        found["type"] = identifier_type(kind)
    if system:
        found["system"] = system
    found["value"] = value
    if valid:
        found["period"] = valid
    if by:
        found["assigner"] = by
    return found


_CX_NO_HOME = "drop: a code to check who may use the identifier; neither FHIR nor the guide has a place for it"


@function("cx_identifier", {
    "1": "value", "2": "extension(identifier-checkDigit)", "3": "extension(namingsystem-checkDigit)",
    "4": "system", "4.1": "assigner.display", "4.2": "system", "4.3": "assigner.identifier.type", "5": "type",
    "6": "assigner", "6.1": "assigner.display", "6.2": "assigner.identifier.value", "6.3": "assigner.identifier.type",
    "7": "period.start", "8": "period.end", "9": "assigner.display", "10": "assigner.display", "11": _CX_NO_HOME,
    "12": _CX_NO_HOME}, kept=True)
def cx_identifier(rep: Rep, ctx: Context, kind: str = "", use: str = "") -> Json | None:
    """A CX as Identifier. kind: type code where CX.5 is empty; use: Identifier.use. None without CX.1."""
    part = components(rep, 8)
    if not part[1]:
        return None
    authority, facility, code = hd_parts(rep, 4), hd_parts(rep, 6), part[5] or kind
    system = ctx.system(*authority, code)
    found = identifier(part[1], system, code, extension=check_digit(part[2], part[3]),
                       valid=period(part[7], part[8], ctx) if part[7] or part[8] else None,
                       by=assigner(authority, facility, told(rep, 9), told(rep, 10)))
    return {"use": use, **found} if use else found


@function("cx_string", {"1": "", **dict.fromkeys((str(n) for n in range(2, 13)), "drop: the element is a bare number")})
def cx_string(rep: Rep, _ctx: Context) -> str | None:
    """The number of a CX alone."""
    return rep.get(1) or None


@function("ei_identifier", {"1": "value", "2": "assigner.display", "3": "system", "4": "assigner.identifier.type"}, kept=True)
def ei_identifier(rep: Rep, ctx: Context, kind: str = "") -> Json | None:
    """An EI as Identifier; without EI.1 its universal id is the value. kind: type code (table 0203)."""
    value, namespace, universal, scheme = rep.get(1), rep.get(2), rep.get(3), rep.get(4)
    if not value:
        return universal_identifier(universal, scheme)
    authority = (namespace, universal, scheme)
    system = ctx.system(*authority, kind)
    return identifier(value, system, kind, by=assigner(authority, NOBODY))


@function("hd_system", {"1": "", "2": "", "3": ""})
def hd_system(rep: Rep, ctx: Context) -> str | None:
    """An HD as the URI of the naming system it stands for."""
    parts = rep.get(1), rep.get(2), rep.get(3)
    return ctx.system(*parts) if parts[0] or parts[1] else None


@function("hd_identifier", {"1": "value", "2": "value", "3": "type"})
def hd_identifier(rep: Rep, ctx: Context) -> Json | None:
    """An HD as Identifier of what it names: its universal id, else its namespace within the sender's own."""
    return universal_identifier(rep.get(2), rep.get(3)) or (
        identifier(rep.get(1), ctx.system("")) if rep.get(1) else None)


@function("dln_identifier", {"1": "value", "2": "assigner.display", "2.1": "assigner.display", "2.2": "assigner.display",
                             "2.9": "assigner.display", "3": "period.end"}, kept=True)
def dln_identifier(rep: Rep, ctx: Context) -> Json | None:
    """A driver's licence (DLN) as Identifier of type DL in its issuer's system."""
    value, issuer, end = rep.get(1), rep.get(2), rep.get(3)
    if not value:
        return None
    return identifier(value, ctx.system(issuer, "", "", "DL"), "DL", valid=period("", end, ctx),
                      by=assigner((issuer, "", ""), NOBODY, told(rep, 2)))


@function("pln_identifier", {"1": "value", "2": "type", "3": "assigner.display", "4": "period.end"})
def pln_identifier(rep: Rep, ctx: Context) -> Json | None:
    """A practitioner's licence or other number (PLN) as Identifier."""
    value, issuer, end = rep.get(1), rep.get(3), rep.get(4)
    if not value:
        return None
    kind = rep.component(2)
    found = identifier(value, number_system(value, (issuer, "", ""), rep.get(2), ctx), "", valid=period("", end, ctx),
                       by={"display": issuer} if issuer else None)
    concept = cwe_codeable_concept(kind, ctx, source="HL70338") if kind.text else None
    return {"type": concept, **found} if concept else found


@function("ssn_identifier", {"*": "value"}, kept=True)
def ssn_identifier(rep: Rep, ctx: Context) -> Json | None:
    """A social security number (PID-19, an ST) as Identifier of type SS."""
    value = rep.get(1)
    return identifier(value, ctx.system("", "", "", "SS"), "SS") if value else None
