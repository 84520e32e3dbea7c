"""Another client's change as slots: what we had, with the difference composed over it, is what they wrote."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.compose.difference import difference
from adapter.compose.fold import fold
from adapter.compose.merge import unite
from adapter.compose.precedence import Precedence
from adapter.deliver.read_back import Written, map_written
from adapter.model import Contribution, Json
from tests.unit.statements import said

KEY = b"test"


def ours(resource_type: str, body: Json, stated: int = 1) -> Contribution:
    """Our own statement that gives a body."""
    slots: Json = {}
    for name, value in body.items():
        if name in ("resourceType", "id", "meta"):
            continue
        if isinstance(value, list):
            slots[f"{name}#ours"] = value
        elif name in ("period", "hospitalization"):
            slots.update({f"{name}.{k}" + ("#ours" if isinstance(v, list) else ""): v for k, v in value.items()})
        else:
            slots[name] = value
    return said(slots, stated, source="ours", resource_type=resource_type)


def theirs(resource_type: str, base: Json | None, body: Json | None, moment: int = 5) -> list[Contribution]:
    """Another client's write, as it comes back."""
    written = Written(
        server="hapi",
        resource_type=resource_type,
        id="1",
        version=str(moment),
        moment=moment,
        base=base,
        body=body,
        key="visits|1",
        person="mrn|1",
    )
    return list(map_written(written, KEY, moment).contributions)


def together(*contributions: Contribution) -> Json:
    sources = sorted({c.source for c in contributions})
    return unite([fold([c for c in contributions if c.source == s]) for s in sources],
                 Precedence(number=lambda _: 100))[0]


def canonical(value: Any) -> Any:
    """Without the order of lists, of what is empty, and of what is never taken over."""
    if isinstance(value, dict):
        return {k: canonical(v) for k, v in sorted(value.items()) if k not in ("resourceType", "id", "meta")}
    if isinstance(value, list):
        return sorted((canonical(v) for v in value), key=repr)
    return value


def assert_round_trip(resource_type: str, base: Json, changed: Json) -> None:
    assert canonical(together(ours(resource_type, base), *theirs(resource_type, base, changed))) == canonical(changed)


TEAM: Json = {
    "resourceType": "CareTeam",
    "id": "1",
    "status": "active",
    "name": "Team",
    "subject": {"reference": "Patient/p"},
    "participant": [
        {
            "role": [{"coding": [{"system": "r", "code": "lead"}]}],
            "member": {"reference": "Practitioner/a"},
            "onBehalfOf": {"reference": "Organization/o"},
            "period": {"start": "2026-01-01"},
        },
        {
            "role": [{"coding": [{"system": "r", "code": "care"}]}],
            "member": {"reference": "Practitioner/b"},
            "period": {"start": "2026-01-01"},
        },
    ],
}
PATIENT: Json = {
    "resourceType": "Patient",
    "id": "1",
    "gender": "female",
    "birthDate": "1961-05-14",
    "deceasedBoolean": False,
    "identifier": [{"system": "s", "value": "1"}],
    "name": [{"family": "Tarnhill", "given": ["Bess"]}],
    "telecom": [{"system": "phone", "value": "1", "use": "home", "rank": 1}, {"system": "phone", "value": "2"}],
    "extension": [{"url": "u", "valueString": "x"}],
}
ENCOUNTER: Json = {
    "resourceType": "Encounter",
    "id": "1",
    "status": "in-progress",
    "class": {"code": "IMP"},
    "period": {"start": "2026-03-01T08:00:00Z"},
    "hospitalization": {"admitSource": {"text": "ED"}, "specialCourtesy": [{"text": "VIP"}]},
    "participant": [{"individual": {"reference": "Practitioner/a"}}],
}


def _changed(base: Json, **elements: Any) -> Json:
    """A copy with elements replaced; None takes one out."""
    found = {**deepcopy(base), **elements}
    return {k: v for k, v in found.items() if v is not None}


def _member(base: Json, path: str, n: int, **elements: Any) -> Json:
    found = deepcopy(base)
    found[path][n] = _changed(found[path][n], **elements)
    return found


CHANGES: list[tuple[str, Json, Json]] = [
    ("nothing", TEAM, TEAM),
    ("a name", TEAM, _changed(TEAM, name="Other")),
    ("a name goes", TEAM, _changed(TEAM, name=None)),
    ("an element comes", TEAM, _changed(TEAM, note=[{"text": "n"}])),
    ("a participant goes", TEAM, _changed(TEAM, participant=TEAM["participant"][1:])),
    ("all participants go", TEAM, _changed(TEAM, participant=None)),
    (
        "a participant comes",
        TEAM,
        _changed(TEAM, participant=[*TEAM["participant"], {"member": {"reference": "Practitioner/c"}}]),
    ),
    ("a seat ends", TEAM, _member(TEAM, "participant", 0, period={"start": "2026-01-01", "end": "2026-03-01"})),
    ("a seat begins otherwise", TEAM, _member(TEAM, "participant", 0, period={"start": "2026-02-01"})),
    ("a participant loses its organization", TEAM, _member(TEAM, "participant", 0, onBehalfOf=None)),
    ("a role changes", TEAM, _member(TEAM, "participant", 1, role=[{"coding": [{"system": "r", "code": "lead"}]}])),
    ("a telephone loses its rank", PATIENT, _member(PATIENT, "telecom", 0, rank=None)),
    ("a telephone changes its use", PATIENT, _member(PATIENT, "telecom", 0, use="work")),
    ("a name is corrected", PATIENT, _changed(PATIENT, name=[{"family": "Oakhurst", "given": ["Bess", "Ann"]}])),
    ("an extension changes", PATIENT, _changed(PATIENT, extension=[{"url": "u", "valueString": "y"}])),
    ("a person dies", PATIENT, _changed(PATIENT, deceasedBoolean=None, deceasedDateTime="2026-03-01")),
    (
        "a stay ends",
        ENCOUNTER,
        _changed(ENCOUNTER, status="finished", period={**ENCOUNTER["period"], "end": "2026-03-02T08:00:00Z"}),
    ),
    ("a period goes", ENCOUNTER, _changed(ENCOUNTER, period=None)),
    ("below a backbone", ENCOUNTER, _changed(ENCOUNTER, hospitalization={"admitSource": {"text": "GP"}})),
    ("a backbone goes", ENCOUNTER, _changed(ENCOUNTER, hospitalization=None)),
    ("a datatype changes inside", ENCOUNTER, _changed(ENCOUNTER, **{"class": {"system": "s", "code": "IMP"}})),
]


@pytest.mark.parametrize(("base", "changed"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES])
def test_base_and_difference_give_what_they_wrote(base: Json, changed: Json) -> None:
    assert_round_trip(base["resourceType"], base, changed)


def test_no_change_says_nothing() -> None:
    assert theirs("CareTeam", TEAM, deepcopy(TEAM)) == []
    stamped = {**TEAM, "meta": {"versionId": "7", "lastUpdated": "2026-03-01T00:00:00Z"}}
    assert theirs("CareTeam", TEAM, stamped) == []


def test_only_what_changed_is_theirs() -> None:
    assert difference("CareTeam", TEAM, _changed(TEAM, name="Other"), lambda *_: False, "2") == {"name": "Other"}
    gone = difference("CareTeam", TEAM, _changed(TEAM, name=None), lambda *_: False, "2")
    assert gone == {"name!": True}


def test_what_we_never_pushed_is_a_statement_of_its_own() -> None:
    [alone] = theirs("CareTeam", None, TEAM)
    assert canonical(together(alone)) == canonical(TEAM)


def test_when_our_source_takes_an_element_back_it_goes_though_they_once_wrote_the_whole() -> None:
    change = theirs("Patient", PATIENT, _member(PATIENT, "telecom", 1, use="work"))
    now = ours("Patient", {k: v for k, v in PATIENT.items() if k != "gender"}, 9)
    assert "gender" not in together(now, *change)


def test_a_later_statement_of_ours_stands_over_theirs_and_leaves_the_rest_of_theirs() -> None:
    change = theirs("Patient", PATIENT, _changed(PATIENT, gender="male", birthDate="1961-05-15"))
    later = said({"gender": "other"}, 9, source="ours", resource_type="Patient")
    standing = together(ours("Patient", PATIENT), later, *change)
    assert (standing["gender"], standing["birthDate"]) == ("other", "1961-05-15")


def test_two_writes_of_theirs_one_after_the_other() -> None:
    first = _changed(TEAM, name="Other", participant=TEAM["participant"][:1])
    second = _changed(first, name="Third")
    both = [*theirs("CareTeam", TEAM, first, 5), *theirs("CareTeam", first, second, 6)]
    assert canonical(together(ours("CareTeam", TEAM), *both)) == canonical(second)


def test_a_write_that_takes_back_their_own_change() -> None:
    first = _changed(TEAM, participant=[*TEAM["participant"], {"member": {"reference": "Practitioner/c"}}])
    both = [*theirs("CareTeam", TEAM, first, 5), *theirs("CareTeam", first, TEAM, 6)]
    assert canonical(together(ours("CareTeam", TEAM), *both)) == canonical(TEAM)


def test_deleting_there_withdraws_what_they_said_and_nothing_of_ours() -> None:
    [gone] = theirs("CareTeam", TEAM, None)
    assert gone.kind == "withdraw"
    change = theirs("CareTeam", TEAM, _changed(TEAM, name="Other"), 3)
    assert canonical(together(ours("CareTeam", TEAM), *change, gone)) == canonical(TEAM)


# --- any change

CODES = st.sampled_from(["a", "b"])
PARTICIPANT = st.fixed_dictionaries(
    {"member": st.builds(lambda n: {"reference": f"Practitioner/{n}"}, CODES)},
    optional={
        "role": st.builds(lambda c: [{"coding": [{"system": "r", "code": c}]}], CODES),
        "period": st.builds(lambda s: {"start": s}, st.sampled_from(["2026-01-01", "2026-02-01"])),
        "onBehalfOf": st.builds(lambda n: {"reference": f"Organization/{n}"}, CODES),
    },
)


def _seat(p: Json) -> str:
    return repr((p["member"], p.get("role"), p.get("period", {}).get("start")))


TELECOM = st.fixed_dictionaries({"system": st.just("phone"), "value": CODES}, optional={"use": CODES, "rank": st.integers(1, 2)})
PERSON = st.fixed_dictionaries(
    {},
    optional={
        "gender": CODES,
        "birthDate": CODES,
        "maritalStatus": st.builds(lambda c: {"text": c}, CODES),
        "telecom": st.lists(TELECOM, min_size=1, max_size=2, unique_by=lambda t: t["value"]),
        "name": st.lists(
            st.builds(lambda f, g: {"family": f, "given": [g]}, CODES, CODES), min_size=1, max_size=2, unique_by=repr
        ),
    },
)
CARE_TEAM = st.fixed_dictionaries(
    {"status": CODES},
    optional={
        "name": CODES,
        "period": st.fixed_dictionaries({"start": CODES}, optional={"end": CODES}),
        "participant": st.lists(PARTICIPANT, min_size=1, max_size=3, unique_by=_seat),
    },
)
STAY = st.fixed_dictionaries(
    {"status": CODES},
    optional={
        "period": st.fixed_dictionaries({}, optional={"start": CODES, "end": CODES}).filter(bool),
        "hospitalization": st.fixed_dictionaries(
            {},
            optional={
                "admitSource": st.builds(lambda c: {"text": c}, CODES),
                "specialCourtesy": st.lists(st.builds(lambda c: {"text": c}, CODES), min_size=1, max_size=2, unique_by=repr),
            },
        ).filter(bool),
    },
)


@given(
    st.one_of(
        st.tuples(st.just("Patient"), PERSON, PERSON, PERSON),
        st.tuples(st.just("CareTeam"), CARE_TEAM, CARE_TEAM, CARE_TEAM),
        st.tuples(st.just("Encounter"), STAY, STAY, STAY),
    )
)
def test_any_change_and_the_change_after_it(bodies: tuple[str, Json, Json, Json]) -> None:
    resource_type, base, first, second = bodies
    assert_round_trip(resource_type, base, first)
    both = [*theirs(resource_type, base, first, 5), *theirs(resource_type, first, second, 6)]
    assert canonical(together(ours(resource_type, base), *both)) == canonical(second)
