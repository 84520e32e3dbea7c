"""Each rule as a FHIR R4 Measure: its definition in words, its statement as the numerator's expression. Pure."""

from __future__ import annotations

import hashlib

from adapter.gaps.rules import Rule, Rules
from adapter.model import Json

URL = "urn:x-careloop:rule"
_HL7 = "http://terminology.hl7.org/CodeSystem"


def measures(rules: Rules) -> list[Json]:
    """A Measure for each rule, by id; the same rule gives the same Measure, another version with each change of it."""
    return [measure(rule) for rule in rules.rules.values()]


def measure(rule: Rule) -> Json:
    """The rule's Measure. Its canonical is `urn:x-careloop:rule:<id>`."""
    kind = "Patient" if rule.subject == "member" else "Organization"
    parts: Json = {
        "resourceType": "Measure",
        "url": f"{URL}:{rule.id}",
        "name": f"Rule{rule.id}",
        "title": f"{rule.id} {rule.title}",
        "status": "active",
        "subjectCodeableConcept": {"coding": [{"system": "http://hl7.org/fhir/resource-types", "code": kind}]},
        "description": rule.closed_when,
        "purpose": f"{rule.population} Nearest published measure: {rule.measure}.",
        "scoring": _code("measure-scoring", "proportion"),
        "type": [_code("measure-type", "process")],
        "improvementNotation": _code("measure-improvement-notation", "increase"),
        "definition": [f"{name} ({parameter.unit}; {_words(parameter.default)} where no program sets it): {parameter.text}"
                       for name, parameter in rule.parameters.items()],
        "guidance": "\n\n".join((f"Evidence: {rule.evidence}", f"Refusal: {rule.refusal}", f"Unknown: {rule.unknown}",
                                 f"Responsible: {rule.responsible}", f"Urgency: {rule.urgency}")),
        "group": [{"population": [
            _population("initial-population", rule.population, ""),
            _population("denominator", rule.population, ""),
            _population("numerator", rule.closed_when, rule.statement)]}],
    }
    parts = {name: value for name, value in parts.items() if value}
    return {**parts, "version": hashlib.sha256(repr(parts).encode()).hexdigest()[:12]}


def _code(system: str, code: str) -> Json:
    return {"coding": [{"system": f"{_HL7}/{system}", "code": code}]}


def _population(code: str, words: str, statement: str) -> Json:
    criteria: Json = {"description": words, "language": "application/sql" if statement else "text/plain",
                      "expression": statement or words}
    return {"code": _code("measure-population", code), "criteria": criteria}


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - a list of codes
