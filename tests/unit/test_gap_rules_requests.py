"""Rules about referrals on their way and requests to payers (G18 to G21) at their boundary instants."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from tests.unit import gap_evidence
from tests.unit.gap_evidence import concept, ref
from tests.unit.gap_network import N, Resource

ZONED = {"NY": "America/New_York", "CHI": "America/Chicago"}
Found = dict[str, str]


def verdicts(engine: Engine, rule: str, now: str, *resources: Resource, zone: str = "NY") -> Found:
    """What the rule says of member p, by item; the organization `org` is in a zone of its own."""
    zoned = {"resourceType": "Organization", "id": "org", "extension": [{"url": N + "time-zone", "valueCode": ZONED[zone]}]}
    return gap_evidence.verdicts(engine, rule, now, {"resourceType": "Patient", "id": "p"}, zoned, *resources)


def referral(made: str) -> Resource:
    return {"resourceType": "ServiceRequest", "id": "r", "status": "active", "intent": "order", "subject": ref("Patient", "p"),
            "authoredOn": made, "code": concept("service", "housing"), "performer": [ref("Organization", "org")]}


def task(status: str, *, start: str = "", end: str = "", **more: Any) -> Resource:
    period = {name: value for name, value in (("start", start), ("end", end)) if value}
    return {"resourceType": "Task", "id": "k", "status": status, "for": ref("Patient", "p"), "focus": ref("ServiceRequest", "r"),
            **({"executionPeriod": period} if period else {}), **more}


@pytest.mark.parametrize(("made", "accepted", "zone", "verdict"), [
    ("2026-06-15T10:00:00-04:00", "2026-06-17T23:59:59-04:00", "NY", "accepted"),  # Monday, to the end of Wednesday
    ("2026-06-15T10:00:00-04:00", "2026-06-18T00:00:00-04:00", "NY", "accepted-late"),
    ("2026-06-15T10:00:00-04:00", "2026-06-18T00:30:00-04:00", "CHI", "accepted"),  # still Wednesday where the receiver is
    ("2026-06-16T00:30:00-04:00", "2026-06-17T23:59:59-05:00", "CHI", "accepted"),  # made on Monday there
    ("2026-06-16T00:30:00-04:00", "2026-06-18T00:00:00-05:00", "CHI", "accepted-late"),
    ("2026-06-18T10:00:00-04:00", "2026-06-23T23:59:59-04:00", "NY", "accepted"),  # Juneteenth and a weekend between
    ("2026-06-18", "2026-06-24", "NY", "accepted-late"),
    ("2026-03-06T23:30:00-05:00", "2026-03-10T23:59:59-04:00", "NY", "accepted"),  # over the beginning of summer time
    ("2028-02-28T09:00:00-05:00", "2028-03-01T23:59:59-05:00", "NY", "accepted"),  # over a leap day
])
def test_g18_two_business_days_of_the_receiver(sqlite: Engine, made: str, accepted: str, zone: str, verdict: str):
    found = verdicts(sqlite, "G18", "2028-06-30T12:00:00-04:00", referral(made), task("accepted", start=accepted), zone=zone)
    assert found["ServiceRequest/r#acceptance"] == verdict


@pytest.mark.parametrize(("now", "verdict"), [
    ("2026-06-15T23:59:59-04:00", "word-due"), ("2026-06-16T00:00:00-04:00", "silent")])
def test_g18_fourteen_days_of_silence_are_whole(sqlite: Engine, now: str, verdict: str):
    accepted = task("accepted", start="2026-06-01T08:00:00-04:00")
    assert verdicts(sqlite, "G18", now, referral("2026-06-01"), accepted)["ServiceRequest/r#loop"] == verdict


def test_g18_what_nobody_says_why_it_ended_lacks_an_element(sqlite: Engine):
    ended = task("rejected", end="2026-06-02")
    reason = task("rejected", end="2026-06-02", statusReason={"text": "no capacity"})
    now = "2026-06-15T12:00:00-04:00"
    assert verdicts(sqlite, "G18", now, referral("2026-06-01"), ended)["ServiceRequest/r#loop"] == "ended-without-reason"
    assert verdicts(sqlite, "G18", now, referral("2026-06-01"), reason)["ServiceRequest/r#loop"] == "ended-with-reason"
    before = "2026-06-01T12:00:00-04:00"
    assert verdicts(sqlite, "G18", before, referral("2026-06-01"), ended)["ServiceRequest/r#loop"] == "word-due"


def request(made: str, priority: str = "routine") -> list[Resource]:
    asked = {"resourceType": "ServiceRequest", "id": "s", "status": "active", "intent": "order", "subject": ref("Patient", "p"),
             "authoredOn": made, "priority": priority, "category": [concept("request-kind", "authorization")]}
    return [asked, {"resourceType": "Claim", "id": "c", "status": "active", "use": "preauthorization",
                    "patient": ref("Patient", "p"), "insurer": ref("Organization", "org"),
                    "referral": ref("ServiceRequest", "s")}]


def answered(decision: str, created: str) -> Resource:
    return {"resourceType": "ClaimResponse", "id": f"a-{decision}", "status": "active", "use": "preauthorization",
            "outcome": "complete", "patient": ref("Patient", "p"), "created": created, "request": ref("Claim", "c"),
            "adjudication": [{"category": concept("request-status", decision)}]}


@pytest.mark.parametrize(("made", "priority", "decided", "verdict"), [
    ("2026-03-02T09:00:00-05:00", "routine", "2026-03-09T23:59:59-04:00", "decided"),
    ("2026-03-02T09:00:00-05:00", "routine", "2026-03-10T00:00:00-04:00", "decided-late"),
    ("2025-12-31T23:59:59-05:00", "routine", "2026-01-14T23:59:59-05:00", "decided"),  # 14 days before 2026
    ("2026-01-01T00:00:00-05:00", "routine", "2026-01-09T00:00:00-05:00", "decided-late"),
    ("2028-02-22", "routine", "2028-02-29T23:59:59-05:00", "decided"),  # the seventh day is a leap day
    ("2028-02-22", "routine", "2028-03-01", "decided-late"),
    ("2026-03-07T12:00:00-05:00", "urgent", "2026-03-10T13:00:00-04:00", "decided"),  # 72 hours over summer time
    ("2026-03-07T12:00:00-05:00", "urgent", "2026-03-10T13:00:01-04:00", "decided-late"),
    ("2026-03-07", "urgent", "2026-03-11T00:59:59-04:00", "decided"),  # from the end of the day
])
def test_g19_the_clock_of_a_decision(sqlite: Engine, made: str, priority: str, decided: str, verdict: str):
    found = verdicts(sqlite, "G19", "2028-06-30T12:00:00-04:00", *request(made, priority), answered("approved", decided))
    assert found == {"ServiceRequest/s": verdict}


@pytest.mark.parametrize(("noticed", "decided", "verdict"), [
    ("2026-06-08T23:59:59-04:00", "2026-06-22T23:59:59-04:00", "decided"),  # 7 and 14 days after 1 June
    ("2026-06-08T23:59:59-04:00", "2026-06-23T00:00:00-04:00", "decided-late"),
    ("2026-06-09T00:00:00-04:00", "2026-06-22T23:59:59-04:00", "decided-late"),  # notice came when the clock had run out
])
def test_g19_an_extension_counts_where_its_notice_came_in_time(sqlite: Engine, noticed: str, decided: str, verdict: str):
    found = verdicts(sqlite, "G19", "2026-07-30T12:00:00-04:00", *request("2026-06-01"), answered("extended", noticed),
                     answered("approved", decided))
    assert found == {"ServiceRequest/s": verdict}


def test_g19_an_extension_ends_when_it_says(sqlite: Engine):
    asked = task("requested", code={"coding": [{"code": "approve"}]}, restriction={"period": {"end": "2026-06-15"}})
    whole = [*request("2026-06-01"), asked | {"focus": ref("ServiceRequest", "s")}, answered("extended", "2026-06-05")]
    assert verdicts(sqlite, "G19", "2026-06-15T23:59:59-04:00", *whole) == {"ServiceRequest/s": "decision-due"}
    assert verdicts(sqlite, "G19", "2026-06-16T00:00:00-04:00", *whole) == {"ServiceRequest/s": "overdue"}


def told(topic: str, sent: str) -> Resource:
    return {"resourceType": "Communication", "id": f"w-{topic}", "status": "completed", "subject": ref("Patient", "p"),
            "sent": sent, "recipient": [ref("Patient", "p")], "about": [ref("ServiceRequest", "s")],
            "topic": concept("communication-topic", topic)}


@pytest.mark.parametrize(("sent", "verdict"), [
    ("2026-06-02T23:59:59-04:00", "told"), ("2026-06-03T00:00:00-04:00", "told-late"), ("2026-06-20", "not-told-yet")])
def test_g20_told_by_the_end_of_the_next_day(sqlite: Engine, sent: str, verdict: str):
    found = verdicts(sqlite, "G20", "2026-06-10T12:00:00-04:00", *request("2026-06-01T08:00:00-04:00"),
                     told("request-submitted", sent))
    assert found["ServiceRequest/s#submitted"] == verdict


@pytest.mark.parametrize(("now", "verdict"), [
    ("2026-06-19T23:59:59-04:00", "update-due"), ("2026-06-20T00:00:00-04:00", "update-overdue")])
def test_g20_an_update_every_fourteen_days_until_the_decision(sqlite: Engine, now: str, verdict: str):
    whole = [*request("2026-06-01"), told("request-update", "2026-06-05T18:00:00-04:00")]
    assert verdicts(sqlite, "G20", now, *whole)["ServiceRequest/s#update"] == verdict
    assert "ServiceRequest/s#update" not in verdicts(sqlite, "G20", now, *whole, answered("approved", "2026-06-06"))


def appeal(kind: str, filed: str, **more: Any) -> Resource:
    return task("in-progress", authoredOn=filed, code=concept("task-code", kind), **more) | {"focus": ref("ServiceRequest", "s")}


@pytest.mark.parametrize(("filed", "decided", "priority", "verdict"), [
    ("2026-03-03T23:59:59-05:00", "2026-04-02T23:59:59-04:00", "routine", "appeal-decided"),  # 60 days after 2 January; 30
    ("2026-03-04T00:00:00-05:00", "2026-03-05", "routine", "filed-late"),
    ("2026-02-02", "2026-03-05T00:00:00-05:00", "routine", "appeal-decided-late"),
    ("2026-02-02T12:00:00-05:00", "2026-02-05T12:00:00-05:00", "urgent", "appeal-decided"),
    ("2026-02-02T12:00:00-05:00", "2026-02-05T12:00:01-05:00", "urgent", "appeal-decided-late"),
])
def test_g21_the_clocks_of_an_internal_appeal(sqlite: Engine, filed: str, decided: str, priority: str, verdict: str):
    whole = [*request("2025-12-30"), answered("denied", "2026-01-02T15:00:00-05:00"),
             appeal("internal-appeal", filed, executionPeriod={"end": decided}, priority=priority)]
    assert verdicts(sqlite, "G21", "2026-06-15T12:00:00-04:00", *whole)["Task/k"] == verdict


@pytest.mark.parametrize(("now", "verdict"), [
    ("2026-03-03T23:59:59-05:00", "rights-not-told"), ("2026-03-04T00:00:00-05:00", "rights-never-told")])
def test_g21_rights_can_be_told_while_there_is_time_to_appeal(sqlite: Engine, now: str, verdict: str):
    whole = [*request("2025-12-30"), answered("denied", "2026-01-02")]
    assert verdicts(sqlite, "G21", now, *whole) == {"ServiceRequest/s#rights": verdict}
    assert verdicts(sqlite, "G21", now, *whole, told("appeal-rights", "2026-01-03")) == {"ServiceRequest/s#rights": "rights-told"}


def test_g21_an_external_appeal_is_tracked_where_it_is_known_who_decides(sqlite: Engine):
    whole = [*request("2025-12-30"), answered("partly-approved", "2026-01-02"), told("appeal-rights", "2026-01-03")]
    now = "2026-06-15T12:00:00-04:00"
    outside = appeal("external-appeal", "2026-02-20")
    assert verdicts(sqlite, "G21", now, *whole, outside)["Task/k"] == "external-not-told"
    outside |= {"owner": ref("Organization", "org")}
    assert verdicts(sqlite, "G21", now, *whole, outside)["Task/k"] == "external-tracked"
    outside |= {"status": "completed", "executionPeriod": {"end": "2026-03-20"}}
    assert verdicts(sqlite, "G21", now, *whole, outside)["Task/k"] == "external-not-told"
    outside |= {"businessStatus": concept("appeal-outcome", "upheld")}
    assert verdicts(sqlite, "G21", now, *whole, outside)["Task/k"] == "external-decided"
