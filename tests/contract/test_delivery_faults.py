"""A FHIR server that fails in every way there is: nothing lost, nothing doubled, others' patients flow, and it catches up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner
from sqlalchemy import select

from adapter import cli, logs
from adapter.fhirserver import http
from adapter.fhirserver.port import Version
from adapter.fhirserver.upstream import UpstreamServer
from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.store.engine import reading
from adapter.store.schema import JOURNAL, OUTBOX, RESOURCE
from adapter.store.schema_gaps import NOTICE
from tests.contract.test_lanes import adt
from tests.faulty import FhirStandIn, Json, fhir_stand_in

Key = tuple[str, str]


class Pushing:
    """A gateway and the server it pushes to; minutes of back-off go by in no time."""

    def __init__(self, folder: Path, server: FhirStandIn) -> None:
        self.server = server
        self.ahead = timedelta()
        self.gateway = Gateway(Settings(data_dir=folder, key="00" * 32, fhir_url=server.url), self.now)  # pyright: ignore[reportCallIssue]  # the settings fill the rest
        server.clock = self.now

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def send(self, *messages: bytes) -> None:
        assert all(b"MSA|AA" in ack for ack in self.gateway.accept([(one, "t") for one in messages]))
        while self.gateway.work():
            pass

    def settle(self, steps: int = 40) -> None:
        """Work, push, read back and look again until nothing waits."""
        for _ in range(steps):
            delivery = self.gateway.delivery
            done = self.gateway.work() + delivery.push()
            if not self.server.faults:
                done += delivery.read_back() + delivery.look_again()
            if not done and not self.queue():
                return
            self.ahead += timedelta(minutes=7)
        raise AssertionError(f"it does not settle: {self.queue()}")

    def queue(self) -> dict[str, str]:
        with reading(self.gateway.engine) as connection:
            assert not list(connection.execute(select(JOURNAL.c.id).where(JOURNAL.c.state == "waiting")))
            return {f"{r.resource_type}/{r.id}": f"{r.state} {r.error}".strip() for r in connection.execute(select(OUTBOX))}

    def here(self) -> dict[Key, Json]:
        with reading(self.gateway.engine) as connection:
            rows = connection.execute(select(RESOURCE).where(RESOURCE.c.deleted == 0)).all()
        return {(r.resource_type, r.id): {n: v for n, v in orjson.loads(r.body).items() if n != "meta"} for r in rows}

    def alike(self) -> None:
        """Here and there stand the same resources."""
        assert self.server.current() == self.here()

    def patient(self, number: int) -> Key:
        return next(key for key, body in self.here().items() if key[0] == "Patient" and str(800000 + number) in str(body))


@pytest.fixture(name="pushing", params=["numbers", "names"])
def _pushing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pushing]:
    """Of servers whose version ids are numbers, and of those whose are names."""
    with fhir_stand_in(FhirStandIn(named=request.param == "names")) as server:
        pushing = Pushing(tmp_path, server)
        yield pushing
        pushing.gateway.close()


@pytest.mark.parametrize("fault", ["401", "page 403", "page 404", "500", "502", "503", "429", "reset", "lost", "slow"])
def test_a_fault_that_passes_loses_and_doubles_nothing(pushing: Pushing, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TIMEOUT", (1.0, 0.3))
    pushing.server.wait = 0.6
    pushing.send(adt(1), adt(2))
    pushing.server.faults = [fault, fault, "", fault]
    pushing.settle()
    pushing.alike()
    pushing.server.faults = [fault, fault]
    pushing.send(adt(1, "A31", minute=10), adt(3))
    pushing.settle()
    pushing.alike()
    assert pushing.server.tried.count(fault) >= 4
    doubled = {key: len(versions) for key, versions in pushing.server.standing.items() if len(versions) > 2}
    assert doubled == {}


def test_a_deletion_whose_answer_was_lost_is_no_other_client_s(pushing: Pushing) -> None:
    pushing.send(adt(1))
    pushing.settle()
    pushing.send(adt(1, "A29", minute=10))
    pushing.server.faults = ["lost"]
    pushing.gateway.delivery.push()
    assert any(versions[-1][1] is None for versions in pushing.server.standing.values())
    pushing.ahead += timedelta(minutes=7)
    pushing.gateway.delivery.read_back()
    pushing.settle()
    pushing.alike()
    with reading(pushing.gateway.engine) as connection:
        assert not connection.execute(select(JOURNAL.c.id).where(JOURNAL.c.kind == "fhir")).all()


def test_nothing_is_sent_before_the_server_said(pushing: Pushing) -> None:
    pushing.send(adt(1))
    pushing.server.faults, pushing.server.retry_after = ["429"], "1200"
    assert pushing.gateway.delivery.push() == 0
    pushing.ahead += timedelta(minutes=19)
    assert pushing.gateway.delivery.push() == 0
    assert pushing.server.tried == ["429"]
    pushing.ahead += timedelta(minutes=2)
    assert pushing.gateway.delivery.push() > 0
    pushing.settle()
    pushing.alike()


@pytest.mark.parametrize("status", [400, 422, 500])
def test_one_resource_that_it_does_not_take_holds_up_nobody_else(pushing: Pushing, status: int) -> None:
    pushing.server.refuse = lambda body: status if "800002" in str(body) and body["resourceType"] == "Patient" else 0
    pushing.send(*(adt(n) for n in range(1, 7)))
    for _ in range(12):
        pushing.gateway.delivery.push()
        pushing.ahead += timedelta(minutes=7)
    culprit = "/".join(pushing.patient(2))
    assert pushing.queue()[culprit].startswith("waiting" if status == 500 else "dead")
    assert f"HTTP {status}" in pushing.queue()[culprit]  # an operator is told why
    there = {key for key in pushing.server.current() if key[0] == "Patient"}
    assert there == {key for key in pushing.here() if key[0] == "Patient"} - {pushing.patient(2)}
    pushing.server.refuse = lambda _: 0
    if status != 500:
        pushing.gateway.queue.act("retry", [name for name, state in pushing.queue().items() if state.startswith("dead")], "t", "")
    pushing.settle()
    pushing.alike()


def test_a_server_gone_for_an_hour_catches_up(tmp_path: Path) -> None:
    standing = FhirStandIn()
    with fhir_stand_in(standing):
        pushing = Pushing(tmp_path, standing)
        pushing.send(adt(1))
        pushing.settle()
    port = int(standing.url.rpartition(":")[2].partition("/")[0])
    for minute in range(60):
        pushing.send(adt(2 + minute % 5, "A28" if minute < 5 else "A31", minute=minute))
        pushing.gateway.delivery.push()
        pushing.ahead += timedelta(minutes=1)
    with fhir_stand_in(standing, port):
        pushing.settle()
        pushing.alike()
    assert max(len(versions) for key, versions in standing.standing.items() if key[0] == "Patient") == 1  # the newest went alone
    pushing.gateway.close()


@pytest.mark.parametrize("told", [True, False])
def test_what_another_client_wrote_on_a_push_without_answer_stays(pushing: Pushing, told: bool) -> None:
    """The server took the first push of all and its answer was cut off; told: whether its history tells what came after."""
    pushing.send(adt(1))
    assert pushing.gateway.delivery.push() > 0  # what others refer to
    pushing.server.faults = ["lost"]
    assert pushing.gateway.delivery.push() == 0
    marital = {"text": "widowed"}
    pushing.server.write(*pushing.patient(1), pushing.server.current()[pushing.patient(1)] | {"maritalStatus": marital})
    if not told:
        pushing.server.told.clear()
    pushing.send(adt(1, "A31", minute=10))
    pushing.settle()
    pushing.alike()
    assert pushing.here()[pushing.patient(1)]["maritalStatus"] == marital


@pytest.mark.parametrize("sent_again", [True, False])
def test_a_first_version_that_is_committed_late_does_not_stay(pushing: Pushing, sent_again: bool) -> None:
    """The newer one went there meanwhile. Another client that writes the same afterwards is heard. sent_again: the first
    version went there a second time, and was answered, before the newer one."""
    pushing.send(adt(1))
    assert pushing.gateway.delivery.push() > 0  # what others refer to
    pushing.server.faults = ["held"]
    assert pushing.gateway.delivery.push() == 0
    first = pushing.here()[pushing.patient(1)]
    if sent_again:
        pushing.settle()
        pushing.alike()
    pushing.send(adt(1, "A31", minute=10))
    pushing.settle()
    newer = pushing.here()
    assert newer[pushing.patient(1)] != first
    pushing.server.commit_held()
    assert pushing.server.current()[pushing.patient(1)] == first
    pushing.settle()
    pushing.alike()
    assert pushing.here() == newer
    pushing.server.write(*pushing.patient(1), first)
    pushing.settle()
    pushing.alike()
    with reading(pushing.gateway.engine) as connection:
        assert len(list(connection.execute(select(JOURNAL.c.id).where(JOURNAL.c.kind == "fhir")))) == 1


@pytest.mark.parametrize("theirs", [False, True])
def test_what_is_pushed_while_the_history_is_read_is_no_other_client_s(
        pushing: Pushing, theirs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three versions of ours the reading tells two. theirs: another client writes on the third, behind that reading too."""
    pushing.send(adt(1))
    pushing.settle()
    pushing.send(adt(1, "A31", minute=10))
    pushing.gateway.delivery.push()
    read = UpstreamServer.history

    def slowly(server: UpstreamServer, since: datetime | None = None) -> Iterator[Version]:
        told = list(read(server, since))
        monkeypatch.undo()
        pushing.send(adt(1, "A31", minute=20))
        pushing.gateway.delivery.push()
        if theirs:
            now = pushing.server.current()[pushing.patient(1)]
            pushing.server.write(*pushing.patient(1), now | {"maritalStatus": {"text": "widowed"}})
        yield from told

    monkeypatch.setattr(UpstreamServer, "history", slowly)
    assert pushing.gateway.delivery.read_back() == 0
    pushing.settle()
    pushing.alike()
    assert statements(pushing) == int(theirs)
    assert pushing.here()[pushing.patient(1)].get("maritalStatus") == ({"text": "widowed"} if theirs else None)


def test_what_another_client_wrote_or_deleted_long_after_our_last_push_is_heard(pushing: Pushing) -> None:
    """The history since the last reading tells no version of ours."""
    pushing.send(adt(1), adt(2), adt(3))
    pushing.settle()
    first, second, third = (pushing.patient(n) for n in (1, 2, 3))
    widowed = {"maritalStatus": {"text": "widowed"}}
    for key, change in ((third, widowed), (first, widowed), (second, None)):
        pushing.ahead += timedelta(hours=3)
        pushing.server.write(*key, pushing.server.current()[key] | change if change else None)
        pushing.gateway.delivery.read_back()
    pushing.settle()
    pushing.alike()
    assert statements(pushing) == 3
    assert all(pushing.here()[key]["maritalStatus"] == widowed["maritalStatus"] for key in (first, third))


# --- restored, emptied, changed behind its history


def command(pushing: Pushing, folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str]:
    for name, value in {"DATA_DIR": str(folder), "KEY": "00" * 32, "FHIR_URL": pushing.server.url}.items():
        monkeypatch.setenv(f"CARELOOP_{name}", value)
    monkeypatch.setattr(logs, "configure", lambda: None)
    monkeypatch.setattr("adapter.gateway.utc_now", pushing.now)
    done = CliRunner().invoke(cli.main, arguments, prog_name="careloop")
    return done.exit_code, done.output


def test_a_server_restored_from_an_older_backup_is_put_right(pushing: Pushing, tmp_path: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    pushing.send(adt(1), adt(2), adt(4))
    pushing.settle()
    backup = pushing.server.saved()
    pushing.send(adt(1, "A31", minute=10), adt(3), adt(1, "A31", minute=20), adt(2, "A40", minute=25, old=4))
    pushing.settle()
    pushing.server.restore(backup)
    pushing.ahead += timedelta(minutes=10)
    marital = {"text": "widowed"}
    after = pushing.server.body(*pushing.patient(2))
    pushing.server.write(*pushing.patient(2), {n: v for n, v in after.items() if n != "meta"} | {"maritalStatus": marital})
    code, told = command(pushing, tmp_path, monkeypatch, "reconcile", "--dry-run")
    assert code == 1
    assert {"not on the server", "there as it was once", "changed there by another client"} <= {
        line.split("  ")[1] for line in told.splitlines() if "  " in line}
    assert pushing.queue() == {}
    code, told = command(pushing, tmp_path, monkeypatch, "reconcile")
    assert (code, "all is sent" in told) == (0, True), told
    pushing.settle()
    pushing.alike()
    assert pushing.here()[pushing.patient(2)]["maritalStatus"] == marital
    assert command(pushing, tmp_path, monkeypatch, "reconcile") == (0, "the server stands as the store does\n")


def test_what_a_restored_server_refuses_for_ever_is_looked_at_by_itself(pushing: Pushing) -> None:
    pushing.send(adt(1))
    pushing.settle()
    backup = pushing.server.saved()
    pushing.send(adt(1, "A31", minute=10))
    pushing.settle()
    pushing.server.restore(backup)
    pushing.send(adt(1, "A31", minute=20))
    pushing.settle()
    assert pushing.server.current()[pushing.patient(1)] == pushing.here()[pushing.patient(1)]


def also_called(server: FhirStandIn) -> FhirStandIn:
    """The same server by another name."""
    server.url = server.url.replace("127.0.0.1", "localhost")
    return server


def statements(pushing: Pushing) -> int:
    """How many writes of other clients were taken in."""
    with reading(pushing.gateway.engine) as connection:
        return len(list(connection.execute(select(JOURNAL.c.id).where(JOURNAL.c.kind == "fhir"))))


@pytest.mark.parametrize("compared", [True, False])
def test_what_was_pushed_to_a_server_under_its_old_address_is_no_other_client_s_statement(
        pushing: Pushing, compared: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """compared: by `reconcile`, before a gateway reads the history under the new address."""
    pushing.send(adt(1), adt(2), adt(3), adt(1, "A31", minute=10))
    pushing.settle()
    before = pushing.here()
    pushing.server.write(*pushing.patient(2), before[pushing.patient(2)] | {"maritalStatus": {"text": "widowed"}})
    pushing.gateway.close()
    pushing = Pushing(tmp_path, also_called(pushing.server))
    if compared:
        code, told = command(pushing, tmp_path, monkeypatch, "reconcile")
        assert (code, "1 changed there by another client" in told, "not on the server" in told) == (0, True, False), told
    pushing.settle()
    assert statements(pushing) == 1
    assert pushing.here()[pushing.patient(2)]["maritalStatus"] == {"text": "widowed"}
    pushing.send(adt(1, "A31", minute=20), adt(3, "A40", minute=25, old=2))
    pushing.settle()
    pushing.alike()
    assert statements(pushing) == 1


def test_a_store_restored_from_a_backup_takes_nothing_of_ours_for_another_client_s(
        pushing: Pushing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server knows more than the store: senders repeat what they sent since, and only then both are compared."""
    first = [adt(1), adt(2), adt(4)]
    later = [adt(1, "A31", minute=10), adt(3), adt(1, "A31", minute=20), adt(2, "A40", minute=25, old=4)]
    pushing.send(*first)
    pushing.settle()
    assert command(pushing, tmp_path, monkeypatch, "backup", str(tmp_path / "copy.db"))[0] == 0
    pushing.send(*later)
    pushing.settle()
    before = pushing.here()
    pushing.gateway.close()
    assert command(pushing, tmp_path, monkeypatch, "restore", str(tmp_path / "copy.db"), "--replace")[0] == 0
    alone = Gateway(Settings(data_dir=tmp_path, key="00" * 32), pushing.now)  # pyright: ignore[reportCallIssue]  # the settings fill the rest
    alone.accept([(one, "t") for one in (*first, *later)])
    while alone.work():
        pass
    alone.close()
    code, told = command(pushing, tmp_path, monkeypatch, "reconcile")
    assert (code, "another client" in told) == (0, False), told
    pushing = Pushing(tmp_path, pushing.server)
    pushing.ahead += timedelta(minutes=10)
    pushing.settle()
    pushing.alike()
    assert (pushing.here(), statements(pushing)) == (before, 0)
    pushing.gateway.close()


def test_what_was_composed_before_a_server_was_named_is_found_missing_and_goes_there(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Gateway(Settings(data_dir=tmp_path, key="00" * 32))  # pyright: ignore[reportCallIssue]  # the settings fill the rest
    alone.accept([(adt(1), "t"), (adt(2), "t")])
    while alone.work():
        pass
    alone.close()
    with fhir_stand_in() as server:
        theirs = {"resourceType": "Organization", "id": "another-s", "active": True, "name": "Fernley"}
        server.write("Organization", "another-s", theirs)
        pushing = Pushing(tmp_path, server)
        count = len(pushing.here())
        code, told = command(pushing, tmp_path, monkeypatch, "reconcile", "--dry-run")
        assert (code, f"{count} not on the server" in told) == (1, True), told
        code, told = command(pushing, tmp_path, monkeypatch, "reconcile")
        assert (code, "all is sent" in told) == (0, True), told
        pushing.ahead += timedelta(minutes=10)  # the command has the server for a lease
        pushing.settle()
        pushing.alike()
        assert command(pushing, tmp_path, monkeypatch, "reconcile") == (0, "the server stands as the store does\n")
        pushing.gateway.close()


def test_an_emptied_server_is_filled_anew_and_nobody_is_told(pushing: Pushing, tmp_path: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    pushing.send(adt(1), adt(2))
    pushing.settle()
    code, told = command(pushing, tmp_path, monkeypatch, "replay")
    assert (code, "server-not-empty" in told) == (1, True)
    with reading(pushing.gateway.engine) as connection:
        notices = list(connection.execute(select(NOTICE.c.seq)))
    pushing.server.restore(({}, []))
    code, told = command(pushing, tmp_path, monkeypatch, "replay")
    assert (code, told.splitlines()) == (0, [f"{len(pushing.here())} resources to send", "all is sent"])
    pushing.settle()
    pushing.alike()
    with reading(pushing.gateway.engine) as connection:
        assert list(connection.execute(select(NOTICE.c.seq))) == notices
    assert {len(versions) for versions in pushing.server.standing.values()} == {1}
