"""The store's door and its resources, on SQLite and on PostgreSQL."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, event, func, inspect, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from adapter.errors import Unavailable
from adapter.fhirserver.port import Write
from adapter.model import Composed
from adapter.store.engine import current_revision, migrate, newest_revision, open_engine, reading, writing
from adapter.store.resources import (
    history,
    history_of,
    read_resource,
    read_resources,
    read_version,
    with_meta,
    without_meta,
    write_resources,
)
from adapter.store.schema import JOURNAL, METADATA, RESOURCE, RESOURCE_VERSION, SEARCH_INDEX
from tests.contract.conftest import DATABASES, composed, database
from tests.servers import postgres_url


@pytest.fixture(scope="module", params=DATABASES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A store for the module."""
    engine = database(request.param, tmp_path_factory.mktemp("store"))
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine) -> Engine:
    """The same store, emptied."""
    with writing(engine) as connection:
        for table in (RESOURCE, RESOURCE_VERSION, SEARCH_INDEX):
            connection.execute(delete(table))
    return engine


def one(name: str = "a", deleted: bool = False, **elements: Any) -> Composed:
    """A composed Patient."""
    body = None if deleted else {"resourceType": "Patient", "id": name, **elements}
    return composed(Write(resource_type="Patient", id=name, body=body))


def write(engine: Engine, *those: Composed, at: int = 1_000_000) -> list[str]:
    """Ids of what changed."""
    with writing(engine) as connection:
        return [changed.id for changed in write_resources(connection, those, at)]


def test_migrations_give_the_schema_of_the_code(engine: Engine) -> None:
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        partial = {index["name"]: index for table in ("search_index", "resource_version")
                   for index in inspect(connection).get_indexes(table)}
    for name in ("search_by_date", "resource_version_later"):
        assert "where" in str(partial[name]["dialect_options"])


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    migrate(engine)
    assert current_revision(engine) == newest_revision() is not None


def _start(url: str, barrier: Any) -> None:
    barrier.wait()
    engine = open_engine(url)
    migrate(engine)
    with writing(engine) as connection:
        write_resources(connection, [one("a"), one(f"p{multiprocessing.current_process().name}")], 1)


@pytest.mark.parametrize("kind", DATABASES)
def test_processes_that_start_at_once(kind: str, tmp_path: Path) -> None:
    url = postgres_url() if kind == "postgresql" else f"sqlite:///{tmp_path / 'new' / 'store.db'}"
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    processes = [context.Process(target=_start, args=(url, barrier)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    with reading(open_engine(url)) as connection:
        assert len(list(history(connection))) == 5


def test_a_new_store_that_another_process_is_about_to_make_is_waited_for(tmp_path: Path) -> None:
    def look() -> None:
        with reading(open_engine(f"sqlite:///{tmp_path / 's.db'}")) as connection:
            assert inspect(connection).get_table_names() == []

    with ThreadPoolExecutor(1) as pool, closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        opened = pool.submit(look)
        with pytest.raises(TimeoutError):
            opened.result(0.3)
        other.execute("COMMIT")
        opened.result()


def test_sqlite_is_opened_durably(tmp_path: Path) -> None:
    with reading(open_engine(f"sqlite:///{tmp_path}/s.db")) as connection:
        pragmas = {name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
                   for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30000}


def test_a_reader_does_not_wait_for_a_writer(store: Engine) -> None:
    write(store, one())
    with writing(store) as writer:
        write_resources(writer, [one(gender="male")], 2_000_000)
        with reading(store) as reader:
            stored = read_resource(reader, "Patient", "a")
    assert stored is not None
    assert stored.version == 1


def test_a_reader_sees_one_state_to_its_end(store: Engine) -> None:
    """So a push takes no version that came in after what it sends was read."""
    write(store, one())
    with reading(store) as reader:
        seen = [read_resource(reader, "Patient", "a")]
        write(store, one(gender="male"), at=2_000_000)
        seen.append(read_resource(reader, "Patient", "a"))
    assert [stored.version for stored in seen if stored] == [1, 1]


def test_writers_go_one_after_the_other(store: Engine) -> None:
    def add(name: str) -> None:
        for n in range(5):
            write(store, one("shared", gender=f"{name}{n}"), one(f"{name}{n}"))

    threads = [threading.Thread(target=add, args=(name,)) for name in "xyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(store) as connection:
        assert [stored.version for stored in history_of(connection, "Patient", "shared")] == list(range(1, 16))
        assert connection.execute(select(func.count()).select_from(RESOURCE)).scalar_one() == 16


def test_threads_wait_for_their_turn_before_they_ask_sqlite(tmp_path: Path) -> None:
    """Who asks it meanwhile looks again and again, up to 100 ms apart, and hardly gets between those of one who composes."""
    engine = open_engine(f"sqlite:///{tmp_path}/s.db")
    asked: list[str] = []
    event.listen(engine, "connect", lambda connection, _: connection.set_trace_callback(asked.append))

    def write_too() -> None:
        with writing(engine) as connection:
            connection.execute(text("CREATE TABLE t (n INTEGER)"))

    other = threading.Thread(target=write_too)
    with writing(engine):
        other.start()
        other.join(0.3)
        assert asked.count("BEGIN IMMEDIATE") == 1
    other.join(20)
    assert asked.count("BEGIN IMMEDIATE") == 2
    with pytest.raises(KeyError), writing(engine):
        raise KeyError
    with writing(engine) as connection:  # what failed gave its turn back
        connection.execute(text("DROP TABLE t"))
    engine.dispose()


def test_a_failed_transaction_leaves_nothing(store: Engine) -> None:
    def fail() -> None:
        with writing(store) as connection:
            write_resources(connection, [one()], 1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with reading(store) as connection:
        assert read_resource(connection, "Patient", "a") is None


def test_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for url in (f"sqlite:///{tmp_path}", f"postgresql://careloop@/none?host={tmp_path}"):
        with pytest.raises(Unavailable), reading(open_engine(url)):
            pass


def test_a_wrong_statement_is_not_tried_again(store: Engine) -> None:
    with pytest.raises(DBAPIError), reading(store) as connection:
        connection.execute(text("SELECT nonsense FROM resource"))


def test_a_full_disk_is_unavailable(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/s.db")
    migrate(engine)

    def fill() -> None:
        with writing(engine) as connection:
            connection.execute(text("PRAGMA max_page_count=1"))  # SQLite's own way to be full
            write_resources(connection, [one(f"p{n}", gender="male") for n in range(2000)], 1)

    with pytest.raises(Unavailable) as failure:
        fill()
    assert failure.value.issue.detail == "SQLITE_FULL"
    engine.dispose()
    with reading(engine) as connection:
        assert list(history(connection)) == []


def test_another_database_is_refused() -> None:
    with pytest.raises(ValueError, match="mysql"):
        open_engine("mysql://localhost/x")


def test_errors_show_no_values(store: Engine) -> None:
    row = {"identity": "i", "kind": "hl7v2", "feed": "f", "source": "CANARY", "arrival": 1, "raw": b"",
           "state": "done"}
    with pytest.raises(IntegrityError) as error, writing(store) as connection:
        connection.execute(JOURNAL.insert(), [row, row])
    assert "CANARY" not in str(error.value)


def test_only_what_changed_is_written(store: Engine) -> None:
    assert write(store, one("a"), one("b")) == ["a", "b"]
    assert write(store, one("a"), one("b", gender="male"), at=2_000_000) == ["b"]
    with reading(store) as connection:
        found = read_resources(connection, [("Patient", "a"), ("Patient", "b"), ("Patient", "c")])
    assert {key[1]: (stored.version, stored.updated) for key, stored in found.items()} == {
        "a": (1, 1_000_000), "b": (2, 2_000_000)}


def test_a_moved_person_makes_no_version(store: Engine) -> None:
    write(store, one())
    assert write(store, replace(one(), person="urn:x-test|p")) == []
    with reading(store) as connection:
        assert connection.execute(select(RESOURCE.c.person, RESOURCE.c.version)).one() == ("urn:x-test|p", 1)


def test_of_two_with_one_id_the_last_counts(store: Engine) -> None:
    assert write(store, one(gender="male"), one(gender="female")) == ["a"]
    with reading(store) as connection:
        (stored,) = history_of(connection, "Patient", "a")
    assert stored.body == {"resourceType": "Patient", "id": "a", "gender": "female"}


def test_deletion(store: Engine) -> None:
    assert write(store, one(deleted=True)) == []
    write(store, one())
    assert write(store, one(deleted=True)) == ["a"]
    assert write(store, one(deleted=True)) == []
    assert write(store, one()) == ["a"]
    with reading(store) as connection:
        assert [(v.version, v.body is None) for v in history_of(connection, "Patient", "a")] == [
            (1, False), (2, True), (3, False)]
        stored = read_version(connection, "Patient", "a", 2)
        assert stored is not None
        assert stored.body is None
        assert read_version(connection, "Patient", "a", 9) is None


def test_the_search_index_follows(store: Engine) -> None:
    def values() -> list[str]:
        with reading(store) as connection:
            rows = select(SEARCH_INDEX.c.value).where(SEARCH_INDEX.c.param == "gender")
            return sorted(connection.execute(rows).scalars())

    write(store, one("a", gender="male"), one("b", gender="male"))
    write(store, one("a", gender="female"))
    assert [value.partition("|")[0] for value in values()] == ["female", "male"]
    write(store, one("a", deleted=True), one("b"))
    assert values() == []


def test_many_at_once(store: Engine) -> None:
    those = [one(f"p{n}", gender="male") for n in range(1203)]
    assert len(write(store, *those)) == 1203
    assert write(store, *those) == []
    assert len(write(store, *[one(f"p{n}") for n in range(1203)])) == 1203
    with reading(store) as connection:
        told = list(history(connection))
    assert len(told) == 2406
    assert [v.version for v in told] == [1] * 1203 + [2] * 1203


def test_time_never_falls(store: Engine) -> None:
    write(store, one("a"), at=5_000_000)
    write(store, one("b"), at=3_000_000)
    with reading(store) as connection:
        assert [(v.id, v.updated) for v in history(connection)] == [("a", 5_000_000), ("b", 5_000_000)]
        assert [v.id for v in history(connection, 5_000_001)] == []


def test_meta_of_the_version() -> None:
    body = {"resourceType": "Patient", "id": "a", "meta": {"profile": ["urn:p"]}, "gender": "male"}
    told = with_meta(body, 3, 1_700_000_000_000_001)
    assert told["meta"] == {"profile": ["urn:p"], "versionId": "3", "lastUpdated": "2023-11-14T22:13:20.000001Z"}
    assert without_meta(told) == body
    assert body["meta"] == {"profile": ["urn:p"]}
    bare = {"resourceType": "Patient", "id": "a"}
    assert without_meta(with_meta(bare, 1, 0)) == bare


@settings(max_examples=25)
@given(steps=st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["male", "female", None])),
                               max_size=4),
                      max_size=6))
def test_current_is_the_last_version(store: Engine, steps: list[list[tuple[str, str | None]]]) -> None:
    with writing(store) as connection:
        for table in (RESOURCE, RESOURCE_VERSION, SEARCH_INDEX):
            connection.execute(delete(table))
    last: dict[str, str | None] = {}
    for step in steps:
        write(store, *[one(name, deleted=gender is None, **({"gender": gender} if gender else {}))
                       for name, gender in step])
        last |= dict(step)
    with reading(store) as connection:
        found = read_resources(connection, [("Patient", name) for name in "abc"])
        standing = {key[1]: stored.body["gender"] for key, stored in found.items() if stored.body}
        newest = {v.id: (v.version, v.body) for v in history(connection)}
    assert standing == {name: gender for name, gender in last.items() if gender}
    assert newest == {key[1]: (stored.version, stored.body) for key, stored in found.items()}
