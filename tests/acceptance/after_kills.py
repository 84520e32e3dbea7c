"""What must be the same whoever was killed on the way: what stands in a store and on the FHIR server it pushes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import func, select

from adapter.gateway import Gateway
from adapter.home import HOME
from adapter.settings import Settings
from adapter.store.engine import open_engine, reading
from adapter.store.schema import CONTRIBUTION, FINDING, JOURNAL, LANE, OUTBOX, PERSON_LIST, RESOURCE
from tests.acceptance.accepting import KEY
from tests.acceptance.served import until
from tests.faulty import FhirStandIn, fhir_stand_in
from tests.servers import postgres_url

BY_THE_CLOCK = ("Task", "Measure", "Questionnaire")
"""Gaps and what defines them, which a gateway that serves states by itself, at the time it has."""
State = dict[str, list[tuple[Any, ...]]]
There = dict[tuple[str, str], bytes]
"""What stands on a server: type and id to the resource's bytes."""


def store_url(kind: str, folder: Path) -> str:
    """The address of a new database. kind: sqlite or postgresql."""
    folder.mkdir(parents=True, exist_ok=True)
    return postgres_url() if kind == "postgresql" else f"sqlite:///{folder / 'careloop.db'}"


def store_state(url: str) -> State:
    """Resources to the byte, statements and how often each was made, findings. AssertionError where an entry is not done."""
    engine = open_engine(url)
    try:
        with reading(engine) as connection:
            assert set(connection.scalars(select(JOURNAL.c.state))) <= {"done", "refused"}
            assert not list(connection.execute(select(LANE.c.name)))
            r, t, f = RESOURCE.c, CONTRIBUTION.c, FINDING.c
            return {name: sorted(tuple(row) for row in connection.execute(query)) for name, query in {
                "journal": select(JOURNAL.c.identity, JOURNAL.c.state),
                "resources": select(r.resource_type, r.id, r.body).where(r.deleted == 0, r.resource_type.not_in(BY_THE_CLOCK)),
                "statements": select(t.identity, t.times).where(t.resource_type.not_in(BY_THE_CLOCK)),
                "findings": select(f.code, f.place, func.count()).where(f.journal != 0).group_by(f.code, f.place)}.items()}
    finally:
        engine.dispose()


def server_state(server: FhirStandIn) -> There:
    """What stands on a server, to the byte. AssertionError where a version says what the one before it said."""
    for versions in server.standing.values():
        bodies = [body for _, body in versions]
        assert all(before != after for before, after in pairwise(bodies))
    return {key: orjson.dumps(body, option=orjson.OPT_SORT_KEYS) for key, body in server.current().items()
            if key[0] not in BY_THE_CLOCK}


def assert_same(found: State, expected: State) -> None:
    """The same stands; what differs is told, without what it says."""
    for name, rows in expected.items():
        there, here = Counter(rows), Counter(found[name])
        assert here == there, f"{name}: missing {[r[:2] for r in there - here][:5]}, too many {[r[:2] for r in here - there][:5]}"


def assert_there(found: There, expected: There) -> None:
    """The same on the server."""
    different = sorted("/".join(key) for key in {**found, **expected} if found.get(key) != expected.get(key))
    assert not different, f"the server differs in {len(different)}: {different[:5]}"


def settled(url: str, seconds: float = 120, *, pushes: bool = True) -> None:
    """Until nothing waits in the journal, in a list of many persons, or (it pushes) on its way out."""
    engine = open_engine(url)
    waits = [select(JOURNAL.c.id).where(JOURNAL.c.state == "waiting"), select(PERSON_LIST.c.key).where(PERSON_LIST.c.stale == 1),
             *([select(OUTBOX.c.id)] if pushes else [])]

    def ask() -> bool | None:
        with reading(engine) as connection:
            return None if any(connection.execute(query.limit(1)).first() for query in waits) else True

    try:
        until(ask, seconds)
    finally:
        engine.dispose()


def calm(folder: Path, messages: Sequence[bytes], files: Sequence[tuple[str, Path]] = (),
         mappings: Path = HOME / "mappings") -> tuple[State, There]:
    """The end of a run that nothing disturbs: of the store, and of the server. files: feed and file."""
    with fhir_stand_in() as server:
        url = store_url("sqlite", folder)
        gateway = Gateway(Settings(data_dir=folder, key=KEY, database_url=url, fhir_url=server.url, mappings=mappings))  # pyright: ignore[reportCallIssue]  # the settings fill the rest
        gateway.accept([(one, "test") for one in messages])
        for feed, path in files:
            with path.open("rb") as stream:
                gateway.load(feed, stream, path.name)
        while gateway.work(500) + gateway.lists.compose() + gateway.delivery.push():
            pass
        gateway.close()
        return store_state(url), server_state(server)
