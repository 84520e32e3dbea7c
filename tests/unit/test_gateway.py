"""One installation at work: journal before answer, one acknowledgement per message, nothing lost by a crash."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select, event, func, select

from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.store.engine import reading, writing
from adapter.store.schema import CONTRIBUTION, FINDING, JOURNAL, RESOURCE
from tests.contract.conftest import DATABASES
from tests.servers import postgres_url

START = datetime(2026, 3, 20, 12, tzinfo=UTC)


def adt(
    control: str = "C1", trigger: str = "A28", clock: str = "0810", phone: str = "5550161", processing: str = "P", **more: str
) -> bytes:
    """A small ADT message of 1 March 2026."""
    return "\r".join(
        [
            rf"MSH|^~\&|EXAMPLE|EAST|CARELOOP|NET|20260301{clock}00-0500||ADT^{trigger}|{control}|{processing}|2.5.1",
            f"EVN|{trigger}|20260301{clock}00-0500",
            f"PID|1||{more.get('number', '800001')}^^^EAST^MR||Tarnhill^Bess||{more.get('born', '19610514')}|F"
            f"|||||^PRN^PH^^1^518^{phone}",
            "",
        ]
    ).encode()


MEMBERS = "member_id,first_name,last_name,birth_date,phone,updated_at\n"
BESS = "M1,Bess,Tarnhill,1961-05-14,+1 518 5550161,2026-03-01T08:00:00-05:00\n"


@pytest.fixture(name="opened", params=DATABASES)
def _opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Gateway]]:
    """Opens the gateway of one store, again and again; its clock goes on a second with every look."""
    url = postgres_url() if request.param == "postgresql" else ""
    ticks = iter(range(10**6))
    open_ones: list[Gateway] = []

    def open_it() -> Gateway:
        gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32, database_url=url),
                          lambda: START + timedelta(seconds=next(ticks)))
        open_ones.append(gateway)
        return gateway

    yield open_it
    for gateway in open_ones:
        gateway.close()


@pytest.fixture(name="gateway")
def _gateway(opened: Callable[[], Gateway]) -> Gateway:
    return opened()


def rows(gateway: Gateway, query: Select[Any]) -> list[Any]:
    with reading(gateway.engine) as connection:
        return list(connection.execute(query))


def states(gateway: Gateway) -> list[str]:
    return [r.state for r in rows(gateway, select(JOURNAL.c.state).order_by(JOURNAL.c.id))]


def findings(gateway: Gateway) -> list[str]:
    """Codes of findings about entries, but for what was tolerated: these messages have the segments a test needs, no more."""
    found = rows(gateway, select(FINDING.c.code).where(FINDING.c.subject == ""))
    return sorted(r.code for r in found if not r.code.startswith("tolerated-"))


def bodies(gateway: Gateway) -> dict[tuple[str, str], tuple[int, str]]:
    query = select(RESOURCE).where(RESOURCE.c.deleted == 0)
    return {(r.resource_type, r.id): (r.version, r.body) for r in rows(gateway, query)}


def patient(gateway: Gateway) -> Any:
    [found] = gateway.embedded.search("Patient", []).resources
    return found


def send(gateway: Gateway, *messages: bytes, feed: str | None = None) -> list[bytes]:
    return gateway.accept([(m, "test") for m in messages], feed)


# --- accept


def test_a_message_is_committed_before_it_is_answered(gateway: Gateway) -> None:
    log: list[str] = []
    event.listen(gateway.engine, "commit", lambda _: log.append("commit"))
    [ack] = send(gateway, adt())
    log.append("answer")
    assert b"MSA|AA|C1" in ack
    assert log[-2:] == ["commit", "answer"]
    assert states(gateway) == ["waiting"]
    assert bodies(gateway) == {}


def test_when_the_journal_fails_nothing_is_answered_and_nothing_kept(gateway: Gateway) -> None:
    def full(*_: Any) -> None:
        raise RuntimeError("disk")

    event.listen(gateway.engine, "commit", full)
    with pytest.raises(Exception, match="disk"):
        send(gateway, adt())
    event.remove(gateway.engine, "commit", full)
    assert states(gateway) == []
    gateway.work()
    assert bodies(gateway) == {}


def test_the_same_message_gets_the_stored_acknowledgement_and_changes_nothing(gateway: Gateway) -> None:
    [first] = send(gateway, adt())
    gateway.work()
    before = bodies(gateway)
    assert send(gateway, adt(), adt()) == [first, first]
    assert gateway.work() == 0
    assert bodies(gateway) == before
    assert states(gateway) == ["done"]


def test_twice_in_one_batch_is_once(gateway: Gateway) -> None:
    acks = send(gateway, adt(), adt())
    assert acks[0] == acks[1]
    assert states(gateway) == ["waiting"]


@pytest.mark.parametrize("together", [True, False])
def test_other_content_under_one_control_id_is_kept_and_flagged(gateway: Gateway, together: bool) -> None:
    pair = [adt(phone="5550161"), adt(phone="5550162", clock="0811")]
    acks = send(gateway, *pair) if together else [a for m in pair for a in send(gateway, m)]
    assert all(b"MSA|AA|C1" in a for a in acks)
    gateway.work()
    assert states(gateway) == ["done", "done"]
    assert findings(gateway) == ["same-id-other-bytes"]
    assert patient(gateway)["telecom"][0]["value"] == "+1 518 5550162"


def test_control_ids_are_each_senders_own(gateway: Gateway) -> None:
    send(gateway, adt(), adt().replace(b"|EAST|", b"|WEST|"))
    assert findings(gateway) == []


@pytest.mark.parametrize("processing", ["T", "D"])
def test_a_test_message_is_acknowledged_and_journalled_and_says_nothing(gateway: Gateway, processing: str) -> None:
    [ack] = send(gateway, adt(processing=processing))
    assert b"MSA|AA|C1" in ack
    assert gateway.work() == 0
    assert states(gateway) == ["test"]
    assert rows(gateway, select(func.count()).select_from(CONTRIBUTION))[0][0] == 0
    assert bodies(gateway) == {}


def test_a_refused_message_is_journalled_with_its_finding_and_the_good_ones_go_on(gateway: Gateway) -> None:
    acks = send(gateway, adt(), b"not a message", adt("C2", number="800002"), adt("C3").replace(b"ADT^A28", b"ORU^R01"))
    assert [a.split(b"MSA|")[1][:2] for a in acks] == [b"AA", b"AR", b"AA", b"AR"]
    gateway.work()
    assert states(gateway) == ["done", "refused", "done", "refused"]
    assert findings(gateway) == ["not-hl7", "unsupported-type"]
    assert len([k for k in bodies(gateway) if k[0] == "Patient"]) == 2


def test_warnings_stand_beside_the_journal_once(gateway: Gateway) -> None:
    send(gateway, adt(born="19801345"))
    gateway.work()
    assert findings(gateway) == ["bad-date"]


# --- crashes


def test_what_was_accepted_before_a_crash_is_processed_after_it(opened: Callable[[], Gateway]) -> None:
    send(opened(), adt(), adt("C2", "A08", "0900", "5550162"))
    again = opened()
    assert again.work() == 2
    assert patient(again)["telecom"][0]["value"] == "+1 518 5550162"


def test_arrival_is_that_of_the_journal_however_late_it_is_processed(tmp_path: Path) -> None:
    """A time more than 36 h ahead of arrival stays passed over, though it lies in the past when it is processed."""
    first = Gateway(Settings(data_dir=tmp_path, key="00" * 32), lambda: START)
    ahead = adt(phone="5550199").replace(b"20260301081000", b"20260322120000")
    near = adt("C2", "A08", phone="5550162").replace(b"20260301081000", b"20260321110000")
    send(first, ahead, near)
    first.close()
    later = Gateway(Settings(data_dir=tmp_path, key="00" * 32), lambda: START + timedelta(days=9))
    later.work()
    assert patient(later)["telecom"][0]["value"] == "+1 518 5550162"
    assert set(findings(later)) == {"time-ahead"}
    later.close()


def test_a_crash_while_composing_leaves_no_half_and_the_next_start_does_it_all(opened: Callable[[], Gateway]) -> None:
    first = opened()
    send(first, adt())

    def crash(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lower().startswith("update journal"):
            raise RuntimeError("pulled the plug")

    event.listen(first.engine, "before_cursor_execute", crash)
    with pytest.raises(RuntimeError, match="plug"):
        first.work()
    again = opened()
    assert (bodies(again), states(again)) == ({}, ["waiting"])
    assert sum(again.work() for _ in range(12)) == 1  # seconds by its clock, in which the claim of the first one ends
    assert states(again) == ["done"]
    assert patient(again)["gender"] == "female"


def test_an_entry_that_cannot_be_mapped_any_more_fails_alone(opened: Callable[[], Gateway]) -> None:
    send(opened(), adt(), adt("C2", number="800002"))
    gateway = opened()  # what was mapped on arrival is forgotten
    with writing(gateway.engine) as connection:
        connection.execute(JOURNAL.update().where(JOURNAL.c.control_id == "C1").values(raw=b"gone"))
    assert gateway.work() == 2
    assert states(gateway) == ["failed", "done"]
    assert findings(gateway) == ["not-hl7"]


def test_work_goes_in_portions_until_nothing_waits(gateway: Gateway) -> None:
    send(gateway, *(adt(f"C{n}", number=f"80{n}") for n in range(7)))
    assert [gateway.work(3), gateway.work(3), gateway.work(3), gateway.work(3)] == [3, 3, 1, 0]


# --- CSV


def test_a_file_loaded_twice_is_repeated(gateway: Gateway) -> None:
    first = gateway.load("members", (MEMBERS + BESS).encode(), "members.csv")
    gateway.work()
    before = bodies(gateway)
    again = gateway.load("members", (MEMBERS + BESS).encode(), "copy.csv")
    assert (first.accepted, first.repeated, again.accepted, again.repeated) == (1, False, 1, True)
    assert gateway.work() == 0
    assert bodies(gateway) == before


def test_a_refused_row_is_journalled_with_its_place_and_the_others_go_on(gateway: Gateway) -> None:
    bad = "M2,Ann,Reed,not-a-date,,\n"
    report = gateway.load("members", (MEMBERS + BESS + bad).encode())
    gateway.work()
    assert (report.rows, report.accepted, [r.number for r in report.refused]) == (2, 1, [3])
    assert states(gateway) == ["done", "refused"]
    [finding] = rows(gateway, select(FINDING).where(FINDING.c.code == "csv-date"))
    assert finding.place == "row 3, birth_date"
    assert [r.raw for r in rows(gateway, select(JOURNAL.c.raw).where(JOURNAL.c.state == "refused"))] == [bad.strip().encode()]


def test_an_empty_cell_takes_back_what_an_earlier_row_said(gateway: Gateway) -> None:
    gateway.load("members", (MEMBERS + BESS).encode())
    gateway.work()
    assert patient(gateway)["telecom"]
    later = BESS.replace("+1 518 5550161", "").replace("03-01", "03-02")
    gateway.load("members", (MEMBERS + later).encode())
    gateway.work()
    assert "telecom" not in patient(gateway)


def test_an_older_row_that_comes_later_changes_nothing(gateway: Gateway) -> None:
    gateway.load("members", (MEMBERS + BESS).encode())
    gateway.work()
    before = patient(gateway)["telecom"]
    gateway.load("members", (MEMBERS + BESS.replace("0161", "0199").replace("03-01", "02-01")).encode())
    gateway.work()
    assert patient(gateway)["telecom"] == before


def test_a_load_that_was_cut_off_is_taken_up_again(opened: Callable[[], Gateway]) -> None:
    first = opened()
    text = (MEMBERS + "".join(BESS.replace("M1,", f"M{n},") for n in range(1, 5))).encode()
    count = [0]

    def crash(*_: Any) -> None:
        count[0] += 1
        if count[0] == 3:  # after the file was noted and its rows were journalled
            raise RuntimeError("plug")

    event.listen(first.engine, "commit", crash)
    with pytest.raises(RuntimeError, match="plug"):
        first.load("members", text)
    again = opened()
    report = again.load("members", text)
    assert (report.rows, report.accepted, report.repeated) == (4, 4, False)
    assert states(again) == ["waiting"] * 4
