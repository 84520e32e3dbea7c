"""HTTP servers for tests that answer as a test says, or fail as servers do: a scripted one, and a FHIR server in memory.

A fault is about one exchange: `500`, `429`, `400` ... a status; `page 404` a proxy's page with it; `reset` cut before anything is
done; `lost` done, and the answer cut off; `held` cut, and done by `commit_held`; `slow` done, and answered too late.
"""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from adapter.compose.references import targets

Json = dict[str, Any]
Answer = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Cut(Exception):
    """Raised in place of an answer: the connection is reset."""


@contextmanager
def answering(answer: Callable[[Asked], Answer], port: int = 0) -> Generator[int]:
    """A server on 127.0.0.1 that answers each request so; its port."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                status, headers, body = answer(
                    Asked(method=self.command, path=self.path, headers=dict(self.headers), body=content))
            except Cut:
                self.close_connection = True
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                return
            try:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
            except OSError:  # whoever asked waits no more
                self.close_connection = True

        do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - names of the library

        def log_message(self, format: str, *args: Any) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            return

    server = Server(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class FhirStandIn:
    """A FHIR server in memory. faults: what becomes of the next transactions; wait: seconds that a slow one takes.

    named: its version ids are names that tell no order, and what it creates it tells as created.
    """

    url: str = ""
    standing: dict[tuple[str, str], list[tuple[datetime, Json | None]]] = field(default_factory=dict[Any, Any])
    faults: list[str] = field(default_factory=list[str])
    held: list[Json] = field(default_factory=list[Json])
    refuse: Callable[[Json], int] = lambda _: 0
    wait: float = 0.0
    retry_after: str = ""
    tried: list[str] = field(default_factory=list[str])
    told: list[tuple[datetime, str, str, int]] = field(default_factory=list[Any])
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    named: bool = False

    def answer(self, asked: Asked) -> Answer:
        """Answer one request to the base `/fhir`."""
        address = urlsplit(asked.path)
        path = address.path.removeprefix("/fhir").strip("/")
        if asked.method == "POST" and not path:
            return self._transaction(json.loads(asked.body))
        if path == "_history":
            return _json(200, self._history(parse_qs(address.query)))
        if path.endswith("/_search") or "page" in parse_qs(address.query):
            return _json(200, self._search(path.removesuffix("/_search"), int(parse_qs(address.query).get("page", ["0"])[0])))
        versions = self.standing.get((path.partition("/")[0], path.partition("/")[2]), [])
        if not versions or not versions[-1][1]:
            return _json(410 if versions else 404, {})
        return _json(200, self.body(path.partition("/")[0], path.partition("/")[2]))

    def body(self, resource_type: str, resource_id: str, version: int = 0) -> Json:
        """A resource as it stands, with its meta."""
        versions = self.standing[resource_type, resource_id]
        number = version or len(versions)
        when, body = versions[number - 1]
        found = body or {}
        called = self._version((resource_type, resource_id), number)
        return {**found, "meta": {**found.get("meta", {}), "versionId": called, "lastUpdated": when.isoformat()}}

    def write(self, resource_type: str, resource_id: str, body: Json | None) -> None:
        """Another client's write."""
        self._put((resource_type, resource_id), body)

    def commit_held(self) -> None:
        """Do late what was cut off."""
        for bundle in self.held:
            for entry in bundle["entry"]:
                self._one(entry)
        self.held.clear()

    def saved(self) -> Any:
        """A backup."""
        return deepcopy((self.standing, self.told))

    def restore(self, backup: Any) -> None:
        """Stand again as a backup has it."""
        self.standing, self.told = deepcopy(backup)

    def current(self) -> dict[tuple[str, str], Json]:
        """What stands, without meta."""
        return {key: {n: v for n, v in versions[-1][1].items() if n != "meta"}
                for key, versions in self.standing.items() if versions[-1][1]}

    def _transaction(self, bundle: Json) -> Answer:
        fault = self.faults.pop(0) if self.faults else ""
        self.tried.append(fault)
        if fault == "reset":
            raise Cut
        if fault == "held":
            self.held.append(bundle)
            raise Cut
        if fault.isdecimal():
            return fault_answer(int(fault), self.retry_after)
        if fault.startswith("page "):
            return int(fault.removeprefix("page ")), {"Content-Type": "text/html"}, b"<html>not here</html>"
        entries: list[Json] = bundle["entry"]
        if status := self._refused(entries):
            return fault_answer(status, "")
        written = [self._one(entry) for entry in entries]
        if fault == "lost":
            raise Cut
        if fault == "slow":
            time.sleep(self.wait)
        return _json(200, {"resourceType": "Bundle", "type": "transaction-response", "entry": written})

    def _refused(self, entries: list[Json]) -> int:
        here = {f"{t}/{i}" for (t, i), versions in self.standing.items() if versions[-1][1]}
        here |= {entry["request"]["url"] for entry in entries if "resource" in entry}
        for entry in entries:
            match = entry["request"].get("ifMatch")
            if match and match != f'W/"{self._version(_key(entry))}"':
                return 412
            if "resource" in entry and (targets(entry["resource"], set()) - here or self.refuse(entry["resource"])):
                return self.refuse(entry["resource"]) or 400
        bodies = self.current() | {_key(entry): entry.get("resource") for entry in entries}
        gone = {f"{t}/{i}" for (t, i), body in bodies.items() if body is None}
        return 409 if any(body and not gone.isdisjoint(targets(body, set())) for body in bodies.values()) else 0

    def _one(self, entry: Json) -> Json:
        key = _key(entry)
        created = self.named and "resource" in entry and not self.standing.get(key)
        self._put(key, entry.get("resource"))
        return {"response": {"status": "201" if created else "200", "etag": f'W/"{self._version(key)}"'}}

    def _version(self, key: tuple[str, str], number: int = 0) -> str:
        """What a version is called; the newest one without a number."""
        versions = self.standing.get(key, [])
        number = number or len(versions)
        if not self.named or not number:
            return str(number)
        return "v" + hashlib.sha256(f"{key} {versions[number - 1][0]}".encode()).hexdigest()[:12]

    def _put(self, key: tuple[str, str], body: Json | None) -> None:
        versions = self.standing.setdefault(key, [])
        if not versions and body is None:
            del self.standing[key]
            return
        if not versions or versions[-1][1] != body:
            now = self.clock()
            if self.told and now <= self.told[-1][0]:
                now = self.told[-1][0] + timedelta(milliseconds=1)
            versions.append((now, body))
            self.told.append((now, *key, len(versions)))

    def _search(self, resource_type: str, start: int) -> Json:
        found = [key for key, versions in sorted(self.standing.items()) if key[0] == resource_type and versions[-1][1]]
        size = 5
        more = {"relation": "next", "url": f"{self.url}/{resource_type}?page={start + size}"}
        return {"resourceType": "Bundle", "type": "searchset", "link": [more] if len(found) > start + size else [], "entry": [
            {"resource": self.body(*key), "search": {"mode": "match"}} for key in found[start:start + size]]}

    def _history(self, asked: dict[str, list[str]]) -> Json:
        since = datetime.fromisoformat(asked["_since"][0]) if "_since" in asked else datetime.min.replace(tzinfo=UTC)
        entries: list[Json] = []
        for when, resource_type, one, number in reversed(self.told):
            if when >= since:
                gone = self.standing[resource_type, one][number - 1][1] is None
                called = self._version((resource_type, one), number)
                request = {"method": "DELETE" if gone else "PUT", "url": f"{resource_type}/{one}/_history/{called}"}
                entries.append({"request": request, "response": {"status": "200", "lastModified": when.isoformat()},
                                **({} if gone else {"resource": self.body(resource_type, one, number)})})
        return {"resourceType": "Bundle", "type": "history", "entry": entries}


@contextmanager
def fhir_stand_in(standing: FhirStandIn | None = None, port: int = 0) -> Generator[FhirStandIn]:
    """A FHIR server in memory on a free port, or again on the port it had."""
    script = standing or FhirStandIn()
    with answering(script.answer, port) as found:
        script.url = f"http://127.0.0.1:{found}/fhir"
        yield script


def _key(entry: Json) -> tuple[str, str]:
    resource_type, _, resource_id = entry["request"]["url"].partition("/")
    return resource_type, resource_id


def fault_answer(status: int, retry_after: str) -> Answer:
    """A failure as FHIR servers tell it."""
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "processing"}]}
    code, headers, body = _json(status, outcome)
    return code, {**headers, **({"Retry-After": retry_after} if retry_after else {})}, body


def _json(status: int, body: Json) -> Answer:
    return status, {"Content-Type": "application/fhir+json"}, json.dumps(body).encode()
