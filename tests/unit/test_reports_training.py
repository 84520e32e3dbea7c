"""Reports on training and on waivers: what their oracles find at boundaries, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from sqlalchemy import Engine

from tests.unit.gap_checks import holding
from tests.unit.gap_network import NOWS, N, Resource, coded, to
from tests.unit.report_checks import of
from tests.unit.report_oracle_support import Topic, training, waivers

NOW = NOWS[3]


def _asked(number: int, kind: str, status: str, seconds: int | None) -> Resource:
    asked = {} if seconds is None else {"authoredOn": (NOW + timedelta(seconds=seconds)).isoformat()}
    return {"resourceType": "Task", "id": f"t{number}", "status": status, "intent": "order", "code": coded(N + "support", kind),
            "for": to("Organization", "oA"), **asked}


def _answered(number: int, link: str, code: str, days: int, status: str = "completed") -> Resource:
    return {"resourceType": "QuestionnaireResponse", "id": f"q{number}", "status": status, "subject": to("Organization", "oA"),
            "authored": (NOW - timedelta(days=days)).date().isoformat(), "source": to("Practitioner", "pA"),
            "item": [{"linkId": link, "answer": [{"valueCoding": {"system": N + "survey-answer", "code": code}}]}]}


def test_support_and_needs_are_counted_at_their_boundaries(engine: Engine) -> None:
    resources: list[Resource] = [
        {"resourceType": "Organization", "id": "oA", "name": "A"},
        *(_asked(n, *one) for n, one in enumerate((
            ("consultation", "requested", 0), ("consultation", "completed", -1), ("technical-assistance", "completed", None),
            ("technical-assistance", "cancelled", -1), ("consultation", "requested", 1)))),
        *(_answered(n, *one) for n, one in enumerate((
            ("m1-q05", "not-familiar", 365), ("m1-q05", "not-familiar", 366), ("m1-q05", "familiar", 0), ("m1-q09", "7", 1),
            ("m1-q09", "6", 1), ("m2-q10", "4", 1), ("m2-q10", "5", 1), ("m1-q02", "prior-authorizations", 1)))),
        _answered(99, "m1-q08", "no", 1, status="in-progress")]
    with holding(engine, resources) as connection:
        facts = of(connection, "training", NOW).facts
    whole, met = Counter[Topic](), Counter[Topic]()
    for fact in facts:
        whole[fact["measure"], fact["topic"], fact["organization"]] += fact["denominator"]
        met[fact["measure"], fact["topic"], fact["organization"]] += fact["numerator"]
    assert (whole, met) == training(resources, [], NOW)
    assert whole == {("support", "consultation", "oA"): 2, ("support", "technical-assistance", "oA"): 1,
                     ("need", "m1-q05", "oA"): 2, ("need", "m1-q09", "oA"): 2, ("need", "m2-q10", "oA"): 2}
    assert {at: count for at, count in met.items() if count} == dict.fromkeys(whole, 1)


def _visit(name: str, kind: str, days: int, length: int | None, where: str = "", **parts: object) -> Resource:
    """A visit that began so many days ago, at noon; length: days that it took, None for one that goes on."""
    start = NOW - timedelta(days=days)
    period = {"start": start.isoformat()} | ({} if length is None else {"end": (start + timedelta(days=length)).isoformat()})
    system = "http://terminology.hl7.org/CodeSystem/discharge-disposition"
    went = {"hospitalization": {"dischargeDisposition": {"coding": [{"system": system, "code": where}]}}} if where else {}
    return {"resourceType": "Encounter", "id": name, "status": "in-progress" if length is None else "finished", "period": period,
            "class": {"code": kind}, "subject": to("Patient", "m"), **went, **parts}


def test_waivers_at_their_boundaries(engine: Engine) -> None:
    mental = {"reasonCode": [{"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F33.1"}]}]}
    other = {"reasonCode": [{"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I50.9"}]}]}
    resources: list[Resource] = [
        {"resourceType": "Organization", "id": "oA", "name": "A"},
        *({"resourceType": "Patient", "id": one} for one in ("m", "n")),
        {"resourceType": "Group", "id": "list", "type": "person", "actual": True, "active": True,
         "code": coded(N + "program", "care-coordination"), "managingEntity": to("Organization", "oA"),
         "member": [{"entity": to("Patient", "m")}]},
        {"resourceType": "Observation", "id": "f", "status": "final", "subject": to("Patient", "m"),
         "code": coded(N + "assessment-tool", "functional-status"), "effectiveDateTime": (NOW - timedelta(days=365)).isoformat(),
         "interpretation": [{"coding": [{"code": "POS"}]}]},
        _visit("psychiatric", "EMER", 2, 0, "psy", **mental), _visit("home", "EMER", 2, 0, "home", **mental),
        _visit("heart", "EMER", 2, 0, "psy", **other), _visit("goes-on", "EMER", 0, None, **mental),
        _visit("old", "EMER", 31, 0, "psy", **mental), _visit("month", "EMER", 30, 0, "psy", **mental),
        _visit("short", "IMP", 5, 2, "snf"), _visit("long", "IMP", 5, 3, "snf"), _visit("bed", "ACUTE", 2, None),
        _visit("third", "ACUTE", 3, None), _visit("undated", "IMP", 4, None, "snf", status="finished"),
        _visit("not-listed", "EMER", 1, 0, "psy", subject=to("Patient", "n"), **mental)]
    with holding(engine, resources) as connection:
        facts = of(connection, "waivers", NOW).facts
    found = {(fact["waiver"], fact["visit"], fact["eligible"] == "yes") for fact in facts}
    assert found == waivers(resources, NOW)
    assert {(waiver, visit) for waiver, visit, yes in found if yes} == {
        ("transport", "psychiatric"), ("transport", "goes-on"), ("transport", "month"), ("snf", "goes-on"), ("snf", "short"),
        ("snf", "bed")}
