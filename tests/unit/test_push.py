"""The outbox against a server that refuses, goes away, checks references and versions: what is whole flows, nothing twice."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import orjson
import pytest
from sqlalchemy import select

from adapter.compose.references import targets
from adapter.deliver import packs
from adapter.deliver.others import bring_in
from adapter.deliver.push import push
from adapter.errors import Rejected, Unavailable
from adapter.fhirserver.port import Version, Write, Written
from adapter.model import Composed, Json, Outlet
from adapter.store import outbox, server_state
from adapter.store.engine import migrate, open_engine, reading, writing
from adapter.store.resources import write_resources
from adapter.store.schema import JOURNAL, OUTBOX, TARGET
from adapter.store.targets import LEASE_US

SECOND = 1_000_000


@dataclass
class StandIn:
    """Fulfils port.FhirServer as far as pushing goes; `refuse`: names it will not take; `away`: raised instead of an answer."""

    standing: dict[str, tuple[int, Json | None]] = field(default_factory=dict[str, tuple[int, Json | None]])
    refuse: set[str] = field(default_factory=set[str])
    away: Unavailable | None = None
    calls: list[list[Write]] = field(default_factory=list[list[Write]])
    taken: list[str] = field(default_factory=list[str])
    conflicts: list[str] = field(default_factory=list[str])
    name: str = "standin"

    def read(self, resource_type: str, resource_id: str) -> Json | None:
        version, body = self.standing.get(f"{resource_type}/{resource_id}", (0, None))
        return body and {**body, "meta": {"versionId": str(version)}}

    def transaction(self, writes: Sequence[Write]) -> list[Written]:
        self.calls.append(list(writes))
        if self.away:
            raise self.away
        names = [f"{w.resource_type}/{w.id}" for w in writes]
        assert len(set(names)) == len(names), "a transaction names a resource once"
        here = {n for n, (_, body) in self.standing.items() if body} | {n for n, w in zip(names, writes, strict=True) if w.body}
        for name, w in zip(names, writes, strict=True):
            if name in self.refuse:
                raise Rejected("server-refused", name)
            if w.if_match is not None and w.if_match != str(self.standing.get(name, (0, None))[0]):
                self.conflicts.append(name)
                raise Rejected("version-conflict", name)
            if targets(w.body or {}, set()) - here:
                raise Rejected("server-refused", name, "a reference has no target")
        for name, w in zip(names, writes, strict=True):
            version, body = self.standing.get(name, (0, None))
            if body != w.body:
                self.standing[name] = (version + 1, w.body)
            self.taken.append(name)
        return [
            Written(resource_type=w.resource_type, id=w.id, version=str(self.standing[n][0]), status=200)
            for n, w in zip(names, writes, strict=True)
        ]


class Bench:
    """A database whose outbox is filled and emptied by hand; `now` in microseconds."""

    def __init__(self, folder: Path) -> None:
        self.engine = open_engine(f"sqlite:///{folder / 'careloop.db'}")
        migrate(self.engine)
        self.server = StandIn()
        self.now = 1_000 * SECOND

    def put(self, at: str, person: str = "", source: str = "feed", gone: bool = False, **elements: object) -> None:
        """State a resource of that name, with these elements, and queue it."""
        resource_type, _, resource_id = at.partition("/")
        body = {"resourceType": resource_type, "id": resource_id, **elements}
        one = Composed(
            resource_type=resource_type,
            id=resource_id,
            key=f"k|{resource_id}",
            person=person,
            body={} if gone else body,
            hash=hashlib.sha256(orjson.dumps(None if gone else body)).hexdigest(),
            sources={"x": (source, "m")},
            deleted=gone,
        )
        with writing(self.engine) as connection:
            changed = write_resources(connection, [one], self.now)
            outbox.enqueue(connection, Outlet(name=self.server.name), changed, self.now)

    def push(self, owner: str = "", rest: int = 0) -> int:
        return push(self.engine, self.server, lambda: self.now, random.Random(7), owner, rest_us=rest * SECOND)

    def disclose(self, owner: str) -> int:
        """Push to a server whose versions are not read back."""
        return push(self.engine, self.server, lambda: self.now, random.Random(7), owner, read_back=False)

    def drain(self) -> None:
        """Push until nothing is due."""
        for _ in range(50):
            before = self.queue()
            if not self.push() and self.queue() == before:
                return
        raise AssertionError("pushing does not come to an end")

    def queue(self) -> dict[str, str]:
        """What stands in the outbox, with its state."""
        with reading(self.engine) as connection:
            return {f"{r.resource_type}/{r.id}": r.state for r in connection.execute(select(OUTBOX))}

    def waits(self) -> float:
        """Seconds until the first is due."""
        with reading(self.engine) as connection:
            return (min(connection.scalars(select(OUTBOX.c.due))) - self.now) / SECOND

    def left_alone(self) -> float:
        """Seconds for which nothing is sent to the server."""
        with reading(self.engine) as connection:
            return (connection.scalars(select(TARGET.c.closed)).one() - self.now) / SECOND


@pytest.fixture(name="bench")
def _bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.engine.dispose()


def ref(name: str) -> Json:
    return {"reference": name}


def people(bench: Bench, count: int) -> None:
    """Persons of one Organization, each a Patient with a visit."""
    bench.put("Organization/o", name="O")
    for n in range(count):
        bench.put(f"Patient/p{n}", person=f"mrn|{n}", gender="female")
        bench.put(f"Encounter/e{n}", person=f"mrn|{n}", subject=ref(f"Patient/p{n}"), serviceProvider=ref("Organization/o"))


def test_everything_goes_once_shared_data_first(bench: Bench) -> None:
    people(bench, 3)
    bench.drain()
    assert bench.queue() == {}
    assert sorted(bench.server.taken) == sorted(
        {"Organization/o", *(f"{t}{n}" for t in ("Patient/p", "Encounter/e") for n in range(3))}
    )
    assert bench.server.taken[0] == "Organization/o"
    assert len(bench.server.calls) == 2
    assert bench.push() == 0
    assert len(bench.server.calls) == 2


def test_a_new_version_builds_on_the_one_that_was_pushed(bench: Bench) -> None:
    bench.put("Organization/o", name="O")
    bench.drain()
    bench.put("Organization/o", name="P")
    bench.drain()
    assert [w.if_match for call in bench.server.calls for w in call] == [None, "1"]
    assert bench.server.standing["Organization/o"] == (2, {"resourceType": "Organization", "id": "o", "name": "P"})


def test_what_is_as_it_was_pushed_is_not_pushed_again(bench: Bench) -> None:
    bench.put("Organization/o", name="O")
    bench.drain()
    bench.put("Organization/o", name="P")
    bench.put("Organization/o", name="O")
    assert bench.queue() == {}
    assert bench.push() == 0


def test_of_two_versions_that_wait_the_newer_goes(bench: Bench) -> None:
    bench.put("Organization/o", name="O")
    bench.put("Organization/o", name="P")
    bench.drain()
    assert [w.body["name"] for call in bench.server.calls for w in call if w.body] == ["P"]


def test_a_change_rests_so_that_what_follows_goes_with_it_and_is_not_put_off_by_it(bench: Bench) -> None:
    bench.put("Organization/o", name="O")
    for name in ("P", "Q", "R"):
        bench.now += 20 * SECOND
        assert bench.push(rest=60) == (1 if name == "R" else 0)
        bench.put("Organization/o", name=name)
    assert [w.body["name"] for call in bench.server.calls for w in call if w.body] == ["Q"]
    assert bench.push(rest=60) == 0
    bench.now += 60 * SECOND
    assert bench.push(rest=60) == 1


def test_what_only_another_client_said_is_not_pushed(bench: Bench) -> None:
    bench.put("Organization/o", source="server:standin", name="O")
    assert bench.queue() == {}


def test_a_deletion_is_pushed_where_the_resource_had_been(bench: Bench) -> None:
    bench.put("Organization/o", name="O")
    bench.drain()
    bench.put("Organization/o", gone=True)
    bench.put("Organization/never", name="N")
    bench.put("Organization/never", gone=True)
    bench.drain()
    assert bench.server.standing == {"Organization/o": (2, None)}


# --- refused


def test_a_refused_resource_goes_dead_while_others_flow(bench: Bench) -> None:
    people(bench, 9)
    bench.server.refuse = {"Encounter/e4"}
    bench.drain()
    assert bench.queue() == {"Encounter/e4": "dead"}
    assert set(bench.server.standing) == {
        "Organization/o",
        *(f"Patient/p{n}" for n in range(9)),
        *(f"Encounter/e{n}" for n in range(9) if n != 4),
    }
    calls = len(bench.server.calls)
    bench.now += 10**6 * SECOND
    assert bench.push() == 0
    assert len(bench.server.calls) == calls


def test_each_server_has_a_queue_of_its_own(bench: Bench) -> None:
    bench.put("Patient/p", person="mrn|1")
    first, bench.server = bench.server, StandIn(name="other")
    bench.put("Encounter/e", person="mrn|1")
    assert bench.push() == 1
    assert bench.server.taken == ["Encounter/e"]
    bench.server = first
    bench.drain()
    assert first.taken == ["Patient/p"]


@pytest.mark.parametrize("state", ["held", "dead"])
def test_what_is_held_or_dead_stays_while_the_rest_of_its_lane_goes(bench: Bench, state: str) -> None:
    bench.put("Patient/p", person="mrn|1")
    bench.put("Encounter/e", person="mrn|1")
    with writing(bench.engine) as connection:
        connection.execute(OUTBOX.update().where(OUTBOX.c.id == "e").values(state=state))
    bench.drain()
    assert bench.server.taken == ["Patient/p"]
    assert bench.queue() == {"Encounter/e": state}


def test_a_corrected_version_of_a_dead_one_flows(bench: Bench) -> None:
    people(bench, 2)
    bench.server.refuse = {"Encounter/e1"}
    bench.drain()
    bench.server.refuse = set()
    bench.put("Encounter/e1", person="mrn|1", subject=ref("Patient/p1"), status="finished")
    bench.drain()
    assert bench.queue() == {}


def test_a_shared_resource_that_is_refused_takes_no_innocent_with_it(bench: Bench) -> None:
    bench.put("Practitioner/d", gender="female")
    bench.put("Organization/o", name="O")
    bench.put("PractitionerRole/r", practitioner=ref("Practitioner/d"), organization=ref("Organization/o"))
    bench.server.refuse = {"PractitionerRole/r"}
    bench.drain()
    assert bench.queue() == {"PractitionerRole/r": "dead"}


def test_what_refers_to_a_refused_one_cannot_go_and_the_rest_of_its_lane_does(bench: Bench) -> None:
    bench.put("Practitioner/d", gender="female")
    bench.put("Patient/p", person="mrn|1", gender="female")
    bench.put("Encounter/e", person="mrn|1", subject=ref("Patient/p"), participant=[{"individual": ref("Practitioner/d")}])
    bench.server.refuse = {"Practitioner/d"}
    bench.drain()
    assert bench.queue() == {"Practitioner/d": "dead", "Encounter/e": "dead"}
    assert "Patient/p" in bench.server.standing


def test_what_was_refused_for_want_of_a_target_goes_with_what_refers_to_it_once_that_stands(bench: Bench) -> None:
    """Two records that refer to each other: the server takes both or none, and one of them alone refers to what was missing."""
    bench.put("Organization/o", name="O")
    bench.put("Patient/a", person="mrn|1", managingOrganization=ref("Organization/o"), link=[{"other": ref("Patient/b")}])
    bench.put("Patient/b", person="mrn|1", link=[{"other": ref("Patient/a")}])
    bench.server.refuse = {"Organization/o"}
    bench.drain()
    assert set(bench.queue().values()) == {"dead"}
    bench.server.refuse = set()
    bench.put("Organization/o", name="P")
    bench.drain()
    assert bench.queue() == {}


def test_what_was_refused_because_of_another_goes_with_the_newer_version_of_that(bench: Bench) -> None:
    """A visit and a diagnosis that refer to each other, refused for want of a bed that the visit names no more."""
    bench.put("Encounter/e", person="mrn|1", diagnosis=ref("Condition/c"), location=ref("Location/l"))
    bench.put("Condition/c", person="mrn|1", encounter=ref("Encounter/e"))
    bench.drain()
    assert set(bench.queue().values()) == {"dead"}
    bench.put("Encounter/e", person="mrn|1", diagnosis=ref("Condition/c"))
    bench.drain()
    assert bench.queue() == {}


def test_shared_data_that_waits_goes_along_with_who_needs_it(bench: Bench) -> None:
    bench.put("Organization/o", name="O")
    with writing(bench.engine) as connection:
        connection.execute(OUTBOX.update().values(due=bench.now + 500 * SECOND))
    people_call = [
        ("Patient/p", {"gender": "female"}),
        ("Encounter/e", {"subject": ref("Patient/p"), "serviceProvider": ref("Organization/o")}),
    ]
    for name, elements in people_call:
        bench.put(name, person="mrn|1", **elements)
    bench.drain()
    assert bench.queue() == {}
    assert {w.resource_type for w in bench.server.calls[0]} == {"Organization", "Patient", "Encounter"}


def test_what_went_with_one_lane_is_not_written_again_with_the_next(bench: Bench) -> None:
    """A shared resource changed, and the pack is refused: halves must not write it on a version that is no longer current."""
    people(bench, 4)
    bench.drain()
    bench.put("Organization/o", name="changed")
    with writing(bench.engine) as connection:
        connection.execute(OUTBOX.update().values(due=bench.now + 500 * SECOND))
    for n in range(4):
        bench.put(
            f"Encounter/e{n}",
            person=f"mrn|{n}",
            subject=ref(f"Patient/p{n}"),
            serviceProvider=ref("Organization/o"),
            status="finished",
        )
    bench.server.refuse = {"Encounter/e3"}
    bench.server.taken.clear()
    bench.drain()
    assert bench.queue() == {"Encounter/e3": "dead"}
    assert sorted(bench.server.taken) == ["Encounter/e0", "Encounter/e1", "Encounter/e2", "Organization/o"]
    assert bench.server.conflicts == []


# --- away, or changed there


def test_a_server_that_is_away_is_tried_again_later_and_later(bench: Bench) -> None:
    people(bench, 2)
    bench.server.away = Unavailable("server-unavailable")
    waits: list[float] = []
    for _ in range(12):
        assert bench.push() == 0
        assert set(bench.queue().values()) == {"waiting"}
        calls = len(bench.server.calls)
        assert bench.push() == 0
        assert len(bench.server.calls) == calls  # nothing else is tried meanwhile, persons neither
        waits.append(bench.left_alone())
        bench.now += 1000 * SECOND
    assert all(2 <= w <= 302 for w in waits)
    assert max(waits[6:]) > 30 > waits[0]
    bench.server.away = None
    bench.drain()
    assert bench.queue() == {}


def test_the_server_says_when_to_come_back(bench: Bench) -> None:
    bench.put("Organization/o", name="O")
    bench.server.away = Unavailable("server-unavailable", retry_after=77)
    bench.push()
    assert bench.waits() == bench.left_alone() == 77


def test_no_server_puts_off_for_longer_than_an_hour(bench: Bench) -> None:
    bench.put("Organization/o", name="O")
    bench.server.away = Unavailable("server-unavailable", retry_after=1e9)
    bench.push()
    assert bench.waits() == bench.left_alone() == 3600


def test_a_server_that_fails_over_one_resource_is_not_left_alone(bench: Bench) -> None:
    """HTTP 500 may be for what was sent: others are tried while that waits."""
    bench.put("Organization/o", name="O")
    bench.server.away = Unavailable("server-unavailable", "transaction", "HTTP 500")
    assert bench.push() == 0
    bench.server.away = None
    bench.put("Organization/p", name="P")
    assert bench.push() == 1
    assert bench.queue() == {"Organization/o": "waiting"}


def test_one_process_at_a_time_pushes_and_another_takes_over_from_one_that_is_gone(bench: Bench) -> None:
    bench.put("Organization/o", name="O")
    bench.server.away = Unavailable("server-unavailable", "transaction", "HTTP 500")
    assert bench.push("first") == 0  # and is killed
    bench.server.away = None
    bench.now += 10 * SECOND
    assert bench.push("second") == 0
    bench.now += LEASE_US
    assert bench.push("second") == 1
    bench.put("Organization/o", name="P")
    assert bench.push("first") == 0
    assert bench.push("second") == 1


def test_what_a_clock_that_was_a_day_ahead_put_off_is_not_put_off_for_a_day(bench: Bench) -> None:
    bench.now += 86400 * SECOND
    bench.put("Organization/o", name="O")
    bench.server.away = Unavailable("server-unavailable", retry_after=60)
    bench.push("first")
    bench.now -= 86400 * SECOND
    bench.server.away = None
    assert bench.push("second") == 1


def test_a_version_that_another_client_wrote_is_no_reason_to_give_up(bench: Bench) -> None:
    bench.put("Organization/o", name="O")
    bench.drain()
    bench.server.standing["Organization/o"] = (2, {"resourceType": "Organization", "id": "o", "name": "theirs"})
    bench.put("Organization/o", name="P")
    assert bench.push() == 0
    assert bench.queue() == {"Organization/o": "waiting"}
    assert bench.server.standing["Organization/o"][1] == {"resourceType": "Organization", "id": "o", "name": "theirs"}
    with writing(bench.engine) as connection:
        server_state.note_version(connection, "standin", "Organization", "o", "2", bench.server.standing["Organization/o"][1])
    bench.now += 1000 * SECOND
    assert bench.push() == 1
    assert bench.server.standing["Organization/o"][0] == 3


def test_what_another_client_wrote_on_a_delivery_without_answer_is_not_overwritten(bench: Bench) -> None:
    """The server took it, the answer was lost, and another client changed it before the next try."""
    bench.put("Organization/o", name="O")
    bench.put("Organization/p", name="P")
    take = bench.server.transaction

    def lost(writes: Sequence[Write]) -> list[Written]:
        take(writes)
        raise Unavailable("server-unavailable")

    with patch.object(bench.server, "transaction", lost):
        assert bench.push() == 0
    theirs = {"resourceType": "Organization", "id": "o", "name": "theirs"}
    bench.server.standing["Organization/o"] = (2, theirs)
    bench.now += 1000 * SECOND
    assert bench.push() == 1
    assert bench.queue() == {"Organization/o": "waiting"}
    assert bench.server.standing["Organization/o"] == (2, theirs)
    assert bench.server.standing["Organization/p"][0] == 1


def test_what_would_overwrite_a_version_that_came_in_waits_until_that_is_composed(bench: Bench) -> None:
    bench.put("Organization/o", name="O")
    bench.drain()
    theirs: Json = {"resourceType": "Organization", "id": "o", "name": "O", "language": "fr"}
    bench.server.standing["Organization/o"] = (2, theirs)
    version = Version(resource_type="Organization", id="o", version="2", body=theirs,
                      last_updated=datetime(2026, 3, 1, tzinfo=UTC))
    with writing(bench.engine) as connection:
        assert bring_in(connection, version, "standin", bench.now)
    bench.put("Organization/o", name="P")
    bench.put("Organization/p", name="another")
    assert bench.push() == 1
    assert bench.queue() == {"Organization/o": "waiting"}
    assert bench.server.standing["Organization/o"] == (2, theirs)
    with writing(bench.engine) as connection:
        connection.execute(JOURNAL.update().values(state="done"))
    assert bench.push() == 1


def test_a_creation_that_went_over_something_unknown_is_not_noted_before_that_is_heard(bench: Bench) -> None:
    """The server's answer tells that a version stood there: of another gateway, and of another client on that."""
    bench.put("Organization/o", name="O")
    bench.put("Organization/p", name="P")
    theirs: Json = {"resourceType": "Organization", "id": "o", "name": "theirs"}
    bench.server.standing["Organization/o"] = (2, theirs)
    assert bench.push() == 1
    for _ in range(2):
        assert bench.queue() == {"Organization/o": "waiting"}
        bench.now += 1000 * SECOND
        assert bench.push() == 0  # what stands there says what we said, and yet it waits for the history
    ours: Json = {"resourceType": "Organization", "id": "o", "name": "O"}
    day = datetime(2026, 3, 1, tzinfo=UTC)
    told = [Version(resource_type="Organization", id="o", version=str(n), body=body, last_updated=day)
            for n, body in ((1, ours), (2, theirs), (3, ours))]
    with writing(bench.engine) as connection:
        assert [bring_in(connection, one, "standin", bench.now) for one in told] == [False, True, False]
        connection.execute(JOURNAL.update().values(state="done"))
    bench.now += 1000 * SECOND
    assert bench.push() == 1
    assert bench.queue() == {}


def test_the_first_tries_of_a_creation_may_go_over_nothing_and_a_later_one_goes_all_the_same(bench: Bench) -> None:
    bench.put("Organization/o", name="O")
    bench.server.refuse = {"Organization/o"}
    asked = list[bool]()
    for _ in range(3):
        with writing(bench.engine) as connection:
            connection.execute(OUTBOX.update().values(state="waiting", due=0))
        bench.push()
        asked.append(bench.server.calls[-1][0].new)
    assert asked == [True, True, False]


def version_of_o(number: int, **elements: object) -> Version:
    """A version of Organization/o in a server's history."""
    return Version(resource_type="Organization", id="o", version=str(number), last_updated=datetime(2026, 3, 1, tzinfo=UTC),
                   body={"resourceType": "Organization", "id": "o", **elements})


def test_what_another_client_takes_back_is_heard_though_it_is_what_we_had_said(bench: Bench) -> None:
    """A newer version of ours waits: what the server's history tells was taken for one of ours without an answer."""
    bench.put("Organization/o", name="O")
    bench.drain()
    bench.put("Organization/o", name="P")
    with writing(bench.engine) as connection:
        assert bring_in(connection, version_of_o(2, name="O", language="fr"), "standin", bench.now)
        assert bring_in(connection, version_of_o(3, name="O"), "standin", bench.now)


def test_what_was_sent_on_another_clients_version_and_got_no_answer_is_known_as_ours(bench: Bench) -> None:
    bench.put("Organization/o", name="O")
    bench.drain()
    with writing(bench.engine) as connection:
        assert bring_in(connection, version_of_o(2, name="O", language="fr"), "standin", bench.now)
        connection.execute(JOURNAL.update().values(state="done"))
    bench.put("Organization/o", name="P", language="fr")
    bench.server.away = Unavailable("server-unavailable")
    assert bench.push() == 0
    with writing(bench.engine) as connection:
        assert not bring_in(connection, version_of_o(3, name="P", language="fr"), "standin", bench.now)
        assert bring_in(connection, version_of_o(4, name="O", language="fr"), "standin", bench.now)
        assert bring_in(connection, version_of_o(5, name="P", language="fr"), "standin", bench.now)  # sent once, and told once


def test_what_comes_in_while_a_delivery_without_answer_is_looked_at_is_composed_first(bench: Bench) -> None:
    """It is read back beside: the push built on the version that came in, without what another client had added."""
    bench.put("Organization/o", name="O")
    bench.drain()
    bench.server.away = Unavailable("server-unavailable")
    bench.put("Organization/p", name="P")
    assert bench.push() == 0
    bench.server.away = None
    bench.put("Organization/o", name="Q")
    bench.now += 1000 * SECOND
    theirs: Json = {"resourceType": "Organization", "id": "o", "name": "O", "language": "fr"}
    look = bench.server.read

    def meanwhile(resource_type: str, resource_id: str) -> Json | None:
        bench.server.standing["Organization/o"] = (2, theirs)
        with writing(bench.engine) as connection:
            assert bring_in(connection, Version(resource_type="Organization", id="o", version="2", body=theirs,
                                                last_updated=datetime(2026, 3, 1, tzinfo=UTC)), "standin", bench.now)
        return look(resource_type, resource_id)

    with patch.object(bench.server, "read", meanwhile):
        assert bench.push() == 1
    assert bench.server.standing["Organization/o"] == (2, theirs)
    assert bench.queue() == {"Organization/o": "waiting"}


def test_what_came_before_a_deletion_by_another_client_is_not_taken_for_what_stands(bench: Bench) -> None:
    """The history is read a minute back again: our own version in it was built on then, and refused for ever."""
    bench.put("Organization/o", name="O")
    bench.drain()
    bench.server.standing["Organization/o"] = (3, None)
    ours: Json = {"resourceType": "Organization", "id": "o", "name": "O"}
    day = datetime(2026, 3, 1, tzinfo=UTC)
    told = [Version(resource_type="Organization", id="o", version=str(n), body=body, last_updated=day)
            for n, body in ((1, ours), (2, {**ours, "language": "fr"}), (3, None))]
    with writing(bench.engine) as connection:
        assert [bring_in(connection, one, "standin", bench.now) for one in told] == [False, True, True]
        assert [bring_in(connection, one, "standin", bench.now) for one in told] == [False, False, False]
        connection.execute(JOURNAL.update().values(state="done"))
    assert bench.push() == 1
    assert bench.server.standing["Organization/o"] == (4, ours)


@pytest.mark.parametrize("gone", [False, True])
def test_what_waits_while_another_client_deletes_goes_once_and_a_deletion_of_ours_not_at_all(bench: Bench, gone: bool) -> None:
    bench.put("Organization/o", name="O")
    bench.drain()
    bench.put("Organization/o", name="newer", gone=gone)
    bench.server.standing["Organization/o"] = (2, None)
    with writing(bench.engine) as connection:
        assert bring_in(connection, Version(resource_type="Organization", id="o", version="2", body=None,
                                            last_updated=datetime(2026, 3, 1, tzinfo=UTC)), "standin", bench.now)
        connection.execute(JOURNAL.update().values(state="done"))
    assert bench.queue() == ({} if gone else {"Organization/o": "waiting"})
    bench.drain()
    newer: Json = {"resourceType": "Organization", "id": "o", "name": "newer"}
    assert bench.server.standing["Organization/o"] == ((2, None) if gone else (3, newer))


@pytest.mark.parametrize("answer", [
    Unavailable("server-unavailable", "standin", "HTTP 503"), Rejected("server-refused", "standin")])
def test_what_is_held_while_it_is_on_its_way_is_not_sent_again(bench: Bench, answer: Exception) -> None:
    def refused(writes: Sequence[Write]) -> list[Written]:
        with writing(bench.engine) as connection:
            connection.execute(OUTBOX.update().values(state="held"))
        raise answer

    bench.put("Organization/o", name="O")
    with patch.object(bench.server, "transaction", refused):
        assert bench.push() == 0
    bench.now += 3600 * SECOND
    assert bench.push() == 0
    assert bench.queue() == {"Organization/o": "held"}


def test_what_is_held_stays_so_where_another_client_deletes_it(bench: Bench) -> None:
    bench.put("Organization/o", name="O")
    bench.drain()
    bench.put("Organization/o", name="newer")
    with writing(bench.engine) as connection:
        connection.execute(OUTBOX.update().values(state="held"))
        assert bring_in(connection, Version(resource_type="Organization", id="o", version="2", body=None,
                                            last_updated=datetime(2026, 3, 1, tzinfo=UTC)), "standin", bench.now)
        connection.execute(JOURNAL.update().values(state="done"))
    bench.drain()
    assert bench.queue() == {"Organization/o": "held"}
    assert bench.server.taken == ["Organization/o"]


def test_what_another_client_makes_anew_after_a_deletion_is_not_overwritten(bench: Bench) -> None:
    bench.put("Organization/o", name="O")
    bench.drain()
    with writing(bench.engine) as connection:
        assert bring_in(connection, Version(resource_type="Organization", id="o", version="2", body=None,
                                            last_updated=datetime(2026, 3, 1, tzinfo=UTC)), "standin", bench.now)
        connection.execute(JOURNAL.update().values(state="done"))
    theirs: Json = {"resourceType": "Organization", "id": "o", "name": "theirs"}
    bench.server.standing["Organization/o"] = (3, theirs)
    assert bench.push() == 0
    assert bench.server.standing["Organization/o"] == (3, theirs)


def test_what_another_process_brought_meanwhile_leaves_nothing_dead(bench: Bench) -> None:
    """Its clock is a day ahead, so it does not wait for the lease to end."""
    bench.put("Encounter/e", person="mrn|1", serviceProvider=ref("Organization/o"))
    send = bench.server.transaction

    def late(writes: Sequence[Write]) -> list[Written]:
        try:
            return send(writes)
        except Rejected:
            with patch.object(bench.server, "transaction", send):
                bench.put("Organization/o", name="O")
                bench.now += 86400 * SECOND
                assert bench.push("b") == 1
                bench.now -= 86400 * SECOND
            raise

    with patch.object(bench.server, "transaction", late):
        assert bench.push("a") == 0
    assert bench.queue() == {"Encounter/e": "waiting"}
    bench.now += 3600 * SECOND
    bench.drain()
    assert bench.queue() == {}


def test_an_older_version_that_is_sent_after_the_newer_of_another_process_does_not_stay(bench: Bench) -> None:
    """Both make it anew, where versions are not read back. The other's clock is a day ahead, so it waits for no lease."""
    bench.put("Patient/p", person="mrn|1", gender="female")
    send = bench.server.transaction

    def late(writes: Sequence[Write]) -> list[Written]:
        with patch.object(bench.server, "transaction", send):
            bench.put("Patient/p", person="mrn|1", gender="unknown")
            bench.now += 86400 * SECOND
            assert bench.disclose("b") == 1
            bench.now -= 86400 * SECOND
        return send(writes)

    with patch.object(bench.server, "transaction", late):
        assert bench.disclose("a") == 1
    assert bench.server.standing["Patient/p"] == (2, {"resourceType": "Patient", "id": "p", "gender": "female"})
    assert bench.queue() == {"Patient/p": "waiting"}
    assert bench.disclose("a") == 1
    assert bench.server.standing["Patient/p"] == (3, {"resourceType": "Patient", "id": "p", "gender": "unknown"})


def test_a_version_queued_while_one_is_on_its_way_stays_queued(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.put("Organization/o", name="O")
    send = bench.server.transaction

    def slow(writes: Sequence[Write]) -> list[Written]:
        bench.put("Organization/o", name="newer")
        return send(writes)

    monkeypatch.setattr(bench.server, "transaction", slow)
    assert bench.push() == 1
    monkeypatch.undo()
    assert bench.queue() == {"Organization/o": "waiting"}
    bench.drain()
    assert bench.server.standing["Organization/o"] == (2, {"resourceType": "Organization", "id": "o", "name": "newer"})


# --- one pack after another, the next made while one is on its way


class Watched(StandIn):
    """A server that is asked by another thread, and lets something happen here before each answer."""

    before: Callable[[Sequence[Write]], None] = staticmethod(lambda _: None)

    def transaction(self, writes: Sequence[Write]) -> list[Written]:
        self.before(writes)
        return super().transaction(writes)


@pytest.fixture(name="flow")
def _flow(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Push pack after pack, each of one or two persons."""
    monkeypatch.setattr(packs, "PACK", 4)
    bench.server = Watched()
    with ThreadPoolExecutor(1) as beside:
        yield lambda: push(bench.engine, bench.server, lambda: bench.now, random.Random(7), beside=beside)


def test_pack_after_pack_goes_with_one_push(bench: Bench, flow: Callable[[], int]) -> None:
    people(bench, 9)
    assert flow() == 1  # what others refer to, alone
    assert flow() == 18
    assert bench.queue() == {}
    assert [len(call) for call in bench.server.calls] == [1, 4, 4, 4, 4, 2]
    assert len(bench.server.taken) == len(set(bench.server.taken)) == 19


def test_what_changes_while_it_is_on_its_way_goes_with_the_pack_after_next(bench: Bench, flow: Callable[[], int]) -> None:
    people(bench, 5)
    flow()

    def change(writes: Sequence[Write]) -> None:
        if len(bench.server.calls) == 1:  # the first pack of persons
            bench.put("Patient/p0", person="mrn|0", gender="male")
    cast("Watched", bench.server).before = change
    flow()
    bench.drain()
    assert [name for name in bench.server.taken if name == "Patient/p0"] == ["Patient/p0"] * 2
    assert bench.server.standing["Patient/p0"] == (2, {"resourceType": "Patient", "id": "p0", "gender": "male"})
    assert bench.server.conflicts == []
    assert bench.queue() == {}


def test_what_refers_to_something_on_its_way_waits_for_its_answer(bench: Bench, flow: Callable[[], int]) -> None:
    people(bench, 2)
    for n in (2, 3, 4, 5):
        bench.now += 1
        bench.put(f"Patient/p{n}", person=f"mrn|{n}", link=[{"other": ref("Patient/p0")}])
    bench.drain()
    assert bench.queue() == {}
    bench.put("Patient/p0", person="mrn|0", gender="male")
    for n in (2, 3, 4, 5):
        bench.now += 1
        bench.put(f"Patient/p{n}", person=f"mrn|{n}", gender="male", link=[{"other": ref("Patient/p0")}])
    bench.server.calls.clear()
    flow()
    bench.drain()
    sent = [{f"{w.resource_type}/{w.id}" for w in call} for call in bench.server.calls]
    assert ["Patient/p0" in call for call in sent] == [True, *[False] * (len(sent) - 1)]
    assert bench.server.conflicts == []
    assert all(bench.server.standing[f"Patient/p{n}"][0] == 2 for n in (0, 2, 3, 4, 5))


def test_a_refused_pack_is_taken_apart_before_the_next_goes(bench: Bench, flow: Callable[[], int]) -> None:
    people(bench, 6)
    flow()
    bench.server.refuse = {"Encounter/e1"}
    assert flow() == 11
    assert bench.queue() == {"Encounter/e1": "dead"}
    assert len(bench.server.taken) == len(set(bench.server.taken))
    positions = [bench.server.taken.index(f"Patient/p{n}") for n in range(6)]
    assert positions == sorted(positions)


def test_where_the_server_goes_away_the_pack_that_was_made_is_not_sent(bench: Bench, flow: Callable[[], int]) -> None:
    people(bench, 6)
    flow()
    bench.server.away = Unavailable("server-unavailable", retry_after=60)
    bench.server.calls.clear()
    assert flow() == 0
    assert len(bench.server.calls) == 1
    assert set(bench.queue().values()) == {"waiting"}
    assert len(bench.queue()) == 12
    assert flow() == 0
    assert len(bench.server.calls) == 1
    bench.server.away = None
    bench.now += 61 * SECOND
    bench.drain()
    assert bench.queue() == {}


def test_where_the_next_pack_cannot_be_made_the_one_on_its_way_is_waited_for(bench: Bench, flow: Callable[[], int],
                                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    people(bench, 6)
    flow()
    asked = iter([outbox.due_lanes, None])

    def once(*arguments: Any) -> list[str]:
        if found := next(asked):
            return found(*arguments)
        raise Unavailable("store-unavailable")
    monkeypatch.setattr(outbox, "due_lanes", once)
    with pytest.raises(Unavailable):
        flow()
    monkeypatch.undo()
    assert len(bench.server.calls) == 2  # and it was answered
    bench.drain()
    assert bench.queue() == {}
    assert bench.server.conflicts == []
