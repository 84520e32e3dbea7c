"""Commands of CareLoop as processes that are killed (SIGKILL): by themselves at a named point, or by whoever started them.

The program runs as it is. A point is a SQL statement or a commit inside one of its functions, which the child counts.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Engine, event

import adapter.gateway
from adapter import cli
from adapter.commands import loading, serving
from adapter.deliver import push
from adapter.errors import Unavailable
from adapter.installation import delivery
from adapter.store import outbox
from tests.acceptance.accepting import FORKS
from tests.acceptance.served import BANNER, until

Inside = Literal["work", "a merge", "rows", "a file", "an upgrade", "a push", "a mark", "a read-back"]
Build = Literal["ours", "marks first", "upgrades in pieces"]
"""What is run: the program as it is, or one that breaks a promise, for which the tests must fail."""
PRELOADED = (loading, serving)
"""Commands that a child finds read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Before the `at`-th statement, or commit, of all that the process does inside something."""

    inside: Inside
    at: int = 1
    of: Literal["statement", "commit"] = "statement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Killable:
    """A running command."""

    process: BaseProcess
    out: Path
    log: Path

    @property
    def mllp(self) -> tuple[str, int]:
        """Where it listens, once it does. Raises Unavailable where it ended before."""
        def told() -> tuple[str, int] | None:
            found = BANNER.search(self.out.read_text("utf-8"))
            if not found and not self.process.is_alive():
                raise Unavailable("receiver-unavailable", detail=self.log.read_text("utf-8")[-2000:])
            return (found[2], int(found[3])) if found else None
        return until(told, 120)

    def kill(self) -> None:
        """SIGKILL: no farewell."""
        self.process.kill()
        self.process.join(60)

    def shoot(self) -> None:
        """SIGKILL from another thread than the one that waits; it is gone on return."""
        pid = self.process.pid
        assert pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: None if Path(f"/proc/{pid}/exe").exists() else True, 60)

    def killed(self, seconds: float = 120) -> None:
        """Wait until it has killed itself."""
        self.process.join(seconds)
        assert self.process.exitcode == -signal.SIGKILL, (
            f"the point was never reached: {self.process.exitcode} {self.log.read_text('utf-8')[-2000:]}")

    def ended(self, seconds: float = 120) -> int | None:
        """Wait for its own end; the exit code."""
        self.process.join(seconds)
        return self.process.exitcode

    def terminate(self) -> int | None:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.ended(60)


@contextmanager
def running(folder: Path, environment: dict[str, str], *arguments: str, point: Point | None = None, build: Build = "ours",
            ahead: timedelta = timedelta(), host: str = "") -> Generator[Killable]:
    """A command over the store in `folder`; it kills itself at a point.

    ahead: how far its clock is in front of ours; host: the machine it believes to be on, '' for this one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    out, log = folder / "stdout.txt", folder / "stderr.txt"
    out.write_bytes(b"")
    own = {"CARELOOP_DATA_DIR": str(folder / "data"), "CARELOOP_HTTP": "127.0.0.1:0", "CARELOOP_MLLP": "127.0.0.1:0",
           "CARELOOP_EVENTS": "127.0.0.1:0", **environment}
    process = FORKS.Process(target=_run, args=(out, log, own, arguments, point, build, ahead, host))
    process.start()
    try:
        yield Killable(process=process, out=out, log=log)
    finally:
        process.kill()
        process.join(60)


def _run(out: Path, log: Path, environment: dict[str, str], arguments: Sequence[str], point: Point | None, build: Build,
         ahead: timedelta, host: str) -> None:
    for name in [one for one in os.environ if one.startswith("CARELOOP_")]:
        del os.environ[name]
    os.environ.update(environment)
    for descriptor, path in ((1, out), (2, log)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), descriptor)
    if ahead:
        adapter.gateway.Gateway.__init__.__defaults__ = (lambda: datetime.now(UTC) + ahead,)
    if host:
        socket.gethostname = lambda: host
    if build == "marks first":
        _mark_first()
    if build == "upgrades in pieces":
        _commit_each()
    if point is not None:
        _die_at(point)
    cli.main(list(arguments), prog_name="careloop")


def _die_at(point: Point) -> None:
    """Count what is sent to the database while the function of the point runs, in its own thread."""
    owner, name, concerns = _FUNCTIONS[point.inside]
    here = threading.local()
    passed = 0
    function = getattr(owner, name)

    @wraps(function)
    def watched(*arguments: Any, **named: Any) -> Any:
        here.inside = concerns(arguments)
        try:
            return function(*arguments, **named)
        finally:
            here.inside = False

    def pass_by(*_: Any) -> None:
        nonlocal passed
        if getattr(here, "inside", False):
            passed += 1
            if passed == point.at:
                os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, watched)
    event.listen(Engine, "commit" if point.of == "commit" else "before_cursor_execute", pass_by)


def _of_entries(wanted: Callable[[Any], bool]) -> Callable[[Sequence[Any]], bool]:
    return lambda arguments: any(wanted(entry) for entry in arguments[1])


def _always(_arguments: Sequence[Any]) -> bool:
    return True


_FUNCTIONS: dict[Inside, tuple[Any, str, Callable[[Sequence[Any]], bool]]] = {
    "work": (adapter.gateway.Gateway, "_process", _always),
    "a merge": (adapter.gateway.Gateway, "_process", _of_entries(lambda entry: entry.event == "A40")),
    "rows": (adapter.gateway.Gateway, "_process", _of_entries(lambda entry: entry.kind == "csv")),
    "a file": (adapter.gateway, "load", _always),
    "an upgrade": (adapter.gateway, "migrate", _always),
    "a push": (delivery, "push", _always),
    "a mark": (outbox, "note_pushed", _always),
    "a read-back": (delivery.Delivery, "read_back", _always),
}


# --- builds that break a promise


def _mark_first() -> None:
    """What is sent counts as sent before it is."""
    begin = push._begin

    def marked(run: Any, deliveries: Sequence[Any]) -> None:
        begin(run, deliveries)
        with push.writing(run.way.engine) as connection:
            outbox.note_pushed(connection, run.way.server.name, [(one, "1") for one in deliveries], run.way.clock_us())

    push._begin = marked


def _commit_each() -> None:
    """Each statement of an upgrade is a transaction of its own."""
    migrate = adapter.gateway.migrate

    def in_pieces(engine: Engine) -> None:
        def commit(connection: Any, *_: Any) -> None:
            connection.connection.dbapi_connection.execute("COMMIT")
            connection.connection.dbapi_connection.execute("BEGIN IMMEDIATE")

        event.listen(engine, "after_cursor_execute", commit)
        migrate(engine)
        event.remove(engine, "after_cursor_execute", commit)

    adapter.gateway.migrate = in_pieces
