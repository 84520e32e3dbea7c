"""A setting that cannot be used is told in one line that names it, before anything is done; its value is never shown."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner

from adapter.cli import main
from adapter.home import HOME
from adapter.settings import Settings

MESSAGE = HOME / "fixtures" / "hl7v2" / "A01" / "admission.hl7"


@pytest.mark.parametrize("command", [["queue"], ["doctor"], ["check"], ["convert", str(MESSAGE)], ["gaps"], ["serve"]])
@pytest.mark.parametrize(("name", "value"), [
    ("FHIR_URL", "ftp://secret"), ("FHIR_URL", "http://"), ("FHIR_URL", "secret"), ("KEY", "secret"), ("KEY", "abc"),
    ("DATABASE_URL", "mysql://secret@host/x"), ("DATABASE_URL", "secret"), ("HTTP", "secret"), ("HTTP", "127.0.0.1:99999"),
    ("MLLP", "secret"), ("AUTH", "secret"), ("NOTICE_HOSTS", "secret"), ("NOTICE_HOSTS", "a=b,secret"),
])
def test_a_setting_that_cannot_be_used(name: str, value: str, command: list[str], monkeypatch: pytest.MonkeyPatch,
                                       tmp_path: Path) -> None:
    monkeypatch.setenv("CARELOOP_DATA_DIR", str(tmp_path / "store"))
    monkeypatch.setenv(f"CARELOOP_{name}", value)
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2, result.output
    told = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert len(told) == 1
    assert f"CARELOOP_{name}: " in told[0]
    assert "secret" not in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(("name", "meant"), [
    ("CARELOOP_RAW_KEY", "CARELOOP_RAW_KEYS"), ("CARELOOP_FHIR_URI", "CARELOOP_FHIR_URL"),
    ("CARELOOP_DB_URL", "CARELOOP_DATABASE_URL"), ("careloop_data", "CARELOOP_DATA_DIR"),
    ("CARELOOP_MLLP_CERTIFICATES", "CARELOOP_MLLP_CERTIFICATE"),
])
@pytest.mark.parametrize("command", [["doctor"], ["serve"]])
def test_a_mistyped_setting_is_told_with_what_was_meant(
        name: str, meant: str, command: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, "secret")
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2, result.output
    assert f"Error: {name.upper()}: not a setting - did you mean {meant}?" in result.output
    assert "secret" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_variable_that_no_setting_is_like_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CARELOOP_LOGO", "CARELOOP_SHARED", "CARELOOP_KILLS", "CARELOOP_SERVICE_HOST", "CARELOOP_PORT_8443_TCP_ADDR",
                 "CARELOOP_MLLP_SERVICE_PORT_HL7", "CARELOOP_MLLP_PORT"):
        monkeypatch.setenv(name, "secret")
    result = CliRunner().invoke(main, ["convert", str(MESSAGE)])
    assert result.exit_code == 0, result.output
    assert result.stderr == "Warning: CARELOOP_LOGO: not a setting, it does nothing - take it away\n"


def test_a_folder_of_mappings_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CARELOOP_MAPPINGS", str(tmp_path / "nowhere"))
    for command in (["check"], ["convert", str(MESSAGE)]):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 2
        assert "CARELOOP_MAPPINGS" in result.output


@pytest.mark.parametrize("below", ["file", "file/deeper/still"])
def test_an_output_folder_that_cannot_be_made(below: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    result = CliRunner().invoke(main, ["convert", str(MESSAGE), "--out", str(tmp_path / below)])
    assert result.exit_code == 2, result.output
    assert "--out" in result.output
    assert "Traceback" not in result.output


def test_the_key_of_ids_is_made_once_and_what_a_killed_process_left_empty_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "installation.key"
    path.touch()
    settings = Settings(data_dir=tmp_path, key="")
    made: list[bytes] = []
    threads = [Thread(target=lambda: made.append(settings.installation_key())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {len(key) for key in made} == {32}
    assert len(set(made)) == 1
    assert Settings(data_dir=tmp_path, key="").installation_key() == made[0]
    assert Settings(data_dir=tmp_path / "new", key="").installation_key() != made[0]
    assert (tmp_path / "new" / "installation.key").stat().st_mode & 0o777 == 0o600
