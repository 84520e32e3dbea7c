"""A lazy ER7 reader: a message is split into segments, a segment into fields, a field into parts only when asked.

Nothing is unescaped, and no list is built, before somebody reads it. Source: HL7 v2 chapter 2, sections 2.5 to 2.7.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from adapter.errors import Rejected

NULL = '""'
"""What a sender writes to delete a value (HL7 v2 chapter 2, null value)."""

_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_HEX = re.compile(r"X(?:[0-9A-Fa-f]{2})+")
_CONTROL = re.compile("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f]")
_FORMAT = re.compile(r"\.(?:(br|ce)|sp\+?(\d{0,2})|(?:in|ti)[+-]?\d{0,3}|fi|nf)")


@dataclass(frozen=True, slots=True)
class Delimiters:
    r"""MSH-1 and MSH-2: field, component, repetition, escape, subcomponent, truncation; "\0" where not declared.

    root: where these are the delimiters inside a component, those of the message, which escape sequences stand for.
    charset: Python's codec of the message, in which hexadecimal escapes are read where they are no UTF-8.
    """

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    sub: str = "&"
    truncation: str = "\0"
    root: Delimiters | None = None
    charset: str = "utf-8"

    def escaped(self, text: str) -> str:
        """A text in which no character is a delimiter any more: escape sequences, or blanks where none is declared."""
        e = self.escape
        table = {
            char: f"{e}{code}{e}" if e != "\0" else " "
            for char, code in ((e, "E"), (self.field, "F"), (self.component, "S"), (self.repetition, "R"),
                               (self.sub, "T"), (self.truncation, "P"))
        }
        return "".join(table.get(char, char) for char in text) if not table.keys().isdisjoint(text) else text

    def unescape(self, text: str) -> str:
        r"""Text with \F\ \S\ \T\ \R\ \E\ \P\ \Xhh\ and formats (\.br\) resolved; an unknown sequence stands as sent.

        Hexadecimal bytes are read as UTF-8, else in the message's charset; those that are neither, or give control
        characters, stand too.
        """
        return "".join(piece for piece, _ in self._resolved(text)) if self.escape in text else text

    def misread(self, text: str) -> bool:
        """Whether an escape character stands in a text as it was sent, since nobody knows what it is to mean."""
        return self.escape in text and not all(known for _, known in self._resolved(text))

    def _resolved(self, text: str) -> Iterator[tuple[str, bool]]:
        """The pieces of a text, each with False where an escape character stands as it was sent."""
        pieces = text.split(self.escape)
        yield pieces[0], True
        i = 1
        while i < len(pieces):
            resolved = self._sequence(pieces[i]) if i + 1 < len(pieces) else None
            if resolved is None:
                yield self.escape + pieces[i], False
                i += 1
            else:
                yield resolved + pieces[i + 1], True
                i += 2

    def _sequence(self, code: str) -> str | None:
        d = self.root or self
        if len(code) == 1:
            char = {"F": d.field, "S": d.component, "T": d.sub, "R": d.repetition, "E": d.escape, "P": d.truncation,
                    "H": "", "N": ""}.get(code)
            return None if char == "\0" else char
        if _HEX.fullmatch(code):
            text = _decoded(bytes.fromhex(code[1:]), d.charset)
            return None if "\ufffd" in text or _CONTROL.search(text) else text
        if layout := _FORMAT.fullmatch(code):
            return "\n" * (int(layout[2] or 1) if layout[2] is not None else bool(layout[1]))
        return None


def _decoded(raw: bytes, charset: str) -> str:
    """Bytes of an escape as text, U+FFFD where they are none."""
    for codec in ("utf-8", charset):
        try:
            return raw.decode(codec)
        except UnicodeDecodeError:
            continue
    return "\ufffd"


class Rep:
    """One repetition of a field: components counted from 1, each read unescaped, '' where absent or null."""

    __slots__ = ("_parts", "d", "text")

    def __init__(self, text: str, d: Delimiters) -> None:
        self.text = text
        self.d = d
        self._parts: list[str] | None = None

    @property
    def parts(self) -> list[str]:
        """The raw components."""
        parts = self._parts
        if parts is None:
            parts = self._parts = self.text.split(self.d.component)
        return parts

    def get(self, n: int) -> str:
        """Component n; where it has subcomponents, the first."""
        parts = self.parts
        if n > len(parts):
            return ""
        text = parts[n - 1]
        d = self.d
        if d.sub in text:
            text = text.split(d.sub, 1)[0]
        if not text or text == NULL:
            return ""
        return (d.unescape(text) if d.escape in text else text).strip()

    def sub(self, n: int, m: int) -> str:
        """Subcomponent m of component n."""
        parts = self.parts
        if n > len(parts):
            return ""
        subs = parts[n - 1].split(self.d.sub)
        if m > len(subs) or subs[m - 1] == NULL:
            return ""
        return self.d.unescape(subs[m - 1]).strip()

    def component(self, n: int) -> Rep:
        """Component n as a repetition of its own, its subcomponents as components (a CX.4 read as an HD)."""
        text = self.parts[n - 1] if n <= len(self.parts) else ""
        return Rep(text, _inner(self.d))

    def plain(self) -> str:
        """The whole repetition as one text, for ST, TX, IS and the like: no delimiter in it has a meaning."""
        return "" if self.text == NULL else self.d.unescape(self.text).strip()

    def leaves(self) -> Iterator[tuple[int, int, str]]:
        """(component, subcomponent, unescaped text) of every valued leaf; subcomponent 0 where it has none."""
        d = self.d
        escape, sub = d.escape, d.sub
        for c, part in enumerate(self.parts, 1):
            if not part or part == NULL:
                continue
            if sub not in part:
                text = (d.unescape(part) if escape in part else part).strip()
                if text:
                    yield c, 0, text
                continue
            for s, piece in enumerate(part.split(sub), 1):
                text = (d.unescape(piece) if escape in piece else piece).strip()
                if text and piece != NULL:
                    yield c, s, text


class Segment:
    """One segment: name, its number among those of its name (1-based), fields counted as HL7 counts them."""

    __slots__ = ("_fields", "d", "line", "name", "number")

    def __init__(self, line: str, number: int, d: Delimiters) -> None:
        self.line = line
        self.name = line[:3]
        self.number = number
        self.d = d
        self._fields: list[str] | None = None

    @property
    def fields(self) -> list[str]:
        """Raw fields, index 0 the name; of MSH, BHS and FHS index 1 is the field separator itself."""
        fields = self._fields
        if fields is None:
            fields = self.line.split(self.d.field)
            if self.name in ("MSH", "BHS", "FHS"):
                fields.insert(1, self.d.field)
            self._fields = fields
        return fields

    def valued(self) -> dict[int, str]:
        """The fields that have a value, by number, as they stand."""
        return {n: text for n, text in enumerate(self.fields) if text}

    def place(self, n: int) -> str:
        """Where field n stands, as an HL7 path: `PID-5`, `OBX[2]-5`."""
        return f"{self.name}-{n}" if self.number == 1 else f"{self.name}[{self.number}]-{n}"

    def raw(self, n: int) -> str:
        """Field n as it stands, '' where absent."""
        fields = self._fields or self.fields
        return fields[n] if n < len(fields) else ""

    def reps(self, n: int) -> list[Rep]:
        """The repetitions of field n; empty where the field is absent. A null field is one repetition of NULL."""
        text = self.raw(n)
        if not text:
            return []
        if self.name == "MSH" and n == 2:
            return [Rep(text, Delimiters("\0", "\0", "\0", "\0", "\0"))]
        d = self.d
        return [Rep(t, d) for t in text.split(d.repetition)] if d.repetition in text else [Rep(text, d)]

    def first(self, n: int) -> Rep:
        """The first repetition of field n, empty where the field is absent."""
        text = self.raw(n)
        d = self.d
        return Rep(text.split(d.repetition, 1)[0] if d.repetition in text else text, d)


class Message:
    """One message: its segments in order. stray: the numbers (1-based) of lines that are no segment."""

    __slots__ = ("d", "segments", "stray")

    def __init__(self, text: str, charset: str = "utf-8") -> None:
        """Read a decoded message; segments end with CR, LF or CRLF. charset: Python's codec that it was decoded by.

        Raises Rejected (empty, not-hl7, bad-delimiters, several-messages).
        """
        text = text.lstrip("\ufeff\r\n \t\x0b").rstrip("\r\n\x1c\x1a ")
        if not text:
            raise Rejected("empty")
        if not text.startswith("MSH"):
            raise Rejected("not-hl7", "MSH")
        self.d = delimiters(text, charset)
        self.segments: list[Segment] = []
        self.stray: list[int] = []
        counts: dict[str, int] = {}
        for number, line in enumerate(_lines(text, self.d.field), 1):
            if not _NAME.match(line) or (len(line) > 3 and line[3] != self.d.field):
                if line.strip():
                    self.stray.append(number)
                continue
            name = line[:3]
            count = counts[name] = counts.get(name, 0) + 1
            self.segments.append(Segment(line, count, self.d))
        if counts["MSH"] > 1:
            raise Rejected("several-messages", "MSH[2]")

    @property
    def msh(self) -> Segment:
        """The header."""
        return self.segments[0]

    def misread(self) -> Iterator[str]:
        """Places of the fields in which an escape sequence stands as it was sent."""
        for segment in self.segments:
            if self.d.escape in segment.line:
                for n, text in segment.valued().items():
                    if (segment.name, n) != ("MSH", 2) and self.d.misread(text):
                        yield segment.place(n)

    def find(self, name: str) -> Segment | None:
        """The first segment of that name."""
        for segment in self.segments:
            if segment.name == name:
                return segment
        return None


@lru_cache(maxsize=64)
def _inner(d: Delimiters) -> Delimiters:
    """The delimiters inside a component: its subcomponents are read as components."""
    return Delimiters(d.field, d.sub, d.repetition, d.escape, "\0", root=d.root or d, charset=d.charset)


def _lines(text: str, separator: str) -> list[str]:
    """The lines of a message. Where CR ends its segments, an LF that no segment follows is text."""
    if "\n" in text:
        text = text.replace("\r\n", "\r")
        if "\r" in text:
            text = re.sub(rf"\n(?=[\r\n]|\Z|[A-Z][A-Z0-9]{{2}}(?:{re.escape(separator)}|[\r\n]|\Z))", "\r", text)
        else:
            text = text.replace("\n", "\r")
    return text.split("\r")


def delimiters(text: str, charset: str = "utf-8") -> Delimiters:
    """MSH-1 and MSH-2 of a text that begins with MSH. Raises Rejected (bad-delimiters)."""
    if len(text) < 6:
        raise Rejected("bad-delimiters", "MSH-2")
    separator = text[3]
    encoding = re.split(rf"[\r\n{re.escape(separator)}]", text[4:12], maxsplit=1)[0]
    chars = [separator, *encoding]
    if not 2 <= len(encoding) <= 5 or len(set(chars)) != len(chars):
        raise Rejected("bad-delimiters", "MSH-2")
    if any(char.isalnum() or char.isspace() or not char.isprintable() or char == '"' for char in chars):
        raise Rejected("bad-delimiters", "MSH-2")
    return _delimiters(separator, encoding.ljust(5, "\0"), charset)


@lru_cache(maxsize=64)
def _delimiters(separator: str, encoding: str, charset: str) -> Delimiters:
    """The same object for the same characters: what is kept by delimiters is found at once."""
    component, repetition, escape, sub, truncation = encoding
    return Delimiters(separator, component, repetition, escape, sub, truncation, charset=charset)
