"""The rule about the record that a new coordinator reads (G22) at its boundary instants."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from tests.unit.gap_evidence import NOON, about, coded, concept, enrollment, ref, verdicts
from tests.unit.gap_network import Resource
from tests.unit.gap_network_review import PARTS

DORA = ref("Practitioner", "dora")


def verdict(engine: Engine, since: str, *resources: Resource, now: str = NOON) -> dict[str, str]:
    """What the rule says of member p, whose coordinator is dora since that day."""
    dora: Resource = {"role": coded("care-team-role", "care-coordinator"), "member": DORA, "period": {"start": since}}
    team = about("CareTeam", "t", status="active", participant=[dora])
    return verdicts(engine, "G22", now, {"resourceType": "Patient", "id": "p"}, team, enrollment(), *resources)


def met(when: str) -> Resource:
    return about("Encounter", "k", status="finished", type=coded("contact-type", "telephone"), period={"start": when},
                 participant=[{"individual": DORA}])


def read(when: str, *parts: str) -> Resource:
    reviewed = concept("task-output", "reviewed")
    output = [{"type": reviewed, "valueCodeableConcept": concept("record-part", part)} for part in parts]
    return about("Task", "w", "for", status="completed", code=concept("task-code", "record-review"), output=output,
                 owner=DORA, executionPeriod={"end": when})


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


def test_g22_neither_another_part_nor_another_kind_of_output_counts(sqlite: Engine):
    contact, in_part = met("2026-06-03T10:00:00-04:00"), {"Practitioner/dora": "reviewed-in-part"}
    assert verdict(sqlite, "2026-06-01", contact, read("2026-06-02", *PARTS[:2], "images")) == in_part
    two = read("2026-06-02", *PARTS[:2])
    two["output"].append({"type": concept("task-output", "screened"), "valueCodeableConcept": concept("record-part", PARTS[2])})
    assert verdict(sqlite, "2026-06-01", contact, two) == in_part
