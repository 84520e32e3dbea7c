"""Whose record is it: a pure function of the set of links, and inferred links never decide by coming first."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from adapter.identity.links import CROSSWALK, INFERRED, OPERATOR_UNLINK, Link
from adapter.identity.persons import Person, alone, resolve

MEMBER = "urn:member"


def link(patient: str, other: str, kind: str = INFERRED, at: int = 0) -> Link:
    return Link(patient=patient, other=other, kind=kind, order=(at, 0, 0, 0))


def persons(links: list[Link], records: set[str] | None = None, patients: set[str] | None = None) -> dict[str, Person]:
    everyone = (patients or set()).union(*((n.patient, n.other) for n in links))
    return resolve(everyone, links, everyone if records is None else records, (MEMBER,))


# --- parts


def test_one_identifier_is_one_person() -> None:
    assert persons([], patients={"a|1"}) == {"a|1": alone("a|1")}


def test_inferred_links_join_systems() -> None:
    found = persons([link("a|1", "b|1"), link("b|1", "c|1")])
    assert found["a|1"] is found["c|1"]
    assert found["a|1"].members == {"a|1", "b|1", "c|1"}
    assert found["a|1"].issues == ()


def test_a_crosswalk_joins_two_numbers_of_one_system() -> None:
    assert persons([link("a|1", "a|2", "crosswalk")])["a|1"].members == {"a|1", "a|2"}


# --- inferred links that contradict each other


def test_a_conflict_drops_every_inferred_link_of_the_part_whichever_came_first() -> None:
    links = [link("a|1", "b|9"), link("a|2", "b|9"), link("b|9", "c|5")]
    for given_links in (links, links[::-1], [*links, links[0]]):
        found = persons(given_links)
        assert {n: p.members for n, p in found.items()} == {n: frozenset([n]) for n in ("a|1", "a|2", "b|9", "c|5")}
        assert all([i.code for i in p.issues] == ["identity-conflict"] for p in found.values())


def test_explicit_links_outlive_a_conflict() -> None:
    found = persons([link("a|1", "b|9"), link("a|2", "b|9"), link("a|2", "c|5", "crosswalk")])
    assert found["a|2"].members == {"a|2", "c|5"}
    assert found["b|9"].members == {"b|9"}


def test_two_numbers_that_a_merge_joined_are_no_conflict() -> None:
    found = persons([link("a|1", "b|9"), link("a|2", "b|9"), link("a|1", "a|2", "A40", 5)])
    assert found["a|1"].members == {"a|1", "a|2", "b|9"}
    assert found["a|1"].issues == ()


def test_a_conflict_elsewhere_touches_nobody_else() -> None:
    found = persons([link("a|1", "b|9"), link("a|2", "b|9"), link("x|1", "y|1")])
    assert found["x|1"].members == {"x|1", "y|1"}
    assert found["x|1"].issues == ()


# --- unlinks


def cut(patient: str, other: str, kind: str, at: int) -> Link:
    return Link(patient=patient, other=other, kind=kind, order=(at, 0, 0, 0), cut=True)


def test_an_unlinked_pair_is_not_joined_by_inference_through_a_third_number() -> None:
    through = [link("a|1", "b|9"), link("b|9", "c|5")]
    for kind in ("A37", OPERATOR_UNLINK):
        found = persons([*through, cut("a|1", "c|5", kind, 3)])
        assert {n: p.members for n, p in found.items()} == {n: frozenset([n]) for n in ("a|1", "b|9", "c|5")}
        assert all([i.code for i in p.issues] == ["identity-conflict"] for p in found.values())


def test_an_operator_alone_undoes_a_crosswalk_and_whenever_it_was_stated() -> None:
    for at in (1, 9):
        stated = link("a|1", "b|9", CROSSWALK, at)
        assert persons([stated, cut("a|1", "b|9", OPERATOR_UNLINK, 5)])["a|1"].members == {"a|1"}
        assert persons([stated, cut("a|1", "b|9", "A37", 5)])["a|1"].members == {"a|1", "b|9"}


# --- merges


def test_a_merge_runs_from_loser_to_survivor() -> None:
    found = persons([link("a|1", "a|2", "A40")])
    assert (found["a|2"].main, dict(found["a|2"].merged)) == ("a|1", {"a|2": "a|1"})


def test_merges_in_a_chain_end_at_the_last_survivor() -> None:
    found = persons([link("a|2", "a|1", "A40", 1), link("a|3", "a|2", "A40", 2)])
    assert {p.main for p in found.values()} == {"a|3"}
    assert dict(found["a|1"].merged) == {"a|1": "a|2", "a|2": "a|3"}


def test_of_two_merges_of_one_loser_the_latest_statement_stands() -> None:
    links = [link("a|1", "a|9", "A40", 5), link("a|2", "a|9", "A40", 7)]
    for given_links in (links, links[::-1]):
        assert persons(given_links)["a|9"].merged["a|9"] == "a|2"


def test_in_a_circle_the_latest_statement_wins_and_it_is_told() -> None:
    there, back = link("a|1", "a|2", "A40", 1), link("a|2", "a|1", "A40", 2)
    for links in ([there, back], [back, there]):
        person = persons(links)["a|1"]
        assert (person.main, dict(person.merged)) == ("a|2", {"a|1": "a|2"})
        assert [i.code for i in person.issues] == ["merge-loop"]


def test_in_a_longer_circle_the_survivor_of_the_latest_is_main() -> None:
    links = [link("a|2", "a|1", "A40", 1), link("a|3", "a|2", "A40", 2), link("a|1", "a|3", "A40", 3)]
    person = persons(links)["a|1"]
    assert person.main == "a|1"
    assert "a|1" not in person.merged
    assert person.merged["a|3"] == "a|1"


def test_a_record_merged_into_itself_says_nothing() -> None:
    assert dict(persons([link("a|1", "a|1", "A40")])["a|1"].merged) == {}


# --- who is main


def test_main_is_no_loser_then_has_a_record_then_by_priority_then_the_smallest() -> None:
    assert persons([link("b|1", f"{MEMBER}|7")])["b|1"].main == f"{MEMBER}|7"
    assert persons([link("b|1", f"{MEMBER}|7")], records={"b|1"})["b|1"].main == "b|1"
    assert persons([link("b|1", "a|1")])["b|1"].main == "a|1"
    assert persons([link("b|1", f"{MEMBER}|7", "A40")])["b|1"].main == "b|1"


def test_records_are_those_that_have_one() -> None:
    assert persons([link("a|1", "b|1")], records={"b|1", "z|1"})["a|1"].records == {"b|1"}


# --- a pure function of the set

IDS = st.sampled_from([f"{s}|{n}" for s in ("a", "b", MEMBER) for n in (1, 2, 3)])
LINKS = st.lists(
    st.builds(link, IDS, IDS, st.sampled_from([INFERRED, INFERRED, "crosswalk", "A40"]), st.integers(0, 4)), max_size=10
)


@given(LINKS, st.sets(IDS), st.randoms())
def test_persons_are_a_function_of_the_set_of_links(links: list[Link], records: set[str], random: Any) -> None:
    expected = resolve(records, links, records, (MEMBER,))
    shuffled = [*links, *links[:3]]
    random.shuffle(shuffled)
    assert resolve(sorted(records, reverse=True), shuffled, records, (MEMBER,)) == expected


@given(LINKS, st.sets(IDS))
def test_every_identifier_has_one_person_and_persons_do_not_overlap(links: list[Link], records: set[str]) -> None:
    found = resolve(records, links, records, (MEMBER,))
    assert found.keys() == records.union(*((n.patient, n.other) for n in links))
    for name, person in found.items():
        assert name in person.members
        assert person.main in person.members
        assert all(found[m] is person or found[m] == person for m in person.members)
        assert person.main not in person.merged or person.merged.keys() == person.members
        for loser in person.merged:
            node, steps = loser, 0
            while node in person.merged:
                node, steps = person.merged[node], steps + 1
                assert steps <= len(person.merged), "a circle of merges is left"


@given(LINKS)
def test_no_two_values_of_one_system_are_joined_by_inference_alone(links: list[Link]) -> None:
    found = resolve((), links, (), ())
    explicit = resolve((), [n for n in links if n.kind != INFERRED], (), ())
    for person in found.values():
        pieces = {explicit[m].members if m in explicit else frozenset([m]) for m in person.members}
        systems = [s for piece in pieces for s in {m.rpartition("|")[0] for m in piece}]
        assert len(systems) == len(set(systems))
