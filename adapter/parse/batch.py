"""A file into its messages: one, many, or FHS/BHS batches; CR, LF or CRLF; MLLP blocks or not; byte order mark or not.

Nothing is lost: text that belongs to no message comes back as a message of its own, which is refused when it is read.
Source: HL7 v2 chapter 2, batch protocol (FHS, BHS, BTS, FTS).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from adapter.model import Issue
from adapter.parse.charset import sniff

_CUT = re.compile(
    rb"[\r\n\x0b][ \t]*(?=(?:MSH|FHS|BHS|BTS|FTS)[^0-9A-Za-z\s]|[BF]TS(?:[\r\n]|\Z))|\x1c(?=[\r\n\x0b]|\Z)")
"""A segment that begins something new, or the end of an MLLP block."""
_ENVELOPE = re.compile(rb"(FHS|BHS|BTS|FTS)(?:([^0-9A-Za-z\s])([^\r\n]*)|(?=[\r\n]|\Z))")
_LINE = re.compile(rb"\r\n|\r|\n|\Z")
_EDGES = b"\x0b\x1c\x1a\r\n \t"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """FHS, BHS, BTS or FTS. separator: its field separator; fields: behind it, each byte a letter where they are not ASCII.

    before: messages that stand before it; at: the same, with text that is no message.
    """

    name: str
    separator: str
    fields: tuple[str, ...]
    before: int
    at: int

    @property
    def stated(self) -> str:
        """The first field: a trailer's count."""
        return self.fields[0].strip() if self.fields else ""

    def get(self, number: int) -> str:
        """Field n of a header (FHS-3), '' where there is none; FHS-1 is the separator."""
        return self.fields[number - 2] if number - 2 < len(self.fields) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The messages of a file in order, as they stand there, issues about the batches around them, and these."""

    messages: list[bytes]
    issues: tuple[Issue, ...] = ()
    envelopes: tuple[Envelope, ...] = ()


def split_messages(raw: bytes) -> Split:
    """The messages of a file. A blank file comes back as it is (refused as empty); only an empty batch gives none.

    A byte order mark is put before each message, for it tells the charset of all. Issues: batch-count.
    """
    mark, codec = sniff(raw)
    if not codec.startswith(("utf-16", "utf-32")):
        return _split(raw[mark:], raw[:mark])
    try:
        found = _split(raw[mark:].decode(codec).encode(), b"")
    except UnicodeDecodeError:
        return Split(messages=[raw])
    return Split(messages=[("\ufeff" + m.decode()).encode(codec) for m in found.messages], issues=found.issues,
                 envelopes=found.envelopes)


def _split(raw: bytes, mark: bytes) -> Split:
    messages: list[bytes] = []
    envelopes: list[Envelope] = []
    counted = 0
    for piece in _pieces(raw):
        envelope = _ENVELOPE.match(piece)
        if envelope:
            name, separator, fields = envelope.groups()
            apart = (separator or b"|").decode("latin-1")
            written = tuple(fields.decode("latin-1").split(apart)) if separator else ()
            envelopes.append(Envelope(name=name.decode(), separator=apart, fields=written, before=counted, at=len(messages)))
        rest = _tidy(piece[envelope.end():] if envelope else piece)
        counted += rest.startswith(b"MSH")
        if rest:
            messages.append(mark + rest)
    if not messages and not envelopes:
        return Split(messages=[mark + raw])
    return Split(messages=messages, issues=tuple(_miscounts(envelopes, counted)), envelopes=tuple(envelopes))


def _pieces(raw: bytes) -> Iterator[bytes]:
    begin = 0
    for cut in _CUT.finditer(raw):
        yield raw[begin:cut.start() + 1]
        begin = cut.end()
    yield raw[begin:]


def _tidy(piece: bytes) -> bytes:
    """Without blank lines and block characters around it, but with the end of its last line."""
    piece = piece.lstrip(_EDGES)
    body = piece.rstrip(_EDGES)
    end = _LINE.match(piece, len(body))
    return body + end[0] if end and body else body


def _miscounts(envelopes: list[Envelope], messages: int) -> Iterator[Issue]:
    batches = since = 0
    names = [envelope.name for envelope in envelopes]
    open_batch = False
    for envelope in envelopes:
        if envelope.name == "BHS":
            if open_batch:
                yield _miscount("BTS", "a batch has no BTS")
            open_batch, since, batches = True, envelope.before, batches + 1
        elif envelope.name == "BTS":
            batches += not open_batch
            yield from _compare("BTS-1", envelope.stated, envelope.before - since)
            open_batch, since = False, envelope.before
        elif envelope.name == "FTS":
            yield from _compare("FTS-1", envelope.stated, batches or int(messages > 0))
    if open_batch:
        yield _miscount("BTS", "the last batch has no BTS, it may be cut short")
    if names.count("FHS") > names.count("FTS"):
        yield _miscount("FTS", "the file has no FTS, it may be cut short")


def _compare(place: str, stated: str, found: int) -> Iterator[Issue]:
    if stated and not (stated.isascii() and stated.isdigit()):
        yield _miscount(place, f"not a number; found {found}")
    elif stated and int(stated[:9]) != found:
        yield _miscount(place, f"declared {stated[:9]}, found {found}")


def _miscount(place: str, detail: str) -> Issue:
    return Issue(code="batch-count", place=place, detail=detail)
