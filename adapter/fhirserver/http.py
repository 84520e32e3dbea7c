"""HTTP to a FHIR server, and the one place where its failures become Unavailable (try again) or Rejected (no use).

What a server says about a failure may repeat the resource, so only codes and places of it are kept, never its words.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import orjson
import requests

from adapter.errors import Rejected, Unavailable
from adapter.model import Json

FHIR_JSON = "application/fhir+json"
TIMEOUT = (5.0, 60.0)
"""Seconds to connect, and between two pieces of an answer."""

_NO_ADDRESS = (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema)
_AGAIN = frozenset({408, 425, 429})
_CONFLICT = frozenset({409, 412})
_CODE = re.compile(r"[a-z-]{1,30}")
_PLACE = re.compile(r"[A-Za-z]+(\.[A-Za-z]+(\[\d+\])?)*")
_HAPI = re.compile(r"HAPI-\d+")


def new_session() -> requests.Session:
    """A session that heeds no proxy, netrc or certificate settings of the environment (and is twice as fast so)."""
    session = requests.Session()
    session.trust_env = False
    session.headers.update({"Accept": FHIR_JSON, "Cache-Control": "no-cache"})  # HAPI serves a search of a minute ago
    return session


def call(session: requests.Session, method: str, url: str, *, place: str, absent: bool = False,
         **request: Any) -> tuple[Json, bytes]:
    """One exchange: the answer as JSON, and its bytes; ({}, b"") where `absent` allows 404 and 410.

    place: what is asked for, as an error names it. Raises Unavailable (server-unavailable: no connection, timeout, 408,
    425, 429, 5xx, no JSON; with Retry-After) or Rejected (version-conflict: 409, 412; server-refused: the rest).
    """
    response = send(session, method, url, place=place, absent=absent, **request)
    return ({}, b"") if response.status_code >= 300 else (read_json(response.content, place), response.content)


def send(session: requests.Session, method: str, url: str, *, place: str, absent: bool = False,
         **request: Any) -> requests.Response:
    """One exchange whose answer need not be JSON; of a status of 300 or more only 404 and 410, where `absent` allows them.

    Raises as `call` does.
    """
    try:
        response = session.request(method, url, timeout=TIMEOUT, allow_redirects=False, **request)
    except _NO_ADDRESS as error:
        raise Rejected("server-refused", place, type(error).__name__) from error
    except requests.RequestException as error:
        raise Unavailable("server-unavailable", place, type(error).__name__) from error
    if response.status_code >= 300 and not (absent and response.status_code in {404, 410}):
        raise _failure(response, place)
    return response


def same_server(base_url: str, link: str) -> str:
    """A link of an answer as a URL, if it stays below the base. Raises Rejected (server-refused) if it leads away."""
    url = urljoin(base_url + "/", link)
    ours, theirs = urlsplit(base_url), urlsplit(url)
    path = theirs.path.rstrip("/")
    below = path == ours.path.rstrip("/") or path.startswith(ours.path.rstrip("/") + "/")
    if (theirs.scheme, theirs.netloc) != (ours.scheme, ours.netloc) or not below or ".." in path.split("/"):
        raise Rejected("server-refused", "Bundle.link", "the next page lies outside the server's base address")
    return url


def _failure(response: requests.Response, place: str) -> Unavailable | Rejected:
    status = response.status_code
    detail = " ".join([f"HTTP {status}", *_findings(response.content)])
    if status in _AGAIN or status >= 500:
        return Unavailable("server-unavailable", place, detail, retry_after=retry_after(response))
    if status in _CONFLICT:
        return Rejected("version-conflict", place, detail)
    return Rejected("server-refused", place, detail)


def _findings(content: bytes) -> list[str]:
    """What an OperationOutcome can say without words: issue codes, places, HAPI's error numbers."""
    try:
        outcome = orjson.loads(content)
        issues = [issue for issue in outcome.get("issue", ()) if issue.get("severity") in {"error", "fatal"}][:3]
        texts = [text for issue in issues for text in (issue.get("code", ""), *issue.get("expression", ())[:1])]
        known = [text for text in texts if _CODE.fullmatch(text) or _PLACE.fullmatch(text)]
        return known + [number for issue in issues for number in _HAPI.findall(issue.get("diagnostics", ""))]
    except (ValueError, AttributeError, TypeError):
        return []


def retry_after(response: requests.Response) -> float | None:
    """Seconds to wait, where an answer says so by Retry-After (seconds, or a date)."""
    stated = response.headers.get("Retry-After", "").strip()
    if stated.isdecimal():
        return float(stated)
    try:
        until = parsedate_to_datetime(stated)
        now = parsedate_to_datetime(response.headers["Date"]) if "Date" in response.headers else datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return None


def read_json(content: bytes, place: str) -> Json:
    """An answer's JSON object. Raises Unavailable (server-unavailable) where it is none."""
    try:
        answer = orjson.loads(content)
    except ValueError as error:
        raise Unavailable("server-unavailable", place, "the answer is not JSON") from error
    if not isinstance(answer, dict):
        raise Unavailable("server-unavailable", place, "the answer is not a resource")
    return answer  # pyright: ignore[reportUnknownVariableType] - a JSON object
