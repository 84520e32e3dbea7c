"""Wellness visits, specialists and their notes, peers, talk of the team (G23, G24, G26, G27) at their boundary instants."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Connection

from tests.unit.gap_evidence import coded, gaps, put, ref


@pytest.fixture
def db(empty: Connection) -> Connection:
    put(empty, "Patient", "p", birthDate="1970-01-01")
    for organization in ("hub", "clinic", "heart"):
        put(empty, "Organization", organization)
    put(empty, "EpisodeOfCare", "e", status="active", patient=ref("Patient", "p"),
        type=coded("program", "care-coordination"), managingOrganization=ref("Organization", "hub"))
    put(empty, "CareTeam", "t", status="active", subject=ref("Patient", "p"), participant=[
        seat("home", "clinic", "primary-care"), seat("mind", "hub", "mental-health"), seat("heart", "heart", "specialist"),
        seat("peer", "hub", "peer-specialist")])
    condition(empty, "E11", "c1")
    condition(empty, "F33", "c2")
    return empty


def seat(person: str, organization: str, role: str) -> dict[str, Any]:
    return {"role": coded("care-team-role", role), "member": ref("Practitioner", person),
            "onBehalfOf": ref("Organization", organization)}


def condition(db: Connection, code: str, name: str) -> None:
    put(db, "Condition", name, subject=ref("Patient", "p"),
        code={"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}]})


def visit(db: Connection, day: str | None, kind: str = "office", who: str = "heart") -> None:
    put(db, "Encounter", "v", status="finished", subject=ref("Patient", "p"), type=coded("visit-type", kind),
        period={"start": day} if day else {}, participant=[{"individual": ref("Practitioner", who)}],
        **{"class": {"code": "AMB"}})


def tell(db: Connection, sent: str, sender: str = "heart", to: str = "home") -> None:
    put(db, "Communication", "m", status="completed", subject=ref("Patient", "p"), sender=ref("Practitioner", sender),
        recipient=[ref("Practitioner", to)], sent=sent)


def meet(db: Connection, day: str, *there: str, kinds: tuple[str, ...] = ("face-to-face", "warm-handoff")) -> None:
    put(db, "Encounter", f"k{day}", status="finished", subject=ref("Patient", "p"), type=coded("contact-type", *kinds),
        period={"start": day}, participant=[{"individual": ref("Practitioner", who)} for who in there],
        **{"class": {"code": "AMB"}})


def at(moment: str) -> datetime:
    return datetime.fromisoformat(moment)


@pytest.mark.parametrize(("day", "now", "verdict"), [
    ("2025-06-15", "2026-06-15T12:00:00-04:00", "visited"), ("2025-06-14", "2026-06-15T12:00:00-04:00", "visited-before"),
    ("2027-02-28", "2028-02-29T12:00:00-05:00", "visited"), ("2027-02-27", "2028-02-29T12:00:00-05:00", "visited-before"),
    ("2024-02-29", "2025-02-28T12:00:00-05:00", "visited"), ("2024-02-29", "2025-03-01T12:00:00-05:00", "visited-before"),
    ("2026-06-16", "2026-06-15T23:59:59-04:00", "not-visited"), (None, "2026-06-15T12:00:00-04:00", "visit-not-dated")])
def test_g23_counts_twelve_months_back(db: Connection, day: str | None, now: str, verdict: str):
    visit(db, day, "wellness")
    assert gaps(db, "G23", at(now))[""].verdict == verdict


@pytest.mark.parametrize(("born", "now", "state"), [
    ("2008-06-15", "2026-06-15T00:00:00-04:00", "open"), ("2008-06-16", "2026-06-15T23:59:59-04:00", "not-applicable"),
    ("2008-02-29", "2026-02-28T12:00:00-05:00", "not-applicable"), ("2008-02-29", "2026-03-01T00:00:00-05:00", "open")])
def test_g23_is_about_adults(db: Connection, born: str, now: str, state: str):
    put(db, "Patient", "p", birthDate=born)
    assert gaps(db, "G23", at(now))[""].state == state


def test_g23_an_outreach_closes_it_and_a_claim_that_was_cancelled_does_not(db: Connection):
    claim: dict[str, Any] = {"use": "claim", "patient": ref("Patient", "p"), "billablePeriod": {"start": "2026-05-01"},
                             "procedure": [{"procedureCodeableConcept": {"coding": [{"code": "G0439"}]}}]}
    put(db, "Claim", "k", status="active", **claim)
    assert gaps(db, "G23")[""].evidence == ("Claim/k",)
    put(db, "Claim", "k", status="cancelled", **claim)
    assert (gaps(db, "G23")[""].verdict, gaps(db, "G23")[""].responsible_party) == ("not-visited", "Practitioner/home")
    put(db, "Communication", "m", status="not-done", subject=ref("Patient", "p"), sent="2026-05-01",
        reasonCode=coded("contact-purpose", "wellness-visit"))
    assert gaps(db, "G23")[""].verdict == "outreach"


@pytest.mark.parametrize(("sent", "now", "verdict"), [
    ("2026-05-31", "2026-06-15T12:00:00-04:00", "told"), ("2026-06-01", "2026-06-15T12:00:00-04:00", "told-late"),
    ("2026-05-01", "2026-06-15T12:00:00-04:00", "told"), ("2026-04-30", "2026-06-15T12:00:00-04:00", "not-told"),
    ("2026-06-02", "2026-05-31T23:59:59-04:00", "note-due"), ("2026-06-02", "2026-06-01T00:00:00-04:00", "not-told")])
def test_g24_the_note_has_thirty_days(db: Connection, sent: str, now: str, verdict: str):
    visit(db, "2026-05-01")
    tell(db, sent)
    gap = gaps(db, "G24", at(now))["Encounter/v"]
    assert (gap.verdict, gap.due) == (verdict, at("2026-05-31T23:59:59-04:00"))
    assert (gap.responsible_org, gap.responsible_party) == ("heart", "Practitioner/heart")


@pytest.mark.parametrize(("day", "state"), [("2025-06-15", "missed"), ("2025-06-14", "not-applicable")])
def test_g24_looks_back_a_year(db: Connection, day: str, state: str):
    visit(db, day)
    assert [g.state for g in gaps(db, "G24").values()] == [state]


def test_g24_only_specialists_of_the_team_and_only_news_to_primary_care(db: Connection):
    visit(db, "2026-05-01", who="stranger")
    assert [g.state for g in gaps(db, "G24").values()] == ["not-applicable"]
    visit(db, "2026-05-01")
    tell(db, "2026-05-02", to="mind")
    assert gaps(db, "G24")["Encounter/v"].verdict == "not-told"
    tell(db, "2026-05-02", sender="mind")
    assert gaps(db, "G24")["Encounter/v"].verdict == "not-told"


def test_g26_asks_for_the_peer_at_the_latest_hand_off(db: Connection):
    assert gaps(db, "G26")[""].verdict == "no-hand-off"
    meet(db, "2026-05-01", "peer", "mind")
    assert gaps(db, "G26")[""].verdict == "peer-took-part"
    assert gaps(db, "G26")[""].evidence == ("CareTeam/t", "Encounter/k2026-05-01")
    meet(db, "2026-05-02", "mind", kinds=("telephone",))
    assert gaps(db, "G26")[""].state == "closed"
    meet(db, "2026-05-03", "mind")
    assert gaps(db, "G26")[""].verdict == "peer-not-there"
    put(db, "Condition", "c2")
    assert gaps(db, "G26")[""].state == "not-applicable"


@pytest.mark.parametrize(("sent", "verdict"), [
    ("2026-03-17", "integrated"), ("2026-03-16", "silent-since"), ("2026-06-16", "never-spoke")])
def test_g27_the_two_spoke_in_ninety_days(db: Connection, sent: str, verdict: str):
    tell(db, sent, sender="mind")
    assert gaps(db, "G27")[""].verdict == verdict


def test_g27_a_contact_of_both_counts_and_of_one_does_not(db: Connection):
    meet(db, "2026-06-01", "home", kinds=("video",))
    assert gaps(db, "G27")[""].verdict == "never-spoke"
    meet(db, "2026-06-02", "home", "mind", kinds=("video",))
    assert gaps(db, "G27")[""].verdict == "integrated"
    put(db, "CareTeam", "t", status="active", subject=ref("Patient", "p"),
        participant=[seat("home", "clinic", "primary-care"), seat("home", "clinic", "mental-health")])
    assert gaps(db, "G27")[""].verdict == "not-two"
