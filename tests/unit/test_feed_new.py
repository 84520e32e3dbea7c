"""`careloop feed new`: what it finds out of a sample, what it writes, and that a partner bound with it converts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from adapter.cli import main
from adapter.gateway import Gateway
from adapter.mapping.draft_guess import score
from adapter.parse.sniff import sniff
from adapter.parse.sniff_dates import date_forms
from adapter.pipeline import convert_csv
from adapter.settings import Settings
from adapter.store.engine import reading
from adapter.store.schema import RESOURCE

ROOT = Path(__file__).parents[2]
SAMPLE = ("ContactNo|Member Id|Agency ID|Mode of contact|Started At|Outcome|Site|Staff\n"
          "1|M1|ORG-1|Face to face|4/13/2026 2:05 PM|Reached|N/A|Doe, Jane\n"
          "2|M2|ORG-1|TELEPHONE|4/14/2026 9:00 AM|no show|N/A|Roe, Rich\n")


@pytest.fixture(name="mappings")
def _mappings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Mappings that a test may add to."""
    folder = tmp_path / "mappings"
    folder.mkdir()
    for path in (ROOT / "mappings").iterdir():
        (folder / path.name).symlink_to(path)
    monkeypatch.setenv("CARELOOP_MAPPINGS", str(folder))
    monkeypatch.setenv("CARELOOP_DATA_DIR", str(tmp_path / "data"))
    return folder


def run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def test_a_feed_is_begun_and_says_what_is_left(mappings: Path, tmp_path: Path) -> None:
    (tmp_path / "sample.csv").write_text(SAMPLE, encoding="utf-8")
    done = run("feed", "new", "partner", str(tmp_path / "sample.csv"), "--contract", "contacts")
    assert done.exit_code == 0, done.output
    text = (mappings / "partner" / "feed.yaml").read_text(encoding="utf-8")
    assert text == """\
# partner: begun from sample.csv by `careloop feed new`. What each key means: docs/mappings.md.
extends: contacts
csv:
  delimiter: "|"
  empty: ["N/A"]
  columns:
    contact_id: "ContactNo"   # 0.90
    member_id: "Member Id"   # 0.95
    organization_id: "Agency ID"   # 0.90
    contact_type: "Mode of contact"   # 0.80
    started_at: "Started At"   # 0.95
    outcome: "Outcome"   # 1.00
  dates:
    started_at: ["%m/%d/%Y %I:%M %p"]
codes:
  contact_type: {"Face to face": "face-to-face", "TELEPHONE": "telephone"}
  outcome: {"Reached": "reached"}
# decide: header "Site" is bound to nothing: columns, split, join, rows or ignore
# decide: header "Staff" is bound to nothing (two in one, apart by a comma?): columns, split, join, rows or ignore
# decide: times have no offset and are taken as of America/New_York: else give time_zone
# decide: codes of outcome: what are "no show"? One of reached, no-answer, refused
# decide: contact_type is bound to "Mode of contact" by its codes alone (0.80): right?
"""
    assert done.output.splitlines() == [
        "partner/feed.yaml: 6 of 8 headers bound, 5 decisions left",
        *(line.removeprefix("# ") for line in text.splitlines() if line.startswith("# decide:"))]
    assert run("check").output == "mappings and rules are sound\n"
    converted = run("convert", str(tmp_path / "sample.csv"), "--feed", "partner", "--out", str(tmp_path / "out"))
    assert (converted.exit_code, "csv-code" in converted.output) == (1, True)
    assert len(list((tmp_path / "out").glob("*.json"))) == 1


def test_nothing_is_overwritten(mappings: Path, tmp_path: Path) -> None:
    (tmp_path / "sample.csv").write_text(SAMPLE, encoding="utf-8")
    (mappings / "partner").mkdir()
    done = run("feed", "new", "partner", str(tmp_path / "sample.csv"), "--contract", "contacts")
    assert (done.exit_code, list((mappings / "partner").iterdir())) == (2, [])


@pytest.mark.parametrize(("name", "contract"), [("partner", "nobody"), ("../partner", "contacts"), ("partner", "st-anne")])
@pytest.mark.usefixtures("mappings")
def test_wrong_usage_ends_with_exit_2(name: str, contract: str, tmp_path: Path) -> None:
    (tmp_path / "sample.csv").write_text(SAMPLE, encoding="utf-8")
    assert run("feed", "new", name, str(tmp_path / "sample.csv"), "--contract", contract).exit_code == 2


@pytest.mark.usefixtures("mappings")
def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    for name, raw in (("empty.csv", b""), ("binary.csv", b"a\0b,\0\0\n")):
        (tmp_path / name).write_bytes(raw)
        assert run("feed", "new", "partner", str(tmp_path / name), "--contract", "contacts").exit_code == 1


@pytest.mark.parametrize("feed", ["bergtal-contacts", "prairie-contacts"])
def test_the_shape_of_the_partners_files_is_seen(feed: str) -> None:
    sample = sniff((ROOT / "fixtures" / "partners" / f"{feed}.csv").read_bytes())
    charset, delimiter = {"bergtal-contacts": ("cp1252", ";"), "prairie-contacts": ("utf-16", "\t")}[feed]
    assert (sample.charset, sample.delimiter, sample.quote) == (charset, delimiter, '"')


def test_quotes_and_charsets_are_seen() -> None:
    assert sniff(b"a,b\n'x, y','z'\n").quote == "'"
    assert sniff("a,b\nN\u00fa\u00f1ez,x\n".encode()).charset == "utf-8"
    assert sniff("a\tb\nx\ty\n".encode("utf-16-le")).charset == "utf-16-le"


@pytest.mark.parametrize(("values", "forms", "others"), [
    (["2026-03-01", "2026-03-01T08:00:00-05:00"], [], []),
    (["31.12.2026", "01.02.2026"], ["%d.%m.%Y"], []),
    (["01/02/2026"], ["%m/%d/%Y"], ["%d/%m/%Y"]),
    (["01/02/2026", "13/02/2026"], ["%d/%m/%Y"], []),
    (["1/2/2026 1:05 PM", "2/13/2026"], ["%m/%d/%Y", "%m/%d/%Y %I:%M %p"], ["%d/%m/%Y %I:%M %p"]),
    (["46082", "46083.5"], ["excel"], []),
    (["46082", "46083.5", "declined"], ["excel"], []),
    (["31.12.2026", "01.02.2026", "soon"], ["%d.%m.%Y"], []),
    (["12/31/2026", "12/31/9999"], ["%m/%d/%Y"], []),
    (["31.12.2026", "soon", "later"], [], []),
    (["tomorrow"], [], []), ([], [], []),
])
def test_forms_of_dates(values: list[str], forms: list[str], others: list[str]) -> None:
    found = date_forms(values)
    assert (list(found.forms), list(found.others)) == (forms, others)


@pytest.mark.parametrize(("header", "column", "value"), [
    ("member_id", "member_id", 1.0), ("MEMBER_ID ", "member_id", 1.0), ("memberId", "member_id", 0.95),
    ("Member No.", "member_id", 0.9), ("DOB", "birth_date", 0.9), ("Worker NPI", "npi", 0.8),
    ("Client", "member_id", 0.85), ("Date Accepted", "accepted_at", 0.9), ("Street Address", "address_line", 0.9),
    ("Versicherten-Nr", "member_id", 0.9), ("F\u00e4llig am", "due_date", 0.9), ("Effective Date", "deceased_date", 0.0),
    ("Referred From", "referral_id", 0.0), ("Term Date", "state", 0.0)])
def test_scores_of_headers(header: str, column: str, value: float) -> None:
    assert score(header, column) == value


def test_a_header_of_another_matter_is_not_bound() -> None:
    assert score("Kilometer", "member_id") < 0.5


@pytest.mark.parametrize("feed", ["bergtal-contacts", "prairie-contacts"])
def test_a_partners_file_is_loaded_as_it_is_converted(feed: str, tmp_path: Path) -> None:
    path = ROOT / "fixtures" / "partners" / f"{feed}.csv"
    instant = datetime(2026, 3, 31, 12, tzinfo=UTC)
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32), lambda: instant)
    try:
        report = gateway.load(feed, path.read_bytes(), path.name)
        while gateway.work(500):
            pass
        conversion, refused = convert_csv(path.read_bytes(), feed, gateway.feeds, gateway.key, instant, trace=False)
        with reading(gateway.engine) as connection:
            stands = {(r.resource_type, r.id) for r in connection.execute(select(RESOURCE)) if not r.deleted}
    finally:
        gateway.close()
    assert conversion is not None
    assert stands == {(e["resource"]["resourceType"], e["resource"]["id"]) for e in conversion.bundle["entry"]}
    assert [(i.code, i.detail) for i in report.issues] == [("csv-row-skipped", "2 of them")]
    assert (report.rows, report.accepted, len(refused)) == (4, 3, 1)


@pytest.mark.parametrize("feed", ["bergtal-contacts", "prairie-contacts"])
def test_a_partner_is_bound_in_under_sixty_lines(feed: str) -> None:
    assert len((ROOT / "mappings" / feed / "feed.yaml").read_text(encoding="utf-8").splitlines()) < 60
    assert {path.name for path in (ROOT / "mappings" / feed).iterdir()} == {"feed.yaml", "cases"}


def test_an_unbound_header_tells_its_cells_beside_what_its_name_may_mean(mappings: Path, tmp_path: Path) -> None:
    sample = tmp_path / "goals.csv"
    sample.write_text("goal_id;member_id;description;lifecycle_status;Review Tag;Zahl\n"
                      "G1;M1;Walk;active;25.02.2026;1,5\nG2;M1;Rest;active;26.02.2026;2\n", encoding="utf-8")
    left = run("feed", "new", "partner", str(sample), "--contract", "goals").output
    assert mappings.is_dir()
    assert "(dates as %d.%m.%Y)" in next(line for line in left.splitlines() if "Review Tag" in line)
    assert "(numbers with a decimal comma?)" in next(line for line in left.splitlines() if "Zahl" in line)


def begun(tmp_path: Path, contract: str, text: str) -> list[str]:
    """What `feed new` prints for a file."""
    (tmp_path / "sample.csv").write_text(text, encoding="utf-8")
    return run("feed", "new", "partner", str(tmp_path / "sample.csv"), "--contract", contract).output.splitlines()


def test_a_cell_that_is_no_date_hides_no_form(mappings: Path, tmp_path: Path) -> None:
    left = begun(tmp_path, "goals", "Goal No,Client,description,lifecycle_status,Due on,Fertig\n"
                 "1,M1,Walk,active,25.02.2026,13.01.2026\n2,M1,Rest,active,offen,offen\n3,M1,Eat,active,26.02.2026,14.01.2026\n")
    assert 'due_date: ["%d.%m.%Y"]' in (mappings / "partner" / "feed.yaml").read_text(encoding="utf-8")
    assert ("decide: 1 of 3 cells of due_date are in no form of dates, and will refuse their rows: name their texts in empty, or "
            "their form in dates") in left
    assert "(dates as %d.%m.%Y, 1 of 3 cells are none)" in next(line for line in left if "Fertig" in line)


def test_cells_tell_a_header_from_another_column(mappings: Path, tmp_path: Path) -> None:
    left = begun(tmp_path, "contacts", "Nr;Kunde;Datum;Uhrzeit;organization;Ergebnis\n"
                 "1;M1;3.4.26;9:05;ORG-1;reached\n2;M2;13.4.26;14:30;ORG-1;refused\n")
    text = (mappings / "partner" / "feed.yaml").read_text(encoding="utf-8")
    assert all(f"    {bound}" in text for bound in ('contact_id: "Nr"', 'member_id: "Kunde"', 'outcome: "Ergebnis"'))
    assert "(started_at?) (dates as %d.%m.%y)" in next(line for line in left if "Datum" in line)
    assert "(times of a day: a join with a day makes a moment)" in next(line for line in left if "Uhrzeit" in line)


@pytest.mark.parametrize(("amount", "mark", "told", "value"), [
    ('"1,234.50"', '.', False, 1234.5), ('"1.234,50"', ',', False, 1234.5), ('"1,234"', ',', True, 1.234), ("12", "", False, 12)])
def test_marks_of_numbers_are_seen(mappings: Path, tmp_path: Path, amount: str, mark: str, told: bool, value: float) -> None:
    left = begun(tmp_path, "goals", "goal_id,member_id,description,lifecycle_status,target_measure,target_value,target_unit\n"
                 f"G1,M1,Walk,active,distance,{amount},m\n")
    text = (mappings / "partner" / "feed.yaml").read_text(encoding="utf-8")
    assert f'decimal: "{mark}"' in text if mark else "decimal" not in text
    assert any("commas stand" in line for line in left) == told
    out = run("convert", str(tmp_path / "sample.csv"), "--feed", "partner").output
    assert f'"value":{value}' in out


def test_a_code_for_an_empty_cell_is_told(mappings: Path) -> None:
    (mappings / "partner").mkdir()
    (mappings / "partner" / "feed.yaml").write_text('extends: contacts\ncodes:\n  outcome: {"": reached}\n')
    done = run("check")
    assert done.exit_code == 1
    assert "partner/feed.yaml:3: codes: `outcome`: an empty cell is no code; write what it means under defaults" in done.output
    (mappings / "partner" / "feed.yaml").write_text("extends: contacts\ndefaults: {outcome: reached}\n")
    assert run("check").exit_code == 0
