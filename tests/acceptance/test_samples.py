"""The public samples through a served gateway: acknowledged, standing, and the same after the second and third time."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapter.feeds import Feeds, open_feeds
from adapter.fhirserver.http import new_session
from adapter.fhirserver.port import Version
from adapter.fhirserver.upstream import UpstreamServer
from adapter.gateway import Gateway
from adapter.installation import mappings as in_force
from adapter.model import Received
from adapter.pipeline import convert
from adapter.settings import Settings
from tests.acceptance.conftest import ROOT, SAMPLES, compose
from tests.acceptance.served import Json, Key, Served, served
from tests.servers import hapi_url

pytestmark = pytest.mark.shared
OUTBOX = ('careloop_outbox_entries{state="waiting"}', 'careloop_outbox_entries{state="dead"}')
FLAGGED = 'careloop_findings_total{code="same-id-other-bytes",severity="warning"}'


def send_all(gateway: Served) -> None:
    """Every sample in name order; each is acknowledged by its own control id, as its MSH-15 and MSH-16 ask for."""
    for path in SAMPLES:
        answer = gateway.send(path.read_bytes())
        assert re.findall(r"\rMSA\|(..)\|([^\r|]*)", answer) == [(code, control_id(path)) for code in codes(path)], path.name
        assert "\rERR" not in answer


def codes(path: Path) -> list[str]:
    """Of the acknowledgements that a message asks for: the original mode's, or those of the enhanced one."""
    header = path.read_text("utf-8-sig").splitlines()[0].split("|")
    asked = [*header[14:16], "", ""][:2]
    return [code for code, when in zip(("CA", "AA"), asked, strict=True) if when in ("AL", "SU")] if any(asked) else ["AA"]


def control_id(path: Path) -> str:
    """MSH-10."""
    return path.read_text("utf-8-sig").split("|")[9]


def on_the_wire(path: Path) -> bytes:
    """The bytes that a receiver sees: segments end with CR there, and the bytes are part of a message's identity."""
    return path.read_bytes().replace(b"\r\n", b"\r").replace(b"\n", b"\r")


def converted(path: Path, feeds: Feeds, key: str) -> set[Key]:
    """The resources that the message makes on its own."""
    received = Received(raw=on_the_wire(path), arrival=datetime.now(UTC))
    bundle = convert(received, feeds, bytes.fromhex(key)).bundle
    return {(entry["resource"]["resourceType"], entry["resource"]["id"]) for entry in bundle["entry"]}


def test_what_each_message_makes_stands_in_an_empty_store(tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feeds, key = open_feeds(ROOT / "mappings"), "1a" * 32
    monkeypatch.setattr(in_force, "open_feeds", lambda _: feeds)
    for path in SAMPLES:
        standing = together(tmp_path / path.stem, key, [path])
        assert converted(path, feeds, key) == standing.keys(), path.name


def test_sent_three_times_to_the_embedded_server(tmp_path: Path, shared: Path) -> None:
    """Together they leave less than each alone: A29 ends what was said before of the patient that nearly all are about."""
    key = "1a" * 32
    with served(tmp_path, {"CARELOOP_KEY": key}) as gateway:
        send_all(gateway)
        figures, standing = counted(gateway.settle()), gateway.resources()
        assert standing.keys() == together(tmp_path / "expected", key).keys()
        for _ in range(2):
            send_all(gateway)
            assert counted(gateway.settle()) == figures
            assert gateway.resources() == standing
        assert_kept_and_flagged(figures)


def counted(figures: dict[str, int]) -> dict[str, int]:
    """The figures without those of web requests, which these tests make, of Tasks, as gaps go by the clock, and of the disk."""
    besides = ('careloop_resources{type="Task"}', "careloop_disk_free_bytes")
    return {name: value for name, value in figures.items() if not name.startswith("careloop_request_") and name not in besides}


def assert_kept_and_flagged(figures: dict[str, int]) -> None:
    """All 27 journalled; 19 of them have one MSH-10, so 18 are flagged, as is any other that comes twice."""
    ids = [control_id(path) for path in SAMPLES]
    assert max(ids.count(one) for one in ids) == 19
    assert sum(value for name, value in figures.items() if name.startswith("careloop_messages_total")) == 27
    assert {name: value for name, value in figures.items() if name.startswith("careloop_journal_entries")} == {
        'careloop_journal_entries{state="done"}': 27, 'careloop_journal_entries{state="waiting"}': 0,
        'careloop_journal_entries{state="failed"}': 0}
    assert figures[FLAGGED] >= 18


@pytest.fixture
def hapi() -> Iterator[UpstreamServer]:
    with new_session() as session:
        yield UpstreamServer(hapi_url(), session, name="hapi")


@pytest.mark.hapi
def test_sent_three_times_to_hapi(tmp_path: Path, hapi: UpstreamServer) -> None:
    key = uuid.uuid4().hex * 2  # ids that a HAPI which runs on between sessions has not seen
    ours = together(tmp_path / "expected", key)
    with served(tmp_path, {"CARELOOP_KEY": key, "CARELOOP_FHIR_URL": hapi_url()}) as gateway:
        send_all(gateway)
        assert [gateway.settle()[state] for state in OUTBOX] == [0, 0]
        first = versions(hapi, ours)
        assert first.keys() == ours.keys()
        for at, version in first.items():
            assert version.body is not None
            assert stated(version.body) == stated(ours[at]), at
        standing = embedded(gateway, ours)
        for _ in range(2):
            send_all(gateway)
            assert [gateway.settle()[state] for state in OUTBOX] == [0, 0]
            assert versions(hapi, ours) == first
            assert embedded(gateway, ours) == standing
        assert {at: stated(body) for at, body in standing.items()} == {at: stated(body) for at, body in ours.items()}


def together(folder: Path, key: str, paths: Sequence[Path] = SAMPLES) -> dict[Key, Json]:
    """What samples (all of them, in name order) make of an empty embedded store."""
    gateway = Gateway(Settings(data_dir=folder, key=key))
    for path in paths:
        gateway.accept([(on_the_wire(path), "test")])
    compose(gateway)
    found: dict[Key, Any] = {(v.resource_type, v.id): v.body for v in gateway.embedded.history()}
    gateway.close()
    return {at: body for at, body in found.items() if body is not None}


def stated(body: Json) -> Json:
    """A resource without what each server writes of its own: version, time, and HAPI's meta.source."""
    return {**body, "meta": {"profile": body.get("meta", {}).get("profile", [])}}


def versions(hapi: UpstreamServer, ours: dict[Key, Json]) -> dict[Key, Version]:
    """The last version of each of these on HAPI."""
    return {(v.resource_type, v.id): v for v in hapi.history() if (v.resource_type, v.id) in ours}


def embedded(gateway: Served, ours: dict[Key, Json]) -> dict[Key, Json]:
    """These as they stand in the served gateway; HAPI holds what other clients wrote there, and it comes in too."""
    return {at: body for at, body in gateway.resources().items() if at in ours}
