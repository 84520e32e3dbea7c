"""Every defect of fixtures/ at the gateway's doors: told by code, place and next step; what is good around it goes on."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import select

from adapter.errors import Rejected
from adapter.gateway import Gateway
from adapter.intake.send import send
from adapter.issues import ISSUES
from adapter.parse.batch import split_messages
from adapter.parse.charset import sniff
from adapter.settings import Settings
from adapter.store.engine import reading
from adapter.store.schema import FINDING, JOURNAL
from tests.acceptance.conftest import ROOT, compose
from tests.acceptance.served import served

FIXTURES = ROOT / "fixtures"
README = (FIXTURES / "README.md").read_text(encoding="utf-8")
MESSAGES = re.findall(r"^\| (\S+\.hl7) \| .+? \| (.+?) \|$", README, re.M)
TABLES = re.findall(r"^\| (\S+\.csv) \| .+? \| (\d+) \| (.+?) \|$", README, re.M)
NO_PLACE = {"empty", "binary"}
"""Codes of a message as a whole."""
ZONED = {"wrong-date.csv": ("2", "row 2, started_at: csv-date; row 3, started_at: csv-date")}
"""Where the feed differs from the bare contract: it says in which zone a time without offset is."""


def defect(name: str) -> bytes:
    return (FIXTURES / name.rpartition(".")[2].replace("hl7", "hl7v2") / "defects" / name).read_bytes()


@pytest.fixture(name="gateway")
def _gateway(tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(Settings(data_dir=tmp_path / "store", key="ba" * 32))
    yield gateway
    gateway.close()


@pytest.fixture(name="taking", scope="module")
def _taking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One store that takes all files."""
    gateway = Gateway(Settings(data_dir=tmp_path_factory.mktemp("taking"), key="bb" * 32))
    yield gateway
    gateway.close()


def journalled(gateway: Gateway, raw: bytes) -> tuple[str, dict[str, str]]:
    """State of the last entry with these bytes, and its findings: code to place."""
    with reading(gateway.engine) as connection:
        query = select(JOURNAL.c.id, JOURNAL.c.state).where(JOURNAL.c.raw == raw).order_by(JOURNAL.c.id.desc())
        entry = connection.execute(query).first()
        assert entry is not None
        rows = connection.execute(select(FINDING.c.code, FINDING.c.place).where(FINDING.c.journal == entry.id))
        return entry.state, {row.code: row.place for row in rows}


def segments(answer: bytes) -> dict[str, list[str]]:
    """An acknowledgement's segments by name, as fields; its own delimiters may be others than the usual."""
    mark, codec = sniff(answer)
    text = answer[mark:].decode(codec if codec.startswith("utf-16") else "latin-1")
    return {line[:3]: line.split(text[3]) for line in text.split("\r") if line}


@pytest.mark.parametrize(("name", "expected"), MESSAGES)
def test_messages(name: str, expected: str, taking: Gateway) -> None:
    found = split_messages(defect(name)).messages
    answers = taking.accept([(raw, "test") for raw in found])
    compose(taking)
    outcomes = [words.split() for words in expected.split(", ")]
    assert len(answers) == len(found) == len(outcomes)
    for raw, answer, outcome in zip(found, answers, outcomes, strict=True):
        told, (state, findings) = segments(answer), journalled(taking, raw)
        if outcome[0] == "-":
            assert told["MSA"][1] == "AA"
            assert "ERR" not in told
            assert state == ("test" if name == "test-message.hl7" else "done")
            assert set(outcome[1:]) <= findings.keys()
        else:
            assert state == "refused"
            assert outcome == list(findings)
            assert_refused(told, outcome[0], findings[outcome[0]])


def assert_refused(told: dict[str, list[str]], code: str, place: str) -> None:
    """The acknowledgement names code, place and next step; before 2.5 as far as ERR-1 and MSA-3 can."""
    assert told["MSA"][1] in ("AR", "AE")
    kind = ISSUES[code]
    error = told["ERR"]
    if len(error) > 2:
        assert error[3].split("^")[0] == kind.err3
        assert error[4] == "E"
        assert error[5].split("^")[0] == code
        assert kind.next_step[:12] in error[8]
        location = error[2]
    else:
        location = error[1]
        assert kind.what[:20] in told["MSA"][3]
    assert (place != "") is (code not in NO_PLACE)
    if re.match("[A-Z][A-Z0-9]{2}-[0-9]", place):
        segment, number = place.split("-")
        assert location.split("^")[0] == segment
        assert location.split("^")[2] == re.split(r"[.\[]", number)[0]


def test_a_miscounted_batch_is_taken_whole(gateway: Gateway) -> None:
    found = split_messages(defect("batch-miscounted.hl7")).messages
    assert all(b"|AA|" in answer for answer in gateway.accept([(raw, "test") for raw in found]))


def test_the_messages_around_a_bad_one_stand(gateway: Gateway) -> None:
    good = split_messages(defect("batch-one-bad.hl7")).messages
    gateway.accept([(raw, "test") for raw in good])
    compose(gateway)
    assert [journalled(gateway, raw)[0] for raw in good] == ["done", "refused", "done"]
    assert len(gateway.embedded.search("MessageHeader", []).resources) == 2


def test_a_test_message_has_no_effect(gateway: Gateway) -> None:
    gateway.accept([(defect("test-message.hl7"), "test")])
    compose(gateway)
    assert list(gateway.embedded.history()) == []


@pytest.mark.parametrize(("name", "rows", "expected"), TABLES)
def test_tables(name: str, rows: str, expected: str, gateway: Gateway) -> None:
    content = defect(name)
    if expected in ISSUES:
        with pytest.raises(Rejected) as refused:
            gateway.load("contacts", content, name)
        assert refused.value.issue.code == expected
        return
    rows, expected = ZONED.get(name, (rows, expected))
    if "csv-row-empty" in expected:  # a blank row is noticed by the reader, and refused by nobody
        expected = "-"
    report = gateway.load("contacts", content, name)
    compose(gateway)
    told = [*report.issues, *(issue for row in report.refused for issue in row.issues)]
    assert ("; ".join(f"{i.place}: {i.code}" for i in told) or "-") == expected
    assert report.accepted == int(rows)
    with reading(gateway.engine) as connection:
        entries = connection.execute(select(JOURNAL.c.state, JOURNAL.c.raw)).all()
    assert [entry.state for entry in entries].count("done") == int(rows)
    kept = b"\n".join(entry.raw for entry in entries)
    for line in re.split(rb"[\r\n]+", content)[1:]:
        assert not line.strip(b', "\t') or line in kept, "a row is in the journal as it was sent"
    assert standing(gateway) == int(rows)


def standing(gateway: Gateway) -> int:
    """Contacts, and attempts at one."""
    return sum(len(gateway.embedded.search(kind, []).resources) for kind in ("Encounter", "Communication"))


def names() -> set[str]:
    """Every person's name in the fixtures: PID-5, MRG-7 and NK1-2; and those of members."""
    found: set[str] = set()
    for path in FIXTURES.glob("hl7v2/**/*.hl7"):
        content = path.read_bytes()
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1")
        for segment, number in (("PID", 5), ("NK1", 2), ("MRG", 7)):
            for line in re.findall(rf"(?:^|[\r\n]){segment}\|([^\r\n]*)", text):
                fields = ["", *line.split("|")]
                found.update(re.findall(r"[A-Z][a-z]{3,}", fields[number]) if number < len(fields) else ())
    with (FIXTURES / "csv/members/good.csv").open(encoding="utf-8", newline="") as file:
        found.update(row[column] for row in csv.DictReader(file) for column in ("first_name", "last_name"))
    return {name for name in found if len(name) > 3}


def test_no_name_stands_in_a_log_line_or_an_acknowledgement(tmp_path: Path) -> None:
    people = names()
    assert len(people) >= 8
    answers: list[str] = []
    with served(tmp_path, {"CARELOOP_KEY": "bc" * 32}) as gateway:
        for path in sorted(FIXTURES.glob("hl7v2/**/*.hl7")):
            content = path.read_bytes()
            posted = requests.post(f"{gateway.http}/hl7v2", data=content, timeout=60,
                                   headers={"Content-Type": "application/hl7-v2"})
            assert posted.status_code in (200, 400, 422), path.name
            answers.append(posted.text)
            answers += over_mllp(gateway.mllp, content)
        for path in sorted(FIXTURES.glob("csv/**/*.csv")):
            feed = "contacts" if path.parent.name == "defects" else path.parent.name
            answers.append(told_of_csv(gateway.http, feed, path))
        figures = gateway.settle()
        assert figures['careloop_journal_entries{state="failed"}'] == 0
        assert gateway.terminate() == 0
    for text in (*answers, gateway.told()):
        assert {name for name in people if name in text} == set()


def over_mllp(address: tuple[str, int], content: bytes) -> list[str]:
    """The answer to a file as one frame; none where no frame can carry it, or it has no byte."""
    with suppress(Rejected):
        return [answer.decode("latin-1") for answer in send(*address, [content])] if content else []
    return []


def told_of_csv(http: str, feed: str, path: Path) -> str:
    """What a partner reads who posts a file: each error with code, place and next step."""
    posted = requests.post(f"{http}/feeds/{feed}", data=path.read_bytes(), timeout=60, params={"name": path.name},
                           headers={"Content-Type": "text/csv"})
    report: dict[str, Any] = posted.json()
    assert posted.status_code in (200, 400, 422), path.name
    for error in report["errors"]:
        assert {"code", "place", "next_step"} <= error.keys(), path.name
        assert error["next_step"]
    if "rows" in report:
        assert report["rows"] == report["accepted"] + report["refused"]
    else:
        assert len(report["errors"]) == 1
        assert posted.status_code >= 400
    return posted.text
