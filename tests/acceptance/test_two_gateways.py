"""Two gateways as processes on one PostgreSQL: one is killed at work, and the other takes over within a lease.

CARELOOP_KILLS above 10 (`make kill`): the one that is killed is also of another machine, whose turn to push has to run out.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from adapter.store import lanes, targets
from adapter.store.engine import open_engine, reading
from adapter.store.schema import JOURNAL, LANE, OUTBOX, TARGET
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
SLACK = 20
"""Seconds for the work itself."""


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
            with running(tmp_path / "b", environment, "serve") as second:
                give(first, first_left)
                give(second, second_left)
                first.killed()
                killed = time.monotonic()
                with reading(engine) as connection:
                    assert connection.scalar(select(func.count()).select_from(LANE).where(LANE.c.owner != "")), "it had claimed"
                    turn = connection.scalars(select(TARGET.c.owner)).one()
                assert turn.startswith(host)
                give(second, first_left)
                assert (first_left, second_left) == ([], [])

                def composed() -> bool | None:
                    with reading(engine) as connection:
                        waits = connection.execute(select(JOURNAL.c.id).where(JOURNAL.c.state == "waiting").limit(1)).first()
                    return None if waits else True

                until(composed, lanes.LEASE_US / 1_000_000 + SLACK)
                print(f"composed {time.monotonic() - killed:.1f} s after the kill")  # noqa: T201 - `make kill` shows it
                settled(url, (targets.LEASE_US / 1_000_000 if host else 0) + SLACK)
                print(f"pushed {time.monotonic() - killed:.1f} s after the kill")  # noqa: T201 - the same
                with reading(engine) as connection:
                    assert not connection.execute(select(OUTBOX.c.id).limit(1)).first()
                assert second.terminate() == 0
        state, there = calm(tmp_path / "calm", MESSAGES)
        assert_same(store_state(url), state)
        assert_there(server_state(server), there)
    engine.dispose()
