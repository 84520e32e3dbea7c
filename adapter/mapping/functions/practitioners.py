"""Persons who care: XCN, CNN and NDL as Practitioner, said once as a shared resource and referred to.

A person without an identifier is a name only: two of one name need not be one. Source: v2-to-FHIR maps
XCN[Practitioner], CNN[Practitioner], NDL[PractitionerRole]; table 0360; v3-ParticipationType.
"""

from __future__ import annotations

from functools import lru_cache

from adapter.mapping.functions.identifiers import NOBODY, assigner, check_digit, hd_parts, identifier, number_system, told
from adapter.mapping.functions.locations import PL_PARTS, pl_location
from adapter.mapping.functions.names import put_codes, put_family, shown, validity
from adapter.mapping.functions.primitives import period
from adapter.mapping.functions.reading import components, words
from adapter.mapping.functions.registry import Context, Rep, function
from adapter.mapping.functions.systems import V2
from adapter.model import Json

_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_PARTICIPANTS = {"ADM": "admitter", "ATND": "attender", "CALLBCK": "callback contact", "CON": "consultant",
                 "DIS": "discharger", "ESC": "escort", "PART": "Participation", "PPRF": "primary performer",
                 "REF": "referrer", "SPRF": "secondary performer"}
_NO_HOME = "drop: neither FHIR nor the guide has a place for it"

XCN_PARTS = {
    "1": "Practitioner.identifier.value", "2": "Practitioner.name.family", "2.1": "Practitioner.name.family",
    "2.2": "Practitioner.name.family.extension(humanname-own-prefix)",
    "2.3": "Practitioner.name.family.extension(humanname-own-name)",
    "2.4": "Practitioner.name.family.extension(humanname-partner-prefix)",
    "2.5": "Practitioner.name.family.extension(humanname-partner-name)", "3": "Practitioner.name.given[0]",
    "4": "Practitioner.name.given[1]", "5": "Practitioner.name.suffix[0]", "6": "Practitioner.name.prefix[0]",
    "7": "Practitioner.qualification.code", "8": "drop: the table the identifier was looked up in",
    "9": "Practitioner.identifier.system", "9.1": "Practitioner.identifier.assigner.display",
    "9.2": "Practitioner.identifier.system", "9.3": "Practitioner.identifier.assigner.identifier.type",
    "10": "Practitioner.name.use",
    "11": "Practitioner.identifier.extension(identifier-checkDigit)",
    "12": "Practitioner.identifier.extension(namingsystem-checkDigit)", "13": "Practitioner.identifier.type",
    "14": "Practitioner.identifier.assigner", "14.1": "Practitioner.identifier.assigner.display",
    "14.2": "Practitioner.identifier.assigner.identifier.value",
    "14.3": "Practitioner.identifier.assigner.identifier.type",
    "15": "Practitioner.name.extension(iso21090-EN-representation)",
    "16": "drop: the context a name is meant for; R4 has use alone", "17": "Practitioner.name.period",
    "17.1": "Practitioner.name.period.start unless 19", "17.2": "Practitioner.name.period.end unless 20",
    "18": "Practitioner.name.extension(humanname-assembly-order)", "19": "Practitioner.name.period.start",
    "20": "Practitioner.name.period.end", "21": "Practitioner.name.suffix[1]",
    "22": "Practitioner.identifier.assigner.display", "23": "Practitioner.identifier.assigner.display",
    "24": _NO_HOME, "25": _NO_HOME,
}
"""What becomes of each component of an XCN; all of it is said of the Practitioner, the row's element refers to it."""


@lru_cache(maxsize=1024)
def _qualification(degree: str) -> Json:
    return {"code": {"coding": [{"system": V2 + "0360", "code": degree}], "text": degree}}


@function("xcn_practitioner", XCN_PARTS, kept=True)
def xcn_practitioner(rep: Rep, ctx: Context) -> Json | None:
    """An XCN as Reference to a Practitioner that is stated too; without XCN.1 a Reference with display alone."""
    part = components(rep, 25)
    name = _xcn_name(rep, part, ctx)
    line = shown(name) if name else ""
    value, degree = part[1], part[7]
    if not value:
        return {"display": f"{line}, {degree}" if degree else line} if line else None
    authority, facility, kind = hd_parts(rep, 9), hd_parts(rep, 14), part[13]
    system = number_system(value, authority, kind, ctx)
    body: Json = {"identifier#XCN": [identifier(value, system, kind, extension=check_digit(part[11], part[12]),
                                                by=assigner(authority, facility, told(rep, 22), told(rep, 23)))]}
    if name:
        body["name#XCN"] = [name]
    if degree:
        body["qualification#XCN"] = [_qualification(degree)]
    reference: Json = {"reference": ctx.emit("Practitioner", f"{system}|{value}", body)}
    if line:
        reference["display"] = line
    return reference


def _xcn_name(rep: Rep, part: list[str], ctx: Context) -> Json | None:
    """XCN.2 to 6, 10, 15 and 17 to 21 as HumanName. part: the components."""
    name: Json = {}
    if len(rep.parts) > 1:
        put_family(rep, 2, name)
    for element, values in (("given", words(part[3], part[4])), ("suffix", words(part[5], part[21])),
                            ("prefix", words(part[6]))):
        if values:
            name[element] = values
    if name and (part[10] or part[15] or part[18]):
        put_codes(part[10], part[15], part[18], ctx, name)
    valid = validity(rep, 17, part[19], part[20], ctx) if name else None
    if valid:
        name["period"] = valid
    return name or None


@lru_cache(maxsize=64)
def participation(code: str) -> Json:
    """A CodeableConcept of v3-ParticipationType. Shared: never change it."""
    coding: Json = {"system": _PARTICIPATION, "code": code}
    if code in _PARTICIPANTS:
        coding["display"] = _PARTICIPANTS[code]
    return {"coding": [coding]}


@function("xcn_participant", {at: text if text.startswith("drop") else f"individual -> {text}"
                              for at, text in XCN_PARTS.items()}, kept=True)
def xcn_participant(rep: Rep, ctx: Context, type: str = "PART") -> Json | None:
    """An XCN as Encounter.participant. type: code of v3-ParticipationType (ATND, ADM, CON, REF ...)."""
    reference = xcn_practitioner(rep, ctx)
    return {"type": [participation(type)], "individual": reference} if reference else None


@function("xcn_string", {"*": ""})
def xcn_string(rep: Rep, ctx: Context) -> str | None:
    """The name of an XCN in one line, else its identifier."""
    name = _xcn_name(rep, components(rep, 25), ctx)
    return (shown(name) if name else "") or rep.get(1) or None


CNN_PARTS = {
    "1": "Practitioner.identifier.value", "2": "Practitioner.name.family", "3": "Practitioner.name.given[0]",
    "4": "Practitioner.name.given[1]", "5": "Practitioner.name.suffix[0]", "6": "Practitioner.name.prefix[0]",
    "7": "Practitioner.qualification.code", "8": "drop: the table the identifier was looked up in",
    "9": "Practitioner.identifier.assigner.display", "10": "Practitioner.identifier.system",
    "11": "Practitioner.identifier.system"}


@function("cnn_practitioner", CNN_PARTS, kept=True)
def cnn_practitioner(rep: Rep, ctx: Context) -> Json | None:
    """A CNN as Reference to a Practitioner that is stated too; without CNN.1 a Reference with display alone."""
    name: Json = {}
    if rep.get(2):
        name["family"] = rep.get(2)
    for element, values in (("given", words(rep.get(3), rep.get(4))), ("suffix", words(rep.get(5))),
                            ("prefix", words(rep.get(6)))):
        if values:
            name[element] = values
    value, degree = rep.get(1), rep.get(7)
    if not value:
        return {"display": shown(name) + (f", {degree}" if degree else "")} if name else None
    authority = (rep.get(9), rep.get(10), rep.get(11))
    system = number_system(value, authority, "", ctx)
    body: Json = {"identifier#CNN": [identifier(value, system, by=assigner(authority, NOBODY))]}
    if name:
        body["name#CNN"] = [name]
    if degree:
        body["qualification#CNN"] = [_qualification(degree)]
    reference: Json = {"reference": ctx.emit("Practitioner", f"{system}|{value}", body)}
    if name:
        reference["display"] = shown(name)
    return reference


@function("ndl_practitioner_role", {
    "1": "practitioner", "2": "period.start", "3": "period.end",
    **{f"{int(at) + 3}" + dot + sub: f"location -> {text}" for part, text in PL_PARTS.items()
       for at, dot, sub in (part.partition("."),) if int(at) < 9}})
def ndl_practitioner_role(rep: Rep, ctx: Context) -> Json | None:
    """The person of an NDL with the time and the place of the work, as parts of a PractitionerRole."""
    practitioner = cnn_practitioner(rep.component(1), ctx)
    role: Json = {"practitioner": practitioner} if practitioner else {}
    worked = period(rep.get(2), rep.get(3), ctx)
    if worked:
        role["period"] = worked
    place = pl_location(Rep(rep.d.component.join(rep.parts[3:11]), rep.d), ctx) if len(rep.parts) > 3 else None
    if place:
        role["location"] = [place]
    return role or None
