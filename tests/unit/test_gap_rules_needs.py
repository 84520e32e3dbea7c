"""Rules about what a person needs (G14 to G17) at their boundary instants."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.unit import gap_evidence
from tests.unit.gap_checks import holding
from tests.unit.gap_evidence import NOON, about, concept, enrollment
from tests.unit.gap_network import Resource, coded
from tests.unit.gap_network_needs import SNOMED


def verdicts(engine: Engine, rule: str, now: str, *resources: Resource, **patient: Any) -> dict[str, str]:
    """What the rule says of the enrolled member p, by item."""
    return gap_evidence.verdicts(engine, rule, now, {"resourceType": "Patient", "id": "p", **patient}, enrollment(), *resources)


# --- G14
def assessed(tool: str, when: str, level: str = "3", offered: str = "3") -> list[Resource]:
    part = {"code": concept("assessment-part", "level-offered"), "valueCodeableConcept": concept("level", offered)}
    return [about("Condition", "c", code=coded("http://hl7.org/fhir/sid/icd-10-cm", "F32.1")),
            about("Observation", "o", status="final", code=concept("assessment-tool", tool), effectiveDateTime=when,
                  valueCodeableConcept=concept("level", level), component=[part])]


@pytest.mark.parametrize(("now", "verdict"), [
    ("2026-06-30T23:59:59-04:00", "assessed"), ("2026-07-01T00:00:00-04:00", "assessed-long-ago")])
def test_g14_an_assessment_counts_for_180_days(sqlite: Engine, now: str, verdict: str):
    assert verdicts(sqlite, "G14", now, *assessed("locus", "2026-01-01T23:00:00-05:00")) == {"": verdict}


@pytest.mark.parametrize(("birth", "tool", "verdict"), [
    ("2020-06-15", "calocus-casii", "assessed"), ("2020-06-16", "calocus-casii", "other-tool"),
    ("2020-06-16", "ecsii", "assessed"),
    ("2008-06-15", "locus", "assessed"), ("2008-06-16", "locus", "other-tool"), ("2008-06-15", "calocus-casii", "assessed"),
    ("2007-06-16", "calocus-casii", "assessed"), ("2007-06-15", "calocus-casii", "other-tool"),
    ("1980-01-01", "asam", "other-tool")])
def test_g14_the_tool_goes_by_age_at_the_birthday(sqlite: Engine, birth: str, tool: str, verdict: str):
    assert verdicts(sqlite, "G14", NOON, *assessed(tool, "2026-06-01"), birthDate=birth) == {"": verdict}


def test_g14_a_leap_day_child_is_eighteen_on_the_first_of_march(sqlite: Engine):
    whole = assessed("locus", "2026-02-20")
    assert verdicts(sqlite, "G14", "2026-02-28T23:59:59-05:00", *whole, birthDate="2008-02-29") == {"": "other-tool"}
    assert verdicts(sqlite, "G14", "2026-03-01T00:00:00-05:00", *whole, birthDate="2008-02-29") == {"": "assessed"}


@pytest.mark.parametrize(("level", "offered", "verdict"), [
    ("3", "3", "assessed"), ("3", "4", "too-restrictive"), ("3.1", "3", "assessed"), ("3", "3.1", "too-restrictive"),
    ("3.7", "3.7-WM", "too-restrictive"), ("3.7-WM", "3.7", "assessed"), ("2.5", "3", "too-restrictive"),
    ("1", "0.5", "assessed")])
def test_g14_levels_of_the_scales(sqlite: Engine, level: str, offered: str, verdict: str):
    assert verdicts(sqlite, "G14", NOON, *assessed("locus", "2026-06-01", level, offered)) == {"": verdict}


# --- G15
SOAR = {"applied": "2026-05-02", "application_method": "soar"}


def benefit(name: str, **steps: Any) -> Resource:
    values = {"screened": "valueDate", "applied": "valueDate", "decided": "valueDate", "eligible": "valueBoolean"}
    output = [{"type": concept("task-output", kind.replace("_", "-")),
               **({values[kind]: step} if kind in values else {"valueCodeableConcept": concept(kind, step)})}
              for kind, step in steps.items()]
    return about("Task", f"t-{name}", "for", status="accepted", code=concept("benefit", name), output=output)


@pytest.mark.parametrize(("name", "steps", "verdict"), [
    ("ssi", {}, "not-screened"), ("ssi", {"screened": "2026-05-01"}, "eligibility-not-told"),
    ("ssi", {"screened": "2026-06-16", "eligible": False}, "not-screened"),  # still to come
    ("ssi", {"screened": "2026-05-01", "eligible": False}, "not-eligible"),
    ("ssi", {"screened": "2026-05-01", "eligible": True}, "not-applied"),
    ("ssi", {"screened": "2026-05-01", "eligible": True, "outcome": "declined-by-member"}, "not-applied"),
    ("ssi", {"applied": "2026-05-02", "application_method": "standard", "outcome": "approved"}, "not-by-soar"),
    ("va", {"applied": "2026-05-02", "application_method": "standard", "outcome": "approved"}, "outcome-known"),
    ("ssi", {"applied": "2026-05-02", "outcome": "approved"}, "method-not-told"),
    ("ssi", {"applied": "2026-05-02", "application_method": "soar", "outcome": "pending"}, "outcome-awaited"),
    ("ssi", SOAR | {"outcome": "denied", "decided": "2026-06-15"}, "outcome-known"),
    ("ssi", SOAR | {"outcome": "denied", "decided": "2026-06-16"}, "outcome-awaited"),
])
def test_g15_each_step_of_a_benefit(sqlite: Engine, name: str, steps: dict[str, Any], verdict: str):
    found = verdicts(sqlite, "G15", NOON, benefit(name, **steps))
    assert (len(found), found[name]) == (5, verdict)


# --- G16
@pytest.mark.parametrize(("language", "interpreter", "verdict"), [
    ("es", None, "in-language"), ("en", None, "contact-not-told"), (None, False, "contact-not-told"), (None, True, "interpreted"),
    ("en", False, "not-interpreted"), ("en", True, "interpreted")])
def test_g16_a_contact_where_an_interpreter_is_needed(sqlite: Engine, language: str | None, interpreter: bool | None,
                                                      verdict: str):
    told = [{"url": "urn:x-careloop:language-used", "valueCode": language}] if language else []
    told += [{"url": "urn:x-careloop:interpreter-used", "valueBoolean": interpreter}] if interpreter is not None else []
    contact = about("Encounter", "k", status="finished", type=[concept("contact-type", "telephone")], extension=told,
                    period={"start": "2026-06-01T10:00:00-04:00"})
    spoken = [{"language": coded("urn:ietf:bcp:47", "es"), "preferred": True}]
    url = "http://hl7.org/fhir/StructureDefinition/patient-interpreterRequired"
    needed = {"communication": spoken, "extension": [{"url": url, "valueBoolean": True}]}
    assert verdicts(sqlite, "G16", NOON, contact, **needed) == {"": "recorded", "Encounter/k": verdict}
    needed["extension"] = [{"url": url, "valueBoolean": False}]
    assert verdicts(sqlite, "G16", NOON, contact, **needed) == {"": "recorded"}
    assert verdicts(sqlite, "G16", NOON, contact, communication=spoken) == {"": "need-not-recorded"}


# --- G17
def result(need: str, when: str, code: str = "260385009", name: str = "") -> Resource:
    return about("Observation", name or need, status="final", code=concept("need", need), effectiveDateTime=when,
                 valueCodeableConcept=coded(SNOMED, code))


@pytest.mark.parametrize(("now", "verdict"), [
    ("2026-03-02T23:59:59-05:00", "screened"), ("2026-03-03T00:00:00-05:00", "screened-long-ago")])
def test_g17_a_screening_counts_for_365_days(sqlite: Engine, now: str, verdict: str):
    whole = [result(need, "2025-03-02T09:00:00-05:00") for need in ("housing", "transport", "food")]
    assert verdicts(sqlite, "G17", now, *whole) == {"": verdict}
    assert verdicts(sqlite, "G17", now, *whole[:2]) == {"": "screened-in-part"}


@pytest.mark.parametrize(("days", "verdict", "shown"), [
    (("2024-05-01", "2024-05-02", "2024-05-01"), "screened-long-ago", "food"),
    (("2024-05-01", "2026-06-01", None), "screened-in-part", "food"),
    (("2024-05-03", "2024-05-02", None), "screened-in-part", "housing"),
    ((None, None, None), "not-screened", None)])
def test_g17_a_screening_that_is_not_enough_is_shown(sqlite: Engine, days: tuple[str | None, ...], verdict: str,
                                                     shown: str | None):
    told = [result(need, day) for need, day in zip(("housing", "food", "transport"), days, strict=True) if day]
    with holding(sqlite, [{"resourceType": "Patient", "id": "p"}, enrollment(), *told]) as connection:
        [gap] = gap_evidence.gaps(connection, "G17", datetime.fromisoformat(NOON)).values()
    assert (gap.verdict, gap.evidence) == (verdict, (f"Observation/{shown}",) if shown else ())


def test_g17_a_need_is_met_by_a_completed_referral_made_for_it(sqlite: Engine):
    need = result("food", "2026-06-01T10:00:00-04:00", "10828004", "need")
    for_it = about("ServiceRequest", "r", status="active", intent="order", code=concept("service", "food"),
                   authoredOn="2026-06-01", reasonReference=[{"reference": "Observation/need"}])
    task = about("Task", "t", "for", status="completed", focus={"reference": "ServiceRequest/r"},
                 executionPeriod={"end": "2026-06-15T12:00:01-04:00"})

    def said(*more: Resource, now: str = NOON) -> str:
        return verdicts(sqlite, "G17", now, need, *more)["Observation/need"]

    assert said() == "no-referral"
    assert said(for_it) == said(for_it, task) == "referral-running"
    assert said(for_it, task, now="2026-06-15T12:00:01-04:00") == "need-met"
    assert said(for_it, task | {"status": "failed", "executionPeriod": {"end": "2026-06-10"}}) == "referral-ended"
    by_need = {name: value for name, value in for_it.items() if name != "reasonReference"} | {
        "reasonCode": [concept("need", "food")], "status": "completed"}
    assert said(by_need) == "need-met"
    assert said(by_need | {"authoredOn": "2026-05-31"}) == "no-referral"  # it was made for what was found before
    assert "Observation/need" not in verdicts(sqlite, "G17", NOON, need, result("food", "2026-06-02"))  # found no more
