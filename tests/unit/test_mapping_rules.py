"""Mapping files: compiled into rows, and every mistake told at its file and line, with what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter.errors import Defect
from adapter.home import HOME
from adapter.mapping.feed import load_feed, load_feeds
from adapter.mapping.lint import lint
from adapter.mapping.rules import Place, compile_feed, compile_file, parse_place


def feed(tmp_path: Path, text: str = "", name: str = "pv1.map.yaml", **files: str) -> Path:
    """A feed folder `mine` with one mapping file."""
    folder = tmp_path / "mine"
    folder.mkdir(exist_ok=True)
    (folder / "feed.yaml").write_text(files.pop("feed", "sender: {MSH-3: MINE}\n"))
    if text:
        (folder / name).write_text(text)
    return folder


PV1 = """# visits
segment: PV1
resource: Encounter
key: visit
rows:
- {from: PV1-1, drop: "set id"}
- {from: PV1-2, to: class, as: cwe_coding, table: patient-class, effect: [A01]}
"""


def test_rows_are_compiled_by_field(tmp_path: Path) -> None:
    [one] = compile_file(feed(tmp_path, PV1) / "pv1.map.yaml")
    assert (one.segment, one.resource, one.rule) == ("PV1", "Encounter", "mine/pv1.map.yaml:2")
    [row] = one.by_field[2]
    assert (row.rule, row.slot, row.effect, row.options) == ("mine/pv1.map.yaml:7", "class", {"A01"}, {"table": "patient-class"})


def test_a_list_takes_the_field_as_its_group_and_inner_names_wrap(tmp_path: Path) -> None:
    text = 'segment: PID\nresource: Patient\nrows:\n- {from: PID-15, to: "communication[].language", as: cwe_codeable_concept}\n'
    [one] = compile_file(feed(tmp_path, text) / "pv1.map.yaml")
    [row] = one.by_field[15]
    assert (row.slot, row.wrap, row.listed) == ("communication#PID-15", ("language",), True)


@pytest.mark.parametrize(
    ("line", "wrong", "told"),
    [
        (7, "as: cwe_codin, table: patient-class", ("no function `cwe_codin`", "did you mean `cwe_coding`?")),
        (7, "as: cwe_coding, tabel: patient-class", ("tabel",)),
        (7, "as: cwe_coding, effect: [admission]", ("admission",)),
        (7, "as: cwe_coding, when: {PV1_44: empty}", ("PV1_44", "PV1-3")),
    ],
)
def test_a_mistake_is_told_at_its_line_with_what_was_meant(tmp_path: Path, line: int, wrong: str, told: tuple[str, ...]) -> None:
    text = PV1.replace("as: cwe_coding, table: patient-class, effect: [A01]", wrong)
    with pytest.raises(Defect) as error:
        compile_file(feed(tmp_path, text) / "pv1.map.yaml")
    assert error.value.issue.place == f"mine/pv1.map.yaml:{line}"
    for words in told:
        assert words in str(error.value)


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        (PV1.replace("from: PV1-2", "from: PV1.2"), "mine/pv1.map.yaml:7", "PV1.2"),
        (PV1.replace("key: visit", "key: [patient, DG1_3]"), "mine/pv1.map.yaml:2", "DG1_3"),
        (PV1.replace("key: visit", "keys: visit"), "mine/pv1.map.yaml:2", "keys"),
        (PV1.replace("to: class", 'to: "class[].code"'), "mine/pv1.map.yaml:7", "Encounter.class is not a list"),
        (PV1.replace('drop: "set id"', 'drop: ""'), "mine/pv1.map.yaml:6", ""),
        (PV1.replace('from: PV1-1, drop: "set id"', "from: PV1-1"), "mine/pv1.map.yaml:6", ""),
        (PV1.replace("segment: PV1", "segment: pv1"), "mine/pv1.map.yaml:2", "pv1"),
        ("segment: PV1\nrows: [\n", "mine/pv1.map.yaml:3", ""),
        ("- 1\n", "mine/pv1.map.yaml:1", ""),
        ("", "mine/pv1.map.yaml:1", ""),
    ],
)
def test_each_kind_of_mistake_names_file_and_line(tmp_path: Path, text: str, place: str, told: str) -> None:
    folder = feed(tmp_path, PV1)
    (folder / "pv1.map.yaml").write_text(text)
    with pytest.raises(Defect) as error:
        compile_file(folder / "pv1.map.yaml")
    assert error.value.issue.code == "mapping-failed"
    assert error.value.issue.place == place
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("PV1-3", Place("PV1", 3)),
        ("PV1-3.1", Place("PV1", 3, 1)),
        ("PID-3.4.2", Place("PID", 3, 4, 2)),
        ("DG1", Place("DG1", 0)),
        ("ZPI-3", Place("ZPI", 3)),
    ],
)
def test_places(text: str, place: Place) -> None:
    assert parse_place(text) == place
    assert str(place) == text


# --- feeds


def test_a_feed_extends_another_and_says_only_what_is_special(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "feed.yaml").write_text("abstract: true\ntime_zone: UTC\nauthorities: {A: 'urn:a'}\nprimary: [MR]\n")
    (base / "pv1.map.yaml").write_text(PV1)
    mine = feed(tmp_path, feed="extends: base\nauthorities: {B: 2.16.840.1.113883.3.9999}\ntime_zone: America/Chicago\n")
    loaded = load_feed(mine)
    assert loaded.authorities == {"A": "urn:a", "B": "urn:oid:2.16.840.1.113883.3.9999"}
    assert (str(loaded.zone), loaded.primary) == ("America/Chicago", ("MR",))
    assert [p.parent.name for p in loaded.files("*.map.yaml")] == ["base"]
    (mine / "pv1.map.yaml").write_text(PV1)
    assert [p.parent.name for p in loaded.files("*.map.yaml")] == ["mine"]
    assert list(load_feeds(tmp_path)) == ["mine"]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("extends: commen\n", "no such feed: commen; did you mean common?"),
        ("extends: mine\n", "extends itself"),
        ("order: random\n", "event, sequence or arrival"),
        ("time_zone: Mars/Olympus\n", "IANA"),
        ("time_zone: US\n", "IANA"),
        ("authorities: {A: hospital}\n", "no absolute URI"),
        ("codes: [A]\n", "codes holds keys"),
        ("codes: {race: B}\n", "codes: race holds codes"),
        ("precedence: high\n", "precedence holds a whole number"),
        ("test: yes\n", "test holds true or false"),
        ("strict: network-atd\n", "did you mean network-adt?"),
        ("tolerate: [sequense]\n", "`sequense` is not a kind"),
    ],
)
def test_a_mistake_in_a_feed_is_told(tmp_path: Path, written: str, told: str) -> None:
    folder = feed(tmp_path, feed=f"sender: {{MSH-3: A}}\n\n{written}")
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "feed.yaml").write_text("abstract: true\n")
    with pytest.raises(Defect) as error:
        load_feed(folder)
    assert told in str(error.value)
    assert error.value.issue.place == "mine/feed.yaml:3"


def test_the_version_of_a_mapping_follows_everything_that_decides_the_result(tmp_path: Path) -> None:
    folder = feed(tmp_path, PV1)
    versions = {compile_feed(load_feed(folder)).version}
    for change in (
        "codes: {patient-class: {X: I}}\n",
        "authorities: {A: 'urn:a'}\n",
        "time_zone: America/Chicago\n",
        "order: arrival\n",
    ):
        (folder / "feed.yaml").write_text("sender: {MSH-3: MINE}\n" + change)
        versions.add(compile_feed(load_feed(folder)).version)
    (folder / "pv1.map.yaml").write_text(PV1.replace("A01", "A04"))
    versions.add(compile_feed(load_feed(folder)).version)
    assert len(versions) == 6
    assert compile_feed(load_feed(folder)).version in versions


# --- lint


def test_the_mappings_that_come_with_the_gateway_are_clean() -> None:
    assert lint(HOME / "mappings") == []


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("resource: Encounter", "resource: Encountr", "no resource type Encountr; did you mean `Encounter`?"),
        ("from: PV1-2,", "from: PV1-99,", "PV1 has 54 fields, PV1-99 is none of them"),
        ("from: PV1-2,", "from: PV9-2,", "no segment PV9; did you mean"),
        ("from: PV1-2,", "from: PV1-2.99,", "PV1-2.99"),
        ("to: class", "to: clas", "Encounter has no element clas"),
        ("to: class", "to: period.strat", "Encounter has no element period.strat"),
        ("table: patient-class", "table: patient-clas", "no concept map `patient-clas`; did you mean `patient-class`?"),
        ("table: patient-class", "table: '0004'", "no concept map `0004`; did you mean `patient-class`?"),
        ("as: cwe_coding", "as: cwe_codin", "no function `cwe_codin`; did you mean `cwe_coding`?"),
        ("from: PV1-2,", "from: PID-2,", "PID-2 is of another segment: this map reads PV1; write the row in a map of PID"),
        ("to: class,", "to: class, when: {PID-8: F},", "PID-8 is of another segment"),
        ("effect: [A01]", "effect: [A99]", "effect: A99 is no ADT event"),
        ("to: class,", "to: class, when: {event: [A01, A19]},", "when: A19 is no ADT event"),
        ("to: class, as: cwe_coding, table: patient-class", "to: status, const: done", "const: no code of encounter-status"),
        ("to: class, as: cwe_coding, table: patient-class", "to: status, const: finishd",
         "const: no code of encounter-status; did you mean `finished`?"),
        ("to: class, as: cwe_coding, table: patient-class", "to: period.start, const: today", "const: not a dateTime"),
        ("to: class, as: cwe_coding, table: patient-class", "to: period.start, as: dtm_datetime, default: today",
         "default: not a dateTime"),
        ("to: class, as: cwe_coding, table: patient-class", "to: partOf, ref: Encountr",
         "ref: no resource type Encountr; did you mean `Encounter`?"),
        ("to: class, as: cwe_coding, table: patient-class", "to: partOf, ref: patient",
         "ref: Encounter.partOf points at Encounter, not at Patient"),
        ("to: class, as: cwe_coding, table: patient-class", "to: extension, as: st_string",
         "an extension without `url`: add `url: ...` and `value: valueString`"),
        ("to: class, as: cwe_coding, table: patient-class", "to: extension, url: 'urn:x', as: st_string",
         "`url` without `value`: say which value the extension has"),
        ("to: class, as: cwe_coding, table: patient-class", "to: extension, value: valueString, as: st_string",
         "`value` without `url`: say which extension it is"),
    ],
)
def test_lint_finds_what_does_not_exist_and_says_where(tmp_path: Path, right: str, wrong: str, told: str) -> None:
    folder = feed(tmp_path, PV1, feed="time_zone: UTC\n")
    maps = folder / "conceptmaps"
    maps.mkdir()
    (maps / "patient-class.json").write_bytes((HOME / "mappings/common/conceptmaps/patient-class.json").read_bytes())
    (folder / "events.yaml").write_bytes((HOME / "mappings/common/events.yaml").read_bytes())
    assert lint(tmp_path) == []
    assert right in PV1
    (folder / "pv1.map.yaml").write_text(PV1.replace(right, wrong, 1))
    [finding] = lint(tmp_path)
    assert told in finding
    assert "mine/pv1.map.yaml:" in finding


def test_lint_goes_on_after_a_mistake(tmp_path: Path) -> None:
    folder = feed(tmp_path, PV1.replace("to: class", "to: clas").replace(", table: patient-class", ""))
    (folder / "zzz.map.yaml").write_text("rows: 7\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "feed.yaml").write_text("extends: nobody\n")
    assert len(lint(tmp_path)) == 3


def test_a_mistake_in_feed_yaml_hides_none_in_its_maps(tmp_path: Path) -> None:
    folder = feed(tmp_path, PV1.replace("to: class", "to: clas").replace(", table: patient-class", ""),
                  feed="sender: {MSH-3: A}\nsendr: {}\ntime_zone: Mars\n")
    assert lint(tmp_path) == ["mine/feed.yaml:2: no key `sendr`; did you mean `sender`?",
                              "mine/feed.yaml:3: time_zone is not a name of the IANA data base",
                              "mine/pv1.map.yaml:7: Encounter has no element clas"]
    (folder / "feed.yaml").write_text("sender: {MSH-3: [\n")
    assert [told.partition(":")[0] for told in lint(tmp_path)] == ["mine/feed.yaml", "mine/pv1.map.yaml"]


def test_a_mistake_in_the_table_of_events_is_told_at_its_line(tmp_path: Path) -> None:
    (feed(tmp_path) / "events.yaml").write_text("ranks: {admit: 20}\nevents:\n  A01: {rank: admit}\n  A02: {rank: transfr}\n")
    assert lint(tmp_path) == ["mine/events.yaml:4: A02: no rank transfr"]


def test_a_map_of_a_z_segment_reads_no_other(tmp_path: Path) -> None:
    feed(tmp_path, "segment: ZPK\nresource: Patient\nrows:\n- {from: PID-2, drop: elsewhere}\n- {from: ZPK-1, to: gender}\n")
    assert lint(tmp_path) == [
        "mine/pv1.map.yaml:4: PID-2 is of another segment: this map reads ZPK; write the row in a map of PID"]


def test_a_z_segment_may_have_any_field(tmp_path: Path) -> None:
    feed(tmp_path, "segment: ZPI\nresource: Patient\nrows:\n- {from: ZPI-70, to: gender}\n")
    assert lint(tmp_path) == []
