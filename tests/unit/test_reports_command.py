"""`careloop report`: each report in each form, and what cannot be asked."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from adapter.cli import main
from adapter.gateway import Gateway
from adapter.reports.definitions import open_reports
from adapter.settings import Settings

NOW = "2026-03-20T12:00:00Z"
HEADER = ("member_id,first_name,last_name,birth_date,program,enrollment_status,enrollment_date,attributed_org,"
          "attributed_org_name,updated_at\n")
DIRECTORY = ("record,organization_id,organization_name,active,health_service_area,measure,target_value,target_unit,start_date,"
             "updated_at\n")
SEATS = "member_id,program,organization_id,organization_name,npi,first_name,last_name,role,start_date,end_date,updated_at\n"
NAMES = sorted(open_reports().reports)


@pytest.fixture(name="installation", scope="module")
def _installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty enrolled members of two organizations in two areas, 25 with a lead; one organization is named like a formula."""
    folder = tmp_path_factory.mktemp("installation")
    moments = iter((datetime(2026, 3, 2, 12, tzinfo=UTC), datetime(2026, 3, 5, 12, tzinfo=UTC)))
    later = datetime(2026, 3, 20, 12, tzinfo=UTC)
    gateway = Gateway(Settings(data_dir=folder, key="00" * 32), lambda: next(moments, later))  # pyright: ignore[reportCallIssue]  # the settings fill the rest
    names = {"ORG-OAK": "=1+1", "ORG-ELM": "Elm"}
    at = "2026-03-01T06:00:00-05:00"
    rows = [f"M{n},Viola,Wrenmere{n},1958-04-09,care-coordination,enrolled,2026-01-12,{org},{names[org]},{at}\n"
            for n, org in enumerate(["ORG-OAK"] * 25 + ["ORG-ELM"] * 15)]
    seats = [f"M{n},care-coordination,ORG-OAK,=1+1,2000001018,Odile,Marlwick,lead-coordinator,2026-01-12,,{at}\n"
             for n in range(25)]
    directory = [f"organization,{org},{name},Y,{area},,,,,{at}\n"
                 for (org, name), area in zip(names.items(), ("north", "south"), strict=True)]
    directory.append(f"target,ORG-OAK,=1+1,,,G01,90,%,2026-01-01,{at}\n")
    files = {"members": [HEADER, *rows], "care_team": [SEATS, *seats], "organizations": [DIRECTORY, *directory]}
    for feed, lines in files.items():
        assert gateway.load(feed, "".join(lines).encode()).refused == []
    while gateway.work():
        pass
    gateway.close()
    return folder


def _report(installation: Path, *words: str, code: int = 0) -> Result:
    environment = {"CARELOOP_DATA_DIR": str(installation), "CARELOOP_KEY": "00" * 32}
    done = CliRunner().invoke(main, ["report", *words], env=environment)
    assert done.exit_code == code, done.output
    return done


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["table", "csv", "json", "fhir"])
def test_each_report_comes_in_each_form(installation: Path, name: str, form: str) -> None:
    for words in ((), ("--members",)):
        told = _report(installation, name, "--as-of", NOW, "--format", form, *words).stdout
        if form == "json":
            assert isinstance(orjson.loads(told), list)
        if form == "fhir":
            assert orjson.loads(told)["type"] == "collection"
        if form == "csv":
            assert len(next(csv.reader(io.StringIO(told)))) > 2


def _rows(installation: Path, *words: str) -> list[dict[str, str]]:
    told = _report(installation, *words, "--as-of", NOW, "--format", "csv").stdout
    return list(csv.DictReader(io.StringIO(told)))


def test_performance_says_who_meets_the_target(installation: Path) -> None:
    rows = _rows(installation, "performance", "--measure", "G01", "--month", "2026-03")
    told = {(row["level"], row["organization"] or row["area"]): row for row in rows}
    oak, elm = told["organization", "'=1+1"], told["organization", "Elm"]
    assert (oak["denominator"], oak["rate"], oak["target"], oak["meets"], oak["suppressed"]) == ("25", "100.0", "90", "yes", "")
    assert (elm["denominator"], elm["numerator"], elm["meets"]) == ("15", "0", "")
    assert (told["network", ""]["numerator"], told["area", "north"]["rate"]) == ("25", "100.0")


def test_an_organization_an_area_and_a_threshold_choose(installation: Path) -> None:
    asked = ("performance", "--measure", "g01", "--month", "2026-03")
    assert {row["organization"] for row in _rows(installation, *asked, "--organization", "ORG-ELM")} == {"Elm"}
    assert {row["organization"] for row in _rows(installation, *asked, "--organization", "elm")} == {"Elm"}  # as it is shown
    assert {row["area"] for row in _rows(installation, *asked, "--area", "South")} == {"south"}
    assert _report(installation, *asked, "--organization", "ORG-ELM").output.endswith("\n1 row\n")
    held = _rows(installation, *asked, "--smallest", "20")
    assert [row["suppressed"] for row in held if row["organization"] == "Elm"] == ["yes"]
    members = _rows(installation, *asked, "--members", "--organization", "ORG-ELM")
    assert len({row["member_id"] for row in members}) == 15
    assert all(row["evidence"].startswith("EpisodeOfCare/") for row in members)


def test_what_was_known_at_the_end_of_a_month(installation: Path) -> None:
    asked = ("performance", "--measure", "G01", "--from", "2026-02", "--to", "2026-03", "--area", "north")
    now, then = _rows(installation, *asked), _rows(installation, *asked, "--known")
    assert {row["month"] for row in now} == {"2026-02", "2026-03"}  # by what is known now there were leads in February
    assert {row["month"] for row in then} == {"2026-03"}  # at the end of February nobody had told of anybody


def test_a_spreadsheet_runs_nothing_of_the_worklist(installation: Path) -> None:
    rows = _rows(installation, "worklist")
    assert {row["organization"] for row in rows} >= {"'=1+1", "Elm"}
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]
    assert [row["state"] for row in rows] == sorted(row["state"] for row in rows)


def test_duckdb_answers_from_the_store_and_from_a_folder(installation: Path, tmp_path: Path) -> None:
    wanted = _rows(installation, "performance", "--measure", "G01")
    assert _rows(installation, "performance", "--measure", "G01", "--engine", "duckdb") == wanted
    views = str(tmp_path / "views")
    environment = {"CARELOOP_DATA_DIR": str(installation), "CARELOOP_KEY": "00" * 32}
    done = CliRunner().invoke(main, ["views", "export", views], env=environment)
    assert done.exit_code == 0, done.output
    assert _rows(installation, "performance", "--measure", "G01", "--views", views) == wanted


def test_a_coordinator_is_named_as_people_do(installation: Path) -> None:
    told = {name: _rows(installation, "worklist", "--coordinator", name) for name in ("odile MARLWICK", "2000001018")}
    rows = told["2000001018"]
    assert rows == told["odile MARLWICK"] == [row for row in _rows(installation, "worklist") if row["coordinator"]] != []
    assert {row["coordinator"] for row in rows} == {"Odile Marlwick"}


def test_a_report_goes_into_a_file(installation: Path, tmp_path: Path) -> None:
    _report(installation, "worklist", "--as-of", NOW, "--out", str(tmp_path / "list.csv"))
    assert (tmp_path / "list.csv").read_bytes().startswith(b"urgency,state,due,")


def test_reports_are_told_in_words(installation: Path) -> None:
    told = _report(installation, "about", "worklist").stdout
    assert told.startswith("### Worklist\n")
    assert "### " not in told[4:]


@pytest.mark.parametrize(("words", "code", "told"), [
    (("performance", "--area", "Atlantis"), 1, "unknown-area"),
    (("worklist", "--organization", "nobody"), 1, "unknown-organization"),
    (("worklist", "--coordinator", "nobody"), 1, "unknown-coordinator"),
    (("performance", "--month", "2026-03", "--from", "2026-01"), 2, "exclude each other"),
    (("performance", "--month", "March"), 2, "not a month"), (("improvement", "--measure", "paid"), 2, "no measure paid: G01, "),
    (("performance", "--measure", "G99"), 2, "no measure G99"), (("pmpm", "--measure", "G01"), 2, "no measure G01: eligible, "),
    (("performance", "--from", "2026-09"), 1, "bad-period"), (("about", "weather"), 2, "there is no report weather"),
    (("performance", "--known", "--views", "."), 2, "--views")])
def test_what_cannot_be_asked_is_told(installation: Path, words: tuple[str, ...], code: int, told: str) -> None:
    asked = words if words[0] == "about" else (*words, "--as-of", NOW)
    assert told in _report(installation, *asked, code=code).output
