"""Headers as most are written: usual delimiters, ASCII, nothing escaped or repeated. They are read off the bytes at once.

The headers of one sender differ in MSH-7, MSH-10 and MSH-13; what else they say is read once, and remembered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from adapter.mapping.header import VERSIONS

_HEAD = re.compile(rb"(MSH\|\^~\\&\|[ -%'-\[\]-}]*)(?:\r|\n|\Z)")
_EDGE = re.compile(r"[|^] | [|^]| \Z")
"""Blanks at an edge of a value, which a reader of components takes off."""
_ANOTHER = re.compile(rb"[\r\n\x0b][ \t]*(?:MSH|FHS|BHS)[^0-9A-Za-z\s]")
_ANOTHER_LINE = re.compile(rb"\r[ \t]*(?:MSH|FHS|BHS)[^0-9A-Za-z\s]")
_PID_3 = re.compile(rb"[\r\n]PID\|[^|\r\n]*\|[^|\r\n]*\|([^|~^\r\n]*)")
_LEAST = 12
"""Fields of a header up to MSH-12."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What the headers of one sender have in common. line: such a header without the fields that differ, b'' where it was
    not a plain one. trigger: of MSH-9. test: MSH-11 is T or D. asks: MSH-15 and MSH-16.
    """

    application: str
    facility: str
    trigger: str
    test: bool
    asks: tuple[str, str] = ("", "")
    line: bytes = b""


class PlainHeader(NamedTuple):
    """The header of one message. patient: PID-3.1, to tell messages of one patient; '' where there is none."""

    usual: Usual
    control_id: str
    patient: str


def plain_fields(raw: bytes) -> list[str] | None:
    """The fields of a plain header, MSH-n at index n - 1; None where it is not plain."""
    head = _HEAD.match(raw)
    return head[1].decode("ascii").split("|") if head else None


def plain_header(raw: bytes) -> PlainHeader | None:
    """The header of one ADT message that can be taken as it is; None where it must be read closely, or refused."""
    head = _HEAD.match(raw)
    if head is None:
        return None
    fields = head[1].split(b"|")
    if len(fields) < _LEAST:
        return None
    control_id = fields[9].decode("ascii")
    fields[6] = fields[9] = b""
    if len(fields) > _LEAST:
        fields[_LEAST] = b""
    usual = _usual(b"|".join(fields))
    end = head.end()
    if (usual is None or not control_id or "^" in control_id or control_id != control_id.strip(" ")
            or _holds_another(raw, end)):
        return None
    pid = _PID_3.search(raw, end - 1)
    return PlainHeader(usual, control_id, pid[1].decode("latin-1") if pid else "")


def _holds_another(raw: bytes, end: int) -> bool:
    """Whether something that looks like a second header stands behind the first."""
    another = _ANOTHER if b"\n" in raw or b"\x0b" in raw else _ANOTHER_LINE  # which takes a fifth of the time
    return another.search(raw, end - 1) is not None


@lru_cache(maxsize=1024)
def _usual(line: bytes) -> Usual | None:
    """What such headers say; None where it is not all plain."""
    text = line.decode("ascii")
    fields = text.split("|")
    kind, _, trigger = fields[8].partition("^")
    trigger, processing, version = (part.partition("^")[0] for part in (trigger, fields[10], fields[11]))
    if _EDGE.search(text) or kind != "ADT" or version not in VERSIONS or processing not in ("P", "T", "D"):
        return None
    asks = (*fields[14:16], "", "")
    return Usual(application=fields[2].partition("^")[0], facility=fields[3].partition("^")[0], trigger=trigger,
                 test=processing in ("T", "D"), asks=(asks[0], asks[1]), line=line)
