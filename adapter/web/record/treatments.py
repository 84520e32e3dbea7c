"""Treatments in words: problems, procedures, requests and referrals, medications. Pure."""

from __future__ import annotations

from typing import Any

from adapter.model import Json, is_array
from adapter.web import people
from adapter.web.record.read import Record
from adapter.web.record.words import Row, Section, Table, Words, codes, concepts, named, standing

TASKS = "http://hl7.org/fhir/CodeSystem/task-code"
"""System of Task.code: `fulfill` of a referral, `approve` of what a payer is asked."""
KINDS = "urn:x-careloop:request-kind"
"""Categories of what is asked of a payer; a ServiceRequest without one is a referral."""


def treatments(record: Record, words: Words) -> Section:
    """Problems, procedures, and what was asked for with how far it is."""
    asked = {one.get("focus", {}).get("reference", ""): one for one in reversed(record.of("Task"))
             if codes([one.get("code", {})], TASKS)}
    return Section(heading="Treatments", tables=(
        Table(caption="Problems and diagnoses, newest first", more=record.rest("Condition"), none="No problem is known.",
              columns=("Problem", "Status", "Kind", "Since", "Until"),
              rows=[_condition(one, words) for one in record.of("Condition")]),
        Table(caption="Procedures, newest first", more=record.rest("Procedure"), none="No procedure is known.",
              columns=("Procedure", "Status", "When", "By"), rows=[_procedure(one, words) for one in record.of("Procedure")]),
        Table(caption="Referrals and requests, newest first", more=record.rest("ServiceRequest"),
              none="No referral or request is known.", columns=("Asked for", "Status", "When", "From", "To", "Why"),
              rows=[_request(one, asked.get(named(one), {}), words) for one in record.of("ServiceRequest")])))


def medications(record: Record, words: Words) -> Section:
    """What was ordered and what is said to be taken, which may differ."""
    rows = [*(_order(one, words) for one in record.of("MedicationRequest")),
            *(_statement(one, words) for one in record.of("MedicationStatement"))]
    return Section(heading="Medications", tables=(
        Table(caption="Ordered, then reported, newest first", more=record.rest("MedicationRequest", "MedicationStatement"),
              none="No medication is known.", rows=rows,
              columns=("Medication", "Said as", "Status", "Dosage", "From", "Until", "For", "By")),))


def request_title(request: Json) -> str:
    """What a ServiceRequest asks for, in the order's own words where it has them."""
    code, detail = people.concept(request.get("code", {})), concepts(request.get("orderDetail", ()))
    return ": ".join(part for part in (code, detail) if part) or "request"


def span(value: Json, element: str) -> tuple[str, str]:
    """Start and end of a choice of dateTime and Period (`performed`, `onset`), '' where not said."""
    period = value.get(f"{element}Period", {})
    return value.get(f"{element}DateTime", "") or period.get("start", ""), period.get("end", "")


def _condition(condition: Json, words: Words) -> Row:
    status = people.concept(condition.get("clinicalStatus", {})) or people.concept(condition.get("verificationStatus", {}))
    return Row(reference=named(condition), title=people.concept(condition.get("code", {})) or "Problem", cells=(
        status or "not known", concepts(condition.get("category", ())), words.day(span(condition, "onset")[0]),
        words.day(span(condition, "abatement")[0])))


def _procedure(procedure: Json, words: Words) -> Row:
    by = (part for one in procedure.get("performer", ()) for part in (one.get("actor"), one.get("onBehalfOf")))
    return Row(reference=named(procedure), title=people.concept(procedure.get("code", {})) or "Procedure", cells=(
        standing(procedure), words.time(span(procedure, "performed")[0]), words.who(*by)))


def _request(request: Json, task: Json, words: Words) -> Row:
    stands = people.concept(task.get("businessStatus", {})) or standing(task or request)
    reason = people.concept(task.get("statusReason", {}))
    return Row(reference=named(request), title=request_title(request), cells=(
        f"{stands}: {reason}" if reason else stands, words.time(request.get("authoredOn", "")),
        words.who(request.get("requester")), words.who(*request.get("performer", ())), concepts(request.get("reasonCode", ()))))


def _order(order: Json, words: Words) -> Row:
    dosages = order.get("dosageInstruction", ())
    timings: list[Json] = [one.get("timing", {}).get("repeat", {}).get("boundsPeriod", {}) for one in dosages]
    bounds = next(filter(None, timings), Json())
    return _medication(order, "ordered", bounds.get("start", "") or order.get("authoredOn", ""), bounds.get("end", ""),
                       dosages, order.get("requester"), words)


def _statement(statement: Json, words: Words) -> Row:
    start, end = span(statement, "effective")
    return _medication(statement, "reported", start, end, statement.get("dosage", ()), statement.get("informationSource"), words)


def _medication(medication: Json, said: str, start: str, end: str, dosages: list[Json], by: Json | None, words: Words) -> Row:
    name = people.concept(medication.get("medicationCodeableConcept", {})) or words.who(medication.get("medicationReference"))
    reasons: Any = medication.get("statusReason", [])
    reason = concepts(reasons if is_array(reasons) else [reasons])
    status = standing(medication)
    return Row(reference=named(medication), title=name or "medication", cells=(
        said, f"{status}: {reason}" if reason else status, "; ".join(one["text"] for one in dosages if one.get("text")),
        words.day(start), words.day(end), concepts(medication.get("reasonCode", ())), words.who(by)))
