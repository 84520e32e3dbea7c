"""A copy of the whole database while it is written to, and back from one: SQLite's online backup, PostgreSQL's pg_dump."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy import inspect
from sqlalchemy.engine import URL, make_url

from adapter.errors import Rejected, Unavailable
from adapter.store.engine import known_revision, open_engine, reading

_SIDE_FILES = ("-wal", "-shm", "-journal")


def back_up(url: str, target: Path) -> None:
    """Write a consistent copy to a new file (mode 600), whole or not at all; who writes meanwhile does not wait.

    Raises Rejected (store-stands) where the file is there, Unavailable (backup-failed, store-unavailable).
    """
    if target.exists():
        raise Rejected("store-stands", str(target))
    part = target.with_name(f"{target.name}.part")
    try:
        os.close(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600))
        address = make_url(url)
        if address.get_backend_name() == "sqlite":
            _copy_sqlite(Path(address.database or ""), part)
        else:
            _run("pg_dump", address, "--format=custom", "--no-owner", f"--file={part}")
        _settle(part, target)
    except OSError as error:
        raise Unavailable("backup-failed", str(target), error.strerror or "") from error
    finally:
        part.unlink(missing_ok=True)


def restore(url: str, source: Path, *, replace: bool = False, aside: str = "before-restore") -> None:
    """Make the database what it was when it was backed up.

    replace: also where a store stands; a SQLite file is kept beside it, its name ending in `aside`.
    Raises Rejected (backup-invalid; store-stands), Unavailable (store-in-use, backup-failed, store-unavailable).
    """
    address = make_url(url)
    try:
        if address.get_backend_name() == "sqlite":
            _check_sqlite(source)
            _restore_sqlite(Path(address.database or ""), source, replace=replace, aside=aside)
        else:
            _restore_postgres(url, source, replace=replace)
    except OSError as error:
        raise Unavailable("backup-failed", str(source), error.strerror or "") from error


def _copy_sqlite(file: Path, part: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as store, \
                closing(sqlite3.connect(part)) as copy:
            store.backup(copy)  # in one step: it reads one state, and with a write-ahead log nobody waits for it
            copy.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise Unavailable("backup-failed", str(file), getattr(error, "sqlite_errorname", "")) from error
    _check_sqlite(part)


def _check_sqlite(file: Path) -> None:
    """That a file is a sound store, of this program or an older one. Raises Rejected (backup-invalid)."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as copy:
            sound = copy.execute("PRAGMA quick_check").fetchone()[0]
            revision = str(copy.execute("SELECT version_num FROM alembic_version").fetchone()[0])
    except (sqlite3.Error, TypeError) as error:
        raise Rejected("backup-invalid", str(file), getattr(error, "sqlite_errorname", "")) from error
    if sound != "ok":
        raise Rejected("backup-invalid", str(file), "its pages are damaged")
    if not known_revision(revision):
        raise Rejected("backup-invalid", str(file), f"schema {revision} is of a newer program")


def _restore_sqlite(file: Path, source: Path, *, replace: bool, aside: str) -> None:
    if file.exists() and file.stat().st_size:
        if not replace:
            raise Rejected("store-stands", str(file))
        _close_sqlite(file)
        file.rename(file.with_name(f"{file.name}.{aside}"))
    for ending in _SIDE_FILES:
        file.with_name(file.name + ending).unlink(missing_ok=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.part")
    try:
        os.close(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600))
        shutil.copyfile(source, part)
        _settle(part, file)
    finally:
        part.unlink(missing_ok=True)


def _close_sqlite(file: Path) -> None:
    """Bring all that was committed into the one file. Raises Unavailable (store-in-use): leaving the log needs it alone."""
    mode = ""
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(file, timeout=1)) as store:
        mode = store.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
    if mode != "delete":
        raise Unavailable("store-in-use", str(file))


def _restore_postgres(url: str, source: Path, *, replace: bool) -> None:
    engine = open_engine(url)
    try:
        with reading(engine) as connection:
            stands = bool(inspect(connection).get_table_names())
    finally:
        engine.dispose()
    if stands and not replace:
        raise Rejected("store-stands", make_url(url).database or "")
    with source.open("rb") as file:
        if file.read(5) != b"PGDMP":
            raise Rejected("backup-invalid", str(source))
    clean = ["--clean", "--if-exists"] if stands else []
    _run("pg_restore", make_url(url), "--exit-on-error", "--single-transaction", "--no-owner", *clean, str(source))


def _run(program: str, address: URL, *options: str) -> None:
    """One of PostgreSQL's own programs on the database; the password goes by the environment. Raises Unavailable."""
    place = shutil.which(program)
    if place is None:
        raise Unavailable("backup-failed", program, "PostgreSQL's client programs are not installed")
    target = address.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    environment = {**os.environ, **({"PGPASSWORD": str(address.password)} if address.password else {})}
    done = subprocess.run([place, f"--dbname={target}", *options], env=environment, check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # what they complain of may hold values
    if done.returncode:
        raise Unavailable("backup-failed", program, f"exit code {done.returncode}")


def _settle(part: Path, target: Path) -> None:
    """The finished file under its name, so that a power cut leaves all of it or nothing."""
    for path in (part, target.parent):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        if path == part:
            part.rename(target)
