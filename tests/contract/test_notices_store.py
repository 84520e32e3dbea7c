"""Notices and subscriptions in the store, on SQLite and on PostgreSQL: numbers rise without gaps, whoever writes at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from adapter.engine.telling import tell
from adapter.store import notices, subscriptions
from adapter.store.engine import reading, writing
from adapter.store.notices import Notice
from adapter.store.subscriptions import Subscribed
from tests.contract.conftest import DATABASES, database
from tests.receiver import subscription

WRITERS, EACH = 4, 10


@pytest.fixture(name="engine", params=DATABASES)
def _engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = database(request.param, tmp_path_factory.mktemp("notices"))
    yield engine
    engine.dispose()


def notice(name: str, rule: str = "G01") -> Notice:
    return Notice(at=1, topic="gap-life", what="opened", focus=f"Task/{name}", subject="Patient/p",
                  keys={"code": [f"urn:x-careloop:rule|{rule}"]})


def one(name: str, *filters: str) -> Subscribed:
    body = subscription("https://care.example.org/x", *filters)
    return Subscribed(id=name, body=body, status="active", version=1, updated=1, base="http://localhost/fhir",
                      recipients=("*",))


def test_numbers_have_no_gaps_whoever_writes_at_once(engine: Engine) -> None:
    with writing(engine) as connection:
        subscriptions.put(connection, one("all"))
        subscriptions.put(connection, one("some", "Task?code=G02"))
    seen: list[list[int]] = []
    done = threading.Event()

    def write(writer: int) -> None:
        for n in range(EACH):
            with writing(engine) as connection:
                tell(connection, [notice(f"{writer}-{n}"), notice(f"{writer}-{n}-b", "G02")], 7)

    def follow() -> None:
        last = 0
        over = False
        while not over or seen[-1]:
            over = done.is_set()  # asked before it is read: what was written until then is read
            with reading(engine) as connection:
                found = [n.seq for n in notices.after(connection, last, 1000)]
            seen.append(found)
            last = max(found, default=last)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    follower = threading.Thread(target=follow)
    for thread in (follower, *threads):
        thread.start()
    for thread in threads:
        thread.join(120)
    done.set()
    follower.join(120)
    read = [seq for part in seen for seq in part]
    assert len(read) == len(set(read)) == 2 * WRITERS * EACH  # who has seen a number has seen all that are lower
    assert read == sorted(read)
    with reading(engine) as connection:
        for name, count in (("all", 2 * WRITERS * EACH), ("some", WRITERS * EACH)):
            told = subscriptions.events(connection, name, 1)
            assert [number for number, _ in told] == [*range(1, count + 1)]
            assert [n.seq for _, n in told] == sorted(n.seq for _, n in told)
            standing = subscriptions.read(connection, name)
            assert standing is not None
            assert (standing.events, standing.sent, standing.due) == (count, 0, 7)


def test_what_was_sent_is_noted_unless_it_changed_meanwhile(engine: Engine) -> None:
    with writing(engine) as connection:
        subscriptions.put(connection, one("s"))
        tell(connection, [notice("a"), notice("b")], 7)
        before = subscriptions.read(connection, "s")
        assert before is not None
        subscriptions.sent(connection, before, 1, 9, None)
        after = subscriptions.read(connection, "s")
        assert after is not None
        assert (after.sent, after.due, subscriptions.due(connection, 9), subscriptions.waiting(connection)) == (1, 9, ["s"], 1)
        subscriptions.failed(connection, after, "active", 50, "receiver-unavailable HTTP 500")
        tell(connection, [notice("c")], 20)
        assert subscriptions.due(connection, 49) == []  # a new event does not cut short the wait after a failure
        [(failing, since)] = subscriptions.failing(connection, 10)
        assert (failing.attempts, failing.due, since) == (1, 50, 1)
        assert subscriptions.counts(connection) == {"active": 1}
        subscriptions.put(connection, replace(failing, version=2))
        subscriptions.sent(connection, failing, 3, 60, None)
        last = subscriptions.read(connection, "s")
        assert last is not None
        assert last.sent == 1
