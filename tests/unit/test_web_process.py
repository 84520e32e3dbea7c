"""The process around the application: socket, graceful stop, worker, addresses."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests
from flask import Flask
from pydantic import ValidationError

from adapter.errors import Unavailable
from adapter.settings import Settings
from adapter.web.guard import is_loopback
from adapter.web.serve import addresses, banner
from adapter.web.server import WebServer, listen
from adapter.web.worker import Step, Worker


def _server(app: Flask) -> WebServer:
    server = WebServer(app, listen("127.0.0.1", 0))
    server.start()
    return server


def test_stop_finishes_the_request_at_hand() -> None:
    begun, stopping = threading.Event(), threading.Event()
    app = Flask("test")

    @app.get("/slow")
    def slow() -> str:
        begun.set()
        assert stopping.wait(20)
        stopper.join(0.5)  # a stop that does not wait for us is over by now
        return "whole"

    server = _server(app)
    stopper = threading.Thread(target=server.stop)
    answers: list[str] = []

    def ask() -> None:
        answers.append(requests.get(f"http://127.0.0.1:{server.port}/slow", timeout=30).text)

    asker = threading.Thread(target=ask)
    asker.start()
    assert begun.wait(20)
    stopper.start()
    stopping.set()
    stopper.join(30)
    asker.join(30)
    assert answers == ["whole"]


def test_nothing_listens_after_stop() -> None:
    server = _server(Flask("test"))
    server.stop()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", server.port), 5)


def test_a_taken_port_says_what_to_do() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(Unavailable, match="free the port") as refused:
        listen("127.0.0.1", taken.getsockname()[1])
    assert refused.value.issue.code == "address-unusable"


class _Scripted:
    """A gateway whose steps do what the script says: a number is work done, an exception is raised."""

    def __init__(self, work: list[int | Exception]) -> None:
        self._work = work
        self.worked: list[str] = []
        self.done = threading.Event()
        self.delivery = SimpleNamespace(push=self._step("deliver"), read_back=self._step("read-back"),
                                        look_again=self._step("conflicts"))
        self.subscriptions = SimpleNamespace(prune=self._step("prune"))
        self.gaps = SimpleNamespace(keep=self._step("gaps"), sweep=self._step("sweep"), catch_up=self._step("catch-up"))
        self.disclosing = SimpleNamespace(push=self._step("disclose"), sweep=self._step("permissions"))
        self.retention = SimpleNamespace(keep=self._step("retention"))
        self.reread = lambda: None
        self.silence = SimpleNamespace(news=lambda: ((), ()))

    def work(self) -> int:
        self.worked.append("work")
        if not self._work:
            self.done.set()
            return 0
        now = self._work.pop(0)
        if isinstance(now, Exception):
            raise now
        return now

    def _step(self, name: str) -> Callable[..., int]:
        def step(*_: object) -> int:
            self.worked.append(name)
            return 0
        return step


def test_the_worker_goes_on_after_failures(capsys: pytest.CaptureFixture[str]) -> None:
    script: list[int | Exception] = [3, Unavailable("server-unavailable", retry_after=0.01), ValueError("Zzyzx"), 1]
    gateway = _Scripted(script)
    worker = Worker(cast("Any", gateway))
    worker.start()
    assert gateway.done.wait(20)
    worker.stop()
    told = capsys.readouterr().err
    assert "server-unavailable" in told
    assert '"exception":"ValueError"' in told
    assert "Zzyzx" not in told
    assert {"gaps", "sweep", "catch-up", "deliver", "read-back", "conflicts", "disclose", "permissions", "retention",
            "prune"} <= set(gateway.worked)


def test_a_step_that_takes_long_comes_less_often_if_it_says_so() -> None:
    now, took, ran = 100.0, 0.1, 0

    def call() -> int:
        nonlocal now, ran
        now, ran = now + took, ran + 1
        return 1

    step = Step("read-back", call, every=5.0, longest=60.0, clock=lambda: now)
    pauses: list[float] = []
    for took in (0.1, 2.0, 30.0):
        assert step.run() == 1
        before, ended = ran, now
        while not step.run():
            now += 0.5
        pauses.append(round(now - took - ended))
        assert ran == before + 1
        now += 100
    assert pauses == [5, 20, 60]


@pytest.mark.parametrize(("host", "expected"), [
    ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True),
    ("0.0.0.0", False), ("::", False), ("192.0.2.7", False), ("no-such-host.invalid", False),
])
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(("http", "mllp", "told"), [
    ("0.0.0.0:8000", "127.0.0.1:2575", "CARELOOP_HTTP"), ("127.0.0.1:8000", "192.0.2.7:2575", "CARELOOP_MLLP"),
])
def test_other_addresses_are_refused(http: str, mllp: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        addresses(Settings(http=http, mllp=mllp))


@pytest.mark.parametrize(("name", "value"), [("http", "127.0.0.1:web"), ("mllp", "127.0.0.1:70000"), ("http", "127.0.0.1")])
def test_what_is_no_address_is_refused_as_a_setting(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match="not host:port") as refused:
        Settings.model_validate({name: value})
    assert [error["loc"] for error in refused.value.errors()] == [(name,)]


def test_the_banner_names_what_runs_only() -> None:
    assert "MLLP" not in banner("127.0.0.1:8000", "", "")
    assert "http" not in banner("", "127.0.0.1:2575", "")
