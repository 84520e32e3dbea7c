"""What property tests share: an installation that each example empties."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from adapter.gateway import Gateway
from tests.stands import installation


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One installation; each example empties it."""
    with closing(installation(tmp_path_factory.mktemp("installation"))) as gateway:
        yield gateway
