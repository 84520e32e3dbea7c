"""What several sources say, united: precedence, then the latest; null falls through; lists by identity; removals."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.compose.fold import fold
from adapter.compose.merge import alone_said, unite
from adapter.compose.precedence import Precedence
from adapter.model import Contribution, Json
from tests.unit.statements import said

PRECEDENCE = {"hospital": 10, "plan": 50, "partner": 50, "server:hapi": 100}
RANKED = Precedence(number=lambda source: PRECEDENCE.get(source, 100))


def united(*contributions: Contribution) -> Json:
    """The body out of all contributions, each source folded first."""
    sources = sorted({c.source for c in contributions})
    return unite([fold([c for c in contributions if c.source == s]) for s in sources], RANKED)[0]


def patient(source: str, body: Json, stated: int = 0, **more: Any) -> Contribution:
    return said(body, stated, source=source, resource_type="Patient", key="mrn|1", **more)


def phone(value: str, **more: Any) -> Json:
    return {"system": "phone", "value": value, **more}


# --- single elements


def test_precedence_comes_before_time() -> None:
    assert united(patient("hospital", {"gender": "female"}, 1), patient("plan", {"gender": "male"}, 9)) == {"gender": "female"}


def test_among_equals_the_latest_stands() -> None:
    assert united(patient("partner", {"gender": "female"}, 1), patient("plan", {"gender": "male"}, 9)) == {"gender": "male"}
    assert united(patient("partner", {"gender": "female"}, 9), patient("plan", {"gender": "male"}, 1)) == {"gender": "female"}


def test_a_null_falls_through_to_the_next_source() -> None:
    other = patient("plan", {"birthDate": "1980-01-02"}, 1)
    assert united(patient("hospital", {"birthDate": None}, 9), other) == {"birthDate": "1980-01-02"}
    assert united(patient("hospital", {"birthDate": None}, 9)) == {}


def test_a_choice_is_one_element() -> None:
    dead = patient("hospital", {"deceasedDateTime": "2026-03-01"}, 1)
    assert united(dead, patient("plan", {"deceasedBoolean": False}, 9)) == {"deceasedDateTime": "2026-03-01"}
    later = patient("partner", {"deceasedDateTime": "2026-03-01"}, 9)
    assert united(patient("plan", {"deceasedBoolean": True}, 1), later) == {"deceasedDateTime": "2026-03-01"}


def test_elements_below_a_backbone_come_from_their_own_sources() -> None:
    ours = said({"period.start": "s", "hospitalization.admitSource": {"text": "a"}}, 1, source="hospital")
    theirs = said({"period.end": "e", "period.start": "x"}, 9, source="plan")
    assert united(ours, theirs) == {"hospitalization": {"admitSource": {"text": "a"}}, "period": {"start": "s", "end": "e"}}


@pytest.mark.parametrize("by", ["sequence", "arrival"])
def test_the_latest_of_two_sources_is_by_time_however_each_orders_its_own(by: Any) -> None:
    old = patient("plan", {"gender": "male"}, 500, sequence=900_000, arrival=510, by=by)
    new = patient("partner", {"gender": "female"}, 800, arrival=810)
    assert united(old, new) == {"gender": "female"}
    newest = patient("plan", {"gender": "male"}, 900, sequence=3, arrival=910, by=by)
    assert united(newest, new) == {"gender": "male"}


# --- lists


def test_lists_are_united_by_the_identity_of_their_members() -> None:
    hospital = patient(
        "hospital", {"telecom#PID-13": [phone("1", use="home")], "identifier#PID-3": [{"system": "s", "value": "1"}]}, 1
    )
    plan = patient(
        "plan", {"telecom#phone": [phone("1", rank=1), phone("2")], "identifier#id": [{"system": "t", "value": "1"}]}, 2
    )
    assert united(hospital, plan) == {
        "telecom": [phone("1", use="home", rank=1), phone("2")],
        "identifier": [{"system": "s", "value": "1"}, {"system": "t", "value": "1"}],
    }


def test_of_two_that_say_the_same_member_the_latest_details_stand() -> None:
    first, last = (
        patient("hospital", {"telecom#a": [phone("1", use="home")]}, 1),
        patient("plan", {"telecom#a": [phone("1", use="work")]}, 2),
    )
    assert united(first, last) == {"telecom": [phone("1", use="work")]}
    again = patient("hospital", {"telecom#a": [phone("1", use="home")]}, 3)
    assert united(again, last) == {"telecom": [phone("1", use="home")]}


def test_one_race_however_many_sources_but_every_citizenship() -> None:
    race = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"
    citizen = "http://hl7.org/fhir/StructureDefinition/patient-citizenship"

    def extension(url: str, text: str) -> Json:
        return {"url": url, "extension": [{"url": "text", "valueString": text}]}

    old, new = (
        patient("hospital", {"extension#PID-10": [extension(race, "A")]}, 1),
        patient("plan", {"extension#race": [extension(race, "B")]}, 2),
    )
    assert united(old, new) == {"extension": [extension(race, "B")]}
    both = [extension(citizen, "US"), extension(citizen, "CA")]
    assert united(patient("hospital", {"extension#PID-26": both}, 1)) == {"extension": both}
    assert alone_said(patient("hospital", {"extension#PID-26": both}, 1))[0] == {"extension": both}


def test_a_source_that_deletes_its_list_leaves_the_others() -> None:
    gone = [patient("hospital", {"telecom#PID-13": [phone("1")]}, 1), patient("hospital", {"telecom#PID-13": None}, 2)]
    assert united(*gone, patient("plan", {"telecom#phone": [phone("2")]}, 1)) == {"telecom": [phone("2")]}
    assert united(*gone) == {}


def test_groups_of_one_source_stand_in_the_order_of_their_fields() -> None:
    names = {f"telecom#PID-{n}": [phone(str(n))] for n in (40, 9, 13)}
    assert [t["value"] for t in united(patient("hospital", names))["telecom"]] == ["9", "13", "40"]


def test_lists_without_identity_go_by_content() -> None:
    stated = {"address#a": [{"city": "A"}], "address#b": [{"city": "A"}, {"city": "B"}]}
    assert united(patient("hospital", stated)) == {"address": [{"city": "A"}, {"city": "B"}]}


# --- what another client took out


def removal(body: Json, stated: int) -> Contribution:
    return patient("server:hapi", body, stated)


def test_a_removal_holds_until_a_source_says_it_again() -> None:
    ours = patient("hospital", {"gender": "female"}, 1)
    assert united(ours, removal({"gender!": True}, 5)) == {}
    assert united(patient("hospital", {"gender": "female"}, 9), removal({"gender!": True}, 5)) == {"gender": "female"}


def test_a_removal_takes_out_only_what_was_said_before_it() -> None:
    before, after = patient("hospital", {"gender": "female"}, 1), patient("plan", {"gender": "male"}, 9)
    assert united(before, after, removal({"gender!": True}, 5)) == {"gender": "male"}


def test_a_member_that_was_taken_out_goes_and_the_rest_stays() -> None:
    key = '["phone","1"]'
    ours = patient("hospital", {"telecom#a": [phone("1"), phone("2")]}, 1)
    assert united(ours, removal({"telecom!": [key]}, 5)) == {"telecom": [phone("2")]}
    assert united(patient("hospital", {"telecom#a": [phone("1")]}, 9), removal({"telecom!": [key]}, 5)) == {
        "telecom": [phone("1")]
    }


@pytest.mark.parametrize("by", ["sequence", "arrival"])
def test_a_removal_is_undone_by_a_later_statement_however_the_source_is_ordered(by: Any) -> None:
    key = '["phone","1"]'
    ours = patient("hospital", {"gender": "female", "telecom#a": [phone("1")]}, 900, sequence=3, arrival=910, by=by)
    assert united(ours, removal({"gender!": True, "telecom!": [key]}, 500)) == {"gender": "female", "telecom": [phone("1")]}
    assert united(ours, removal({"gender!": True, "telecom!": [key]}, 950)) == {}


# --- the two ways are one

SINGLES = ("gender", "birthDate", "deceasedBoolean", "period.start", "period.end", "maritalStatus")
ITEMS: dict[str, st.SearchStrategy[Any]] = {
    "telecom": st.builds(phone, st.sampled_from("123"), use=st.sampled_from(["home", "work"])),
    "identifier": st.builds(lambda s, v: {"system": s, "value": v}, st.sampled_from("st"), st.sampled_from("12")),
    "address": st.builds(lambda c: {"city": c}, st.sampled_from("AB")),
    "extension": st.builds(lambda u, v: {"url": u, "valueString": v}, st.sampled_from("uv"), st.sampled_from("12")),
    "contact": st.builds(lambda n: {"name": {"text": n}}, st.sampled_from("AB")),
}


@st.composite
def snapshots(draw: st.DrawFn) -> Contribution:
    """One snapshot as mapping makes them: within a group no member twice."""
    body: Json = draw(st.dictionaries(st.sampled_from(SINGLES), st.one_of(st.none(), st.text(max_size=2)), max_size=4))
    for path, items in ITEMS.items():
        for group in draw(st.lists(st.sampled_from(["PID-3", "PID-19", "server 2", ""]), max_size=3, unique=True)):
            body[f"{path}#{group}"] = draw(st.one_of(st.none(), st.lists(items, min_size=1, max_size=3, unique_by=str)))
    for path in draw(st.lists(st.sampled_from(["gender", "birthDate", "telecom"]), max_size=2, unique=True)):
        body[f"{path}!" if path not in ITEMS else f"{path}!2"] = True if path not in ITEMS else ['["phone","1"]']
    order = draw(st.permutations(list(body)))
    return patient("hospital", {slot: body[slot] for slot in order}, draw(st.integers(0, 9)))


@given(snapshots())
def test_what_one_statement_alone_makes_is_what_uniting_makes(c: Contribution) -> None:
    body, sources = unite([fold([c])], RANKED)
    alone, alone_sources = alone_said(c)
    assert (alone, alone_sources) == (body, sources)


@given(st.lists(snapshots(), min_size=1, max_size=4), st.randoms())
def test_the_order_of_sources_does_not_matter(contributions: list[Contribution], random: Any) -> None:
    from dataclasses import replace

    names = ["hospital", "plan", "partner", "server:hapi"]
    statements = [fold([replace(c, source=s)]) for c, s in zip(contributions, names, strict=False)]
    shuffled = list(statements)
    random.shuffle(shuffled)
    assert unite(shuffled, RANKED) == unite(statements, RANKED)


# --- whose word counts first, as the network declared it


def declared(*contributions: Contribution, **elements: Any) -> Json:
    ranked = Precedence(number=lambda source: PRECEDENCE.get(source, 100),
                        declared={name.replace("_", "."): names for name, names in elements.items()},
                        families={"hospital": ("hospital", "common"), "plan": ("plan", "members")})
    return unite([fold([c]) for c in contributions], ranked)[0]


def test_a_declared_element_is_the_first_named_source_s_and_the_next_one_s_without_it() -> None:
    plan, hospital = patient("plan", {"gender": "male"}, 1), patient("hospital", {"gender": "female"}, 9)
    assert declared(plan, hospital, Patient_gender=["plan", "hospital"]) == {"gender": "male"}
    assert declared(patient("plan", {"gender": None}, 1), hospital, Patient_gender=["plan"]) == {"gender": "female"}
    assert declared(plan, hospital, Patient_birthDate=["plan"]) == {"gender": "female"}


def test_a_declared_type_holds_for_its_single_elements_and_a_name_for_the_feeds_that_extend_it() -> None:
    plan = patient("plan", {"gender": "male", "telecom#a": [phone("1")]}, 1)
    hospital = patient("hospital", {"gender": "female", "telecom#a": [phone("2")]}, 9)
    found = declared(plan, hospital, Patient=["members", "common"])
    assert (found["gender"], {t["value"] for t in found["telecom"]}) == ("male", {"1", "2"})


def test_a_declared_list_is_the_first_one_s_alone_who_states_it() -> None:
    plan = patient("plan", {"address#a": [{"city": "A"}]}, 9)
    hospital = patient("hospital", {"address#PID-11": [{"city": "B"}]}, 1)
    other = patient("partner", {"address#x": [{"city": "C"}]}, 1)
    assert declared(plan, hospital, other, Patient_address=["common", "members"]) == {"address": [{"city": "B"}]}
    assert declared(plan, other, Patient_address=["common", "members"]) == {"address": [{"city": "A"}]}
    assert declared(plan, other, Patient_address=["common"]) == {"address": [{"city": "C"}, {"city": "A"}]}


def test_a_declared_choice_is_one_element_and_an_element_holds_for_what_lies_in_it() -> None:
    dead, alive = patient("plan", {"deceasedBoolean": True}, 1), patient("hospital", {"deceasedDateTime": "2026-03-01"}, 9)
    assert declared(dead, alive, **{"Patient.deceased[x]": ["plan"]}) == {"deceasedBoolean": True}
    ours, theirs = said({"period.start": "s"}, 9, source="hospital"), said({"period.start": "x"}, 1, source="plan")
    assert declared(ours, theirs, Encounter_period=["plan"]) == {"period": {"start": "x"}}


def test_other_clients_of_a_server_can_be_named() -> None:
    ours, theirs = patient("hospital", {"gender": "female"}, 9), patient("server:hapi", {"gender": "male"}, 1)
    assert declared(ours, theirs, Patient_gender=["server"]) == {"gender": "male"}
