"""A hospital's own conformance profile, `profiles/hl7v2/<name>.yaml`: what it promises beyond the standard's structure.

Source of the words: HL7 v2 chapter 2B, usage R (required), RE (required, may be empty), O (optional), X (not supported).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from adapter.conformance.dictionary import PROFILES, versions
from adapter.conformance.finding import Finding
from adapter.parse.er7 import Message, Segment

Usage = Literal["R", "RE", "O", "X"]
_PLACE = re.compile(r"([A-Z][A-Z0-9]{2})-(\d+)(?:\.(\d+))?")
_CARDINALITY = re.compile(r"(\d+)\.\.(\d+|\*)")
_KEYS = {"profile": {"title", "version", "structure", "segments"},
         "segment": {"segment", "usage", "cardinality", "events", "fields"},
         "field": {"field", "usage", "cardinality", "length", "table", "events"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRule:
    """What one field (component 0), or a component of each of its repetitions, must be. table: () for any value."""

    number: int
    component: int
    usage: Usage
    least: int
    most: int | None
    length: int | None
    table: frozenset[str]
    events: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRule:
    """How often a segment must be there, and its fields. events: () for every event."""

    name: str
    usage: Usage
    least: int
    most: int | None
    events: frozenset[str]
    fields: tuple[FieldRule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One profile. version: dictionary to check against, '' that of MSH-12. structure: the standard's order of segments and
    its fields are checked too."""

    name: str
    version: str
    structure: bool
    segments: tuple[SegmentRule, ...]


def profile_names() -> list[str]:
    """The profiles there are."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def profile_of(name: str, written: Mapping[str, Any]) -> Profile:
    """A profile as its file writes it. Raises ValueError with what is wrong and where in it."""
    _known(written, "profile", name)
    version = str(written.get("version", ""))
    if version and version not in versions():
        raise ValueError(f"version {version} is none of {', '.join(versions())}")
    return Profile(name=name, version=version, structure=written.get("structure", True) is True,
                   segments=tuple(_segment(one) for one in written.get("segments", ())))


def _known(written: Mapping[str, Any], what: str, where: str) -> None:
    if unknown := sorted(written.keys() - _KEYS[what]):
        raise ValueError(f"{where}: no key `{unknown[0]}`; a {what} has {', '.join(sorted(_KEYS[what]))}")


def _segment(written: Mapping[str, Any]) -> SegmentRule:
    name = str(written.get("segment", ""))
    if not re.fullmatch(r"[A-Z][A-Z0-9]{2}", name):
        raise ValueError(f"segment `{name}` is no segment name")
    _known(written, "segment", name)
    usage, least, most = _usage(written, name)
    return SegmentRule(name=name, usage=usage, least=least, most=most, events=_events(written),
                       fields=tuple(_field(one, name) for one in written.get("fields", ())))


def _field(written: Mapping[str, Any], segment: str) -> FieldRule:
    place = str(written.get("field", ""))
    match = _PLACE.fullmatch(place)
    if match is None or match[1] != segment:
        raise ValueError(f"field `{place}` is no place of {segment}")
    _known(written, "field", place)
    usage, least, most = _usage(written, place)
    length = written.get("length")
    if length is not None and not str(length).isdigit():
        raise ValueError(f"{place}: length is a number of characters")
    return FieldRule(number=int(match[2]), component=int(match[3] or 0), usage=usage, least=least, most=most,
                     length=None if length is None else int(length),
                     table=frozenset(str(code) for code in written.get("table", ())), events=_events(written))


def _usage(written: Mapping[str, Any], place: str) -> tuple[Usage, int, int | None]:
    usage = written.get("usage", "O")
    if usage not in ("R", "RE", "O", "X"):
        raise ValueError(f"{place}: usage is R, RE, O or X")
    cardinality = _CARDINALITY.fullmatch(str(written.get("cardinality", "1..*" if usage == "R" else "0..*")))
    if cardinality is None:
        raise ValueError(f"{place}: cardinality is written 0..1 or 1..*")
    return usage, int(cardinality[1]), None if cardinality[2] == "*" else int(cardinality[2])


def _events(written: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(str(event) for event in written.get("events", ()))


Agreed = Mapping[str, Collection[str]]
"""Place (`PID-8`, `PID-3.5`) to codes of the sender's own that its feed translates: they are as good as those of a table."""


def check_profile(message: Message, event: str, profile: Profile, agreed: Agreed) -> Iterator[Finding]:
    """What a message does not keep of a profile. A table is asked after the feed's own `codes`: what they translate is agreed."""
    for rule in profile.segments:
        if rule.events and event not in rule.events:
            continue
        segments = [s for s in message.segments if s.name == rule.name]
        least = max(rule.least, int(rule.usage == "R"))
        if len(segments) < least:
            yield Finding(kind="sequence", place=rule.name, detail=f"{profile.name} needs it" if least == 1 else
                          f"{profile.name} needs {least}")
        if segments and (rule.usage == "X" or (rule.most is not None and len(segments) > rule.most)):
            yield Finding(kind="sequence", place=rule.name, detail=f"{profile.name} does not take it" if rule.usage == "X" else
                          f"{profile.name} takes {rule.most}")
        for segment in segments:
            for field in rule.fields:
                if not field.events or event in field.events:
                    yield from _field_findings(segment, field, profile.name, _own(segment.name, field, agreed))


def _own(segment: str, rule: FieldRule, agreed: Agreed) -> Collection[str]:
    """The sender's own codes at a place that a profile has a table for."""
    place = f"{segment}-{rule.number}"
    if rule.component > 1:
        return agreed.get(f"{place}.{rule.component}", ())
    return {*agreed.get(place, ()), *agreed.get(f"{place}.1", ())}


def _field_findings(segment: Segment, rule: FieldRule, name: str, own: Collection[str]) -> Iterator[Finding]:
    place = f"{segment.name}-{rule.number}" if segment.number == 1 else f"{segment.name}[{segment.number}]-{rule.number}"
    dot = f".{rule.component}" if rule.component else ""
    reps = [r for r in segment.reps(rule.number) if r.text]
    texts = [r.get(rule.component) if rule.component else r.text for r in reps]
    valued = sum(1 for text in texts if text)
    if rule.usage == "X":
        if valued:
            yield Finding(kind="form", place=place + dot, detail=f"{name} does not take it")
        return
    if rule.usage == "R" and (not reps or (rule.component and valued < len(reps))):
        yield Finding(kind="required", place=place + dot, detail=f"required by {name}")
    elif not rule.component and (valued or rule.usage == "R") and valued < rule.least:
        yield Finding(kind="required", place=place, detail=f"{name} needs {rule.least} repetitions")
    if not rule.component and rule.most is not None and len(reps) > rule.most:
        yield Finding(kind="form", place=f"{place}[{rule.most + 1}]", detail=f"{name} takes {rule.most} repetitions")
    for number, (rep, text) in enumerate(zip(reps, texts, strict=True), 1):
        at = f"{place}[{number}]{dot}" if number > 1 else place + dot
        if rule.length is not None and len(text) > rule.length:
            yield Finding(kind="form", place=at, detail=f"{name} takes {rule.length} characters")
        code = text if rule.component else rep.get(1)
        if rule.table and text and code not in rule.table and code not in own:
            yield Finding(kind="value", place=at, detail=f"not in the table of {name}")
