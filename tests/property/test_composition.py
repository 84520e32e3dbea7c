"""Eight contributions of four sources end the same in any order and however often they come; a source that goes leaves no trace.

Figures of the network's promise: composition is a function of the set of what was said.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from adapter.compose.compose import Network, compose
from adapter.compose.precedence import Precedence
from adapter.feeds import Feeds
from adapter.gateway import Gateway
from adapter.intake.decisions import Withdrawal
from adapter.model import Contribution, Json
from adapter.pipeline import compose_all
from adapter.store.engine import reading
from adapter.store.schema import FINDING
from tests.fuzz import examples
from tests.property.network import SAID, SOURCES, Sent, told
from tests.stands import Bodies, assert_equal, empty, standing
from tests.unit.statements import said

KEY = b"test"
BOUNDED = settings(max_examples=examples(25, 20))
QUICK = settings(max_examples=examples(200, 2))


# --- through the gateway: messages and files in, resources out

def take(gateway: Gateway, sent: Sequence[Sent], *, at_once: bool) -> None:
    """Take all of it in this order, what comes again written another way; composed one by one or all at once."""
    known: list[Sent] = []
    for one in sent:
        raw = one.raw(again=one in known)
        known.append(one)
        if one.hl7:
            assert b"MSA|AA" in gateway.accept([(raw, "test")])[0]
        else:
            report = gateway.load(one.feed, raw)
            assert not report.refused_count, report.refused
        if not at_once:
            gateway.work()
    while gateway.work():
        pass


def state(gateway: Gateway) -> Bodies:
    """All that stands, and what is found of it."""
    stands = standing(gateway)
    with reading(gateway.engine) as connection:
        about = select(FINDING.c.subject, FINDING.c.code, FINDING.c.place, FINDING.c.detail).where(FINDING.c.subject != "")
        for row in sorted(tuple(row) for row in connection.execute(about)):
            stands.setdefault(("finding", str(row)), "")
    return stands


def stand(gateway: Gateway, sent: Sequence[Sent], *, at_once: bool) -> Bodies:
    """The state that these end in."""
    empty(gateway)
    take(gateway, sent, at_once=at_once)
    return state(gateway)


ARRIVALS = st.lists(st.integers(0, SAID - 1), max_size=4).flatmap(lambda again: st.permutations([*range(SAID), *again]))


@BOUNDED
@given(sent=told(), arrivals=ARRIVALS, at_once=st.booleans())
def test_any_order_and_number_of_arrivals_ends_in_the_same_bytes(
        gateway: Gateway, sent: list[Sent], arrivals: list[int], at_once: bool) -> None:
    expected = stand(gateway, sent, at_once=True)
    assert_equal(stand(gateway, [sent[n] for n in arrivals], at_once=at_once), expected)


@BOUNDED
@given(sent=told(), gone=st.integers(0, 3), at_once=st.booleans(), back=st.booleans())
def test_withdrawing_a_source_leaves_the_state_without_it(
        gateway: Gateway, sent: list[Sent], gone: int, at_once: bool, back: bool) -> None:
    feed = sent[gone].feed
    expected = stand(gateway, [one for one in sent if one.feed != feed], at_once=True)
    whole = stand(gateway, sent, at_once=at_once)
    gateway.operators.withdraw(Withdrawal(feed=feed, by="test", reason="left the network"))
    assert_equal(state(gateway), expected)
    if back:  # what it says again counts again, to the byte as it was
        take(gateway, [one for one in sent if one.feed == feed], at_once=at_once)
        assert_equal(state(gateway), whole)


# --- composition alone: statements in, resources out

SINGLES = {"gender": ("female", "male", None), "birthDate": ("1958-04-09", "1958-09-04", None), "active": (True, False),
           "deceasedBoolean": (True, None), "deceasedDateTime": ("2026-02-01", None), "maritalStatus": ({"text": "x"}, None)}
LISTS: dict[str, tuple[Any, ...]] = {
    "telecom": ({"system": "phone", "value": "1"}, {"system": "phone", "value": "1", "use": "home"},
                {"system": "email", "value": "a@example.org"}),
    "address": ({"city": "A"}, {"city": "A", "use": "home"}, {"city": "B"}),
    "name": ({"family": "Wrenmere"}, {"family": "Wrenmere", "use": "official"}, {"family": "Thornmoor", "use": "official"},
             {"family": "Ashby", "use": "official", "period": {"end": "2020-01-01"}})}
GROUPS = ("PID-11", "PID-13", "PID-40")
NAMES = ("hospital", "plan", "partner", "server:hapi")
DECLARED: st.SearchStrategy[dict[str, Sequence[str]]] = st.dictionaries(
    st.sampled_from(("Patient", "Patient.telecom", "Patient.address", "Patient.gender", "Patient.deceased[x]")),
    st.lists(st.sampled_from((*NAMES[:3], "server")), min_size=1, max_size=3, unique=True))


@st.composite
def bodies(draw: st.DrawFn) -> Json:
    """What one statement says of a Patient."""
    singles = draw(st.lists(st.sampled_from(sorted(SINGLES)), unique=True))
    body: Json = {slot: draw(st.sampled_from(SINGLES[slot])) for slot in singles}
    if "deceasedBoolean" in body:  # a statement has one value for a choice
        body.pop("deceasedDateTime", None)
    for path in draw(st.lists(st.sampled_from(sorted(LISTS)), unique=True)):
        for group in draw(st.lists(st.sampled_from(GROUPS), min_size=1, max_size=2, unique=True)):
            body[f"{path}#{group}"] = draw(st.none() | st.lists(st.sampled_from(LISTS[path]), min_size=1, max_size=2))
    return body


@st.composite
def spoken(draw: st.DrawFn) -> list[Contribution]:
    """Eight statements of four sources about one person's two records, some of one time."""
    of = [*NAMES, *draw(st.lists(st.sampled_from(NAMES), min_size=SAID - SOURCES, max_size=SAID - SOURCES))]
    found: list[Contribution] = []
    for n, source in enumerate(of):
        number = draw(st.sampled_from("112"))
        kind: Any = draw(st.sampled_from(("snapshot", "snapshot", "snapshot", "withdraw")))
        body = {"identifier#PID-3": [{"system": "urn:mrn", "value": number}], **draw(bodies())} if kind == "snapshot" else {}
        found.append(said(body, draw(st.integers(1, 5)), kind=kind, source=source, resource_type="Patient",
                          key=f"mrn|{number}", patient=f"mrn|{number}", message=f"m{n}", arrival=n))
    found.append(replace(said({}, 3, kind="link", event="A40", source="hospital", resource_type="Link", key="mrn|1",
                              patient="mrn|1", message="link"), other="mrn|2"))
    return found


def bytes_of(contributions: Sequence[Contribution], declared: dict[str, Sequence[str]] | None = None) -> list[bytes]:
    """Every resource that these make, as bytes (the store writes names in order), with who said each element."""
    found = compose_all(contributions, (), _Ranked(compiled={}, declared=declared or {}), KEY, lambda _: set())
    return sorted(orjson.dumps([c.resource_type, c.id, c.body, c.sources], option=orjson.OPT_SORT_KEYS)
                  for c in found if not c.deleted)


class _Ranked(Feeds):
    """The hospital counts before the others."""

    def precedence(self) -> Precedence:
        return Precedence(number=lambda source: 10 if source == "hospital" else 100, declared=self.declared)


@QUICK
@given(contributions=spoken(), declared=DECLARED, arrivals=st.lists(st.integers(0, SAID), max_size=6).flatmap(
    lambda again: st.permutations([*range(SAID + 1), *again])))
def test_statements_compose_to_the_same_bytes_in_any_order(
        contributions: list[Contribution], declared: dict[str, Sequence[str]], arrivals: list[int]) -> None:
    assert bytes_of([contributions[n] for n in arrivals], declared) == bytes_of(contributions, declared)


@QUICK
@given(contributions=spoken(), declared=DECLARED, gone=st.sampled_from(NAMES))
def test_a_source_that_takes_back_everything_leaves_no_trace(
        contributions: list[Contribution], declared: dict[str, Sequence[str]], gone: str) -> None:
    keys = sorted({c.key for c in contributions if c.source == gone and c.resource_type == "Patient"})
    taken_back = [said({}, 9, kind="withdraw", source=gone, resource_type="Patient", key=key, patient=key, message=f"back{key}")
                  for key in keys]
    kept = [c for c in contributions if c.source != gone or c.resource_type == "Link"]
    found, expected = bytes_of([*contributions, *taken_back], declared), bytes_of(kept, declared)
    assert [one for one in found if one not in expected] == [one for one in expected if one not in found]


@lru_cache(maxsize=1)
def eight() -> tuple[Contribution, ...]:
    """Eight statements of four sources in which everything that decides has its say: precedence, time, ties, nulls, lists."""
    def one(source: str, stated: int, arrival: int, **body: Any) -> Contribution:
        told = {slot.replace("__", "#"): value for slot, value in body.items()}
        return said(told, stated, source=source, resource_type="Patient", key="mrn|1", patient="mrn|1", arrival=arrival,
                    message=f"{source}{arrival}")
    phone, home = LISTS["telecom"][0], LISTS["telecom"][1]
    return (
        one("hospital", 1, 1, gender="male", birthDate="1958-04-09", telecom__a=[phone]),
        one("hospital", 2, 2, gender=None, deceasedBoolean=True),
        one("plan", 3, 3, gender="female", telecom__b=[home, LISTS["telecom"][2]]),
        one("plan", 3, 4, birthDate="1958-09-04", address__x=[{"city": "A"}], name__n=[LISTS["name"][1]]),
        one("partner", 3, 5, gender="other", name__n=[LISTS["name"][2]], deceasedDateTime="2026-02-01"),
        one("partner", 4, 6, telecom__c=[phone], address__x=[{"city": "B"}, {"city": "A"}]),
        one("server:hapi", 5, 7, **{"telecom!7": ['["email","a@example.org"]'], "gender!": True}),
        one("server:hapi", 2, 8, maritalStatus={"text": "x"}, birthDate=None))


def test_all_40320_orders_of_eight_statements_are_one() -> None:
    feeds = _Ranked(compiled={})
    network = Network(key=KEY, persons={}, precedence=feeds.precedence())
    target = ("Patient", "mrn|1", "")
    found = {orjson.dumps([(c := compose(target, order, network)).body, c.sources], option=orjson.OPT_SORT_KEYS)
             for order in itertools.permutations(eight())}
    assert len(found) == 1
    body = orjson.loads(found.pop())[0]
    assert body["birthDate"] == "1958-04-09"
    assert "gender" not in body
    assert body["deceasedBoolean"] is True
    assert body["name"] == [LISTS["name"][2], {"family": "Wrenmere"}]
