"""Every event of the table, from bytes to the Encounter: what it does, what cancels it, in every order of arrival."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import permutations
from pathlib import Path

import pytest

from adapter.errors import Rejected, kind_of
from adapter.feeds import Feeds, open_feeds
from adapter.mapping.header import load_events
from adapter.model import Composed, Json, Received
from adapter.pipeline import compose_all, map_received

HOME = Path(__file__).resolve().parents[2]
ARRIVAL = datetime(2026, 3, 20, tzinfo=UTC)
EVENTS = load_events(HOME / "mappings" / "common" / "events.yaml")
SWAPPED = "PID|2||800002^^^EAST^MR||Reedmoor\rPV1|1|I|3W^1|||||||||||||||||V2"


@cache
def feeds() -> Feeds:
    return open_feeds(HOME / "mappings")


@dataclass(frozen=True, kw_only=True)
class Told:
    """One message: its event, the hour it was stated and the hour EVN-6 names, PV1-2, and more fields of PV1 by number."""

    event: str
    hour: int
    of: int | None = None
    cls: str = "I"
    fields: dict[int, str] = field(default_factory=dict[int, str])

    def raw(self) -> bytes:
        """The message."""
        pv1 = [""] * 54
        pv1[1], pv1[2], pv1[19] = "1", self.cls, "V1"
        for n, text in self.fields.items():
            pv1[n] = text
        at = [f"202603{1 + h // 24:02}{h % 24:02}0000" for h in (self.hour, self.hour if self.of is None else self.of)]
        more = [SWAPPED] if self.event == "A17" else []
        return "\r".join([f"MSH|^~\\&|EXAMPLE|EAST|||{at[0]}||ADT^{self.event}|{self.event}{self.hour}|P|2.5.1",
                          f"EVN|{self.event}|{at[0]}||||{at[1]}", "PID|1||800001^^^EAST^MR||Tarnhill^Bess",
                          "PV1" + "|".join(pv1), *more]).encode()


def composed(told: list[Told]) -> list[Composed]:
    """What stands once these came in, in this order."""
    contributions = [c for n, one in enumerate(told) for c in map_received(
        Received(raw=one.raw(), arrival=ARRIVAL.replace(second=n), feed="default"), feeds()).contributions]
    return compose_all(contributions, (), feeds(), b"k", lambda _: set())


def encounter(*told: Told) -> Json:
    """The Encounter V1."""
    return next(c.body for c in composed(list(told)) if c.resource_type == "Encounter" and c.key.endswith("|V1"))


def places(body: Json) -> list[tuple[str, str]]:
    """Display and status of each place."""
    return [(one["location"]["display"], one.get("status", "")) for one in body.get("location", [])]


def course(body: Json) -> Json:
    """What events decide of an Encounter."""
    return {name: body.get(name) for name in ("status", "statusHistory", "class", "classHistory", "location", "period")}


ADMITTED = Told(event="A01", hour=8, fields={3: "3W^1"})
ICU = {3: "ICU^9", 6: "3W^1"}

AFTER_ADMISSION: dict[str, tuple[Told, str, list[tuple[str, str]]]] = {
    "A02": (Told(event="A02", hour=10, fields=ICU), "in-progress", [("9", "active"), ("1", "completed")]),
    "A03": (Told(event="A03", hour=10, fields={3: "3W^1"}), "finished", [("1", "completed")]),
    "A04": (Told(event="A04", hour=10, fields={3: "ED^9"}), "in-progress", [("9", "active"), ("1", "completed")]),
    "A05": (Told(event="A05", hour=10, cls="P", fields={3: "3W^1"}), "in-progress", [("1", "active")]),
    "A06": (Told(event="A06", hour=10, fields=ICU), "in-progress", [("9", "active"), ("1", "completed")]),
    "A07": (Told(event="A07", hour=10, cls="O", fields={3: "3W^1"}), "in-progress", [("1", "active")]),
    "A08": (Told(event="A08", hour=10, fields=ICU), "in-progress", [("1", "active")]),
    "A09": (Told(event="A09", hour=10, fields={3: "3W^1", 11: "OR^9"}), "in-progress", [("1", "active"), ("9", "active")]),
    "A10": (Told(event="A10", hour=10, fields=ICU), "in-progress", [("9", "active"), ("1", "completed")]),
    "A14": (Told(event="A14", hour=10, fields={3: "ICU^9"}), "in-progress", [("1", "active"), ("9", "planned")]),
    "A15": (Told(event="A15", hour=10, fields={3: "3W^1", 42: "ICU^9"}), "in-progress", [("1", "active"), ("9", "planned")]),
    "A16": (Told(event="A16", hour=10, fields={3: "3W^1"}), "in-progress", [("1", "active")]),
    "A17": (Told(event="A17", hour=10, fields=ICU), "in-progress", [("9", "active"), ("1", "completed")]),
    "A21": (Told(event="A21", hour=10, fields={3: "3W^1"}), "onleave", [("1", "reserved")]),
    "A22": (Told(event="A22", hour=10, fields={3: "3W^1"}), "in-progress", [("1", "active")]),
    **{code: (Told(event=code, hour=10, fields={3: "3W^1"}), "in-progress", [("1", "active")])
       for code in ("A28", "A31", "A54", "A60", "A61")},
}
"""What an event makes of somebody who was admitted: the event, the status then, and the places."""

ALONE = {
    **dict.fromkeys(("A05", "A14"), "planned"), **dict.fromkeys(("A11", "A27", "A38"), "cancelled"),
    **dict.fromkeys(("A21", "A53"), "onleave"), "A03": "finished",
    **dict.fromkeys(("A01", "A02", "A04", "A06", "A07", "A08", "A09", "A10", "A12", "A13", "A15", "A16", "A17", "A22", "A25",
                     "A26", "A28", "A31", "A32", "A33", "A52", "A54", "A55", "A60", "A61", "A62"), "in-progress")}
"""The status where one event is all that is known."""

CANCELS = [(code, of) for code, event in EVENTS.items() for of in event.cancels]


@pytest.mark.parametrize("code", AFTER_ADMISSION)
def test_what_an_event_makes_of_an_admission_in_either_order(code: str) -> None:
    told, status, where = AFTER_ADMISSION[code]
    for one in ([ADMITTED, told], [told, ADMITTED]):
        body = encounter(*one)
        assert (body["status"], places(body)) == (status, where)


@pytest.mark.parametrize("code", ALONE)
def test_the_status_where_one_event_is_all_that_is_known(code: str) -> None:
    assert encounter(Told(event=code, hour=8, fields={3: "3W^1"}))["status"] == ALONE[code]


def test_every_event_of_a_visit_is_tried() -> None:
    numbers = {c for c, e in EVENTS.items() if e.identity} - {"A06", "A07"} | {"A20", "A48", "A51"}
    assert ALONE.keys() == EVENTS.keys() - numbers
    assert {of for _, of in CANCELS} | {"A06", "A07", "A08", "A17", "A28", "A31", "A60"} == AFTER_ADMISSION.keys() | {"A01"}


@pytest.mark.parametrize(("code", "of"), CANCELS)
def test_a_cancel_puts_back_what_stood_before_whatever_comes_first(code: str, of: str) -> None:
    told = AFTER_ADMISSION[of][0] if of != "A01" else Told(event="A01", hour=10, fields={3: "ICU^9"})
    before = [Told(event="A04", hour=7, cls="E", fields={3: "ED^2", 7: "1^Marlwick", 9: "2^Calder"})]
    cancel = Told(event=code, hour=12, of=10, cls=told.cls, fields={3: "ED^2"})
    expected = course(encounter(*before))
    for order in permutations([*before, told, cancel]):
        assert course(encounter(*order)) == expected


@pytest.mark.parametrize(("code", "of", "slot"), [("A55", "A54", 7), ("A62", "A61", 9)])
def test_staff_that_events_change(code: str, of: str, slot: int) -> None:
    def who(*told: Told) -> set[str]:
        return {one["individual"]["display"] for one in encounter(*told)["participant"]}

    admitted = Told(event="A01", hour=8, fields={slot: "1^Marlwick^Odile"})
    changed = Told(event=of, hour=12, of=10, fields={slot: "2^Brindle^Asa"})
    assert who(admitted, changed) == {"Asa Brindle"}
    assert who(changed, Told(event="A08", hour=11, fields={slot: "1^Marlwick^Odile"}), admitted) == {"Asa Brindle"}
    assert who(changed, Told(event="A08", hour=13, fields={slot: "3^Calder^Wyn"}), admitted) == {"Wyn Calder"}
    assert who(Told(event=code, hour=13, of=10), changed, admitted) == {"Odile Marlwick"}


def test_a_change_of_class_keeps_the_class_before() -> None:
    body = encounter(Told(event="A06", hour=10, fields=ICU), Told(event="A04", hour=8, cls="E"))
    assert (body["class"]["code"], [one["class"]["code"] for one in body["classHistory"]]) == ("IMP", ["EMER"])
    assert body["classHistory"][0]["period"] == {"start": "2026-03-01T08:00:00+00:00", "end": "2026-03-01T10:00:00+00:00"}


def test_what_is_only_planned_takes_no_class_and_no_state_from_who_is_here() -> None:
    for code in ("A05", "A14"):
        body = encounter(Told(event="A04", hour=8, cls="E"), Told(event=code, hour=10, cls="P"))
        assert (body["status"], body["class"]["code"], "classHistory" in body) == ("in-progress", "EMER", False)


def test_of_one_minute_the_departure_comes_before_the_arrival_and_the_leave_before_the_return() -> None:
    moved = [Told(event="A10", hour=10, fields=ICU), Told(event="A09", hour=10, fields={6: "3W^1", 42: "ICU^9"})]
    for told in ([ADMITTED, *moved], [*moved[::-1], ADMITTED]):
        assert places(encounter(*told)) == [("9", "active"), ("1", "completed")]
    assert encounter(ADMITTED, Told(event="A22", hour=10), Told(event="A21", hour=10))["status"] == "in-progress"


def test_nothing_but_an_admission_opens_what_was_ended() -> None:
    ended = [ADMITTED, Told(event="A03", hour=20)]
    for code, (told, _, _) in AFTER_ADMISSION.items():
        late = Told(event=code, hour=30, cls=told.cls, fields=told.fields)
        body = encounter(*ended, late)
        assert body["status"] == ("in-progress" if code == "A04" else "finished"), code
        assert ("end" in body["period"]) == (code != "A04"), code
        assert code == "A04" or all(status in ("completed", "") for _, status in places(body)), code


def test_an_event_told_for_after_the_discharge_moves_nobody_and_is_named() -> None:
    ended = [ADMITTED, Told(event="A03", hour=20, fields={3: "3W^1"})]
    was = encounter(*ended)
    for code in ("A02", "A05", "A06", "A07", "A09", "A10", "A14", "A15", "A17", "A21", "A22"):
        late = Told(event=code, hour=30, cls="O", fields={3: "ICU^9", 6: "3W^1", 42: "OR^4"})
        for told in ([*ended, late], [late, *ended]):
            found = next(c for c in composed(told) if c.resource_type == "Encounter" and c.key.endswith("|V1"))
            assert {n: found.body.get(n) for n in ("location", "status", "statusHistory", "classHistory", "period")} == \
                {n: was.get(n) for n in ("location", "status", "statusHistory", "classHistory", "period")}, code
            assert [i.detail for i in found.issues if i.code == "event-after-end"] == [code]
    corrected = encounter(*ended, Told(event="A07", hour=30, cls="O"))
    assert (corrected["class"]["code"], "classHistory" in corrected) == ("AMB", False)


def test_a_return_alone_tells_no_beginning_of_the_stay() -> None:
    stay = [ADMITTED, Told(event="A21", hour=10), Told(event="A22", hour=12, fields={3: "3W^1"})]
    assert encounter(*stay)["location"][0]["period"] == {"start": "2026-03-01T08:00:00+00:00"}
    for told in ([*stay, Told(event="A11", hour=14, of=8)], stay[1:]):
        assert "period" not in encounter(*told)["location"][0]


def test_nothing_but_the_return_or_the_discharge_ends_a_leave() -> None:
    away = [ADMITTED, Told(event="A21", hour=10)]
    for code in ("A02", "A05", "A06", "A07", "A09", "A10", "A14", "A15", "A16", "A17"):
        assert encounter(*away, Told(event=code, hour=12, fields=ICU))["status"] == "onleave", code


def test_what_followed_on_a_cancelled_admission_does_not_bring_it_back() -> None:
    for code in ("A02", "A09", "A15", "A16", "A21", "A54"):
        assert encounter(ADMITTED, AFTER_ADMISSION[code][0], Told(event="A11", hour=12, of=8))["status"] == "cancelled"
    again = [ADMITTED, Told(event="A11", hour=12, of=8), Told(event="A02", hour=14, fields=ICU)]
    assert encounter(*again)["status"] == "in-progress"


def test_a_cancel_of_what_was_only_planned_does_not_end_who_is_here() -> None:
    for code, of in (("A27", "A14"), ("A38", "A05")):
        planned, cancel = Told(event=of, hour=10, fields={3: "ICU^9"}), Told(event=code, hour=12, of=10)
        assert encounter(Told(event="A02", hour=8, fields=ICU), planned, cancel)["status"] == "in-progress"
        assert encounter(planned, cancel)["status"] == "cancelled"


def test_a_message_told_again_makes_no_stay_of_its_own() -> None:
    wrong, right = Told(event="A02", hour=10, fields={3: "X^7"}), Told(event="A02", hour=12, of=10, fields=ICU)
    assert places(encounter(ADMITTED, wrong, right)) == [("9", "active"), ("1", "completed")]


def test_a_bed_that_no_event_told_stands_beside_the_places_that_events_tell() -> None:
    stated = Told(event="A08", hour=8, fields={3: "3W^1"})
    for code, slot, status in (("A10", 11, "active"), ("A15", 42, "planned")):
        for told in ([stated, Told(event=code, hour=10, fields={slot: "ED^2"})],
                     [Told(event=code, hour=10, fields={slot: "ED^2"}), stated]):
            assert places(encounter(*told)) == [("1", "active"), ("2", status)], code


def test_in_transit_somebody_is_at_no_place() -> None:
    gone = Told(event="A09", hour=10, fields={6: "3W^1", 42: "ICU^9"})
    assert places(encounter(ADMITTED, gone)) == [("9", "planned"), ("1", "completed")]
    body = encounter(ADMITTED, Told(event="A10", hour=12, fields=ICU), gone)
    assert places(body) == [("9", "active"), ("1", "completed")]
    assert [one["period"] for one in body["location"]] == [
        {"start": "2026-03-01T12:00:00+00:00"}, {"start": "2026-03-01T08:00:00+00:00", "end": "2026-03-01T10:00:00+00:00"}]


def test_places_that_a_message_repeats_fit_the_status_its_event_tells() -> None:
    for code, status in (("A16", "active"), ("A13", "active"), ("A21", "reserved"), ("A03", "completed"), ("A11", "")):
        assert places(encounter(Told(event=code, hour=8, cls="P", fields={3: "3W^1"}))) == [("1", status)]
    updated = Told(event="A08", hour=8, fields={3: "3W^1", 11: "OR^9", 42: "ICU^7", 45: "20260301"})
    assert places(encounter(updated)) == [("1", "completed"), ("9", "completed"), ("7", "")]
    assert places(encounter(Told(event="A08", hour=8, cls="P", fields={3: "3W^1"}))) == [("1", "planned")]


def test_the_state_of_a_bed_concerns_no_patient() -> None:
    raw = b"MSH|^~\\&|EXAMPLE|EAST|||20260301100000||ADT^A20|B1|P|2.5.1\rEVN|A20|20260301100000\rNPU|3W^312^A^EAST|H"
    found = map_received(Received(raw=raw, arrival=ARRIVAL, feed="default"), feeds())
    composed = compose_all(found.contributions, (), feeds(), b"k", lambda _: set())
    assert {c.body["name"]: c.body.get("operationalStatus", {}).get("code") for c in composed} == {
        "A": "H", "312": None, "3W": None, "EAST": None}


@pytest.mark.parametrize("code", ["A19", "A56", "A57", "A58", "A59"])
def test_what_is_no_adt_event_is_refused_with_201(code: str) -> None:
    with pytest.raises(Rejected) as refused:
        map_received(Received(raw=Told(event=code, hour=8).raw(), arrival=ARRIVAL, feed="default"), feeds())
    assert (refused.value.issue.code, kind_of(refused.value.issue).err3) == ("unsupported-event", "201")


def test_version_2_1_names_the_event_in_evn_1_alone() -> None:
    raw = Told(event="A03", hour=8).raw().replace(b"ADT^A03", b"ADT").replace(b"2.5.1", b"2.1")
    assert map_received(Received(raw=raw, arrival=ARRIVAL, feed="default"), feeds()).event == "A03"


def test_an_admission_told_again_begins_visit_and_stay_anew_unless_it_names_the_beginning() -> None:
    again = Told(event="A01", hour=10, fields={3: "3W^1"})
    for told in ([ADMITTED, again], [again, ADMITTED]):
        body = encounter(*told)
        assert body["period"]["start"] == "2026-03-01T10:00:00+00:00"
        assert body["location"][0]["period"]["start"] == "2026-03-01T10:00:00+00:00"
    named = encounter(ADMITTED, Told(event="A01", hour=10, fields={3: "3W^1", 44: "20260301080000"}))
    assert named["period"]["start"] == named["location"][0]["period"]["start"] == "2026-03-01T08:00:00+00:00"
    moved = encounter(ADMITTED, Told(event="A02", hour=9, fields=ICU), Told(event="A01", hour=10, fields={3: "ICU^9"}))
    assert moved["location"][0]["period"]["start"] == "2026-03-01T09:00:00+00:00"
