"""One message against its structure and its feed's profile: told where the feed is tolerant, refused where it is strict."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from adapter.conformance.dictionary import structure_of, version_of
from adapter.conformance.fields import check_datatypes, check_fields
from adapter.conformance.finding import Finding
from adapter.conformance.profile import Agreed, Profile, check_profile
from adapter.conformance.sequence import check_sequence
from adapter.errors import Rejected
from adapter.model import Issue
from adapter.parse.er7 import Message

MOST = 50
"""Findings of one message that are told; a message with more is not what it says it is."""
_REPETITION = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conformance:
    """How a feed is held to the standard. strict: what deviates is refused.

    tolerate: deviations that are not even told, `sequence`, `PV1-3`, or `required PV1-3` (no repetition numbers).
    """

    strict: bool = False
    profile: Profile | None = None
    tolerate: frozenset[str] = frozenset()


TOLERANT = Conformance()
"""The usual: nothing is refused, deviations of structure and fields are told."""


def conform(message: Message, event: str, version: str, feed: Conformance, agreed: Agreed = MappingProxyType({})) -> list[Issue]:
    """What deviates, as issues `tolerated-...`: of a tolerant feed the order of segments and the fields alone, as forms of
    dates and numbers are told where they are mapped. Raises Rejected with every `refused-...` of a strict feed."""
    profile = feed.profile
    known = version_of((profile.version if profile else "") or version)
    names = tuple([segment.name for segment in message.segments])
    found: Sequence[Finding] = ()
    if profile is None or profile.structure:
        found = [*_sequence(event, known.name, names), *check_fields(message, known)]
    if feed.strict:
        found = [*found, *_type(message, event, known.name)]
        if profile is None or profile.structure:
            found += check_datatypes(message, known)
    if profile is not None:
        found = [*found, *check_profile(message, event, profile, agreed)]
    if feed.tolerate and found:
        found = [one for one in found if not _tolerated(one, feed.tolerate)]
    if feed.strict and found:
        issues = tuple(one.issue("refused") for one in dict.fromkeys(found[:MOST]))
        raise Rejected(issues[0].code, issues[0].place, issues[0].detail, issues)
    return [_told(one) for one in found[:MOST]]


@lru_cache(maxsize=4_000)
def _told(finding: Finding) -> Issue:
    return finding.issue("tolerated")


def _tolerated(finding: Finding, tolerate: frozenset[str]) -> bool:
    place = _REPETITION.sub("", finding.place)
    return not tolerate.isdisjoint((finding.kind, place, f"{finding.kind} {place}"))


@lru_cache(maxsize=4_000)
def _sequence(event: str, version: str, names: tuple[str, ...]) -> tuple[Finding, ...]:
    """The findings about a sequence of segments; messages of one sender have few sequences."""
    known = structure_of(event, version)
    if known is None:
        return ()
    name, structure, having = known
    foreign = () if having.name == version else (
        Finding(kind="value", place="MSH-9.2", detail=f"{version} has no {event}; {having.name} was taken"),)
    return (*foreign, *check_sequence(name, structure, names))


def _type(message: Message, event: str, version: str) -> list[Finding]:
    """MSH-9.3 of a message that names another structure than that of its event."""
    written, known = message.msh.first(9).get(3), structure_of(event, version)
    if not written or known is None or written == known[0]:
        return []
    return [Finding(kind="value", place="MSH-9.3", detail=f"{event} has the structure {known[0]}")]


def place_of(text: str) -> bool:
    """Whether a text of `tolerate` can name a deviation: a kind, a place, or both."""
    kind, _, place = text.rpartition(" ")
    kinds = ("sequence", "required", "form", "value")
    if not kind:
        return place in kinds or bool(_TOLERABLE.fullmatch(place))
    return kind in kinds and bool(_TOLERABLE.fullmatch(place))


_TOLERABLE = re.compile(r"[A-Z][A-Z0-9]{2}(?:-\d+(?:\.\d+){0,2})?")
