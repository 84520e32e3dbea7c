"""Lists of many persons: left until nothing else waits, never forgotten, and of large ones not each change is told at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from sqlalchemy import event, select

from adapter.engine.lists import REST_US, compose_list
from adapter.gateway import Gateway
from adapter.intake.decisions import Withdrawal
from adapter.pipeline import microseconds
from adapter.settings import Settings
from adapter.store import findings as noticed
from adapter.store import lists
from adapter.store.engine import reading, writing
from adapter.store.schema import RESOURCE, RESOURCE_VERSION

HEADER = "member_id,first_name,last_name,birth_date,program,attributed_org,updated_at\n"
Opener = Callable[[], Gateway]


@pytest.fixture(name="opened")
def _opened(tmp_path: Path) -> Iterator[Opener]:
    """Opens the gateway of one folder, again and again."""
    ticks = iter(range(10**6))
    open_ones: list[Gateway] = []

    def open_it() -> Gateway:
        start = datetime(2026, 3, 20, 12, tzinfo=UTC)
        gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32), lambda: start + timedelta(seconds=next(ticks)))
        open_ones.append(gateway)
        return gateway

    yield open_it
    for gateway in open_ones:
        gateway.close()


def members(*numbers: int, organization: str = "A", day: int = 1) -> bytes:
    return (HEADER + "".join(f"M{n},Ada,Ashgrove,1990-01-01,p,{organization},2026-03-{day:02d}\n" for n in numbers)).encode()


def on_lists(gateway: Gateway) -> dict[str, int]:
    """How many each list that stands has on it."""
    query = select(RESOURCE.c.key, RESOURCE.c.body).where(RESOURCE.c.resource_type == "Group", RESOURCE.c.deleted == 0)
    with reading(gateway.engine) as connection:
        return {row.key.rpartition("/")[2]: len(orjson.loads(row.body).get("member", ())) for row in connection.execute(query)}


def versions(gateway: Gateway) -> int:
    with reading(gateway.engine) as connection:
        return len(connection.execute(select(RESOURCE_VERSION).where(RESOURCE_VERSION.c.resource_type == "Group")).all())


def test_while_rows_wait_lists_are_left(opened: Opener) -> None:
    gateway = opened()
    gateway.load("members", members(1, 2, 3, 4, 5, 6), "a.csv")
    for _ in range(3):
        assert gateway.work(2) == 2
        assert on_lists(gateway) == {}
    assert gateway.work(2) == 1
    assert on_lists(gateway) == {"A": 6}
    assert (versions(gateway), gateway.work(2)) == (1, 0)


def test_a_row_alone_is_on_its_list_at_once(opened: Opener) -> None:
    gateway = opened()
    for n in (1, 2):
        gateway.load("members", members(n), f"{n}.csv")
        gateway.work()
        assert on_lists(gateway) == {"A": n}


def test_lists_noted_before_a_kill_are_composed_after_it(opened: Opener) -> None:
    first = opened()
    first.load("members", members(1, 2), "a.csv")
    first.work(2)
    first.close()
    second = opened()
    second.work()
    assert on_lists(second) == {"A": 2}


def test_whoever_goes_to_another_list_leaves_the_first(opened: Opener) -> None:
    gateway = opened()
    for name, rows in (("a", members(1, 2, 3)), ("b", members(2, organization="B", day=2))):
        gateway.load("members", rows, name)
        while gateway.work(1):
            pass
    assert on_lists(gateway) == {"A": 2, "B": 1}


def test_what_is_withdrawn_leaves_no_list(opened: Opener) -> None:
    gateway = opened()
    gateway.load("members", members(1, 2, 3), "a.csv")
    gateway.work()
    gateway.operators.withdraw(Withdrawal(feed="members", by="test", reason="test"))
    assert on_lists(gateway) == {}


def test_a_large_list_rests_after_it_was_composed_unless_somebody_asks_for_all(opened: Opener) -> None:
    gateway = opened()
    gateway.load("members", members(1, 2, 3), "a.csv")
    gateway.work(3)
    now = microseconds(gateway.clock())
    with writing(gateway.engine) as connection:
        [one] = lists.stale(connection, now)
        compose_list(connection, one, gateway.feeds, gateway.key, now, small=2)
        lists.note(connection, [one])
        assert lists.stale(connection, now) == []
        assert lists.stale(connection, now + 3 * REST_US) == lists.stale(connection) == [one]
        lists.composed(connection, one, 0)
        assert lists.stale(connection) == []
        lists.note(connection, [one])
        lists.put_off(connection, one, now + 3_600_000_000)
    gateway.load("members", members(4), "b.csv")
    while gateway.work():
        pass
    assert on_lists(gateway) == {"A": 3}
    assert gateway.lists.compose() == 1
    assert on_lists(gateway) == {"A": 4}


def test_what_wants_a_new_resource_is_found_by_an_index(opened: Opener) -> None:
    engine, plans = opened().engine, list[str]()
    with reading(engine) as connection:
        event.listen(engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: plans.append(statement))
        noticed.wanting(connection, ["Patient/a", "Patient/b"])
        asked = re.sub(r"\?", "'x'", plans[-1])
        steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}").all()
    assert steps[0].detail == "SEARCH finding USING INDEX finding_by_detail (code=? AND detail=?)"
