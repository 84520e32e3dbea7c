"""A lazy ER7 reader: a message is split into segments, a segment into fields, a field into parts only when asked.

Nothing is unescaped, and no list is built, before somebody reads it. Source: HL7 v2 chapter 2, sections 2.5 to 2.7.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from adapter.errors import Rejected
from adapter.parse.delimiters import Delimiters, delimiters, inner

NULL = '""'
"""What a sender writes to delete a value (HL7 v2 chapter 2, null value)."""

_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")


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
        return Rep(text, inner(self.d))

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


def _lines(text: str, separator: str) -> list[str]:
    """The lines of a message. Where CR ends its segments, an LF that no segment follows is text."""
    if "\n" in text:
        text = text.replace("\r\n", "\r")
        if "\r" in text:
            text = re.sub(rf"\n(?=[\r\n]|\Z|[A-Z][A-Z0-9]{{2}}(?:{re.escape(separator)}|[\r\n]|\Z))", "\r", text)
        else:
            text = text.replace("\n", "\r")
    return text.split("\r")
