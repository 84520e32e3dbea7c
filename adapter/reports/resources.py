"""A report as FHIR: a Bundle of summary MeasureReports (rates), of Tasks (the worklist), or a List with what each row says. Pure.

Source: R4 MeasureReport, Task, List; DEQM summary report. No DEQM profile is claimed: they want Measures of theirs.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from adapter.gaps.measures import ABSENT, TERMINOLOGY, population_concept
from adapter.gaps.rules import Rules
from adapter.gaps.task import KEY, RULES
from adapter.model import Json
from adapter.reports.asked import month_end, month_start
from adapter.reports.definitions import Report
from adapter.reports.figures import Figure
from adapter.reports.measures import REPORT, improvement, measures_of, named, populations_of, stratified_by
from adapter.reports.present import fact_rows, scored
from adapter.reports.run import Answered

_IDS = uuid.UUID("a3d1f0f2-5a53-5f0e-9c57-0f8b7f5f6c21")  # name space of the ids in Bundles
NOBODY = "none"
"""Who reports, or partners, where no organization is named."""
_PRIORITY = {"urgent": "urgent", "soon": "asap", "routine": "routine"}
_MASKED: Json = {"extension": [{"url": ABSENT, "valueCode": "masked"}]}


def as_bundle(answered: Answered, rules: Rules, measures: str) -> Json:
    """A collection Bundle. measures: base of the Measures' urls. Equal answers give equal bytes."""
    if answered.report.form == "rates":
        found = [_measure_report(answered, figure, rules, measures) for figure in answered.figures]
    elif answered.report.name == "worklist":
        found = [_task(answered, fact) for fact in answered.facts]
    else:
        found = [_list(answered)]
    bundle: Json = {"resourceType": "Bundle", "type": "collection", "timestamp": answered.question.now.isoformat()}
    return bundle | ({"entry": [{"fullUrl": _name(one), "resource": one} for one in found]} if found else {})


def _name(resource: Json) -> str:
    return f"urn:uuid:{uuid.uuid5(_IDS, orjson.dumps(resource, option=orjson.OPT_SORT_KEYS).decode())}"


def _measure_report(answered: Answered, figure: Figure, rules: Rules, base: str) -> Json:
    strata, report = dict(figure.stratum), answered.report
    one = measures_of(report, rules)[strata["measure"]]
    counts = _counts(report, figure, one.unit)
    group: Json = {"code": {"text": one.title}, "population": counts}
    score = scored(figure.rate, one.unit)
    if score is not None:
        group["measureScore"] = {"value": score, "unit": one.unit}
    where = _where(figure)
    values = {**strata, **({"partner": where[1].get("reference", NOBODY)} if len(where) > 1 else {})}
    stratifiers = [_stratifier(name, values[name], counts) for name in stratified_by(report) if name in values]
    name = (report.name, *(str(value) for value in strata.values()), figure.level, figure.place, *dict(figure.within).values())
    return {"resourceType": "MeasureReport", "identifier": [{"system": REPORT, "value": "|".join(name)}],
            "status": "complete", "type": "summary", "measure": named(report, rules, strata["measure"], base),
            "date": answered.question.now.isoformat(), **({"reporter": where[0]} if where else {}),
            "period": _period(answered, strata.get("month")), "improvementNotation": improvement(one),
            "group": [group | ({"stratifier": stratifiers} if stratifiers else {})]}


def _counts(report: Report, figure: Figure, unit: str) -> list[Json]:
    """The populations of a figure, as its Measure has them."""
    known = None not in (figure.denominator, figure.excluded)
    counts = {"initial-population": (figure.denominator or 0) + (figure.excluded or 0) if known else None,
              "denominator": figure.denominator, "measure-population": figure.denominator, "numerator": figure.numerator}
    return [{"code": population_concept(code), **_count(counts[code])} for code in populations_of(report, unit)]


def _where(figure: Figure) -> list[Json]:
    """References of the organization or area that reports, and of the partner where it is a pair."""
    places = {figure.level: figure.place, **dict(figure.within)}
    found = [{"reference": f"Organization/{places[name]}"} if places[name] else {"display": NOBODY}
             for name in ("organization", "partner") if name in places]
    return found or ([{"reference": f"Location/{places['area']}"}] if "area" in places else [])


def _stratifier(name: str, value: str, counts: Sequence[Json]) -> Json:
    return {"code": [{"text": name}], "stratum": [{"value": {"text": value}, "population": counts}]}


def _count(count: float | None) -> Json:
    return {"_count": _MASKED} if count is None else {"count": round(count)}


def _period(answered: Answered, month: int | None) -> Json:
    asked = answered.question
    first, last = (asked.first, asked.last) if month is None else (month_start(month), month_end(month))
    return {"start": first.isoformat(), "end": last.isoformat()}


def _task(answered: Answered, fact: Mapping[str, Any]) -> Json:
    subject = f"Patient/{fact['member_id']}" if fact["member_id"] else f"Organization/{fact['subject']}"
    owner = fact["assigned"] or fact["party"] or (f"Organization/{fact['organization']}" if fact["organization"] else None)
    item = fact["item"] or ""
    due = next((row["due"] for row in fact_rows(_only(answered, fact))), None)
    status = "on-hold" if fact["snoozed"] else "accepted" if fact["assigned"] else "requested"  # as gaps.task has it
    task: Json = {
        "resourceType": "Task", "identifier": [{"system": KEY, "value": f"{fact['rule']}|{subject}|{item}"}],
        "status": status, "businessStatus": {"coding": [{"system": "urn:x-careloop:gap-state", "code": fact["state"]}]},
        "intent": "order", "priority": _PRIORITY[fact["urgency"]],
        "code": {"coding": [{"system": RULES, "code": fact["rule"]}], "text": fact["title"]},
        "description": f"{fact['finding']}; closed by: {fact['closes']}", "for": {"reference": subject},
        "authoredOn": answered.question.now.isoformat()}
    task |= {"focus": {"reference": item}} if item.count("/") == 1 and ">" not in item and "#" not in item else {}
    task |= {"statusReason": {"text": fact["snooze_reason"]}} if fact["snooze_reason"] else {}
    task |= {"owner": {"reference": owner}} if owner else {}
    task |= {"restriction": {"period": {"end": due}}} if due else {}
    seen = [{"type": {"text": "evidence"}, "valueReference": {"reference": one}} for one in (fact["evidence"] or "").split()]
    return task | ({"input": seen} if seen else {})


def _list(answered: Answered) -> Json:
    entries = [_entry(row, fact) for row, fact in zip(fact_rows(answered), answered.facts, strict=True)]
    found: Json = {
        "resourceType": "List", "status": "current", "mode": "snapshot", "title": answered.report.title,
        "code": {"coding": [{"system": REPORT, "code": answered.report.name}], "text": answered.report.title},
        "date": answered.question.now.isoformat(),
        "note": [{"text": f"{answered.question.first} to {answered.question.last}: {answered.report.population}"}]}
    empty = {"coding": [{"system": f"{TERMINOLOGY}/list-empty-reason", "code": "nilknown"}]}
    return found | ({"entry": entries} if entries else {"emptyReason": empty})


def _entry(row: Mapping[str, Any], fact: Mapping[str, Any]) -> Json:
    """Whom a row is about, and what it says, `column: value` each."""
    said = "; ".join(f"{name}: {value}" for name, value in row.items() if value is not None and name != "member_id")
    about = next((f"{kind}/{fact[name]}" for name, kind in (("member_id", "Patient"), ("organization", "Organization"))
                  if fact.get(name)), None)
    return {"flag": {"text": said}, "item": {"reference": about} if about else {"display": said}}


def _only(answered: Answered, fact: Mapping[str, Any]) -> Answered:
    return Answered(report=answered.report, question=answered.question, facts=[dict(fact)], figures=[], places=answered.places)
