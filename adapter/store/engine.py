"""The database's door: SQLite or PostgreSQL opened the safe way, brought to the newest schema, written one at a time.

A transaction begun on the engine writes (`BEGIN IMMEDIATE` on SQLite): a reader that turns writer halfway would fail
with SQLITE_BUSY_SNAPSHOT and could not wait. Whoever only reads says so, by `reading`.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Engine,
    Table,
    any_,
    bindparam,
    create_engine,
    event,
    insert,
    text,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError

from adapter.errors import Unavailable
from adapter.store.vault import Vault

BUSY_SECONDS = 30
_PAUSE = 0.01
"""Seconds before a busy file is asked again, where SQLite does not wait by itself."""
_MIGRATIONS = Path(__file__).with_name("migrations")
_MIGRATION_LOCK = 0x6361_7265  # key of PostgreSQL's advisory lock around migrations
_TURNS = defaultdict[str, threading.Lock](threading.Lock)
_ONE_AT_A_TIME = threading.Lock()  # alembic.context belongs to the whole process
STATEMENTS = 256
"""Prepared statements that a connection to SQLite keeps: the gaps of one member take about 150 short ones."""
_TOGETHER = 64
"""Rows in one statement, at most. With each statement the driver lets other threads in, and then has to wait for its turn."""
_LEAST = 16
_LISTED = text("SELECT value FROM json_each(:listed)")
_PRAGMAS = ("synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_SECONDS * 1000}", "cache_size=-12000",
            "temp_store=MEMORY", "wal_autocheckpoint=64000")
"""cache_size: 12 MB a connection: a batch of a load goes through its indexes in their order, and what is behind it may leave.
temp_store: rows of persons are written to no file beside the store.
wal_autocheckpoint: pages (256 MB) of the log before they go to the database: a page that many commits write goes there once."""


_PATIENCE = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
             "tcp_user_timeout": 30_000}
"""A PostgreSQL server behind a cut line is given up after half a minute; seconds, but for tcp_user_timeout (milliseconds)."""


def open_engine(url: str, vault: Vault | None = None) -> Engine:
    """An engine on `sqlite:///file`, `sqlite://` (memory) or `postgresql://...` (psycopg 3).

    vault: seals raw messages. Errors never show parameters, which hold patients' values. Raises ValueError for another database.
    """
    engine = _opened(make_url(url))
    return engine.execution_options(vault=vault) if vault else engine


def _opened(address: URL) -> Engine:
    if address.get_backend_name() == "sqlite":
        return _open_sqlite(address)
    if address.get_backend_name() == "postgresql":
        return create_engine(address.set(drivername="postgresql+psycopg"), hide_parameters=True, pool_pre_ping=True,
                             connect_args=_PATIENCE)
    raise ValueError(f"a {address.get_backend_name()} database is not supported: use sqlite or postgresql")


@contextmanager
def writing(engine: Engine) -> Generator[Connection]:
    """A transaction that may write: committed at the end, or rolled back. Raises Unavailable (disk, lock)."""
    with _told_apart(), _turn(engine.url), engine.begin() as connection:
        yield connection


@contextmanager
def _turn(address: URL) -> Generator[None]:
    """SQLite has one writer at a time: threads of this process wait in turn here, other processes look again and again there.

    Whoever looks again and again (up to 100 ms apart) hardly gets between the transactions of one who composes.
    """
    if address.get_backend_name() != "sqlite" or address.database in (None, "", ":memory:"):
        yield
        return
    turn = _TURNS[str(address.database)]
    if not turn.acquire(timeout=BUSY_SECONDS):
        raise Unavailable("store-unavailable", detail="SQLITE_BUSY")
    try:
        yield
    finally:
        turn.release()


@contextmanager
def reading(engine: Engine) -> Generator[Connection]:
    """A transaction that only reads: all of it sees one state, and it waits for no writer. Raises Unavailable (database away)."""
    with _told_apart(), engine.execution_options(reads_only=True).connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest revision; quick where it is there, and safe when several processes start at once.

    Raises Unavailable (store-unavailable) where the database cannot be reached.
    """
    with _told_apart(), _ONE_AT_A_TIME, engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        if MigrationContext.configure(connection).get_current_revision() == newest_revision():
            return
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def insert_rows(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, their values in the order of columns. On SQLite they go to the driver as they are, in half the time."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        for size, some in _in_powers(rows):
            connection.exec_driver_sql(_insert_text(table.name, tuple(columns), size), tuple(chain.from_iterable(some)))
    else:
        connection.execute(insert(table), [dict(zip(columns, row, strict=True)) for row in rows])


def among(connection: Connection, column: ColumnElement[Any], values: Iterable[str | int]) -> ColumnElement[bool]:
    """That a column has one of these values, however many: they are one parameter of one statement that is always the same.

    With a parameter for each a statement is put together anew every time, at the cost of reading a row for each.
    """
    listed = list(values)
    if connection.dialect.name == "sqlite":
        return column.in_(_LISTED.bindparams(bindparam("listed", orjson.dumps(listed).decode(), unique=True)))
    return column == any_(bindparam(None, listed, type_=ARRAY(column.type)))


def _in_powers(rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Sequence[tuple[Any, ...]]]]:
    """The rows in parts of 64, 32, 16 and what is left: few statements, and few different ones."""
    at, size = 0, _TOGETHER
    while at < len(rows):
        while size > len(rows) - at:
            size = size // 2 if size > _LEAST else len(rows) - at
        yield size, rows[at:at + size]
        at += size


@lru_cache(maxsize=256)
def _insert_text(table: str, columns: tuple[str, ...], rows: int) -> str:
    """The statement for so many rows; names are those of the schema."""
    row = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"


@cache
def newest_revision() -> str | None:
    """The revision that this program's code is written for."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def known_revision(revision: str) -> bool:
    """Whether this program can read a store of a revision, or bring it to the newest."""
    return revision in {one.revision for one in ScriptDirectory.from_config(_config()).walk_revisions()}


def current_revision(engine: Engine) -> str | None:
    """The revision that the database stands at, None where it was never migrated. Raises Unavailable."""
    with reading(engine) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _told_apart() -> Generator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, InternalError) as error:
        reason = getattr(error.orig, "sqlite_errorname", None) or getattr(error.orig, "sqlstate", None) or "connection"
        if reason == "SQLITE_ERROR":  # a wrong statement, which PostgreSQL's driver calls a ProgrammingError
            raise
        raise Unavailable("store-unavailable", detail=str(reason)) from error


def _open_sqlite(address: URL) -> Engine:
    file = Path(address.database) if address.database and address.database != ":memory:" else None
    if file:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(address, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS, "cached_statements": STATEMENTS})

    @event.listens_for(engine, "do_connect")
    def make(*_: object) -> None:  # pyright: ignore[reportUnusedFunction] - a listener
        if file and not file.exists():  # patients' records: for its owner alone; its log gets the same mode from SQLite
            file.touch(mode=0o600)

    @event.listens_for(engine, "connect")
    def prepare(dbapi_connection: Any, _record: object) -> None:  # pyright: ignore[reportUnusedFunction] - a listener
        dbapi_connection.isolation_level = None  # the driver begins nothing by itself: `begin` below does
        _log_ahead(dbapi_connection)
        for pragma in _PRAGMAS:
            dbapi_connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction] - a listener
        reads = connection.get_execution_options().get("reads_only")
        driver: Any = connection.connection.driver_connection  # by itself: a third of what an empty transaction took was this
        try:
            driver.execute("BEGIN" if reads else "BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise OperationalError("BEGIN", None, error) from error

    return engine


def _log_ahead(driver: Any) -> None:
    """Turn the write-ahead log on. Where several do so of a new file SQLite refuses one at once, however long it was to wait."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            driver.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > end:
                raise
            time.sleep(_PAUSE)
