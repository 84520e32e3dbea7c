"""What reports of rates measure, as FHIR Measures: each by itself, in words, with the populations that its figures have. Pure.

A report counts otherwise than `$evaluate-measure` does of a rule, so its measures have canonicals of their own.
Source: R4 Measure; value sets measure-population, measure-scoring, measure-improvement-notation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import orjson

from adapter.gaps.measures import TERMINOLOGY, canonical, concept, parameter_lines, population_concept, version_of, words
from adapter.gaps.rules import Rules
from adapter.model import Json
from adapter.reports.definitions import EXCLUDED, Measure, Report, Reports
from adapter.reports.document import small_numbers

REPORT = "urn:x-careloop:report"
"""System of reports, and of what they measure: `performance-G01`."""


def code_of(report: Report, measure: str) -> str:
    """The name of what a report measures, among all reports."""
    return f"{report.name}-{measure}"


def measures_of(report: Report, rules: Rules) -> dict[str, Measure]:
    """Everything that a report measures, by code: its own, and the rules where it counts each of them."""
    ruled = {rule.id: Measure(title=rule.title, text=rule.closed_when, unit="%", better="higher",
                              about="Patient" if rule.subject == "member" else "Organization")
             for rule in rules.rules.values()} if report.each_rule else {}
    return ruled | report.measures


def named(report: Report, rules: Rules, measure: str, base: str) -> str:
    """The canonical of what a report measures, with its version. base: of the Measures' urls."""
    return f"{canonical(base, code_of(report, measure))}|{_version(report, rules, measure)}"


def published(reports: Reports, base: str) -> Iterator[tuple[str, Json]]:
    """Everything that reports of rates measure: its code among all reports, and the Measure, without an id."""
    for report in reports.reports.values():
        if report.form == "rates":
            for measure, one in measures_of(report, reports.rules).items():
                yield code_of(report, measure), _measure(report, reports.rules, measure, one, base)


def populations_of(report: Report, unit: str) -> dict[str, str]:
    """Population codes of a figure, each with what it is, in words.

    What is excluded belongs to the initial population alone. Of an amount for each member the members are the measure population.
    """
    if unit != "%":
        return {"measure-population": report.denominator}
    told = {"denominator": report.denominator, "numerator": report.numerator}
    if EXCLUDED not in report.columns:
        return told
    return {"initial-population": f"{report.population} Those that are excluded count too.", **told}


def stratified_by(report: Report) -> list[str]:
    """Columns of a figure that neither the Measure, its period nor who reports tells: each is a stratifier."""
    return [*(name for name in report.strata if name not in ("measure", "month")),
            *(name for name in report.levels if name == "partner")]


def _version(report: Report, rules: Rules, measure: str) -> str:
    """Changes whenever the report does, or a rule whose answers it counts; not by how small a number is told."""
    read = [measure] if report.each_rule and measure in rules.rules else report.answers.rules if report.answers else []
    told = [replace(report, smallest=0), [version_of(rules, rules.rules[one]) for one in read]]
    return hashlib.sha256(orjson.dumps(told)).hexdigest()[:12]


def _measure(report: Report, rules: Rules, measure: str, one: Measure, base: str) -> Json:
    code, counted = code_of(report, measure), rules.rules.get(measure) if report.each_rule else None
    of_rule = {"type": "depends-on", "resource": f"{canonical(base, measure)}|{version_of(rules, counted)}"} if counted else None
    stratifiers = [{"code": {"text": name}, "description": report.columns[name].text} for name in stratified_by(report)]
    return {
        "resourceType": "Measure",
        "url": canonical(base, code),
        "identifier": [{"system": REPORT, "value": code}],
        "version": _version(report, rules, measure),
        "name": f"Report_{code.replace('-', '_')}",
        "title": f"{report.title}: {one.title}",
        "status": "active",
        "subjectCodeableConcept": concept("http://hl7.org/fhir/resource-types", one.about),
        "description": one.text,
        "purpose": report.population,
        **({"relatedArtifact": [of_rule]} if of_rule else {}),
        "scoring": concept(f"{TERMINOLOGY}/measure-scoring", "proportion" if one.unit == "%" else "continuous-variable"),
        "guidance": _guidance(report, one),
        "improvementNotation": improvement(one),
        "group": [{"code": {"text": one.title},
                   "population": [{"code": population_concept(name), "description": text, "criteria": words(text)}
                                  for name, text in populations_of(report, one.unit).items()],
                   **({"stratifier": stratifiers} if stratifiers else {})}],
    }


def improvement(measure: Measure) -> Json:
    """Whether more or less is better."""
    return concept(f"{TERMINOLOGY}/measure-improvement-notation", "increase" if measure.better == "higher" else "decrease")


def _guidance(report: Report, one: Measure) -> str:
    said = {"Definition": report.definition, "Numerator": "" if one.unit == "%" else report.numerator, "Unit": one.unit,
            "Unknown": report.unknown, "Simplified": report.simplified, "Small numbers": small_numbers(report)}
    return "\n\n".join([*(f"{name}: {text}" for name, text in said.items() if text),
                        *(f"Parameter {line}" for line in parameter_lines(report.parameters)),
                        f"Asked by: careloop report {report.name} --format fhir"])
