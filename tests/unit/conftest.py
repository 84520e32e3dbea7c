"""What unit tests share: stores whose view tables stand, in which nothing stays; a client and a subscriber of a gateway."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Connection, Engine

from adapter.gateway import Gateway
from adapter.web.app import create_app
from tests.receiver import Receiver, receiving
from tests.servers import postgres_url
from tests.unit.gap_checks import rolled_back, store


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A store on SQLite with empty view tables; whoever writes there rolls it back."""
    return store(f"sqlite:///{tmp_path_factory.mktemp('gaps') / 'gaps.db'}")


@pytest.fixture(scope="session")
def postgresql() -> Engine:
    """The same on PostgreSQL."""
    return store(postgres_url())


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each of the two."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def empty(sqlite: Engine) -> Iterator[Connection]:
    """Empty view tables for one test."""
    with rolled_back(sqlite) as connection:
        yield connection


@pytest.fixture
def client(gateway: Gateway) -> FlaskClient:
    """A client of the test's own gateway."""
    return create_app(gateway).test_client()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A subscriber's server."""
    with receiving() as server:
        yield server
