"""Transactions to a FHIR server: recorded as our pusher makes them, given other ids, posted by nothing but a connection."""

from __future__ import annotations

import http.client
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests
from requests.adapters import BaseAdapter

from adapter.fhirserver.http import FHIR_JSON, new_session
from adapter.model import Outlet

_ID = re.compile(rb"\b[0-9a-f]{32}\b")
_HEADERS = {"Content-Type": FHIR_JSON, "Accept": FHIR_JSON, "Accept-Encoding": "gzip"}
"""HAPI is faster where it packs its answer."""


@dataclass(slots=True)
class Recorder(BaseAdapter):
    """A FHIR server that takes every transaction at once and keeps it."""

    taken: list[bytes] = field(default_factory=list[bytes])

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """One exchange, as requests' adapters do it."""
        answer = requests.Response()
        answer.status_code = 200
        answer.headers["Content-Type"] = FHIR_JSON
        if request.method == "GET":  # what it can do
            answer._content = orjson.dumps({"resourceType": "CapabilityStatement"})
            return answer
        bundle = orjson.loads(request.body or b"{}")
        self.taken.append(orjson.dumps(_without_versions(bundle)))
        made = [{"response": {"status": "201", "etag": 'W/"1"'}} for _ in bundle["entry"]]
        answer._content = orjson.dumps({"resourceType": "Bundle", "entry": made})
        return answer

    def close(self) -> None:
        """Nothing is open."""

    def session(self) -> requests.Session:
        """A session of the real client that ends here."""
        session = new_session()
        session.mount("http://", self)
        return session


def _without_versions(bundle: dict[str, Any]) -> dict[str, Any]:
    for entry in bundle["entry"]:
        entry["request"].pop("ifMatch", None)  # its own versions would not be those
    return bundle


def renamed(transactions: Sequence[bytes], salt: bytes) -> list[bytes]:
    """The same with every id another one."""
    return [_ID.sub(lambda found: md5(salt + found[0]).hexdigest().encode(), one) for one in transactions]


def bare(outlet: Outlet, transactions: Sequence[bytes]) -> None:
    """Post transactions one after another on one connection."""
    where = urlsplit(outlet.name)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=300)
    for one in transactions:
        connection.request("POST", where.path, one, _HEADERS)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise SystemExit(f"HAPI answers {answer.status}: {said[:500]!r}")
    connection.close()
