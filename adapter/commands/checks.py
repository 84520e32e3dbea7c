"""What `careloop doctor` looks at: one check a part of the installation, each told with its next step."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import requests
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from adapter.commands.installation import opened
from adapter.deliver.declared import read_targets
from adapter.errors import Defect, Rejected, Unavailable, kind_of, message
from adapter.feeds import open_feeds
from adapter.fhirserver.http import new_session
from adapter.fhirserver.port import Capabilities
from adapter.fhirserver.upstream import UpstreamServer
from adapter.logs import where
from adapter.mapping.lint import lint
from adapter.model import Issue
from adapter.settings import Settings, host_port
from adapter.store import offers, retention
from adapter.store.engine import migrate, newest_revision, open_engine, reading
from adapter.store.id_key import fits
from adapter.store.search_params import PARAMS
from adapter.store.vault import name_of
from adapter.web.guard import is_loopback
from adapter.web.readiness import writable

_SPACE = 200 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found. next_step: '' where nothing is to be done."""

    what: str
    verdict: Literal["sound", "note", "unsound"]
    told: str
    next_step: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Every check, in the order in which a fault in one explains faults in the next; one that fails stops no other."""
    found: list[Finding] = []
    for what, check in _CHECKS.items():
        try:
            found += check(settings)
        except (Rejected, Unavailable, Defect) as error:
            told = message(error.issue).rpartition(" - ")[0]
            found.append(_unsound(what, told, kind_of(error.issue).next_step))
        except Exception as error:
            found.append(_unsound(what, f"the check failed: {type(error).__name__} at {where(error)}", "report it"))
    return found


def _sound(what: str, told: str) -> Finding:
    return Finding(what=what, verdict="sound", told=told)


def _unsound(what: str, told: str, next_step: str) -> Finding:
    return Finding(what=what, verdict="unsound", told=told, next_step=next_step)


def _data_dir(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir.absolute()
    elsewhere = "set CARELOOP_DATA_DIR to a folder of yours"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        yield _unsound("data folder", f"{folder} cannot be made ({error.strerror})", elsewhere)
        return
    free = shutil.disk_usage(folder).free
    if not os.access(folder, os.W_OK | os.X_OK):
        yield _unsound("data folder", f"{folder} is not writable", elsewhere)
    elif free < _SPACE:
        yield _unsound("data folder", f"{folder} has {free // 1024**2} MB free", "make room on its disk")
    else:
        yield _sound("data folder", f"{folder}, {free // 1024**3} GB free")
    store = folder / "careloop.db"
    if folder.stat().st_mode & stat.S_IXOTH and store.exists() and store.stat().st_mode & stat.S_IROTH:
        yield Finding(what="data folder", verdict="note", told="every account of this machine can read patients' records in it",
                      next_step=f"chmod 700 {folder}")


def _database(settings: Settings) -> Iterator[Finding]:
    try:
        with closing_engine(settings.database()) as engine:
            migrate(engine)
            if not writable(engine):
                yield _unsound("database", "it does not take a write", "check disk, rights, and who else holds it")
            else:
                yield _sound("database", f"{engine.dialect.name}, schema {newest_revision()}")
                yield from _raw_bytes(engine, settings)
                if not fits(engine, settings.known_key()):
                    other = kind_of(Issue(code="id-key-other", place=""))
                    yield _unsound("key of ids", other.what, other.next_step)
    except (ValueError, SQLAlchemyError) as error:
        told = str(error) if isinstance(error, ValueError) else type(error).__name__
        yield _unsound("database", told, "correct CARELOOP_DATABASE_URL")


def _raw_bytes(engine: Engine, settings: Settings) -> Iterator[Finding]:
    """Whether what is sealed can be opened, and what is to be sealed is."""
    with reading(engine) as connection:
        held, _ = retention.counts(connection)
    known = {name_of(key) for key in settings.sealing_keys()}
    if lacking := sorted(set(held) - known - {""}):
        yield _unsound("raw bytes", f"sealed with key {', '.join(lacking)}, which CARELOOP_RAW_KEYS does not have",
                       kind_of(Issue(code="raw-key-missing", place="")).next_step)
    elif known:
        open_yet = f", {held['']} of before are not: careloop raw reseal" if held.get("") else ""
        yield _sound("raw bytes", f"sealed{open_yet}")


@contextmanager
def closing_engine(url: str) -> Generator[Engine]:
    """An engine that holds no connection afterwards."""
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def _mappings(settings: Settings) -> Iterator[Finding]:
    if not settings.mappings.is_dir():
        yield _unsound("mappings", f"{settings.mappings} is not there", "set CARELOOP_MAPPINGS")
    elif found := lint(settings.mappings):
        yield _unsound("mappings", f"{len(found)} findings, first {found[0]}", "run careloop check")
    else:
        yield _sound("mappings", f"{len(open_feeds(settings.mappings).compiled)} feeds")


def _fhir_server(settings: Settings) -> Iterator[Finding]:
    if not settings.fhir_url:
        yield _sound("FHIR server", "embedded, in the same database")
        return
    try:
        with opened(settings, new=True) as gateway:
            held = gateway.delivery.server.capabilities()
            unsent = gateway.delivery.never_sent()
    except (Unavailable, Rejected) as error:
        told = message(error.issue).rpartition(" - ")[0]
        yield _unsound("FHIR server", told, "start it, or correct CARELOOP_FHIR_URL")
        return
    yield from _capabilities(held, f"FHIR server {held.software}".strip(), PARAMS.keys())
    if unsent:
        yield Finding(what="FHIR server", verdict="note", told="what was composed before it was named here never went there",
                      next_step="careloop replay where it is empty, else careloop reconcile")


def _targets(settings: Settings) -> Iterator[Finding]:
    """Servers of others take what is declared for them."""
    declared = read_targets(Path(settings.targets)) if settings.targets else ()
    for one in declared:
        what = f"target {one.name}"
        try:
            held = UpstreamServer(one.url, new_session(), one.name).capabilities()
        except (Unavailable, Rejected) as error:
            yield _unsound(what, message(error.issue).rpartition(" - ")[0], "start it, or correct its url in CARELOOP_TARGETS")
            continue
        yield from (one for one in _capabilities(held, what, one.types) if "history" not in one.told)  # which is not read there
    with closing_engine(settings.database()) as engine, reading(engine) as connection:
        left = offers.left_with(connection, [one.name for one in declared])
    for name, count in sorted(left.items()):
        undeclared = kind_of(Issue(code="target-undeclared", place=""))
        yield _unsound(f"target {name}", f"{undeclared.what}: {count}", undeclared.next_step)


def _capabilities(held: Capabilities, what: str, types: Collection[str]) -> Iterator[Finding]:
    """What we need of a server that we push to: R4, transactions, our types; ids are its own where it wants that."""
    if not held.fhir_version.startswith("4.0"):
        yield _unsound(what, f"it speaks FHIR {held.fhir_version}", "name a FHIR R4 (4.0.1) server")
    if not held.transaction:
        yield _unsound(what, "it takes no transaction", "allow system-level transactions there")
    if missing := set(types) - held.types:
        yield _unsound(what, f"it takes no {', '.join(sorted(missing))}", "allow these types there")
    if fixed := (set(types) & held.types) - held.update_create:
        yield Finding(what=what, verdict="note", told=f"it names {', '.join(sorted(fixed))} itself",
                      next_step="its ids are kept beside ours; back the database up with it")
    if not held.system_history:
        yield Finding(what=what, verdict="note", told="it gives no system history",
                      next_step="what others write there is not read back")
    yield _sound(what, f"FHIR {held.fhir_version}, {len(held.types)} types")


def _ports(settings: Settings) -> Iterator[Finding]:
    running = _answers(settings.http)
    for what, variable, address in (("web", "CARELOOP_HTTP", settings.http), ("MLLP", "CARELOOP_MLLP", settings.mllp),
                                    ("events", "CARELOOP_EVENTS", settings.events)):
        host, port = host_port(address)
        if not is_loopback(host) and not (what == "MLLP" and settings.mllp_clients):
            yield _unsound(what, f"{address} can be reached from elsewhere, and sign-in is not built yet",
                           f"set {variable} to 127.0.0.1:{port}")
        elif _free(host, port):
            yield _sound(what, f"{address} is free")
        elif running:
            yield _sound(what, f"{address} is taken by the gateway that runs here")
        else:
            yield _unsound(what, f"{address} is taken by another program", f"end it, or set {variable}")


def _free(host: str, port: int) -> bool:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError:
            return False
    return True


def _answers(address: str) -> bool:
    """Whether a gateway answers there."""
    session = requests.Session()
    session.trust_env = False  # no proxy stands between this machine and itself
    try:
        answer = session.get(f"http://{address}/healthz", timeout=2, allow_redirects=False)
        return answer.status_code == 200 and answer.json() == {"status": "ok"}
    except (requests.RequestException, ValueError):
        return False


def _java(_: Settings) -> Iterator[Finding]:
    if java := shutil.which("java"):
        yield _sound("Java", f"{java} (for tests against HAPI; the gateway needs none)")
    else:
        yield Finding(what="Java", verdict="note", told="not there; the gateway needs none",
                      next_step="for tests against HAPI install a JDK 17 and Maven")


_CHECKS = {"data folder": _data_dir, "database": _database, "mappings": _mappings, "FHIR server": _fhir_server,
           "targets": _targets, "addresses": _ports, "Java": _java}
