"""`serve`: web, MLLP and worker in one process, or one of them alone; started in order, stopped without loss."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Literal

import click
from flask import Flask

from adapter.errors import Unavailable, message
from adapter.gateway import Gateway
from adapter.intake.loop_thread import run_in_thread
from adapter.memory import tune_memory
from adapter.settings import Settings, host_port
from adapter.web.event_stream import EventStream
from adapter.web.guard import is_loopback
from adapter.web.mllp import listener_of, tls_of
from adapter.web.notifier import Notifier
from adapter.web.server import WebServer, listen
from adapter.web.worker import Worker, watching

Part = Literal["web", "mllp", "delivery", "events"]
CreateApp = Callable[[Gateway, Callable[[], None]], Flask]
Prepare = Callable[[Gateway, Callable[[], bool]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the parts listen; a port may be 0 (any free one)."""

    http: tuple[str, int]
    mllp: tuple[str, int]
    events: tuple[str, int]


def addresses(settings: Settings) -> Addresses:
    """Read the addresses. Raises ValueError, saying what to set: no address, or one that anybody can reach."""
    read: list[tuple[str, int]] = []
    for variable, text in (("CARELOOP_HTTP", settings.http), ("CARELOOP_MLLP", settings.mllp),
                           ("CARELOOP_EVENTS", settings.events)):
        try:
            host, port = host_port(text)
        except ValueError:
            raise ValueError(f"{variable}={text} is not host:port - write 127.0.0.1:8000") from None
        if not 0 <= port < 65536:
            raise ValueError(f"{variable}={text} has no such port - write 127.0.0.1:8000")
        known = variable == "CARELOOP_MLLP" and bool(settings.mllp_clients)  # who sends shows a certificate
        if not known and not is_loopback(host):
            raise ValueError(f"{variable}={text} can be reached from other machines, and sign-in is not built yet: "
                             f"anybody could read patients' records - set {variable}=127.0.0.1:{port}")
        read.append((host, port))
    return Addresses(http=read[0], mllp=read[1], events=read[2])


def serve(settings: Settings, create_app: CreateApp, *, only: Part | None = None, prepare: Prepare | None = None,
          stop: Event | None = None) -> int:
    """Serve until SIGTERM, SIGINT, or `stop` is set; the exit code: 0 stopped, 1 cannot start, 2 wrong settings.

    prepare: called with the open gateway, and whether to stop, before anything arrives.
    """
    try:
        where = addresses(settings)
        tls_of(settings)
    except ValueError as error:
        click.echo(f"Error: {error}", err=True)
        return 2
    ended = stop or Event()
    try:
        with ExitStack() as stack:
            if stop is None:
                stack.enter_context(_signals(ended))
            _start(stack, settings, where, create_app, ended, only=only, prepare=prepare)
            ended.wait()
            click.echo("stopping: finishing what was begun", err=True)
    except Unavailable as error:
        click.echo(f"Error: {message(error.issue)} [{error.issue.code}]", err=True)
        return 1
    return 0


def _start(stack: ExitStack, settings: Settings, where: Addresses, create_app: CreateApp, ended: Event, *,
           only: Part | None, prepare: Prepare | None) -> None:
    """Start the parts; the stack stops them in the opposite order: intake first, then the worker, then the store."""
    bound = stack.enter_context(listen(*where.http)) if only in (None, "web") else None
    gateway = stack.enter_context(closing(Gateway(settings)))
    tune_memory()
    gateway.publish()
    if prepare is not None:
        prepare(gateway, ended.is_set)
    http = mllp = events = ""
    wakes: list[Callable[[], None]] = []
    if only in (None, "events"):
        stream = EventStream(*where.events, gateway.engine)
        stack.callback(run_in_thread(stream, "events").stop)
        wakes.append(stream.wake)
        events = f"{_bracketed(where.events[0])}:{stream.port}"

    def told() -> None:
        for wake in wakes:
            wake()

    worker = Worker(gateway, told)
    if only in ("web", "mllp"):  # no worker looks at the mappings here
        watch = watching(gateway)
        stack.callback(watch.stop)
        watch.start()
    if only in (None, "delivery"):
        notifier = Notifier(gateway.subscriptions)
        wakes.append(notifier.wake)
        for part in (notifier, worker):
            stack.callback(part.stop)
            part.start()
    if only in (None, "mllp"):
        handle = run_in_thread(listener_of(settings, where.mllp, gateway, worker.wake))
        stack.callback(handle.stop)
        mllp = f"{_bracketed(where.mllp[0])}:{handle.port}"
    if bound is not None:
        web = WebServer(create_app(gateway, worker.wake), bound)
        stack.callback(web.stop)
        web.start()
        http = f"{_bracketed(where.http[0])}:{web.port}"
    click.echo(banner(http, mllp, settings.fhir_url, events))
    sys.stdout.flush()


def banner(http: str, mllp: str, target: str, events: str = "") -> str:
    """What to open and what to try; '' for an address whose part does not run."""
    command = sys.argv[0] if Path(sys.argv[0]).name == "careloop" else ".venv/bin/careloop"
    lines = ["CareLoop is running; stop it with Ctrl-C."]
    if http:
        lines += [f"  open  http://{http}/gaps           the open gaps of all members",
                  f"        http://{http}/               the last messages, and where each stands",
                  f"        http://{http}/fhir/metadata  the FHIR interface"]
    if mllp:
        lines += [f"  try   {command} send {mllp} fixtures/hl7v2/A01/admission.hl7"]
    if http:
        lines += [f"  try   {command} gaps --all",
                  f"        curl -H 'Content-Type: text/plain' --data-binary @fixtures/hl7v2/A01/admission.hl7 http://{http}/hl7v2"]
    if events:
        lines += [f"        curl -N http://{events}/events   what happens to gaps, as it happens"]
    if target:
        lines += ["  what is composed is pushed to the FHIR server that CARELOOP_FHIR_URL names"]
    return "\n".join(lines)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@contextmanager
def _signals(ended: Event) -> Generator[None]:
    """SIGTERM and SIGINT set the event; a second one ends at once."""

    def end(_number: int, _frame: object) -> None:
        for number in before:
            signal.signal(number, signal.SIG_DFL)
        ended.set()

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
