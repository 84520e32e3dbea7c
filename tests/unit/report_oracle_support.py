"""The reports on training and on waivers once more, in plain Python over FHIR resources: written from their words."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from tests.unit.gap_oracle import NETWORK, ZONE, Answer, Resource, codes, key, span
from tests.unit.report_oracle import attributed, of_type

ICD = "http://hl7.org/fhir/sid/icd-10-cm"
NEEDS = {
    "m1-q01": {"some-of-the-time", "none-of-the-time"}, "m1-q03": {"no", "rarely"},
    "m1-q04": {"very-difficult", "difficult"},
    "m1-q05": {"some-knowledge", "not-familiar"}, "m1-q06": {"occasionally", "never"},
    "m1-q07": {"some-knowledge", "not-familiar"},
    "m1-q08": {"no"}, "m2-q03": {"no"}, "m2-q04": {"very-difficult", "difficult"}, "m2-q06": {"no"},
    "m2-q07": {"never", "rarely"},
    "m2-q11": {"once-a-year"}, **{link: set("789") | {"10"} for link in ("m1-q09", "m1-q11")},
    **{link: set("1234") for link in ("m1-q10", "m2-q05", "m2-q09", "m2-q10")}}
TAUGHT = {"G03", "G05", "G11", "G20", "G21", "G22", "G25"}
Topic = tuple[str, str, str]
"""Measure, topic, organization id ('' for nobody)."""


def training(resources: list[Resource], answers: list[Answer], now: datetime) -> tuple[Counter[Topic], Counter[Topic]]:
    """Denominators and numerators."""
    whole, met = Counter[Topic](), Counter[Topic]()
    modules = {f"Task/{t['id']}": codes(t.get("code"), NETWORK + "training-module") for t in of_type(resources, "Task")}
    for a in answers:
        if a.rule == "O02" and a.state != "not-applicable":
            at = ("attendance", modules[a.item][0], a.member)
            whole[at] += 1
            met[at] += a.state == "closed"
        if a.rule in TAUGHT and a.state in ("closed", "open", "missed"):
            whole["gap", a.rule, a.organization] += 1
            met["gap", a.rule, a.organization] += a.state == "closed"
    for response in of_type(resources, "QuestionnaireResponse"):
        told, organization = span(response.get("authored")), key(response.get("subject"), "Organization") or ""
        first = now.astimezone(ZONE).date() - timedelta(days=365)
        if told is None or response["status"] not in ("completed", "amended") or told.first > now or told.day < first:
            continue
        for item in response.get("item", []):
            for answer in item.get("answer", []):
                if item["linkId"] in NEEDS and "valueCoding" in answer:
                    at = ("need", item["linkId"], organization)
                    whole[at] += 1
                    met[at] += answer["valueCoding"]["code"] in NEEDS[item["linkId"]]
    for task in of_type(resources, "Task"):
        asked, organization = span(task.get("authoredOn")), key(task.get("for"), "Organization")
        if organization and task["status"] not in ("cancelled", "rejected") and (asked is None or asked.first <= now):
            for kind in codes(task.get("code"), NETWORK + "support"):
                whole["support", kind, organization] += 1
                met["support", kind, organization] += task["status"] == "completed"
    return whole, met


def waivers(resources: list[Resource], now: datetime) -> set[tuple[str, str, bool]]:
    """Waiver, visit and whether it can be used."""
    people = {p["id"] for p in of_type(resources, "Patient")
              if not any(link["type"] in ("replaced-by", "refer") for link in p.get("link", []))}
    listed = {member for members in attributed(resources, now).values() for member in members}
    found: set[tuple[str, str, bool]] = set()
    for visit in of_type(resources, "Encounter"):
        member, kind = key(visit.get("subject"), "Patient"), visit["class"].get("code")
        if member in people and kind in ("EMER", "IMP", "ACUTE") and recent(visit, now):
            if kind == "EMER":
                found.add(("transport", visit["id"], member in listed and mental(resources, visit) and leaves(visit, "psy", now)))
            able = leaves(visit, "snf", now) and (over(visit, now) or limited(resources, str(member), now))
            found.add(("snf", visit["id"], member in listed and able and (kind == "EMER" or short(visit, now))))
    return found


def recent(visit: Resource, now: datetime) -> bool:
    period: Resource = visit.get("period") or {}
    start = span(period.get("start"))
    if codes(visit.get("type"), NETWORK + "contact-type") or visit["status"] in ("planned", "cancelled", "entered-in-error") \
            or start is None or start.first > now:
        return False
    return not over(visit, now) or start.day >= now.astimezone(ZONE).date() - timedelta(days=30)


def over(visit: Resource, now: datetime) -> bool:
    end = span(visit["period"].get("end"))
    return end.last <= now if end else visit["status"] == "finished"


def leaves(visit: Resource, where: str, now: datetime) -> bool:
    """It goes on, or went on there."""
    went = codes(visit.get("hospitalization", {}).get("dischargeDisposition"),
                 "http://terminology.hl7.org/CodeSystem/discharge-disposition")
    return not over(visit, now) or went[:1] == [where]


def short(visit: Resource, now: datetime) -> bool:
    """Less than three days, as far as is known."""
    start, end = (span(visit["period"].get(side)) for side in ("start", "end"))
    assert start is not None
    if end is None and over(visit, now):
        return False
    last = end.day if end and over(visit, now) else now.astimezone(ZONE).date()
    if end and over(visit, now):
        last = end.last.astimezone(ZONE).date()
    return (last - start.day).days < 3


def mental(resources: list[Resource], visit: Resource) -> bool:
    named = {key(one.get("condition"), "Condition") for one in visit.get("diagnosis", [])}
    conditions = [c for c in of_type(resources, "Condition") if c["id"] in named and c["subject"] == visit["subject"]]
    found = codes(visit.get("reasonCode"), ICD) + [code for c in conditions for code in codes(c.get("code"), ICD)]
    return any("F10" <= code[:3] <= "F99" for code in found)


def limited(resources: list[Resource], member: str, now: datetime) -> bool:
    """What was found last."""
    first = now.astimezone(ZONE).date() - timedelta(days=365)
    told: list[tuple[datetime, bool]] = []
    for one in of_type(resources, "Observation"):
        at, kinds = span(one.get("effectiveDateTime")), codes(one.get("code"), NETWORK + "assessment-tool")
        said = [c["code"] for i in one.get("interpretation", []) for c in i["coding"]]
        if key(one.get("subject"), "Patient") == member and at and at.first <= now and at.day >= first and said \
                and "functional-status" in kinds and one["status"] in ("final", "amended", "corrected"):
            told.append((at.first, "POS" in said))
    return any(yes for at, yes in told if at == max(told)[0])
