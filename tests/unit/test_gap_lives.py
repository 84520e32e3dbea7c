"""The life of a gap, from rows of partners and other clients' updates to its Task and its history."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, select

from adapter.cli import main
from adapter.engine import gap_keeping
from adapter.fhirserver.port import Write
from adapter.gaps.engine import evaluate
from adapter.gaps.life import Life
from adapter.gaps.rules import State, open_rules
from adapter.gaps.task import task_of
from adapter.gateway import Gateway
from adapter.model import Json
from adapter.pipeline import microseconds
from adapter.settings import Settings
from adapter.store import gap_lives
from adapter.store.engine import reading, writing
from adapter.store.schema_gaps import GAP_STALE
from adapter.web.worker import Worker
from tests.acceptance.served import until

MEMBER = (b"member_id,first_name,last_name,birth_date,program,enrollment_status,enrollment_date,attributed_org,"
          b"attributed_org_name,updated_at\n"
          b"M1,Viola,Wrenmere,1958-04-09,care-coordination,enrolled,2026-01-12,ORG-MAPLE,Maple,2026-03-01T06:00:00-05:00\n")
SEAT = (b"member_id,program,organization_id,organization_name,npi,first_name,last_name,role,start_date,end_date,updated_at\n"
        b"M1,care-coordination,ORG-MAPLE,Maple,2000001018,Odile,Marlwick,lead-coordinator,2026-01-12,%s,%s\n")


@pytest.fixture(name="clock")
def _clock() -> list[datetime]:
    return [datetime(2026, 3, 20, 12, tzinfo=UTC)]


@pytest.fixture(name="gateway")
def _gateway(tmp_path: Path, clock: list[datetime]) -> Iterator[Gateway]:
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32), lambda: clock[0])
    yield gateway
    gateway.close()


def load(gateway: Gateway, feed: str, rows: bytes) -> None:
    gateway.load(feed, rows)
    settle(gateway)


def settle(gateway: Gateway) -> None:
    while gateway.work(500):
        pass
    while gateway.gaps.keep() or gateway.gaps.catch_up():
        pass


def lead(gateway: Gateway) -> dict[str, Any]:
    """The Task of G01, with its version."""
    return next(t for t in gateway.embedded.search("Task", [("code", "urn:x-careloop:rule|G01")]).resources)


def happened(gateway: Gateway, rule: str = "G01") -> list[tuple[str, str]]:
    with reading(gateway.engine) as connection:
        return [(e.what, e.actor) for e in gap_lives.events(connection) if e.rule == rule]


def update(gateway: Gateway, **changes: Any) -> dict[str, Any]:
    """Another client's update of the Task of G01; the Task as it stands then."""
    task = lead(gateway)
    changed = {name: value for name, value in {**task, **changes}.items() if value is not None}
    gateway.embedded.transaction([Write(resource_type="Task", id=task["id"], body=changed)])
    return lead(gateway)


def test_a_gap_opens_is_closed_by_evidence_and_opens_again(gateway: Gateway, clock: list[datetime]) -> None:
    load(gateway, "members", MEMBER)
    task = lead(gateway)
    assert (task["status"], task["intent"], task["priority"]) == ("requested", "order", "urgent")
    assert task["for"]["reference"].startswith("Patient/")
    assert [one["valueReference"]["reference"].partition("/")[0] for one in task["input"]] == ["EpisodeOfCare"]
    assert "output" not in task
    assert gateway.embedded.read("Organization", task["owner"]["reference"].removeprefix("Organization/"))
    clock[0] += timedelta(hours=1)
    load(gateway, "care_team", SEAT % (b"", b"2026-03-01T07:00:00-05:00"))
    closed = lead(gateway)
    assert (closed["id"], closed["status"], closed["authoredOn"]) == (task["id"], "completed", task["authoredOn"])
    assert [one["valueReference"]["reference"].partition("/")[0] for one in closed["output"]] == ["CareTeam", "EpisodeOfCare"]
    assert "input" not in closed
    clock[0] += timedelta(hours=1)
    load(gateway, "care_team", SEAT % (b"2026-03-10", b"2026-03-11T07:00:00-05:00"))
    assert lead(gateway)["status"] == "requested"
    assert happened(gateway) == [("opened", "careloop"), ("closed", "careloop"), ("reopened", "careloop")]


def test_what_is_looked_at_is_noted_with_the_write_and_survives_a_stop(gateway: Gateway, tmp_path: Path) -> None:
    gateway.load("members", MEMBER)
    while gateway.work(500):
        pass
    gateway.close()
    again = Gateway(Settings(data_dir=tmp_path, key="00" * 32), gateway.clock)
    assert happened(again) == []
    assert again.gaps.keep() > 0
    assert happened(again) == [("opened", "careloop")]
    assert again.gaps.keep() == 0
    with reading(again.engine) as connection:
        assert connection.execute(select(GAP_STALE)).all() == []
    again.close()


def somebody(gateway: Gateway) -> None:
    gateway.embedded.transaction([Write(resource_type="Practitioner", id="p1", body={"resourceType": "Practitioner", "id": "p1",
                                                                                     "name": [{"family": "Elmvale"}]})])


def test_a_clients_word_moves_the_life_but_never_closes_the_gap(gateway: Gateway) -> None:
    load(gateway, "members", MEMBER)
    someone = {"reference": "Practitioner/p1"}
    somebody(gateway)
    taken = update(gateway, status="accepted", owner=someone)
    assert (taken["status"], taken["owner"]) == ("accepted", someone)
    off = update(gateway, status="on-hold", statusReason={"text": "on holiday"}, executionPeriod={"start": "2026-03-25"})
    assert (off["status"], off["statusReason"], off["executionPeriod"]["start"][:10]) == (
        "on-hold", {"text": "on holiday"}, "2026-03-25")
    on = update(gateway, status="in-progress")
    assert (on["status"], "statusReason" in on, "executionPeriod" in on) == ("accepted", False, False)
    done = update(gateway, status="completed", note=[{"text": "all done"}])
    assert (done["status"], done["businessStatus"]["coding"][0]["code"]) == ("accepted", "open")
    assert done["note"] == [{"text": "all done"}]
    declined = update(gateway, status="rejected", statusReason={"text": "not ours"})
    assert (declined["status"], declined["owner"]["reference"].partition("/")[0]) == ("requested", "Organization")
    gateway.embedded.transaction([Write(resource_type="Task", id=done["id"], body=None)])
    assert lead(gateway)["status"] == "requested"
    assert [what for what, by in happened(gateway) if by == "server:embedded"] == [
        "assigned", "snoozed", "woken", "claimed", "assigned"]


def test_what_is_put_off_wakes_by_itself(gateway: Gateway, clock: list[datetime]) -> None:
    load(gateway, "members", MEMBER)
    update(gateway, status="on-hold", executionPeriod={"start": "2026-03-25T12:00:00Z"})
    clock[0] += timedelta(days=5, seconds=-1)
    settle(gateway)
    assert lead(gateway)["status"] == "on-hold"
    clock[0] += timedelta(seconds=1)
    settle(gateway)
    assert lead(gateway)["status"] == "requested"


REFERRAL = (b"referral_id,member_id,from_org,from_org_name,to_org,to_org_name,service,requested_at,status,updated_at\n"
            b"R1,M1,ORG-MAPLE,Maple,ORG-NORTH,North,housing,2026-03-20T11:00:00Z,requested,2026-03-20T11:00:00Z\n")


def test_time_alone_turns_a_gap_that_falls_due(gateway: Gateway, clock: list[datetime]) -> None:
    load(gateway, "members", MEMBER)
    load(gateway, "referrals", REFERRAL)
    assert happened(gateway, "G07") == [("due", "careloop")]
    task = next(t for t in gateway.embedded.search("Task", [("code", "urn:x-careloop:rule|G07")]).resources)
    assert task["restriction"] == {"period": {"end": "2026-03-21T11:00:00+00:00"}}
    assert gateway.embedded.read(*task["focus"]["reference"].split("/"))
    clock[0] = datetime(2026, 3, 21, 11, tzinfo=UTC)
    settle(gateway)
    assert [what for what, _ in happened(gateway, "G07")] == ["due"]
    clock[0] += timedelta(seconds=1)
    settle(gateway)
    assert [what for what, _ in happened(gateway, "G07")] == ["due", "missed"]


def test_a_sweep_finds_what_nobody_wrote_about(gateway: Gateway) -> None:
    load(gateway, "members", MEMBER)
    before = happened(gateway)
    assert gateway.gaps.sweep() == 0
    with writing(gateway.engine) as connection:
        connection.exec_driver_sql("DELETE FROM gap")
    assert gateway.gaps.sweep() > 0
    assert happened(gateway) == [*before, *before]


MANY_MEMBERS = MEMBER + b"".join(MEMBER.splitlines()[1].replace(b"M1,", b"M%d," % n) + b"\n" for n in range(2, 6))


def test_a_sweep_that_is_cut_off_has_done_what_it_did(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.engine.gap_keeping.PART", 1)
    load(gateway, "members", MANY_MEMBERS)
    before = happened(gateway)
    with writing(gateway.engine) as connection:
        connection.exec_driver_sql("DELETE FROM gap")
        connection.exec_driver_sql("DELETE FROM gap_event")
    real, calls = gap_keeping.follow_some, list[int]()

    def cut_off(*args: Any, **names: Any) -> int:
        calls.append(1)
        if len(calls) == 3:
            raise ZeroDivisionError
        return real(*args, **names)

    monkeypatch.setattr("adapter.engine.gap_keeping.follow_some", cut_off)
    with pytest.raises(ZeroDivisionError):
        gateway.gaps.sweep()
    assert happened(gateway) == before[:2]
    gateway.gaps.sweep()
    assert happened(gateway) == before


def test_a_sweep_ends_with_its_process_and_the_next_does_the_rest(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.engine.gap_keeping.PART", 1)
    monkeypatch.setattr("adapter.engine.gap_keeping.MANY", 3)
    gateway.load("members", MANY_MEMBERS)
    gateway.work(500)
    asked = iter([True, True, True])
    assert gateway.gaps.catch_up(lambda: next(asked, False)) > 1
    assert len(happened(gateway)) == 2
    with reading(gateway.engine) as connection:
        assert len(gap_lives.stale(connection, 10)) >= 5
    settle(gateway)
    assert len(happened(gateway)) == 5


def test_others_write_while_a_sweep_looks_and_stay_noted(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.engine.gap_keeping.MANY", 3)
    gateway.load("members", MANY_MEMBERS)
    gateway.work(500)
    real, wrote = gap_keeping.moving, list[int]()

    def look(*args: Any) -> Any:
        if not wrote:
            wrote.append(1)
            gateway.load("members", MEMBER.replace(b"M1,", b"M9,"))
            assert gateway.work(500) == 1
        return real(*args)

    monkeypatch.setattr("adapter.engine.gap_keeping.moving", look)
    assert gateway.gaps.keep() == 0
    assert gateway.gaps.catch_up() > 1
    with reading(gateway.engine) as connection:
        noted = gap_lives.stale(connection, 10)
    assert "urn:x-careloop:member|M9" in noted
    assert "urn:x-careloop:member|M1" not in noted
    settle(gateway)
    assert len(happened(gateway)) == 6


def test_a_gap_that_applies_no_more_ends(gateway: Gateway, clock: list[datetime]) -> None:
    load(gateway, "members", MEMBER)
    clock[0] += timedelta(hours=1)
    load(gateway, "members", MEMBER.replace(b"care-coordination,enrolled", b"care-coordination,eligible")
         .replace(b"2026-03-01T06:00", b"2026-03-02T06:00"))
    assert lead(gateway)["status"] == "cancelled"
    assert happened(gateway) == [("opened", "careloop"), ("ended", "careloop")]


def test_an_operator_assigns_puts_off_and_sees_what_happened(gateway: Gateway, tmp_path: Path,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    load(gateway, "members", MEMBER)
    task = f"Task/{lead(gateway)['id']}"
    monkeypatch.setenv("CARELOOP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CARELOOP_KEY", "00" * 32)

    def run(*words: str) -> str:
        result = CliRunner().invoke(main, ["gap", *words])
        return result.output if result.exit_code == 0 else f"exit {result.exit_code}: {result.output}{result.exception}"

    assert task in run("list", "--rule", "g01")
    assert run("list", "--rule", "g01") == run("list", "--rule", "G01")
    assert run("list", "--rule", "G01").endswith("\n1 gap\n")
    assert "unknown-rule" in run("list", "--rule", "G99")
    assert "exit 2" in run("assign", task, "--to", "Practitioner/p1")
    assert "exit 2" in run("assign", task, "--to", "Ann Smith")
    assert "exit 2" in run("snooze", task, "--until", "2020-01-01", "--reason", "over")
    somebody(gateway)
    assert run("assign", task, "--to", "Practitioner/p1", "--by", "ann") == "done\n"
    assert run("assign", task, "--to", "Practitioner/p1", "--by", "ann") == "nothing to change\n"
    assert run("snooze", task, "--until", "2099-01-01", "--reason", "moved house", "--by", "ann") == "done\n"
    told = run("show", task)
    assert "assigned by ann: Practitioner/p1" in told
    assert "snoozed by ann: moved house" in told
    assert "assigned to Practitioner/p1\n" in told
    assert "put off until 2099-01-02 04:59:59Z, moved house\n" in told  # the end of that day in the network's zone
    assert run("wake", task, "--by", "ann") == "done\n"
    assert "unknown-gap" in run("show", "Task/none")
    assert lead(gateway)["status"] == "accepted"


def test_the_worklist_says_who_took_a_gap_on_and_until_when_it_is_put_off(gateway: Gateway, tmp_path: Path,
                                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    load(gateway, "members", MEMBER)
    task = f"Task/{lead(gateway)['id']}"
    monkeypatch.setenv("CARELOOP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CARELOOP_KEY", "00" * 32)

    def run(*words: str) -> str:
        result = CliRunner().invoke(main, list(words))
        assert result.exit_code == 0, result.output
        return result.stdout

    def shown(form: str, at: str = "2026-03-20T12:00:00Z", *words: str) -> list[Json]:
        told = orjson.loads(run("report", "worklist", "--as-of", at, "--format", form, *words))
        return [one for one in told if one["rule"] == "G01"] if form == "json" else [
            one["resource"] for one in told["entry"] if one["resource"]["code"]["coding"][0]["code"] == "G01"]

    columns = ("coordinator", "assigned", "snoozed", "snooze_reason")
    somebody(gateway)
    (before,) = shown("json")
    assert [before[name] for name in columns] == [None] * 4
    nobody_s = ("json", "2026-03-20T12:00:00Z", "--coordinator", "Practitioner/p1")
    assert shown(*nobody_s) == []
    run("gap", "assign", task, "--to", "Practitioner/p1", "--by", "ann")
    (taken,) = shown("fhir")
    assert taken["input"] == lead(gateway)["input"], "one name for what the rule found"
    assert (taken["status"], taken["owner"], "statusReason" in taken) == ("accepted", {"reference": "Practitioner/p1"}, False)
    update(gateway, status="on-hold", statusReason={"text": "moved house"}, executionPeriod={"start": "2026-03-25T12:00:00Z"})
    for engine in ("store", "duckdb"):
        (after,) = shown("json", "2026-03-20T12:00:00Z", "--engine", engine)
        assert [after[name] for name in columns] == ["Elmvale", "Practitioner/p1", "2026-03-25T12:00:00Z", "moved house"]
        assert shown(*nobody_s, "--engine", engine) == [after]
        assert {**after, **dict.fromkeys(columns)} == before
    (off,) = shown("fhir")
    assert (off["status"], off["statusReason"]) == ("on-hold", {"text": "moved house"})
    (awake,) = shown("json", "2026-03-25T12:00:00Z")
    assert [awake[name] for name in columns] == ["Elmvale", "Practitioner/p1", None, None]


@pytest.mark.parametrize(("item", "focus"), [
    ("ServiceRequest/1#loop", {"reference": "ServiceRequest/1"}), ("ServiceRequest/1", {"reference": "ServiceRequest/1"}),
    ("Organization/1#on-call", {"reference": "Organization/1"}), ("a>b#Task/1", None), ("", None)])
def test_the_focus_of_a_gaps_task_names_a_resource(item: str, focus: Json | None) -> None:
    rule = open_rules().named("G18")
    life = Life(subject="Patient/1", rule="G18", item=item, state="open", verdict="", since=0)
    task = task_of(life, rule, "urn:x-careloop:member|M1", 0, 1)
    assert task.body["focus"] == focus
    assert task.key.endswith(f"|{item}")


@pytest.mark.parametrize(("state", "after", "turns"), [
    ("open", timedelta(hours=1), False), ("prospective", timedelta(milliseconds=900), False),
    ("prospective", timedelta(seconds=1), True)])
def test_a_day_due_turns_what_was_still_to_come(gateway: Gateway, clock: list[datetime], state: State, after: timedelta,
                                                turns: bool) -> None:
    """What is open stays so: looked at for its day alone, it would be looked at without end, and others never. The second
    that is due is within the day."""
    load(gateway, "members", MEMBER)
    due = clock[0] + timedelta(hours=1)
    with writing(gateway.engine) as connection:
        [found] = [one for one in gap_lives.of_rule(connection, "G01") if one.state == "open"]
        gap_lives.save(connection, [replace(found, state=state, due=microseconds(due))])
        assert gap_lives.turning(connection, microseconds(due + after), 50) == ([found.subject] if turns else [])


def test_a_sweep_that_others_overtook_leaves_them_alone(gateway: Gateway, clock: list[datetime],
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    """It reckons without holding the store: a gap that was closed meanwhile neither opens again nor is told to have."""
    load(gateway, "members", MEMBER)
    clock[0] += timedelta(hours=1)
    load(gateway, "care_team", SEAT % (b"2026-03-10", b"2026-03-11T07:00:00-05:00"))
    with writing(gateway.engine) as connection:
        connection.exec_driver_sql("DELETE FROM gap")  # so that the sweep has something to do
    real = gap_keeping.moving

    def overtaken(connection: Connection, rule: str, now_us: int) -> Any:
        found = real(connection, rule, now_us)
        if rule == "G01":
            clock[0] += timedelta(hours=1)
            load(gateway, "care_team", SEAT % (b"", b"2026-03-12T07:00:00-05:00"))
            assert found
        return found

    monkeypatch.setattr("adapter.engine.gap_keeping.moving", overtaken)
    before = happened(gateway)
    gateway.gaps.sweep()
    settle(gateway)
    assert happened(gateway) == before


def test_what_turned_while_a_sweep_reckoned_does_not_turn_back(gateway: Gateway, clock: list[datetime],
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    load(gateway, "members", MEMBER)
    with reading(gateway.engine) as connection:
        [found] = [one for one in gap_lives.of_rule(connection, "G01") if one.state == "open"]
    with writing(gateway.engine) as connection:
        gap_lives.save(connection, [replace(found, state="prospective", due=microseconds(clock[0]) + 1_000_000)])
    real = gap_keeping.moving

    def overtaken(connection: Connection, rule: str, now_us: int) -> Any:
        moved = real(connection, rule, now_us)
        if rule == "G01":
            clock[0] += timedelta(minutes=1)
            assert gateway.gaps.keep() == 1
            assert moved
        return moved

    monkeypatch.setattr("adapter.engine.gap_keeping.moving", overtaken)
    gateway.gaps.sweep()
    assert [what for what, _ in happened(gateway)] == ["opened", "opened"]


def test_a_load_of_some_of_many_is_looked_at_one_by_one(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    load(gateway, "members", MANY_MEMBERS + b"".join(
        MEMBER.splitlines()[1].replace(b"M1,", b"M%d," % n) + b"\n" for n in range(20, 40)))
    monkeypatch.setattr("adapter.engine.gap_keeping.MANY", 3)
    gateway.load("members", MANY_MEMBERS.replace(b"Wrenmere", b"Wrenmoor").replace(b"2026-03-01T06", b"2026-03-02T06"))
    while gateway.work(500):
        pass
    assert gateway.gaps.catch_up() == 0
    assert gateway.gaps.keep() == 5


def test_the_task_that_a_gap_stands_as_is_no_fact_that_answers_are_made_of(gateway: Gateway, clock: list[datetime]) -> None:
    """Its focus is the referral: it was taken for the referral's own Task, and so for its acceptance and its end."""
    load(gateway, "members", MEMBER)
    gateway.load("referrals", REFERRAL)
    while gateway.work(500):
        pass

    def answers() -> list[tuple[str, str, str, str, str]]:
        with reading(gateway.engine) as connection:
            return [(g.rule, g.item, g.verdict, g.state, g.evidence) for g in evaluate(connection, now=clock[0])]

    before = answers()
    settle(gateway)
    mine = [t for t in gateway.embedded.search("Task", []).resources if t.get("focus", {}).get("reference", "").startswith(
        "ServiceRequest/") and t["identifier"][0]["system"] == "urn:x-careloop:gap"]
    assert mine, "gaps of the referral stand as Tasks"
    assert answers() == before
    for task in mine:
        gateway.embedded.transaction([Write(resource_type="Task", id=task["id"], body={**task, "status": "accepted"})])
    assert answers() == before


def test_a_gap_has_one_name_and_no_answer_is_not_taken_for_a_good_one(gateway: Gateway, tmp_path: Path,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    load(gateway, "members", MEMBER)
    monkeypatch.setenv("CARELOOP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CARELOOP_KEY", "00" * 32)
    told = CliRunner().invoke(main, ["gaps", "--member", "M1", "--rule", "G01", "--as-of", "2026-03-20", "--format", "fhir"])
    [issue] = [entry["resource"] for entry in orjson.loads(told.stdout)["entry"]]
    assert issue["identifier"] == lead(gateway)["identifier"], "whoever asks for gaps finds the Task of each"
    before = CliRunner().invoke(main, ["gaps", "--all", "--as-of", "2026-03-20", "--known-at", "2026-01-01"])
    assert (before.exit_code, "nothing was known" in before.stderr) == (0, True)


def test_messages_are_composed_while_a_sweep_reckons(gateway: Gateway, clock: list[datetime],
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a state's members a sweep takes minutes."""
    load(gateway, "members", MEMBER)
    reckons, go_on, real = threading.Event(), threading.Event(), gap_keeping.moving

    def slow(connection: Connection, rule: str, now_us: int) -> Any:
        reckons.set()
        assert go_on.wait(60)
        return real(connection, rule, now_us)

    monkeypatch.setattr("adapter.engine.gap_keeping.moving", slow)
    worker = Worker(gateway)
    worker.start()
    try:
        assert reckons.wait(60)
        clock[0] += timedelta(hours=1)
        gateway.load("care_team", SEAT % (b"", b"2026-03-01T07:00:00-05:00"))
        worker.wake()
        until(lambda: lead(gateway)["status"] == "completed" or None, 60)
    finally:
        go_on.set()
        worker.stop()
