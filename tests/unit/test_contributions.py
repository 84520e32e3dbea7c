"""Contributions in the database: repeated snapshots kept once, everything else each; what is read is what was said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from adapter.compose.fold import fold
from adapter.model import Contribution
from adapter.store import contributions as stored
from adapter.store import persons as stored_persons
from adapter.store.engine import migrate, open_engine, writing
from adapter.store.schema import CONTRIBUTION
from tests.unit.statements import admit, cancel, order, said


@pytest.fixture(name="connection", scope="module")
def _connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('store') / 'careloop.db'}")
    migrate(engine)
    with writing(engine) as connection:
        yield connection
    engine.dispose()


@pytest.fixture(name="store")
def _store(connection: Connection) -> Connection:
    """An empty table."""
    connection.execute(CONTRIBUTION.delete())
    return connection


def kept(store: Connection) -> list[Contribution]:
    return sorted(stored.by_keys(store, [("Encounter", "visits|1")]), key=lambda c: c.message)


def counts(store: Connection) -> list[int]:
    return sorted(store.scalars(select(CONTRIBUTION.c.times)))


def test_what_is_read_is_what_was_said(store: Connection) -> None:
    given_ones = [
        said({"a": None, "b#x": [{"ä": "…"}]}, 5, 4, sequence=3, arrival=9, scope="person", patient="mrn|ö/1"),
        admit(600),
        cancel("A11", 700, 600),
        said({"a": 1}, 8, by="sequence", message="m"),
    ]
    assert stored.add(store, given_ones) == given_ones
    assert kept(store) == sorted(given_ones, key=lambda c: c.message)


def test_a_repeated_snapshot_is_kept_once_with_the_last_order_and_a_count(store: Connection) -> None:
    first, second = said({"a": 1}, 5, message="m1"), said({"a": 1}, 9, message="m2", event="A31")
    assert stored.add(store, [first]) == [first]
    assert stored.add(store, [second]) == []
    assert (kept(store), counts(store)) == ([second], [2])
    assert stored.add(store, [said({"a": 1}, 7, message="m3")]) == []
    assert (kept(store), counts(store)) == ([second], [3])


def test_also_within_one_call(store: Connection) -> None:
    three = [said({"a": 1}, n, message=f"m{n}") for n in (5, 9, 7)]
    assert stored.add(store, three) == [three[1]]
    assert (kept(store), counts(store)) == ([three[1]], [3])


@pytest.mark.parametrize(
    "other",
    [
        {"source": "x"},
        {"key": "visits|2"},
        {"patient": "mrn|2"},
        {"visit": "v|2"},
        {"mapping": "m2"},
        {"scope": "person"},
        {"body": {"a": 2}},
        {"body": {"a": None}},
        {"resource_type": "Patient"},
    ],
)
def test_what_differs_anywhere_is_another(store: Connection, other: dict[str, object]) -> None:
    first = said({"a": 1}, 5)
    second = replace(first, message="m2", **other)  # pyright: ignore[reportArgumentType]  # one field each, of its own type
    assert stored.add(store, [first, second]) == [first, second]
    assert counts(store) == [1, 1]


def test_effects_cancels_and_merges_are_kept_each(store: Connection) -> None:
    link = replace(said({}, 5, kind="link", event="A40"), resource_type="Link", other="mrn|2")
    pairs = [
        admit(600, message="a"),
        admit(600, message="b"),
        cancel("A11", 700, 600, message="a"),
        cancel("A11", 700, 600, message="b"),
        replace(link, message="a"),
        replace(link, message="b"),
    ]
    assert len(stored.add(store, pairs)) == 6
    assert counts(store) == [1] * 6


def test_a_link_that_each_message_states_is_kept_once_for_each_kind(store: Connection) -> None:
    link = replace(said({}, 5, kind="link", event="inferred"), resource_type="Link", other="mrn|2")
    assert len(stored.add(store, [replace(link, message="a"), replace(link, message="b")])) == 1
    assert stored.add(store, [replace(link, message="c")]) == []
    assert len(stored.add(store, [replace(link, event="crosswalk")])) == 1
    assert sorted(counts(store)) == [1, 3]


def test_statements_leave_links_out_and_links_come_with_all_they_connect(store: Connection) -> None:
    link = replace(said({}, 5, kind="link", event="inferred"), resource_type="Link")
    chain = [replace(link, key=f"s|{n}", patient=f"s|{n}", other=f"s|{n + 1}", message=f"m{n}") for n in range(5)]
    stored.add(store, [*chain, said({"a": 1}, 1, patient="s|1")])
    assert [c.kind for c in stored.by_patients(store, ["s|1"])] == ["snapshot"]
    assert {(n.patient, n.other) for n in stored_persons.links_around(store, {"s|3"})} == {(c.patient, c.other) for c in chain}
    assert stored_persons.links_around(store, {"t|1"}) == []


def test_statements_of_others_only(store: Connection) -> None:
    two = [said({"a": 1}, 1, patient="s|1"), said({"a": 1}, 2, patient="s|2")]
    stored.add(store, two)
    assert [c.patient for c in stored.by_keys(store, [("Encounter", "visits|1")], besides={"s|1"})] == ["s|2"]
    many = {f"s|{n}" for n in range(2, 900)}
    assert [c.patient for c in stored.by_keys(store, [("Encounter", "visits|1")], besides=many)] == ["s|1"]


def test_more_keys_than_a_statement_may_bind(store: Connection) -> None:
    many = [said({"a": 1}, 1, key=f"visits|{n}", message=f"m{n}") for n in range(1500)]
    assert len(stored.add(store, many)) == 1500
    assert stored.add(store, many) == []
    assert len(list(stored.by_keys(store, [("Encounter", c.key) for c in many]))) == 1500


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 2), st.booleans()), min_size=1, max_size=8, unique_by=lambda t: t[0]),
    st.data(),
)
@settings(max_examples=30)
def test_keeping_a_repeated_snapshot_once_changes_no_fold(
    connection: Connection, told: Sequence[tuple[int, int, bool]], data: st.DataObject
) -> None:
    """A, B, A is A: only the last matters, in whatever portions and order they came."""
    everything = [said({"a": value} if whole else {"a": value, "b": value}, at) for at, value, whole in told]
    connection.execute(CONTRIBUTION.delete())
    shuffled = data.draw(st.permutations(everything))
    cut = data.draw(st.integers(0, len(shuffled)))
    stored.add(connection, shuffled[:cut])
    stored.add(connection, shuffled[cut:])
    expected = fold(everything).slots
    assert {n: (s.value, s.order) for n, s in fold(kept(connection)).slots.items()} == {
        n: (s.value, s.order) for n, s in expected.items()
    }


def test_the_order_of_a_feed_by_arrival_is_kept_too(store: Connection) -> None:
    late = replace(said({"a": 1}, 1, message="m2"), order=order(1, arrival=9, by="arrival"))
    stored.add(store, [replace(said({"a": 1}, 8, message="m1"), order=order(8, arrival=3, by="arrival"))])
    stored.add(store, [late])
    assert kept(store) == [late]
