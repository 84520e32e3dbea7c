"""Bytes to text, strictly: by a byte order mark, else MSH-18 (table 0211), else the feed's charset.

Where MSH-18 declares ASCII or another one-byte charset and the bytes are not in it, the feed's charset is tried and the
issue `charset-differs` says so. Broken multi-byte text is refused: which of its characters are right, nobody can tell. So is
a replacement character (U+FFFD) that was sent: a letter was lost before, and a name without it is a wrong name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from adapter.errors import Defect, Rejected
from adapter.model import Issue

_CODECS = {
    "ASCII": "ascii", "US-ASCII": "ascii", "ISO IR6": "ascii", "LATIN-1": "iso8859-1", "LATIN1": "iso8859-1",
    "UNICODE": "utf-8", "UNICODE UTF-8": "utf-8", "UTF-8": "utf-8", "UTF8": "utf-8",
    "UNICODE UTF-16": "utf-16", "UTF-16": "utf-16", "UNICODE UTF-32": "utf-32", "UTF-32": "utf-32",
    "GB 18030-2000": "gb18030", "GB18030": "gb18030", "BIG-5": "big5", "BIG5": "big5", "KS X 1001": "euc_kr",
    "ISO IR14": "shift_jis", "ISO IR87": "iso2022_jp_ext", "ISO IR159": "iso2022_jp_ext",
}
"""Names of table 0211 and others in use, to Python's codecs. CNS 11643 has none."""

MIXED = frozenset({"gb18030", "big5", "shift_jis", "iso2022_jp_ext"})
"""Codecs in which a byte of a character can look like a delimiter."""

_ISO = re.compile(r"(?:ISO[-_ ]?)?8859[-/](1[013456]|[1-9])")
_WINDOWS = re.compile(r"(?:WINDOWS|CP|IBM)-?(125[0-8]|437|85[0258]|86[0-6])")
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe\0\0", "utf-32-le"), (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"),
)
_WIDE = {"c0c0": "utf-16-le", "0c0c": "utf-16-be", "c000": "utf-32-le", "000c": "utf-32-be"}
_EDGES = "\x0b\x1c\x1a\r\n \t"
LOST = "\ufffd"
"""What decoders that are not strict put where a letter was; here it never enters."""
LETTER_LOST = "U+FFFD was sent: a letter was lost before"
_TEXT = bytes({*b"\t\n\r\x0c", *range(0x20, 0x7F), *range(0x80, 0x100)})
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f]")
_C1 = re.compile("[\x80-\x9f]")
_NAME = re.compile(r"[A-Za-z0-9 /_.-]{1,24}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A message as text, the Python codec that read it, and what was noticed."""

    text: str
    charset: str
    issues: tuple[Issue, ...] = ()


def decode(raw: bytes, fallback: str = "utf-8") -> Decoded:
    """Text of a message; block characters, byte order mark and blank ends are taken off.

    fallback: the feed's charset, for an empty MSH-18. Raises Rejected (empty, binary, charset, not-hl7), Defect for a
    fallback that is no charset.
    """
    mark, codec = sniff(raw)
    body = raw[mark:]
    if codec.startswith(("utf-16", "utf-32")):
        return Decoded(text=_plain(_strict(body, codec)), charset=codec)
    body = body.strip(_EDGES.encode())
    if not body:
        raise Rejected("empty")
    if codec:
        return Decoded(text=_plain(_strict(body, codec)), charset=codec)
    return _by_header(body, fallback)


def sniff(raw: bytes) -> tuple[int, str]:
    """Length of the byte order mark, and the codec that it, or the look of a first letter in wide characters, tells."""
    for mark, codec in _MARKS:
        if raw.startswith(mark):
            return len(mark), codec
    zeros = "".join("0" if byte == 0 else "c" for byte in raw[:4])
    return 0, _WIDE.get(zeros, "") if raw[:4].strip(b"\0")[:1] in (b"M", b"F", b"B") else ""


def codec_of(name: str) -> str | None:
    """Python's codec for a charset's name: of table 0211, or windows-1252, ISO-8859-1 and the like; else None."""
    name = name.strip().upper()
    if iso := _ISO.fullmatch(name):
        return f"iso8859-{iso[1]}"
    if windows := _WINDOWS.fullmatch(name):
        return f"cp{windows[1]}"
    return _CODECS.get(name)


def declared_codec(raw: bytes) -> str:
    """The codec that MSH-18 declares, '' where it declares none, or an unknown one."""
    declared = _declared(raw.lstrip(_EDGES.encode()))
    return next((codec for name in declared if (codec := codec_of(name))), "")


def _by_header(body: bytes, fallback: str) -> Decoded:
    own = codec_of(fallback)
    if own is None:
        raise Defect("defect", "charset", "the feed's charset is not known")
    declared = _declared(body)
    codec = _declared_codec(declared, body) if declared else own
    _refuse_controls(body, codec)
    try:
        return Decoded(text=_strict(body, codec), charset=codec)
    except Rejected:
        if not body.startswith(b"MSH"):
            raise Rejected("not-hl7", "MSH") from None
        if not declared or not codec.startswith(("ascii", "iso8859", "cp")):
            raise
    issue = Issue(code="charset-differs", place="MSH-18", detail=f"declared {codec}, read as {own}")
    return Decoded(text=_strict(body, own), charset=own, issues=(issue,))


def _declared(body: bytes) -> list[str]:
    """The repetitions of MSH-18; empty where nothing is declared."""
    header = re.split(rb"[\r\n]", body, maxsplit=1)[0]
    if not header.startswith(b"MSH"):
        return []
    if not header.isascii() or b"\x1b" in header:
        for codec in sorted(MIXED):
            names = _names(header.decode(codec, "ignore"))
            if codec in map(codec_of, names):
                return names
    return _names(header.decode("latin-1"))


def _names(header: str) -> list[str]:
    fields = header.split(header[3:4] or "|", 18)
    if len(fields) < 18:
        return []
    return [name.strip() for name in fields[17].split(fields[1][1:2] or "~") if name.strip()]


def _declared_codec(declared: list[str], body: bytes) -> str:
    """The first repetition decides; a later Japanese one tells that ISO 2022 escapes switch to it."""
    codecs = [codec_of(name) for name in declared]
    if "iso2022_jp_ext" in codecs:
        return "iso2022_jp_ext"
    codec = codecs[0]
    if codec is None:
        if body.isascii():
            return "ascii"
        shown = declared[0] if _NAME.fullmatch(declared[0]) else "the name"
        raise Rejected("charset", "MSH-18", f"{shown} is not known")
    return "utf-8" if codec in ("utf-16", "utf-32") else codec


def _refuse_controls(body: bytes, codec: str) -> None:
    odd = body.translate(None, _TEXT)
    if codec == "iso2022_jp_ext":
        odd = odd.replace(b"\x1b", b"")
    if odd:
        raise Rejected("binary", detail=f"control character {odd[0]:02X}")


def _strict(body: bytes, codec: str) -> str:
    try:
        text = body.decode(codec)
    except UnicodeDecodeError:
        raise Rejected("charset", "MSH-18", f"not {codec}") from None
    if codec.startswith("iso8859") and not text.isascii() and _C1.search(text):
        raise Rejected("charset", "MSH-18", f"80 to 9F are no characters of {codec}")
    if codec == "iso2022_jp_ext" and (not body.isascii() or "\x1b" in text):
        raise Rejected("charset", "MSH-18", f"an escape that {codec} does not know, or a byte above 7F")
    if LOST in text:
        raise Rejected("charset", "MSH-18", LETTER_LOST)
    return text


def _plain(text: str) -> str:
    text = text.strip(_EDGES + "\ufeff")
    if not text:
        raise Rejected("empty")
    if control := _CONTROL.search(text):
        raise Rejected("binary", detail=f"control character {ord(control[0]):02X}")
    return text
