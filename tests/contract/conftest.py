"""The servers that the contract holds for: embedded on SQLite, embedded on PostgreSQL, and HAPI over HTTP."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
import pytest
from sqlalchemy import Engine

from adapter.fhirserver.embedded import Accept, EmbeddedServer, check_versions
from adapter.fhirserver.http import new_session
from adapter.fhirserver.naming import NamingServer
from adapter.fhirserver.port import FhirServer, Write
from adapter.fhirserver.upstream import UpstreamServer
from adapter.model import Composed
from adapter.store.engine import migrate, open_engine, writing
from adapter.store.resources import without_meta, write_resources
from tests.servers import hapi_naming_url, hapi_url, postgres_url

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


def database(kind: str, folder: Path) -> Engine:
    """A migrated store of its own."""
    engine = open_engine(postgres_url() if kind == "postgresql" else f"sqlite:///{folder / 'store.db'}")
    migrate(engine)
    return engine


def composed(write: Write) -> Composed:
    """A write as a resource that nobody else contributes to."""
    body = without_meta(write.body or {})
    return Composed(resource_type=write.resource_type, id=write.id, key=f"urn:x-test|{write.id}", person="", body=body,
                    hash=hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest(), sources={},
                    deleted=write.body is None)


def taking_as_is(engine: Engine) -> Accept:
    """What the pipeline does in earnest, without any other source: each write is the resource."""

    def accept(writes: Sequence[Write]) -> None:
        with writing(engine) as connection:
            check_versions(connection, writes)
            write_resources(connection, [composed(write) for write in writes], time.time_ns() // 1000)

    return accept


@pytest.fixture(scope="module", params=[*DATABASES, *(pytest.param(name, marks=pytest.mark.hapi)
                                                      for name in ("hapi", "hapi-naming"))])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FhirServer]:
    """Each server in turn; HAPI keeps what earlier tests wrote, so tests use names of their own (`run`)."""
    if request.param == "hapi":
        with new_session() as session:
            yield UpstreamServer(hapi_url(), session, name="hapi")
        return
    if request.param == "hapi-naming":
        engine = database("sqlite", tmp_path_factory.mktemp("store"))
        with new_session() as session:
            yield NamingServer(UpstreamServer(hapi_naming_url(), session, name="hapi"), engine)
        engine.dispose()
        return
    engine = database(request.param, tmp_path_factory.mktemp("store"))
    yield EmbeddedServer(engine, taking_as_is(engine))
    engine.dispose()


@pytest.fixture(scope="module")
def network(server: FhirServer) -> str:
    """A small network of resources to search in; the result begins each id."""
    from tests.contract.network import resources

    run = new_run()
    server.transaction([Write(resource_type=one["resourceType"], id=one["id"], body=one) for one in resources(run)])
    return run


@pytest.fixture
def run() -> str:
    """Begins the ids of one test."""
    return new_run()


def new_run() -> str:
    """A name that nothing on the server has yet; a letter first, for HAPI takes no id of digits alone."""
    return "t" + uuid.uuid4().hex[:8]
