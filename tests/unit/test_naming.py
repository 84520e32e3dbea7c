"""A server that names what it stores: how that is noticed, what it has lost is made anew, and what is not ours stays as it is.

Against a stand-in of what such servers do; tests/contract and tests/acceptance do the same with a real HAPI.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import Engine

from adapter.compose.references import resolved, targets
from adapter.errors import Rejected
from adapter.fhirserver.naming import TAG, NamingServer
from adapter.fhirserver.port import Capabilities, Page, Version, Write, Written
from adapter.fhirserver.upstream import Creation, UpstreamServer
from adapter.model import Composed, Json
from adapter.store.engine import migrate, open_engine, writing
from adapter.store.resources import write_resources

NOW = datetime(2026, 3, 1, tzinfo=UTC)
Key = tuple[str, str]


@dataclass
class StandIn:
    """Names resources by number. refusal: its word to a PUT of what it has not; revives: a deleted one may come back."""

    refusal: str = "HTTP 405"
    denies: bool = False
    revives: bool = True
    standing: dict[Key, tuple[int, Json | None]] = field(default_factory=dict[Key, tuple[int, Json | None]])
    told: list[Version] = field(default_factory=list[Version])
    sent: list[list[Write]] = field(default_factory=list[list[Write]])
    numbers: Iterator[int] = field(default_factory=lambda: count(1000))
    name: str = "standin"

    def transaction(self, writes: Sequence[Write]) -> list[Written]:
        self.sent.append(list(writes))
        for w in writes:
            version, body = self.standing.get((w.resource_type, w.id), (0, None))
            if not isinstance(w, Creation) and w.body is not None and body is None and not (version and self.revives):
                raise Rejected("server-refused", "transaction", self.refusal)
            if not isinstance(w, Creation) and w.if_match not in (None, str(version)):
                raise Rejected("version-conflict", "transaction")
        given = {f"urn:uuid:{w.id}": (w.resource_type, self._found(w) or str(next(self.numbers)))
                 for w in writes if isinstance(w, Creation)}
        return [self._written(w, given) for w in writes]

    def _found(self, w: Creation) -> str:
        code = w.unless.partition("%7C")[2]
        return next((i for (t, i), (_, body) in self.standing.items() if t == w.resource_type and body and any(
            tag == {"system": TAG, "code": code} for tag in body.get("meta", {}).get("tag", ()))), "")

    def _written(self, w: Write, given: dict[str, Key]) -> Written:
        key = given[f"urn:uuid:{w.id}"] if isinstance(w, Creation) else (w.resource_type, w.id)
        version, before = self.standing.get(key, (0, None))
        if isinstance(w, Creation) and before:
            return Written(resource_type=key[0], id=key[1], version=str(version), status=200)
        body = resolved(w.body, lambda name: "/".join(given.get(name, (name,))), set()) if w.body else None
        self.standing[key] = (version + 1, body)
        self.told.append(Version(resource_type=key[0], id=key[1], version=str(version + 1), last_updated=NOW,
                                 body={**body, "id": key[1]} if body else None))
        return Written(resource_type=key[0], id=key[1], version=str(version + 1), status=201 if before is None else 200)

    def capabilities(self) -> Capabilities:
        types = frozenset({"Patient", "Goal"})
        return Capabilities(software="", fhir_version="4.0.1", types=types, update_create=frozenset() if self.denies else types,
                            transaction=True, system_history=True)

    def read(self, resource_type: str, resource_id: str) -> Json | None:
        found = self.standing.get((resource_type, resource_id), (0, None))[1]
        return {**found, "id": resource_id} if found else None

    def search(self, resource_type: str, params: Sequence[tuple[str, str]], count: int = 100) -> Page:
        [code] = [value.partition("|")[2] for name, value in params if name == "_tag"]
        found = self._found(Creation(resource_type=resource_type, id="", body=None, unless=f"%7C{code}"))
        return Page(resources=tuple(filter(None, [self.read(resource_type, found)])))

    def history(self, since: datetime | None = None) -> Iterator[Version]:
        return iter(list(self.told))


@pytest.fixture(name="engine")
def _engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path / 'store.db'}")
    migrate(engine)
    yield engine
    engine.dispose()


def around(stand_in: StandIn, engine: Engine) -> NamingServer:
    return NamingServer(cast("UpstreamServer", stand_in), engine)


def ours(engine: Engine, *writes: Write) -> None:
    """These stand in our store: so a tag of theirs is ours."""
    with writing(engine) as connection:
        write_resources(connection, [Composed(
            resource_type=w.resource_type, id=w.id, key=f"urn:x|{w.id}", person="", body=w.body or {}, hash=w.id, sources={})
            for w in writes], 1)


PATIENT = Write(resource_type="Patient", id="cp", body={"resourceType": "Patient", "gender": "female"})
GOAL = Write(resource_type="Goal", id="cg", body={"resourceType": "Goal", "subject": {"reference": "Patient/cp"}})


@pytest.mark.parametrize(("refusal", "denies"), [
    ("HTTP 405", False), ("HTTP 404 processing HAPI-0959", False), ("HTTP 400", True)])
def test_it_is_noticed_by_how_the_server_refuses(engine: Engine, refusal: str, denies: bool) -> None:
    stand_in = StandIn(refusal=refusal, denies=denies)
    server = around(stand_in, engine)
    written = server.transaction([GOAL, PATIENT])
    assert written == [Written(resource_type="Goal", id="cg", version="1", status=201),
                       Written(resource_type="Patient", id="cp", version="1", status=201)]
    assert {t for t, _ in stand_in.standing} == {"Goal", "Patient"}
    goal = server.read("Goal", "cg")
    assert goal == {**(GOAL.body or {}), "id": "cg", "meta": {}}
    assert server.transaction([replace(PATIENT, if_match="1")])[0].id == "cp"
    assert len(stand_in.sent) == 3  # the PUT that was refused, the creation, the change: nothing is tried twice once it is known


def test_what_was_created_without_an_answer_can_be_deleted(engine: Engine) -> None:
    stand_in = StandIn()
    server = around(stand_in, engine)
    ours(engine, PATIENT, GOAL)
    server.transaction([PATIENT])
    stand_in.transaction([Creation(resource_type="Goal", id="x", unless="", body={
        **(GOAL.body or {}), "meta": {"tag": [{"system": TAG, "code": "cg"}]}})])  # the answer was lost
    server.transaction([replace(GOAL, body=None), replace(PATIENT, id="never", body=None)])
    assert [t for (t, _), (_, body) in stand_in.standing.items() if body] == ["Patient"]


def test_another_refusal_is_no_sign_of_it(engine: Engine) -> None:
    stand_in = StandIn(refusal="HTTP 422")
    with pytest.raises(Rejected):
        around(stand_in, engine).transaction([PATIENT])
    assert len(stand_in.sent) == 1


def test_a_server_that_takes_our_ids_is_left_alone(engine: Engine) -> None:
    stand_in = StandIn(standing={("Patient", "cp"): (1, {"resourceType": "Patient"})})
    server = around(stand_in, engine)
    assert server.transaction([replace(PATIENT, if_match="1")])[0].version == "2"
    assert stand_in.sent == [[replace(PATIENT, if_match="1")]]


def test_what_was_pushed_before_under_our_ids_stays_under_them(engine: Engine) -> None:
    stand_in = StandIn(standing={("Patient", "cp"): (1, {"resourceType": "Patient"})})
    server = around(stand_in, engine)
    server.transaction([GOAL, replace(PATIENT, if_match="1")])
    assert ("Patient", "cp") in stand_in.standing
    [goal] = [body for (t, _), (_, body) in stand_in.standing.items() if t == "Goal" and body]
    assert goal["subject"] == {"reference": "Patient/cp"}
    patient = stand_in.standing["Patient", "cp"][1]
    assert patient == PATIENT.body


@pytest.mark.parametrize("refusal", ["HTTP 404", "HTTP 405", "HTTP 410"])
def test_what_the_server_will_not_bring_back_gets_another_id(engine: Engine, refusal: str) -> None:
    stand_in = StandIn()
    server = around(stand_in, engine)
    ours(engine, PATIENT, GOAL)
    server.transaction([PATIENT, GOAL])
    stand_in.revives, stand_in.refusal = False, refusal
    server.transaction([replace(PATIENT, body=None), replace(GOAL, body=None)])
    assert server.read("Patient", "cp") is None
    server.transaction([GOAL, PATIENT])
    [goal] = [body for (t, _), (_, body) in stand_in.standing.items() if t == "Goal" and body]
    [patient] = [i for (t, i), (_, body) in stand_in.standing.items() if t == "Patient" and body]
    assert targets(goal, set()) == {f"Patient/{patient}"}
    told = [(v.resource_type, v.id, v.version, v.body is None) for v in server.history()]
    assert sorted(told) == [("Goal", "cg", "1", False), ("Patient", "cp", "1", False)]


def test_what_is_gone_already_is_not_deleted_again(engine: Engine) -> None:
    stand_in = StandIn()
    server = around(stand_in, engine)
    server.transaction([PATIENT])
    assert server.transaction([replace(GOAL, body=None)]) == [Written(resource_type="Goal", id="cg", version="", status=204)]


def test_an_answer_that_was_lost_is_found_by_history_with_what_it_refers_to(engine: Engine) -> None:
    stand_in = StandIn()
    around(stand_in, engine).transaction([GOAL, PATIENT])
    afresh = open_engine("sqlite://")
    migrate(afresh)
    ours(afresh, GOAL, PATIENT)
    server = around(stand_in, afresh)
    goal, patient = server.history()
    assert (goal.id, patient.id) == ("cg", "cp")
    assert goal.body is not None
    assert goal.body["subject"] == {"reference": "Patient/cp"}
    server.transaction([replace(PATIENT, if_match="1"), replace(GOAL, if_match="1")])
    assert len(stand_in.standing) == 2
    afresh.dispose()


def test_an_answer_that_was_lost_and_a_newer_version(engine: Engine) -> None:
    stand_in = StandIn()
    around(stand_in, engine).transaction([GOAL, PATIENT])
    afresh = open_engine("sqlite://")
    migrate(afresh)
    newer = replace(PATIENT, body={"resourceType": "Patient", "gender": "male"})
    written = around(stand_in, afresh).transaction([GOAL, newer])
    assert [w.version for w in written] == ["2", "2"]
    [patient] = [body for (t, _), (_, body) in stand_in.standing.items() if t == "Patient" and body]
    assert patient["gender"] == "male"
    assert len(stand_in.standing) == 2
    afresh.dispose()


def test_what_bears_the_tag_of_another_installation_is_another_clients(engine: Engine) -> None:
    stand_in = StandIn()
    around(stand_in, engine).transaction([PATIENT])
    afresh = open_engine("sqlite://")
    migrate(afresh)
    [version] = around(stand_in, afresh).history()
    assert version.id == "1000"
    assert version.body is not None
    assert version.body["meta"]["tag"] == [{"system": TAG, "code": "cp"}]
    afresh.dispose()


@pytest.mark.parametrize("wrong", [
    [PATIENT, PATIENT], [replace(PATIENT, body=GOAL.body)], [replace(PATIENT, id="a b")]])
def test_a_write_that_cannot_be_right_is_refused(engine: Engine, wrong: list[Write]) -> None:
    stand_in = StandIn()
    server = around(stand_in, engine)
    with pytest.raises(Rejected):
        server.transaction(wrong)
    assert stand_in.standing == {}
