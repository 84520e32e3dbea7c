"""`careloop remap`: what a changed mapping changes over the journal, and that it then stands as if it had always been so."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, select

from adapter.cli import main
from adapter.gateway import Gateway
from adapter.home import HOME
from adapter.settings import Settings
from adapter.store.engine import reading
from adapter.store.schema import CONTRIBUTION, RESOURCE, RESOURCE_VERSION

PATIENT = "PID|1||{0}^^^Y^MR||Fernley^Ada||19700101|F|||4 Mill Road^^Alderton^NY^12999"
ADMISSION = ("MSH|^~\\&|X|Y|CARELOOP|NETWORK|202603010810||ADT^A01^ADT_A01|C{0}|P|2.5.1\rEVN||202603010810\r" + PATIENT +
             "\rNK1|1|Fernley^Ben|SPO\rPV1|1|OBS|4W^12^A||||||||||||||||V{0}^^^Y^VN\rZPH|1|Corner Pharmacy")
UPDATE = "MSH|^~\\&|X|Y|CARELOOP|NETWORK|202603020810||ADT^A08^ADT_A01|D{0}|P|2.5.1\rEVN||202603020810\r" + PATIENT + \
    "\rPV1|1|OBS|4W^12^A||||||||||||||||V{0}^^^Y^VN"
CSV = b"member_id,first_name,last_name,birth_date,gender,mrn,mrn_system\nM1,Ada,Fernley,1970-01-01,female,1,urn:x-careloop:x:Y\n"

Run = Callable[..., Result]


@pytest.fixture(name="mappings")
def _mappings(tmp_path: Path) -> Path:
    folder = tmp_path / "mappings"
    for name in ("common", "default", "network", "members"):
        shutil.copytree(HOME / "mappings" / name, folder / name)
    feed(folder, "")
    return folder


def feed(mappings: Path, more: str) -> None:
    (mappings / "x").mkdir(exist_ok=True)
    (mappings / "x" / "feed.yaml").write_text(f"extends: common\nsender: {{MSH-3: X, MSH-4: Y}}\n{more}\n", encoding="utf-8")


def pharmacy(mappings: Path) -> None:
    (mappings / "x" / "zph.map.yaml").write_text(
        "segment: ZPH\nresource: Patient\nkey: patient\nrows:\n- {from: ZPH-1, drop: set id}\n"
        "- {from: ZPH-2, to: extension, url: 'urn:x:pharmacy', value: valueString, as: st_string}\n", encoding="utf-8")


@pytest.fixture(name="opened")
def _opened(tmp_path: Path, mappings: Path) -> Callable[..., Gateway]:
    def of(name: str) -> Gateway:
        return Gateway(Settings(data_dir=tmp_path / name, key="00" * 32, mappings=mappings))

    return of


def fill(gateway: Gateway, people: int = 2) -> None:
    messages = [text.format(n).encode() for n in range(1, people + 1) for text in (ADMISSION, UPDATE)]
    gateway.accept([(one, "test") for one in messages])
    while gateway.work(500):
        pass


def standing(gateway: Gateway) -> dict[tuple[str, str], Any]:
    with reading(gateway.engine) as connection:
        rows = connection.execute(select(RESOURCE).where(RESOURCE.c.deleted == 0)).all()
    return {(row.resource_type, row.id): row.body for row in rows}


def count(gateway: Gateway, table: Any) -> int:
    with reading(gateway.engine) as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


@pytest.fixture(name="run")
def _run(tmp_path: Path, mappings: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("CARELOOP_DATA_DIR", str(tmp_path / "store"))
    monkeypatch.setenv("CARELOOP_MAPPINGS", str(mappings))
    monkeypatch.setenv("CARELOOP_KEY", "00" * 32)
    return lambda *words: CliRunner().invoke(main, words)


def test_an_unchanged_mapping_changes_nothing(opened: Callable[..., Gateway], run: Run) -> None:
    gateway = opened("store")
    fill(gateway)
    before, versions = standing(gateway), count(gateway, RESOURCE_VERSION)
    gateway.close()
    for words in (("remap", "x", "--dry-run"), ("remap", "x"), ("remap", "x", "--all", "--dry-run"), ("remap", "x", "--all")):
        result = run(*words)
        assert result.exit_code == 0, result.output
        assert "0 resources" in result.output
    again = opened("store")
    assert standing(again) == before
    assert count(again, RESOURCE_VERSION) == versions
    again.close()


def test_a_dry_run_tells_what_would_change_and_changes_nothing(opened: Callable[..., Gateway], run: Run, mappings: Path) -> None:
    gateway = opened("store")
    fill(gateway)
    before, said = standing(gateway), count(gateway, CONTRIBUTION)
    gateway.close()
    feed(mappings, "codes: {patient-class: {OBS: OBSENC}}")
    pharmacy(mappings)
    result = run("remap", "x", "--dry-run")
    assert result.exit_code == 1, result.output
    lines = result.output.splitlines()
    assert "     2 Patient.extension" in lines
    assert any(line.startswith("     2 Encounter.class") for line in lines)
    assert lines[-1].startswith("4 entries mapped anew")
    assert not {"Fernley", "Corner Pharmacy", "OBSENC"} & set(result.output.replace("|", " ").split())
    again = opened("store")
    assert standing(again) == before
    assert count(again, CONTRIBUTION) == said
    again.close()


@pytest.mark.parametrize("order", ["more", "less"])
def test_what_is_mapped_anew_stands_as_if_it_had_always_been_so(order: str, opened: Callable[..., Gateway], run: Run,
                                                                 mappings: Path) -> None:
    if order == "less":
        pharmacy(mappings)
    gateway = opened("store")
    fill(gateway)
    gateway.load("members", CSV, "members.csv")
    while gateway.work(500):
        pass
    gateway.close()
    if order == "more":
        pharmacy(mappings)
    else:
        (mappings / "x" / "zph.map.yaml").unlink()
        nk1 = "segment: NK1\nresource: RelatedPerson\nkey: [patient, NK1-1]\nrows:\n- {from: NK1, drop: 'not wanted'}\n"
        (mappings / "x" / "nk1.map.yaml").write_text(nk1, encoding="utf-8")
    feed(mappings, "authorities: {Y: 'urn:oid:1.2.3'}" if order == "less" else "")
    assert run("remap", "x").exit_code == 1
    assert run("remap", "x", "--dry-run").exit_code == 0
    fresh, anew = opened("fresh"), opened("store")
    fill(fresh)
    fresh.load("members", CSV, "members.csv")
    while fresh.work(500):
        pass
    assert standing(anew) == standing(fresh)
    assert count(anew, CONTRIBUTION) == count(fresh, CONTRIBUTION)
    anew.close()
    fresh.close()


def test_an_entry_that_is_not_taken_any_more_is_told_and_says_nothing(opened: Callable[..., Gateway], run: Run,
                                                                      mappings: Path) -> None:
    gateway = opened("store")
    fill(gateway, 1)
    gateway.accept([(b"MSH|^~\\&|X|Y|CARELOOP|NETWORK|20260301||ADT^A08|E1|P|2.5.1\rEVN||20260301\r"
                     + PATIENT.format(7).encode(), "test")])
    while gateway.work(500):
        pass
    gateway.close()
    feed(mappings, "strict: true")
    assert run("remap", "x").exit_code == 0  # strictness is for what comes; it decides no mapping
    result = run("remap", "x", "--all")
    assert result.exit_code == 1, result.output
    assert "1 entries not taken any more" in result.output
    assert "Patient gone" in result.output
    again = opened("store")
    assert sum(t == "Patient" for t, _ in standing(again)) == 1
    again.close()


def test_no_such_feed(run: Run, opened: Callable[..., Gateway]) -> None:
    opened("store").close()
    assert run("remap", "nowhere").exit_code == 2
