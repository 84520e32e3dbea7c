"""Functions for PID, PD1 and DB1 beyond a datatype: protection, licence, tribe, animal, last update, facts with components.

Source: v2-to-FHIR segment maps PID[Patient], PID[Provenance-Patient], PD1[Observation-LivingWill]; US Core 6.1.0; R4 extensions.
"""

from __future__ import annotations

from typing import Any

from adapter.mapping.functions.codes import CWE_PARTS
from adapter.mapping.functions.header import AGENT_TYPES, hd_organization, own_organization
from adapter.mapping.functions.patient import US_CORE
from adapter.mapping.functions.registry import FUNCTIONS, OTHER_WORDS, Rep, below, function
from adapter.mapping.functions.transport import instant_at
from adapter.model import Json

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
TRIBES = "http://terminology.hl7.org/CodeSystem/v3-TribalEntityUS"
PERSON_FACT = "urn:x-careloop:person-fact"
"""Code system of what ADT says of a person and FHIR has neither element nor code for."""


_CITIZEN = "Patient.extension(patient-citizenship).extension(code).valueCodeableConcept"
_TRIBE = "Patient.extension(us-core-tribal-affiliation).extension(tribalAffiliation).valueCodeableConcept"


@function("protection_label", {"1": f"code{OTHER_WORDS}"}, kept=True)
def protection_label(rep: Rep, ctx: Any) -> Json | None:
    """A protection indicator (table 0136) as security label: Y restricted, N normal."""
    protected = FUNCTIONS["yes_no_boolean"].call(rep, ctx)
    return None if protected is None else {"system": CONFIDENTIALITY, "code": "R" if protected else "N"}


@function("driver_license", {"1": "value", "2": "assigner.display", "3": "period.end", "4": "system", "4.1": "assigner.display",
                             "4.2": "system", "4.3": "assigner.identifier.type", "5": "type"}, kept=True)
def driver_license(rep: Rep, ctx: Any) -> Json | None:
    """A driver's licence: a DLN, or the CX that some senders write in its place."""
    if rep.get(4) or rep.sub(4, 2):
        return FUNCTIONS["cx_identifier"].call(rep, ctx, kind="DL")
    return FUNCTIONS["dln_identifier"].call(rep, ctx)


@function("tribal_citizenship", {at: text if text.startswith("drop: ") else f"{_CITIZEN}.{text} or {_TRIBE}.{text}"
                                 for at, text in CWE_PARTS.items()}, kept=True)
def tribal_citizenship(rep: Rep, ctx: Any) -> Json | None:
    """PID-39: a tribal entity as the US Core extension, anything else as patient-citizenship (as the guide has it)."""
    name = rep.get(3) or rep.get(14)
    if "TribalEntityUS" not in name and name != "2.16.840.1.113883.5.140":
        return FUNCTIONS["citizenship"].call(rep, ctx)
    named: Json = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/originalText", "valueString": name}]}
    coding: Json = {"system": TRIBES, "_system": named, "code": rep.get(1), "display": rep.get(2)}
    concept: Json = {"coding": [{k: v for k, v in coding.items() if v}], **({"text": rep.get(9)} if rep.get(9) else {})}
    return {"url": f"{US_CORE}/us-core-tribal-affiliation",
            "extension": [{"url": "tribalAffiliation", "valueCodeableConcept": concept}]}


@function("patient_animal", below(CWE_PARTS, 35, "(patient-animal).extension(species).valueCodeableConcept.{}")
          | below(CWE_PARTS, 36, "(patient-animal).extension(breed).valueCodeableConcept.{}"))
def patient_animal(segment: Any, ctx: Any) -> Json | None:
    """Species (PID-35) and breed (PID-36) as the patient-animal extension; a breed of no species says nothing."""
    concept = FUNCTIONS["cwe_codeable_concept"].call
    found = [{"url": url, "valueCodeableConcept": value} for n, url in ((35, "species"), (36, "breed"))
             if segment.raw(n) and (value := concept(segment.first(n), ctx))]
    if not found or found[0]["url"] != "species":
        return None
    return {"url": "http://hl7.org/fhir/StructureDefinition/patient-animal", "extension": found}


@function("pid_recorded", {"33": "", "33.1": "", "33.2": "drop: degree of precision of a 2.1 TS; the value's own length says it"})
def pid_recorded(segment: Any, ctx: Any) -> str:
    """When the record was last changed (PID-33) as instant, else when that was stated (UTC)."""
    return instant_at(segment.first(33).get(1), ctx)


@function("pid_updater", {"34": "who(Organization.name)", "34.1": "who(Organization.name)",
                          "34.2": "who(Organization.identifier)", "34.3": "who(Organization.identifier)"})
def pid_updater(segment: Any, ctx: Any) -> Json:
    """Who last changed the record: the facility of PID-34, else the sender, as performer."""
    who = (hd_organization(segment.first(34), ctx) if segment.raw(34) else None) or own_organization(segment, ctx)
    return {"type": {"coding": [{"system": AGENT_TYPES, "code": "performer"}]}, "who": who}


@function("fact_component", below(CWE_PARTS, to="valueCodeableConcept.{}"), kept=True)
def fact_component(rep: Rep, ctx: Any, fact: str, display: str, table: str = "", source: str = "") -> Json | None:
    """A coded value as Observation.component. fact, display: code of `urn:x-careloop:person-fact` and its words."""
    value = FUNCTIONS["cwe_codeable_concept"].call(rep, ctx, table=table, source=source)
    return {"code": {"coding": [{"system": PERSON_FACT, "code": fact, "display": display}]}, "valueCodeableConcept": value} \
        if value else None


@function("moment_component", {"1": "valueDateTime", "2": "drop: degree of precision of a 2.1 TS; its length says it"}, kept=True)
def moment_component(rep: Rep, ctx: Any, fact: str, display: str) -> Json | None:
    """A day or time as Observation.component. fact, display: code of `urn:x-careloop:person-fact` and its words."""
    moment = ctx.moment(rep.get(1)) if rep.get(1) else None
    return {"code": {"coding": [{"system": PERSON_FACT, "code": fact, "display": display}]}, "valueDateTime": moment} \
        if moment else None


@function("precautions", {
    f"41.{n}": f"Flag.code.{to} or Flag.code.text" if to.endswith("display") else to for n, to in CWE_PARTS.items()})
def precautions(segment: Any, ctx: Any) -> Json | None:
    """PV2-41 as one Flag.code: a single precaution with its coding, several in words, for codings beside each other mean one."""
    concepts: list[Json] = [c for rep in segment.reps(41)
                            if (c := FUNCTIONS["cwe_codeable_concept"].call(rep, ctx, source="HL70433"))]
    if len(concepts) < 2:
        return concepts[0] if concepts else None
    return {"text": "; ".join(w for rep in segment.reps(41) if (w := FUNCTIONS["cwe_string"].call(rep, ctx)))}
