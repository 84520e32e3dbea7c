"""The command `careloop`: names, exit codes, and what each prints; through the command line as a user has it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from adapter import cli, logs
from adapter.gateway import Gateway
from adapter.intake.loop_thread import run_in_thread
from adapter.intake.mllp import MllpListener
from adapter.settings import Settings
from tests.faulty import answering

Run = Callable[..., Result]
CANARY = "Zzyzxqua"
MESSAGE = "\r".join([
    r"MSH|^~\&|ADT1|MADEUP|CARELOOP|NET|20260301070000-0500||ADT^A01^ADT_A01|CTRL-1|P|2.5.1",
    "EVN|A01|20260301070000-0500",
    f"PID|1||MRN-4711^^^MADEUP&2.16.840.1.113883.3.9999.77&ISO^MR||{CANARY}^Quimbleforth||19800102|F",
    "",
])
MEMBERS = f"member_id,first_name,last_name,birth_date\nM1,{CANARY},Quimbleforth,1980-01-02\n"


@pytest.fixture(name="run")
def _run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in [name for name in os.environ if name.startswith("CARELOOP_") and name != "CARELOOP_SHARED"]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(logs, "configure", lambda: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CARELOOP_DATA_DIR", str(tmp_path / "store"))
    monkeypatch.setenv("CARELOOP_KEY", "00" * 32)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(cli.main, [str(argument) for argument in arguments], prog_name="careloop")
    return run


@pytest.fixture(name="message")
def _message(tmp_path: Path) -> Path:
    path = tmp_path / "adt.hl7"
    path.write_text(MESSAGE, newline="")
    return path


def _refusals(result: Result) -> list[tuple[str, int, str]]:
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert all({"file", "message", "code", "place", "next_step"} <= line.keys() for line in lines)
    return [(Path(line["file"]).name, line["message"], line["code"]) for line in lines]


def test_every_command_is_there(run: Run) -> None:
    for command in ("serve", "convert", "send", "load", "gaps", "cases", "check", "queue", "doctor"):
        assert command in run("--help").output
        assert run(command, "--help").exit_code == 0
    assert run("--version").output.startswith("careloop, version ")
    assert run("--help").exit_code == 0
    assert run("no-such-command").exit_code == 2


def test_convert_writes_a_bundle_a_line(run: Run, message: Path) -> None:
    message.write_text(MESSAGE + MESSAGE.replace("CTRL-1", "CTRL-2"), newline="")
    result = run("convert", message)
    assert result.exit_code == 0
    bundles = [json.loads(line) for line in result.stdout.splitlines()]
    assert [bundle["type"] for bundle in bundles] == ["transaction", "transaction"]
    assert result.stderr == ""


def test_convert_names_files_by_place_of_the_message(run: Run, tmp_path: Path, message: Path) -> None:
    broken, third = MESSAGE.replace("|P|2.5.1", "|P|9.9"), MESSAGE.replace("CTRL-1", "CTRL-3")
    message.write_text(MESSAGE + broken + third, newline="")
    result = run("convert", message, "--out", "out", "--loss", "--explain")
    assert result.exit_code == 1
    assert _refusals(result) == [("adt.hl7", 2, "unknown-version")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "adt-3.explain.json", "adt-3.json", "adt-3.loss.json", "adt.explain.json", "adt.json", "adt.loss.json"]
    assert json.loads((tmp_path / "out/adt.json").read_text())["resourceType"] == "Bundle"
    loss = (tmp_path / "out/adt.loss.json").read_text()
    assert {"leaves", "counts", "issues"} <= json.loads(loss).keys()
    assert CANARY not in loss


def test_convert_takes_directories(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in/below").mkdir(parents=True)
    (tmp_path / "in/one.hl7").write_text(MESSAGE, newline="")
    (tmp_path / "in/below/two.txt").write_text(MESSAGE.replace("\r", "\n"))
    (tmp_path / "in/below/members.csv").write_text(MEMBERS)
    (tmp_path / "in/readme.md").write_text("not a message")
    result = run("convert", tmp_path / "in", "--out", tmp_path / "out")
    assert (result.exit_code, result.stderr) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["members.json", "one.json", "two.json"]


def test_convert_goes_on_after_a_refusal(run: Run, tmp_path: Path, message: Path) -> None:
    (tmp_path / "a-bad.hl7").write_text("")
    (tmp_path / "b-bad.hl7").write_bytes(b"\x00\x01\x02")
    (tmp_path / "members.csv").write_text(MEMBERS + "M2,Made,Up,1980-13-45\n")
    (tmp_path / "unknown.csv").write_text("a,b\n1,2\n")
    result = run("convert", *sorted(tmp_path.glob("*.hl7")), tmp_path / "members.csv", tmp_path / "unknown.csv")
    assert result.exit_code == 1
    assert _refusals(result) == [("a-bad.hl7", 1, "empty"), ("b-bad.hl7", 1, "binary"), ("members.csv", 3, "csv-date"),
                                 ("unknown.csv", 0, "unknown-feed")]
    assert len(result.stdout.splitlines()) == 2
    assert CANARY not in result.stderr


def test_convert_wrong_usage(run: Run, tmp_path: Path, message: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/adt.txt").write_text(MESSAGE)
    (tmp_path / "none").mkdir()
    assert run("convert").exit_code == 2
    assert run("convert", "no-such-file").exit_code == 2
    assert run("convert", message, "--feed", "bananas").exit_code == 2
    assert run("convert", tmp_path / "none").exit_code == 2
    clash = run("convert", message, tmp_path / "other", "--out", tmp_path / "out")
    assert clash.exit_code == 2
    assert "adt.json" in clash.stderr


def test_a_wrong_setting_is_usage(run: Run, monkeypatch: pytest.MonkeyPatch, message: Path) -> None:
    monkeypatch.setenv("CARELOOP_AUTH", "strong")
    result = run("convert", message)
    assert result.exit_code == 2
    assert "CARELOOP_AUTH" in result.stderr


def test_an_unforeseen_failure_shows_no_value(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Gateway(Settings(data_dir=tmp_path / "store", key="00" * 32)).close()

    def fail(*_: object) -> None:
        raise ValueError(CANARY)

    monkeypatch.setattr("adapter.commands.queue.queued", fail)
    result = run("queue")
    assert result.exit_code == 1
    assert "ValueError" in result.stderr
    assert CANARY not in result.output


def test_load_then_gaps(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "members.csv"
    file.write_text("member_id,first_name,last_name,birth_date,program,enrollment_status,enrollment_date,"
                    "attributed_org,attributed_org_name\n"
                    "M1,Made,Up,1980-01-02,care-coordination,enrolled,2026-01-01,O1,Made-up House\n"
                    "M2,Made,Down,1980-13-45,care-coordination,enrolled,2026-01-01,O1,Made-up House\n")
    loaded = run("load", "members", file)
    assert loaded.exit_code == 1
    assert _refusals(loaded) == [("members.csv", 3, "csv-date")]
    assert "2 rows, 1 accepted, 1 refused" in loaded.stdout
    assert "loaded before" in run("load", "members", file).stdout

    rows = json.loads(run("gaps", "--member", "M1", "--format", "json").stdout)
    assert {row["rule"]: row["state"] for row in rows}["G01"] == "open"
    assert json.loads(run("gaps", "--all", "--rule", "G01", "--format", "json").stdout) == [
        row for row in rows if row["rule"] == "G01"]
    assert run("gaps", "--rule", "g01", "--format", "csv").stdout == run("gaps", "--rule", "G01", "--format", "csv").stdout != ""
    assert run("gaps", "--organization", "O1", "--format", "csv").stdout.startswith("rule,title,member")
    assert json.loads(run("gaps", "--format", "fhir", "--as-of", "2026-02-01").stdout)["resourceType"] == "Bundle"
    for asked, told in (("2026-02-01", "2026-02-02T04:59:59Z"), ("2026-03-08", "2026-03-09T03:59:59Z"),  # summer time begins
                        ("2026-02-01T08:00", "2026-02-01T13:00:00Z"), ("2026-02-01T08:00:00+01:00", "2026-02-01T07:00:00Z")):
        assert json.loads(run("gaps", "--format", "fhir", "--as-of", asked).stdout)["timestamp"] == told
    early = json.loads(run("gaps", "--rule", "G01", "--as-of", "2025-12-01", "--format", "json").stdout)
    assert [row["state"] for row in early] == ["not-applicable"]
    table = run("gaps")
    assert table.exit_code == 0
    assert "G01" in table.stdout

    whole = run("gaps", "--format", "json", "--as-of", "2026-05-01").stdout
    assert run("gaps", "--format", "json", "--as-of", "2026-05-01", "--engine", "duckdb").stdout == whole
    assert run("gaps", "--format", "json", "--as-of", "2026-05-01", "--known-at", "2035-01-01").stdout == whole
    assert run("gaps", "--format", "json", "--known-at", "2020-01-01").stdout == "[]\n"
    assert json.loads(run("gaps", "--member", "M1", "--known-at", "2035-01-01", "--format", "json",
                          "--as-of", "2026-05-01").stdout) == [row for row in json.loads(whole) if row["member"]]
    assert run("views", "rebuild").stdout == "the tables are made again\n"
    assert run("views", "export", tmp_path / "views").stdout.startswith("1 members in ")
    assert run("gaps", "--format", "json", "--as-of", "2026-05-01", "--views", tmp_path / "views").stdout == whole
    assert run("gaps", "--organization", "O1", "--views", tmp_path / "views").exit_code == 0
    told = run("gaps", "--views", tmp_path / "views", "--out", tmp_path / "gaps", "--as-of", "2026-05-01")
    applying = [row for row in json.loads(whole) if row["state"] != "not-applicable"]
    assert f"{len(applying)} gaps" in told.output
    outside = run("gaps", "--views", tmp_path / "views", "--out", tmp_path / "none", "--as-of", "2026-05-01",
                  "--state", "not-applicable")
    assert f"{len(json.loads(whole)) - len(applying)} gaps" in outside.output
    assert list((tmp_path / "gaps").glob("*.parquet"))
    (tmp_path / "bulk").mkdir()
    (tmp_path / "bulk" / "Patient.ndjson").write_text('{"resourceType": "Patient", "id": "a"}\n')
    other = json.loads(run("gaps", "--ndjson", tmp_path / "bulk", "--rule", "G01", "--format", "json").stdout)
    assert [row["member"] for row in other] == ["a"]


def test_feed_withdraw_takes_back_what_a_feed_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "members.csv").write_text(MEMBERS)
    assert run("load", "members", "members.csv").exit_code == 0
    result = run("feed", "withdraw", "members", "--reason", "left the network")
    assert result.exit_code == 0
    assert result.output.endswith(" statements of members are over\n")
    assert CANARY not in result.output
    again = run("load", "members", "members.csv")
    assert (again.exit_code, again.stdout) == (0, "1 row, 1 accepted, 0 refused\n")
    assert run("gaps", "--member", "M1").exit_code == 0
    assert run("feed", "withdraw", "members").exit_code == 2
    assert "no feed 'membres'" in run("feed", "withdraw", "membres", "--reason", "x").output


def test_gaps_wrong_usage(run: Run) -> None:
    assert run("gaps", "--all", "--member", "M1").exit_code == 2
    assert run("gaps", "--as-of", "yesterday").exit_code == 2
    assert run("gaps", "--as-of", "9999-12-31").exit_code == 2
    assert run("gaps", "--member", "nobody").exit_code == 1
    assert run("gaps", "--rule", "G99").exit_code == 1
    for wrong in (["--engine", "store", "--out", "x"], ["--engine", "duckdb", "--member", "M1"],
                  ["--ndjson", "x", "--known-at", "2026-01-01"], ["--known-at", "2026-01-01", "--member", "M1", "--out", "x"]):
        assert run("gaps", *wrong).exit_code == 2
    assert run("gaps", "--views", "nowhere").exit_code == 1


@pytest.mark.parametrize("command", [
    ("gaps",), ("queue",), ("identity", "show", "1"), ("identity", "link", "a|1", "a|2", "--reason", "x"),
    ("remap", "st-anne", "--dry-run"),
])
def test_a_folder_without_a_store_is_no_empty_store(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    result = run(*command)
    assert result.exit_code == 1
    assert f"there is no store in {tmp_path / 'store'}" in result.output
    assert "set CARELOOP_DATA_DIR" in result.output
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "careloop.db").touch()  # a file that was never begun is none either
    assert run(*command).exit_code == 1
    assert [p.name for p in (tmp_path / "store").iterdir()] == ["careloop.db"]
    assert (tmp_path / "store" / "careloop.db").stat().st_size == 0


def test_convert_leaves_no_file_behind_and_gives_the_same_ids_again(
        run: Run, message: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_key = run("convert", message).stdout
    monkeypatch.delenv("CARELOOP_KEY")
    monkeypatch.delenv("CARELOOP_DATA_DIR")
    first = run("convert", message)
    assert first.exit_code == 0
    assert list(tmp_path.iterdir()) == [message]
    ids = [[e["fullUrl"] for e in json.loads(told)["entry"]] for told in (with_key, first.stdout, run("convert", message).stdout)]
    assert ids[0] != ids[1] == ids[2]
    (tmp_path / "careloop-data").mkdir()
    (tmp_path / "careloop-data" / "installation.key").write_text("00" * 32)  # that of an installation counts
    assert [e["fullUrl"] for e in json.loads(run("convert", message).stdout)["entry"]] == ids[0]


def test_queue_lists_what_stopped(run: Run, tmp_path: Path) -> None:
    Gateway(Settings(data_dir=tmp_path / "store", key="00" * 32)).close()
    assert "nothing waits" in run("queue").stdout
    gateway = Gateway(Settings(data_dir=tmp_path / "store", key="00" * 32))
    gateway.accept([(b"not a message", "http"), (MESSAGE.encode(), "http")])
    gateway.close()
    rows = [json.loads(line) for line in run("queue", "--format", "json").stdout.splitlines()]
    assert [(row["state"], row["code"]) for row in rows] == [("waiting", ""), ("refused", "not-hl7")]
    assert "not-hl7" in run("queue").stdout


@pytest.fixture(name="listener")
def _listener(tmp_path: Path) -> Iterator[int]:
    gateway = Gateway(Settings(data_dir=tmp_path / "other", key="00" * 32))
    handle = run_in_thread(MllpListener("127.0.0.1", 0, gateway.accept))
    yield handle.port
    handle.stop()
    gateway.close()


def test_send_prints_each_acknowledgement(run: Run, listener: int, message: Path) -> None:
    result = run("send", f"127.0.0.1:{listener}", message)
    assert result.exit_code == 0
    assert "MSA|AA|CTRL-1" in result.stdout
    message.write_text(MESSAGE.replace("ADT^A01^ADT_A01", "ORU^R01"))
    refused = run("send", f"127.0.0.1:{listener}", message)
    assert refused.exit_code == 1
    assert "MSA|AR|CTRL-1" in refused.stdout


def test_send_to_nobody(run: Run, message: Path) -> None:
    assert run("send", "127.0.0.1", message).exit_code == 2
    result = run("send", "127.0.0.1:1", message)
    assert result.exit_code == 1
    assert "receiver-unavailable" in result.stderr


def test_serve_refuses_other_addresses(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARELOOP_HTTP", "0.0.0.0:8000")
    result = run("serve")
    assert result.exit_code == 2
    assert "CARELOOP_HTTP" in result.stderr


def test_doctor_is_sound_and_says_what_is_not(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARELOOP_HTTP", "127.0.0.1:0")
    monkeypatch.setenv("CARELOOP_MLLP", "127.0.0.1:0")
    sound = run("doctor")
    assert sound.exit_code == 0, sound.output
    monkeypatch.setenv("CARELOOP_FHIR_URL", "http://127.0.0.1:1/fhir")
    monkeypatch.setenv("CARELOOP_HTTP", "0.0.0.0:8000")
    unsound = run("doctor")
    assert unsound.exit_code == 1
    assert "FHIR server" in unsound.stdout
    assert "set CARELOOP_HTTP to 127.0.0.1:8000" in unsound.stdout


def test_a_store_is_its_owner_s_alone(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "new" / "store"
    monkeypatch.setenv("CARELOOP_DATA_DIR", str(folder))
    before = os.umask(0o022)
    try:
        told = run("doctor")
    finally:
        os.umask(before)
    assert "can read" not in told.stdout
    assert {path.name: path.stat().st_mode & 0o777 for path in (folder, folder / "careloop.db")} == {
        "store": 0o700, "careloop.db": 0o600}
    folder.chmod(0o755)
    assert "can read" not in run("doctor").stdout  # nobody else reads the file
    (folder / "careloop.db").chmod(0o644)
    told = run("doctor").stdout
    assert f"note  data folder: every account of this machine can read patients' records in it - chmod 700 {folder}" in told


def test_doctor_looks_at_others_servers_and_at_what_never_went_to_ours(
        run: Run, message: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP", "MLLP", "EVENTS"):
        monkeypatch.setenv(f"CARELOOP_{name}", "127.0.0.1:0")
    gateway = Gateway(Settings(data_dir=Path(os.environ["CARELOOP_DATA_DIR"])))  # pyright: ignore[reportCallIssue]  # the settings fill the rest
    gateway.accept([(message.read_bytes(), "t")])
    while gateway.work():
        pass
    gateway.close()
    statement = {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "software": {"name": "S"}, "rest": [
        {"interaction": [{"code": "history-system"}], "resource": [
            {"type": "Patient", "interaction": [{"code": "update"}]}]}]}
    with answering(lambda _: (200, {}, json.dumps(statement).encode())) as port:
        declared = tmp_path / "targets.yaml"
        declared.write_text(f"- {{name: harbor, url: 'http://127.0.0.1:{port}/fhir', recipient: '*', purpose: TREAT, "
                            "classes: [general], types: [Patient, CareTeam]}\n"
                            "- {name: away, url: 'http://127.0.0.1:1/fhir', recipient: '*', purpose: TREAT, "
                            "classes: [general], types: [Patient]}\n")
        monkeypatch.setenv("CARELOOP_TARGETS", str(declared))
        monkeypatch.setenv("CARELOOP_FHIR_URL", f"http://127.0.0.1:{port}/fhir")
        told = run("doctor").stdout
    assert "note  FHIR server: what was composed before it was named here never went there - careloop replay" in told
    assert "unsound  target harbor: it takes no transaction" in told
    assert "unsound  target harbor: it takes no CareTeam - " in told
    assert "unsound  target away: " in told


def test_doctor_allows_what_serve_allows(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A listener that asks for client certificates may be reached from elsewhere."""
    for name in ("HTTP", "EVENTS"):
        monkeypatch.setenv(f"CARELOOP_{name}", "127.0.0.1:0")
    monkeypatch.setenv("CARELOOP_MLLP", "0.0.0.0:0")
    assert "can be reached from elsewhere" in run("doctor").stdout
    pem = tmp_path / "some.pem"
    pem.write_text("")
    for name in ("CERTIFICATE", "CLIENTS"):
        monkeypatch.setenv(f"CARELOOP_MLLP_{name}", str(pem))
    assert "can be reached from elsewhere" not in run("doctor").stdout


def test_check_and_cases(run: Run) -> None:
    assert run("check").exit_code == 0
    assert run("cases", "bananas").exit_code == 2
