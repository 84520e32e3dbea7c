"""Headers as most are written: usual delimiters, ASCII, nothing escaped or repeated. They are read off the bytes at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from adapter.mapping.header import VERSIONS, Event

_HEAD = re.compile(rb"(MSH\|\^~\\&\|[ -%'-\[\]-}]*)(?:\r|\n|\Z)")
_EDGE = re.compile(r"[|^] | [|^]| \Z")
"""Blanks at an edge of a value, which a reader of components takes off."""
_ANOTHER = re.compile(rb"[\r\n\x0b][ \t]*(?:MSH|FHS|BHS)[^0-9A-Za-z\s]")
_PID_3 = re.compile(rb"[\r\n]PID\|[^|\r\n]*\|[^|\r\n]*\|([^|~^\r\n]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainHeader:
    """What the header says, where nothing in it asks for a closer look. patient: PID-3.1, to tell messages of one patient."""

    application: str
    facility: str
    control_id: str
    event: Event
    test: bool
    patient: str


def plain_fields(raw: bytes) -> list[str] | None:
    """The fields of a plain header, MSH-n at index n - 1; None where it is not plain."""
    head = _HEAD.match(raw)
    return head[1].decode("ascii").split("|") if head else None


def plain_header(raw: bytes, events: Mapping[str, Event]) -> PlainHeader | None:
    """The header of one ADT message that can be taken as it is; None where it must be read closely, or refused."""
    head = _HEAD.match(raw)
    if head is None or _ANOTHER.search(raw, head.end()):
        return None
    text = head[1].decode("ascii")
    fields = text.split("|")
    if len(fields) < 12 or _EDGE.search(text):
        return None
    kind, _, trigger = fields[8].partition("^")
    event = events.get(trigger.partition("^")[0])
    control_id, processing, version = fields[9], fields[10].partition("^")[0], fields[11].partition("^")[0]
    if (kind != "ADT" or event is None or not event.built or not control_id or "^" in control_id or version not in VERSIONS
            or processing not in ("P", "T", "D")):
        return None
    pid = _PID_3.search(raw, head.end() - 1)
    return PlainHeader(application=fields[2].partition("^")[0], facility=fields[3].partition("^")[0], control_id=control_id,
                       event=event, test=processing in ("T", "D"), patient=pid[1].decode("latin-1") if pid else "")
