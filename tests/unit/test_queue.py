"""What waits or stopped, in an operator's hands: held, released, tried again, dropped, sent again edited; each act is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from adapter import cli, logs
from adapter.gateway import Gateway
from adapter.intake.arrived import Arrived
from adapter.intake.decisions import Handling
from adapter.settings import Settings
from adapter.store.engine import reading, writing
from adapter.store.handling import ACTS, handled
from adapter.store.queries import MessageRow, messages
from adapter.store.schema import JOURNAL, OUTBOX, RESOURCE
from tests.unit.feeds_of import with_feed
from tests.unit.test_gateway import BESS, MEMBERS, adt

Run = Callable[..., Result]


@pytest.fixture(name="run")
def _run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in [name for name in os.environ if name.startswith("CARELOOP_") and name != "CARELOOP_SHARED"]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(logs, "configure", lambda: None)
    monkeypatch.setenv("CARELOOP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CARELOOP_KEY", "00" * 32)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(cli.main, ["queue", *map(str, arguments)], prog_name="careloop")
    return run


@pytest.fixture(name="gateway")
def _gateway(tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32, fhir_url="http://127.0.0.1:9/fhir"))
    yield gateway
    gateway.close()


def drain(gateway: Gateway) -> None:
    while gateway.work():
        pass


def states(gateway: Gateway) -> dict[str, str]:
    """States of what came in, by control id."""
    with reading(gateway.engine) as connection:
        return {r.control_id: r.state for r in connection.execute(select(JOURNAL).where(JOURNAL.c.kind != "operator"))}


def number(gateway: Gateway, control: str) -> int:
    with reading(gateway.engine) as connection:
        return connection.scalars(select(JOURNAL.c.id).where(JOURNAL.c.control_id == control)).one()


def phones(gateway: Gateway) -> str:
    with reading(gateway.engine) as connection:
        return " ".join(connection.scalars(select(RESOURCE.c.body).where(
            RESOURCE.c.resource_type == "Patient", RESOURCE.c.deleted == 0)))


def failing(gateway: Gateway, control: str, **more: str) -> int:
    """A message that failed; its number."""
    gateway.accept([(adt(control, **more), "t")])
    drain(gateway)
    with writing(gateway.engine) as connection:
        connection.execute(JOURNAL.update().where(JOURNAL.c.control_id == control).values(state="failed", attempts=3))
    return number(gateway, control)


def test_what_is_held_waits_until_it_is_released(gateway: Gateway, run: Run) -> None:
    gateway.accept([(adt("C1"), "t"), (adt("C2", number="800002"), "t")])
    one = number(gateway, "C1")
    assert run("hold", one, "--reason", "asked the hospital").output == "hold: 1\n"
    drain(gateway)
    assert states(gateway) == {"C1": "held", "C2": "done"}
    assert '"state":"held"' in run("--format", "json").output
    assert run("release", one).exit_code == 0
    drain(gateway)
    assert states(gateway) == {"C1": "done", "C2": "done"}


def test_what_failed_is_tried_again_once_its_cause_is_mended(gateway: Gateway, run: Run) -> None:
    one = failing(gateway, "C1")
    assert run("retry", one, "--reason", "mapping mended").exit_code == 0
    with reading(gateway.engine) as connection:
        assert connection.scalars(select(JOURNAL.c.attempts).where(JOURNAL.c.id == one)).one() == 0
    drain(gateway)
    assert states(gateway) == {"C1": "done"}


def test_what_was_refused_is_read_again(gateway: Gateway, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = adt("C1").replace(b"|P|2.5.1", b"|X|2.5.1")
    assert b"MSA|AR" in gateway.accept([(raw, "t")])[0]
    refused = run("retry", number(gateway, "C1"))
    assert refused.exit_code == 1
    assert "[processing-id]" in refused.stderr
    assert states(gateway) == {"C1": "refused"}
    monkeypatch.setattr("adapter.mapping.header._PROCESSING", frozenset(("P", "X")))
    assert run("retry", number(gateway, "C1")).exit_code == 0
    drain(gateway)
    assert states(gateway) == {"C1": "done"}
    assert b"MSA|AA" in gateway.accept([(raw, "t")])[0]


BY_SENDER = Arrived(adt("C1"), "mllp:h")
BY_CERTIFICATE = Arrived(adt("C1"), "mllps:h", frozenset({"lake"}))


@pytest.mark.parametrize(("arrived", "named", "before", "after"), [
    (BY_SENDER, None, "river", "east"), (BY_SENDER, "river", "river", "river"), (BY_CERTIFICATE, None, "lake", "lake")])
def test_a_feed_found_by_the_sender_is_found_anew_and_one_that_was_named_stays(
        tmp_path: Path, arrived: Arrived, named: str | None, before: str, after: str) -> None:
    mappings = with_feed(tmp_path, river="sender: {MSH-3: EXAMPLE}\nstrict: true", lake='certificate: "CN:lake"\nstrict: true')
    settings = Settings(data_dir=tmp_path / "data", key="00" * 32, mappings=mappings)
    with closing(Gateway(settings)) as gateway:
        assert b"MSA|AE" in gateway.accept([arrived], named)[0]
        assert [row.feed for row in of_journal(gateway)] == [before]
    (mappings / "east").mkdir()
    for name, lines in (("east", "sender: {MSH-3: EXAMPLE, MSH-4: EAST}"), ("river", "sender: {MSH-3: EXAMPLE}"),
                        ("lake", 'certificate: "CN:lake"')):
        (mappings / name / "feed.yaml").write_text(f"extends: common\n{lines}\n")
    with closing(Gateway(settings)) as gateway:
        assert gateway.queue.act("retry", [str(number(gateway, "C1"))], "ada", "mended") == 1
        drain(gateway)
        assert [(row.feed, row.stage) for row in of_journal(gateway)] == [(after, "delivered")]


def of_journal(gateway: Gateway) -> list[MessageRow]:
    with reading(gateway.engine) as connection:
        return [row for row in messages(connection) if row.kind == "hl7v2"]


def test_a_test_message_that_was_refused_is_not_composed_when_it_is_tried_again_or_edited(
        gateway: Gateway, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = adt("C1", phone="5550163").replace(b"|P|2.5.1", b"|T|2.5.1")
    edited = tmp_path / "edited.hl7"
    edited.write_bytes(test.replace(b"|C1|", b"|C2|"))
    with monkeypatch.context() as other:
        other.setattr("adapter.mapping.header._PROCESSING", frozenset("P"))
        for control in (b"C1", b"C3"):
            assert b"MSA|AR" in gateway.accept([(test.replace(b"|C1|", b"|%s|" % control), "t")])[0]
    assert run("retry", number(gateway, "C1")).output == "retry: 1\n"
    assert run("resubmit", number(gateway, "C3"), edited, "--reason", "typing error").exit_code == 0
    drain(gateway)
    assert states(gateway) == {"C1": "test", "C2": "test", "C3": "replaced"}
    assert "5550163" not in phones(gateway)
    assert run("retry", number(gateway, "C1")).exit_code == 1


def test_what_is_dropped_stays_in_the_journal_with_the_reason(gateway: Gateway, run: Run) -> None:
    one = failing(gateway, "C1")
    assert run("drop", one).exit_code == 2  # a reason must be given
    assert run("drop", one, "--reason", "test patient", "--by", "ada").exit_code == 0
    assert states(gateway) == {"C1": "dropped"}
    shown = run("show", one).output
    assert "state: dropped" in shown
    assert "drop by ada: test patient" in shown
    assert b"MSA|AA" in gateway.accept([(adt("C1"), "t")])[0]  # a resend does not undo it
    drain(gateway)
    assert states(gateway) == {"C1": "dropped"}


def test_what_was_dropped_by_mistake_is_tried_again(gateway: Gateway, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("log").output == "nothing was done to the queue\n"
    gateway.accept([(adt("C1"), "t"), (adt("C2", phone="5550162").replace(b"|P|", b"|X|"), "t")])
    both = [number(gateway, "C1"), number(gateway, "C2")]
    assert run("drop", *both, "--reason", "test patients").exit_code == 0
    assert "C2" not in run("list").output
    monkeypatch.setattr("adapter.mapping.header._PROCESSING", frozenset(("P", "X")))
    assert run("retry", *both, "--reason", "they are real").exit_code == 0
    drain(gateway)
    assert states(gateway) == {"C1": "done", "C2": "done"}


def test_all_of_one_code_are_tried_again_but_for_those_that_are_refused_still(
        gateway: Gateway, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for control, processing in (("C1", b"X"), ("C2", b"Z"), ("C3", b"X")):
        gateway.accept([(adt(control).replace(b"|P|", b"|%s|" % processing), "t")])
    monkeypatch.setattr("adapter.mapping.header._PROCESSING", frozenset(("P", "X")))
    named = run("retry", number(gateway, "C1"), number(gateway, "C2"))
    assert (named.exit_code, f"({number(gateway, 'C2')}, MSH-11)" in named.stderr) == (1, True)  # which one is told
    assert set(states(gateway).values()) == {"refused"}
    done = run("retry", "--code", "processing-id")
    assert (done.exit_code, done.output) == (0, "retry: 2, 1 left: refused still\n")
    drain(gateway)
    assert states(gateway) == {"C1": "done", "C2": "refused", "C3": "done"}
    assert f"{number(gateway, 'C2')}" not in run("log").output.splitlines()[0].split()[3:]
    assert run("retry", "--code", "processing-id").output == "retry: 0, 1 left: refused still\n"
    assert len(run("log").output.splitlines()) == 1


def test_an_edited_message_goes_in_and_the_original_stays(gateway: Gateway, run: Run, tmp_path: Path) -> None:
    one = failing(gateway, "C1", phone="5550161")
    original = adt("C1", phone="5550161")
    assert run("show", one, "--raw").stdout_bytes == original
    file = tmp_path / "edited.hl7"
    file.write_bytes(original)
    assert "journalled before" in run("resubmit", one, file, "--reason", "x").stderr
    file.write_bytes(original.replace(b"PID|", b"PIX|"))
    assert run("resubmit", one, file, "--reason", "x").exit_code == 1  # refused as on arrival, and nothing has changed
    assert states(gateway) == {"C1": "failed"}
    file.write_bytes(adt("C1", phone="5550199"))
    told = run("resubmit", one, file, "--reason", "telephone corrected", "--by", "ada").output
    drain(gateway)
    with reading(gateway.engine) as connection:
        rows = {r.id: r for r in connection.execute(select(JOURNAL).where(JOURNAL.c.kind == "hl7v2"))}
        act = handled(connection, 9)[0]
    assert told == f"{one} is replaced by {act.became}\n"
    assert (rows[one].raw, rows[one].state) == (original, "replaced")
    assert (rows[act.became].raw, rows[act.became].state) == (adt("C1", phone="5550199"), "done")
    assert rows[act.became].origin == f"resubmitted {one}"
    assert "0199" in phones(gateway)
    assert (act.act, act.by, act.reason, act.subjects) == ("resubmit", "ada", "telephone corrected", {str(one): "failed"})
    for shown in (one, act.became):
        assert f"resubmit as {act.became} by ada: telephone corrected" in run("show", shown).output


def test_an_edited_row_goes_in_with_its_file(gateway: Gateway, run: Run, tmp_path: Path) -> None:
    gateway.load("members", (MEMBERS + BESS.replace("1961-05-14", "1961-15-44") + BESS.replace("M1", "M2")).encode(), "m.csv")
    drain(gateway)
    with reading(gateway.engine) as connection:
        [bad] = connection.scalars(select(JOURNAL.c.id).where(JOURNAL.c.state == "refused"))
    file = tmp_path / "row.csv"
    file.write_text(BESS.replace("1961-05-14", "yesterday"))
    assert run("resubmit", bad, file, "--reason", "x").exit_code == 1
    file.write_text(BESS)
    assert run("resubmit", bad, file, "--reason", "date corrected").exit_code == 0
    drain(gateway)
    with reading(gateway.engine) as connection:
        assert sorted(connection.scalars(select(JOURNAL.c.state).where(JOURNAL.c.kind == "csv"))) == ["done", "done", "replaced"]
        assert len(list(connection.execute(select(RESOURCE).where(RESOURCE.c.resource_type == "Patient")))) == 2


def out(gateway: Gateway) -> dict[str, str]:
    with reading(gateway.engine) as connection:
        return {f"{r.resource_type}/{r.id}": r.state for r in connection.execute(select(OUTBOX))}


def test_a_dead_resource_is_tried_again_held_and_dropped(gateway: Gateway, run: Run) -> None:
    gateway.accept([(adt("C1"), "t")])
    drain(gateway)
    [name] = [name for name in out(gateway) if name.startswith("Patient/")]
    with writing(gateway.engine) as connection:
        connection.execute(OUTBOX.update().values(state="dead", attempts=4, error="server-refused"))
    assert "dead" in run("show", name).output
    assert run("retry", "--code", "server-refused", "--reason", "profile loaded there").exit_code == 0
    assert set(out(gateway).values()) == {"waiting"}
    assert run("hold", name).exit_code == 0
    gateway.accept([(adt("C2", "A31", clock="0910", phone="5550177"), "t")])
    drain(gateway)
    assert out(gateway)[name] == "held"  # a newer version is held too
    assert run("release", name).exit_code == 0
    assert out(gateway)[name] == "waiting"
    assert run("drop", name, "--reason", "not for them").exit_code == 0
    assert name not in out(gateway)
    gateway.accept([(adt("C3", "A31", clock="1010", phone="5550178"), "t")])
    drain(gateway)
    assert out(gateway)[name] == "waiting"


def test_what_cannot_be_done_is_told_and_nothing_is_done(gateway: Gateway, run: Run) -> None:
    one = failing(gateway, "C1")
    gateway.accept([(adt("C2"), "t")])
    drain(gateway)
    assert "[unknown-entry]" in run("hold", one, 99).stderr
    assert "[unknown-entry]" in run("show", "Patient/none").stderr
    assert "[entry-state]" in run("hold", one, number(gateway, "C2")).stderr
    assert "[entry-state]" in run("release", one).stderr
    assert run("hold").exit_code == 2
    assert states(gateway) == {"C1": "failed", "C2": "done"}
    assert run("log").output == "nothing was done to the queue\n"


def test_every_act_is_kept_and_listed(gateway: Gateway, run: Run) -> None:
    one = failing(gateway, "C1")
    for act in ("hold", "release", "hold", "drop"):
        assert run(act, one, "--reason", f"why {act}", "--by", "ada").exit_code == 0
    lines = run("log").output.splitlines()
    assert [line.split("  ")[1:] for line in lines] == [
        [f"{act} by ada: why {act}", str(one)] for act in ("drop", "hold", "release", "hold")]
    assert set(ACTS) == set(get_args(get_type_hints(Handling)["does"]))
