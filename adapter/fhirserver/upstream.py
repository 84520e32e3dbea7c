"""Any other FHIR R4 server, over HTTP."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any
from urllib.parse import urlencode, urlsplit

import orjson
import requests

from adapter.errors import Rejected, Unavailable
from adapter.fhirserver.http import FHIR_JSON, call, same_server
from adapter.fhirserver.port import Capabilities, Page, Version, Write, Written
from adapter.model import Json

_FORM = "application/x-www-form-urlencoded; charset=UTF-8"  # unnamed, some servers (Tomcat) read it as Latin-1
_NOT_ITS_WORD = re.compile(r"HTTP (401.*|407.*|3\d\d|403|404|405)")
"""What `http.call` tells of a refusal that is about no resource: of the latter ones, where no OperationOutcome came along."""
_HISTORY_PAGE = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IN_MEMORY = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation(Write):
    """A resource that the server names itself, unless one that this search finds stands there (If-None-Exist).

    id: a UUID by which the other writes of the transaction refer to it, as `urn:uuid:<id>`; its Written has the id given.
    """

    unless: str


class UpstreamServer:
    """`port.FhirServer` over HTTP; one session, so for one thread at a time (`http.new_session` makes one)."""

    def __init__(self, base_url: str, session: requests.Session, name: str = "") -> None:
        self._base = base_url.rstrip("/")
        self._session = session
        self._name = name or urlsplit(base_url).netloc.rpartition("@")[2]
        self._hapi: bool | None = None

    @property
    def name(self) -> str:
        """Short name, for sources and logs; host and port where none was given."""
        return self._name

    def capabilities(self) -> Capabilities:
        """What /metadata says. A type counts as update_create unless the server denies it: HAPI allows it silently."""
        statement = self._get("metadata")
        rests: list[Json] = statement.get("rest", [])
        rest = rests[0] if rests else Json()
        updatable = [row for row in rest.get("resource", ()) if "update" in _codes(row)]
        return Capabilities(
            software=" ".join(filter(None, (statement.get("software", {}).get(part) for part in ("name", "version")))),
            fhir_version=statement.get("fhirVersion", ""), types=frozenset(row["type"] for row in updatable),
            update_create=frozenset(row["type"] for row in updatable if row.get("updateCreate") is not False),
            transaction=bool({"transaction", "batch-transaction"} & _codes(rest)),
            system_history="history-system" in _codes(rest))

    def read(self, resource_type: str, resource_id: str) -> Json | None:
        """The current version; None where absent or deleted. Raises Unavailable, Rejected (server-refused)."""
        return self._get(f"{resource_type}/{resource_id}", absent=True) or None

    def transaction(self, writes: Sequence[Write]) -> list[Written]:
        """One transaction Bundle, as the Protocol says. Raises Unavailable, Rejected (as http.call).

        A conflict is also that the server will not delete what others point at. An answer that is no word of a FHIR server on
        what was sent (no sign-in; a proxy's page in its place, while it starts) is Unavailable: no resource is to blame for it.
        """
        if not writes:
            return []
        self._check_deletions(writes)
        if self._hapi is None and any(write.new for write in writes):
            self._hapi = self._is_hapi()
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [self._entry(write) for write in writes]}
        try:
            answer, _ = call(self._session, "POST", self._base, place="transaction", data=orjson.dumps(bundle),
                             headers={"Content-Type": FHIR_JSON})
        except Rejected as refusal:
            if _NOT_ITS_WORD.fullmatch(refusal.issue.detail):
                raise Unavailable("server-unavailable", "transaction", refusal.issue.detail) from refusal
            raise
        entries = answer.get("entry", [])
        if len(entries) != len(writes):
            raise Unavailable("server-unavailable", "transaction", f"answered {len(entries)} of {len(writes)} entries")
        return [_written(write, entry["response"]) for write, entry in zip(writes, entries, strict=True)]

    def search(self, resource_type: str, params: Sequence[tuple[str, str]], count: int = 100) -> Page:
        """First page of a search, by POST: values stay out of the server's access log. Raises Unavailable, Rejected."""
        names = {name for name, _ in params}
        form = [*params, *[(name, value) for name, value in (("_count", str(count)), ("_sort", "_lastUpdated,_id"))
                           if name not in names and "_summary" not in names]]
        answer, _ = call(self._session, "POST", f"{self._base}/{resource_type}/_search", place=resource_type,
                         data=urlencode(form), headers={"Content-Type": _FORM})
        return self._page(answer)

    def search_page(self, token: str) -> Page:
        """The page a `next` token names. Raises Rejected (server-refused) for an address outside this server."""
        answer, _ = call(self._session, "GET", same_server(self._base, token), place="next page")
        return self._page(answer)

    def history(self, since: datetime | None = None) -> Iterator[Version]:
        """Every version written at or after `since` (to the millisecond), oldest first, deletions included.

        Servers tell the newest first, so all pages are fetched (and kept aside on disk, where they are many) before the
        first is read. What is written meanwhile moves entries to a later page: they are told once. HAPI tells no time
        of a deletion: it gets that of the version told before it, so reading on from there misses nothing.
        """
        told: set[tuple[str, str, str]] = set()
        clock = since or _EPOCH
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as spool:
            for start, length in reversed(list(self._spool_history(since, spool))):
                spool.seek(start)
                for entry in reversed(orjson.loads(spool.read(length)).get("entry", [])):
                    version = _version(entry, clock)
                    clock = version.last_updated
                    key = (version.resource_type, version.id, version.version)
                    if key not in told:
                        told.add(key)
                        yield version

    def _spool_history(self, since: datetime | None, spool: IO[bytes]) -> Iterator[tuple[int, int]]:
        begin = (since or _EPOCH).astimezone(UTC)  # never without: HAPI then cuts off what came in the last minute
        params = {"_count": str(_HISTORY_PAGE), "_since": begin.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
        answer, content = call(self._session, "GET", f"{self._base}/_history", place="_history", params=params)
        while True:
            yield spool.tell(), spool.write(content)
            following = _next_link(answer)
            if following is None:
                return
            answer, content = call(self._session, "GET", same_server(self._base, following), place="_history")

    def _get(self, path: str, absent: bool = False) -> Json:
        answer, _ = call(self._session, "GET", f"{self._base}/{path}", place=path, absent=absent)
        return answer

    def _check_deletions(self, writes: Sequence[Write]) -> None:
        """HAPI heeds no ifMatch on a DELETE inside a transaction: ask first, which leaves only a moment open."""
        for write in writes:
            if write.body is None and write.if_match is not None:
                standing = self.read(write.resource_type, write.id)
                if standing is None or standing["meta"]["versionId"] != write.if_match:
                    raise Rejected("version-conflict", f"{write.resource_type}/{write.id}")

    def _is_hapi(self) -> bool:
        """Whether an If-Match of a version that no resource has keeps a PUT from going over one, and lets it create what is not
        there. HAPI does not heed ifNoneMatch; other servers may refuse the If-Match of what is not there (RFC 9110 13.1.1)."""
        try:
            return self.capabilities().software.startswith("HAPI FHIR")
        except Rejected:
            return False

    def _entry(self, write: Write) -> Json:
        if isinstance(write, Creation) and write.body is not None:
            unnamed = {name: value for name, value in write.body.items() if name != "id"}
            return {"fullUrl": f"urn:uuid:{write.id}", "resource": unnamed,
                    "request": {"method": "POST", "url": write.resource_type, "ifNoneExist": write.unless}}
        address = f"{write.resource_type}/{write.id}"
        request = {"method": "DELETE" if write.body is None else "PUT", "url": address}
        if write.if_match is not None:
            request["ifMatch"] = f'W/"{write.if_match}"'
        elif write.new and self._hapi:
            request["ifMatch"] = 'W/"0"'
        if write.body is None:
            return {"request": request}
        return {"fullUrl": f"{self._base}/{address}", "resource": {**write.body, "id": write.id}, "request": request}

    def _page(self, bundle: Json) -> Page:
        by_mode: dict[str, list[Json]] = {"match": [], "include": [], "outcome": []}
        for entry in bundle.get("entry", ()):
            by_mode[entry.get("search", {}).get("mode", "match")].append(entry["resource"])
        following = _next_link(bundle)
        return Page(resources=tuple(by_mode["match"]), included=tuple(by_mode["include"]), total=bundle.get("total"),
                    next=same_server(self._base, following) if following is not None else None)


def _codes(row: Json) -> frozenset[str]:
    return frozenset(interaction["code"] for interaction in row.get("interaction", ()))


def _next_link(bundle: Json) -> str | None:
    return next((link["url"] for link in bundle.get("link", ()) if link.get("relation") == "next"), None)


def _written(write: Write, response: Json) -> Written:
    given = write.id
    if isinstance(write, Creation):
        named = (response.get("location") or "").partition("/_history/")[0].rsplit("/", 2)
        if named[-2:-1] != [write.resource_type] or not named[-1]:
            raise Unavailable("server-unavailable", "transaction", "no location of what was created")
        given = named[-1]
    return Written(resource_type=write.resource_type, id=given, version=_version_id(response),
                   status=int(response["status"][:3]))


def _version_id(response: Json, url: str = "") -> str:
    etag: str = response.get("etag", "")
    return etag.removeprefix("W/").strip('"') or (response.get("location") or url).partition("/_history/")[2]


def _version(entry: dict[str, Any], before: datetime) -> Version:
    resource: Json = entry.get("resource") or {}
    request, response = entry["request"], entry.get("response", {})
    address = request["url"].partition("/_history/")[0].rsplit("/", 2)
    meta = resource.get("meta", {})
    stated = meta.get("lastUpdated") or response.get("lastModified")
    return Version(
        resource_type=resource.get("resourceType") or address[-2], id=resource.get("id") or address[-1],
        version=meta.get("versionId") or _version_id(response, request["url"]),
        last_updated=datetime.fromisoformat(stated).astimezone(UTC) if stated else before,
        body=None if request["method"] == "DELETE" else resource)
