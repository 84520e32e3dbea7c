"""Acknowledgements: MSH, MSA and one ERR for each issue, even for a message that cannot be read; of both modes.

Source: HL7 v2 chapter 2, section 2.15.5 (ERR), 2.15.8 (MSA), 2.15.9 (MSH); tables 0008, 0357.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from adapter.errors import Rejected, kind_of, message
from adapter.intake.ack_mode import codes
from adapter.intake.plain_header import plain_fields
from adapter.model import Issue
from adapter.parse.charset import MIXED, declared_codec, sniff
from adapter.parse.delimiters import Delimiters, delimiters

Code = Literal["AA", "AE", "AR"]

REFUSED_WHOLE = frozenset({
    "empty", "not-hl7", "binary", "bad-delimiters", "charset", "no-message-type", "no-control-id", "unsupported-type",
    "unsupported-event", "unknown-version", "processing-id", "unknown-feed", "too-large", "several-messages",
    "frame-incomplete", "frame-start", "store-unavailable", "defect", "sequence-number", "certificate-other",
})
"""Issues of the header, the frame or ourselves: AR, as for what does not answer now (HTTP 503). Other errors: AE."""

TABLE_0357 = {
    "100": "Segment sequence error", "101": "Required field missing", "102": "Data type error",
    "103": "Table value not found", "200": "Unsupported message type", "201": "Unsupported event code",
    "202": "Unsupported processing id", "203": "Unsupported version id", "204": "Unknown key identifier",
    "205": "Duplicate key identifier", "206": "Application record locked", "207": "Application internal error",
}

_APPLICATION = frozenset(("AA", "AE", "AR"))
_SEVERITY = {"error": "E", "warning": "W", "information": "I"}
_PLACE = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?(?:-(\d+)(?:\[(\d+)\])?(?:\.(\d+)(?:\.(\d+))?)?)?")
_VERSION = re.compile(r"2\.\d(?:\.\d)?")
_EVENT = re.compile(r"[A-Z][A-Z0-9]{2}")
_NUMBER = re.compile(r"-1|[0-9]{1,15}", re.ASCII)
_LINE_END = re.compile("[\r\n]")
_CONTROLS = dict.fromkeys([*range(0x20), 0x7F])
_HEADER = 4096
_USUAL = Delimiters()
_BETWEEN = b"\x1c\r\x0b"
"""What stands between two acknowledgements: the end of a frame, and the next one's start."""
_MSA_3 = 80
"""Characters of MSA-3 (versions up to 2.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """What could be read of a header: raw fields (MSH-n at index n - 1), how it is written, its byte order mark."""

    fields: list[str]
    d: Delimiters
    codec: str
    mark: bytes = b""

    def get(self, n: int) -> str:
        return self.fields[n - 1] if n <= len(self.fields) else ""

    @property
    def release(self) -> tuple[int, ...]:
        return _release(_version(self.get(12), self.d).split(self.d.component)[0].strip())


def _version(written: str, d: Delimiters) -> str:
    """MSH-12 as the acknowledgement has it."""
    return written if _VERSION.fullmatch(written.split(d.component, maxsplit=1)[0].strip()) else "2.5.1"


@lru_cache(maxsize=64)
def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


def code_for(issue: Issue) -> Code:
    """AR where the message is refused as a whole, AE for an error of its content, else AA (warnings refuse nothing)."""
    kind = kind_of(issue)
    if kind.severity != "error":
        return "AA"
    return "AR" if issue.code in REFUSED_WHOLE or kind.http == 503 else "AE"


def control_id_of(raw: bytes) -> str:
    """MSH-10 as it stands, '' where it cannot be read."""
    return _read(raw).get(10)


def number_of(raw: bytes) -> int | None:
    """MSH-13, None where it is no number that the protocol knows (-1 upwards)."""
    text = _read(raw).get(13).strip()
    return int(text) if _NUMBER.fullmatch(text) else None


def wanted(raw: bytes) -> tuple[str, str]:
    """MSH-15 and MSH-16: the acknowledgements that are wanted, both empty in original mode."""
    header = _read(raw)
    return header.get(15).strip(), header.get(16).strip()


def acknowledge(raw: bytes, issues: Sequence[Issue], code: str, *, control_id: str, now: datetime,
                expected: int | None = None) -> bytes:
    """What answers a message, in its own delimiters, version and charset: no, one or two acknowledgements (`parted`).

    code: AA, AE or AR; what MSH-15 and MSH-16 make of it goes into MSA-1 (table 0008). control_id: MSH-10 of the
    acknowledgement. now: aware, MSH-7. expected: MSA-4. Versions up to 2.4 get ERR-1 and the first error in MSA-3, later ones
    ERR-2 to ERR-8. Our own texts are ASCII.
    """
    header = _read(raw)
    accept, application = header.get(15).strip(), header.get(16).strip()
    if not accept and not application:
        return _written(header, issues, code, control_id, now, expected)
    told = codes(accept, application, code, issues)
    return _BETWEEN.join(_written(header, () if one == "CA" else issues, one, control_id if n == 0 else f"{control_id[:18]}-{n}",
                                  now, expected) for n, one in enumerate(told))


def parted(answer: bytes) -> list[bytes]:
    """The acknowledgements in what answers a message, one by one."""
    return answer.split(_BETWEEN) if answer else []


def _written(header: _Header, issues: Sequence[Issue], code: str, control_id: str, now: datetime, expected: int | None) -> bytes:
    old = header.release < (2, 5)
    lines = [_msh(header, control_id, now, code), _msa(header, issues if old else (), code, expected)]
    if old and issues:
        eld = header.d.repetition.join(_eld(issue, header.d) for issue in issues)
        lines.append(header.d.field.join(("ERR", eld)))
    elif issues:
        lines += [_err(issue, header.d) for issue in issues]
    return header.mark + "".join(line + "\r" for line in lines).encode(header.codec, "replace")


def _read(raw: bytes) -> _Header:
    if fields := plain_fields(raw[:_HEADER]):
        return _Header(fields=fields, d=_USUAL, codec="latin-1")
    mark, codec = sniff(raw)
    wide = codec.startswith(("utf-16", "utf-32"))
    if not wide:
        declared = declared_codec(raw[:_HEADER])
        codec = declared if declared in MIXED else "latin-1"  # all others are echoed byte by byte
    text = raw[mark:mark + _HEADER].decode(codec, "ignore").lstrip("\x0b\r\n \t")
    line = _LINE_END.split(text, maxsplit=1)[0].translate(_CONTROLS)
    try:
        d = delimiters(line) if line.startswith("MSH") else None
    except Rejected:
        d = None
    kept = raw[:mark] if wide else b""
    if d:
        return _Header(fields=line.split(d.field), d=d, codec=codec, mark=kept)
    return _Header(fields=_broken(line), d=Delimiters(), codec=codec, mark=kept)


def _broken(line: str) -> list[str]:
    """Fields of a header whose MSH-2 is unusable, escaped for the usual delimiters."""
    if not line.startswith("MSH") or len(line) < 4 or line[3].isalnum() or not line[3].isascii():
        return []
    return [Delimiters().escaped(text) for text in line.split(line[3])]


def accepted(line: bytes, mark: str, *, control_id: str, arrival: int) -> bytes:
    """AA to a message with such a plain header in original mode, as `acknowledge` writes it. line: what its sender's headers
    have in common (`Usual`); mark: its MSH-10; arrival: microseconds since 1970 UTC."""
    begin, head, tail = _accepted(line)
    return f"{begin}{_stamp(arrival // 1_000_000)}{head}{control_id}{tail}{mark}\r".encode("latin-1")


@lru_cache(maxsize=1024)
def _accepted(line: bytes) -> tuple[str, str, str]:
    header = _Header(fields=line.decode("ascii").split("|"), d=_USUAL, codec="latin-1")
    head, tail = _around_of(header, enhanced=False)
    begin, head = head.split(_NOW)
    return begin, head, f"{tail}\rMSA|AA|"


def _msh(header: _Header, control_id: str, now: datetime, code: str) -> str:
    head, tail = _around_of(header, enhanced=code in _APPLICATION and bool(header.get(15) or header.get(16)))
    number = control_id if control_id.isalnum() else header.d.escaped(control_id)
    return head.replace(_NOW, now.strftime(_SECOND), 1) + number + tail


@lru_cache(maxsize=16)
def _stamp(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime(_SECOND)


def _around_of(header: _Header, *, enhanced: bool) -> tuple[str, str]:
    get = header.get
    return _around(header.d, get(3), get(4), get(5), get(6), get(9), get(11), get(12), get(18), enhanced)


_NOW = "\0"
"""Stands for MSH-7, as no header has it."""
_SECOND = "%Y%m%d%H%M%S%z"


@lru_cache(maxsize=1024)
def _around(d: Delimiters, app: str, facility: str, to_app: str, to_facility: str, type_: str, processing: str, version: str,
            charset: str, enhanced: bool) -> tuple[str, str]:
    """MSH before and behind its control id; of one sender's messages it is mostly the same."""
    encoding = "".join(char for char in (d.component, d.repetition, d.escape, d.sub) if char != "\0")
    number = _version(version, d)
    release = _release(number.split(d.component)[0].strip())
    asks = ["NE", "NE"] if enhanced else ["", ""]
    charset = charset if release >= (2, 3) else ""
    last = ["", "", *asks, *(["", charset] if charset else [])] if charset or enhanced else []
    head = ["MSH", encoding, to_app, to_facility, app, facility, _NOW, "", _type(type_, release, d), ""]
    return d.field.join(head), d.field.join(["", processing or "P", number, *last])


def _type(sent: str, release: tuple[int, ...], d: Delimiters) -> str:
    parts = sent.split(d.repetition, maxsplit=1)[0].split(d.component)
    event = parts[1].strip() if len(parts) > 1 else ""
    if release < (2, 2) or not _EVENT.fullmatch(event):
        return "ACK"
    return d.component.join(("ACK", event) if release < (2, 3, 1) else ("ACK", event, "ACK"))


def _msa(header: _Header, issues: Sequence[Issue], code: str, expected: int | None) -> str:
    told = sorted(issues, key=lambda issue: kind_of(issue).severity != "error") if issues else []
    text = [_text(_short(told[0]), header.d)] if told else []
    if expected is not None:
        text = [*(text or [""]), str(expected)]
    return header.d.field.join(["MSA", code, header.get(10), *text])


def _short(issue: Issue) -> str:
    """An issue in the 80 characters that MSA-3 has: as much of it as is whole, cut between words where nothing is."""
    where = f" ({issue.place})" if issue.place else ""
    what = f"{kind_of(issue).what}{where}"
    forms = (message(issue), f"{what} - {kind_of(issue).next_step}", what)
    return next((form for form in forms if len(form) <= _MSA_3), what[:_MSA_3 - 3].rpartition(" ")[0] + "...")


def _err(issue: Issue, d: Delimiters) -> str:
    kind = kind_of(issue)
    location = d.component.join(_location(issue.place))
    condition = d.component.join((kind.err3, TABLE_0357[kind.err3], "HL70357"))
    own = d.component.join((issue.code, _text(kind.what, d), "L"))
    return d.field.join(
        ("ERR", "", location, condition, _SEVERITY[kind.severity], own, "", "", _text(message(issue), d)))


def _eld(issue: Issue, d: Delimiters) -> str:
    code = kind_of(issue).err3
    condition = code if d.sub == "\0" else d.sub.join((code, TABLE_0357[code], "HL70357"))
    segment, number, field, *_ = *_location(issue.place), "", "", ""
    return d.component.join((segment, number, field, condition))


def _location(place: str) -> list[str]:
    """`PID-3[2].4` as the components of ERL: PID, 1, 3, 2, 4. Empty for a place that is not one of HL7 v2."""
    match = _PLACE.fullmatch(place)
    if not match:
        return []
    segment, number, field, repetition, component, sub = match.groups()
    parts = [segment, number or "1", field, repetition or ("1" if component else None), component, sub]
    return [part for part in parts if part]


def _text(text: str, d: Delimiters) -> str:
    return d.escaped(text.translate(_CONTROLS).encode("ascii", "replace").decode())
