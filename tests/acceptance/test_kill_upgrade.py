"""Killed while a store of an older program is brought to the newest schema, with rows in it: the next start does it whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Engine, MetaData, select

from adapter.gateway import Gateway
from adapter.settings import Settings
from adapter.store import engine as store
from adapter.store.engine import current_revision, migrate, newest_revision, open_engine, reading, writing
from tests.acceptance.after_kills import assert_same, settled, store_state, store_url
from tests.acceptance.killing import Build, Point, running
from tests.contract.conftest import DATABASES
from tests.contract.test_upgrade import REVISIONS, STORES, fill, filled, stored_rows

KEY = "00" * 32
POINTS = (*(Point(inside="an upgrade", at=at) for at in (1, 8, 20, 35, 50)), Point(inside="an upgrade", of="commit"))


def older(url: str, revision: str) -> Engine:
    """The store as a program of that revision made it."""
    engine = open_engine(url)
    with writing(engine) as connection:
        config = store._config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    return engine


def everything(engine: Engine) -> dict[str, Any]:
    """Tables, their columns and indexes, and every row."""
    with reading(engine) as connection:
        metadata = MetaData()
        metadata.reflect(connection)
        return {name: ([f"{c.name} {c.type} {c.nullable}" for c in table.columns], sorted(str(one.name) for one in table.indexes),
                       sorted(repr(tuple(row)) for row in connection.execute(select(table))))
                for name, table in metadata.tables.items()}


def killed(folder: Path, cut: Engine, build: Build = "ours") -> None:
    """An upgrade that is cut off at every point in turn. AssertionError where that leaves anything but the older store."""
    before, url = everything(cut), cut.url.render_as_string(False)
    for point in POINTS:
        with running(folder, {"CARELOOP_KEY": KEY, "CARELOOP_DATABASE_URL": url}, "serve", point=point, build=build) as gateway:
            gateway.killed()
        assert everything(cut) == before, "neither the older store nor the newer"


@pytest.mark.parametrize("kind", DATABASES)
def test_killed_in_mid_upgrade(tmp_path: Path, kind: str) -> None:
    """Every table full, from the first schema: whole before, whole after, nothing between."""
    calm, cut = (older(store_url(kind, tmp_path / name), REVISIONS[0]) for name in ("calm", "cut"))
    for engine in (calm, cut):
        fill(engine, filled)
    killed(tmp_path, cut)
    migrate(calm)
    migrate(cut)
    assert current_revision(cut) == newest_revision()
    assert everything(cut) == everything(calm)
    for engine in (calm, cut):
        engine.dispose()


@pytest.mark.parametrize("kind", DATABASES)
def test_what_waited_in_the_older_store_is_composed_after_the_kills(tmp_path: Path, kind: str) -> None:
    path = STORES[-1]
    calm, cut = (store_url(kind, tmp_path / name) for name in ("calm", "cut"))
    for url in (calm, cut):
        engine = older(url, path.stem)
        fill(engine, stored_rows(path))
        engine.dispose()
    gateway = Gateway(Settings(data_dir=tmp_path, key=KEY, database_url=calm))  # pyright: ignore[reportCallIssue]  # the settings fill the rest
    while gateway.work():
        pass
    gateway.close()
    environment = {"CARELOOP_KEY": KEY, "CARELOOP_DATABASE_URL": cut}
    for point in (Point(inside="an upgrade", at=3), Point(inside="an upgrade", of="commit")):
        with running(tmp_path / "cut", environment, "serve", point=point) as serving:
            serving.killed()
    with running(tmp_path / "cut", environment, "serve") as serving:
        settled(cut, pushes=False)
        assert serving.terminate() == 0
    assert_same(store_state(cut), store_state(calm))


def test_a_build_that_upgrades_in_pieces_fails_the_same_test(tmp_path: Path) -> None:
    engine = older(store_url("sqlite", tmp_path / "cut"), REVISIONS[0])
    fill(engine, filled)
    with pytest.raises(AssertionError, match="neither the older store nor the newer"):
        killed(tmp_path, engine, "upgrades in pieces")
    engine.dispose()
