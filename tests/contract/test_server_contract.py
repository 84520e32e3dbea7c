"""Transactions, reads, deletions and history: the same on every server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapter.errors import Rejected
from adapter.fhirserver.port import FhirServer, Version, Write, Written


def patient(name: str, **elements: Any) -> Write:
    """A PUT of a Patient."""
    return Write(resource_type="Patient", id=name, body={"resourceType": "Patient", "id": name, **elements})


def removal(name: str, if_match: str | None = None) -> Write:
    """A DELETE of a Patient."""
    return Write(resource_type="Patient", id=name, body=None, if_match=if_match)


def guarded(write: Write, if_match: str) -> Write:
    """The same write, only while that version is current."""
    return Write(resource_type=write.resource_type, id=write.id, body=write.body, if_match=if_match)


def test_name_and_capabilities(server: FhirServer) -> None:
    able = server.capabilities()
    assert server.name in {"embedded", "hapi"}
    assert able.fhir_version == "4.0.1"
    assert able.software
    assert able.transaction
    assert able.system_history
    assert {"Patient", "Encounter", "CareTeam", "Task", "Consent"} <= able.types & able.update_create


def test_what_is_written_is_read(server: FhirServer, run: str) -> None:
    written = server.transaction([patient(f"{run}-a", gender="female"), patient(f"{run}-b", birthDate="1980")])
    assert written == [Written(resource_type="Patient", id=f"{run}-{n}", version="1", status=201) for n in "ab"]
    found = server.read("Patient", f"{run}-a")
    assert found is not None
    assert (found["id"], found["gender"], found["meta"]["versionId"]) == (f"{run}-a", "female", "1")
    age = datetime.now(UTC) - datetime.fromisoformat(found["meta"]["lastUpdated"])
    assert abs(age) < timedelta(minutes=5)


def test_nothing_to_write(server: FhirServer) -> None:
    assert server.transaction([]) == []


def test_absent_is_none(server: FhirServer, run: str) -> None:
    assert server.read("Patient", f"{run}-a") is None


def test_references_inside_one_transaction(server: FhirServer, run: str) -> None:
    goal = {"resourceType": "Goal", "id": f"{run}-g", "lifecycleStatus": "active", "description": {"text": "walk"},
            "subject": {"reference": f"Patient/{run}-a"}}
    server.transaction([Write(resource_type="Goal", id=goal["id"], body=goal), patient(f"{run}-a")])
    found = server.read("Goal", goal["id"])
    assert found is not None
    assert found["subject"] == {"reference": f"Patient/{run}-a"}


def test_a_change_is_a_new_version(server: FhirServer, run: str) -> None:
    server.transaction([patient(f"{run}-a", gender="female")])
    (written,) = server.transaction([patient(f"{run}-a", gender="other")])
    assert (written.version, written.status) == ("2", 200)


def test_what_is_unchanged_makes_no_version(server: FhirServer, run: str) -> None:
    both = [patient(f"{run}-a", gender="female"), patient(f"{run}-b")]
    server.transaction(both)
    before = server.read("Patient", f"{run}-a")
    assert [one.version for one in server.transaction(both)] == ["1", "1"]
    assert server.read("Patient", f"{run}-a") == before


def test_only_the_changed_one_moves_on(server: FhirServer, run: str) -> None:
    server.transaction([patient(f"{run}-a", gender="female"), patient(f"{run}-b")])
    written = server.transaction([patient(f"{run}-a", gender="female"), patient(f"{run}-b", gender="male")])
    assert [one.version for one in written] == ["1", "2"]


def test_if_match_of_the_current_version(server: FhirServer, run: str) -> None:
    server.transaction([patient(f"{run}-a", gender="female")])
    (written,) = server.transaction([guarded(patient(f"{run}-a", gender="male"), "1")])
    assert written.version == "2"


def test_a_conflict_refuses_everything(server: FhirServer, run: str) -> None:
    server.transaction([patient(f"{run}-a", gender="female"), patient(f"{run}-b")])
    server.transaction([patient(f"{run}-a", gender="male")])
    with pytest.raises(Rejected) as refusal:
        server.transaction([patient(f"{run}-b", gender="male"), patient(f"{run}-new"),
                            guarded(patient(f"{run}-a", gender="other"), "1")])
    assert refusal.value.issue.code == "version-conflict"
    assert [_version(server, f"{run}-{n}") for n in ("a", "b", "new")] == ["2", "1", None]


def test_a_deletion_can_be_guarded(server: FhirServer, run: str) -> None:
    server.transaction([patient(f"{run}-a", gender="female")])
    server.transaction([patient(f"{run}-a", gender="male")])
    with pytest.raises(Rejected) as refusal:
        server.transaction([removal(f"{run}-a", if_match="1")])
    assert refusal.value.issue.code == "version-conflict"
    assert _version(server, f"{run}-a") == "2"
    server.transaction([removal(f"{run}-a", if_match="2")])
    assert _version(server, f"{run}-a") is None


def test_what_was_deleted_is_put_again_on_its_deletion(server: FhirServer, run: str) -> None:
    """HAPI takes the deletion for the version that is current; here, as in RFC 9110 13.1.1, there is none then."""
    server.transaction([patient(f"{run}-a", gender="female")])
    server.transaction([removal(f"{run}-a")])
    again = [guarded(patient(f"{run}-a", gender="male"), "2")]
    if server.name == "hapi":
        server.transaction(again)
        assert (server.read("Patient", f"{run}-a") or {})["gender"] == "male"
    with pytest.raises(Rejected) as refusal:
        server.transaction(again)
    assert refusal.value.issue.code == "version-conflict"


@pytest.mark.parametrize("wrong", [
    Write(resource_type="Patient", id="RUN-x", body={"resourceType": "Group", "id": "RUN-x"}),
    Write(resource_type="Nonsense", id="RUN-x", body={"resourceType": "Nonsense", "id": "RUN-x"}),
    Write(resource_type="Patient", id="RUN x_y", body={"resourceType": "Patient", "id": "RUN x_y"}),
], ids=["other-type", "unknown-type", "bad-id"])
def test_a_bad_write_refuses_everything(server: FhirServer, run: str, wrong: Write) -> None:
    bad = Write(resource_type=wrong.resource_type, id=wrong.id.replace("RUN", run), body=wrong.body and {
        **wrong.body, "id": wrong.id.replace("RUN", run)})
    with pytest.raises(Rejected):
        server.transaction([patient(f"{run}-a"), bad])
    assert server.read("Patient", f"{run}-a") is None


def test_two_writes_of_one_resource_are_refused(server: FhirServer, run: str) -> None:
    with pytest.raises(Rejected):
        server.transaction([patient(f"{run}-a", gender="male"), patient(f"{run}-a", gender="female")])
    assert server.read("Patient", f"{run}-a") is None


def test_deleted_is_gone_and_can_come_back(server: FhirServer, run: str) -> None:
    server.transaction([patient(f"{run}-a", identifier=[{"system": "urn:x-test", "value": run}])])
    (gone,) = server.transaction([removal(f"{run}-a")])
    assert gone.status in {200, 204}
    assert gone.version == "2"
    assert server.read("Patient", f"{run}-a") is None
    assert server.search("Patient", [("identifier", f"urn:x-test|{run}")]).resources == ()
    (back,) = server.transaction([patient(f"{run}-a")])
    assert (back.version, back.status) == ("3", 201)


def test_a_change_is_found_by_what_it_says_now(server: FhirServer, run: str) -> None:
    server.transaction([patient(f"{run}-a", identifier=[{"system": "urn:x-test", "value": f"{run}-old"}])])
    server.transaction([patient(f"{run}-a", identifier=[{"system": "urn:x-test", "value": f"{run}-new"}])])
    found = [server.search("Patient", [("identifier", f"urn:x-test|{run}-{n}")]).resources for n in ("old", "new")]
    assert [len(resources) for resources in found] == [0, 1]


def test_deleting_twice_or_what_never_was(server: FhirServer, run: str) -> None:
    server.transaction([patient(f"{run}-a")])
    for _ in range(2):
        server.transaction([removal(f"{run}-a"), removal(f"{run}-never")])
    assert server.read("Patient", f"{run}-a") is None
    (back,) = server.transaction([patient(f"{run}-a")])
    assert back.version == "3"


def test_history_since_tells_every_version_oldest_first(server: FhirServer, run: str) -> None:
    server.transaction([patient(f"{run}-mark")])
    since = _updated(server, f"{run}-mark")
    server.transaction([patient(f"{run}-a", gender="female"), patient(f"{run}-b")])
    server.transaction([patient(f"{run}-a", gender="male")])
    server.transaction([removal(f"{run}-b")])
    server.transaction([patient(f"{run}-c")])
    told = _history(server, run, since)
    assert {(v.id, v.version) for v in told} == {("mark", "1"), ("a", "1"), ("a", "2"), ("b", "1"), ("b", "2"),
                                                 ("c", "1")}
    assert [(v.id, v.version) for v in told][-3:] == [("a", "2"), ("b", "2"), ("c", "1")]
    assert [v.last_updated for v in told] == sorted(v.last_updated for v in told)
    bodies = {(v.id, v.version): v.body for v in told}
    assert bodies["b", "2"] is None
    assert [(bodies["a", n] or {}).get("gender") for n in "12"] == ["female", "male"]


def test_reading_on_from_the_last_told_misses_nothing(server: FhirServer, run: str) -> None:
    server.transaction([patient(f"{run}-mark")])
    since = _updated(server, f"{run}-mark")
    told: set[tuple[str, str]] = set()
    for step in range(4):
        server.transaction([patient(f"{run}-{step}"), *([removal(f"{run}-{step - 1}")] if step else [])])
        versions = _history(server, run, since)
        told |= {(v.id, v.version) for v in versions}
        since = versions[-1].last_updated
    assert told == {("mark", "1"), *((str(n), "1") for n in range(4)), *((str(n), "2") for n in range(3))}


def test_history_of_many_pages(server: FhirServer, run: str) -> None:
    server.transaction([patient(f"{run}-mark")])
    since = _updated(server, f"{run}-mark")
    for start in range(0, 640, 160):
        server.transaction([patient(f"{run}-{n}") for n in range(start, start + 160)])
    told = [v.id for v in _history(server, run, since)]
    assert len(told) == len(set(told)) == 641
    assert [int(name) // 160 for name in told[1:]] == sorted(int(name) // 160 for name in told[1:])


def _history(server: FhirServer, run: str, since: datetime) -> list[Version]:
    return [Version(resource_type=v.resource_type, id=v.id.removeprefix(f"{run}-"), version=v.version,
                    last_updated=v.last_updated, body=v.body)
            for v in server.history(since) if v.id.startswith(run)]


def _version(server: FhirServer, name: str) -> str | None:
    found = server.read("Patient", name)
    return found["meta"]["versionId"] if found else None


def _updated(server: FhirServer, name: str) -> datetime:
    found = server.read("Patient", name)
    assert found is not None
    return datetime.fromisoformat(found["meta"]["lastUpdated"])
