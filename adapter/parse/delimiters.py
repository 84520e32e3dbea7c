"""The delimiters of a message (MSH-1, MSH-2), and the escape sequences that stand for them and for bytes and layout.

Source: HL7 v2 chapter 2, sections 2.5.4 and 2.7.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from adapter.errors import Rejected

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


@lru_cache(maxsize=64)
def inner(d: Delimiters) -> Delimiters:
    """The delimiters inside a component: its subcomponents are read as components."""
    return Delimiters(d.field, d.sub, d.repetition, d.escape, "\0", root=d.root or d, charset=d.charset)


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
