"""The fields of a message's segments: required ones, repetitions, numbers; and, in strict mode, the forms of the datatypes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import lru_cache

from adapter.conformance.dictionary import Version
from adapter.conformance.finding import Finding
from adapter.parse.er7 import NULL, Message

_TIME = r"(?:[01]\d|2[0-3])(?:[0-5]\d(?:[0-5]\d(?:\.\d{1,4})?)?)?"
_ZONE = r"(?:[+-]\d{4})?"
_DAY = r"\d{4}(?:(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])?)?"
FORMS = {
    "DTM": re.compile(rf"{_DAY}(?:(?<=\d{{8}}){_TIME})?{_ZONE}"), "DT": re.compile(_DAY), "TM": re.compile(_TIME + _ZONE),
    "NM": re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)"), "SI": re.compile(r"\d{1,4}"),
}
"""The primitive datatypes that have a form (HL7 v2 chapter 2A)."""
PLAIN = frozenset(("ST", "TX", "FT", "ID", "IS", "DT", "TM", "DTM", "NM", "SI", "GTS"))
"""Datatypes without components."""


def check_fields(message: Message, version: Version) -> list[Finding]:
    """Required fields that are empty, repetitions where there is one, fields that the version does not have."""
    mark = message.d.repetition
    known = version.segments
    found: list[Finding] = []
    for segment in message.segments:
        fields = known.get(segment.name)
        if fields is None:
            continue
        raw = segment.fields
        count = len(raw)
        for n in fields.required:
            if n >= count or not raw[n]:
                found.append(_finding("required", segment.name, segment.number, n, version.name))
        if mark in segment.line:
            found += [_finding("form", segment.name, segment.number, n, version.name) for n, text in enumerate(raw)
                      if mark in text and n in fields.single]
        if count > len(fields.types):
            found += [_finding("unknown", segment.name, segment.number, n, version.name)
                      for n in range(len(fields.types), count) if raw[n]]
    return found


@lru_cache(maxsize=4_000)
def _finding(what: str, segment: str, number: int, n: int, version: str) -> Finding:
    """The same deviation is made once: a sender that deviates does so in each message."""
    place = f"{segment}-{n}" if number == 1 else f"{segment}[{number}]-{n}"
    if what == "required":
        return Finding(kind="required", place=place, detail=f"required in {version}")
    if what == "unknown":
        return Finding(kind="form", place=place, detail=f"no field of {version}")
    return Finding(kind="form", place=f"{place}[2]", detail=f"may not repeat in {version}")


def check_datatypes(message: Message, version: Version) -> Iterator[Finding]:
    """Dates, times and numbers that have not their form, components that the datatype does not have, withdrawn fields."""
    for segment in message.segments:
        fields = version.segments.get(segment.name)
        if fields is None:
            continue
        for n in range(1, min(len(segment.fields), len(fields.types))):
            text = segment.raw(n)
            if not text or text == NULL or (segment.name == "MSH" and n < 3):
                continue
            if not fields.types[n]:
                yield Finding(kind="form", place=segment.place(n), detail=f"withdrawn in {version.name}")
                continue
            for number, rep in enumerate(segment.reps(n), 1):
                again = f"[{number}]" if number > 1 else ""
                marks = (message.d.component, message.d.sub)
                yield from _typed(rep.text, fields.types[n], f"{segment.place(n)}{again}", marks, version)


def _typed(text: str, datatype: str, place: str, marks: tuple[str, ...], version: Version) -> Iterator[Finding]:
    """One value of a datatype; marks: the delimiters of its components, and of those below."""
    if not text or text == NULL:
        return
    parts = text.split(marks[0]) if marks else [text]
    types = version.datatypes.get(datatype)
    if types is None:
        if datatype in PLAIN and any(parts[1:]):
            yield Finding(kind="form", place=place, detail=f"{datatype} has no components")
        elif datatype in FORMS and not _formed(text, datatype):
            yield Finding(kind="form", place=place, detail=f"not a {datatype}")
        return
    if datatype == "TS":
        types = ("DTM", *types[1:])  # a TS has a DTM's form in all versions
    for number, (part, inner) in enumerate(zip(parts, types, strict=False), 1):
        dot = f"{place}.{number}"
        yield from _typed(part, inner, dot, marks[1:], version)
    if any(parts[len(types):]):
        yield Finding(kind="form", place=place, detail=f"{datatype} has {len(types)} components in {version.name}")


def _formed(text: str, datatype: str) -> bool:
    if FORMS[datatype].fullmatch(text) is None:
        return False
    if datatype not in ("DT", "DTM") or len(text) < 8 or not text[:8].isdigit():
        return True
    try:
        date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return False
    return True
