"""The rules as FHIR Measures: the definition of each in words, its statement as the numerator's expression. Pure.

Source: R4 Measure; value sets measure-population, measure-scoring, measure-improvement-notation.
"""

from __future__ import annotations

import hashlib

import orjson

from adapter.gaps.rules import Parameter, Rule, Rules, Value
from adapter.gaps.task import RULES as SYSTEM
from adapter.model import Json

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
STATE = "urn:x-careloop:gap-state"
"""System of the states of a gap; the stratifier of every Measure."""
POPULATIONS = {
    "initial-population": "Whom or what the rule is about",
    "denominator": "The whole initial population",
    "denominator-exclusion": "prospective: the deadline lies ahead, so nobody can say yet",
    "numerator": "closed: the evidence is there",
}
"""The populations of every Measure, in order, and their names."""


def canonical(base: str, rule: str) -> str:
    """The url of a rule's Measure below the base of the setting: a URN goes on with `:`, another address with `/`."""
    return f"{base.rstrip(':/')}{':' if base.startswith('urn:') else '/'}{rule}"


def version_of(rules: Rules, rule: Rule) -> str:
    """Changes whenever the rule does, or what a program sets of it."""
    return hashlib.sha256(orjson.dumps([rule, rules.programs_of(rule)])).hexdigest()[:12]


def measure(rules: Rules, rule: Rule, base: str) -> Json:
    """The Measure of a rule, without an id; equal rules give equal Measures."""
    about = "Patient" if rule.subject == "member" else "Organization"
    return {
        "resourceType": "Measure",
        "url": canonical(base, rule.id),
        "identifier": [{"system": SYSTEM, "value": rule.id}],
        "version": version_of(rules, rule),
        "name": f"Rule{rule.id}",
        "title": f"{rule.id} {rule.title}",
        "status": "active",
        "subjectCodeableConcept": concept("http://hl7.org/fhir/resource-types", about),
        "description": rule.closed_when,
        "purpose": f"{rule.population} Nearest published measure: {rule.measure}.",
        "scoring": concept(f"{TERMINOLOGY}/measure-scoring", "proportion"),
        "guidance": _guidance(rules, rule),
        "improvementNotation": concept(f"{TERMINOLOGY}/measure-improvement-notation", "increase"),
        "group": [{
            "population": [_population(code, criteria) for code, criteria in _criteria(rule).items()],
            "stratifier": [{"code": {"text": "state"},
                            "description": "Of those in the denominator: closed, prospective, open or missed."}],
        }],
    }


def population_concept(code: str) -> Json:
    """A population's code."""
    return concept(f"{TERMINOLOGY}/measure-population", code)


def _criteria(rule: Rule) -> dict[str, Json]:
    """Of each population: only the statement is meant to be run, and it decides all of them."""
    counted = f" Each of these counts by itself: {rule.item}" if rule.item else ""
    return {
        "initial-population": words(f"{rule.population}{counted}"),
        "denominator": words("The initial population."),
        "denominator-exclusion": words("The deadline still lies ahead, and the evidence is not there yet."),
        "numerator": {"description": rule.closed_when, **_language("unsupported"), "expression": rule.statement},
    }


def _population(code: str, criteria: Json) -> Json:
    return {"code": population_concept(code), "description": POPULATIONS[code], "criteria": criteria}


def words(text: str) -> Json:
    """A criterion that is told in words, and not meant to be run."""
    return {"description": text, **_language("as-text"), "expression": text}


def _language(reason: str) -> Json:
    """Why no language is named: R4 has codes for CQL, FHIRPath and FHIR searches only."""
    return {"_language": {"extension": [{"url": ABSENT, "valueCode": reason}]}}


def concept(system: str, code: str) -> Json:
    """A CodeableConcept of one coding."""
    return {"coding": [{"system": system, "code": code}]}


def _guidance(rules: Rules, rule: Rule) -> str:
    parts = [f"Evidence: {rule.evidence}", f"Refusal: {rule.refusal}", f"Unknown: {rule.unknown}",
             f"Responsible: {rule.responsible}", f"Urgency: {rule.urgency}",
             f"Classes of data read: {', '.join(rule.data_classes)}",
             *(f"Parameter {line}" for line in parameter_lines(rule.parameters)),
             *(f"Program {line}" for line in _programs(rules, rule))]
    return "\n\n".join(parts)


def parameter_lines(parameters: dict[str, Parameter]) -> list[str]:
    """Parameters with their values, in words."""
    return [f"{name} = {_value(one.default)} {one.unit}: {one.text}" for name, one in parameters.items()]


def _programs(rules: Rules, rule: Rule) -> list[str]:
    return [f"({program.text}): " + ", ".join(f"{name} = {_value(value)}" for name, value in program.parameters[rule.id].items())
            for program in rules.programs_of(rule)]


def _value(value: Value) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
