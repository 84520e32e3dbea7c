"""Real servers for tests, each started at most once a session and stopped at its end: HAPI and PostgreSQL.

Import as `tests.servers`. `hapi_missing` and `postgres_missing` say what is absent and how to get it ('' : nothing is).
"""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

import psycopg

ROOT = Path(__file__).parent.parent
_HAPI = ROOT / "tools" / "hapi"
_databases = count(1)


def hapi_missing() -> str:
    """What HAPI lacks here and how to get it; '' where it can be started."""
    if os.environ.get("CARELOOP_TEST_HAPI"):
        return ""
    absent = [tool for tool in ("java", "mvn", "curl") if shutil.which(tool) is None]
    return f"{', '.join(absent)} not found: install a JDK 17 or newer, Maven and curl" if absent else ""


@cache
def hapi_url() -> str:
    """Base URL of a HAPI FHIR R4 server in memory, empty when the session began (20 s to start, first time minutes).

    CARELOOP_TEST_HAPI names one that runs already. Raises CalledProcessError where it does not start.
    """
    if running := os.environ.get("CARELOOP_TEST_HAPI"):
        return running.rstrip("/")
    return _started({})


def _started(options: dict[str, str]) -> str:
    port = str(free_port())
    environment = {**os.environ, **options, "HAPI_PORT": port, "HAPI_FAST_START": "1"}
    atexit.register(subprocess.run, [str(_HAPI / "stop-hapi.sh")], env=environment, check=False,
                    stdout=subprocess.DEVNULL)
    subprocess.run([str(_HAPI / "start-hapi.sh")], env=environment, check=True, stdout=subprocess.DEVNULL)
    return f"http://127.0.0.1:{port}/fhir"


@cache
def hapi_naming_url() -> str:
    """Base URL of a second HAPI that gives every id itself; CARELOOP_TEST_HAPI_NAMING names one that runs already."""
    if running := os.environ.get("CARELOOP_TEST_HAPI_NAMING"):
        return running.rstrip("/")
    return _started({"HAPI_CLIENT_IDS": "NOT_ALLOWED"})


def postgres_missing() -> str:
    """What PostgreSQL lacks here and how to get it; '' where it can be started."""
    if _binaries() is None:
        return "initdb not found: install PostgreSQL's server (Debian: apt-get install postgresql)"
    return "" if _account() != "root" else "PostgreSQL does not run as root, and there is no account postgres or nobody"


def postgres_url() -> str:
    """SQLAlchemy URL of an empty database on this session's private PostgreSQL, a new one each call (unix socket)."""
    folder = _cluster()
    name = f"careloop_{next(_databases)}"
    with psycopg.connect(host=str(folder), user="careloop", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # pyright: ignore[reportArgumentType] - made here
    return f"postgresql+psycopg://careloop@/{name}?host={folder}"


@contextmanager
def postgres_gone() -> Generator[None]:
    """This session's PostgreSQL, killed like a machine that loses power, for as long as the block lasts."""
    binaries, account, folder = _binaries(), _account(), _cluster()
    if binaries is None:
        raise RuntimeError(postgres_missing())
    _run(account, binaries / "pg_ctl", "-D", folder / "db", "-m", "immediate", "-w", "stop")
    try:
        yield
    finally:
        _start(account, binaries, folder)


def postgres_programs() -> str:
    """The folder of PostgreSQL's own programs. Raises RuntimeError where they are missing."""
    if (found := _binaries()) is None:
        raise RuntimeError(postgres_missing())
    return str(found)


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@cache
def _cluster() -> Path:
    """Make and start a cluster in a folder of its own, where its socket lies; no fsync: it lives for one session."""
    binaries, account = _binaries(), _account()
    if binaries is None:
        raise RuntimeError(postgres_missing())
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a short path: a socket's name holds 107 bytes
    shutil.chown(folder, account)
    _run(account, binaries / "initdb", "-D", folder / "db", "-U", "careloop", "-A", "trust", "-E", "UTF8", "--no-sync")
    _start(account, binaries, folder)
    atexit.register(_remove, account, binaries, folder)
    return folder


def _start(account: str, binaries: Path, folder: Path) -> None:
    options = f"-c listen_addresses='' -c fsync=off -c full_page_writes=off -k {folder}"
    _run(account, binaries / "pg_ctl", "-D", folder / "db", "-o", options, "-l", folder / "log", "-w", "start")


def _remove(account: str, binaries: Path, folder: Path) -> None:
    _run(account, binaries / "pg_ctl", "-D", folder / "db", "-m", "immediate", "stop")
    shutil.rmtree(folder, ignore_errors=True)


def _run(account: str, *command: object) -> None:
    """Run as the account: PostgreSQL refuses to run as root."""
    own = pwd.getpwuid(os.getuid()).pw_name
    subprocess.run([str(part) for part in command], check=True, cwd="/", stdout=subprocess.DEVNULL,
                   user=None if account == own else account, extra_groups=None if account == own else [])


def _account() -> str:
    own = pwd.getpwuid(os.getuid()).pw_name
    if os.getuid() != 0:
        return own
    return next((name for name in ("postgres", "nobody") if _exists(name)), own)


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _binaries() -> Path | None:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    found = installed[-1] if installed else shutil.which("initdb")
    return Path(found).resolve().parent if found else None
