#!/usr/bin/env python3
"""Write profiles/fhir/r4-facts.json: what adapter/validate/ must know of FHIR R4 4.0.1 and US Core 6.1.0.

    .venv/bin/python tools/facts.py US_CORE.tgz [--r4 JAR] [--out FILE]

JAR: ca.uhn.hapi.fhir:hapi-fhir-validation-resources-r4 (the R4 StructureDefinitions, ValueSets and CodeSystems);
without it the newest one that `tools/hapi/fhir-validate --build-only` left in the build caches. The file is committed;
run this only to change what it holds. Its form is described in adapter/validate/facts.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from definitions import Json, Terminology, many, one, r4_resources, us_core_resources

SD = "http://hl7.org/fhir/StructureDefinition/"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
RESOURCES = [
    "Account", "AllergyIntolerance", "Appointment", "AuditEvent", "Binary", "Bundle", "CarePlan", "CareTeam", "Claim",
    "ClaimResponse", "CodeSystem", "Communication", "Composition", "ConceptMap", "Condition", "Consent", "Coverage",
    "DetectedIssue", "Device", "DiagnosticReport", "DocumentReference", "Encounter", "EpisodeOfCare", "Flag", "Goal",
    "Group", "GuidanceResponse", "HealthcareService", "Immunization", "Location", "Measure", "MeasureReport",
    "Medication", "MedicationRequest", "MedicationStatement", "MessageHeader", "Observation", "OperationOutcome",
    "Organization", "OrganizationAffiliation", "Parameters", "Patient", "Practitioner", "PractitionerRole", "Procedure",
    "Provenance", "Questionnaire", "QuestionnaireResponse", "RelatedPerson", "ServiceRequest", "Subscription", "Task", "ValueSet",
]
OWN_BASE = ("DomainResource", "Resource", "BackboneElement", "Element")
NOT_LISTED = {  # value sets that are too large to list: their codes are checked by a form of adapter/validate/schema.py
    "http://hl7.org/fhir/ValueSet/all-languages": "bcp47",
    "http://hl7.org/fhir/ValueSet/mimetypes": "mime",
    "http://www.rfc-editor.org/bcp/bcp13.txt": "mime",
    "http://hl7.org/fhir/ValueSet/currencies": "iso4217",
}
HL7_TABLES = ("http://terminology.hl7.org/CodeSystem/v2-", "http://terminology.hl7.org/CodeSystem/v3-")
MOST_CODES = 1500  # of one code system that is listed because a coding may name it


# --- R4 types

def max_value_set(binding: Json) -> str | None:
    """The value set that an element may not leave, where its binding has one (extension maxValueSet)."""
    for extension in many(binding, "extension"):
        if extension["url"].endswith("elementdefinition-maxValueSet"):
            return one(extension, "valueCanonical") or one(extension, "valueUri")
    return None


def binding_of(element: Json, names: Terminology, codes: Json) -> Json:
    """`codes`: url of a value set listed in the facts, or `form`: bcp47, mime, iso4217; empty where nothing is
    required."""
    binding = one(element, "binding")
    if binding is None:
        return {}
    url = one(binding, "valueSet", "") if one(binding, "strength") == "required" else max_value_set(binding) or ""
    url = url.split("|")[0]
    if url in NOT_LISTED:
        return {"form": NOT_LISTED[url]}
    expanded = names.expand(url) if url else None
    if expanded is None:
        return {}
    codes[url] = expanded
    return {"codes": url}


def type_name(entry: Json) -> str:
    """The name of an element's type; FHIRPath's System types are those of id and url."""
    code = one(entry, "code")
    return "string" if code.startswith("http://hl7.org/fhirpath/") else code


def element_facts(path: str, element: Json, names: Terminology, codes: Json) -> Json:
    """One element: type, min, max, what it may refer to, what codes it must have. Defaults are left out."""
    types = [type_name(t) for t in many(element, "type")]
    if one(element, "contentReference"):
        types = [one(element, "contentReference")[1:]]
    elif types in (["BackboneElement"], ["Element"]):
        types = [path]
    elif path == "Resource.id":
        types = ["id"]  # its definition says string; the id of a resource has the form of an id
    facts: Json = {"type": types}
    if int(one(element, "min")):
        facts["min"] = int(one(element, "min"))
    if one(element, "max") != "1":
        facts["max"] = one(element, "max")
    targets = sorted({target.removeprefix(SD) for entry in many(element, "type") if type_name(entry) == "Reference"
                      for target in many(entry, "targetProfile")})
    if targets and targets != ["Resource"]:
        facts["to"] = targets
    return facts | binding_of(element, names, codes)


def type_facts(definition: Json, names: Terminology, codes: Json) -> dict[str, Json]:
    """The type and each of its BackboneElements as a type of its own (`Patient.contact`), without inherited
    elements."""
    root = one(definition, "type")
    parents = {root: one(definition, "baseDefinition", "").removeprefix(SD)}
    found: dict[str, Json] = {}
    for element in many(one(definition, "snapshot"), "element")[1:]:
        path, base = one(element, "path"), one(one(element, "base"), "path")
        owner, name = path.rsplit(".", 1)
        if (base.split(".")[0] in OWN_BASE and base.split(".")[0] != root) or one(element, "max") == "0":
            continue
        found.setdefault(owner, {"elements": {}})["elements"][name] = element_facts(path, element, names, codes)
        kinds = [type_name(t) for t in many(element, "type")]
        if kinds in (["BackboneElement"], ["Element"]):
            parents[path] = kinds[0]
    found.setdefault(root, {"elements": {}})
    for owner, facts in found.items():
        facts["base"] = parents[owner]
    found[root]["kind"] = one(definition, "kind")
    return found


def primitive_facts(definition: Json) -> Json:
    """The regular expression of a primitive's value, where its definition has one."""
    for element in many(one(definition, "snapshot"), "element"):
        if one(element, "path").endswith(".value"):
            for entry in many(element, "type"):
                for extension in many(entry, "extension"):
                    if extension["url"] == SD + "regex":
                        return {"regex": one(extension, "valueString")}
    return {}


def reachable(types: dict[str, Json], start: list[str]) -> dict[str, Json]:
    """The types that `start` and Extension need, themselves included."""
    kept: dict[str, Json] = {}
    todo = [*start, "DomainResource", "Extension"]
    while todo:
        name = todo.pop()
        if name in kept or name not in types:
            continue
        kept[name] = types[name]
        todo.append(types[name]["base"])
        todo += [t for element in types[name]["elements"].values() for t in element["type"]]
    return kept


# --- US Core profiles

def profile_facts(definition: Json, names: Terminology, codes: Json) -> Json:
    """What a profile asks beyond R4: elements with min >= 1, smaller max, codes, slices that must be there,
    invariants."""
    facts: Json = {"type": definition["type"], "must": [], "max": {}, "codes": {}, "slices": {}, "rules": {}}
    for element in definition["snapshot"]["element"][1:]:
        path, sliced = element["path"].split(".", 1)[1], ":" in element["id"]
        if path.split(".")[-1] in ("extension", "modifierExtension", "id") or ".extension." in element["path"]:
            continue
        if sliced:
            if element["min"] and element["id"].count(":") == 1 and "sliceName" in element:
                pattern = next((v for k, v in element.items() if k.startswith(("pattern", "fixed"))), None)
                asked = {"pattern": pattern} if pattern else binding_of(element, names, codes)
                facts["slices"] |= {path: asked} if asked else {}
            continue
        if element["min"]:
            facts["must"].append(path)
        if element["max"] != element["base"]["max"]:
            facts["max"][path] = element["max"]
        codes_here = binding_of(element, names, codes)
        if "codes" in codes_here and "." not in path:
            facts["codes"][path] = codes_here["codes"]
    for element in definition["snapshot"]["element"]:
        for rule in element.get("constraint", []):
            if rule["severity"] == "error" and rule.get("source", US_CORE).startswith(US_CORE):
                facts["rules"][rule["key"]] = f"{element['id']}: {rule['human']}"
    return {name: value for name, value in facts.items() if value}


# --- putting it together

def spoken_systems(types: dict[str, Json], definitions: list[Json], names: Terminology) -> dict[str, list[str]]:
    """Codes of the HL7 v2 and v3 tables, and of the complete code systems that the elements of these types are bound
    to.

    A coding of such a system must be one of its codes: validators refuse an unknown code of a known system.
    """
    found: dict[str, list[str]] = {}
    for system in names.systems:
        codes = names.codes_of_system(system) if system.startswith(HL7_TABLES) else None
        if codes and len(codes) <= MOST_CODES and "|" not in system:
            found[system] = codes
    for definition in definitions:
        if one(definition, "type") not in types:
            continue
        for element in many(one(definition, "snapshot"), "element"):
            value_set = names.sets.get(one(one(element, "binding", {}), "valueSet", "").split("|")[0])
            for include in many(one(value_set, "compose", {}), "include") if value_set else []:
                system = one(include, "system")
                codes = names.codes_of_system(system) if system else None
                if codes and len(codes) <= MOST_CODES and "|" not in system:
                    found[system] = codes
    return found


def collect(jar: Path, package: Path) -> Json:
    """All facts, as they are written."""
    names, definitions = Terminology(), []
    for kind, definition in [*r4_resources(jar, "valueset"), *us_core_resources(package)]:
        names.add(kind, definition)
    for kind, definition in r4_resources(jar, "profile"):
        if kind == "StructureDefinition" and one(definition, "derivation") != "constraint":
            definitions.append(definition)
    codes: Json = {}
    types: dict[str, Json] = {}
    for definition in definitions:
        if one(definition, "kind") in ("resource", "complex-type"):
            types |= type_facts(definition, names, {})
    types = reachable(types, RESOURCES)
    for definition in definitions:  # once more, now to keep the codes of the types that stay
        if one(definition, "type") in types:
            type_facts(definition, names, codes)
    primitives = {one(d, "type"): primitive_facts(d) for d in definitions if one(d, "kind") == "primitive-type"}
    profiles = {d["url"]: profile_facts(d, names, codes) for kind, d in us_core_resources(package)
                if kind == "StructureDefinition" and d["kind"] == "resource" and d["type"] in RESOURCES}
    return {"fhir": "4.0.1", "us-core": "6.1.0", "primitives": primitives, "types": types, "codes": codes,
            "systems": spoken_systems(types, definitions, names), "profiles": profiles}


def newest_jar() -> Path:
    """The R4 definitions that a build of tools/hapi/validator left in the build caches."""
    pattern = "hapi-fhir-validation-resources-r4-*.jar"
    places = [(Path.home() / ".cache/fhir-validate").glob(f"build-*/lib/{pattern}"),
              (Path.home() / ".m2/repository/ca/uhn/hapi/fhir").glob(f"hapi-fhir-validation-resources-r4/*/{pattern}")]
    found = sorted(jar for place in places for jar in place)
    if not found:
        sys.exit("the R4 definitions are missing: run tools/hapi/fhir-validate --build-only, or name the jar with --r4")
    return found[-1]


def main() -> None:
    """Read the arguments and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("us_core", type=Path, help="the US Core 6.1.0 package (.tgz)")
    parser.add_argument("--r4", type=Path, help="the jar with the R4 definitions")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "profiles/fhir/r4-facts.json")
    arguments = parser.parse_args()
    facts = collect(arguments.r4 or newest_jar(), arguments.us_core)
    text = "{\n" + ",\n".join(
        f"{json.dumps(part)}: " + (json.dumps(value) if isinstance(value, str) else "{\n" + ",\n".join(
            f"{json.dumps(key)}: {json.dumps(value[key], sort_keys=True, separators=(',', ':'))}"
            for key in sorted(value)) + "\n}")
        for part, value in facts.items()) + "\n}\n"
    arguments.out.write_text(text, encoding="utf-8")
    print(f"{arguments.out}: {len(text) // 1000} kB, {len(facts['types'])} types, {len(facts['profiles'])} profiles")


if __name__ == "__main__":
    main()
