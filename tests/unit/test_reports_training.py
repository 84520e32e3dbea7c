"""The report on training: what its oracle counts of surveys, modules, and support that organizations ask for."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from sqlalchemy import Engine

from tests.unit.gap_checks import holding
from tests.unit.gap_network import NOWS, N, Resource, coded, to
from tests.unit.report_checks import of
from tests.unit.report_oracle_support import Topic, training

NOW = NOWS[3]


def _asked(number: int, kind: str, status: str, seconds: int | None) -> Resource:
    asked = {} if seconds is None else {"authoredOn": (NOW + timedelta(seconds=seconds)).isoformat()}
    return {"resourceType": "Task", "id": f"t{number}", "status": status, "intent": "order", "code": coded(N + "support", kind),
            "for": to("Organization", "oA"), **asked}


def _answered(number: int, link: str, code: str, days: int, status: str = "completed") -> Resource:
    return {"resourceType": "QuestionnaireResponse", "id": f"q{number}", "status": status, "subject": to("Organization", "oA"),
            "authored": (NOW - timedelta(days=days)).date().isoformat(), "source": to("Practitioner", "pA"),
            "item": [{"linkId": link, "answer": [{"valueCoding": {"system": N + "survey-answer", "code": code}}]}]}


def test_support_and_needs_are_counted_at_their_boundaries(sqlite: Engine) -> None:
    resources: list[Resource] = [
        {"resourceType": "Organization", "id": "oA", "name": "A"},
        *(_asked(n, *one) for n, one in enumerate((
            ("consultation", "requested", 0), ("consultation", "completed", -1), ("technical-assistance", "completed", None),
            ("technical-assistance", "cancelled", -1), ("consultation", "requested", 1)))),
        *(_answered(n, *one) for n, one in enumerate((
            ("m1-q05", "not-familiar", 365), ("m1-q05", "not-familiar", 366), ("m1-q05", "familiar", 0), ("m1-q09", "7", 1),
            ("m1-q09", "6", 1), ("m2-q10", "4", 1), ("m2-q10", "5", 1), ("m1-q02", "prior-authorizations", 1)))),
        _answered(99, "m1-q08", "no", 1, status="in-progress")]
    with holding(sqlite, resources) as connection:
        facts = of(connection, "training", NOW).facts
    whole, met = Counter[Topic](), Counter[Topic]()
    for fact in facts:
        whole[fact["measure"], fact["topic"], fact["organization"]] += fact["denominator"]
        met[fact["measure"], fact["topic"], fact["organization"]] += fact["numerator"]
    assert (whole, met) == training(resources, [], NOW)
    assert whole == {("support", "consultation", "oA"): 2, ("support", "technical-assistance", "oA"): 1,
                     ("need", "m1-q05", "oA"): 2, ("need", "m1-q09", "oA"): 2, ("need", "m2-q10", "oA"): 2}
    assert {at: count for at, count in met.items() if count} == dict.fromkeys(whole, 1)
