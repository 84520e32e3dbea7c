"""`PUT /fhir/Task/<id>`: what a client of the embedded server says of a gap moves its life, and what is not taken is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter.gateway import Gateway
from adapter.settings import Settings
from tests.unit.test_gap_lives import MEMBER, REFERRAL, SEAT, happened, lead, load, somebody

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
SOMEBODY = {"reference": "Practitioner/p1"}
MADE_UP = {"reference": "Practitioner/none"}


@pytest.fixture(name="gateway")
def _gateway(tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(Settings(data_dir=tmp_path, key="00" * 32), lambda: NOW)
    load(gateway, "members", MEMBER)
    somebody(gateway)
    yield gateway
    gateway.close()


def put(client: FlaskClient, task: dict[str, Any], version: str = "", **changes: Any) -> Any:
    """A client's answer to its update of a Task that it read; None takes an element out."""
    body = {name: value for name, value in {**task, **changes}.items() if value is not None}
    return client.put(f"/fhir/Task/{task['id']}", json=body, headers={"If-Match": version} if version else {})


def told(answer: Any) -> dict[str, str]:
    """Place and words of what was not taken."""
    assert (answer.status_code, answer.json["resourceType"]) == (200, "OperationOutcome")
    assert {issue["severity"] for issue in answer.json["issue"]} == {"warning"}
    return {issue["expression"][0]: issue["diagnostics"] for issue in answer.json["issue"]}


def test_a_client_takes_a_gap_on_puts_it_off_and_gives_it_back(gateway: Gateway, client: FlaskClient) -> None:
    taken = put(client, lead(gateway), status="in-progress", owner=SOMEBODY)
    assert (taken.status_code, taken.json["status"], taken.json["owner"]) == (200, "accepted", SOMEBODY)
    assert taken.headers["ETag"] == f'W/"{taken.json["meta"]["versionId"]}"'
    off = put(client, taken.json, taken.headers["ETag"], status="on-hold", statusReason={"text": "moved house"},
              executionPeriod={"start": "2026-03-25"}, note=[{"text": "calls on Monday"}])
    assert (off.json["status"], off.json["statusReason"], off.json["note"]) == (
        "on-hold", {"text": "moved house"}, [{"text": "calls on Monday"}])
    assert client.get(f"/fhir/Task/{off.json['id']}").json == off.json
    back = put(client, off.json, status="rejected", statusReason={"text": "not ours"})
    assert "given back" in told(back)["Task.status"]
    assert lead(gateway)["owner"]["reference"].startswith("Organization/")
    assert happened(gateway) == [("opened", "careloop"), *((what, "server:embedded") for what in (
        "assigned", "snoozed", "assigned", "woken"))]


def test_completed_without_evidence_closes_nothing_and_the_answer_says_so(gateway: Gateway, client: FlaskClient) -> None:
    done = told(put(client, lead(gateway), status="completed", businessStatus={"text": "closed"}))
    assert "evidence alone closes a gap" in done["Task.status"]
    assert done.keys() == {"Task.status", "Task.businessStatus"}
    standing = lead(gateway)
    assert (standing["status"], standing["businessStatus"]["coding"][0]["code"]) == ("requested", "open")
    assert happened(gateway)[-1] == ("claimed", "server:embedded")
    load(gateway, "care_team", SEAT % (b"", b"2026-03-01T07:00:00-05:00"))
    closed = lead(gateway)
    assert closed["status"] == "completed"
    assert put(client, closed, note=[{"text": "seen"}]).json["note"] == [{"text": "seen"}]
    assert "settled" in told(put(client, closed, status="in-progress"))["Task.status"]


@pytest.mark.parametrize(("changes", "place"), [
    ({"owner": MADE_UP}, "Task.owner"), ({"owner": {"display": "Ann Smith"}}, "Task.owner"),
    ({"owner": {"reference": "Device/d1"}}, "Task.owner"),
    ({"status": "on-hold"}, "Task.statusReason"),
    ({"status": "on-hold", "statusReason": {"text": "away"}, "executionPeriod": {"start": "2026-03-20T12:00:00Z"}},
     "Task.executionPeriod.start"),
    ({"status": "on-hold", "statusReason": {"text": "away"}, "executionPeriod": {"start": "2027"}}, "Task.executionPeriod.start"),
    ({"status": "done"}, "Task.status"), ({"status": None}, "Task")])
def test_what_cannot_be_taken_is_refused_whole(gateway: Gateway, client: FlaskClient, changes: dict[str, Any],
                                               place: str) -> None:
    before = lead(gateway)
    answer = put(client, before, note=[{"text": "and this"}], **changes)
    assert (answer.status_code, answer.json["issue"][0]["expression"]) == (422, [place]), answer.json
    assert (lead(gateway), happened(gateway)) == (before, [("opened", "careloop")])


def test_only_a_gaps_task_is_written_and_only_the_version_that_was_read(gateway: Gateway, client: FlaskClient) -> None:
    load(gateway, "referrals", REFERRAL)
    of_referral = next(task for task in gateway.embedded.search("Task", []).resources
                       if task["identifier"][0]["system"] != "urn:x-careloop:gap")
    answer = put(client, of_referral, status="completed")
    assert (answer.status_code, answer.json["issue"][0]["details"]["text"]) == (422, "gap-task-invalid")
    assert gateway.embedded.read("Task", of_referral["id"]) == of_referral
    task = lead(gateway)
    assert put(client, {**task, "id": "none"}).status_code == 404
    assert client.put(f"/fhir/Task/{task['id']}", json={**task, "id": "other"}).status_code == 422
    assert client.put(f"/fhir/Task/{task['id']}", data="{}").status_code == 415
    assert put(client, task, 'W/"99"', status="in-progress", owner=SOMEBODY).status_code == 412
    assert lead(gateway) == task
    for method in ("PATCH", "DELETE", "POST"):
        answer = client.open(f"/fhir/Task/{task['id']}", method=method)
        assert (answer.status_code, "PUT" in answer.headers["Allow"]) == (405, True)


def test_what_a_missed_gap_says_already_gives_nothing_back(gateway: Gateway, client: FlaskClient) -> None:
    load(gateway, "care_team", SEAT % (b"", b"2026-03-01T07:00:00-05:00"))
    load(gateway, "members", MEMBER.replace(b"care-coordination,enrolled", b"care-coordination,eligible")
         .replace(b"2026-03-01T06:00", b"2026-03-02T06:00"))
    ended = lead(gateway)
    assert ended["status"] == "cancelled"
    assigned = put(client, ended, owner=SOMEBODY)
    assert (assigned.json["status"], assigned.json["owner"]) == ("cancelled", SOMEBODY)
    assert put(client, assigned.json, note=[{"text": "moved away"}]).json["owner"] == SOMEBODY


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(status=st.sampled_from(["draft", "requested", "received", "accepted", "rejected", "ready", "cancelled", "in-progress",
                               "on-hold", "failed", "completed", "entered-in-error"]),
       owner=st.sampled_from([SOMEBODY, MADE_UP, None]), reason=st.sampled_from([{"text": "away"}, None]))
def test_whatever_a_client_says_the_gap_stays_open_and_what_differs_is_told(
        gateway: Gateway, client: FlaskClient, status: str, owner: Any, reason: Any) -> None:
    answer = put(client, lead(gateway), status=status, owner=owner, statusReason=reason)
    standing = lead(gateway)
    assert standing["businessStatus"]["coding"][0]["code"] == "open"
    assert standing["status"] in ("requested", "accepted", "on-hold")
    if answer.status_code == 200 and status not in (standing["status"], "received", "in-progress"):
        assert "Task.status" in told(answer)
    else:
        assert answer.status_code in (200, 422)
