"""Boundary instants of each rule, one by one, and the engine's own ways: filters, withheld, finding people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from adapter.errors import Rejected
from adapter.gaps.engine import Gap, evaluate, find_member, organizations
from adapter.gaps.organizations import find, names_of
from tests.unit.gap_evidence import NOW, N, coded, put, ref
from tests.unit.gap_network import DISPOSITION

H, D = timedelta(hours=1), timedelta(days=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def db(empty: Connection) -> Connection:
    put(empty, "Patient", "p", identifier=[{"system": N + "member", "value": "M1"}])
    put(empty, "Organization", "hub", name="Hub", identifier=[{"system": N + "organization", "value": "ORG-HUB"}])
    put(empty, "Organization", "clinic", name="=Clinic")
    return empty


def at(moment: datetime) -> str:
    return moment.isoformat()


def enrol(db: Connection) -> None:
    put(db, "EpisodeOfCare", "e", status="active", patient=ref("Patient", "p"),
        type=coded("program", "care-coordination"),
        managingOrganization=ref("Organization", "hub"))


def seat(person: str, organization: str, role: str = "lead-coordinator", **period: str) -> dict[str, Any]:
    return {"role": coded("care-team-role", role), "member": ref("Practitioner", person), "period": period,
            "onBehalfOf": ref("Organization", organization)}


def team(db: Connection, *seats: dict[str, Any]) -> None:
    put(db, "CareTeam", "t", status="active", subject=ref("Patient", "p"), participant=list(seats))


def contact(db: Connection, start: datetime, *kinds: str, organization: str = "clinic", present: str = "") -> None:
    extension = [{"url": N + "organization-present", "valueReference": ref("Organization", present)}] if present else []
    put(db, "Encounter", f"c{start.timestamp()}", status="finished", type=coded("contact-type", *kinds),
        extension=extension,
        subject=ref("Patient", "p"), period={"start": at(start)}, serviceProvider=ref("Organization", organization))


def only(db: Connection, rule: str, now: datetime = NOW) -> Gap:
    found = evaluate(db, now=now, member="p", rule=rule)
    assert len(found) == 1
    return found[0]


# --- G01: the change of lead
@pytest.mark.parametrize(("ended", "began", "verdict"), [
    ("2026-06-08", "2026-06-09", "handoff-due"),  # the next day: no day between
    ("2026-06-08", "2026-06-10", "days-without-lead"),
    ("2026-06-08T09:00:00-04:00", "2026-06-09T23:30:00-04:00", "handoff-due"),  # more than 24 h, still the next day
    ("2026-06-08T23:30:00-04:00", "2026-06-10T00:10:00-04:00", "days-without-lead"),  # less than 25 h, a day between
])
def test_g01_counts_local_days_between_two_leads(db: Connection, ended: str, began: str, verdict: str):
    enrol(db)
    team(db, seat("old", "clinic", end=ended), seat("new", "hub", start=began))
    assert only(db, "G01").verdict == verdict


@pytest.mark.parametrize(("late", "verdict"), [(timedelta(0), "handoff-due"), (SECOND, "no-handoff")])
def test_g01_waits_for_the_hand_off_until_the_window_ends(db: Connection, late: timedelta, verdict: str):
    enrol(db)
    began = NOW - 7 * D - late
    team(db, seat("old", "clinic", end=at(began)), seat("new", "hub", start=at(began)))
    gap = only(db, "G01")
    assert (gap.verdict, gap.due) == (verdict, NOW if verdict == "handoff-due" else None)


@pytest.mark.parametrize(("organization", "present", "verdict"), [
    ("clinic", "hub", "handed-off"), ("hub", "clinic", "handed-off"), ("clinic", "", "no-handoff"),
    ("hub", "", "no-handoff")])
def test_g01_hand_off_needs_both_present(db: Connection, organization: str, present: str, verdict: str):
    enrol(db)
    team(db, seat("old", "clinic", end="2026-06-01"), seat("new", "hub", start="2026-06-02"))
    contact(db, datetime(2026, 6, 1, 15, tzinfo=UTC), "face-to-face", "warm-handoff", organization=organization,
            present=present)
    assert only(db, "G01").verdict == verdict


@pytest.mark.parametrize(("after", "verdict"), [
    (-7 * D, "handed-off"), (-7 * D - SECOND, "no-handoff"), (7 * D, "handed-off"), (7 * D + SECOND, "no-handoff")])
def test_g01_hand_off_counts_seven_days_before_and_after_the_change(db: Connection, after: timedelta, verdict: str):
    enrol(db)
    team(db, seat("old", "clinic", end="2026-06-01"), seat("new", "hub", start="2026-06-02"))
    contact(db, datetime.fromisoformat("2026-06-02T00:00:00-04:00") + after, "face-to-face", "warm-handoff", present="hub")
    assert only(db, "G01").verdict == verdict


@pytest.mark.parametrize(("there", "verdict"), [
    ((), "no-handoff"), (("new",), "no-handoff"), (("old",), "no-handoff"), (("old", "new"), "handed-off")])
def test_g01_an_organization_does_not_stand_for_both_leads(db: Connection, there: tuple[str, ...], verdict: str):
    enrol(db)
    team(db, seat("old", "hub", end="2026-06-01"), seat("new", "hub", start="2026-06-02"))
    put(db, "Encounter", "k", status="finished", type=coded("contact-type", "face-to-face", "warm-handoff"),
        subject=ref("Patient", "p"), period={"start": "2026-06-01T15:00:00Z"}, serviceProvider=ref("Organization", "hub"),
        participant=[{"individual": ref("Practitioner", who)} for who in there])
    assert only(db, "G01").verdict == verdict


def test_g01_one_person_on_two_seats_is_one_lead(db: Connection):
    enrol(db)
    team(db, seat("a", "hub"), seat("a", "clinic"))
    assert only(db, "G01").state == "closed"


# --- G02
def test_g02_counts_organizations_of_the_team_that_the_plan_names(db: Connection):
    enrol(db)
    team(db, seat("a", "hub"))
    put(db, "CareTeam", "other", status="active", subject=ref("Patient", "p"),
        participant=[seat("b", "clinic", "specialist")])
    put(db, "Goal", "g", lifecycleStatus="active", subject=ref("Patient", "p"))
    plan: dict[str, Any] = {"status": "active", "subject": ref("Patient", "p"), "goal": [ref("Goal", "g")],
                            "author": ref("Organization", "hub"), "contributor": [ref("Organization", "clinic")]}
    put(db, "CarePlan", "c", careTeam=[ref("CareTeam", "t")], **plan)
    assert only(db, "G02").verdict == "too-few-organizations"
    put(db, "CarePlan", "c", careTeam=[ref("CareTeam", "t"), ref("CareTeam", "other")], **plan)
    assert only(db, "G02").verdict == "shared"


# --- G07
def refer(db: Connection, when: str) -> None:
    put(db, "ServiceRequest", "r", status="active", intent="order", subject=ref("Patient", "p"), authoredOn=when,
        code=coded("service", "housing")[0], performer=[ref("Organization", "clinic")])


@pytest.mark.parametrize(("after", "verdict"), [
    (timedelta(0), "met"), (24 * H, "met"), (24 * H + SECOND, "met-late"), (-SECOND, "not-met")])
def test_g07_exactly_24_hours_is_in_time(db: Connection, after: timedelta, verdict: str):
    refer(db, at(NOW - 5 * D))
    contact(db, NOW - 5 * D + after, "face-to-face")
    assert only(db, "G07").verdict == verdict


@pytest.mark.parametrize(("age", "state"), [(timedelta(0), "prospective"), (24 * H, "prospective"),
                                            (24 * H + SECOND, "missed")])
def test_g07_is_prospective_until_the_deadline_has_passed(db: Connection, age: timedelta, state: str):
    refer(db, at(NOW - age))
    assert (only(db, "G07").state, only(db, "G07").due) == (state, NOW - age + 24 * H)


def test_g07_24_hours_are_hours_on_the_day_summer_time_begins(db: Connection):
    refer(db, "2026-03-07T12:00:00-05:00")
    contact(db, datetime.fromisoformat("2026-03-08T13:00:00-04:00"), "face-to-face")
    assert only(db, "G07").verdict == "met"


def test_g07_another_way_of_contact_or_another_organization_does_not_count(db: Connection):
    refer(db, at(NOW - 5 * D))
    contact(db, NOW - 5 * D + H, "video")
    contact(db, NOW - 5 * D + 2 * H, "face-to-face", organization="hub")
    assert only(db, "G07").verdict == "not-met"
    contact(db, NOW - 5 * D + 3 * H, "face-to-face", organization="hub", present="clinic")
    assert only(db, "G07").verdict == "met"


@pytest.mark.parametrize(("after", "state"), [(23 * H, "not-applicable"), (24 * H, "not-applicable"),
                                              (24 * H + SECOND, "missed")])
def test_g07_a_referral_cancelled_before_its_deadline_is_outside(db: Connection, after: timedelta, state: str):
    refer(db, at(NOW - 5 * D))
    put(db, "Task", "k", status="cancelled", focus=ref("ServiceRequest", "r"), **{"for": ref("Patient", "p")},
        lastModified=at(NOW - 5 * D + after))
    assert only(db, "G07").state == state


@pytest.mark.parametrize(("offset", "verdict"), [
    (timedelta(0), "met"), (SECOND, "not-met"), (-2 * D, "met"), (-2 * D - SECOND, "not-met")])
def test_g07_a_discharge_needs_a_contact_within_the_stay(db: Connection, offset: timedelta, verdict: str):
    end = NOW - D
    put(db, "Encounter", "s", status="finished", subject=ref("Patient", "p"),
        period={"start": at(end - 2 * D), "end": at(end)},
        **{"class": {"code": "IMP"}})
    contact(db, end + offset, "face-to-face")
    assert (only(db, "G07").verdict, only(db, "G07").item) == (verdict, "Encounter/s")


@pytest.mark.parametrize(("left_for", "state"), [("exp", "not-applicable"), ("hosp", "not-applicable"), ("home", "missed")])
def test_g07_nobody_is_handed_over_who_died(db: Connection, left_for: str, state: str):
    left = {"dischargeDisposition": {"coding": [{"system": DISPOSITION, "code": left_for}]}}
    put(db, "Encounter", "s", status="finished", subject=ref("Patient", "p"), hospitalization=left,
        period={"start": at(NOW - 3 * D), "end": at(NOW - D)}, **{"class": {"code": "IMP"}})
    assert only(db, "G07").state == state


def test_g07_as_of_before_the_discharge_there_is_nothing_to_hand_over(db: Connection):
    put(db, "Encounter", "s", status="finished", subject=ref("Patient", "p"),
        period={"start": at(NOW), "end": at(NOW + D)},
        **{"class": {"code": "IMP"}})
    assert only(db, "G07").state == "not-applicable"
    assert only(db, "G07", NOW + D).state == "missed"


# --- G13
def consent(db: Connection, name: str = "k", status: str = "active", data_class: str = "all", **period: str) -> None:
    put(db, "Consent", name, status=status, patient=ref("Patient", "p"), organization=[ref("Organization", "hub")],
        provision={
        "type": "permit", "period": period, "code": coded("data-class", data_class),
        "actor": [{"role": {"coding": [{"code": "IRCP"}]}, "reference": ref("Organization", "clinic")}]})


@pytest.mark.parametrize(("left", "state"), [
    (-SECOND, "open"), (timedelta(0), "prospective"), (30 * D, "prospective"), (30 * D + SECOND, "closed")])
def test_g13_a_consent_is_renewed_in_its_last_thirty_days(db: Connection, left: timedelta, state: str):
    enrol(db)
    team(db, seat("a", "hub"), seat("b", "clinic", "specialist"))
    consent(db, end=at(NOW + left))
    gap = only(db, "G13")
    assert (gap.state, gap.item, gap.responsible_org) == (state, "hub>clinic", "hub")
    assert gap.due == (NOW + left if state == "prospective" else None)


@pytest.mark.parametrize(("lasts", "verdict"), [(30 * D, "renewal-due"), (30 * D + SECOND, "consent-in-force")])
def test_g13_a_release_that_follows_renews_only_where_it_lasts_longer(db: Connection, lasts: timedelta, verdict: str):
    enrol(db)
    team(db, seat("a", "hub"), seat("b", "clinic", "specialist"))
    consent(db, end=at(NOW + 10 * D))
    consent(db, "next", start=at(NOW + 10 * D), end=at(NOW + lasts))
    assert only(db, "G13").verdict == verdict


def test_g13_a_day_as_the_end_lasts_to_the_end_of_that_day(db: Connection):
    enrol(db)
    team(db, seat("a", "hub"), seat("b", "clinic", "specialist"))
    consent(db, end="2026-06-15")
    last = datetime.fromisoformat("2026-06-15T23:59:59-04:00")
    assert only(db, "G13", last).due == last
    assert only(db, "G13", last + SECOND).reason == "date-out-of-range"


def test_g13_without_expiry_it_is_closed_and_once_revoked_open(db: Connection):
    enrol(db)
    team(db, seat("a", "hub"), seat("b", "clinic", "specialist"))
    consent(db)
    assert only(db, "G13").state == "closed"
    consent(db, status="inactive")
    assert only(db, "G13").verdict == "consent-ended"
    consent(db, data_class="substance-use")
    assert only(db, "G13").reason == "missing-element"


@pytest.mark.parametrize(("body", "verdict"), [
    ({}, "agreed"), ({"period": {"end": "2026-06-15"}}, "agreed"), ({"period": {"end": "2026-06-14"}}, "not-agreed"),
    ({"period": {"start": "2026-06-16"}}, "not-agreed"), ({"active": False}, "not-agreed"),
    ({"code": coded("agreement", "transition-protocol")}, "not-agreed")])
def test_g13_an_agreement_closes_it_unless_the_discloser_is_a_part_2_program(db: Connection, body: Any, verdict: str):
    enrol(db)
    team(db, seat("a", "hub"), seat("b", "clinic", "specialist"))
    agreement = {"organization": ref("Organization", "clinic"), "participatingOrganization": ref("Organization", "hub"),
                 "code": coded("agreement", "data-sharing")}
    put(db, "OrganizationAffiliation", "x", **agreement | body)
    assert only(db, "G13").verdict == verdict
    consent(db, end="2026-06-20")
    assert only(db, "G13").verdict == ("agreed" if verdict == "agreed" else "renewal-due")
    consent(db, status="rejected")
    assert only(db, "G13").verdict == ("agreed" if verdict == "agreed" else "consent-refused")
    put(db, "Consent", "k", patient=ref("Patient", "q"), status="draft")
    put(db, "Organization", "hub", name="Hub", type=coded("organization-type", "substance-use", "part2-program"))
    assert only(db, "G13").verdict == "no-consent"


# --- organizations
def test_nothing_is_asked_of_an_organization_that_is_not_in_use(db: Connection):
    put(db, "HealthcareService", "h", providedBy=ref("Organization", "clinic"))
    about = {g.rule: g.verdict for g in evaluate(db, now=NOW) if g.organization_id == "clinic"}
    assert about["O04"] == "never-verified"
    put(db, "Organization", "clinic", active=False)
    about = {g.rule: g.verdict for g in evaluate(db, now=NOW) if g.organization_id == "clinic"}
    assert about == {f"O0{n}": "inactive" for n in range(1, 7)}


# --- the engine
def test_withheld_says_the_same_of_every_member_and_nothing_else(db: Connection):
    enrol(db)
    put(db, "Patient", "q")
    gaps = evaluate(db, now=NOW, rule="G01", denied=["general"])
    assert gaps == [Gap(rule="G01", member_id=m, state="withheld") for m in ("p", "q")]


def test_filters_by_organization_and_state(db: Connection):
    enrol(db)
    refer(db, at(NOW - 5 * D))
    about = [(g.rule, g.member_id) for g in evaluate(db, now=NOW, organization="clinic") if g.rule in ("G01", "G07", "O04")]
    assert about == [("O04", ""), ("G07", "p")]
    opened = [g.rule for g in evaluate(db, now=NOW, organization="hub", states=["open"]) if g.member_id]
    assert opened[:2] == ["G01", "G02"]
    assert evaluate(db, now=NOW, states=[]) == []


def test_people_and_organizations_are_found_by_id_and_number(db: Connection):
    assert find_member(db, "p") == find_member(db, "M1") == find_member(db, f"{N}member|M1") == "p"
    known = organizations(db)
    assert {find("organization", known, text) for text in ("hub", "ORG-HUB", "Organization/hub", "Hub", " hUB ")} == {"hub"}
    assert names_of(known) == {"hub": "Hub", "clinic": "=Clinic"}
    for text in ("M2", "urn:other|M1"):
        with pytest.raises(Rejected):
            find_member(db, text)
    for text in ("none", "", " "):
        with pytest.raises(Rejected, match="no such organization"):
            find("organization", known, text)
    put(db, "Organization", "other", name="hub")
    with pytest.raises(Rejected, match=r"several organizations have that name \(HUB\): ORG-HUB \(hub\), other - "):
        find("organization", organizations(db), "HUB")
    assert find("organization", organizations(db), "hub") == "hub"  # an id is nobody's name
    put(db, "Patient", "q", identifier=[{"system": "urn:other", "value": "M1"}])
    with pytest.raises(Rejected):
        find_member(db, "M1")


def test_an_unknown_rule_is_rejected(db: Connection):
    with pytest.raises(Rejected, match="G99"):
        evaluate(db, now=NOW, rule="G99")
