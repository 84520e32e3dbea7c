"""MeasureReports of rules: of one member, and of everybody with small numbers held back. Pure.

Source: R4 MeasureReport; DEQM individual and summary reports; CMS cell size suppression (numbers from 1 to 10 are not told).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from adapter.gaps.engine import Gap
from adapter.gaps.measures import ABSENT, POPULATIONS, STATE, TERMINOLOGY, population_concept
from adapter.model import Json

SMALLEST = 11
"""The smallest number of people that is told of everybody; 0 is told too."""
COUNTED = ("closed", "prospective", "open", "missed")
"""The states of those in the denominator."""
_MASKED: Json = {"extension": [{"url": ABSENT, "valueCode": "masked"}]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """What a report is about. start, end: FHIR dates as asked; as_of: the instant judged; written: when it is asked."""

    start: str
    end: str
    as_of: datetime
    written: datetime


def individual(member: str, gaps: Sequence[Gap], measure: str, period: Period, reporter: str = "") -> Json:
    """The report about one member, a Patient id. gaps: all of one rule about them. measure: canonical with version.

    reporter: reference of an Organization, '' for none.
    """
    counts = _populations(Counter(gap.state for gap in gaps))
    evidence = list(dict.fromkeys(reference for gap in gaps for reference in gap.evidence))
    return {**_report("individual", measure, period),
            "subject": {"reference": f"Patient/{member}"},
            **({"reporter": {"reference": reporter}} if reporter else {}),
            "group": [{"population": [_population(code, count) for code, count in counts.items()]}],
            **({"evaluatedResource": [{"reference": one} for one in evidence]} if evidence else {})}


def summary(gaps: Sequence[Gap], measure: str, period: Period) -> Json:
    """The report about everybody. gaps: all of one rule.

    A number below SMALLEST stands nowhere, and cannot be reckoned from those that stand: `told` says how. The score is
    numerator / (denominator - denominator-exclusion), where both numbers are told.
    """
    states = Counter(gap.state for gap in gaps)
    shown = told({state: states[state] for state in COUNTED})
    whole = sum(states[state] for state in COUNTED)
    counts: dict[str, int | None] = {**_populations(states), "numerator": shown["closed"],
                                     "denominator-exclusion": shown["prospective"]}
    if 0 < whole < SMALLEST:
        counts |= {"initial-population": None, "denominator": None}
    group: Json = {"population": [_population(code, counts[code]) for code in POPULATIONS],
                   "stratifier": [{"code": [{"text": "state"}], "stratum": [_stratum(one, shown[one]) for one in COUNTED]}]}
    due = whole - states["prospective"]
    if due and shown["closed"] is not None and shown["prospective"] is not None:
        group["measureScore"] = {"value": round(states["closed"] / due, 4)}
    return {**_report("summary", measure, period), "group": [group]}


def told(cells: dict[str, int]) -> dict[str, int | None]:
    """The cells of a whole whose sum is told, None where a number is held back.

    Every number from 1 to 10 is; and where the whole less what is told would give it away (one cell alone is held back, or
    all of them together are below SMALLEST), the next smallest that is not 0 as well.
    """
    hidden = {name for name, count in cells.items() if 0 < count < SMALLEST}
    others = sorted((name for name, count in cells.items() if count >= SMALLEST), key=lambda name: cells[name])
    while hidden and others and (len(hidden) == 1 or sum(cells[name] for name in hidden) < SMALLEST):
        hidden.add(others.pop(0))
    return {name: None if name in hidden else count for name, count in cells.items()}


def _populations(states: Counter[str] | Counter[object]) -> dict[str, int]:
    whole = sum(states[state] for state in COUNTED)
    return dict(zip(POPULATIONS, (whole, whole, states["prospective"], states["closed"]), strict=True))


def _report(kind: str, measure: str, period: Period) -> Json:
    notation = {"system": f"{TERMINOLOGY}/measure-improvement-notation", "code": "increase"}
    return {"resourceType": "MeasureReport", "status": "complete", "type": kind, "measure": measure,
            "date": period.written.isoformat(timespec="seconds"), "period": {"start": period.start, "end": period.end},
            "improvementNotation": {"coding": [notation]}}


def _population(code: str, count: int | None) -> Json:
    return {"code": population_concept(code), **_count(count)}


def _stratum(state: str, count: int | None) -> Json:
    return {"value": {"coding": [{"system": STATE, "code": state}]}, "population": [_population("denominator", count)]}


def _count(count: int | None) -> Json:
    return {"_count": _MASKED} if count is None else {"count": count}
