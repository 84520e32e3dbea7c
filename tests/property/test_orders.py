"""A stay of ten messages, whatever they say, ends in the same resources in any order of arrival and however often they come.

Each message states another time, so arrival decides nothing. The stays are drawn at random out of all events: admissions,
transfers, leaves, discharges, their cancels, updates, merges, moves, links and deletions of two persons' visits and accounts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapter.compose.references import targets
from adapter.gateway import Gateway
from tests.fuzz import examples
from tests.stands import assert_equal, stand, standing

Bodies = dict[tuple[str, str], str]

VISIT = [f"A{n:02}" for n in (*range(1, 17), 21, 22, 23, 25, 26, 27, 32, 33, 38, 52, 53, 54, 55, 61, 62)]
CANCELS = frozenset(f"A{n}" for n in (11, 12, 13, 25, 26, 27, 32, 33, 38, 52, 53, 55, 62))
PERSON = ["A28", "A29", "A31", "A60"]
MERGE = [f"A{n}" for n in (18, 30, 34, 35, 36, *range(39, 52))]
PAIR = ["A17", "A24", "A37"]
STAY_OF = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one message says. hour: when it was stated; occurred: EVN-6, an hour too. Empty texts are not sent."""

    event: str
    hour: int
    occurred: int | None = None
    number: str = "1"
    other: str = "2"
    visit: str = "V1"
    account: str = ""
    kind: str = "I"
    bed: str = "3W^312^A"
    phone: str = ""
    admitted: bool = False
    segments: tuple[str, ...] = ()

    def raw(self) -> bytes:
        """The message."""
        stated = _hour(self.hour)
        happened = "" if self.occurred is None else _hour(self.occurred)
        lines = [rf"MSH|^~\&|EXAMPLE|EAST|CARELOOP|NETWORK|{stated}||ADT^{self.event}|M{self.hour}|P|2.5.1",
                 f"EVN|{self.event}|{stated}||||{happened}", self._pid(self.number)]
        if self.event in MERGE:
            account, visit = f"{self.account}X" if self.account else "", f"V{self.other}"
            lines.append(f"MRG|{self.other}^^^EAST^MR||{account}||{visit}^^^EAST^VN")
        if self.event not in PERSON:
            lines.append(self._pv1(self.visit))
        lines.extend(self.segments)
        if self.event in PAIR:
            lines.extend([self._pid(self.other), self._pv1(f"V{self.other}")])
        return ("\r".join(lines) + "\r").encode()

    def _pid(self, number: str) -> str:
        return (f"PID|1||{number}^^^EAST^MR||Tarnhill{number}^Bess||19610514|F|||4 Mill Road^^Alderton^NY^12999|"
                f"|{self.phone}|||||{self.account}")

    def _pv1(self, visit: str) -> str:
        start = _hour(0) if self.admitted else ""
        return f"PV1|1|{self.kind}|{self.bed}^EAST||||77^Marlwick^Odile" + "|" * 12 + f"{visit}^^^EAST^VN" + "|" * 25 + start


def _hour(n: int) -> str:
    return f"202603{1 + n // 24:02}{n % 24:02}1500-0500"


SEGMENTS = ["DG1|1||I50.9^Heart failure^I10C|||A", "DG1|1||J45^Asthma^I10C|||W", "AL1|1|DA|7980^Penicillin^RXNORM",
            "NK1|1|Tarnhill^Corin|SPO||^PRN^PH^^1^518^5550170", 'NK1|1|""', "PV2||2^Semi-private|R07^Chest pain^I10C",
            "OBX|1|NM|29463-7^Weight^LN||71|kg|||||F", "OBX|1|NM|29463-7^Weight^LN||72|kg|||||C", "PD1||||78^Sorrel^Anton",
            "IN1|1|PLAN|91^^^EAST|Alder Mutual", "GT1|1|5^^^EAST|Tarnhill^Corin", "ROL|1|AD|PP|79^Rowe^Ida",
            "ROL|1|DE|PP|79^Rowe^Ida", "PR1|1||0DT^Appendectomy|Appendectomy|20260301", "ACC|20260228|FALL"]
EVENTS = st.one_of(st.sampled_from(VISIT), st.sampled_from(VISIT), st.sampled_from(["A01", "A02", "A03", "A08"]),
                   st.sampled_from(PERSON), st.sampled_from(MERGE), st.sampled_from(PAIR))


@st.composite
def told(draw: st.DrawFn, hour: int) -> Told:
    """Any message stated at an hour; a cancel names the hour of what it cancels more often than not."""
    event = draw(EVENTS)
    earlier = st.integers(0, STAY_OF)
    return Told(event=event, hour=hour, occurred=draw(earlier if event in CANCELS else st.none() | earlier),
                number=draw(st.sampled_from("1112")), other=draw(st.sampled_from("23")),
                visit=draw(st.sampled_from(("V1", "V1", "V2"))), account=draw(st.sampled_from(("", "ACC1", "ACC2"))),
                kind=draw(st.sampled_from(("I", "E", "O", "P", '""'))), bed=draw(st.sampled_from(("3W^312^A", "ICU^2^B", ""))),
                phone=draw(st.sampled_from(("", '""', "^PRN^PH^^1^518^5550161", "^WPN^PH^^1^518^5550162~5550163"))),
                admitted=draw(st.booleans()), segments=tuple(draw(st.lists(st.sampled_from(SEGMENTS), max_size=3))))


@st.composite
def stays(draw: st.DrawFn) -> list[Told]:
    """Ten messages, each stated at another hour."""
    return [draw(told(hour)) for hour in range(1, STAY_OF + 1)]


ONE = [
    Told(event="A05", hour=1, account="ACC1"),
    Told(event="A01", hour=2, occurred=2, account="ACC1", admitted=True, segments=(SEGMENTS[0], SEGMENTS[2])),
    Told(event="A02", hour=3, occurred=3, bed="ICU^2^B"),
    Told(event="A08", hour=4, phone="^PRN^PH^^1^518^5550161", segments=(SEGMENTS[3], SEGMENTS[6])),
    Told(event="A12", hour=5, occurred=3),
    Told(event="A21", hour=6, occurred=6),
    Told(event="A22", hour=7, occurred=7),
    Told(event="A03", hour=8, occurred=8),
    Told(event="A13", hour=9, occurred=8),
    Told(event="A40", hour=10, number="2", other="1"),
]
"""A stay as it happens: planned, admitted, moved and moved back, on leave, discharged too early, and its number merged away."""


def assert_same(gateway: Gateway, stay: Sequence[Told], arrivals: Sequence[int], *, at_once: bool) -> None:
    """The stay in this order of arrival (numbers of its messages, some of them again) ends as it does in its own order."""
    raws = [one.raw() for one in stay]
    expected = stand(gateway, raws, at_once=True)
    assert_equal(stand(gateway, [raws[n] for n in arrivals], at_once=at_once), expected)


ARRIVALS = st.lists(st.integers(0, STAY_OF - 1), max_size=4).flatmap(lambda again: st.permutations([*range(STAY_OF), *again]))
BOUNDED = settings(max_examples=examples(15, 20))


@BOUNDED
@example(stay=ONE, arrivals=list(range(STAY_OF))[::-1], at_once=False)
@given(stay=stays(), arrivals=ARRIVALS, at_once=st.booleans())
def test_any_stay_of_ten_messages_in_any_order(gateway: Gateway, stay: list[Told], arrivals: list[int], at_once: bool) -> None:
    assert_same(gateway, stay, arrivals, at_once=at_once)


@BOUNDED
@given(arrivals=ARRIVALS, at_once=st.booleans())
def test_one_stay_in_many_orders(gateway: Gateway, arrivals: list[int], at_once: bool) -> None:
    assert_same(gateway, ONE, arrivals, at_once=at_once)


SWAP = [Told(event="A17", hour=1, visit="V1", other="2"), Told(event="A29", hour=2, number="2")]
"""Two persons change beds, then one of them is deleted: what names both is of the other."""


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("arrivals", [[0, 1], [1, 0]])
def test_what_is_gone_is_named_by_nobody_elses_either(gateway: Gateway, arrivals: list[int], at_once: bool) -> None:
    assert_same(gateway, SWAP, arrivals, at_once=at_once)
    names = {(t, i) for t, i in standing(gateway)}
    for body in standing(gateway).values():
        assert {key(name) for name in targets(orjson.loads(body), set())} <= names


LINKED = [Told(event="A17", hour=10, number="2", other="3", visit="V2"), Told(event="A24", hour=3, other="3")]
"""A message about two persons, and a link by which one of them is known by another record."""
DELETED = [Told(event="A27", hour=2, number="2", account="ACC1", kind="E", bed=""), Told(event="A23", hour=8)]
"""A message that has a visit with one person, and a deletion of it that has it with another."""
MEASURED = [Told(event="A08", hour=2, segments=(SEGMENTS[6],)), Told(event="A23", hour=8, number="2")]
"""The same with something that was measured in it, of the one."""


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("arrivals", [[0, 1], [1, 0]])
@pytest.mark.parametrize("stay", [LINKED, DELETED, MEASURED])
def test_what_names_another_person_follows_what_becomes_of_that(gateway: Gateway, stay: list[Told], arrivals: list[int],
                                                                at_once: bool) -> None:
    assert_same(gateway, stay, arrivals, at_once=at_once)


JOINED = [Told(event="A17", hour=11, visit="V2", other="3"), Told(event="A29", hour=7),
          Told(event="A45", hour=4, number="2", other="3", visit="V2")]
"""Two persons change beds in visits that are one: of whom it is the message says two things at the same time."""


@st.composite
def joined(draw: st.DrawFn) -> list[Told]:
    """Two persons change beds, one of them or a visit is deleted, and anybody's message makes their visits one; at any time."""
    hours, (first, second, third) = draw(st.permutations(range(1, 10))), draw(st.permutations("123"))
    happened, account, bed = st.none() | st.integers(0, 9), st.sampled_from(("", "ACC1")), st.sampled_from(("", "ICU^2^B"))
    return [Told(event=draw(st.sampled_from(events)), hour=hour, occurred=draw(happened), number=draw(st.sampled_from(numbers)),
                 other=second, visit=f"V{first}", account=draw(account), kind=draw(st.sampled_from("IEO")), bed=draw(bed))
            for hour, events, numbers in zip(hours, (["A17"], ["A29", "A23"], ["A42", "A45", "A50"]),
                                             (first, first + second, first + second + third), strict=False)]


@settings(max_examples=examples(8, 50))
@example(stay=JOINED)
@given(stay=joined())
def test_two_visits_of_one_message_that_are_one_in_all_orders(gateway: Gateway, stay: list[Told]) -> None:
    expected = stand(gateway, [one.raw() for one in stay], at_once=True)
    for arrivals in permutations(stay):
        assert_equal(stand(gateway, [one.raw() for one in arrivals], at_once=False), expected)


def key(name: str) -> tuple[str, str]:
    resource_type, _, resource_id = name.partition("/")
    return resource_type, resource_id
