"""The view tables: kept up to date on write, the same as rebuilt, made again when definitions change."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete, insert, inspect

from adapter.gaps import tables
from adapter.gaps.catalog import VIEWS, open_catalog
from adapter.store.engine import migrate, open_engine
from adapter.store.schema import RESOURCE
from tests.fuzz import examples
from tests.servers import postgres_url
from tests.unit.gap_checks import composed
from tests.unit.gap_network import NOWS, Resource, network
from tests.unit.gap_rules_known import SUBJECTS

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(scope="module", params=DATABASES)
def engine(request: Any, tmp_path_factory: Any) -> Engine:
    folder = tmp_path_factory.mktemp("tables")
    engine = open_engine(postgres_url() if request.param == "postgresql" else f"sqlite:///{folder / 'tables.db'}")
    migrate(engine)
    return engine


def store(connection: Connection, resources: list[Resource]) -> None:
    connection.execute(delete(RESOURCE))
    rows = [{"resource_type": r["resourceType"], "id": r["id"], "key": "", "person": "", "version": 1, "hash": "",
             "deleted": 0,
             "updated": 0, "body": orjson.dumps(r).decode(), "sources": "{}"} for r in resources]
    if rows:
        connection.execute(insert(RESOURCE), rows)


def content(connection: Connection) -> dict[str, list[str]]:
    names = sorted(open_catalog().views)
    return {name: sorted(map(repr, connection.exec_driver_sql(f"SELECT * FROM {tables.PREFIX}{name}").all()))
            for name in names}


@given(st.integers(0, 10**9))
@settings(max_examples=examples(30, 40))
def test_rows_kept_up_to_date_equal_rows_rebuilt(engine: Engine, seed: int):
    random = Random(seed)
    resources = network(random, SUBJECTS, NOWS[-1])
    with engine.begin() as connection:
        tables.prepare(connection)
        store(connection, [])
        tables.rebuild(connection)
        tables.refresh(connection, [composed(r) for r in resources])
        gone = [r for r in resources if random.random() < 0.3]
        left = [r for r in resources if r not in gone]
        again = [r for r in left if random.random() < 0.3]
        tables.refresh(connection, [*(composed(r, deleted=True) for r in gone), *(composed(r) for r in again + again)])
        kept = content(connection)
        store(connection, left)
        tables.rebuild(connection)
        assert content(connection) == kept


def test_tables_are_made_once_and_again_when_a_definition_changes(engine: Engine, tmp_path: Path):
    changed = tmp_path / "views"
    shutil.copytree(VIEWS, changed)
    definition = orjson.loads((changed / "organization.json").read_bytes())
    definition["select"][0]["column"].append({"name": "called", "path": "alias.exists()", "type": "boolean"})
    (changed / "organization.json").write_bytes(orjson.dumps(definition))
    (changed / "stay.json").unlink()
    catalog = open_catalog(folder=changed)
    with engine.begin() as connection:
        tables.prepare(connection)
        assert not tables.prepare(connection)
        store(connection, [{"resourceType": "Organization", "id": "o"}])
        assert tables.prepare(connection, catalog)
        assert connection.exec_driver_sql("SELECT resource_id, called FROM view_organization").all() == [("o", 0)]
        assert "view_stay" not in inspect(connection).get_table_names()
        assert not tables.is_current(connection)
        assert tables.prepare(connection)
        assert tables.is_current(connection)


def test_a_resource_of_a_type_without_views_is_passed_over(engine: Engine):
    with engine.begin() as connection:
        tables.prepare(connection)
        before = content(connection)
        tables.refresh(connection, [composed({"resourceType": "Basic", "id": "b"})])
        assert content(connection) == before
