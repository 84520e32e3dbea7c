"""Log lines: declared fields only; exceptions and libraries by type and place."""

from __future__ import annotations

import json
import logging
import sys
import threading

import pytest
import structlog

from adapter import logs

NAME = "Zzyzxqua Quimbleforth"


@pytest.fixture(autouse=True)
def _configured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(logging.root, "handlers", [])
    logs.configure()


def _line(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    text = capsys.readouterr().err
    assert NAME not in text
    line: dict[str, object] = json.loads(text)
    return line


def test_undeclared_fields_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    logs.log("test").warning("refused", code="no-patient", place="PID-3", patient=NAME, detail=[NAME])
    line = _line(capsys)
    assert line["code"] == "no-patient"
    assert "patient" not in line
    assert "detail" not in line


def test_declared_fields_hold_no_structures(capsys: pytest.CaptureFixture[str]) -> None:
    logs.log("test").warning("refused", code={"name": NAME}, place=[NAME])
    assert "code" not in _line(capsys)


def test_an_exception_is_type_and_place(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError(NAME)
    except ValueError:
        logs.log("test").exception("failed")
    line = _line(capsys)
    assert line["exception"] == "ValueError"
    assert "test_an_exception_is_type_and_place" in str(line["at"])


def test_structlog_itself_is_held_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger().error("failed", name=NAME)
    assert _line(capsys)["event"] == "failed"


def test_a_library_is_told_by_logger_and_line(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise KeyError(NAME)
    except KeyError:
        logging.getLogger("sqlalchemy.engine").exception("statement %s", NAME)
    line = _line(capsys)
    assert line["logger"] == "sqlalchemy.engine"
    assert line["exception"] == "KeyError"


def test_uncaught_exceptions_of_threads(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ValueError(NAME)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert _line(capsys)["exception"] == "ValueError"


def test_a_long_value_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    logs.log("test").info("x", place="P" * 10_000)
    assert len(str(_line(capsys)["place"])) < 1000
