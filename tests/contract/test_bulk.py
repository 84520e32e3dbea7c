"""Bulk Data $export: of a server that does as the guide says or does not, and of HAPI."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest

from adapter.errors import Rejected, Unavailable
from adapter.fhirserver import bulk
from adapter.fhirserver.http import new_session
from adapter.fhirserver.port import Write
from adapter.fhirserver.upstream import UpstreamServer
from adapter.gaps import snapshot
from tests.servers import hapi_url

PATIENT = b'{"resourceType":"Patient","id":"a"}\n'


@contextmanager
def serving(**ways: Any) -> Iterator[tuple[str, list[str]]]:
    """A server that makes two files; `ways` bends it. Its base URL, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path.partition("?")[0])
            here = f"http://127.0.0.1:{self.server.server_address[1]}/fhir"
            if "$export" in self.path:
                self.answer(ways.get("begin", 202), b"", ("Content-Location", ways.get("status", f"{here}/status")))
            elif self.path.endswith("/status"):
                if asked.count("/fhir/status") <= ways.get("pending", 1):
                    self.answer(202, b"", ("Retry-After", "7"))
                else:
                    output = [{"type": kind, "url": f"{ways.get('files', here)}/{kind[-4:]}"} for kind in ("Patient", "../Goal")]
                    self.answer(200, orjson.dumps({"output": output, "error": ways.get("error", [])}))
            else:
                self.answer(200, PATIENT)

        def do_DELETE(self) -> None:
            asked.append(f"DELETE {self.path}")
            self.answer(202, b"")

        def answer(self, status: int, content: bytes, *headers: tuple[str, str]) -> None:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/fhir/", asked
    finally:
        server.shutdown()
        server.server_close()


def test_an_export_is_begun_waited_for_fetched_and_cleared_away(tmp_path: Path):
    waited: list[float] = []
    with serving(pending=2) as (url, asked):
        files = bulk.export(url, new_session(), tmp_path, ["Patient", "Goal"], wait=waited.append)
    assert [path.name for path in files] == ["Patient.1.ndjson", "Goal.2.ndjson"]
    assert files[0].read_bytes() == PATIENT
    assert waited == [7.0, 7.0]
    assert asked[-1] == "DELETE /fhir/status"
    assert [node["id"] for node in snapshot.ndjson(tmp_path)] == ["a", "a"]


@pytest.mark.parametrize(("ways", "error"), [
    ({"begin": 200}, Rejected), ({"begin": 404}, Rejected), ({"begin": 503}, Unavailable),
    ({"status": "http://other.example/s"}, Rejected),
    ({"files": "http://other.example"}, Rejected), ({"error": [{"type": "OperationOutcome", "url": "x"}]}, Rejected),
    ({"pending": 10**6}, Unavailable)])
def test_a_server_that_does_otherwise_is_told(tmp_path: Path, ways: dict[str, Any], error: type[Exception]):
    with serving(**ways) as (url, _), pytest.raises(error):
        bulk.export(url, new_session(), tmp_path, ["Patient"], wait=lambda _: None, patience=50)


@pytest.mark.hapi
def test_the_gaps_of_another_server_come_by_its_export(tmp_path: Path):
    url, session = hapi_url(), new_session()
    server = UpstreamServer(url, session)
    server.transaction([
        Write(resource_type="Patient", id="bulk-p", body={"resourceType": "Patient", "id": "bulk-p"}),
        Write(resource_type="Goal", id="bulk-g", body={
            "resourceType": "Goal", "id": "bulk-g", "lifecycleStatus": "active", "description": {"text": "walk"},
            "subject": {"reference": "Patient/bulk-p"}})])
    bulk.export(url, session, tmp_path, ["Patient", "Goal"])
    found = {(node["resourceType"], node["id"]) for node in snapshot.ndjson(tmp_path)}
    assert {("Patient", "bulk-p"), ("Goal", "bulk-g")} <= found
    assert snapshot.of_resources(snapshot.ndjson(tmp_path), tmp_path / "flat").members >= 1
