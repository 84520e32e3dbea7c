"""What every test shares: absent material skips loudly with a reason, or fails where everything is required."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.fuzz import PROFILE
from tests.needs import unmet
from tests.new_stores import made_once
from tests.servers import hapi_missing, postgres_missing

settings.load_profile(PROFILE)

ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("CARELOOP_SHARED", ROOT.parent / "shared"))


def _missing(mark: str) -> str:
    if mark == "shared":
        return "" if (SHARED / "samples").is_dir() else \
            f"no reference material at {SHARED}: set CARELOOP_SHARED to where it is"
    return {"hapi": hapi_missing, "postgres": postgres_missing}[mark]()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of several workers (`make test`) one takes a file as a whole, and one takes all that need HAPI, which it starts once."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "hapi" if _needs_hapi(ROOT / file) else file

    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


@cache
def _needs_hapi(file: Path) -> bool:
    """Whether tests of the file are marked so, by itself or by the conftest beside it."""
    return any("mark.hapi" in one.read_text(encoding="utf-8") for one in (file, file.with_name("conftest.py")) if one.exists())


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose needs are absent; fail it instead where CARELOOP_REQUIRE_ALL=1."""
    for mark in ("shared", "hapi", "postgres"):
        if item.get_closest_marker(mark):
            absent = _missing(mark)
            if absent:
                unmet(absent)


@pytest.fixture(scope="session", autouse=True)
def _new_stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with made_once(tmp_path_factory.mktemp("new")):
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference material."""
    return SHARED


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No CARELOOP_ variable of the caller's shell reaches a test."""
    for name in list(os.environ):
        if name.startswith("CARELOOP_") and name not in ("CARELOOP_SHARED", "CARELOOP_REQUIRE_ALL", "CARELOOP_TEST_HAPI"):
            monkeypatch.delenv(name)
