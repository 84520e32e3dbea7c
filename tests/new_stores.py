"""What each test's gateway needs anew and is always the same: an empty store, and the program's own feeds. It is made once.

Half the time of a test of the gateway went into it. Processes that tests start make their own, and so do tests of the schema.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unittest.mock import patch

from sqlalchemy import Engine

from adapter.feeds import Feeds, open_feeds
from adapter.gaps.tables import prepare
from adapter.home import HOME
from adapter.store.engine import migrate, open_engine, writing


@contextmanager
def made_once(folder: Path) -> Generator[None]:
    """Gateways of this process begin with a copy of a store that was made in the folder as they make theirs."""
    made = folder / "new.db"
    engine = open_engine(f"sqlite:///{made}")
    migrate(engine)
    with writing(engine) as connection:
        prepare(connection)
    engine.dispose()

    def migrated(engine: Engine) -> None:
        file = Path(engine.url.database or "") if engine.dialect.name == "sqlite" else made
        if not file.exists():
            shutil.copy(made, file)
        migrate(engine)

    with patch("adapter.gateway.migrate", migrated), patch("adapter.installation.mappings.open_feeds", _feeds):
        yield


def _feeds(mappings: Path) -> Feeds:
    return _own() if mappings == HOME / "mappings" else open_feeds(mappings)


@cache
def _own() -> Feeds:
    return open_feeds(HOME / "mappings")
