"""The account of a leaf that counts only with, or without, another component: told as it is, never lost without a reason."""

from __future__ import annotations

import re

import pytest

from adapter.model import Json
from tests.unit.test_segments_person import OTHER, PV1, adt, converted, one

OLD, NEWER = "20200101&20210101", "20220101^20230101"


def entries(raw: bytes, *places: str) -> list[Json]:
    """What the loss report says of some places."""
    leaves = {leaf["place"]: leaf for leaf in converted(raw).loss["leaves"]}
    return [leaves[place] for place in places]


def test_an_older_range_of_validity_goes_where_the_newer_dates_say_more() -> None:
    raw = adt(PV1, pid={5: f"Tarnhill^Bess^^^^^L^^^{OLD}^^{NEWER}", 11: f"1 Main^^Troy^NY^12180^USA^H^^^^^{OLD}^{NEWER}"})
    for entry in entries(raw, "PID-5.10.1", "PID-5.10.2", "PID-11.12.1", "PID-11.12.2"):
        assert (entry["status"], "newer form" in entry["reason"]) == ("dropped", True)
    assert one(raw, "Patient")["name"][0]["period"] == {"start": "2022-01-01", "end": "2023-01-01"}


def test_a_range_fills_the_end_that_no_newer_date_gives() -> None:
    raw = adt(PV1, pid={5: f"Tarnhill^Bess^^^^^L^^^{OLD}^^20200601"})
    assert one(raw, "Patient")["name"][0]["period"] == {"start": "2020-06-01", "end": "2021-01-01"}
    told, kept = entries(raw, "PID-5.10.1", "PID-5.10.2")
    assert (told["status"], kept["status"]) == ("dropped", "mapped")


@pytest.mark.parametrize(("organization", "status"), [("North Clinic^^^^^NORTH^XX", "dropped"),
                                                      ("North Clinic^^77^^^NORTH^XX", "mapped"),
                                                      ("North Clinic^^^^^NORTH^XX^^^77", "mapped")])
def test_the_authority_of_an_organization_without_number_has_nothing_to_stand_at(organization: str, status: str) -> None:
    for entry in entries(adt(f"PD1|||{organization}", PV1), "PD1-3.6", "PD1-3.7"):
        assert entry["status"] == status


def test_components_of_a_doctor_s_name_count_alike() -> None:
    doctor = OTHER.split("^") + [""] * 12
    doctor[16], doctor[18] = OLD, "20200601"
    fields = PV1.split("|")
    fields[7] = "^".join(doctor)
    told, kept = entries(adt("|".join(fields)), "PV1-7.17.1", "PV1-7.17.2")
    assert (told["status"], kept["status"]) == ("dropped", "mapped")


def test_what_nobody_states_is_not_told_as_mapped() -> None:
    raw = adt(PV1, "IN1|1|GOLD|77||5 Pay Street^^Troy^NY|Kay^Ann|555-0100||||||||||Tarnhill^Bess|SEL")
    conversion = converted(raw)
    standing: dict[str, set[str]] = {}
    for entry in conversion.bundle["entry"]:
        standing.setdefault(entry["resource"]["resourceType"], set()).update(entry["resource"])
    for leaf in conversion.loss["leaves"]:
        if leaf["status"] == "mapped":
            kind, _, path = leaf["element"].rpartition(" -> ")[2].partition(".")
            top = re.split(r"[^A-Za-z]", path)[0]
            assert any(name.lstrip("_").startswith(top) for name in standing[kind]), leaf


def test_a_null_that_takes_a_resource_back_is_told() -> None:
    (entry,) = entries(adt(PV1, pid={27: '""'}), "PID-27.1")
    assert entry == {"place": "PID-27.1", "status": "dropped", "reason": "takes back the Observation that the field made"}
