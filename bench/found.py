"""Which values of an HL7 v2 message stand in a Bundle; the rules by which converters are compared.

A value is one distinct unescaped leaf of 3 or more characters in a field; MSH-1, MSH-2, set ids and `""` are none. It is found
where it stands in some string or number of the Bundle on word boundaries, a date by its day. What only copies does not count:
narrative, notes, Basic, attachments, extensions that no published guide declares, and strings that hold v2 delimiters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from adapter.errors import Rejected
from adapter.parse.charset import decode
from adapter.parse.er7 import Message

SHORTEST = 3
SET_IDS = frozenset({"AL1", "ARV", "CON", "DB1", "DG1", "GT1", "IAM", "IN1", "IN3", "NK1", "NTE", "OBX", "PID", "PR1", "PV1",
                     "UB1", "UB2"})
"""Segments whose first field is a set id (HL7 v2.8, datatype SI)."""
PUBLISHED = "http://hl7.org/fhir/"
"""Where the extensions of FHIR R4, its extension packs and HL7's guides are declared."""
NOWHERE = frozenset({"Basic", "Binary"})
"""Resources that hold anything."""
COPIES = frozenset({"note", "valueAnnotation", "valueAttachment", "photo", "attachment", "comment", "div"})
"""Elements that hold free notes, narrative and attachments."""
NAMES = frozenset({"resourceType", "fullUrl", "reference", "id", "request", "profile"})
"""Elements that hold addresses inside the Bundle and names of FHIR's own, no values of the message."""
_DTM = re.compile(r"((?:1[89]|20|21)\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
                  r"(?:[0-2]\d(?:[0-5]\d(?:[0-5]\d(?:\.\d{1,4})?)?)?)?(?:[+-]\d{4})?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d(?=$|T)")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_COMPOSITE = re.compile(r"\^|\S&\S|\S~\S")
_BLANKS = re.compile(r"\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Haystack:
    """What of a Bundle counts: its texts (one to a line; composites apart), its days and its numbers."""

    texts: str
    composites: str
    days: frozenset[str]
    numbers: frozenset[Decimal]

    def holds(self, value: str) -> bool:
        """Whether a value stands here: as a text on word boundaries, as a number, or, where it is a date, by its day."""
        if day := _DTM.fullmatch(value):
            if "-".join(day.groups()) in self.days:
                return True
        elif _NUMBER.fullmatch(value) and Decimal(value) in self.numbers:
            return True
        pattern = (r"(?<!\w)" if _wordlike(value[0]) else "") + re.escape(value) + (r"(?!\w)" if _wordlike(value[-1]) else "")
        return re.search(pattern, self.composites if _COMPOSITE.search(value) else self.texts) is not None


def _wordlike(char: str) -> bool:
    return char.isalnum() or char == "_"


def values(raw: bytes, charset: str = "utf-8") -> dict[str, list[str]]:
    """The values of a message, each with the places it stands at (`NK1-5.1`, without numbers of repetitions).

    Raises Rejected where it is no message.
    """
    found: dict[str, list[str]] = {}
    for place, text in _leaves(_read(raw, charset)):
        if len(text) >= SHORTEST:
            found.setdefault(text, []).append(place)
    return {text: list(dict.fromkeys(places)) for text, places in found.items()}


def _read(raw: bytes, charset: str) -> Message:
    try:
        return Message(decode(raw, charset).text)
    except Rejected:
        return Message(raw.decode("latin-1"))


def _leaves(message: Message) -> Iterator[tuple[str, str]]:
    for segment in message.segments:
        for n in range(1, len(segment.fields)):
            if (segment.name == "MSH" and n < 3) or (n == 1 and segment.name in SET_IDS):
                continue
            for rep in segment.reps(n):
                for c, s, text in rep.leaves():
                    yield f"{segment.name}-{n}.{c}" + (f".{s}" if s else ""), _BLANKS.sub(" ", text)


def haystack(bundle: Any) -> Haystack:
    """What of a Bundle (or any other JSON of FHIR) counts."""
    leaves = list(_counted(bundle))
    texts = [_BLANKS.sub(" ", leaf) for leaf in leaves if isinstance(leaf, str)]
    return Haystack(
        texts="\n".join(t for t in texts if not _COMPOSITE.search(t)),
        composites="\n".join(t for t in texts if _COMPOSITE.search(t)),
        days=frozenset(t[:10] for t in texts if _DAY.match(t)),
        numbers=frozenset(Decimal(str(leaf)) for leaf in leaves if not isinstance(leaf, str)))


def _counted(node: Any) -> Iterator[str | int | float]:
    """Every string and number that counts."""
    if isinstance(node, dict):
        if node.get("resourceType") in NOWHERE:
            return
        for name, inner in node.items():
            if name in ("extension", "modifierExtension"):
                yield from _declared(inner, nested=False)
            elif name not in COPIES and name not in NAMES:
                yield from _counted(inner)
    elif isinstance(node, list):
        for one in node:
            yield from _counted(one)
    elif isinstance(node, str | int | float) and not isinstance(node, bool):
        yield node


def _declared(extensions: Any, *, nested: bool) -> Iterator[str | int | float]:
    """What counts of extensions: those that a guide declares. Parts of one have names without an address."""
    for one in extensions:
        url = str(one.get("url", ""))
        if url.startswith(PUBLISHED) or (nested and ":" not in url):
            yield from _declared(one.get("extension", ()), nested=True)
            yield from _counted({name: inner for name, inner in one.items() if name not in ("url", "extension")})
