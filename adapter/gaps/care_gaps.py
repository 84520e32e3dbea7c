"""The answer of DEQM's `$care-gaps`: a document for each member, of their gaps in the states asked for. Pure.

Source: Da Vinci DEQM STU 5, gaps in care: Composition (LOINC 96315-7), a section a measure with its individual MeasureReport
and DetectedIssues. No DEQM profile is claimed: they want QI-Core patients.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, cast

import orjson

from adapter.gaps.engine import Gap
from adapter.gaps.measure_reports import Period, individual
from adapter.gaps.measures import canonical, version_of
from adapter.gaps.present import GAP_STATUS, as_bundle
from adapter.gaps.rules import Rules
from adapter.model import Json

_IDS = uuid.UUID("0d7b7a52-6d0b-5a0e-8f0e-3b7c0f6f5a51")  # name space of the ids in documents


def chosen(gaps: Iterable[Gap], statuses: Collection[str]) -> list[Gap]:
    """The gaps whose DEQM status is among those asked for; what is withheld has none."""
    return [gap for gap in gaps if GAP_STATUS.get(gap.state) in statuses]


def document(gaps: Sequence[Gap], statuses: Collection[str], period: Period, rules: Rules, *, base: str, measures: str,
             held: Mapping[str, Json], reporter: str = "") -> Json | None:
    """The document of one member; None where no gap of theirs has a status asked for.

    gaps: all of theirs, in order; base: URL of the FHIR server; measures: base of the Measures' urls; held: `Type/id` to
    the resources to put in, the Patient and the reporter; reporter: reference of an Organization, '' for none.
    """
    sections: list[Json] = []
    entries: list[Json] = []
    for name, group in groupby(gaps, key=lambda gap: gap.rule):
        of_rule, rule = list(group), rules.named(name)
        found = chosen(of_rule, statuses)
        if not found:
            continue
        url = f"{canonical(measures, rule.id)}|{version_of(rules, rule)}"
        report = _entry(individual(gaps[0].member_id, of_rule, url, period, reporter))
        issues = as_bundle(found, period.as_of, rules)["entry"]
        for issue in issues:
            issue["resource"].setdefault("evidence", []).append({"detail": [{"reference": report["fullUrl"]}]})
        sections.append({"title": f"{rule.id} {rule.title}", "focus": {"reference": report["fullUrl"]},
                         "entry": [{"reference": issue["fullUrl"]} for issue in issues]})
        entries += [report, *issues]
    if not sections:
        return None
    composition = _entry(_composition(gaps[0].member_id, sections, period, reporter))
    shared = [{"fullUrl": f"{base}/{reference}", "resource": one} for reference, one in held.items()]
    return _bundle([_absolute(one, base) for one in (composition, *entries)] + shared, period)


def _composition(member: str, sections: list[Json], period: Period, reporter: str) -> Json:
    kind = {"system": "http://loinc.org", "code": "96315-7", "display": "Gaps in care report"}
    return {"resourceType": "Composition", "status": "final", "type": {"coding": [kind]},
            "subject": {"reference": f"Patient/{member}"}, "date": period.written.isoformat(timespec="seconds"),
            "author": [{"reference": reporter} if reporter else {"display": "CareLoop"}],
            "title": "Gaps in care report", **({"custodian": {"reference": reporter}} if reporter else {}),
            "section": sections}


def _bundle(entries: list[Json], period: Period) -> Json:
    return {"resourceType": "Bundle", "type": "document", "timestamp": period.written.isoformat(timespec="seconds"),
            "identifier": {"system": "urn:ietf:rfc:3986", "value": _name(entries)}, "entry": entries}


def _entry(resource: Json) -> Json:
    return {"fullUrl": _name(resource), "resource": resource}


def _name(content: object) -> str:
    return f"urn:uuid:{uuid.uuid5(_IDS, orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode())}"


def _absolute(value: Any, base: str) -> Any:
    """The value with `Type/id` of references made absolute: in a document only those find the entry of that name."""
    if isinstance(value, list):
        return [_absolute(one, base) for one in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    members = cast("Json", value)
    return {name: f"{base}/{one}" if name == "reference" and ":" not in one else _absolute(one, base)
            for name, one in members.items()}
