"""Strict and tolerant feeds: what deviates from HL7 v2, or from a profile, is refused with an ERR each, or told and taken."""

from __future__ import annotations

import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from adapter.cli import main
from adapter.conformance.dictionary import PROFILES, structure_of, versions
from adapter.conformance.profile import profile_of
from adapter.conformance.sequence import check_sequence
from adapter.errors import Defect, Rejected
from adapter.feeds import Feeds, open_feeds
from adapter.home import HOME
from adapter.intake.accept import take
from adapter.mapping.yaml_lines import load_yaml, without_lines
from adapter.model import Issue, Received
from adapter.pipeline import map_received

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
GOOD = [
    "MSH|^~\\&|X|Y|CARELOOP|NETWORK|20260301081000||ADT^A01^ADT_A01|C1|P|2.5.1",
    "EVN||20260301081000||||20260301080500",
    "PID|1||4711^^^Y^MR||Fernley^Ada||19700101|F",
    "NK1|1|Fernley^Ben",
    "PV1|1|I|4W^12^A||||||||||||||||V1^^^Y^VN",
    "OBX|1|NM|8302-2^Height^LN||170|cm|||||F",
    "AL1|1||70618^Penicillin",
    "DG1|1||F10.20^Alcohol dependence^I10|||A",
    "PR1|1||44950^Appendectomy^C4||20260301",
    "ROL|1|AD|PP|1234567893^Marlwick^Odile",
    "PR1|2||44950^Appendectomy^C4||20260301",
    "IN1|1|P1^Plan|PAYER1|Payer",
]


def er7(*lines: str) -> bytes:
    return "\r".join(lines).encode()


def feeds(tmp_path: Path, feed: str) -> Feeds:
    """The installation's feeds with one more, `x`, for sender X."""
    folder = tmp_path / "mappings"
    shutil.copytree(HOME / "mappings", folder)
    (folder / "x").mkdir()
    (folder / "x" / "feed.yaml").write_text(f"extends: common\nsender: {{MSH-3: X, MSH-4: Y}}\n{feed}\n", encoding="utf-8")
    return open_feeds(folder)


@pytest.fixture(name="strict", scope="module")
def _strict(tmp_path_factory: pytest.TempPathFactory) -> Feeds:
    return feeds(tmp_path_factory.mktemp("strict"), "strict: true")


@pytest.fixture(name="tolerant", scope="module")
def _tolerant(tmp_path_factory: pytest.TempPathFactory) -> Feeds:
    return feeds(tmp_path_factory.mktemp("tolerant"), "")


def refused(raw: bytes, strict: Feeds) -> set[tuple[str, str]]:
    """(code, place) of each reason to refuse a message, empty where it was taken."""
    try:
        map_received(Received(raw=raw, arrival=NOW), strict)
    except Rejected as error:
        return {(issue.code, issue.place) for issue in error.issues}
    return set()


def told(raw: bytes, tolerant: Feeds) -> set[tuple[str, str]]:
    issues = map_received(Received(raw=raw, arrival=NOW), tolerant).issues
    return {(i.code, i.place) for i in issues if i.code.startswith("tolerated-")}


def test_a_message_as_the_standard_has_it_is_taken(strict: Feeds, tolerant: Feeds) -> None:
    assert refused(er7(*GOOD), strict) == set()
    assert told(er7(*GOOD), tolerant) == set()


def without(name: str) -> bytes:
    return er7(*(line for line in GOOD if line[:3] != name))


def changed(old: str, new: str) -> bytes:
    assert any(old in line for line in GOOD)
    return er7(*(line.replace(old, new) for line in GOOD))


STRUCTURE = [
    pytest.param(without("PV1"), {("sequence", "PV1")}, id="a segment is missing"),
    pytest.param(er7(*GOOD[:5], GOOD[6], GOOD[5], *GOOD[7:]), {("sequence", "OBX")}, id="a segment comes too late"),
    pytest.param(er7(*GOOD[:3], GOOD[2], *GOOD[3:]), {("sequence", "PID[2]")}, id="a segment comes too often"),
    pytest.param(er7(*GOOD[:3], "NPU|A^1", *GOOD[3:]), {("sequence", "NPU")}, id="a segment of another structure"),
    pytest.param(er7(*GOOD, "IN2|1", "IN2|2"), {("sequence", "IN2[2]")}, id="a segment comes too often in its group"),
    pytest.param(changed("19700101|F", "19700101~19700102|F"), {("form", "PID-7[2]")}, id="a field repeats"),
    pytest.param(changed("DG1|1||F10.20^Alcohol dependence^I10|||A", "DG1|||F10.20^Alcohol dependence^I10|||A"),
                 {("required", "DG1-1")}, id="a required field is empty"),
    pytest.param(changed("AL1|1||70618^Penicillin", "AL1|1||70618^Penicillin||||x"), {("form", "AL1-7")}, id="one too many"),
]
FORMS = [
    pytest.param(changed("19700101", "01.01.1970"), {("form", "PID-7.1")}, id="a date has not its form"),
    pytest.param(changed("19700101", "19700231"), {("form", "PID-7.1")}, id="a day that there is not"),
    pytest.param(changed("PR1|2", "PR1|two"), {("form", "PR1[2]-1")}, id="a set id is no number"),
    pytest.param(changed("19700101|F", "19700101|F^emale"), {("form", "PID-8")}, id="components where there are none"),
    pytest.param(changed("ADT^A01^ADT_A01", "ADT^A01^ADT_A08"), {("value", "MSH-9.3")}, id="another structure is named"),
]


@pytest.mark.parametrize(("raw", "found"), [*STRUCTURE, *FORMS])
def test_strict_refuses(raw: bytes, found: set[tuple[str, str]], strict: Feeds) -> None:
    assert refused(raw, strict) == {(f"refused-{kind}", place) for kind, place in found}


@pytest.mark.parametrize(("raw", "found"), STRUCTURE)
def test_tolerant_tells_and_takes(raw: bytes, found: set[tuple[str, str]], tolerant: Feeds) -> None:
    assert told(raw, tolerant) == {(f"tolerated-{kind}", place) for kind, place in found}


@pytest.mark.parametrize("raw", [param.values[0] for param in FORMS])
def test_tolerant_leaves_forms_to_the_mapping(raw: bytes, tolerant: Feeds) -> None:
    assert told(raw, tolerant) == set()


def test_z_segments_may_stand_anywhere(strict: Feeds) -> None:
    assert refused(er7(*GOOD[:2], "ZZZ|1", *GOOD[2:], "ZPD|x"), strict) == set()


def test_each_finding_has_its_err_and_nothing_is_contributed(strict: Feeds) -> None:
    raw = er7(*(line for line in GOOD if line[:3] != "NK1")).replace(b"|19700101|", b"|1970-01-01|").replace(b"DG1|1|", b"DG1||")
    taken = take(Received(raw=raw, arrival=NOW), strict)
    entry, mapped = taken.entry, taken.mapped
    assert mapped is None
    assert (entry.state, entry.ack_code) == ("refused", "AE")
    assert entry.issues == (Issue(code="refused-required", place="DG1-1", detail="required in 2.5.1"),
                            Issue(code="refused-form", place="PID-7.1", detail="not a DTM"))
    assert entry.ack is not None
    errs = [line.split("|") for line in entry.ack.decode().split("\r") if line.startswith("ERR")]
    assert [(err[2], err[3].split("^")[0], err[4]) for err in errs] == [("DG1^1^1", "101", "E"), ("PID^1^7^1^1", "102", "E")]
    assert all(err[8] for err in errs)


def test_an_accepted_message_has_no_err_for_what_was_tolerated(tolerant: Feeds) -> None:
    entry = take(Received(raw=without("PV1"), arrival=NOW), tolerant).entry
    assert entry.ack_code == "AA"
    assert b"ERR" not in (entry.ack or b"")
    assert "tolerated-sequence" in {issue.code for issue in entry.issues}


@pytest.mark.parametrize("tolerate", ["sequence", "PV1", "sequence PV1"])
@pytest.mark.parametrize("strict", ["true", "false"])
def test_what_a_feed_tolerates_is_not_even_told(tolerate: str, strict: str, tmp_path: Path) -> None:
    x = feeds(tmp_path, f"strict: {strict}\ntolerate: [{tolerate}]")
    assert refused(without("PV1"), x) == set()
    assert told(without("PV1"), x) == set()


@pytest.mark.parametrize("key", ["strict: no-such-profile", "tolerate: [anything]", "tolerate: [form]\nstrict: [1]"])
def test_a_wrong_key_is_told_when_the_feed_is_read(key: str, tmp_path: Path) -> None:
    with pytest.raises(Defect):
        feeds(tmp_path, key)


@pytest.mark.parametrize(("version", "structure"), [
    ("2.1", "MSH|^~\\&|X|Y|||20260301||ADT^A08|C|P|2.1\rEVN|A08|20260301\rPID|||4711||Fernley^Ada\rNK1|1|Fernley^Ben\rPV1||I|4W"),
    ("2.3.1", "MSH|^~\\&|X|Y|||20260301||ADT^A31|C|P|2.3.1\rEVN|A31|20260301\rPID|||4711^^^Y^MR||Fernley^Ada\rPV1||N"),
    ("2.9", "MSH|^~\\&|X|Y|||20260301||ADT^A01^ADT_A01|C|P|2.9\rARV|1|A|R^Restrict\rEVN||20260301\rPID|1||4711^^^Y^MR||"
            "Fernley^Ada\rPV1|1|I\rPRT||AD||AP^Attending"),
])
def test_each_version_has_its_own_structures(version: str, structure: str, strict: Feeds) -> None:
    assert refused(structure.encode(), strict) == set()


@pytest.mark.parametrize("version", [one for one in versions() if one >= "2.3.1"])
def test_an_observation_needs_no_sub_id(version: str, strict: Feeds) -> None:
    """OBX-4 is conditional in every version: it is needed only where several OBX of one OBX-3 must be told apart."""
    raw = er7(f"MSH|^~\\&|X|Y|||20260301||ADT^A01^ADT_A01|C|P|{version}", "EVN||20260301",
              "PID|1||4711^^^Y^MR||Fernley^Ada", "PV1|1|I", "OBX|1|NM|8302-2^Height||170|cm|||||F")
    assert refused(raw, strict) == set()


@pytest.mark.parametrize("version", [*versions()])
def test_every_event_has_a_structure_in_every_version(version: str) -> None:
    for n in {*range(1, 63)} - {19, *range(56, 60)}:
        found = structure_of(f"A{n:02}", version)
        assert found is not None, n
        assert {"MSH", "EVN"} <= {node.name for node in found[1]}


def test_the_dictionary_is_what_hl7apy_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HOME / "tools"))
    import hl7v2  # a tool, beside the program

    assert hl7v2.text() == (PROFILES / "dictionary.json").read_bytes()
    sys.modules.pop("hl7v2")


NAMES = sorted(versions()["2.8.2"].segments)


@given(st.lists(st.sampled_from([*NAMES, "ZZZ"]), max_size=40))
def test_any_order_is_told_and_none_is_a_surprise(names: list[str]) -> None:
    """Whatever comes, each finding is about a segment that is there or is needed; a valid order gives none."""
    known = structure_of("A01", "2.8.2")
    assert known is not None
    found = check_sequence(known[0], known[1], ["MSH", "EVN", "PID", *names])
    assert {one.place.partition("[")[0] for one in found} <= {*names, "MSH", "EVN", "PID", "PV1", "PR1", "IN1"}
    assert not any(one.place.startswith("Z") for one in found)


@given(st.data())
def test_every_order_that_the_structure_allows_has_no_finding(data: st.DataObject) -> None:
    event = data.draw(st.sampled_from(["A01", "A03", "A17", "A24", "A40", "A45", "A60"]))
    known = structure_of(event, data.draw(st.sampled_from(["2.3.1", "2.5.1", "2.8.2", "2.9"])))
    assert known is not None

    def walk(nodes: tuple[object, ...]) -> list[str]:
        found: list[str] = []
        for node in known[1] if nodes is known[1] else nodes:
            times = data.draw(st.integers(node.least, 2 if node.many else 1))
            for _ in range(times):
                found += walk(node.children) if node.children else [node.name]
        return found

    assert check_sequence(known[0], known[1], walk(known[1])) == []


def test_convert_tells_every_reason_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feeds(tmp_path, "strict: true")
    monkeypatch.setenv("CARELOOP_MAPPINGS", str(tmp_path / "mappings"))
    monkeypatch.setenv("CARELOOP_DATA_DIR", str(tmp_path / "store"))
    (tmp_path / "bad.hl7").write_bytes(without("PV1").replace(b"19700101", b"19700131x"))
    result = CliRunner().invoke(main, ["convert", str(tmp_path / "bad.hl7")])
    assert result.exit_code == 1
    assert result.stdout == ""
    told = [json.loads(line) for line in result.stderr.splitlines()]
    assert [(one["code"], one["place"]) for one in told] == [("refused-sequence", "PV1")]
    assert [(one["code"], one["place"]) for one in told[0]["others"]] == [("refused-form", "PID-7.1")]


PROFILE_FINDINGS = [
    pytest.param(changed("4711^^^Y^MR", "4711^^^Y^XX"), {("value", "PID-3.5")}, id="a code that is not in its table"),
    pytest.param(changed("19700101|F", "|F"), {("required", "PID-7")}, id="a field the profile needs"),
    pytest.param(changed("Fernley^Ada", "^Ada"), {("required", "PID-5.1")}, id="a component the profile needs"),
    pytest.param(changed("4711^", f"{'4' * 65}^"), {("form", "PID-3.1")}, id="a value longer than it may be"),
    pytest.param(changed("19700101|F", "19700101|F|||||||||||123-45-6789"), {("form", "PID-19")}, id="a field it does not take"),
    pytest.param(changed("4711^^^Y^MR", "~".join(f"{n}^^^Y^MR" for n in range(21))), {("form", "PID-3[21]")}, id="too often"),
    pytest.param(changed("ADT^A01^ADT_A01", "ADT^A03^ADT_A03").replace(b"NK1|1|Fernley^Ben\r", b""),
                 {("required", "PV1-45")}, id="a rule of one event"),
]


@pytest.fixture(name="profiled", scope="module")
def _profiled(tmp_path_factory: pytest.TempPathFactory) -> Feeds:
    return feeds(tmp_path_factory.mktemp("profiled"), "strict: network-adt")


def test_a_message_as_the_profile_has_it_is_taken(profiled: Feeds) -> None:
    assert refused(er7(*GOOD), profiled) == set()


@pytest.mark.parametrize(("raw", "found"), PROFILE_FINDINGS)
def test_a_profile_refuses_beyond_the_standard(raw: bytes, found: set[tuple[str, str]], profiled: Feeds, strict: Feeds) -> None:
    ours = {(f"refused-{kind}", place) for kind, place in found}
    assert refused(raw, profiled) >= ours
    assert refused(raw, profiled) - refused(raw, strict) <= ours


def test_a_profile_s_table_is_asked_after_the_feed_s_own_codes(tmp_path: Path, profiled: Feeds) -> None:
    weiblich = er7(*GOOD).replace(b"19700101|F", b"19700101|W")
    assert refused(weiblich, profiled) == {("refused-value", "PID-8")}
    agreed = feeds(tmp_path, "strict: network-adt\ncodes: {administrative-sex: {W: F}}")
    assert refused(weiblich, agreed) == set()
    assert refused(weiblich.replace(b"|W", b"|X"), agreed) == {("refused-value", "PID-8")}


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.yaml")), ids=lambda path: path.stem)
def test_each_profile_fits_its_schema(path: Path) -> None:
    schema = json.loads((PROFILES / "profile.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(without_lines(load_yaml(path)), schema)
    assert profile_of(path.stem, without_lines(load_yaml(path))).segments


@pytest.mark.parametrize(("written", "told"), [
    ({"segmnts": []}, "no key `segmnts`"), ({"version": "3.0"}, "version 3.0"), ({"segments": [{"segment": "pid"}]}, "pid"),
    ({"segments": [{"segment": "PID", "usage": "M"}]}, "usage is R, RE, O or X"),
    ({"segments": [{"segment": "PID", "cardinality": "1"}]}, "cardinality is written"),
    ({"segments": [{"segment": "PID", "fields": [{"field": "PV1-2"}]}]}, "no place of PID"),
    ({"segments": [{"segment": "PID", "fields": [{"field": "PID-2", "length": "x"}]}]}, "length is a number"),
])
def test_a_mistake_in_a_profile_is_told(written: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        profile_of("x", written)
