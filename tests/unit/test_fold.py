"""What one source says now: any order of arrival gives the same, effects follow what happened, cancels take back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.compose.fold import fold
from adapter.compose.merge import natural
from adapter.model import Contribution, Json, Kind, OrderBy
from tests.unit.statements import admit, cancel, discharge, place, said, transfer


def values(contributions: Sequence[Contribution]) -> dict[str, Any]:
    """What the fold says, without who said it."""
    return {slot: s.value for slot, s in fold(contributions).slots.items()}


def beds(contributions: Sequence[Contribution]) -> list[tuple[str, str]]:
    """The places, each with its status."""
    slots = fold(contributions).slots
    return [(entry["location"]["reference"].partition("|")[2], entry.get("status", ""))
            for slot in sorted(slots, key=natural) if slot.startswith("location#") for entry in slots[slot].value or []]


def codes(contributions: Sequence[Contribution]) -> list[str]:
    return [i.code for i in fold(contributions).issues]


# --- any order, any number

SLOTS = ("class", "period.end", "telecom#PID-13", "telecom#PID-14")
BODIES = st.dictionaries(st.sampled_from(SLOTS), st.one_of(st.none(), st.integers(0, 3)), min_size=1, max_size=3)
COURSES = st.fixed_dictionaries({}, optional={
    "status": st.sampled_from(["planned", "in-progress", "onleave", "finished"]),
    **dict.fromkeys((f"location#PV1-{n}" for n in (3, 6, 11, 42, 43)),
                    st.one_of(st.none(), st.sampled_from("ABC").map(lambda bed: [place(bed)])))})


@st.composite
def distinct(draw: st.DrawFn) -> list[Contribution]:
    """Contributions of every kind whose order keys differ before arrival comes into it."""
    found: list[Contribution] = []
    for stated in draw(st.lists(st.integers(0, 40), min_size=1, max_size=8, unique=True)):
        kind = draw(st.sampled_from(["snapshot", "snapshot", "effect", "effect", "cancel", "withdraw"]))
        body = {**draw(BODIES), **draw(COURSES)}
        more = {"arrival": draw(st.integers(0, 9)), "sequence": draw(st.integers(0, 3))}
        if kind == "snapshot":
            found.append(said(body, stated, **more))
        elif kind == "withdraw":
            found.append(said({}, stated, kind="withdraw", **more))
        elif kind == "effect":
            event = draw(st.sampled_from(["A01", "A04", "A02", "A03", "A05", "A06", "A09", "A10", "A15", "A21"]))
            # an effect's own time differs from all others': two a minute apart, whole minutes for what was stated
            found.append(
                said(
                    body,
                    stated * 100,
                    stated * 100 - draw(st.integers(0, 3)) * 1000 - stated,
                    kind="effect",
                    event=event,
                    **more,
                )
            )
        else:
            event = draw(st.sampled_from(["A11", "A13"]))
            effects = [c.order.occurred for c in found if c.kind == "effect"]
            of = draw(st.one_of(st.none(), st.sampled_from(effects))) if effects else None
            found.append(cancel(event, stated * 100 + 50, of, **more))
    return found


@given(distinct(), st.data())
def test_any_permutation_and_duplication_says_the_same(contributions: list[Contribution], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(contributions), max_size=4))
    shuffled = data.draw(st.permutations([*contributions, *again]))
    expected, found = fold(contributions), fold(shuffled)
    assert found.slots == expected.slots
    assert found.issues == expected.issues


@given(
    st.lists(st.tuples(BODIES, st.sampled_from(["snapshot", "effect"])), min_size=2, max_size=6),
    st.integers(1, 3),
    st.randoms(),
)
def test_even_ties_do_not_hang_on_the_order_they_are_read_in(bodies: list[tuple[Json, Kind]], each: int, random: Any) -> None:
    """each: how many statements of one message are about it, as where it names two visits that are one."""
    told = [said(body, 10, kind=kind, arrival=n // each, message=f"m{n // each}") for n, (body, kind) in enumerate(bodies)]
    shuffled = list(told)
    random.shuffle(shuffled)
    assert fold(shuffled).slots == fold(told).slots
    assert sorted(codes(shuffled)) == sorted(codes(told))


# --- snapshots and effects


def test_a_snapshot_stands_by_when_it_was_stated_and_an_effect_by_when_it_happened() -> None:
    admission, update = admit(600), said({"telecom#PID-13": ["noon"]}, 720)
    late = [said({"telecom#PID-13": ["next day"]}, 2000, 690, event="A03"), discharge(690, 2000)]
    after = transfer(700)
    found = values([*late, update, admission])
    assert found["telecom#PID-13"] == ["next day"]
    assert (found["status"], found["period.end"], found["period.start"]) == ("finished", "t690", "t600")
    assert beds([*late, update, admission]) == [("bed-600", "completed")]
    assert beds([after, *late, admission]) == [("bed-600", "completed")]


def test_a_repeated_bed_in_an_update_moves_nobody_however_late() -> None:
    update = said({"location#PV1-3": [place("elsewhere")], "class": "AMB", "status": "planned", "period.end": "x"}, 5000)
    found = values([update, admit(600)])
    assert found.keys() == {"status", "location#PV1-3", "period.start", "class"}
    assert (found["status"], found["period.start"], found["class"]) == ("in-progress", "t600", "AMB")
    assert beds([update, admit(600)]) == [("bed-600", "active")]


def test_updates_alone_give_what_they_say_of_the_course() -> None:
    assert values([said({"status": "planned", "period.end": "x"}, 1)]) == {"status": "planned", "period.end": "x"}


def test_a_late_admission_does_not_reopen_what_a_discharge_ended() -> None:
    assert values([discharge(700), admit(600, 9000)])["status"] == "finished"


def test_rank_decides_between_equal_times() -> None:
    assert values([discharge(600), admit(600)])["status"] == "finished"
    assert values([admit(600), discharge(600)])["status"] == "finished"


def test_null_takes_back_what_this_source_said_and_a_late_snapshot_does_not_bring_it_back() -> None:
    first, deleted = said({"telecom#PID-13": ["1"], "gender": "x"}, 1), said({"telecom#PID-13": None}, 3)
    late = said({"telecom#PID-13": ["2"]}, 2)
    for contributions in ([first, deleted, late], [late, deleted, first]):
        assert values(contributions) == {"telecom#PID-13": None, "gender": "x"}


def test_absent_says_nothing() -> None:
    assert values([said({"a": 1, "b": 2}, 1), said({"b": 3}, 2)]) == {"a": 1, "b": 3}


# --- cancels


def test_a_cancel_with_the_time_of_what_it_cancels_pairs_with_that_one() -> None:
    assert values([discharge(700), cancel("A13", 900, 700), admit(600)])["status"] == "in-progress"
    kept = values([discharge(700), discharge(800), cancel("A13", 900, 700), admit(600)])
    assert (kept["status"], kept["period.end"]) == ("finished", "t800")


def test_what_stood_before_stands_again_and_no_opposite_is_written() -> None:
    folded = values(
        [
            said(
                {"status": "arrived", "location#PV1-3": [place("ED")], "class": "EMER"}, 500, 500, kind="effect", event="A04"
            ),
            said(
                {"status": "in-progress", "location#PV1-3": [place("3W")], "class": "IMP"},
                600,
                600,
                kind="effect",
                event="A01",
            ),
            cancel("A11", 700, 600),
        ]
    )
    assert folded.keys() == {"status", "location#PV1-3", "class"}
    assert (folded["status"], folded["class"]) == ("arrived", "EMER")
    assert [entry["location"] for entry in folded["location#PV1-3"]] == [place("ED")["location"]]


def test_all_duplicates_of_what_is_cancelled_go() -> None:
    twice = [admit(600, message="a"), admit(600, 610, message="b")]
    assert values([*twice, cancel("A11", 700, 600)])["status"] == "cancelled"


def test_a_cancel_without_its_time_takes_the_latest_stated_before_it() -> None:
    early, late, after = admit(600), admit(700), admit(900)
    assert values([early, late, cancel("A11", 800)])["period.start"] == "t600"
    assert values([early, late, after, cancel("A11", 800)])["period.start"] == "t900"


def test_a_cancel_that_comes_first_pairs_later_and_one_stated_before_does_not() -> None:
    assert values([cancel("A11", 700, 600), admit(600)])["status"] == "cancelled"
    again = admit(600, 800)
    assert values([cancel("A11", 700, 600), again])["status"] == "in-progress"


def test_a_cancel_takes_back_effects_never_snapshots() -> None:
    kept = values([said({"telecom#PID-13": ["1"]}, 600, 600, event="A01"), admit(600), cancel("A11", 700, 600)])
    assert kept == {"telecom#PID-13": ["1"], "status": "cancelled"}


def test_only_events_that_it_names_are_cancelled() -> None:
    assert values([admit(600), discharge(700), cancel("A11", 800, 600)])["status"] == "finished"
    assert beds([admit(600), transfer(650), cancel("A11", 800, 600)]) == [("bed-650", "")]


@pytest.mark.parametrize(
    ("contributions", "told"),
    [
        ([cancel("A11", 700, 600)], ["cancel-unmatched"]),
        ([cancel("A11", 700, 600), admit(600)], []),
        ([cancel("A11", 700, 605), admit(600)], ["cancel-unmatched"]),
        ([cancel("A11", 700), admit(600, 900)], ["cancel-unmatched"]),
        ([cancel("A11", 700, 600), cancel("A11", 710, 600), admit(600)], []),
        ([cancel("A13", 700), cancel("A13", 710), discharge(600)], []),
    ],
)
def test_a_cancel_that_found_nothing_is_told(contributions: list[Contribution], told: list[str]) -> None:
    assert codes(contributions) == told


def test_of_one_event_told_twice_the_later_statement_counts_whichever_arrives_last() -> None:
    wrong, right = transfer(600, 610, bed="wrong", arrival=9), transfer(600, 620, bed="right", arrival=1)
    for contributions in ([wrong, right], [right, wrong]):
        assert beds(contributions) == [("right", "active")]
        assert codes(contributions) == []


def test_rank_comes_before_the_time_of_telling() -> None:
    assert values([discharge(600, 610), admit(600, 620)])["status"] == "finished"


def test_an_effect_is_told_by_when_it_happened() -> None:
    folded = fold([admit(600, 5000)])
    assert folded.slots["status"].order[0] == 600


# --- withdrawing


def test_withdraw_ends_all_that_was_said_up_to_then() -> None:
    gone = said({}, 5, kind="withdraw")
    assert values([said({"a": 1}, 4), gone]) == {}
    assert values([said({"a": 1}, 4), gone, said({"b": 2}, 6)]) == {"b": 2}


# --- ties


def test_equal_keys_that_differ_are_told_by_element() -> None:
    tied = [
        said({"telecom#PID-13": ["1"], "gender": "x"}, 5, arrival=1),
        said({"telecom#PID-13": ["2"], "gender": "x"}, 5, arrival=2),
    ]
    folded = fold(tied)
    assert [(i.code, i.place) for i in folded.issues] == [("order-tied", "telecom")]
    assert folded.slots["telecom#PID-13"].value == ["2"]


def test_a_tie_that_a_later_statement_settles_is_not_told() -> None:
    tied = [said({"a": 1}, 5, arrival=1), said({"a": 2}, 5, arrival=2)]
    assert codes([*tied, said({"a": 3}, 6)]) == []
    assert codes([*tied, said({"b": 3}, 6)]) == ["order-tied"]


def test_a_tie_between_snapshots_that_an_effect_overrules_is_not_told() -> None:
    tied = [said({"class": "AMB"}, 900, arrival=1), said({"class": "IMP"}, 900, arrival=2)]
    assert codes([*tied, said({"class": "EMER"}, 600, 600, kind="effect", event="A04")]) == []


def test_sequence_numbers_and_ranks_untie() -> None:
    assert codes([said({"a": 1}, 5, sequence=1), said({"a": 2}, 5, sequence=2)]) == []
    assert codes([said({"a": 1}, 5, event="A01"), said({"a": 2}, 5, event="A08")]) == []


# --- a feed's own order


def test_a_feed_ordered_by_sequence_follows_msh_13() -> None:
    late = [said({"a": "second"}, 5, sequence=2, by="sequence"), said({"a": "first"}, 9, sequence=1, by="sequence")]
    assert values(late) == {"a": "second"}


def test_a_feed_ordered_by_arrival_follows_arrival_and_has_no_ties() -> None:
    by: OrderBy = "arrival"
    said_twice = [said({"a": "first"}, 9, arrival=1, by=by), said({"a": "second"}, 5, arrival=2, by=by)]
    assert values(said_twice) == values(said_twice[::-1]) == {"a": "second"}
    assert codes(said_twice) == []


def test_by_arrival_a_cancel_takes_back_what_came_before_it_only() -> None:
    by: OrderBy = "arrival"
    cancelled = [admit(600, arrival=1, by=by), cancel("A11", 500, arrival=2, by=by)]
    assert values(cancelled)["status"] == "cancelled"
    assert values([*cancelled, admit(610, arrival=3, by=by)])["period.start"] == "t610"


def test_a_cancel_that_is_sent_twice_is_one_cancel() -> None:
    twice = [cancel("A11", 800, message="a"), cancel("A11", 800, message="b", arrival=7)]
    assert values([admit(600), admit(700), *twice])["period.start"] == "t600"
