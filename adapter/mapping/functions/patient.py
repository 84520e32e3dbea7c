"""Functions for PID and NK1 that are more than a datatype: race, ethnicity, birth time, county, contact.

Source: US Core 6.1.0 race and ethnicity extensions; v2-to-FHIR segment maps PID[Patient], NK1[Patient].
"""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.codes import CWE_PARTS, cwe_codeable_concept, named
from adapter.mapping.functions.organizations import xon_organization
from adapter.mapping.functions.primitives import period
from adapter.mapping.functions.registry import FUNCTIONS, Rep, below, function
from adapter.model import Json

US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"
OMB = "urn:oid:2.16.840.1.113883.6.238"
RACES = frozenset({"1002-5", "2028-9", "2054-5", "2076-8", "2106-3"})
ETHNICITIES = frozenset({"2135-2", "2186-5"})
BIRTH_TIME = "http://hl7.org/fhir/StructureDefinition/patient-birthTime"
CODED = below(CWE_PARTS, to="extension(code).valueCodeableConcept.{}")
"""What becomes of the parts of a CWE in an extension that holds one CodeableConcept under `code`."""


_OMB_PARTS = {**dict.fromkeys(("1", "4", "10"), "extension(ombCategory).valueCoding.code"),
              **dict.fromkeys(("3", "6", "12"), "extension(ombCategory).valueCoding.system"),
              **dict.fromkeys(("2", "5", "9", "11"), "extension(text).valueString")}
"""What becomes of the parts of a CWE in US Core's extensions of race and ethnicity."""


@function("us_core_race", below(_OMB_PARTS, to="(us-core-race).{}"))
def us_core_race(reps: list[Rep], ctx: Any) -> Json | None:
    """PID-10, all repetitions, as the one US Core race extension; a code that is not the CDC's is kept as text."""
    return _omb(reps, ctx, "race", RACES, "us-core-race", 5)


@function("us_core_ethnicity", below(_OMB_PARTS, to="(us-core-ethnicity).{}"))
def us_core_ethnicity(reps: list[Rep], ctx: Any) -> Json | None:
    """PID-22 as the US Core ethnicity extension; a code that is not the CDC's is kept as text."""
    return _omb(reps, ctx, "ethnicity", ETHNICITIES, "us-core-ethnicity", 1)


def _omb(reps: list[Rep], ctx: Any, table: str, known: frozenset[str], profile: str, most: int) -> Json | None:
    """The extension of the OMB's categories (at most so many), the CDC's finer codes, and all words."""
    categories: dict[str, Json] = {}
    detailed: dict[str, Json] = {}
    texts: dict[str, None] = {}
    for rep in reps:
        found = False
        for at in (1, 4, 10):
            code, name = rep.get(at), rep.get(at + 2)
            coding = _cdc(code, known, ctx.code(table, code)) if code else None
            if coding is not None:
                found = True
                kind = categories if coding["code"] in known else detailed
                kind.setdefault(coding["code"], {**coding, "_system": named(name)} if name and name not in OMB else coding)
        if rep.get(1) and not found:
            ctx.issue("unknown-code", table)
        texts.update(dict.fromkeys(t for t in (rep.get(9) or rep.get(2) or rep.get(1), rep.get(5), rep.get(11)) if t))
    if not texts:
        return None
    parts: list[Json] = [{"url": "ombCategory", "valueCoding": c} for c in [*categories.values()][:most]]
    parts += [{"url": "detailed", "valueCoding": c} for c in detailed.values()]
    parts.append({"url": "text", "valueString": ", ".join(texts)})
    return {"url": f"{US_CORE}/{profile}", "extension": parts}


def _cdc(code: str, known: frozenset[str], mapped: Json | None) -> Json | None:
    """The CDC's code of race and ethnicity that a code is or is mapped to, as Coding; None where it is none."""
    if code in known:
        return {"system": OMB, "code": code}
    return {"system": OMB, "code": mapped["code"]} if mapped is not None and mapped["system"] == OMB else None


@function("cwe_bcp47", CWE_PARTS, kept=True)
def cwe_bcp47(rep: Rep, ctx: Any) -> Json | None:
    """A language in BCP 47, the sender's own codes beside it: the element allows no coding of another system."""
    return cwe_codeable_concept(rep, ctx, table="language")


@function("birth_time", {"1": "extension(patient-birthTime)"}, kept=True)
def birth_time(rep: Rep, ctx: Any) -> Json | None:
    """The time of birth, where PID-7 has one, as the extension of Patient.birthDate."""
    text = rep.get(1)
    if len(text) <= 8 or not text[8].isdigit():
        return None
    moment = ctx.moment(text)
    return {"extension": [{"url": BIRTH_TIME, "valueDateTime": moment}]} if moment else None


@function("county_address", kept=True)
def county_address(rep: Rep, ctx: Any) -> Json | None:
    """PID-12 as an Address that says the county only."""
    return {"district": rep.plain()} if rep.plain() else None


@function("st_address_text", kept=True)
def st_address_text(rep: Rep, ctx: Any) -> Json | None:
    """Free text as an Address."""
    return {"text": rep.plain()} if rep.plain() else None


@function("citizenship", below(CODED, to="(patient-citizenship).{}"), kept=True)
def citizenship(rep: Rep, ctx: Any) -> Json | None:
    """PID-26 as the patient-citizenship extension."""
    return _coded_extension(rep, ctx, "patient-citizenship")


@function("nationality", below(CODED, to="(patient-nationality).{}"), kept=True)
def nationality(rep: Rep, ctx: Any) -> Json | None:
    """PID-28 as the patient-nationality extension."""
    return _coded_extension(rep, ctx, "patient-nationality")


def _coded_extension(rep: Rep, ctx: Any, name: str) -> Json | None:
    concept = FUNCTIONS["cwe_codeable_concept"].call(rep, ctx)
    if not concept:
        return None
    return {"url": f"http://hl7.org/fhir/StructureDefinition/{name}",
            "extension": [{"url": "code", "valueCodeableConcept": concept}]}


_CONTACT_ROLES = frozenset(("E", "F", "I", "S", "EP", "C", "O", "EMR", "EMC"))
"""Contact roles (table 0131) that make an associated party somebody to get in touch with."""


@function("nk1_contact", {"2": "name", "3": "relationship", "4": "address", "5": "telecom", "6": "telecom", "7": "relationship",
                          "8": "period.start", "9": "period.end", "13": "organization(Organization.name)",
                          **{f"13.{part}": text if text.startswith("drop") else f"organization({text})"
                             for part, text in FUNCTIONS["xon_organization"].parts.items()}, "15": "gender"})
def nk1_contact(segment: Any, ctx: Any) -> Json | None:
    """An NK1 as Patient.contact, where its role or its organization (NK1-13) makes it one (R4 pat-1: some detail)."""
    organization = xon_organization(segment.first(13), ctx) if segment.raw(13) else None
    if not organization and segment.first(7).get(1) not in _CONTACT_ROLES:
        return None
    found: Json = {"organization": organization} if organization else {}
    call = FUNCTIONS
    for n, name, function_name, options in (
            (2, "name", "xpn_human_name", {}), (4, "address", "xad_address", {}),
            (15, "gender", "cwe_code", {"table": "administrative-sex"})):
        value = call[function_name].call(segment.first(n), ctx, **options) if segment.raw(n) else None
        if value:
            found[name] = value
    relationship = [call["cwe_codeable_concept"].call(segment.first(n), ctx, table=t)
                    for n, t in ((3, "relationship"), (7, "contact-role")) if segment.raw(n)]
    telecom = [call["xtn_contact_point"].call(rep, ctx, use=use)
               for n, use in ((5, "home"), (6, "work")) for rep in segment.reps(n)]
    valid = period(segment.first(8).get(1), segment.first(9).get(1), ctx)
    for name, values in (("relationship", relationship), ("telecom", telecom)):
        kept = [v for v in values if v]
        if kept:
            found[name] = kept
    if valid:
        found["period"] = valid
    return found if {"name", "telecom", "address", "organization"} & found.keys() else None
