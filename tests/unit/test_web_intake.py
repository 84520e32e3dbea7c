"""`/hl7v2` and `/feeds`: acknowledgements and reports, at each way of being refused; and no patient's name in a log."""

from __future__ import annotations

import codecs
import csv
import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import Rejected, Unavailable
from adapter.gateway import Gateway
from adapter.intake import stored_rows
from adapter.intake.decisions import Withdrawal
from adapter.intake.framing import MAX_FRAME
from adapter.settings import Settings
from adapter.web.app import create_app

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CANARY = "Zzyzxqua"
MESSAGE = "\r".join([
    r"MSH|^~\&|ADT1|MADEUP|CARELOOP|NET|20260301070000-0500||ADT^A01^ADT_A01|CTRL-1|P|2.5.1",
    "EVN|A01|20260301070000-0500",
    f"PID|1||MRN-4711^^^MADEUP&2.16.840.1.113883.3.9999.77&ISO^MR||{CANARY}^Quimbleforth||19800102|F",
    "PV1|1|I|W1^101^A|||||||||||||||||V-99^^^MADEUP&2.16.840.1.113883.3.9999.77&ISO^VN||||||||||||||||||||||||20260301070000-0500",
    "",
])
WIDE = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF16_LE: "utf-16",
        codecs.BOM_UTF16_BE: "utf-16"}
MEMBERS = f"member_id,first_name,last_name,birth_date\nM1,{CANARY},Quimbleforth,1980-01-02\n"


@pytest.fixture(name="gateway")
def _gateway(tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32), lambda: NOW)
    yield gateway
    gateway.close()


@pytest.fixture(name="woken")
def _woken() -> list[bool]:
    return []


@pytest.fixture(name="client")
def _client(gateway: Gateway, woken: list[bool]) -> FlaskClient:
    return create_app(gateway, lambda: woken.append(True)).test_client()


def _post(client: FlaskClient, body: str | bytes, content_type: str = "application/hl7-v2", **more: Any) -> Any:
    return client.post("/hl7v2", data=body, content_type=content_type, **more)


def _msa(answer: Any) -> list[str]:
    assert answer.content_type.startswith("application/hl7-v2")
    wide = next((codec for bom, codec in WIDE.items() if answer.data.startswith(bom)), "latin-1")
    text = answer.data.decode(wide)
    return [line.split("|")[1] for line in text.split("\r") if line.startswith("MSA")]


@pytest.mark.parametrize("content_type", ["application/hl7-v2", "x-application/hl7-v2+er7", "text/plain"])
def test_a_message_is_acknowledged_and_wakes_the_worker(client: FlaskClient, gateway: Gateway, woken: list[bool],
                                                        content_type: str) -> None:
    answer = _post(client, MESSAGE, content_type)
    assert answer.status_code == 200
    assert _msa(answer) == ["AA"]
    assert "|CTRL-1" in answer.data.decode()
    assert woken
    assert gateway.work() == 1
    patients = gateway.embedded.search("Patient", [("name", CANARY)]).resources
    assert len(patients) == 1


def test_the_same_message_again_gets_the_same_answer(client: FlaskClient) -> None:
    assert _post(client, MESSAGE).data == _post(client, MESSAGE).data


def test_a_message_in_utf_16_is_a_success(client: FlaskClient) -> None:
    answer = _post(client, MESSAGE.encode("utf-16"))
    assert (answer.status_code, _msa(answer)) == (200, ["AA"])


def test_a_batch_is_answered_one_by_one(client: FlaskClient) -> None:
    other = MESSAGE.replace("CTRL-1", "CTRL-2").replace("ADT^A01^ADT_A01", "ORU^R01")
    answer = _post(client, MESSAGE + other)
    assert _msa(answer) == ["AA", "AR"]
    assert answer.status_code == 400


@pytest.mark.parametrize(("body", "content_type", "status"), [
    ("", "application/hl7-v2", 400),
    ("Hello", "application/hl7-v2", 400),
    (MESSAGE.replace("CTRL-1", ""), "application/hl7-v2", 400),
    (MESSAGE, "application/xml", 415),
    ("<ADT_A01/>", "application/hl7-v2+xml", 415),
    (MESSAGE, "application/x-www-form-urlencoded", 415),
])
def test_refusals_are_acknowledgements(client: FlaskClient, body: str, content_type: str, status: int) -> None:
    answer = _post(client, body, content_type)
    assert answer.status_code == status
    assert _msa(answer) in (["AR"], ["AE"])


@settings(max_examples=60)
@given(body=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode),
                      st.text(alphabet="MSH|^~\\&PID\r\n\x0b\x1cA01", max_size=300).map(str.encode),
                      st.text(max_size=40).map(lambda text: MESSAGE.replace(CANARY, text).encode())))
def test_whatever_comes_in_is_acknowledged(client: FlaskClient, body: bytes) -> None:
    answer = _post(client, body)
    codes = set(_msa(answer))
    assert codes <= {"AA", "AE", "AR"}
    assert answer.status_code == (400 if "AR" in codes else 422 if "AE" in codes else 200)
    assert codes


def test_a_compressed_body_is_not_unpacked(client: FlaskClient) -> None:
    assert _post(client, b"\x1f\x8b\x08", headers={"Content-Encoding": "gzip"}).status_code == 415


def test_too_large_names_the_message(client: FlaskClient) -> None:
    answer = _post(client, MESSAGE + "A" * MAX_FRAME)
    assert answer.status_code == 413
    assert _msa(answer) == ["AR"]
    assert "|CTRL-1" in answer.data.decode()


def test_a_store_that_is_away_asks_for_patience(client: FlaskClient, gateway: Gateway, monkeypatch: pytest.MonkeyPatch,
                                                woken: list[bool]) -> None:
    def away(*_: object) -> list[bytes]:
        raise Unavailable("store-unavailable", retry_after=7)

    monkeypatch.setattr(gateway, "accept", away)
    answer = _post(client, MESSAGE)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "7"
    assert _msa(answer) == ["AR"]
    assert not woken


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://elsewhere.example"}])
def test_another_sites_page_cannot_post(client: FlaskClient, gateway: Gateway, headers: dict[str, str]) -> None:
    assert _post(client, MESSAGE, "text/plain", headers=headers).status_code == 403
    assert gateway.work() == 0


def test_get_is_not_allowed(client: FlaskClient) -> None:
    answer = client.get("/hl7v2")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


def _csv(client: FlaskClient, body: str, content_type: str = "text/csv", feed: str = "members") -> Any:
    return client.post(f"/feeds/{feed}", data=body, content_type=content_type)


def test_a_csv_is_reported_row_by_row(client: FlaskClient, gateway: Gateway, woken: list[bool]) -> None:
    answer = _csv(client, MEMBERS + "M2,Made,Up,1980-13-45\n")
    assert answer.status_code == 200
    report = answer.json
    assert (report["rows"], report["accepted"], report["refused"], report["repeated"]) == (2, 1, 1, False)
    assert [(error["row"], error["code"], error["place"]) for error in report["errors"]] == [
        (3, "csv-date", "row 3, birth_date")]
    assert woken
    assert gateway.work() == 1
    assert _csv(client, MEMBERS + "M2,Made,Up,1980-13-45\n").json["repeated"] is True


@pytest.mark.parametrize(("body", "feed", "content_type", "told"), [
    (MEMBERS, "bananas", "text/csv", (404, "unknown-feed")),
    ("first_name\nMade\n", "members", "text/csv", (422, "csv-column-missing")),
    ("", "members", "text/csv", (400, "empty")),
    (MEMBERS, "members", "application/xml", (415, "media-type")),
])
def test_a_file_that_cannot_be_read(client: FlaskClient, body: str, feed: str, content_type: str,
                                    told: tuple[int, str]) -> None:
    answer = _csv(client, body, content_type, feed)
    status, code = told
    assert answer.status_code == status
    assert [error["code"] for error in answer.json["errors"]] == [code]


def _errors_of(client: FlaskClient, path: str) -> list[dict[str, str]]:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.mimetype == "text/csv"
    return list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))


def test_a_file_that_is_sent_again_says_which_rows_do_not_count(client: FlaskClient, gateway: Gateway) -> None:
    other = MEMBERS.replace(CANARY, "Other")
    for body in (MEMBERS, other):
        assert _csv(client, body).json["issues"] == []
        gateway.work()
    [issue] = _csv(client, MEMBERS).json["issues"]
    assert issue["code"] == "csv-file-again"
    assert "?as_of=" in json.dumps(issue)
    assert not gateway.work()
    answer: Any = client.post("/feeds/members?as_of=2026-03-01T12:00:10Z", data=MEMBERS, content_type="text/csv").json
    assert (answer["repeated"], answer["issues"]) == (False, [])
    assert gateway.work() == 1


def test_rows_sent_after_a_withdrawal_count(client: FlaskClient, gateway: Gateway) -> None:
    _csv(client, MEMBERS)
    gateway.work()
    gateway.operators.withdraw(Withdrawal(feed="members", by="test", reason="left"))
    report: Any = _csv(client, MEMBERS).json
    assert report["repeated"] is False
    assert gateway.work() == 1
    state: Any = client.get(report["file"]).json
    assert state["done"] == 1
    assert CANARY in client.get("/fhir/Patient").text


def test_the_error_file_has_every_row_refused_or_failed(client: FlaskClient, gateway: Gateway,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    report = _csv(client, MEMBERS + "M2,Made,Up,1980-13-45\nM3,=Made,Up,1980-01-02\n").json
    assert client.get(report["file"]).json == {
        "feed": "members", "file": report["file"].rpartition("/")[2], "rows": 3, "error_file": report["error_file"],
        "waiting": 2, "done": 0, "refused": 1, "failed": 0, "withdrawn": 0, "warnings": []}
    assert [row["error_row"] for row in _errors_of(client, report["error_file"])] == ["3"]
    whole = stored_rows.map_row

    def failing(cells: dict[str, str], *more: Any, **named: Any) -> Any:
        if cells["member_id"] == "M3":
            raise Rejected("no-patient", "row 4, member_id")
        return whole(cells, *more, **named)

    monkeypatch.setattr(stored_rows, "map_row", failing)
    while gateway.work():
        pass
    state = client.get(report["file"]).json
    assert [state[name] for name in ("waiting", "done", "refused", "failed")] == [0, 1, 1, 1]
    rows = _errors_of(client, report["error_file"])
    assert [(r["error_row"], r["member_id"], r["error_place"], r["error_code"]) for r in rows] == [
        ("3", "M2", "row 3, birth_date", "csv-date"), ("4", "M3", "row 4, member_id", "no-patient")]
    assert all(r["error_next_step"] for r in rows)
    assert rows[1]["first_name"] == "'=Made"
    monkeypatch.undo()
    assert _csv(client, MEMBERS + "M2,Made,Up,1980-13-45\nM3,=Made,Up,1980-01-02\n").json["error_file"] == report["error_file"]


def test_a_good_file_has_an_empty_error_file_and_an_unknown_one_none(client: FlaskClient) -> None:
    report: Any = _csv(client, MEMBERS).json
    assert client.get(report["error_file"]).data == b""
    for path in ("/feeds/members/files/0000", "/feeds/members/files/0000/errors.csv", "/feeds/bananas/files/0000"):
        assert client.get(path).status_code == 404


def test_rows_refused_so_far_can_be_asked_for_at_once(client: FlaskClient) -> None:
    answer = client.post("/feeds/members", data=MEMBERS + "M2,Made,Up,1980-13-45\n", content_type="text/csv",
                         headers={"Accept": "text/csv"})
    assert answer.mimetype == "text/csv"
    assert b"csv-date" in answer.data


def test_no_row_taken_is_no_success(client: FlaskClient) -> None:
    answer = _csv(client, "member_id,first_name,last_name,birth_date\nM1,Made,Up,yesterday\n")
    assert answer.status_code == 422
    assert answer.json["accepted"] == 0


def test_no_name_stands_in_a_log_line(client: FlaskClient, gateway: Gateway, monkeypatch: pytest.MonkeyPatch,
                                      capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    _post(client, MESSAGE)
    _post(client, MESSAGE.replace("ADT^A01^ADT_A01", "ORU^R01"))
    _post(client, MESSAGE.replace("MSH|", "XXX|"))
    _csv(client, MEMBERS)
    _csv(client, MEMBERS + f"{CANARY},{CANARY},{CANARY},{CANARY}\n")
    client.get(f"/fhir/Patient?name={CANARY}&family:{CANARY}={CANARY}")
    client.get(f"/{CANARY}")
    gateway.work()

    def fail(*_: object) -> list[bytes]:
        raise ValueError(MESSAGE)

    monkeypatch.setattr(gateway, "accept", fail)
    failed = _post(client, MESSAGE)
    assert failed.status_code == 500
    assert CANARY not in failed.data.decode()
    captured = capsys.readouterr()
    assert '"exception":"ValueError"' in captured.err
    for text in (captured.out, captured.err, caplog.text, client.get("/metrics").text, client.get("/readyz").text):
        assert CANARY not in text
