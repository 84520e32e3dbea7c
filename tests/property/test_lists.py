"""Lists of many persons: composed later, in parts, and after a crash they are what composing them with every batch gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from adapter.engine import lists as lists_of_many
from adapter.engine.local import apply
from adapter.feeds import Feeds, open_feeds
from adapter.gaps.tables import prepare
from adapter.mapping.rows import map_row
from adapter.model import Contribution, Order
from adapter.parse.rows_contract import load_contract
from adapter.store import lists
from adapter.store.engine import migrate, open_engine, reading, writing
from adapter.store.schema import FINDING, METADATA, RESOURCE, SEARCH_INDEX

NOW = 1_800_000_000_000_000


@cache
def feeds() -> Feeds:
    return open_feeds(Path(__file__).parents[2] / "mappings")


@pytest.fixture(name="engine", scope="module")
def _engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('lists') / 'lists.db'}")
    migrate(engine)
    with writing(engine) as connection:
        prepare(connection)
    yield engine
    engine.dispose()


def _row(member: str, organization: str, name: str, mrn: str, start: str, feed: str, hour: int) -> list[Contribution]:
    cells = {"member_id": member, "first_name": "Ada", "last_name": "Ashgrove", "birth_date": "1990-01-01", "program": "p",
             "attributed_org": organization, "attributed_org_name": name, "attribution_start": start, "mrn": mrn,
             "mrn_system": "urn:oid:1.2.3" if mrn else "", "updated_at": f"2026-03-01T{hour:02d}:00:00+00:00"}
    return list(map_row({k: v for k, v in cells.items() if v}, 2, f"{feed}|{hour}", feeds().named(feed), NOW,
                        columns=tuple(load_contract("members").columns)).contributions)


def _merge(survivor: str, loser: str, hour: int) -> list[Contribution]:
    """An operator, or a message, says that a member's record was merged into another's."""
    at = hour * 3_600_000_000 + 1_772_323_200_000_000
    return [Contribution(source="st-anne", resource_type="Link", key=f"urn:x-careloop:member|{survivor}", scope="own",
                         patient=f"urn:x-careloop:member|{survivor}", other=f"urn:x-careloop:member|{loser}", kind="link",
                         event="A40", message=f"m|{hour}",
                         order=Order(occurred=at, stated=at, sequence=0, rank=5, arrival=NOW + 2),
                         mapping="")]


_MEMBERS = st.sampled_from(["M1", "M2", "M3", "M4"])


@st.composite
def _batches(draw: st.DrawFn) -> list[list[Contribution]]:
    """Some rows and merges, stated an hour apart, in any order of arrival, in batches."""
    said: list[list[Contribution]] = []
    for hour in range(draw(st.integers(2, 9))):
        if draw(st.integers(0, 5)):
            said.append(_row(draw(_MEMBERS), draw(st.sampled_from(["A", "A", "B", ""])), draw(st.sampled_from(["", "Maple"])),
                             draw(st.sampled_from(["", "", "700", "701"])), draw(st.sampled_from(["", "2026-01-01"])),
                             "members", hour))
        else:
            survivor, loser = draw(st.sampled_from([("M1", "M2"), ("M2", "M3"), ("M4", "M1")]))
            said.append(_merge(survivor, loser, hour))
    arrivals = draw(st.permutations(said))
    batches: list[list[Contribution]] = []
    for one in arrivals:
        if not batches or draw(st.booleans()):
            batches.append([])
        batches[-1] += one
    return batches


def _empty(engine: Engine) -> None:
    with writing(engine) as connection:
        for table in reversed(METADATA.sorted_tables):
            connection.execute(table.delete())
        connection.exec_driver_sql("DELETE FROM view_group_member")


def _state(engine: Engine) -> list[Any]:
    """What stands and is found, also of the tables that rules read; not the versions, nor who said what in the last of them."""
    r, s, f = RESOURCE.c, SEARCH_INDEX.c, FINDING.c
    with reading(engine) as connection:
        queries = (select(r.resource_type, r.id, r.key, r.person, r.hash, r.body).where(r.deleted == 0),
                   select(s.resource_type, s.id, s.param, s.value, s.low, s.high), select(f.subject, f.code, f.place, f.detail))
        found = [sorted(map(repr, connection.execute(query).all())) for query in queries]
        return [*found, sorted(map(repr, connection.exec_driver_sql("SELECT * FROM view_group_member").all()))]


def _at_once(engine: Engine, batches: Sequence[Sequence[Contribution]]) -> list[Any]:
    _empty(engine)
    for batch in batches:
        with writing(engine) as connection:
            apply(connection, batch, feeds(), b"test", NOW)
    return _state(engine)


def _differences(left: list[Any], right: list[Any]) -> list[Any]:
    """What only one of two states has."""
    return [sorted(set(a) ^ set(b)) for a, b in zip(left, right, strict=True) if a != b]


class _Killed(Exception):
    """The process ended here."""


def _compose_noted(engine: Engine, *, kill: bool = False, at_once: int = lists_of_many.AT_ONCE) -> None:
    with reading(engine) as connection:
        noted = lists.stale(connection)
    for one in noted:
        try:
            with writing(engine) as connection:
                lists_of_many.compose_list(connection, one, feeds(), b"test", NOW, at_once=at_once)
                if kill:
                    raise _Killed
        except _Killed:
            return


@given(_batches(), st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lists_composed_later_are_those_composed_at_once(
        engine: Engine, batches: list[list[Contribution]], drawn: st.DataObject) -> None:
    expected = _at_once(engine, batches)
    _empty(engine)
    for batch in batches:
        with writing(engine) as connection:
            apply(connection, batch, feeds(), b"test", NOW, later=True)
        if drawn.draw(st.booleans()):
            _compose_noted(engine, kill=drawn.draw(st.booleans()))
    _compose_noted(engine)
    assert _differences(_state(engine), expected) == []
    with reading(engine) as connection:
        assert lists.stale(connection) == []


@given(_batches())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_list_read_in_parts_is_the_one_read_whole(engine: Engine, batches: list[list[Contribution]]) -> None:
    expected = _at_once(engine, batches)
    _empty(engine)
    with writing(engine) as connection:
        apply(connection, [c for batch in batches for c in batch], feeds(), b"test", NOW, later=True)
    _compose_noted(engine, at_once=1)
    assert _differences(_state(engine), expected) == []
