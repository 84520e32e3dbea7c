"""The made-up network: the same bytes every time, in the contract's form, with every kind of gap in it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from adapter.demo import DEMO_AS_OF, generate
from adapter.demo.organizations import npi
from adapter.parse.batch import split_messages
from adapter.parse.charset import decode
from adapter.parse.er7 import Message
from adapter.parse.rows import Row, open_csv
from adapter.parse.rows_contract import load_contract

FEEDS = ("members", "care_team", "care_plans", "goals", "consents", "referrals", "contacts", "communications",
         "service_requests", "assessments", "benefits", "conditions", "organizations", "trainings", "surveys",
         "medications", "utilization")
TIMES = ("updated_at", "started_at", "ended_at", "requested_at", "accepted_at", "completed_at", "granted_at", "sent_at",
         "received_at", "pended_at", "extended_at", "decided_at", "told_submitted_at", "told_decided_at", "appeal1_filed_at",
         "appeal1_decided_at", "appeal2_filed_at", "assessed_at")
PERIODS = (("period_start", "period_end"), ("start_date", "end_date"), ("enrollment_date", "end_date"),
           ("started_at", "ended_at"), ("requested_at", "accepted_at"), ("accepted_at", "completed_at"),
           ("sent_at", "received_at"), ("requested_at", "decided_at"), ("decided_at", "appeal1_filed_at"),
           ("appeal1_filed_at", "appeal1_decided_at"), ("screened_on", "applied_on"), ("applied_on", "decided_on"),
           ("onset_date", "abatement_date"))
KEYS = (("members", "member_id"), ("care_plans", "plan_id"), ("goals", "goal_id"), ("consents", "consent_id"),
        ("referrals", "referral_id"), ("contacts", "contact_id"), ("communications", "communication_id"),
        ("service_requests", "service_request_id"), ("benefits", "benefit_id"), ("conditions", "condition_id"))
SYSTEMS = {"stanne": "urn:oid:2.16.840.1.113883.3.9999.1", "lakeside": "urn:oid:2.16.840.1.113883.3.9999.2"}
EVENTS = {"A01", "A02", "A03", "A04", "A08", "A11", "A13", "A28", "A31", "A40"}
Table = list[dict[str, str]]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("network")
    generate(folder)
    return folder


@pytest.fixture(scope="module")
def tables(network: Path) -> dict[str, Table]:
    return {feed: table(network / "csv" / f"{feed}.csv", feed) for feed in FEEDS}


@pytest.fixture(scope="module")
def messages(network: Path) -> dict[str, list[Message]]:
    files = {site: split_messages((network / "hl7v2" / f"{site}.hl7").read_bytes()) for site in SYSTEMS}
    return {site: [Message(decode(raw).text) for raw in file.messages] for site, file in files.items()}


def table(path: Path, feed: str) -> Table:
    contract = load_contract(feed)
    file = open_csv(path.read_bytes(), contract)
    assert file.header == tuple(contract.columns)
    rows = list(file.rows())
    assert [r for r in rows if not isinstance(r, Row)] == []
    return [r.cells for r in rows if isinstance(r, Row)]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_the_same_seed_gives_the_same_bytes(network: Path, tmp_path: Path) -> None:
    again = generate(tmp_path)
    assert [p.name for p in again] == [f"{f}.csv" for f in FEEDS] + ["stanne.hl7", "lakeside.hl7", "network.json"]
    assert all(p.read_bytes() == (network / p.relative_to(tmp_path)).read_bytes() for p in again)
    other = generate(tmp_path / "other", seed=7)
    assert other[0].read_bytes() != again[0].read_bytes()


@pytest.mark.parametrize("count", [0, 1, 13])
def test_any_number_of_members_and_any_start(tmp_path: Path, count: int) -> None:
    files = generate(tmp_path, date(2024, 3, 1), count)
    if count:
        assert len(table(files[0], "members")) == count


def test_keys_are_unique_and_point_at_what_is_there(tables: dict[str, Table]) -> None:
    members = {row["member_id"] for row in tables["members"]}
    organizations = {row["organization_id"] for row in tables["care_team"]}
    for feed, key in KEYS:
        assert max(Counter(row[key] for row in tables[feed]).values()) == 1
        assert {row["member_id"] for row in tables[feed]} <= members
    assert {row["plan_id"] for row in tables["goals"]} <= {row["plan_id"] for row in tables["care_plans"]}
    assert {row["referral_id"] for row in tables["contacts"] if "referral_id" in row} <= {
        row["referral_id"] for row in tables["referrals"]}
    assert {row["author_org"] for row in tables["care_plans"]} <= organizations


def test_nothing_lies_after_the_end_and_periods_run_forward(tables: dict[str, Table]) -> None:
    assert datetime(2026, 3, 31, 16, tzinfo=UTC) == DEMO_AS_OF
    for feed in FEEDS:
        for row in tables[feed]:
            for column in TIMES:
                assert column not in row or moment(row[column]) <= DEMO_AS_OF
            for first, last in PERIODS:
                assert first not in row or last not in row or moment(row[first]) <= moment(row[last]), (feed, row)


def test_every_gap_is_there(tables: dict[str, Table]) -> None:
    enrolled = {r["member_id"] for r in tables["members"] if r["enrollment_status"] == "enrolled"}
    leads = Counter(
        r["member_id"] for r in tables["care_team"] if r["role"] == "lead-coordinator" and "end_date" not in r)
    assert {r["enrollment_status"] for r in tables["members"]} == {"enrolled", "eligible", "refused", "ended"}
    assert {min(leads[m], 2) for m in enrolled} == {0, 1, 2}
    assert sum(leads[m] == 1 for m in enrolled) > len(enrolled) / 2
    planned = {r["member_id"] for r in tables["care_plans"] if r["status"] == "active"}
    shared = {r["member_id"] for r in tables["care_plans"] if "contributing_orgs" in r}
    assert enrolled - planned
    assert planned - shared
    assert {r["plan_id"] for r in tables["care_plans"]} - {r["plan_id"] for r in tables["goals"]}
    assert {r["status"] for r in tables["consents"]} == {"active", "expired", "revoked", "refused", "draft"}
    assert enrolled - {r["member_id"] for r in tables["consents"]}
    soon = (DEMO_AS_OF + timedelta(days=30)).date().isoformat()
    assert any(DEMO_AS_OF.date().isoformat() < r.get("period_end", "") < soon for r in tables["consents"])
    assert {r["status"] for r in tables["referrals"]} >= {"requested", "rejected", "cancelled", "failed", "completed"}


def test_leads_change_with_and_without_a_hand_off(tables: dict[str, Table]) -> None:
    handed = {r["member_id"] for r in tables["contacts"] if r["warm_handoff"] == "Y" and "referral_id" not in r}
    ways: set[tuple[bool, bool]] = set()
    for member in {r["member_id"] for r in tables["care_team"]}:
        leads = [r for r in tables["care_team"] if r["member_id"] == member and r["role"] == "lead-coordinator"]
        if len(leads) == 2 and "end_date" in leads[0]:
            between = (date.fromisoformat(leads[1]["start_date"]) - date.fromisoformat(leads[0]["end_date"])).days - 1
            ways.add((member in handed, between == 0))
    assert ways == {(True, True), (False, True), (True, False)}


def test_referrals_are_met_missed_and_pending(tables: dict[str, Table]) -> None:
    first: dict[str, dict[str, str]] = {}
    for row in tables["contacts"]:
        if row["outcome"] == "reached" and row["contact_type"] == "face-to-face" and "referral_id" in row:
            first.setdefault(row["referral_id"], row)
    ways = Counter[str]()
    for row in tables["referrals"]:
        requested = moment(row["requested_at"])
        if row["referral_id"] not in first:
            ways["pending" if DEMO_AS_OF - requested < timedelta(hours=24) else "none"] += 1
        else:
            within = moment(first[row["referral_id"]]["started_at"]) - requested <= timedelta(hours=24)
            ways[("met in " if within else "late in ") + first[row["referral_id"]]["setting"]] += 1
    assert ways.keys() >= {"pending", "none", "met in hospital", "met in csu", "met in home", "late in home"}


def test_hospital_traffic_has_every_event(messages: dict[str, list[Message]]) -> None:
    for site, found in messages.items():
        assert {m.msh.first(9).get(2) for m in found} == EVENTS, site
        texts = Counter("\r".join(s.line for s in m.segments) for m in found)
        assert max(texts.values()) == 2
        assert max(Counter(t.split("|")[9] for t in texts).values()) == 1
        assert not any(m.stray for m in found)
        sent = [m.msh.first(7).get(1) for m in found]
        assert sent != sorted(sent)


def test_record_numbers_join_members_with_visits(tables: dict[str, Table], messages: dict[str, list[Message]]) -> None:
    known = {(r["mrn_system"], r["mrn"]) for r in tables["members"] if "mrn" in r}
    for site, system in SYSTEMS.items():
        seen = {pid.first(3).get(1) for m in messages[site] if (pid := m.find("PID"))}
        linked = {number for number in seen if (system, number) in known}
        assert len(linked) > len(seen) / 2
        assert seen - linked


def test_visits_are_skewed_as_in_life(messages: dict[str, list[Message]]) -> None:
    visits: dict[str, set[str]] = {}
    for found in messages.values():
        for m in found:
            pid, pv1 = m.find("PID"), m.find("PV1")
            if pid and pv1 and (visit := pv1.first(19).get(1) or pid.first(18).get(1)):
                visits.setdefault(pid.first(3).get(1), set()).add(visit)
    counts = Counter(len(v) for v in visits.values())
    assert counts[1] > counts[2] >= 1
    assert max(counts) >= 6


@pytest.mark.parametrize("site", ["stanne", "lakeside"])
def test_hospitals_write_unlike(messages: dict[str, list[Message]], site: str) -> None:
    for m in messages[site]:
        pid, pv1, evn = m.find("PID"), m.find("PV1"), m.find("EVN")
        assert pid
        assert evn
        new = site == "stanne"
        assert bool(evn.first(6).get(1)) == new
        assert ("-0" in m.msh.first(7).get(1)) == new
        if pv1 and pv1.first(2).get(1) != "N":
            assert bool(pv1.first(19).get(1)) == new
            assert bool(pid.first(18).get(1)) != new


def test_check_digits() -> None:
    assert npi(0) == "2000000002"
    for serial in (1, 987, 12_345_678):
        digits = [int(d) for d in "80840" + npi(serial)]
        doubled = [d * 2 - 9 * (d > 4) if place % 2 else d for place, d in enumerate(reversed(digits))]
        assert sum(doubled) % 10 == 0


def test_the_network_names_its_organizations(network: Path, tables: dict[str, Table]) -> None:
    told = orjson.loads((network / "network.json").read_bytes())
    assert told["as_of"] == "2026-03-31T16:00:00+00:00"
    names = {o["id"]: o["name"] for o in told["organizations"]}
    assert all(names[r["organization_id"]] == r["organization_name"] for r in tables["care_team"])


def test_each_new_feed_holds_what_its_rules_look_for(tables: dict[str, Table]) -> None:
    requests = tables["service_requests"]
    assert {r["status"] for r in requests} >= {"submitted", "pended", "approved", "denied"}
    assert any("appeal2_filed_at" in r for r in requests)
    assert any(r["status"] == "denied" and "told_rights_at" not in r for r in requests)
    standard = [r for r in requests if r["priority"] == "standard" and "decided_at" in r and "extended_at" not in r]
    late = [moment(r["decided_at"]) - moment(r["requested_at"]) > timedelta(days=7) for r in standard]
    assert len(set(late)) == 2
    talk = tables["communications"]
    assert {r["status"] for r in talk} == {"completed", "not-done"}
    assert {r["communication_id"] for r in talk} > {r["in_response_to"] for r in talk if "in_response_to" in r} > set()
    assert {r["service_request_id"] for r in talk if "service_request_id" in r} <= {r["service_request_id"] for r in requests}
    results = tables["assessments"]
    assert {r["result"] for r in results if "result" in r} == {"positive", "negative", "declined", "unknown"}
    assert any(float(r["offered_level"]) > float(r["level"]) for r in results if "level" in r)
    assert any("referral_id" in r for r in results)
    assert {r["benefit"] for r in tables["benefits"]} == {"ssi", "ssdi", "va", "housing", "public-benefits"}
    ssi = [r for r in tables["benefits"] if r["benefit"] == "ssi" and "applied_on" in r]
    assert {r["application_method"] for r in ssi} == {"soar", "standard"}
    assert {r["clinical_status"] for r in tables["conditions"]} >= {"active", "resolved", "remission"}
