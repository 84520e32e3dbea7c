"""The shared tables that rules read (profiles/rules/shared.yaml): each condition, by a rule that shows it, at its boundary."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Connection

from adapter.gaps.engine import evaluate
from adapter.gaps.rules import RULES, open_rules
from tests.unit.gap_evidence import NOW, N, coded, concept, gaps, put, ref, verdict

S, D = timedelta(seconds=1), timedelta(days=1)
P = ref("Patient", "p")
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
BEFORE, AT, AFTER = ((NOW + step).isoformat() for step in (-S, 0 * S, S))


@pytest.fixture
def db(empty: Connection) -> Connection:
    put(empty, "Patient", "p", identifier=[{"system": N + "member", "value": "M1"}])
    put(empty, "Patient", "q")
    put(empty, "Organization", "hub", identifier=[{"system": N + "organization", "value": "HUB"}])
    put(empty, "Organization", "mind", type=coded("organization-type", "mental-health"))
    enrol(empty)
    return empty


def enrol(db: Connection, status: str = "active", **period: str) -> None:
    put(db, "EpisodeOfCare", "e", status=status, patient=P, period=period, type=coded("program", "care-coordination"),
        managingOrganization=ref("Organization", "hub"))


def seat(person: str, role: str, organization: str = "hub", **period: str) -> dict[str, Any]:
    return {"role": coded("care-team-role", role), "member": ref("Practitioner", person), "period": period,
            "onBehalfOf": ref("Organization", organization)}


def team(db: Connection, *seats: dict[str, Any], of: str = "p", name: str = "t") -> None:
    put(db, "CareTeam", name, status="active", subject=ref("Patient", of), participant=list(seats))


# --- enrolled, lead_now
@pytest.mark.parametrize(("status", "period", "state"), [
    ("active", {"start": AT}, "open"), ("active", {"start": AFTER}, "not-applicable"), ("active", {"end": AT}, "open"),
    ("active", {"end": BEFORE}, "not-applicable"), ("finished", {"start": BEFORE, "end": AT}, "open"),
    ("finished", {"start": AT, "end": AFTER}, "open"), ("finished", {"start": BEFORE, "end": BEFORE}, "not-applicable"),
    ("finished", {"start": AFTER, "end": AFTER}, "not-applicable"), ("finished", {"end": AFTER}, "not-applicable"),
    ("planned", {}, "not-applicable")])
def test_who_is_enrolled_at_an_instant(db: Connection, status: str, period: dict[str, str], state: str) -> None:
    enrol(db, status, **period)
    assert gaps(db, "G02")[""].state == state


@pytest.mark.parametrize("later_first", [False, True])
def test_a_lead_on_two_seats_is_lead_since_the_first(db: Connection, later_first: bool) -> None:
    both = [seat("new", "lead-coordinator", start="2026-06-02"), seat("new", "lead-coordinator", "mind", start="2026-06-12")]
    team(db, seat("old", "lead-coordinator", start="2026-01-01", end="2026-06-01"), *(both[::-1] if later_first else both))
    assert verdict(db, "G01", "") == "no-handoff"  # by the later one a day would lie between the leads, and the window run


# --- member_program
def belongs(db: Connection, how: str, status: str, period: dict[str, str]) -> None:
    enrol(db, status, **period) if how != "payer" else enrol(db)
    if how == "payer":
        put(db, "Coverage", "c", status=status, beneficiary=P, payor=[ref("Organization", "hub")], period=period)


@pytest.mark.parametrize(("how", "members"), [
    ("program", "program:care-coordination"), ("managed", "managed:HUB"), ("payer", "payer:HUB")])
@pytest.mark.parametrize(("status", "period", "hours"), [
    ("active", {}, 12), ("active", {"start": AT, "end": AT}, 12), ("active", {"start": AFTER}, 24),
    ("active", {"end": BEFORE}, 24), ("cancelled", {}, 24), ("cancelled", {"start": BEFORE, "end": AFTER}, 24)])
def test_whose_clock_counts_at_an_instant(db: Connection, tmp_path: Path, how: str, members: str, status: str,
                                          period: dict[str, str], hours: int) -> None:
    folder = tmp_path / "rules"
    shutil.copytree(RULES, folder)
    (folder / "programs.yaml").write_text(yaml.safe_dump({"programs": [
        {"members": members, "text": "quick", "parameters": {"G07": {"hours": 12}}}]}))
    belongs(db, how, status, period)
    put(db, "ServiceRequest", "r", status="active", intent="order", subject=P, authoredOn=AT, code=concept("service", "housing"))
    rules = open_rules(folder)
    [gap] = evaluate(db, now=NOW, rule="G07", member="p", rules=rules)
    assert gap.due == NOW + timedelta(hours=hours)
    assert gap in evaluate(db, now=NOW, rule="G07", rules=rules)


# --- plan_now
@pytest.mark.parametrize(("status", "body", "stands"), [
    ("active", {}, True), ("active", {"period": {"end": AT}}, True), ("active", {"period": {"end": BEFORE}}, False),
    ("completed", {"period": {"end": AT}}, True), ("completed", {"period": {"end": BEFORE}}, False), ("completed", {}, False),
    ("active", {"period": {"start": AFTER}}, False), ("active", {"created": "2026-06-16"}, False),
    ("active", {"period": {"start": AT}, "created": "2026-06-16"}, True), ("revoked", {}, False)])
def test_which_plans_stand_at_an_instant(db: Connection, status: str, body: dict[str, Any], stands: bool) -> None:
    put(db, "CarePlan", "c", status=status, subject=P, **body)
    assert ("CarePlan/c" in gaps(db, "G11")) == stands


# --- bed_stay, moved_on, discharge
def stay(db: Connection, name: str, start: str | None, end: str | None, status: str = "finished", **body: Any) -> None:
    period = {k: v for k, v in (("start", start), ("end", end)) if v}
    put(db, "Encounter", name, status=status, subject=P, period=period, **{"class": {"code": "IMP"}} | body)


@pytest.mark.parametrize(("start", "end", "status", "moved"), [
    ("2026-06-05T10:00:00-04:00", None, "in-progress", True), ("2026-06-05T10:00:00-04:00", None, "planned", False),
    ("2026-06-04T10:00:00-04:00", "2026-06-04T14:59:59-04:00", "finished", False),  # within the first, on its last day
    ("2026-06-04T10:00:00-04:00", "2026-06-04T15:00:00-04:00", "finished", False),
    ("2026-06-04T10:00:00-04:00", "2026-06-04T15:00:01-04:00", "finished", True)])
def test_who_went_on_to_another_bed(db: Connection, start: str, end: str | None, status: str, moved: bool) -> None:
    stay(db, "s", "2026-06-01", "2026-06-04T15:00:00-04:00")
    stay(db, "t", start, end, status)
    assert (gaps(db, "G28")["Encounter/s"].verdict == "moved-on") == moved


@pytest.mark.parametrize(("ahead", "moved"), [(0 * S, True), (-S, False)])
def test_a_stay_that_is_still_to_begin_moves_nobody(db: Connection, ahead: timedelta, moved: bool) -> None:
    stay(db, "s", "2026-06-12", (NOW - D).isoformat())
    stay(db, "t", AT, None, "in-progress")
    assert (gaps(db, "G28", NOW + ahead)["Encounter/s"].verdict == "moved-on") == moved


@pytest.mark.parametrize(("start", "end", "there"), [
    ("2026-06-12", AT, True), ("2026-06-12", AFTER, False), (AT, None, True), (AFTER, None, False), (None, None, True)])
def test_what_ended_by_an_instant(db: Connection, start: str | None, end: str | None, there: bool) -> None:
    stay(db, "s", start, end)
    assert ("Encounter/s" in gaps(db, "G28")) == there


# --- visit, took_part, mental_health_visit
LEFT = "2026-06-12T15:00:00-04:00"


def visit(db: Connection, start: str, kind: str = "AMB", status: str = "finished", **body: Any) -> None:
    put(db, "Encounter", "v", status=status, subject=P, period={"start": start}, **{"class": {"code": kind}} | body)


def met(db: Connection, who: dict[str, str], start: str, kind: str = "face-to-face") -> None:
    put(db, "Encounter", "k", status="finished", subject=P, period={"start": start}, type=coded("contact-type", kind),
        participant=[{"individual": who}])


@pytest.mark.parametrize(("body", "found"), [
    ({}, "visited"), ({"status": "planned"}, "visit-due"), ({"kind": "EMER"}, "visit-due"),
    ({"type": coded("visit-type", "urgent-care")}, "visit-due"), ({"type": coded("visit-type", "office")}, "visited")])
def test_what_is_a_visit(db: Connection, body: dict[str, Any], found: str) -> None:
    stay(db, "s", "2026-06-10", LEFT)
    visit(db, "2026-06-14", **body)
    assert verdict(db, "G09", "Encounter/s#visit") == found


@pytest.mark.parametrize(("role", "of", "kind", "found"), [
    ("primary-care", "p", "face-to-face", "visited"), ("primary-care", "p", "telephone", "visit-due"),
    ("peer-specialist", "p", "face-to-face", "visit-due"), ("primary-care", "q", "face-to-face", "visit-due")])
def test_a_contact_is_a_visit_with_a_clinician_of_ones_own_team(db: Connection, role: str, of: str, kind: str,
                                                                found: str) -> None:
    stay(db, "s", "2026-06-10", LEFT)
    team(db, seat("ann", role), of=of)
    met(db, ref("Practitioner", "ann"), "2026-06-14", kind)
    assert verdict(db, "G09", "Encounter/s#visit") == found


@pytest.mark.parametrize(("start", "found"), [(AT, "visited"), (AFTER, "visit-due")])
@pytest.mark.parametrize("as_contact", [False, True])
def test_a_visit_counts_from_its_beginning(db: Connection, start: str, found: str, as_contact: bool) -> None:
    stay(db, "s", "2026-06-10", LEFT)
    team(db, seat("ann", "primary-care"))
    met(db, ref("Practitioner", "ann"), start) if as_contact else visit(db, start)
    assert verdict(db, "G09", "Encounter/s#visit") == found


@pytest.mark.parametrize(("how", "found"), [
    ("type", "visited"), ("organization", "visited"), ("seat", "visited"), ("role", "visited"), ("specialty", "visited"),
    ("nothing", "visit-due"), ("seat of another", "visit-due"), ("other specialty", "visit-due"),
    ("specialty of another", "visit-due")])
def test_what_is_a_visit_with_a_mental_health_provider(db: Connection, how: str, found: str) -> None:
    stay(db, "s", "2026-06-10", LEFT, type=coded("visit-type", "psychiatric-inpatient"))
    put(db, "MedicationStatement", "x", status="active", subject=P)
    team(db, seat("ann", "mental-health" if how in ("seat", "role") else "peer-specialist"))
    team(db, seat("ann", "mental-health" if how == "seat of another" else "peer-specialist"), of="q", name="u")
    put(db, "PractitionerRole", "as-ann", practitioner=ref("Practitioner", "ann"))
    code = {"other specialty": "207Q00000X"}.get(how, "2084P0800X" if "specialty" in how else "")
    put(db, "PractitionerRole", "who", practitioner=ref("Practitioner", "bob" if how == "specialty of another" else "ann"),
        specialty=[{"coding": [{"system": "http://nucc.org/provider-taxonomy", "code": code}]}] if code else [])
    visit(db, "2026-06-14", type=coded("visit-type", "behavioral-health" if how == "type" else "office"),
          serviceProvider=ref("Organization", "mind" if how == "organization" else "hub"),
          participant=[{"individual": ref("PractitionerRole", "as-ann") if how == "role" else ref("Practitioner", "ann")}])
    assert verdict(db, "G06") == found


# --- request_task, payer_answer, request_answer, request_now, told_of_request
def request(db: Connection, made: str = "2026-06-01") -> None:
    put(db, "ServiceRequest", "s", status="active", intent="order", subject=P, authoredOn=made,
        category=[concept("request-kind", "authorization")])


def asked(db: Connection, name: str, status: str, decision: str = "", end: str = "") -> None:
    put(db, "Task", name, status=status, focus=ref("ServiceRequest", "s"), code={"coding": [{"code": "approve"}]},
        executionPeriod={"end": end} if end else {}, owner=ref("Organization", "hub"),
        businessStatus=concept("request-status", decision) if decision else {}, **{"for": P})


def claim(db: Connection, name: str = "c", use: str = "preauthorization", insurer: str = "hub") -> None:
    put(db, "Claim", name, status="active", use=use, patient=P, insurer=ref("Organization", insurer),
        referral=ref("ServiceRequest", "s"))


def answered(db: Connection, decision: str, created: str, name: str = "") -> None:
    put(db, "ClaimResponse", name or decision, status="active", use="preauthorization", outcome="complete", patient=P,
        created=created, request=ref("Claim", "c"), adjudication=[{"category": concept("request-status", decision)}])


@pytest.mark.parametrize("first_decided", [False, True])
def test_one_of_several_tasks_may_tell_the_decision(db: Connection, first_decided: bool) -> None:
    request(db)
    asked(db, "a", *(("completed", "denied", "2026-06-02") if first_decided else ("requested", "", "")))
    asked(db, "b", *(("completed", "denied", "2026-06-02") if not first_decided else ("requested", "", "")))
    assert verdict(db, "G19", "ServiceRequest/s") == "decided"
    assert "ServiceRequest/s#rights" in gaps(db, "G21")


@pytest.mark.parametrize(("end", "found"), [(AT, "decided"), (AFTER, "decision-due")])
def test_a_decision_that_a_task_tells_counts_from_its_instant(db: Connection, end: str, found: str) -> None:
    request(db, (NOW - D).isoformat())
    asked(db, "a", "completed", "approved", end)
    assert verdict(db, "G19", "ServiceRequest/s") == found


def test_a_claim_for_payment_does_not_say_who_decides(db: Connection) -> None:
    request(db)
    claim(db, insurer="mind")
    claim(db, "a", "claim", "hub")
    assert gaps(db, "G19")["ServiceRequest/s"].responsible_org == "mind"


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_the_first_pend_and_the_first_extension_count(db: Connection, names: tuple[str, str]) -> None:
    request(db)
    claim(db)
    for name, day in zip(names, ("2026-06-03", "2026-06-10"), strict=True):
        answered(db, "pended", day, f"p{name}")
        answered(db, "extended", day, f"e{name}")
    assert verdict(db, "G19", "ServiceRequest/s") == "decision-due"  # the second notice came when the clock had run out
    put(db, "Communication", "w", status="completed", subject=P, sent="2026-06-05", recipient=[P],
        about=[ref("ServiceRequest", "s")], topic=concept("communication-topic", "request-pended"))
    assert verdict(db, "G20", "ServiceRequest/s#pended") == "told-late"


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_what_the_member_was_told_first_counts(db: Connection, names: tuple[str, str]) -> None:
    request(db)
    for name, day in zip(names, ("2026-06-02", "2026-06-09"), strict=True):
        put(db, "Communication", name, status="completed", subject=P, sent=day, recipient=[P], about=[ref("ServiceRequest", "s")],
            topic=concept("communication-topic", "request-submitted"))
    assert verdict(db, "G20", "ServiceRequest/s#submitted") == "told"


# --- behavioral_health, and the chronic conditions of G24 by the same instants
CONDITIONS: list[tuple[dict[str, Any], bool]] = [
    ({}, True), ({"abatementDateTime": AFTER}, True), ({"abatementDateTime": AT}, False), ({"recordedDate": AT}, True),
    ({"recordedDate": AFTER}, False), ({"onsetDateTime": AT}, True), ({"onsetDateTime": AFTER}, False)]


@pytest.mark.parametrize(("body", "counts"), CONDITIONS)
def test_which_conditions_count_at_an_instant(db: Connection, body: dict[str, Any], counts: bool) -> None:
    put(db, "Condition", "c", subject=P, code={"coding": [{"system": ICD, "code": "F32.1"}]}, **body)
    assert (gaps(db, "G14")[""].state != "not-applicable") == counts
    team(db, seat("heart", "specialist", "mind"))
    visit(db, "2026-06-10", participant=[{"individual": ref("Practitioner", "heart")}])
    assert ("Encounter/v" in gaps(db, "G24")) == counts


@pytest.mark.parametrize(("system", "code", "counts"), [
    (ICD, "F10.1", True), (ICD, "F99", True), (ICD, "F09", False), (ICD, "G10", False), ("urn:x-other", "F32.1", False)])
def test_which_codes_are_of_behavioural_health(db: Connection, system: str, code: str, counts: bool) -> None:
    put(db, "Condition", "c", subject=P, code={"coding": [{"system": system, "code": code}]})
    assert (gaps(db, "G14")[""].state != "not-applicable") == counts


@pytest.mark.parametrize(("codes", "found"), [
    (("F32.1", "F10.1"), "assessed"), (("F10.1", "F32.1"), "assessed"), (("F32.1", "F33.1"), "other-tool"),
    (("F19.9",), "assessed"), (("F20.0",), "other-tool")])
def test_one_condition_of_substance_use_is_enough_for_its_tool(db: Connection, codes: tuple[str, ...], found: str) -> None:
    for number, code in enumerate(codes):
        put(db, "Condition", f"c{number}", subject=P, code={"coding": [{"system": ICD, "code": code}]})
    assessed(db, "o", "asam")
    assert verdict(db, "G14", "") == found


def assessed(db: Connection, name: str, tool: str, offered: str = "3", when: str = "2026-06-01T10:00:00-04:00") -> None:
    part = [{"code": concept("assessment-part", "level-offered"), "valueCodeableConcept": concept("level", offered)}]
    put(db, "Observation", name, status="final", subject=P, code=concept("assessment-tool", tool), effectiveDateTime=when,
        valueCodeableConcept=concept("level", "3"), component=part if offered else [])


def test_g14_another_tool_at_the_same_instant_is_none_of_it(db: Connection) -> None:
    put(db, "Condition", "c", subject=P, code={"coding": [{"system": ICD, "code": "F32.1"}]})
    assessed(db, "o", "locus")
    assessed(db, "n", "asam", "")
    gap = gaps(db, "G14")[""]
    assert (gap.verdict, gap.evidence) == ("assessed", ("Condition/c", "Observation/o"))


# --- voice
@pytest.mark.parametrize(("body", "found"), [
    ({}, "all-pairs"), ({"sent": None, "received": "2026-06-02"}, "all-pairs"), ({"sent": None}, "no-pairs"),
    ({"sent": "2026-01-01", "received": "2026-06-02"}, "no-pairs"),  # when it was sent counts
    ({"status": "not-done"}, "no-pairs"), ({"status": "in-progress"}, "all-pairs"), ({"sent": AT}, "all-pairs"),
    ({"sent": AFTER}, "no-pairs"),
    ({"sender": ref("Organization", "elsewhere"),
      "extension": [{"url": N + "sender-practitioner", "valueReference": ref("Practitioner", "ann")}]}, "no-pairs"),
    ({"recipient": [ref("PractitionerRole", "as-bob")]}, "all-pairs"), ({"recipient": [ref("Practitioner", "bob")]}, "all-pairs"),
    ({"recipient": [ref("Practitioner", "zoe")]}, "no-pairs")])
def test_what_two_organizations_of_a_team_told_each_other(db: Connection, body: dict[str, Any], found: str) -> None:
    team(db, seat("ann", "primary-care", "hub"), seat("bob", "mental-health", "mind"))
    put(db, "PractitionerRole", "as-bob", practitioner=ref("Practitioner", "x"), organization=ref("Organization", "mind"))
    told = {"status": "completed", "sent": "2026-06-02", "sender": ref("Organization", "hub"),
            "recipient": [ref("Organization", "mind")]} | body
    put(db, "Communication", "m", subject=P, **{name: value for name, value in told.items() if value is not None})
    assert verdict(db, "G04", "CareTeam/t") == found
