"""Big and dirty files: taken up after a kill, refused rows given back, a snapshot file ends what it leaves out."""

from __future__ import annotations

import csv
import io
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from adapter.commands.loading import sizes
from adapter.errors import Rejected
from adapter.gateway import Gateway
from adapter.intake.decisions import Withdrawal
from adapter.intake.row_errors import RowErrors, neutral
from adapter.parse.rows_header import ERROR_COLUMNS
from adapter.settings import Settings
from adapter.store.engine import reading
from adapter.store.schema import FINDING, JOURNAL, RESOURCE

ROOT = Path(__file__).parent.parent.parent
START = datetime(2026, 3, 20, 12, tzinfo=UTC)
HEADER = "contact_id,member_id,organization_id,organization_name,contact_type,started_at,outcome\n"


def row(contact: str, member: str = "M1", organization: str = "ORG-A", outcome: str = "reached") -> str:
    """A row of contacts."""
    return f"{contact},{member},{organization},Made Up,telephone,2026-03-01T08:00:00-05:00,{outcome}\n"


Opener = Callable[..., Gateway]


@pytest.fixture(name="opened")
def _opened(tmp_path: Path) -> Iterator[Opener]:
    """Opens a gateway on a folder of its own, whose feed `visits` is contacts with these lines in its feed.yaml."""
    numbers = itertools.count()
    gateways: list[Gateway] = []

    def open_it(lines: str = "", folder: Path | None = None) -> Gateway:
        home = folder or tmp_path / f"g{next(numbers)}"
        mappings = home / "mappings"
        if not mappings.exists():
            for name in ("network", "contacts", "members", "common"):
                shutil.copytree(ROOT / "mappings" / name, mappings / name)
            (mappings / "visits").mkdir()
        (mappings / "visits/feed.yaml").write_text(f"extends: contacts\ncontract: contacts\n{lines}")
        ticks = itertools.count()
        gateway = Gateway(Settings(data_dir=home / "data", mappings=mappings, key="00" * 32),
                          lambda: START + timedelta(seconds=next(ticks)))
        gateways.append(gateway)
        return gateway

    yield open_it
    for gateway in gateways:
        gateway.close()


def load(gateway: Gateway, *rows: str, name: str = "visits.csv", **more: Any) -> Any:
    """Load rows of `visits` and compose them."""
    report = gateway.load("visits", (HEADER + "".join(rows)).encode(), name, **more)
    while gateway.work():
        pass
    return report


def standing(gateway: Gateway) -> dict[tuple[str, str], str]:
    """(type, key) to the body of all that stands."""
    with reading(gateway.engine) as connection:
        return {(r.resource_type, r.key): r.body for r in connection.execute(select(RESOURCE).where(RESOURCE.c.deleted == 0))}


def contacts(gateway: Gateway) -> set[str]:
    """The contacts that stand."""
    return {key.rpartition("|")[2] for kind, key in standing(gateway) if kind in ("Encounter", "Communication")}


def errors_of(gateway: Gateway, raw: bytes, feed: str = "visits") -> list[dict[str, str]]:
    """The error file of a CSV, read again."""
    stream = io.BytesIO()
    gateway.load(feed, raw, errors=RowErrors(stream))
    return list(csv.DictReader(io.StringIO(stream.getvalue().decode("utf-8-sig"), newline="")))


# --- snapshots


def test_a_row_that_vanished_from_a_snapshot_ends_what_it_stated(opened: Opener) -> None:
    gateway = opened("snapshot: true\n")
    load(gateway, row("C1"), row("C2", "M2"))
    load(gateway, row("C1"))
    assert contacts(gateway) == {"C1"}
    assert {key for kind, key in standing(gateway) if kind == "Patient"} == {"urn:x-careloop:member|M1"}
    load(gateway, row("C1"), row("C2", "M2"), row("C3"))
    assert contacts(gateway) == {"C1", "C2", "C3"}


def test_in_a_feed_of_deltas_absence_says_nothing(opened: Opener) -> None:
    gateway = opened()
    load(gateway, row("C1"), row("C2"))
    load(gateway, row("C1"))
    assert contacts(gateway) == {"C1", "C2"}


def test_a_snapshot_with_a_refused_row_ends_nothing_until_it_comes_whole(opened: Opener) -> None:
    gateway = opened("snapshot: true\n")
    load(gateway, row("C1"), row("C2"), row("C3"))
    report = load(gateway, row("C1"), row("C2", outcome="perhaps"))
    assert [issue.code for issue in report.issues] == ["csv-snapshot-open"]
    assert contacts(gateway) == {"C1", "C2", "C3"}
    assert [issue.code for issue in load(gateway).issues] == ["csv-snapshot-open"]  # a header alone is no proof of emptiness
    assert contacts(gateway) == {"C1", "C2", "C3"}
    load(gateway, row("C1"), row("C2", outcome="refused"))
    assert contacts(gateway) == {"C1", "C2"}


def test_a_snapshot_per_organization_speaks_for_those_that_have_a_row(opened: Opener) -> None:
    gateway = opened("snapshot: {per: organization_id}\n")
    load(gateway, row("C1"), row("C2"), row("C3", organization="ORG-B"))
    load(gateway, row("C1"))
    assert contacts(gateway) == {"C1", "C3"}


def test_what_another_feed_says_stands(opened: Opener) -> None:
    gateway = opened("snapshot: true\n")
    gateway.load("contacts", (HEADER + row("C2")).encode())
    load(gateway, row("C1"), row("C2"))
    load(gateway, row("C1"))
    assert contacts(gateway) == {"C1", "C2"}


FILES = {"visits_20260301.csv": (row("C1"), row("C2"), row("C3", "M2")),
         "visits_20260302.csv": (row("C1", outcome="refused"), row("C3", "M2")),
         "visits_20260303.csv": (row("C2"), row("C4", "M3"))}


@pytest.mark.parametrize("order", list(itertools.permutations(FILES)))
def test_dated_snapshots_end_in_the_same_state_in_any_order(opened: Opener, order: tuple[str, ...]) -> None:
    gateway = opened('snapshot: {dated: "visits_%Y%m%d.csv"}\n')
    for name in order:
        load(gateway, *FILES[name], name=name)
    fresh = opened('snapshot: {dated: "visits_%Y%m%d.csv"}\n')
    load(fresh, *FILES["visits_20260303.csv"], name="visits_20260303.csv")
    assert standing(gateway) == standing(fresh)
    load(gateway, *FILES[order[0]], name=order[0])
    assert standing(gateway) == standing(fresh)


def test_equal_content_of_another_day_is_another_snapshot(opened: Opener) -> None:
    gateway = opened("snapshot: true\n")
    for day, rows in ((1, ("C1", "C2")), (2, ("C1",)), (3, ("C1", "C2"))):
        load(gateway, *map(row, rows), as_of=datetime(2026, 3, day, tzinfo=UTC))
    assert contacts(gateway) == {"C1", "C2"}


def test_a_snapshot_without_the_date_its_feed_promises_is_refused(opened: Opener) -> None:
    gateway = opened('snapshot: {dated: "visits_%Y%m%d.csv"}\n')
    with pytest.raises(Rejected, match="visits_%Y%m%d"):
        load(gateway, row("C1"), name="other.csv")


def test_a_vanished_crosswalk_parts_the_records_again(opened: Opener) -> None:
    gateway = opened()
    (gateway.settings.mappings / "members/feed.yaml").write_text("extends: network\ncontract: members\nsnapshot: true\n")
    again = opened(folder=gateway.settings.data_dir.parent)
    head = "member_id,first_name,last_name,birth_date,mrn,mrn_system\n"
    one, two = "M1,Made,Up,1980-01-01,77,urn:x-mrn\n", "M2,Other,Up,1981-01-01,78,urn:x-mrn\n"
    again.load("members", (head + one + two).encode())
    again.work()
    again.load("members", (head + two).encode())
    again.work()
    fresh = opened()
    fresh.load("members", (head + two).encode())
    fresh.work()
    assert standing(again) == standing(fresh)


# --- refused rows


# --- the same file again


def test_a_return_to_what_was_said_before_is_told_or_dated(opened: Opener) -> None:
    gateway = opened()
    there, not_there = row("C1"), row("C1", outcome="no-answer")
    load(gateway, there)
    assert load(gateway, there).issues == ()  # a mere repetition
    load(gateway, not_there)
    before = standing(gateway)
    again = load(gateway, there)
    assert again.repeated
    assert [(i.code, i.detail) for i in again.issues] == [
        ("csv-file-again", "1 rows have no time of their own, and 1 other files of the feed came since")]
    assert standing(gateway) == before
    anew = load(gateway, there, as_of=START + timedelta(hours=1))
    assert (anew.repeated, anew.issues) == (False, ())
    assert standing(gateway) != before
    after = standing(gateway)
    assert load(gateway, there, as_of=START + timedelta(hours=1)).repeated
    assert load(gateway, not_there, as_of=START - timedelta(days=1)).issues == ()  # of an older time: it changes nothing
    assert standing(gateway) == after


def test_two_rows_of_one_key_in_a_file_are_told(opened: Opener) -> None:
    gateway = opened()
    report = load(gateway, row("C1"), row("C2"), row("C1"), row("C1", outcome="no-answer"))
    assert report.issues == ()
    [warned] = gateway.warnings_of_file("visits", report.file)
    assert (warned.code, warned.count, warned.places) == ("csv-row-repeats", 1, ("row 5, contact_id",))
    header = HEADER.strip() + ",updated_at\n"
    history = "".join(f"{row('C3', outcome=said).strip()},2026-03-0{n}\n" for n, said in enumerate(("no-answer", "reached"), 1))
    report = gateway.load("visits", (header + history).encode(), "history.csv")
    while gateway.work():
        pass
    assert gateway.warnings_of_file("visits", report.file) == []


def test_rows_that_say_when_need_no_telling(opened: Opener) -> None:
    gateway = opened()
    header, timed = HEADER.strip() + ",updated_at\n", row("C1").strip() + ",2026-03-02\n"
    for text in (timed, timed.replace("03-02", "03-03"), timed):
        report = gateway.load("visits", (header + text).encode(), "visits.csv")
    assert report.repeated
    assert report.issues == ()


def test_an_undated_snapshot_that_comes_back_is_told(opened: Opener) -> None:
    gateway = opened("snapshot: true\n")
    for rows in ([row("C1")], [row("C2")]):
        load(gateway, *rows)
    assert [issue.code for issue in load(gateway, row("C1")).issues] == ["csv-file-again"]
    assert contacts(gateway) == {"C2"}
    load(gateway, row("C1"), as_of=START + timedelta(hours=1))
    assert contacts(gateway) == {"C1"}


@pytest.mark.parametrize("lines", ["", "snapshot: true\n", 'snapshot: {per: organization_id, dated: "visits_%Y%m%d.csv"}\n'])
def test_what_comes_after_a_withdrawal_counts(opened: Opener, lines: str) -> None:
    gateway = opened(lines)
    rows = [row("C1"), row("C2")]
    load(gateway, *rows, name="visits_20260301.csv")
    load(gateway, row("C3"), name="visits_20260310.csv")
    for _ in range(2):
        gateway.operators.withdraw(Withdrawal(feed="visits", by="test", reason="left"))
        assert contacts(gateway) == set()
        assert not load(gateway, *rows, name="visits_20260301.csv").repeated  # older than the withdrawal
        assert contacts(gateway) == {"C1", "C2"}
        assert load(gateway, *rows, name="visits_20260301.csv").repeated
    assert gateway.operators.remap("visits", dry_run=False, everything=True).changes == ()


def test_progress_shows_at_once() -> None:
    assert [*islice(sizes(), 6)] == [50, 100, 200, 400, 800, 1000]


def test_rows_of_a_feed_that_a_running_gateway_has_not_read_wait(opened: Opener, tmp_path: Path) -> None:
    running = opened(folder=tmp_path / "one")
    shutil.copytree(tmp_path / "one/mappings/visits", tmp_path / "one/mappings/fresh")
    other = opened(folder=tmp_path / "one")
    other.load("fresh", (HEADER + row("C1")).encode(), "fresh.csv")
    load(running, row("C2"))
    assert contacts(running) == {"C2"}
    while other.work():
        pass
    assert contacts(running) == {"C1", "C2"}


def test_what_waits_is_withdrawn_too(opened: Opener) -> None:
    gateway = opened()
    gateway.load("visits", (HEADER + row("C1")).encode(), "visits.csv")
    gateway.operators.withdraw(Withdrawal(feed="visits", by="test", reason="left"))
    assert gateway.work() == 0
    assert contacts(gateway) == set()


def test_refused_rows_come_back_as_they_were(opened: Opener) -> None:
    bad = b'C2,M2,ORG-A,"=cmd|\' /C calc\'!A0",telephone,yesterday,perhaps\r\nC3,M3,ORG-A\r\n' \
        b'C4,\x92\xff,ORG-A,Made Up,telephone,,\r\n'
    [first, ragged, bytes_] = errors_of(opened(), (HEADER + row("C1")).encode() + bad)
    assert (first["contact_id"], first["organization_name"], first["error_row"]) == ("C2", "'=cmd|' /C calc'!A0", "3")
    assert first["error_place"] == "row 3, started_at; row 3, outcome"
    assert first["error_code"] == "csv-date; csv-code"
    assert (ragged["error_code"], ragged["error_record"], ragged["contact_id"]) == ("csv-row-ragged", "C3,M3,ORG-A", "")
    assert (bytes_["error_code"], bytes_["error_record"][:5]) == ("charset", "C4,\\x")
    assert all(line["error_next_step"] for line in (first, ragged, bytes_))


def test_of_a_file_with_every_kind_of_dirt_each_bad_row_comes_back_and_the_rest_stands(opened: Opener) -> None:
    gateway = opened()
    good = [row(f"C{n}").encode() for n in (1, 2, 3)]
    bad = {"csv-nul": b"X1,M1,ORG-A,a\0b,telephone,2026-03-01,reached\n",
           "charset": b"X2,M1,ORG-A,Pe\xf1a,telephone,2026-03-01,reached\n",
           "csv-row-ragged": b"X3,M1,ORG-A,Made Up,telephone,2026-03-01,reached,,\n",
           "csv-quote": b'X4,M1,ORG-A,"Made Up,telephone,2026-03-01,reached\n',
           "csv-value": b'="0042",M1,ORG-A,Made Up,telephone,2026-03-01,reached\n',
           "csv-date": b"X5,M1,ORG-A,Made Up,telephone,45231,reached\n",
           "csv-code": b"X6,M1,ORG-A,Made Up,telephone,2026-03-01,perhaps\n",
           "csv-value-missing": b"X7,,ORG-A,Made Up,telephone,2026-03-01,reached\n",
           "csv-cell-long": b"X8,M1,ORG-A," + b"x" * 40_000 + b",telephone,2026-03-01,reached\n"}
    tail = b"\r\n" + good[1] + b",,,,,,\n" + good[2].rstrip()
    raw = b"\xef\xbb\xbf" + HEADER.encode() + good[0] + b"".join(bad.values()) + tail
    told = errors_of(gateway, raw)
    assert [line["error_code"] for line in told] == list(bad)
    assert [line["error_row"] for line in told] == [str(n) for n in range(3, 3 + len(bad))]
    assert all(line["error_next_step"] for line in told)
    while gateway.work():
        pass
    assert contacts(gateway) == {"C1", "C2", "C3"}


def test_a_row_that_cannot_be_processed_comes_back_too(opened: Opener) -> None:
    gateway = opened()
    report = load(gateway, row("C1"), row("C2"))
    (gateway.settings.mappings / "visits/feed.yaml").write_text("extends: contacts\ncontract: contacts\npatient: nobody\n")
    late = opened("patient: nobody\n", folder=gateway.settings.data_dir.parent)
    report = load(late, row("C1"), row("C3"))
    stream = io.BytesIO()
    errors = RowErrors(stream)
    late.load("visits", (HEADER + row("C9", outcome="perhaps")).encode(), errors=errors)
    assert late.write_failed("visits", report, errors) == 2
    assert b"no-patient" in stream.getvalue()


@given(st.text(max_size=40))
@settings(max_examples=200)
def test_no_cell_we_give_back_is_a_formula(text: str) -> None:
    cell = neutral(text)
    assert cell[:1] not in tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
    assert cell.strip()[:1] not in tuple("=+-@")


def test_above_the_error_rate_a_file_is_refused_whole(opened: Opener) -> None:
    gateway = opened("error_rate: 0.4\n")
    stream = io.BytesIO()
    with pytest.raises(Rejected) as refused:
        load(gateway, row("C1"), row("C2", outcome="perhaps"), errors=RowErrors(stream))
    assert refused.value.issue.code == "csv-error-rate"
    assert stream.getvalue().count(b"\r\n") == 2
    assert contacts(gateway) == set()
    with reading(gateway.engine) as connection:
        assert [(r.state, r.kind) for r in connection.execute(select(JOURNAL))] == [("refused", "csv")]
        assert [r.code for r in connection.execute(select(FINDING))] == ["csv-error-rate"]
    load(gateway, row("C1"), row("C2"), row("C3", outcome="perhaps"))
    assert contacts(gateway) == {"C1", "C2"}


def test_a_file_that_is_refused_whole_is_journalled(opened: Opener) -> None:
    gateway = opened()
    for _ in range(2):
        with pytest.raises(Rejected):
            gateway.load("visits", b"")
    with reading(gateway.engine) as connection:
        assert [r.code for r in connection.execute(select(FINDING))] == ["empty"]


# --- dirty files

_CELL = st.one_of(st.sampled_from(["", '"', '""', "=1+1", "\x00", "\r", "\n", ",", ";", "\ufeff", '="00123"', "45000",
                                   "x" * 40_000, "\x1a", "2026-03-01", "reached", "telephone"]), st.text(max_size=8))
_DIRT = st.lists(st.lists(_CELL, max_size=9).map(",".join), max_size=6)


@given(dirt=_DIRT, tail=st.binary(max_size=12), end=st.sampled_from(["\n", "\r\n", "\r"]), bom=st.booleans())
@settings(max_examples=60)
def test_whatever_stands_around_it_a_good_row_is_taken(dirt: list[str], tail: bytes, end: str, bom: bool) -> None:
    from adapter.parse.rows import RowError, open_csv
    from adapter.parse.rows_contract import load_contract

    lines = [HEADER.strip(), row("C1").strip(), *dirt]
    raw = (b"\xef\xbb\xbf" if bom else b"") + end.join(lines).encode("utf-8", "surrogatepass") + end.encode() + tail
    file = open_csv(raw, load_contract("contacts"))
    stream = io.BytesIO()
    errors = RowErrors(stream)
    errors.begin(file.binding)
    read = list(file.rows())
    assert not isinstance(read[0], RowError)
    assert read[0].cells["contact_id"] == "C1"
    bad = [one for one in read if isinstance(one, RowError)]
    for one in bad:
        errors.add(one)
        assert all(issue.place.startswith(f"row {one.number}") for issue in one.issues)
    told = list(csv.reader(io.StringIO(stream.getvalue().decode("utf-8-sig"), newline="")))
    assert len(told) == (len(bad) + 1 if bad else 0)
    assert all(len(line) == 7 + len(ERROR_COLUMNS) for line in told)


# --- killed


def test_a_load_that_is_killed_anywhere_ends_in_the_same_state(tmp_path: Path) -> None:
    file = tmp_path / "contacts.csv"
    outcomes = ["perhaps" if n % 50 == 7 else ("reached", "refused")[n % 2] for n in range(1500)]
    file.write_text(HEADER + "".join(row(f"C{n}", f"M{n // 3}", outcome=outcome) for n, outcome in enumerate(outcomes)))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert _run(file, whole).wait(120) == 1
    kills = 0
    for seconds in (1.6, 2.1, 2.6):
        process = _run(file, cut)
        time.sleep(seconds)  # not a wait for anything: the kill may come wherever it does
        kills += process.poll() is None
        os.kill(process.pid, signal.SIGKILL) if process.poll() is None else None
        process.wait()
    assert _run(file, cut).wait(120) == 1
    assert file.with_name("contacts.errors.csv").read_text("utf-8-sig").count("csv-code") == 30
    assert _bodies(whole) == _bodies(cut)
    assert kills


def _run(file: Path, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from adapter.cli import main; main()", "load", "contacts", str(file)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            env={**os.environ, "CARELOOP_DATA_DIR": str(folder), "CARELOOP_KEY": "00" * 32})


def _bodies(folder: Path) -> dict[tuple[str, str], str]:
    gateway = Gateway(Settings(data_dir=folder, key="00" * 32))
    try:
        return standing(gateway)
    finally:
        gateway.close()


# --- refused rows sent again, and what was noticed of rows that were taken


def error_file(gateway: Gateway, raw: bytes) -> bytes:
    stream = io.BytesIO()
    gateway.load("visits", raw, errors=RowErrors(stream))
    return stream.getvalue()


def test_an_error_file_is_corrected_and_sent_back_as_it_is(opened: Opener) -> None:
    gateway = opened()
    back = error_file(gateway, (HEADER + row("C1") + row("C2", outcome="perhaps") + row("C3") + "C4,M1,ORG-A\n").encode())
    again = error_file(gateway, back)
    assert again.splitlines()[0] == back.splitlines()[0]
    lines = csv.DictReader(io.StringIO(again.decode("utf-8-sig")))
    assert [line["error_code"] for line in lines] == ["csv-code", "csv-row-ragged"]
    corrected = back.replace(b"perhaps", b"reached").replace(b"C4,M1,ORG-A", row("C4").strip().encode())
    report = gateway.load("visits", corrected, "visits.errors.csv")
    assert (report.accepted, report.refused_count, report.issues) == (2, 0, ())
    while gateway.work():
        pass
    assert contacts(gateway) == {"C1", "C2", "C3", "C4"}


def test_a_partners_own_error_column_is_told(opened: Opener) -> None:
    raw = HEADER.strip() + ",error_code\n" + row("C1").strip() + ",7\n"
    report = opened().load("visits", raw.encode())
    assert [(i.code, i.place) for i in report.issues] == [("csv-column-unknown", "row 1, error_code")]


def test_warnings_of_rows_that_were_taken_are_counted_by_code(opened: Opener) -> None:
    gateway = opened()
    header = HEADER.strip() + ",npi\n"
    raw = header + "".join(row(f"C{n}").strip() + f",123456789{n}\n" for n in range(3, 9))
    report = gateway.load("visits", raw.encode())
    while gateway.work():
        pass
    (found,) = gateway.warnings_of_file("visits", report.file)
    assert (found.code, found.count, found.places) == ("bad-value", 5, ("row 3, npi", "row 4, npi", "row 5, npi"))


def test_load_tells_the_warnings_and_ends_well(tmp_path: Path) -> None:
    file = tmp_path / "contacts.csv"
    file.write_text(HEADER.strip() + ",npi\n" + row("C1").strip() + ",1234567890\n")
    command = [sys.executable, "-c", "from adapter.cli import main; main()"]
    settings = {**os.environ, "CARELOOP_DATA_DIR": str(tmp_path / "data"), "CARELOOP_KEY": "00" * 32}
    loaded = subprocess.run([*command, "load", "contacts", str(file)], env=settings, cwd=ROOT, capture_output=True, text=True,
                            check=True)
    assert "[bad-value]: 1, at row 2, npi" in loaded.stderr
    made = subprocess.run([*command, "convert", str(file)], env=settings, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "bad-value 1" in made.stderr
