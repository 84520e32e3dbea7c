"""A FHIR server in memory alone, behind the real HTTP client: how it fails is drawn from a seed.

It does what the delivery code relies on as HAPI does it: transactions whole or not at all, If-Match, references that must have a
target, an unchanged resource that keeps its version, history. Source: FHIR R4 http.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import requests
from requests.adapters import BaseAdapter

from adapter.compose.references import targets
from adapter.fhirserver.http import FHIR_JSON
from adapter.model import Json

BASE = "http://fhir.invalid/fhir"
Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One version. body: None where it was deleted. client: whether another client than the gateway wrote it."""

    key: Key
    version: int
    moment: datetime
    body: Json | None
    client: bool = False


class Refused(Exception):
    """The server does not take a transaction: status, issue code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(status, code)
        self.status = status
        self.code = code


@dataclass(slots=True)
class SimulatedServer(BaseAdapter):
    """Its state and its faults. point: called where the gateway's process may die around an exchange.

    posts: transactions that were sent; meanwhile: called in each exchange.
    gone: no connection at all. trouble: exchanges that go wrong in a way of their own, as long as it is above 0.
    named: version ids are names, which tell no order.
    """

    rng: random.Random
    clock: Callable[[], datetime]
    point: Callable[[], None]
    gone: bool = False
    trouble: int = 0
    log: list[Told] = field(default_factory=list[Told])
    standing: dict[Key, Told] = field(default_factory=dict[Key, Told])
    posts: int = 0
    software: str = "HAPI FHIR Server"
    named: bool = False
    meanwhile: Callable[[], None] = lambda: None

    def session(self) -> requests.Session:
        """A session of the real client that reaches this server."""
        session = requests.Session()
        session.trust_env = False
        session.mount("http://", self)
        return session

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """One exchange, as requests' adapters do it; what the server is it says at any time."""
        if request.url == f"{BASE}/metadata":
            return self._response(request, 200, self._statement())
        self.posts += request.method == "POST"
        self.meanwhile()
        self.point()
        if self.gone:
            raise requests.ConnectionError("gone")
        fault = self.fault()
        if fault in ("reset", "timeout"):
            raise requests.ConnectionError(fault) if fault == "reset" else requests.ReadTimeout(fault)
        if isinstance(fault, int):
            again = {"Retry-After": "7"} if fault == 429 else {}
            return self._response(request, fault, {"resourceType": "OperationOutcome"}, again)
        try:
            answer = self._answer(request)
            response = self._response(request, 200 if answer else 404, answer)
        except Refused as refusal:
            issue = {"severity": "error", "code": refusal.code}
            response = self._response(request, refusal.status, {"resourceType": "OperationOutcome", "issue": [issue]})
        self.point()
        if fault == "lost answer":
            raise requests.ConnectionError(fault)
        if fault == "cut answer":
            response._content = response.content[: len(response.content) // 2]
        return response

    def close(self) -> None:
        """Nothing is open."""

    def fault(self) -> str | int | None:
        """What goes wrong with the next exchange: a status, a word, or nothing."""
        if self.trouble <= 0:
            return None
        self.trouble -= 1
        return self.rng.choice(("reset", "timeout", "lost answer", "lost answer", "lost answer", "cut answer", 500, 503, 429))

    def _answer(self, request: requests.PreparedRequest) -> Json:
        url = urlsplit(request.url or "")
        path = url.path.removeprefix("/fhir").strip("/")
        if request.method == "POST" and not path:
            return self._transaction(orjson.loads(request.body or b"{}"))
        if path == "_history":
            return self._history(datetime.fromisoformat(parse_qs(url.query)["_since"][0]))
        resource_type, _, resource_id = path.partition("/")
        return self._shown(self.standing.get((resource_type, resource_id))) or {}

    def _statement(self) -> Json:
        return {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "software": {"name": self.software}, "rest": [{
            "interaction": [{"code": "transaction"}, {"code": "history-system"}],
            "resource": [{"type": "Patient", "interaction": [{"code": "update"}], "updateCreate": True}]}]}

    def _transaction(self, bundle: Json) -> Json:
        writes = [(entry["request"], *_key(entry["request"]["url"]), entry.get("resource")) for entry in bundle["entry"]]
        after: dict[Key, Json | None] = {(t, i): body for _, t, i, body in writes}
        if len(after) != len(writes):
            raise Refused(400, "duplicate")
        for request, resource_type, resource_id, _ in writes:
            self._check_version(request, (resource_type, resource_id))
        for body in after.values():
            for name in targets(body, set[str]()):
                if not self._stands(_key(name), after):
                    raise Refused(400, "not-found")
        for key in (key for key, body in after.items() if body is None):
            if any(told.body and f"{key[0]}/{key[1]}" in targets(told.body, set[str]())
                   for other, told in self.standing.items() if other not in after):
                raise Refused(409, "conflict")
        return {"resourceType": "Bundle", "type": "transaction-response",
                "entry": [self._written((t, i), body) for _, t, i, body in writes]}

    def _check_version(self, request: Json, key: Key) -> None:
        standing = self.standing.get(key)
        wanted = request.get("ifMatch")
        if wanted is not None and standing is not None and wanted != f'W/"{self._called(standing)}"':
            raise Refused(412, "conflict")

    def _stands(self, key: Key, after: dict[Key, Json | None]) -> bool:
        standing = self.standing.get(key)
        return after.get(key, standing and standing.body) is not None

    def write(self, key: Key, body: Json | None, *, client: bool = False) -> Told:
        """The version that stands once this is written."""
        before = self.standing.get(key)
        own = None if body is None else {name: value for name, value in body.items() if name != "meta" or value}
        if before is None or before.body != own:
            told = Told(key=key, version=before.version + 1 if before else 1, moment=self.clock(), body=own, client=client)
            self.standing[key] = told
            self.log.append(told)
        return self.standing[key]

    def _written(self, key: Key, body: Json | None) -> Json:
        before = self.standing.get(key)
        told = self.write(key, body)
        return {"response": {"status": "200 OK" if before and before.body else "201 Created", "etag": f'W/"{self._called(told)}"',
                             "location": f"{key[0]}/{key[1]}/_history/{self._called(told)}"}}

    def _history(self, since: datetime) -> Json:
        entries = [{"request": {"method": "PUT" if told.body else "DELETE", "url": "/".join(told.key)},
                    "response": {"etag": f'W/"{self._called(told)}"', "lastModified": told.moment.isoformat()}}
                   | ({"resource": self._shown(told)} if told.body else {})
                   for told in reversed(self.log) if told.moment >= since]
        return {"resourceType": "Bundle", "type": "history", "entry": entries}

    def _called(self, told: Told) -> str:
        return f"v{told.version}" if self.named else str(told.version)

    def _shown(self, told: Told | None) -> Json | None:
        """A version as the server shows it, with its own meta."""
        if told is None or told.body is None:
            return None
        meta = {**told.body.get("meta", {}), "versionId": self._called(told), "lastUpdated": told.moment.isoformat()}
        return {**told.body, "id": told.key[1], "meta": meta}

    @staticmethod
    def _response(request: requests.PreparedRequest, status: int, body: Json,
                  headers: dict[str, str] | None = None) -> requests.Response:
        response = requests.Response()
        response.status_code = status
        response.url = request.url or ""
        response.request = request
        response.headers.update({"Content-Type": FHIR_JSON, **(headers or {})})
        response._content = orjson.dumps(body)
        return response


def _key(url: str) -> Key:
    resource_type, _, resource_id = url.removeprefix(f"{BASE}/").partition("/")
    return resource_type, resource_id.partition("/")[0]
