"""A store is copied while it is written to, and brought back; whatever was acknowledged before the copy began is in it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from adapter.cli import main
from adapter.commands.checks import examine
from adapter.errors import Rejected, Unavailable
from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.store.backup import back_up, restore
from adapter.store.engine import reading, writing
from adapter.store.schema import JOURNAL
from tests.contract.conftest import DATABASES
from tests.servers import postgres_programs, postgres_url
from tests.unit.test_gateway import adt

MESSAGES = [adt(f"C{n}", number=f"8{n:05}", phone=f"55{n:05}") for n in range(120)]


class Bench:
    """Stores of one kind, as many as a test asks for."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._kind = kind
        self._folder = folder
        self._opened: list[Gateway] = []

    def settings(self, name: str) -> Settings:
        url = postgres_url() if self._kind == "postgresql" else f"sqlite:///{self._folder / name}.db"
        return Settings(data_dir=self._folder, key="00" * 32, database_url=url)

    def open(self, chosen: Settings, hour: int = 0) -> Gateway:
        self._opened.append(Gateway(chosen, lambda: datetime(2026, 3, 20, hour, tzinfo=UTC)))
        return self._opened[-1]

    def close(self) -> None:
        for gateway in self._opened:
            gateway.close()


@pytest.fixture(params=DATABASES)
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    if request.param == "postgresql":
        monkeypatch.setenv("PATH", f"{postgres_programs()}:{os.environ['PATH']}")
    made = Bench(request.param, tmp_path)
    yield made
    made.close()


def work_off(gateway: Gateway) -> None:
    while gateway.work():
        pass


def journalled(gateway: Gateway) -> list[str]:
    with reading(gateway.engine) as connection:
        return list(connection.scalars(select(JOURNAL.c.control_id).order_by(JOURNAL.c.id)))


def bodies(gateway: Gateway) -> list[tuple[Any, ...]]:
    with reading(gateway.engine) as connection:
        return [tuple(row) for row in connection.execute(text(
            "SELECT resource_type, id, hash, body FROM resource WHERE deleted = 0 ORDER BY resource_type, id"))]


def test_a_copy_that_is_made_while_messages_come_in(bench: Bench, tmp_path: Path) -> None:
    store = bench.settings("store")
    gateway = bench.open(store)
    acknowledged: list[int] = []
    begun, stop = threading.Event(), threading.Event()

    def send() -> None:
        for n, message in enumerate(MESSAGES):
            gateway.accept([(message, "t")])
            acknowledged.append(n)
            if n == 20:
                begun.set()
                work_off(gateway)
            if stop.is_set() and n > 60:
                break

    sender = threading.Thread(target=send)
    sender.start()
    begun.wait(60)
    before = len(acknowledged)
    back_up(store.database(), tmp_path / "copy")
    stop.set()
    sender.join(60)
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    again = bench.settings("again")
    restore(again.database(), tmp_path / "copy")
    restored = bench.open(again, 1)  # what the other had claimed is free again
    held = journalled(restored)
    assert held == [f"C{n}" for n in range(len(held))], "a beginning of what was sent, with no gap"
    assert before <= len(held) <= len(acknowledged)
    work_off(restored)
    straight = bench.open(bench.settings("straight"))
    for message in MESSAGES[:len(held)]:
        straight.accept([(message, "t")])
    work_off(straight)
    assert bodies(restored) == bodies(straight)
    restored.accept([(MESSAGES[n], "t") for n in range(len(acknowledged))])  # the sender repeats what it is not sure of
    assert journalled(restored) == [f"C{n}" for n in range(len(acknowledged))]


def test_a_store_is_not_overwritten_by_mistake(bench: Bench, tmp_path: Path) -> None:
    store = bench.settings("store")
    gateway = bench.open(store)
    gateway.accept([(MESSAGES[0], "t")])
    back_up(store.database(), tmp_path / "copy")
    with pytest.raises(Rejected, match="already"):
        back_up(store.database(), tmp_path / "copy")
    gateway.accept([(MESSAGES[1], "t")])
    with pytest.raises(Rejected) as stands:
        restore(store.database(), tmp_path / "copy")
    assert stands.value.issue.code == "store-stands"
    gateway.close()
    restore(store.database(), tmp_path / "copy", replace=True)
    assert journalled(bench.open(store)) == ["C0"]
    if kept := list(tmp_path.glob("store.db.before-restore")):
        with sqlite3.connect(kept[0]) as connection:
            assert connection.execute("SELECT count(*) FROM journal").fetchone() == (2,)


def test_what_is_no_backup_changes_nothing(bench: Bench, tmp_path: Path) -> None:
    store = bench.settings("store")
    bench.open(store).accept([(MESSAGES[0], "t")])
    (tmp_path / "junk").write_bytes(b"no backup at all")
    bench.close()
    with pytest.raises(Rejected) as told:
        restore(store.database(), tmp_path / "junk", replace=True)
    assert told.value.issue.code == "backup-invalid"
    assert journalled(bench.open(store)) == ["C0"]


def test_a_backup_that_cannot_be_written_leaves_nothing(bench: Bench, tmp_path: Path) -> None:
    store = bench.settings("store")
    bench.open(store)
    with pytest.raises(Unavailable) as told:
        back_up(store.database(), tmp_path / "no such folder" / "copy")
    assert told.value.issue.code == "backup-failed"
    assert not list(tmp_path.rglob("*.part"))


def test_a_damaged_or_newer_file_is_not_restored(tmp_path: Path) -> None:
    bench = Bench("sqlite", tmp_path)
    store = bench.settings("store")
    gateway = bench.open(store)
    gateway.accept([(message, "t") for message in MESSAGES])
    work_off(gateway)
    back_up(store.database(), tmp_path / "copy")
    damaged = bytearray((tmp_path / "copy").read_bytes())
    damaged[len(damaged) // 2:len(damaged) // 2 + 20_000] = b"\xff" * 20_000
    (tmp_path / "damaged").write_bytes(damaged)
    with writing(gateway.engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    gateway.close()
    shutil.copy(tmp_path / "store.db", tmp_path / "newer")
    for name in ("damaged", "newer"):
        with pytest.raises(Rejected) as told:
            restore(bench.settings("again").database(), tmp_path / name)
        assert told.value.issue.code == "backup-invalid"
    assert not (tmp_path / "again.db").exists()


def test_a_store_at_work_is_not_replaced(tmp_path: Path) -> None:
    bench = Bench("sqlite", tmp_path)
    store = bench.settings("store")
    gateway = bench.open(store)
    back_up(store.database(), tmp_path / "copy")
    gateway.accept([(MESSAGES[0], "t")])
    with pytest.raises(Unavailable) as told:
        restore(store.database(), tmp_path / "copy", replace=True)
    assert told.value.issue.code == "store-in-use"
    assert journalled(gateway) == ["C0"]
    bench.close()


def test_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_settings: None,
                    capsys: pytest.CaptureFixture[str]) -> None:
    for words, code, told in ((["backup", "copy"], 1, "there is no store"), (["restore", "copy"], 2, "does not exist")):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == code
        assert told in capsys.readouterr().err
    gateway = Gateway(Settings(data_dir=tmp_path / "careloop-data"))
    gateway.accept([(MESSAGES[0], "t")])
    gateway.close()
    for words, told in ((["backup", "copy"], "not in it: installation.key"),
                        (["restore", "copy", "--replace"], "1 entries wait")):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code in (0, None)
        assert told in capsys.readouterr().out


def test_a_store_opens_with_the_key_of_its_ids_alone_and_none_is_made_up_for_it(bench: Bench, tmp_path: Path) -> None:
    chosen = bench.settings("a")
    bench.open(chosen).accept([(MESSAGES[0], "t")])
    for other in ({"key": "11" * 32}, {"key": "", "data_dir": tmp_path / "elsewhere"}):
        with pytest.raises(Unavailable) as refused:
            bench.open(chosen.model_copy(update=other))
        assert refused.value.issue.code == "id-key-other"
        [told] = [one for one in examine(chosen.model_copy(update=other)) if one.what == "key of ids"]
        assert told.verdict == "unsound"
    assert not (tmp_path / "elsewhere" / "installation.key").exists()
    assert bench.open(chosen).work() == 1
    assert not [one for one in examine(chosen) if one.what == "key of ids"]


def test_of_gateways_that_begin_a_store_at_once_with_keys_of_their_own_one_is_refused(bench: Bench, tmp_path: Path) -> None:
    chosen = bench.settings("a")
    migrated = bench.open(chosen)
    with writing(migrated.engine) as connection:
        connection.execute(text("DELETE FROM cursor WHERE name = 'id-key'"))
    together, ended = threading.Barrier(4), list[str]()

    def begin(n: int) -> None:
        together.wait()
        try:
            bench.open(chosen.model_copy(update={"key": "", "data_dir": tmp_path / str(n % 2)}))
            ended.append(str(n % 2))
        except Unavailable as error:
            ended.append(error.issue.code)

    threads = [threading.Thread(target=begin, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) in (["0", "0", "id-key-other", "id-key-other"], ["1", "1", "id-key-other", "id-key-other"])
