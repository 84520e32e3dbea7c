"""Every golden case, as `careloop cases` runs it: a folder beside its mapping, found by glob."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import orjson
import pytest

from adapter.cases import folders, run, run_case
from adapter.feeds import Feeds, open_feeds
from adapter.home import HOME
from adapter.mapping.yaml_lines import load_yaml

MAPPINGS = HOME / "mappings"
FOLDERS = folders(MAPPINGS, None)
EVENTS = {"A01", "A02", "A03", "A04", "A08", "A11", "A13", "A28", "A31", "A40"}
SEGMENTS = {"MSH", "EVN", "PID", "PD1", "NK1", "PV1", "PV2", "ROL", "DG1", "AL1", "IN1", "MRG"}


@cache
def _feeds() -> Feeds:
    return open_feeds(MAPPINGS)


@pytest.mark.parametrize("folder", FOLDERS, ids=[f"{f.parent.parent.name}-{f.name}" for f in FOLDERS])
def test_case(folder: Path) -> None:
    result = run_case(_feeds(), folder, accept=False)
    assert result.ok, f"{result.name}\n{result.diff}"


def test_each_event_and_segment_in_scope_has_a_case() -> None:
    lines = [
        line
        for f in FOLDERS
        for path in f.glob("input.hl7")
        for line in path.read_bytes().decode("latin-1").splitlines()
    ]
    assert {line[:3] for line in lines} >= SEGMENTS
    assert {line.split("|")[8].removeprefix("ADT^")[:3] for line in lines if line.startswith("MSH")} >= EVENTS


@pytest.mark.parametrize("folder", FOLDERS, ids=[f"{f.parent.parent.name}-{f.name}" for f in FOLDERS])
def test_a_case_is_complete(folder: Path) -> None:
    assert {p.stem for p in folder.iterdir()} == {"case", "expected", "input"}
    case = load_yaml(folder / "case.yaml")
    assert case["why"].strip()
    assert case["clock"]
    assert orjson.loads((folder / "expected.json").read_bytes())["entry"]


def _copy(tmp_path: Path, name: str = "resend") -> Path:
    folder = tmp_path / "common" / "cases" / name
    shutil.copytree(MAPPINGS / "common" / "cases" / name, folder)
    return folder


def test_a_changed_expectation_is_told_by_line(tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    path = folder / "expected.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"in-progress"', '"finished"'), encoding="utf-8")
    result = run_case(_feeds(), folder, accept=False)
    assert not result.ok
    assert '-        "status": "finished"' in result.diff
    assert '+        "status": "in-progress"' in result.diff


def test_accept_writes_what_came_out(tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    (folder / "expected.json").unlink()
    assert run_case(_feeds(), folder, accept=True).ok
    assert (folder / "expected.json").read_bytes() == (
        MAPPINGS / "common" / "cases" / "resend" / "expected.json"
    ).read_bytes()


@pytest.mark.parametrize(("name", "text", "told"), [
    ("case.yaml", None, "no case.yaml: write one with `why`, `clock`"),
    ("input.hl7", None, "no input.hl7 or input.csv"),
    ("case.yaml", "why: x\nexpect_issues: []\n", "case.yaml:1: `clock` is missing or no time"),
    ("case.yaml", "why: x\nclock: soon\n", "case.yaml:2: `clock` is missing or no time"),
])
def test_a_case_that_is_not_complete_says_what_is_missing(tmp_path: Path, name: str, text: str | None, told: str) -> None:
    folder = _copy(tmp_path)
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text)
    [result] = run(_feeds(), tmp_path)
    assert (result.name, result.ok) == ("common/resend", False)
    assert result.diff.startswith(told)


def test_an_issue_that_nobody_expects_and_one_that_does_not_come_fail_a_case(tmp_path: Path) -> None:
    folder = _copy(tmp_path, "order-tied")
    path = folder / "case.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("[order-tied]", "[time-ahead]"), encoding="utf-8")
    diff = run_case(_feeds(), folder, accept=False).diff
    assert "unexpected issue order-tied" in diff
    assert "expected issue time-ahead did not come" in diff
