"""Stays made up of any events: no order of arrival matters, and an event with its cancel leaves no trace in the course."""

from __future__ import annotations

from dataclasses import replace

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.model import Json
from tests.unit.test_events_table import AFTER_ADMISSION, CANCELS, Told, course, encounter

BEDS = ("3W^1", "ICU^9", "ED^2", "OR^5")
MOVING = sorted(AFTER_ADMISSION)


@st.composite
def stays(draw: st.DrawFn) -> list[Told]:
    """An admission, perhaps planned, and up to eight events after it, some cancelled, each of a time of its own."""
    found = [Told(event=draw(st.sampled_from(("A01", "A04"))), hour=1, fields={3: "3W^1"})]
    if draw(st.booleans()):
        found.append(Told(event="A05", hour=0, cls="P", fields={3: "3W^1"}))
    for n in range(draw(st.integers(0, 8))):
        event = draw(st.sampled_from(MOVING))
        hour = 10 * (n + 1)
        found.append(Told(event=event, hour=hour + draw(st.integers(0, 3)), of=hour,
                          cls=draw(st.sampled_from("IOE")), fields=draw(places_told())))
        cancels = [code for code, of in CANCELS if of == event]
        if cancels and draw(st.booleans()):
            found.append(Told(event=cancels[0], hour=hour + 5, of=hour, fields={3: "3W^1"}))
    return found


def places_told() -> st.SearchStrategy[dict[int, str]]:
    """PV1-3 and any of the other places."""
    beds = st.sampled_from(BEDS)
    more = st.dictionaries(st.sampled_from((6, 11, 42, 43)), beds, max_size=2)
    return st.tuples(beds, more).map(lambda told: {3: told[0], **told[1]})


def text(body: Json) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)


@settings(max_examples=60)
@given(stays(), st.data())
def test_any_permutation_and_duplication_gives_equal_bytes(stay: list[Told], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(stay), max_size=3))
    shuffled = data.draw(st.permutations([*stay, *again]))
    assert text(encounter(*shuffled)) == text(encounter(*stay))


@settings(max_examples=60)
@given(stays(), st.sampled_from(CANCELS), st.data())
def test_an_event_and_its_cancel_leave_no_trace(stay: list[Told], pair: tuple[str, str], data: st.DataObject) -> None:
    code, of = pair
    hour = data.draw(st.integers(0, 9)) * 10 + 7
    event = replace(Told(event=of, hour=hour), fields=data.draw(places_told()))
    cancel = Told(event=code, hour=hour + 1, of=hour, fields={3: "3W^1"})
    shuffled = data.draw(st.permutations([*stay, event, cancel]))
    assert course(encounter(*shuffled)) == course(encounter(*stay))


@settings(max_examples=60)
@given(stays())
def test_the_course_is_whole(stay: list[Told]) -> None:
    body = encounter(*stay)
    periods = [one["period"] for name in ("statusHistory", "classHistory", "location") for one in body.get(name, [])
               if "period" in one]
    assert all(p.get("start", "") <= p.get("end", "9") for p in periods)
    states = [one.get("status") for one in body.get("location", [])]
    assert states.count("active") <= 2
    if body["status"] == "finished":
        assert set(states) <= {"completed", None}
        assert "end" in body["period"]
    else:
        assert "end" not in body.get("period", {})
