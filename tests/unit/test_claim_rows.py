"""A payer's visit is the hospital's only where both name it by one number; then the hospital's own word counts."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from adapter.feeds import Feeds, open_feeds
from adapter.mapping.rows import map_row
from adapter.model import Contribution, Received
from adapter.pipeline import compose_all, map_received, microseconds

ARRIVAL = datetime(2026, 3, 1, 17, tzinfo=UTC)
STAY = (b"MSH|^~\\&|STANNE|MAIN|CARELOOP|NETWORK|20260115120000-0500||ADT^A01^ADT_A01|1|P|2.5.1\r"
        b"EVN|A01|20260115120000-0500|||||MAIN\r"
        b"PID|1||1002013^^^STANNE^MR||Fernhollow^Linnea||19580409|F\r"
        b"PV1|1|I|3W^301^A^STANNE||||||||||||||||V77^^^STANNE^VN\r")
CLAIM = {"visit_id": "EVG-V-1", "member_id": "M90001", "payer_id": "ORG-EVERGREEN", "organization_id": "ORG-STANNE",
         "visit_type": "emergency", "started_at": "2026-01-15T12:00:00-05:00", "ended_at": "2026-01-18T10:00:00-05:00",
         "claim_status": "paid", "processed_date": "2026-02-03", "paid_amount": "1220.50", "npi": "2000010019",
         "updated_at": "2026-02-04"}
SYSTEM = "urn:oid:2.16.840.1.113883.3.9999.1"
ROWS: dict[str, tuple[dict[str, str], ...]] = {
    "utilization": (CLAIM, {**CLAIM, "visit_number": "V77", "visit_system": SYSTEM, "updated_at": "2026-02-10"},
                    {**CLAIM, "visit_number": "V77", "visit_system": SYSTEM, "updated_at": "2026-02-20",
                     "claim_status": "denied", "paid_amount": "0"}),
    "trainings": tuple({"organization_id": "ORG-MAPLE", "npi": "2000010019", "module": "module-1", "status": status,
                        "updated_at": day, **({"completed_date": "2026-01-09"} if status == "completed" else {})}
                       for status, day in (("assigned", "2026-01-01"), ("completed", "2026-01-10"),
                                           ("in-progress", "2026-01-20"))),
}
Bodies = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def feeds() -> Feeds:
    return open_feeds(Path(__file__).parents[2] / "mappings")


def rows(feeds: Feeds, feed: str, *cells: dict[str, str]) -> list[Contribution]:
    columns = sorted({column for one in ROWS[feed] for column in one})
    return [c for n, one in enumerate(cells, 2)
            for c in map_row(one, n, f"{feed}|{n}", feeds.named(feed), microseconds(ARRIVAL), None, columns).contributions]


def composed(feeds: Feeds, said: list[Contribution]) -> Bodies:
    found: Bodies = {}
    for one in compose_all(said, (), feeds, b"key", lambda _: set()):
        if not one.deleted:
            found.setdefault(one.resource_type, []).append(one.body)
    return found


def hospital(feeds: Feeds) -> list[Contribution]:
    return list(map_received(Received(raw=STAY, arrival=ARRIVAL), feeds).contributions)


def test_one_number_one_visit_and_the_hospitals_word_counts(feeds: Feeds) -> None:
    found = composed(feeds, [*hospital(feeds), *rows(feeds, "utilization", ROWS["utilization"][1])])
    visit, = found["Encounter"]
    assert visit["class"]["code"] == "IMP"
    assert visit["status"] == "in-progress"
    assert visit["period"]["start"].startswith("2026-01-15T")
    assert {i["system"] for i in visit["identifier"]} == {SYSTEM, "urn:x-careloop:payer-visit"}
    assert found["Claim"][0]["item"][0]["encounter"] == [{"reference": f"Encounter/{visit['id']}"}]


def test_another_number_or_none_is_a_visit_of_the_payers_own(feeds: Feeds) -> None:
    numbered = ROWS["utilization"][1]
    for cells in (CLAIM, {**numbered, "visit_number": "V78"}, {**numbered, "visit_system": "urn:x:other"}):
        found = composed(feeds, [*hospital(feeds), *rows(feeds, "utilization", cells)])
        assert sorted(e["class"]["code"] for e in found["Encounter"]) == ["EMER", "IMP"]


def test_cost_stands_in_the_answer(feeds: Feeds) -> None:
    answer, = composed(feeds, rows(feeds, "utilization", CLAIM))["ClaimResponse"]
    assert [(t["category"]["coding"][0]["code"], t["amount"]) for t in answer["total"]] == [
        ("benefit", {"value": 1220.5, "currency": "USD"})]
    assert composed(feeds, rows(feeds, "utilization", {**CLAIM, "claim_status": "reversed"})).keys() == {
        "Claim", "Organization", "Patient", "Practitioner"}


@pytest.mark.parametrize("feed", list(ROWS))
def test_rows_of_one_thing_give_the_same_in_any_order(feeds: Feeds, feed: str) -> None:
    said = [rows(feeds, feed, one) for one in ROWS[feed]]
    states = [composed(feeds, [c for part in order for c in part]) for order in permutations(said)]
    assert all(state == states[0] for state in states)
    if feed == "utilization":
        assert len(states[0]["Encounter"]) == 1
        assert states[0]["ClaimResponse"][0]["disposition"] == "denied"
    else:
        assert states[0]["Task"][0]["status"] == "in-progress"
        assert "executionPeriod" not in states[0]["Task"][0]
        assert "qualification" not in states[0]["Practitioner"][0]
