"""The rule about the record that a new coordinator reads (G22): against the oracle, and at its boundary instants."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from sqlalchemy import Engine

from adapter.gaps.engine import evaluate
from tests.servers import postgres_url
from tests.unit.gap_checks import SLOW, agree, holding, never_seen, store
from tests.unit.gap_network import Resource, networks
from tests.unit.gap_network_review import PARTS, SUBJECTS

N = "urn:x-careloop:"
NOON = "2026-06-15T12:00:00-04:00"


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return store(f"sqlite:///{tmp_path_factory.mktemp('gaps') / 'gaps.db'}")


@given(networks(SUBJECTS))
@settings(SLOW, max_examples=300)
def test_the_rule_says_what_the_oracle_says(sqlite: Engine, drawn: tuple[datetime, list[Resource]]):
    agree(sqlite, *drawn)


@pytest.mark.postgres
@given(networks(SUBJECTS))
@settings(SLOW, max_examples=50)
def test_the_rule_says_the_same_on_postgresql(drawn: tuple[datetime, list[Resource]]):
    agree(store(postgres_url()), *drawn)


def test_the_networks_bring_about_every_verdict(sqlite: Engine):
    assert never_seen(sqlite, SUBJECTS, ("G22",)) == set()


def about(kind: str, name: str, element: str = "subject", **body: Any) -> Resource:
    return {"resourceType": kind, "id": name, element: {"reference": "Patient/p"}, **body}


def coded(system: str, code: str) -> Resource:
    return {"coding": [{"system": N + system, "code": code}]}


def verdict(engine: Engine, since: str, *resources: Resource, now: str = NOON) -> dict[str, str]:
    """What the rule says of member p, whose coordinator is dora since that day."""
    dora: Resource = {"role": [coded("care-team-role", "care-coordinator")], "member": {"reference": "Practitioner/dora"},
                      "period": {"start": since}}
    whole = [{"resourceType": "Patient", "id": "p"}, about("CareTeam", "t", status="active", participant=[dora]),
             about("EpisodeOfCare", "e", "patient", status="active", type=[coded("program", "care-coordination")]), *resources]
    with holding(engine, whole) as connection:
        return {gap.item: gap.verdict for gap in evaluate(connection, now=datetime.fromisoformat(now), rule="G22")}


def met(when: str) -> Resource:
    return about("Encounter", "k", status="finished", type=[coded("contact-type", "telephone")], period={"start": when},
                 participant=[{"individual": {"reference": "Practitioner/dora"}}])


def read(when: str, *parts: str) -> Resource:
    output = [{"type": coded("task-output", "reviewed"), "valueCodeableConcept": coded("record-part", part)} for part in parts]
    return about("Task", "w", "for", status="completed", code=coded("task-code", "record-review"), output=output,
                 owner={"reference": "Practitioner/dora"}, executionPeriod={"end": when})


@pytest.mark.parametrize(("now", "found"), [
    ("2026-05-30T23:59:59-04:00", {"Practitioner/dora": "review-due"}), ("2026-05-31T00:00:00-04:00", {"": "nobody-new"})])
def test_g22_a_coordinator_is_new_for_90_days(sqlite: Engine, now: str, found: dict[str, str]):
    assert verdict(sqlite, "2026-03-01", now=now) == found


@pytest.mark.parametrize(("when", "found"), [
    ("2026-06-03T10:00:00-04:00", "reviewed"), ("2026-06-03T10:00:01-04:00", "reviewed-late"), ("2026-06-03", "reviewed"),
    ("2026-05-02", "reviewed"), ("2026-05-01", "not-reviewed")])  # up to 30 days before the assignment
def test_g22_the_record_is_read_before_the_first_contact(sqlite: Engine, when: str, found: str):
    whole = verdict(sqlite, "2026-06-01", met("2026-06-03T10:00:00-04:00"), read(when, *PARTS))
    assert whole == {"Practitioner/dora": found}


def test_g22_all_parts_are_read_and_named(sqlite: Engine):
    contact = met("2026-06-03T10:00:00-04:00")
    assert verdict(sqlite, "2026-06-01", contact, read("2026-06-02", *PARTS[:2])) == {"Practitioner/dora": "reviewed-in-part"}
    assert verdict(sqlite, "2026-06-01", contact, read("2026-06-02")) == {"Practitioner/dora": "parts-not-told"}
    assert verdict(sqlite, "2026-06-01", contact) == {"Practitioner/dora": "not-reviewed"}
    assert verdict(sqlite, "2026-06-01") == {"Practitioner/dora": "review-due"}
