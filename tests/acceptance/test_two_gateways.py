"""Two gateways as processes on one PostgreSQL: one is killed at work, and the other takes over within a lease.

CARELOOP_KILLS above 10 (`make kill`): the one that is killed is also of another machine, whose turn to push has to run out.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, Select, select

from adapter.store import lanes, targets
from adapter.store.engine import open_engine, reading
from adapter.store.schema import LANE, TARGET
from tests.acceptance.accepting import KEY
from tests.acceptance.after_kills import assert_same, assert_there, calm, server_state, settled, store_state
from tests.acceptance.killing import Point, running
from tests.acceptance.served import until
from tests.acceptance.test_kill_points import give
from tests.contract.test_lanes import adt
from tests.faulty import fhir_stand_in
from tests.servers import postgres_url

pytestmark = pytest.mark.postgres
HOSTS = ["", "elsewhere"] if int(os.environ.get("CARELOOP_KILLS", "0")) > 10 else [""]
MESSAGES = [*(adt(1 + n % 10, "A31" if n >= 10 else "A28", minute=n) for n in range(60)),
            adt(3, "A40", minute=70, old=4), adt(5, "A40", minute=71, old=3)]
SLACK = 40
"""Seconds until the other looks, on a busy machine."""


@pytest.mark.parametrize("host", HOSTS)
def test_one_of_two_is_killed_and_the_other_takes_over_within_a_lease(tmp_path: Path, host: str) -> None:
    url = postgres_url()
    engine = open_engine(url)
    with fhir_stand_in() as server:
        environment = {"CARELOOP_DATABASE_URL": url, "CARELOOP_KEY": KEY, "CARELOOP_FHIR_URL": server.url}
        first_left, second_left = list(MESSAGES[:30]), list(MESSAGES[30:])
        with running(tmp_path / "a", environment, "serve", point=Point(inside="work", at=40), host=host) as first:
            assert first.mllp
            settled(url)  # it has its turn to push before there is another one
            of_the_dead = f" {first.process.pid} "
            with running(tmp_path / "b", environment, "serve") as second:
                beside = threading.Thread(target=give, args=(second, second_left))
                beside.start()
                give(first, first_left)
                first.killed()
                killed = time.monotonic()
                claimed = select(LANE.c.name).where(LANE.c.owner.contains(of_the_dead))
                assert there_is(engine, claimed), "it was killed with work claimed"
                give(second, first_left)
                until(lambda: None if there_is(engine, claimed) else True, lanes.LEASE_US / 1_000_000 + SLACK)
                print(f"work taken over {time.monotonic() - killed:.1f} s after the kill")  # noqa: T201 - `make kill` shows it
                turn = select(TARGET.c.owner).where(TARGET.c.owner.contains(of_the_dead))
                until(lambda: None if there_is(engine, turn) else True, targets.LEASE_US / 1_000_000 * bool(host) + SLACK)
                print(f"pushing taken over {time.monotonic() - killed:.1f} s after the kill")  # noqa: T201 - the same
                beside.join(120)
                assert (first_left, second_left) == ([], [])
                settled(url)
                assert second.terminate() == 0
        state, there = calm(tmp_path / "calm", MESSAGES)
        assert_same(store_state(url), state)
        assert_there(server_state(server), there)
    engine.dispose()


def there_is(engine: Engine, query: Select[Any]) -> bool:
    """Whether it finds anything."""
    with reading(engine) as connection:
        return connection.execute(query.limit(1)).first() is not None
