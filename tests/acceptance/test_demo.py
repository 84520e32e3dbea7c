"""The demonstration network in an empty store: nothing left over, gaps of every kind, no change by a second load."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import select

from adapter.commands.demonstration import load_demonstration
from adapter.demo import DEMO_AS_OF
from adapter.errors import ISSUES
from adapter.gaps.engine import Gap, evaluate, find_member
from adapter.gateway import Gateway
from adapter.store.engine import reading
from adapter.store.queries import backlog
from adapter.store.schema import FINDING, RESOURCE_VERSION

STATES = {
    "G01": {"open", "closed", "not-applicable"},
    "G02": {"open", "closed", "not-applicable"},
    "G07": {"closed", "prospective", "missed", "not-applicable"},
    "G13": {"open", "closed", "prospective", "not-applicable"},
}


def gaps(gateway: Gateway, member: str | None = None) -> list[Gap]:
    with reading(gateway.engine) as connection:
        return evaluate(connection, now=DEMO_AS_OF, member=member)


def found(gateway: Gateway) -> Counter[str]:
    """How often each finding was made."""
    with reading(gateway.engine) as connection:
        return Counter(connection.scalars(select(FINDING.c.code)))


def test_nothing_is_left_over(demonstration: Gateway) -> None:
    with reading(demonstration.engine) as connection:
        now = backlog(connection)
    assert now.journal.keys() == {"done"}
    assert now.outbox == {}
    assert now.resources["Patient"] >= 200


def test_no_finding_is_an_error(demonstration: Gateway) -> None:
    codes = found(demonstration)
    assert {code for code in codes if ISSUES[code].severity == "error"} == set()
    assert "unknown-code" not in codes
    assert "segment-unknown" not in codes


def test_gaps_of_every_expected_state(demonstration: Gateway) -> None:
    states: dict[str, set[str]] = {rule: set() for rule in STATES}
    for gap in gaps(demonstration):
        states[gap.rule].add(gap.state)
    missing = {rule: wanted - states[rule] for rule, wanted in STATES.items() if wanted - states[rule]}
    assert missing == {}


def test_one_member_is_told_what_all_are_told_of_them(demonstration: Gateway) -> None:
    everyone = gaps(demonstration)
    members = sorted({gap.member_id for gap in everyone})
    assert len(members) >= 200
    for member in members[::10]:
        assert gaps(demonstration, member) == [gap for gap in everyone if gap.member_id == member]


def test_a_member_is_found_by_each_number(demonstration: Gateway) -> None:
    patients = demonstration.embedded.search("Patient", [("identifier", "urn:x-careloop:member|")], 500).resources
    for patient in patients[::20]:
        number = next(i for i in patient["identifier"] if i["system"] == "urn:x-careloop:member")
        with reading(demonstration.engine) as connection:
            main = find_member(connection, f"urn:x-careloop:member|{number['value']}")
            assert find_member(connection, main) == main


def test_a_second_load_changes_nothing(demonstration: Gateway) -> None:
    before = everything(demonstration)
    load_demonstration(demonstration)
    assert everything(demonstration) == before


def everything(gateway: Gateway) -> tuple[object, ...]:
    """Counts of all kinds, every version that was ever written, and every gap."""
    with reading(gateway.engine) as connection:
        versions = connection.execute(select(RESOURCE_VERSION).order_by(RESOURCE_VERSION.c.seq)).all()
        return backlog(connection), versions, found(gateway), gaps(gateway)
