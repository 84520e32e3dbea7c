"""Bulk Data $export of any FHIR server into NDJSON files. Source: FHIR Bulk Data Access (Flat FHIR) 2.0, system level."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from itertools import count
from pathlib import Path
from typing import Any, cast

import requests

from adapter.errors import Rejected, Unavailable
from adapter.fhirserver.http import FHIR_JSON, read_json, same_server, send
from adapter.model import Json

NDJSON = "application/fhir+ndjson"
PATIENCE = 3600.0
"""Seconds that a server may take to make the files."""

_PIECE = 1 << 20
_PLACE = "$export"


def export(base_url: str, session: requests.Session, folder: Path, types: Collection[str], *,
           wait: Callable[[float], None] = time.sleep, patience: float = PATIENCE) -> list[Path]:
    """Export the resources of these types into the folder, `Type.1.ndjson` and so on; the files.

    wait: how to pass seconds. Raises Unavailable (the server is away, or not ready within `patience` seconds) or Rejected
    (it has no $export, failed at it, or names files elsewhere).
    """
    base = base_url.rstrip("/")
    folder.mkdir(parents=True, exist_ok=True)
    begun = send(session, "GET", f"{base}/$export", place=_PLACE,
                 params={"_type": ",".join(sorted(types)), "_outputFormat": NDJSON},
                 headers={"Accept": FHIR_JSON, "Prefer": "respond-async"})
    status = begun.headers.get("Content-Location", "")
    if begun.status_code != 202 or not status:
        raise Rejected("server-refused", _PLACE, "no Content-Location")
    status = same_server(base, status)
    manifest = _when_ready(session, status, wait, patience)
    if _entries(manifest, "error"):
        raise Rejected("server-refused", _PLACE, "the server reports errors of its export")
    files = [_file(session, same_server(base, str(entry.get("url"))), folder / name)
             for entry, name in _named(_entries(manifest, "output"))]
    send(session, "DELETE", status, place=_PLACE, absent=True)
    return files


def _when_ready(session: requests.Session, status: str, wait: Callable[[float], None], patience: float) -> Json:
    """The manifest, once the server has made the files."""
    left, seconds = patience, 1.0
    while left > 0:
        answer = send(session, "GET", status, place=_PLACE)
        if answer.status_code == 200:
            return read_json(answer.content, _PLACE)
        told = answer.headers.get("Retry-After", "")
        seconds = min(float(told) if told.isdigit() else seconds * 2, 30.0, left)
        wait(seconds)
        left -= max(seconds, 0.1)
    raise Unavailable("server-unavailable", _PLACE, "the export is not ready")


def _entries(manifest: Json, key: str) -> list[Json]:
    found: Any = manifest.get(key) or []
    return [entry for entry in cast("list[Any]", found) if isinstance(entry, dict)] if isinstance(found, list) else []


def _named(entries: list[Json]) -> Iterator[tuple[Json, str]]:
    """Each entry with a name for its file, of letters and numbers only."""
    for entry, number in zip(entries, count(1)):
        kind = "".join(letter for letter in str(entry.get("type", "")) if letter.isalpha())
        yield entry, f"{kind or 'Resource'}.{number}.ndjson"


def _file(session: requests.Session, url: str, path: Path) -> Path:
    answer = send(session, "GET", url, place=_PLACE, headers={"Accept": NDJSON}, stream=True)
    with answer, path.open("wb") as file:
        try:
            for piece in answer.iter_content(_PIECE):
                file.write(piece)
        except requests.RequestException as error:
            raise Unavailable("server-unavailable", _PLACE, type(error).__name__) from error
    return path
