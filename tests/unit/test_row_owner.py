"""Rows own what they state: a goal that moved stands in one plan, a seat whose beginning was corrected in one seat.

Whatever the order and repetition of the versions of rows, and however they are batched, the end is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from adapter.engine.local import apply
from adapter.feeds import Feeds, open_feeds
from adapter.gaps.tables import prepare
from adapter.mapping.rows import map_row
from adapter.model import Contribution, Json
from adapter.parse.rows_contract import load_contract
from adapter.pipeline import compose_all
from adapter.store.engine import migrate, open_engine, reading, writing
from adapter.store.schema import METADATA, RESOURCE

GOAL = {"goal_id": "G1", "member_id": "M1", "description": "Rest", "lifecycle_status": "active"}
SEAT = {"member_id": "M1", "organization_id": "A", "npi": "2000001018", "first_name": "Odile", "last_name": "Marlwick",
        "role": "lead-coordinator", "start_date": "2026-01-12", "seat_id": "S1"}
MEMBER = {"member_id": "M1", "first_name": "Ada", "last_name": "Ashgrove", "birth_date": "1990-01-01"}
Version = tuple[str, dict[str, str]]


@cache
def feeds() -> Feeds:
    return open_feeds(Path(__file__).parents[2] / "mappings")


def said(feed: str, cells: dict[str, str], hour: int, columns: Sequence[str] = ()) -> list[Contribution]:
    """What a row states that was stated at that hour of a day, in a file of all columns unless some are named."""
    row = {**cells, "updated_at": f"2026-03-01T{hour:02d}:00:00+00:00"}
    has = columns or tuple(load_contract(feed).columns)
    return list(map_row({k: v for k, v in row.items() if v and k in has}, 2, f"{feed}|{hour}", feeds().named(feed), 10**15,
                        columns=has).contributions)


def standing(*versions: Version, types: str) -> list[Json]:
    """The resources of a type that versions of rows make, each an hour after the one before."""
    everything = [c for hour, (feed, cells) in enumerate(versions) for c in said(feed, cells, hour)]
    composed = compose_all(everything, (), feeds(), b"test", lambda names: names)
    return [c.body for c in composed if c.resource_type == types and not c.deleted]


def goals_of(plans: list[Json]) -> dict[str, list[str]]:
    return {plan["identifier"][0]["value"]: [goal["reference"] for goal in plan.get("goal", ())] for plan in plans}


def test_a_goal_that_moved_stands_in_one_plan() -> None:
    plans = goals_of(standing(("goals", {**GOAL, "plan_id": "P1"}), ("goals", {**GOAL, "goal_id": "G2", "plan_id": "P1"}),
                              ("goals", {**GOAL, "plan_id": "P2"}), types="CarePlan"))
    assert {plan: len(goals) for plan, goals in plans.items()} == {"P1": 1, "P2": 1}
    assert plans["P1"] != plans["P2"]


def test_a_plan_that_only_the_moved_goal_named_is_gone() -> None:
    assert list(goals_of(standing(("goals", {**GOAL, "plan_id": "P1"}), ("goals", {**GOAL, "plan_id": "P2"}),
                                  types="CarePlan"))) == ["P2"]


def test_a_goal_that_moved_back_stands_where_it_was() -> None:
    assert list(goals_of(standing(*(("goals", {**GOAL, "plan_id": p}) for p in ("P1", "P2", "P1")), types="CarePlan"))) == ["P1"]


def test_a_goal_without_a_plan_any_more_is_in_none() -> None:
    assert standing(("goals", {**GOAL, "plan_id": "P1"}), ("goals", {**GOAL, "plan_id": ""}), types="CarePlan") == []


def test_another_coverage_takes_the_place_of_the_one_before() -> None:
    first, then = ({**MEMBER, "program": "p", "payer_id": "A", "coverage_id": n} for n in ("C1", "C2"))
    (coverage,) = standing(("members", first), ("members", then), types="Coverage")
    assert coverage["subscriberId"] == "C2"
    other = {**first, "program": "q"}
    assert len(standing(("members", first), ("members", other), ("members", then), types="Coverage")) == 2


def test_a_corrected_beginning_is_the_same_seat_where_the_seat_has_an_id() -> None:
    corrected = {**SEAT, "start_date": "2026-01-15"}
    (team,) = standing(("care_team", SEAT), ("care_team", corrected), types="CareTeam")
    assert [p["period"]["start"] for p in team["participant"]] == ["2026-01-15"]
    without = [{**one, "seat_id": ""} for one in (SEAT, corrected)]
    (team,) = standing(*(("care_team", one) for one in without), types="CareTeam")
    assert len(team["participant"]) == 2


def test_a_seat_of_another_member_leaves_the_first_team() -> None:
    teams = standing(("care_team", SEAT), ("care_team", {**SEAT, "member_id": "M2"}), types="CareTeam")
    assert len(teams) == 1


def test_a_file_without_the_column_says_nothing_of_where_a_row_stands() -> None:
    first = said("members", {**MEMBER, "program": "p", "payer_id": "A", "coverage_id": "C1"}, 1)
    then = said("members", {**MEMBER, "program": "p"}, 2, ("member_id", "program", "first_name", "last_name", "birth_date"))
    composed = compose_all([*first, *then], (), feeds(), b"test", lambda names: names)
    assert [c.resource_type for c in composed if c.resource_type == "Coverage" and not c.deleted] == ["Coverage"]


def _versions() -> st.SearchStrategy[list[Version]]:
    goal = st.builds(lambda g, m, p: ("goals", {**GOAL, "goal_id": g, "member_id": m, "plan_id": p}),
                     st.sampled_from(["G1", "G2"]), st.sampled_from(["M1", "M2"]), st.sampled_from(["P1", "P2", ""]))
    seat = st.builds(lambda s, m, d: ("care_team", {**SEAT, "seat_id": s, "member_id": m, "start_date": d}),
                     st.sampled_from(["S1", "S2", ""]), st.sampled_from(["M1", "M2"]),
                     st.sampled_from(["2026-01-12", "2026-01-15"]))
    member = st.builds(lambda m, c: ("members", {**MEMBER, "member_id": m, "program": "p", "payer_id": "A", "coverage_id": c}),
                       st.sampled_from(["M1", "M2"]), st.sampled_from(["C1", "C2", ""]))
    return st.lists(st.one_of(goal, seat, member), min_size=2, max_size=7)


@pytest.fixture(name="engine", scope="module")
def _engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('rows') / 'rows.db'}")
    migrate(engine)
    with writing(engine) as connection:
        prepare(connection)
    yield engine
    engine.dispose()


def _end(engine: Engine, batches: Sequence[Sequence[Contribution]]) -> dict[tuple[str, str], Any]:
    """What stands after the batches, each in a transaction of its own, in a store that was empty."""
    with writing(engine) as connection:
        for table in reversed(METADATA.sorted_tables):
            connection.execute(table.delete())
    for batch in batches:
        with writing(engine) as connection:
            apply(connection, batch, feeds(), b"test", 10**15)
    with reading(engine) as connection:
        return {(r.resource_type, r.id): orjson.loads(r.body) for r in connection.execute(select(RESOURCE))
                if not r.deleted}


@given(_versions(), st.data())
@settings(max_examples=40)
def test_any_order_of_the_versions_ends_the_same(engine: Engine, versions: list[Version], drawn: st.DataObject) -> None:
    stated = [said(feed, cells, hour) for hour, (feed, cells) in enumerate(versions)]
    again = drawn.draw(st.lists(st.integers(0, len(stated) - 1), max_size=3))
    arrivals = drawn.draw(st.permutations([*range(len(stated)), *again]))
    expected = _end(engine, [[c for one in stated for c in one]])
    assert _end(engine, [stated[n] for n in arrivals]) == expected
    alone = compose_all([c for n in arrivals for c in stated[n]], (), feeds(), b"test", lambda names: names)
    assert {(c.resource_type, c.id) for c in alone if not c.deleted} == set(expected)
    last = {cells["goal_id"]: cells["plan_id"] for feed, cells in versions if feed == "goals"}
    named = [goal["reference"] for (kind, _), body in expected.items() if kind == "CarePlan" for goal in body.get("goal", ())]
    assert len(named) == len(set(named)) == sum(bool(plan) for plan in last.values())
