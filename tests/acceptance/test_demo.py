"""The demonstration network in an empty store: nothing left over, gaps of every kind, no change by a second load."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from adapter.commands.demonstration import load_demonstration
from adapter.demo import DEMO_AS_OF, DEMO_START
from adapter.gaps.engine import Gap, evaluate, find_member
from adapter.gaps.rules import open_rules
from adapter.gateway import Gateway
from adapter.issues import ISSUES
from adapter.parse.batch import split_messages
from adapter.settings import Settings
from adapter.store import journal
from adapter.store.engine import reading
from adapter.store.queries import backlog
from adapter.store.resources import without_meta
from adapter.store.schema import FINDING, RESOURCE_VERSION
from tests.acceptance.conftest import compose, make_network

STATES = {
    "G01": {"open", "closed", "prospective", "not-applicable"},
    "G02": {"open", "closed", "not-applicable"},
    "G03": {"open", "closed", "not-applicable"},
    "G04": {"open", "closed", "not-applicable"},
    "G05": {"closed", "prospective", "missed", "not-applicable"},
    "G06": {"closed", "missed", "not-applicable"},
    "G07": {"closed", "prospective", "missed", "not-applicable"},
    "G08": {"closed", "prospective", "missed", "not-applicable"},
    "G09": {"closed", "prospective", "missed", "not-applicable"},
    "G10": {"closed", "prospective", "missed", "not-applicable"},
    "G11": {"open", "closed", "prospective", "not-applicable"},
    "G12": {"open", "closed", "not-applicable"},
    "G13": {"open", "closed", "not-applicable"},
    "G14": {"open", "closed", "not-applicable"},
    "G15": {"open", "closed", "missed", "not-applicable"},
    "G16": {"open", "closed", "missed", "not-applicable"},
    "G17": {"open", "closed", "not-applicable"},
    "G18": {"open", "closed", "prospective", "missed", "not-applicable"},
    "G19": {"open", "closed", "prospective", "missed", "not-applicable"},
    "G20": {"open", "closed", "prospective", "missed", "not-applicable"},
    "G21": {"open", "closed", "missed", "not-applicable"},
    "G22": {"open", "closed", "prospective", "missed", "not-applicable"},
    "G23": {"open", "closed", "not-applicable"},
    "G24": {"closed", "prospective", "missed", "not-applicable"},
    "G25": {"open", "closed", "not-applicable"},
    "G26": {"open", "closed", "not-applicable"},
    "G27": {"open", "closed", "not-applicable"},
    "G28": {"closed", "prospective", "missed", "not-applicable"},
    "O01": {"open", "closed", "not-applicable"},
    "O02": {"open", "closed", "prospective", "not-applicable"},
    "O03": {"open", "closed", "not-applicable"},
    "O04": {"open", "closed", "not-applicable"},
    "O05": {"open", "closed", "prospective", "not-applicable"},
    "O06": {"open", "closed", "missed", "not-applicable"},
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
    states: defaultdict[str, set[str]] = defaultdict(set)
    for gap in gaps(demonstration):
        states[gap.rule].add(gap.state)
    missing = {rule: wanted - states[rule] for rule, wanted in STATES.items() if wanted - states[rule]}
    assert missing == {}


def test_each_rule_gives_somebody_something_to_do(demonstration: Gateway) -> None:
    """A coordinator sees each rule at work; G07 and G08 had nothing but what was closed or too late."""
    with reading(demonstration.engine) as connection:
        living = {gap.rule for gap in evaluate(connection, now=DEMO_AS_OF + timedelta(hours=12), states=("open", "prospective"))}
    assert living == set(open_rules().rules)


def test_one_member_is_told_what_all_are_told_of_them(demonstration: Gateway) -> None:
    everyone = gaps(demonstration)
    members = sorted({gap.member_id for gap in everyone} - {""})  # gaps of organizations have none
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


def test_any_order_of_files_and_messages_gives_the_same(tmp_path: Path) -> None:
    make_network(tmp_path, DEMO_START, 25)
    files = sorted([*tmp_path.glob("csv/*.csv"), *tmp_path.glob("hl7v2/*.hl7")])
    forward = loaded(tmp_path / "forward", files, backward=False)
    assert len(forward) > 500
    assert loaded(tmp_path / "backward", files, backward=True) == forward


def loaded(folder: Path, files: list[Path], backward: bool) -> dict[tuple[str, str], object]:
    """What stands after these files; backward: the last file and message first, each file composed before the next."""
    gateway = Gateway(Settings(data_dir=folder, key="d2" * 32), clock=lambda: DEMO_AS_OF)
    for path in reversed(files) if backward else files:
        if path.suffix == ".csv":
            gateway.load(path.stem, path.read_bytes(), path.name)
        else:
            messages = [(raw, "test") for raw in split_messages(path.read_bytes()).messages]
            gateway.accept(messages[::-1] if backward else messages)
        if backward:
            compose(gateway)
    compose(gateway)
    found = {(v.resource_type, v.id): v.body and without_meta(v.body) for v in gateway.embedded.history()}
    gateway.close()
    return {at: body for at, body in found.items() if body is not None}


def everything(gateway: Gateway) -> tuple[object, ...]:
    """Counts of all kinds, every version that was ever written, and every gap."""
    with reading(gateway.engine) as connection:
        versions = connection.execute(select(RESOURCE_VERSION).order_by(RESOURCE_VERSION.c.seq)).all()
        return backlog(connection), versions, found(gateway), gaps(gateway)


@pytest.mark.parametrize(("now", "start"), [
    ("2026-03-31T12:00:00-04:00", "2025-12-31"), ("2026-03-31T11:59:59-04:00", "2025-12-30"),
    ("2026-04-01T11:59:59-04:00", "2025-12-31"), ("2026-03-31T22:00:00-04:00", "2025-12-31")])
def test_the_network_ends_at_the_latest_noon_that_is_over(tmp_path: Path, now: str, start: str) -> None:
    gateway = Gateway(Settings(data_dir=tmp_path, key="d3" * 32), clock=lambda: datetime.fromisoformat(now))
    load_demonstration(gateway, ended=lambda: True)
    with reading(gateway.engine) as connection:
        assert journal.cursor(connection, "demonstration") == f"loading {start}"
    gateway.close()
