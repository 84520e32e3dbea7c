"""A gateway that takes messages in a process of its own, to be killed: at a named point by itself, or by whoever started it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal

from sqlalchemy import event

from adapter.gateway import Gateway
from adapter.intake.arrived import Arrived
from adapter.intake.loop_thread import run_in_thread
from adapter.intake.mllp import MllpListener
from adapter.settings import Settings
from adapter.web.worker import Worker

Build = Literal["ours", "acknowledges first", "does not sync"]
"""What is run: the program as it is, or one that breaks a promise, for which the tests must fail."""
Point = Literal["", "before commit", "between commit and acknowledgement"]
KEY = "ac" * 32
FORKS = multiprocessing.get_context("forkserver")
"""Starts children from a process that has read the program already, and no thread."""
FORKS.set_forkserver_preload(["tests.acceptance.accepting", "tests.acceptance.killing", "tests.acceptance.warm"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepting:
    """A running process and the port it listens on."""

    process: BaseProcess
    port: int

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self.process.kill()
        self.process.join(60)


@contextmanager
def accepting(folder: Path, point: Point = "", at: int = 0, build: Build = "ours", work: bool = True) -> Generator[Accepting]:
    """A gateway over the store in `folder`; it kills itself at the `at`-th time it comes to a point. work: it composes, too."""
    here, there = FORKS.Pipe()
    process = FORKS.Process(target=_run, args=(there, folder, point, at, build, work))
    process.start()
    try:
        assert here.poll(120), "it did not start"
        yield Accepting(process=process, port=here.recv())
    finally:
        process.kill()
        process.join(60)


def _run(told: Connection, folder: Path, point: Point, at: int, build: Build, work: bool) -> None:
    gateway = Gateway(Settings(data_dir=folder, key=KEY))
    accept: Any = gateway.accept
    if build == "acknowledges first":
        accept = _first(gateway)
    if build == "does not sync":
        event.listen(gateway.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        gateway.engine.dispose()
    passed, taking_in = 0, 0

    def committing(_: object) -> None:
        if threading.get_ident() == taking_in:  # not the worker
            pass_by()

    def pass_by() -> None:
        nonlocal passed
        passed += 1
        if passed == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def taking(batch: list[Arrived]) -> list[bytes]:
        nonlocal taking_in
        taking_in = threading.get_ident()
        answers = accept(batch)
        if point == "between commit and acknowledgement":
            pass_by()
        return answers

    if point == "before commit":
        event.listen(gateway.engine, "commit", committing)
    worker = Worker(gateway)
    handle = run_in_thread(MllpListener("127.0.0.1", 0, taking, refuse=gateway.refuse))
    if work:
        worker.start()
    told.send(handle.port)
    threading.Event().wait()


def _first(gateway: Gateway) -> Any:
    """Acknowledge, then store."""
    waiting: SimpleQueue[list[Arrived]] = SimpleQueue()

    def store() -> None:
        while True:
            batch = waiting.get()
            time.sleep(0.01)
            gateway.accept(batch)

    def accept(batch: list[Arrived]) -> list[bytes]:
        waiting.put(batch)
        return [b"MSH|^~\\&|||||||ACK|1|P|2.5.1\rMSA|AA|" + one.raw.split(b"|", 10)[9] + b"\r" for one in batch]

    threading.Thread(target=store, daemon=True).start()
    return accept
