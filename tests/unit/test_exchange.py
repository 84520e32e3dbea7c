"""How messages are answered: both modes, batches, sequence numbers, a store that is away, and feeds that fall silent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError

from adapter.errors import Defect, Unavailable
from adapter.feeds import open_feeds
from adapter.gateway import Gateway
from adapter.intake.ack import parted
from adapter.intake.arrived import Arrived
from adapter.intake.loop_thread import run_in_thread
from adapter.intake.mllp import MllpListener
from adapter.intake.send import send
from adapter.mapping.lint import lint
from adapter.model import Issue
from adapter.settings import Settings
from adapter.store.engine import reading
from adapter.store.schema import FINDING, JOURNAL
from adapter.web.app import create_app
from adapter.web.metrics import Meters
from tests.contract.conftest import DATABASES
from tests.servers import postgres_url
from tests.unit.feeds_of import with_feed
from tests.unit.test_mllp import Sender, encode

START = datetime(2026, 3, 20, 12, tzinfo=UTC)
Opened = Callable[..., Gateway]


class Clock:
    """A clock that stands until it is set forward."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="opened", params=DATABASES)
def _opened(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Opened]:
    """Opens a gateway with a feed `river` (MSH-3 RIVER) that has these lines; again with the same store."""
    url = postgres_url() if request.param == "postgresql" else ""
    with ExitStack() as stack:
        def open_it(lines: str = "") -> Gateway:
            folder = tmp_path / "mappings"
            mappings = folder if folder.exists() else with_feed(tmp_path, river=f"sender: {{MSH-3: RIVER}}\n{lines}")
            gateway = Gateway(Settings(data_dir=tmp_path / "data", key="00" * 32, mappings=mappings, database_url=url), clock)
            stack.callback(gateway.close)
            return gateway
        yield open_it


def adt(control: str = "C1", *, asks: str = "|", number: str = "", trigger: str = "A28", mrn: str = "800001",
        version: str = "2.5.1", sender: str = "RIVER") -> bytes:
    """A small message. asks: MSH-15 and MSH-16, apart by a bar. number: MSH-13."""
    return "\r".join([
        rf"MSH|^~\&|{sender}|EAST|CARELOOP|NET|20260301081000-0500||ADT^{trigger}|{control}|P|{version}|{number}||{asks}",
        f"EVN|{trigger}|20260301081000-0500", f"PID|1||{mrn and mrn + '^^^EAST^MR'}||Tarnhill^Bess||19610514|F", "",
    ]).encode()


def told(answer: bytes) -> list[list[str]]:
    """MSA of each acknowledgement, as fields behind the name."""
    return [line.split("|")[1:] for ack in parted(answer) for line in ack.decode().split("\r") if line.startswith("MSA")]


def accept(gateway: Gateway, *messages: bytes) -> list[list[list[str]]]:
    return [told(answer) for answer in gateway.accept([(m, "test") for m in messages])]


def journalled(gateway: Gateway) -> list[tuple[str, str, str]]:
    with reading(gateway.engine) as connection:
        rows = connection.execute(select(JOURNAL.c.control_id, JOURNAL.c.state, JOURNAL.c.ack_code).order_by(JOURNAL.c.id))
        return [(row[0], row[1], row[2]) for row in rows]


# --- enhanced mode


@pytest.mark.parametrize(("message", "codes"), [
    (adt(asks="|"), ["AA"]), (adt(asks="AL|NE"), ["CA"]), (adt(asks="AL|AL"), ["CA", "AA"]), (adt(asks="AL|"), ["CA"]),
    (adt(asks="NE|AL"), ["AA"]), (adt(asks="|AL"), ["AA"]), (adt(asks="NE|NE"), []), (adt(asks="ER|ER"), []),
    (adt(asks="SU|SU"), ["CA", "AA"]), (adt(asks="ER|AL"), ["AA"]),
    (adt(asks="AL|AL", mrn=""), ["CA", "AE"]), (adt(asks="AL|ER", mrn=""), ["CA", "AE"]), (adt(asks="AL|SU", mrn=""), ["CA"]),
    (adt(asks="ER|ER", mrn=""), ["AE"]), (adt(asks="|", mrn=""), ["AE"]),
    (adt(asks="AL|AL", trigger="Z99"), ["CR"]), (adt(asks="ER|NE", version="9.9"), ["CR"]),
    (adt(asks="SU|AL", trigger="Z99"), ["AR"]),
    (adt(asks="AL|AL", control=""), ["CE"]), (adt(asks="NE|NE", trigger="Z99"), []), (adt(asks="|", trigger="Z99"), ["AR"]),
])
def test_each_mode_gives_the_acknowledgements_that_are_asked_for(opened: Opened, message: bytes, codes: list[str]) -> None:
    gateway = opened()
    [answer] = gateway.accept([(message, "test")])
    assert [msa[0] for msa in told(answer)] == codes
    assert all(msa[1] == message.split(b"|")[9].decode() for msa in told(answer))
    assert gateway.accept([(message, "test")]) == [answer]
    assert len(journalled(gateway)) == 1


def test_an_application_acknowledgement_asks_for_none_itself_and_has_an_id_of_its_own(opened: Opened) -> None:
    [answer] = opened().accept([(adt(asks="AL|AL"), "test")])
    commit, application = (one.decode().split("\r")[0].split("|") for one in parted(answer))
    assert application[14:16] == ["NE", "NE"]
    assert commit[9] != application[9]
    assert len(commit) <= 12


def test_both_acknowledgements_go_over_the_wire_in_frames_of_their_own_and_the_client_gives_the_last(opened: Opened) -> None:
    gateway = opened()
    handle = run_in_thread(MllpListener("127.0.0.1", 0, gateway.accept, refuse=gateway.refuse))
    try:
        sender = Sender(handle.port).write(encode(adt("1", asks="AL|AL")) + encode(adt("2", asks="NE|NE")) + encode(adt("3")))
        assert sender.answers(3) == [("CA", "1"), ("AA", "1"), ("AA", "3")]
        messages = [adt("4", asks="AL|AL"), adt("5", asks="NE|NE"), adt("6", asks="AL|AL", trigger="Z99"), adt("7"),
                    adt("8", asks="NE|ER", mrn=""), adt("9", asks="AL|NE")]
        answers = [told(one) for one in send("127.0.0.1", handle.port, messages, 20)]
        assert [one[0][:2] if one else [] for one in answers] == [["AA", "4"], [], ["CR", "6"], ["AA", "7"], [], ["CA", "9"]]
    finally:
        handle.stop()


# --- acknowledged once stored


@pytest.mark.parametrize(("asked", "codes"), [("NE|NE", []), ("|NE", []), ("ER|NE", []), ("AL|NE", ["CA"]), ("SU|", ["CA"])])
def test_a_feed_that_acknowledges_once_stored_sends_what_enhanced_mode_asks_for(
        opened: Opened, asked: str, codes: list[str]) -> None:
    gateway, sent = opened("acknowledge: stored"), adt(asks=asked)
    for arrived in (gateway.look(Arrived(sent, "test")), Arrived(sent, "test")):
        [answer] = gateway.accept([arrived])
        assert [msa[0] for msa in told(answer)] == codes
    assert journalled(gateway) == [("C1", "waiting", "CA")]


def test_a_feed_may_have_its_messages_acknowledged_once_they_are_stored(opened: Opened) -> None:
    gateway = opened("acknowledge: stored")
    assert accept(gateway, adt("1"), adt("2", mrn=""), adt("3", trigger="Z99")) == [[["AA", "1"]], [["AA", "2"]], [["AR", "3"]]]
    assert journalled(gateway) == [("1", "waiting", "AA"), ("2", "waiting", "AA"), ("3", "refused", "AR")]
    while gateway.work():
        pass
    assert [(c, s) for c, s, _ in journalled(gateway)] == [("1", "done"), ("2", "failed"), ("3", "refused")]
    with reading(gateway.engine) as connection:
        codes = [row.code for row in connection.execute(select(FINDING).where(FINDING.c.severity == "error"))]
        of_one = select(FINDING.c.code, FINDING.c.place).where(FINDING.c.journal == 1, FINDING.c.subject == "")
        found = [tuple(row) for row in connection.execute(of_one)]
    assert codes == ["unsupported-event", "no-patient"]
    assert found
    assert len(found) == len(set(found))


@pytest.mark.parametrize(("message", "code"), [
    (adt(), "AA"), (adt(asks="AL|NE"), "CA"),
    (b"\xef\xbb\xbf" + adt(), "AA"), (b"\xef\xbb\xbf" + adt(asks="AL|NE"), "CA"),  # headers that are looked at more closely
])
def test_the_code_that_is_kept_is_the_one_that_the_sender_got(opened: Opened, message: bytes, code: str) -> None:
    gateway = opened("acknowledge: stored")
    assert accept(gateway, message) == [[[code, "C1"]]]
    assert journalled(gateway) == [("C1", "waiting", code)]
    assert f'ack="{code}",event="A28",feed="river"' in Meters(gateway.engine, lambda: 0, list).text().decode()


def test_what_wants_an_application_acknowledgement_is_converted_first_all_the_same(opened: Opened) -> None:
    gateway = opened("acknowledge: stored")
    assert accept(gateway, adt("1", asks="AL|AL", mrn=""), adt("2", asks="AL|NE", mrn="")) == [
        [["CA", "1"], ["AE", "1"]], [["CA", "2"]]]


# --- batches


def batch(*messages: bytes, count: int | None = None, file: bool = False, number: str = "B7") -> bytes:
    head = rf"BHS|^~\&|RIVER|EAST|CARELOOP|NET|20260301||||{number}" + "\r"
    text = head.encode() + b"".join(messages) + f"BTS|{len(messages) if count is None else count}\r".encode()
    return rb"FHS|^~\&|RIVER|EAST|CARELOOP|NET|20260301||||F1" + b"\r" + text + b"FTS|1\r" if file else text


def test_a_batch_is_answered_by_a_batch_that_names_it(opened: Opened) -> None:
    gateway = opened()
    [answer] = gateway.accept([(batch(adt("1"), adt("2", mrn=""), adt("3"), file=True), "test")])
    lines = answer.decode().rstrip("\r").split("\r")
    assert [line.split("|")[0] for line in lines if line[:3] != "ERR"] == ["FHS", "BHS", *["MSH", "MSA"] * 3, "BTS", "FTS"]
    fields = {line[:3]: line.split("|") for line in lines}
    assert (fields["FHS"][11], fields["BHS"][11]) == ("F1", "B7")
    assert fields["BHS"][2:6] == ["CARELOOP", "NET", "RIVER", "EAST"]
    assert re.fullmatch("[0-9a-f]{20}", fields["BHS"][10])
    assert (fields["BTS"], fields["FTS"]) == (["BTS", "3"], ["FTS", "1"])
    assert [line.split("|")[1:3] for line in lines if line[:3] == "MSA"] == [["AA", "1"], ["AE", "2"], ["AA", "3"]]
    assert [one[:2] for one in journalled(gateway)] == [("1", "waiting"), ("2", "refused"), ("3", "waiting")]


def test_one_bad_message_of_a_hundred_refuses_no_other_and_the_same_batch_again_changes_nothing(opened: Opened) -> None:
    gateway = opened()
    messages = [adt(str(n), trigger="Z99" if n == 41 else "A28") for n in range(100)]
    for _ in range(2):
        [answer] = gateway.accept([(batch(*messages), "test")])
        assert re.findall(rb"\rMSA\|(A[ER]\|\d+)", answer) == [b"AR|41"]
        assert answer.count(b"\rMSA|AA|") == 99
    assert len(journalled(gateway)) == 100


def test_a_wrong_count_is_told_in_the_answer_and_in_the_journal(opened: Opened) -> None:
    gateway = opened()
    [answer] = gateway.accept([(batch(adt("1"), adt("2"), count=5), "test")])
    assert b"\rBTS|2|a batch does not hold what its trailer says (BTS-1): declared 5, found 2" in answer
    with reading(gateway.engine) as connection:
        assert [row.place for row in connection.execute(select(FINDING).where(FINDING.c.code == "batch-count"))] == ["BTS-1"]


def test_batches_of_a_file_are_answered_each_by_its_own(opened: Opened) -> None:
    two = batch(adt("1"), number="B1") + batch(adt("2"), adt("3"), number="B2")
    [answer] = opened().accept([(rb"FHS|^~\&|RIVER" + b"\r" + two + b"FTS|2\r", "test")])
    ends = [line.split("|") for line in answer.decode().split("\r") if line[:3] in ("BHS", "BTS", "FTS")]
    assert [f"{name} {last}" for name, *_, last in ends] == ["BHS B1", "BTS 1", "BHS B2", "BTS 2", "FTS 2"]


def test_a_batch_in_enhanced_mode_holds_what_is_asked_for(opened: Opened) -> None:
    [answer] = opened().accept([(batch(adt("1", asks="AL|AL"), adt("2", asks="NE|NE"), adt("3", asks="ER|ER", mrn="")), "test")])
    assert re.findall(rb"\rMSA\|(\w\w\|\d)", answer) == [b"CA|1", b"AA|1", b"AE|3"]
    assert b"\rBTS|3\r" in answer


def test_a_batch_over_the_wire_and_over_http(opened: Opened) -> None:
    gateway = opened()
    handle = run_in_thread(MllpListener("127.0.0.1", 0, gateway.accept, refuse=gateway.refuse))
    try:
        [answer] = send("127.0.0.1", handle.port, [batch(adt("1"), adt("2"))], 20)
    finally:
        handle.stop()
    assert answer.startswith(b"BHS|")
    posted = create_app(gateway, lambda: None).test_client().post(
        "/hl7v2", data=batch(adt("1"), adt("2", trigger="Z99")), content_type="application/hl7-v2")
    assert (posted.status_code, re.findall(rb"\rMSA\|(\w\w)", posted.data)) == (400, [b"AA", b"AR"])
    assert posted.data.startswith(b"BHS|")
    empty = create_app(gateway, lambda: None).test_client().post("/hl7v2", data=batch(), content_type="application/hl7-v2")
    assert (empty.status_code, b"\rBTS|0\r" in empty.data) == (200, True)


# --- sequence numbers


def link(number: int) -> bytes:
    return rf"MSH|^~\&|RIVER|EAST|CARELOOP|NET|20260301||^|L{number}|P|2.5.1|{number}".encode() + b"\r"


def test_messages_are_taken_in_the_order_of_their_numbers(opened: Opened) -> None:
    gateway = opened("sequence: true")
    assert accept(gateway, link(0)) == [[["AA", "L0", "", "-1"]]]
    assert accept(gateway, adt("a", number="7"), adt("b", number="8")) == [[["AA", "a", "", "8"]], [["AA", "b", "", "9"]]]
    [[code, control_id, *_, expected]] = accept(gateway, adt("d", number="10"))[0]
    assert (code, control_id, expected) == ("AR", "d", "9")
    assert accept(gateway, link(0)) == [[["AA", "L0", "", "9"]]]
    assert accept(gateway, adt("c", number="9"), adt("d", number="10")) == [[["AA", "c", "", "10"]], [["AA", "d", "", "11"]]]
    assert [(c, s) for c, s, _ in journalled(gateway)] == [("a", "waiting"), ("b", "waiting"), ("d", "waiting"), ("c", "waiting")]
    again = opened()
    assert accept(again, adt("c", number="9"), adt("e", number="11")) == [[["AA", "c", "", "10"]], [["AA", "e", "", "12"]]]


def test_numbers_are_each_senders_own_and_may_begin_anew(opened: Opened) -> None:
    gateway = opened("sequence: true")
    west = adt("w", number="1").replace(b"|EAST|", b"|WEST|")
    assert [one[0][3] for one in accept(gateway, adt("a", number="5"), west)] == ["6", "2"]
    assert accept(gateway, link(-1))[0][0][3] == "-1"
    assert accept(gateway, adt("b", number="1")) == [[["AA", "b", "", "2"]]]


@pytest.mark.parametrize("number", ["", "x", "4", "-2", "0"])
def test_another_number_is_refused(opened: Opened, number: str) -> None:
    gateway = opened("sequence: true")
    accept(gateway, adt("a", number="5"))
    [[code, _, *_, expected]] = accept(gateway, adt("b", number=number))[0]
    assert (code, expected) == ("AR", "6")
    [[code, _, *_, expected]] = accept(gateway, adt("b", number=number, asks="AL|AL"))[0]
    assert (code, expected) == ("CE", "6")


def test_a_message_refused_for_its_content_has_had_its_number_and_one_refused_whole_has_not(opened: Opened) -> None:
    gateway = opened("sequence: true")
    assert accept(gateway, adt("a", number="1"))[0][0][0] == "AA"
    assert accept(gateway, adt("b", number="2", mrn=""))[0][0][0] == "AE"
    assert accept(gateway, adt("c", number="3", trigger="Z99"))[0][0][0] == "AR"
    assert accept(gateway, adt("d", number="3"))[0][0][0] == "AA"
    assert accept(gateway, adt("b", number="2", mrn=""))[0][0][0] == "AE"


def test_the_same_message_twice_in_one_commit_counts_once(opened: Opened) -> None:
    gateway = opened("sequence: true")
    assert [one[0][0] for one in accept(gateway, adt("a", number="1"), adt("a", number="1"), adt("b", number="2"))] == ["AA"] * 3
    assert len(journalled(gateway)) == 2


def test_without_the_protocol_numbers_are_not_looked_at(opened: Opened) -> None:
    assert accept(opened(), adt("a", number="5"), adt("b", number="3")) == [[["AA", "a"]], [["AA", "b"]]]


# --- a store that is away


@pytest.mark.parametrize(("lines", "asks", "answers"), [
    ("", "|", [("AR", "1")]), ("", "AL|NE", [("CE", "1")]), ("when_unavailable: close", "|", []),
])
def test_a_store_that_is_away_is_told_or_the_connection_closed(
        opened: Opened, lines: str, asks: str, answers: list[tuple[str, str]]) -> None:
    gateway = opened(lines)
    away = True

    def refuse(*_: object) -> None:
        if away:
            raise OperationalError("COMMIT", {}, Exception("disk"))

    event.listen(gateway.engine, "commit", refuse)
    handle = run_in_thread(MllpListener("127.0.0.1", 0, gateway.accept, refuse=gateway.refuse))
    try:
        sender = Sender(handle.port).write(encode(adt("1", asks=asks)))
        assert sender.answers(1) == answers
        if answers:
            assert b"|207^Application internal error^HL70357|E|" in sender.last
        else:
            assert sender.closed()
            sender = Sender(handle.port)
        away = False
        assert sender.write(encode(adt("1", asks="|"))).answers(1) == [("AA", "1")]
    finally:
        handle.stop()
    assert len(journalled(gateway)) == 1


def test_a_batch_that_cannot_be_stored_is_refused_message_by_message(opened: Opened) -> None:
    gateway = opened()
    answer = gateway.refuse(Arrived(batch(adt("1"), adt("2")), "test"), Issue(code="store-unavailable", place=""))
    assert answer is not None
    assert re.findall(rb"\rMSA\|(\w\w\|\d)", answer) == [b"AR|1", b"AR|2"]


# --- silence


def test_a_feed_that_is_silent_is_told_until_it_is_heard(opened: Opened, clock: Clock) -> None:
    gateway = opened("usual_interval: 4 h")
    client = create_app(gateway, lambda: None).test_client()

    def notes() -> list[str]:
        return [note["place"] for note in client.get("/readyz").json["notes"] if note["code"] == "feed-silent"]  # type: ignore[index]  # JSON

    assert (notes(), gateway.silence.news()) == ([], ([], []))
    clock.now += timedelta(hours=4, seconds=1)
    assert notes() == ["river"]
    assert [one.feed for one in gateway.silence.news()[0]] == ["river"]
    assert gateway.silence.news() == ([], [])
    assert b"a feed has sent nothing for longer than usual (river)" in client.get("/").data
    assert 'careloop_feed_silent{feed="river"} 1.0' in client.get("/metrics").text
    accept(gateway, adt("1", trigger="Z99"))
    assert notes() == []
    assert 'careloop_feed_silent{feed="river"} 0.0' in client.get("/metrics").text
    assert [one.feed for one in gateway.silence.news()[1]] == ["river"]
    clock.now += timedelta(hours=3)
    assert [one.feed for one in opened().silence.silent()] == []
    clock.now += timedelta(hours=2)
    assert [one.feed for one in opened().silence.silent()] == ["river"]


def test_nobody_counts_on_a_feed_without_an_interval(opened: Opened, clock: Clock) -> None:
    gateway = opened()
    clock.now += timedelta(days=400)
    assert gateway.silence.heard() == []


# --- feed.yaml


@pytest.mark.parametrize("line", [
    "acknowledge: soon", "when_unavailable: wait", "sequence: maybe", "usual_interval: often", "usual_interval: 0 h",
    "certificate: st-anne", "certificate: [DNS:a, b]",
])
def test_a_wrong_value_is_told_at_its_line(tmp_path: Path, line: str) -> None:
    mappings = with_feed(tmp_path, river=line)
    assert any(text.startswith(f"river/feed.yaml:2: {line.partition(':')[0]}") for text in lint(mappings))
    with pytest.raises(Defect):
        open_feeds(mappings)


def test_unavailable_takes_nothing(opened: Opened) -> None:
    gateway = opened()

    def full(*_: object) -> None:
        raise OperationalError("COMMIT", {}, Exception("disk"))

    event.listen(gateway.engine, "commit", full)
    with pytest.raises(Unavailable):
        gateway.accept([(adt(), "test")])
    event.remove(gateway.engine, "commit", full)
    assert journalled(gateway) == []
