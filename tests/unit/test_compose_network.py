"""Resources of persons: the main Patient out of all records, merged ones inactive, references that follow the person."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.compose.compose import Network, compose
from adapter.compose.precedence import Precedence
from adapter.feeds import Feeds
from adapter.identity.ids import resource_id
from adapter.identity.links import Link
from adapter.identity.persons import resolve
from adapter.model import Composed, Contribution, Json
from adapter.pipeline import compose_all
from tests.unit.statements import order, said

KEY = b"test"
NO_FEEDS = Feeds(compiled={})


def person(number: str, body: Json, stated: int = 1, source: str = "feed") -> Contribution:
    return said(
        {"identifier#PID-3": [{"system": "urn:mrn", "value": number}], **body},
        stated,
        resource_type="Patient",
        key=f"mrn|{number}",
        patient=f"mrn|{number}",
        source=source,
        message=f"{source}{number}{stated}",
    )


def link(survivor: str, loser: str, kind: str = "A40", at: int = 5) -> Contribution:
    return Contribution(
        source="feed",
        resource_type="Link",
        key=survivor,
        scope="own",
        patient=survivor,
        kind="link",
        event=kind,
        order=order(at),
        other=loser,
        message=f"{survivor}{loser}",
        mapping="m1",
    )


def patient_id(key: str) -> str:
    return resource_id(KEY, "Patient", key)


def composed(*contributions: Contribution) -> dict[str, Composed]:
    """Everything these say, by `Type/key`."""
    found = compose_all(contributions, (), NO_FEEDS, KEY, lambda _: set())
    return {f"{c.resource_type}/{c.key}": c for c in found if not c.deleted}


def test_ids_are_keyed_and_depend_on_nothing_else() -> None:
    assert patient_id("mrn|1") == patient_id("mrn|1") != resource_id(b"other", "Patient", "mrn|1")
    assert len(patient_id("mrn|1")) == 32
    assert composed(person("1", {}))["Patient/mrn|1"].id == patient_id("mrn|1")


def test_a_merged_record_stands_inactive_and_points_at_the_survivor() -> None:
    found = composed(person("1", {"gender": "female"}), person("2", {"gender": "male", "active": True}), link("mrn|1", "mrn|2"))
    loser, survivor = found["Patient/mrn|2"].body, found["Patient/mrn|1"].body
    assert (loser["active"], loser["gender"]) == (False, "male")
    assert loser["link"] == [{"other": {"reference": f"Patient/{patient_id('mrn|1')}"}, "type": "replaced-by"}]
    assert survivor["link"] == [{"other": {"reference": f"Patient/{patient_id('mrn|2')}"}, "type": "replaces"}]
    assert survivor["gender"] == "female"
    assert [(i["value"], i.get("use")) for i in survivor["identifier"]] == [("1", None), ("2", "old")]


def test_linked_records_make_one_main_patient_and_the_others_refer_to_it() -> None:
    member = said(
        {"identifier#id": [{"system": "urn:x-careloop:member", "value": "M"}], "birthDate": "1961-05-14"},
        1,
        resource_type="Patient",
        key="urn:x-careloop:member|M",
        patient="urn:x-careloop:member|M",
        source="members",
        message="m",
    )
    record = person("1", {"gender": "female"})
    found = composed(member, record, link("mrn|1", "urn:x-careloop:member|M", "inferred"))
    main, other = found["Patient/urn:x-careloop:member|M"].body, found["Patient/mrn|1"].body
    assert (main["birthDate"], main["gender"]) == ("1961-05-14", "female")
    assert {i["value"] for i in main["identifier"]} == {"M", "1"}
    assert main["link"] == [{"other": {"reference": f"Patient/{patient_id('mrn|1')}"}, "type": "seealso"}]
    assert other["link"] == [{"other": {"reference": f"Patient/{patient_id('urn:x-careloop:member|M')}"}, "type": "refer"}]
    assert "birthDate" not in other


@pytest.mark.parametrize("chain", [["1", "2"], ["1", "2", "3"]])
def test_references_follow_the_person_to_its_last_survivor(chain: list[str]) -> None:
    links = [link(f"mrn|{b}", f"mrn|{a}", at=n) for n, (a, b) in enumerate(itertools.pairwise(chain))]
    visit = said({"status": "in-progress", "class": {"code": "IMP"}, "subject": {"reference": "Patient?mrn|1"}}, patient="mrn|1")
    found = composed(visit, *(person(n, {}) for n in chain), *links)
    assert found["Encounter/visits|1"].body["subject"] == {"reference": f"Patient/{patient_id('mrn|' + chain[-1])}"}
    assert found["Encounter/visits|1"].person == f"mrn|{chain[-1]}"


def test_a_resource_that_each_person_has_one_of_is_united_when_persons_are() -> None:
    def team(number: str, name: str) -> Contribution:
        return said(
            {
                "status": "active",
                "subject": {"reference": f"Patient?mrn|{number}"},
                "participant#npi": [{"member": {"display": name}}],
            },
            resource_type="CareTeam",
            key="program",
            scope="person",
            patient=f"mrn|{number}",
            message=name,
        )

    both = [person("1", {}), person("2", {}), team("1", "A"), team("2", "B")]
    apart = [c for c in compose_all(both, (), NO_FEEDS, KEY, lambda _: set()) if c.resource_type == "CareTeam"]
    assert len({c.id for c in apart}) == 2
    one = composed(*both, link("mrn|1", "mrn|2"))
    assert one["CareTeam/program"].body["subject"] == {"reference": f"Patient/{patient_id('mrn|1')}"}


def test_a_reference_without_a_target_is_taken_out_and_told() -> None:
    visit = said(
        {
            "status": "in-progress",
            "class": {"code": "IMP"},
            "subject": {"reference": "Patient?mrn|7"},
            "serviceProvider": {"reference": "Organization?o|1", "display": "O"},
        },
        patient="mrn|1",
    )
    found = composed(visit, person("1", {}))["Encounter/visits|1"]
    assert found.body["serviceProvider"] == {"display": "O"}
    assert "reference" not in found.body["subject"]
    assert "fhir-reference" in [i.code for i in found.issues]


def test_whose_a_shared_visit_is_does_not_hang_on_the_order_it_is_read_in() -> None:
    ours, theirs = (
        said({"status": "finished"}, 1, patient="mrn|1", message="a"),
        said({"status": "finished"}, 2, patient="mrn|2", message="b"),
    )
    network = Network(key=KEY, persons={}, precedence=Precedence(number=lambda _: 0))
    target = ("Encounter", "visits|1", "")
    assert {compose(target, pair, network).person for pair in ([ours, theirs], [theirs, ours])} == {"mrn|2"}


NUMBERS = st.sampled_from("1234")


@given(
    st.lists(
        st.one_of(
            st.builds(
                lambda n, g, at: person(n, {"gender": g}, at), NUMBERS, st.sampled_from(["male", "female"]), st.integers(0, 99)
            ),
            st.builds(lambda a, b, at: link(f"mrn|{a}", f"mrn|{b}", at=at), NUMBERS, NUMBERS, st.integers(0, 99)),
        ),
        max_size=8,
        unique_by=lambda c: c.order.stated,
    ),
    st.randoms(),
)
def test_composition_is_a_function_of_the_set(contributions: list[Contribution], random: Any) -> None:
    shuffled = list(contributions)
    random.shuffle(shuffled)
    expected, found = composed(*contributions), composed(*shuffled)
    assert {k: (c.body, c.person, c.sources) for k, c in found.items()} == {
        k: (c.body, c.person, c.sources) for k, c in expected.items()
    }
    literal = {f"Patient/{c.id}" for c in found.values()}
    for c in found.values():
        assert c.references <= literal
        assert all(one["other"]["reference"] != f"Patient/{c.id}" for one in c.body.get("link", []))


def test_persons_without_any_link_are_found_alone() -> None:
    network = Network(
        key=KEY,
        persons=resolve(("mrn|1",), [Link(patient="mrn|2", other="mrn|3", kind="A40", order=(0, 0, 0, 0))], (), ()),
        precedence=Precedence(number=lambda _: 0),
    )
    assert network.person("mrn|9").main == "mrn|9"
    assert network.literal("Patient?mrn|3") == f"Patient/{patient_id('mrn|2')}"
    assert network.literal("Patient!mrn|3") == f"Patient/{patient_id('mrn|3')}"
    assert network.literal("Patient/abc") == "Patient/abc"


def official(family: str, **more: Any) -> Json:
    return {"name#PID-5": [{"use": "official", "family": family, **more}]}


class _HospitalFirst(Feeds):
    def precedence(self) -> Precedence:
        return Precedence(number=lambda source: 10 if source == "hospital" else 100)


@pytest.mark.parametrize("feeds", [NO_FEEDS, _HospitalFirst(compiled={})])
def test_one_source_says_the_official_name(feeds: Feeds) -> None:
    said_of = [person("1", official("Wrenmere"), 1, "hospital"), person("1", official("Thornmoor"), 2, "plan"),
               person("1", official("Ashby", period={"end": "2020"}), 3, "partner"),
               person("1", official("Thornmoor"), 1, "other")]
    for these in itertools.permutations(said_of):
        found = next(c.body for c in compose_all(these, (), feeds, KEY, lambda _: set()))
        kept, bare = ("Wrenmere", "Thornmoor") if feeds is not NO_FEEDS else ("Thornmoor", "Wrenmere")
        assert {(n["family"], n.get("use")) for n in found["name"]} == {(kept, "official"), (bare, None), ("Ashby", "official")}
        assert len(found["name"]) == 3


def test_an_official_name_that_is_withdrawn_gives_the_use_back() -> None:
    these = [person("1", official("Wrenmere"), 1, "hospital"), person("1", official("Thornmoor"), 2, "plan"),
             said({}, 3, kind="withdraw", source="plan", resource_type="Patient", key="mrn|1", patient="mrn|1")]
    assert composed(*these)["Patient/mrn|1"].body["name"] == [{"use": "official", "family": "Wrenmere"}]
