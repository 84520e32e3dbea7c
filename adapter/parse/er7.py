"""A lazy ER7 reader: a message is split into segments, a segment into fields, a field into parts only when asked.

Nothing is unescaped, and no list is built, before somebody reads it. Source: HL7 v2 chapter 2, sections 2.5 to 2.7.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from adapter.errors import Rejected

NULL = '""'
"""What a sender writes to delete a value (HL7 v2 chapter 2, null value)."""

_HEX = frozenset("0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True)
class Delimiters:
    """MSH-1 and MSH-2: field, component, repetition, escape, subcomponent."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    sub: str = "&"

    def unescape(self, text: str) -> str:
        r"""Text with \F\ \S\ \T\ \R\ \E\ \Xhh\ \.br\ resolved; an unknown sequence stands as it was sent."""
        e = self.escape
        if not e or e not in text:
            return text
        pieces = text.split(e)
        out = [pieces[0]]
        i = 1
        while i < len(pieces):
            resolved = self._sequence(pieces[i]) if i + 1 < len(pieces) else None
            if resolved is None:
                out.append(e + pieces[i])
                i += 1
            else:
                out.append(resolved + pieces[i + 1])
                i += 2
        return "".join(out)

    def _sequence(self, code: str) -> str | None:
        plain = {"F": self.field, "S": self.component, "T": self.sub, "R": self.repetition, "E": self.escape,
                 ".br": "\n", ".sp": "\n", "H": "", "N": ""}
        if code in plain:
            return plain[code]
        if code[:1] == "X" and len(code) > 2 and len(code) % 2 and _HEX.issuperset(code[1:]):
            try:
                return bytes.fromhex(code[1:]).decode("utf-8")
            except UnicodeDecodeError:
                return None
        return None


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
        if not text or text == NULL:
            return ""
        if self.d.sub in text:
            text = text.split(self.d.sub, 1)[0]
        return (self.d.unescape(text) if self.d.escape in text else text).strip()

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
        return Rep(text, Delimiters(self.d.field, self.d.sub, self.d.repetition, self.d.escape, "\0"))

    def plain(self) -> str:
        """The whole repetition as one text, for ST, TX, IS and the like: no delimiter in it has a meaning."""
        return "" if self.text == NULL else self.d.unescape(self.text).strip()

    def leaves(self) -> Iterator[tuple[int, int, str]]:
        """(component, subcomponent, unescaped text) of every valued leaf; subcomponent 0 where it has none."""
        for c, part in enumerate(self.parts, 1):
            subs = part.split(self.d.sub)
            for s, text in enumerate(subs, 1):
                if text.strip() and text != NULL:
                    yield c, s if len(subs) > 1 else 0, self.d.unescape(text).strip()


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

    def raw(self, n: int) -> str:
        """Field n as it stands, '' where absent."""
        fields = self.fields
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
    """One message: its segments in order."""

    __slots__ = ("d", "segments", "stray")

    def __init__(self, text: str) -> None:
        """Read a decoded message; segments end with CR, LF or CRLF. Raises Rejected (not-hl7, bad-delimiters)."""
        text = text.lstrip("\ufeff\r\n \t\x0b").rstrip("\r\n\x1c\x1a ")
        if not text:
            raise Rejected("empty")
        if not text.startswith("MSH"):
            raise Rejected("not-hl7", "MSH")
        self.d = delimiters(text)
        self.segments: list[Segment] = []
        self.stray: list[int] = []
        counts: dict[str, int] = {}
        for number, line in enumerate(text.replace("\r\n", "\r").replace("\n", "\r").split("\r"), 1):
            name = line[:3]
            if not line.strip():
                continue
            if len(name) < 3 or not name.isalnum() or not name.isupper() or (len(line) > 3 and line[3] != self.d.field):
                self.stray.append(number)
                continue
            counts[name] = counts.get(name, 0) + 1
            self.segments.append(Segment(line, counts[name], self.d))

    @property
    def msh(self) -> Segment:
        """The header."""
        return self.segments[0]

    def find(self, name: str) -> Segment | None:
        """The first segment of that name."""
        for segment in self.segments:
            if segment.name == name:
                return segment
        return None


def delimiters(text: str) -> Delimiters:
    """MSH-1 and MSH-2 of a text that begins with MSH. Raises Rejected (bad-delimiters)."""
    if len(text) < 8:
        raise Rejected("bad-delimiters", "MSH-2")
    field = text[3]
    encoding = text[4:].split(field, 1)[0].split("\r", 1)[0].split("\n", 1)[0]
    chars = [field, *encoding]
    if field.isalnum() or field.isspace() or not 2 <= len(encoding) <= 5 or len(set(chars)) != len(chars):
        raise Rejected("bad-delimiters", "MSH-2")
    if any(c.isalnum() or c.isspace() for c in encoding):
        raise Rejected("bad-delimiters", "MSH-2")
    padded = encoding.ljust(4, "\0")
    return Delimiters(field, padded[0], padded[1], padded[2] if len(encoding) > 2 else "\0", padded[3])
