"""What mapping functions may ask while one message is mapped, and where the resources under way are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import quote

from adapter.identity.links import Tie
from adapter.mapping.feed import Feed
from adapter.mapping.terminology import Terminology
from adapter.mapping.times import fhir_date, fhir_datetime
from adapter.mapping.uris import universal_uri
from adapter.model import Issue, Json, Order, is_array
from adapter.parse.delimiters import Delimiters
from adapter.parse.er7 import Rep

KNOWN_KINDS = {"SS": "http://hl7.org/fhir/sid/us-ssn", "SSN": "http://hl7.org/fhir/sid/us-ssn",
               "NPI": "http://hl7.org/fhir/sid/us-npi", "MBI": "http://hl7.org/fhir/sid/us-mbi"}
"""Identifier types (CX.5) whose system is known whoever assigned them."""


class Source(Protocol):
    """A segment or a CSV row, as the engine and whole-segment functions read it."""

    name: str
    number: int

    def raw(self, n: Any) -> str:
        """A field as it stands."""
        ...

    def reps(self, n: Any) -> list[Rep]:
        """Its repetitions."""
        ...

    def first(self, n: Any) -> Rep:
        """Its first repetition, empty where it is absent."""
        ...

    def valued(self) -> Mapping[Any, str]:
        """The fields or columns that have a value, as they stand."""
        ...


@dataclass(slots=True)
class Builder:
    """One resource under way: what the message says of it as snapshot, and as effect of its event.

    origins: what segments made that was joined into it, ((first, second), third).
    """

    resource_type: str
    key: str
    scope: str
    patient: str = ""
    visit: str = ""
    snapshot: Json = field(default_factory=dict[str, Any])
    effect: Json = field(default_factory=dict[str, Any])
    origins: tuple[Any, ...] = ()

    @property
    def at(self) -> tuple[str, str, str]:
        """Where it stands among a context's builders."""
        return (self.resource_type, self.key, self.patient if self.scope == "person" else "")

    @property
    def symbol(self) -> str:
        """The symbolic reference to it."""
        return symbol(self.resource_type, self.key, self.patient if self.scope == "person" else "")


def symbol(resource_type: str, key: str, person: str = "") -> str:
    """A symbolic reference: `Type?key`, or `Type@patient?key` to a resource that each person has one of."""
    return f"{resource_type}@{person}?{key}" if person else f"{resource_type}?{key}"


@lru_cache(maxsize=4096)
def slug(text: str) -> str:
    """Text fit to stand in a URN: letters, digits and -._ stay, everything else is percent-encoded, lower case."""
    return quote(text.strip().lower(), safe="-._")


_NOBODY = Rep("", Delimiters())


class MapContext:
    """The Context of one message; fulfils functions.registry.Context."""

    __slots__ = ("_message", "_order", "account", "anchor", "builders", "event", "feed", "issues", "latest", "links", "lists",
                 "local", "looked_back", "memory", "merged", "own", "patient", "refs", "rep", "row", "segment", "sender",
                 "shared", "source", "stated", "terminology", "visit", "withdrawn")

    def __init__(self, feed: Feed, terminology: Terminology, *, source: str, local: str, event: str, message: str,
                 order: Order, issues: list[Issue], sender: Rep = _NOBODY, memory: dict[Any, Any] | None = None) -> None:
        self.feed = feed
        self.terminology = terminology
        self.source = source
        self.local = local
        self.event = event
        self._message = message
        self._order = order
        self.issues = issues
        self.sender = sender
        self.memory = memory
        self.stated: list[tuple[str, str, Json]] | None = None
        self.builders: dict[tuple[str, str, str], Builder] = {}
        self.shared: dict[tuple[str, str], Json] = {}
        self.patient = self.visit = self.account = self.merged = self.anchor = ""
        self.links: list[Tie] = []
        self.lists: dict[tuple[str, str, str], set[str]] = {}
        self.withdrawn: list[tuple[str, str]] = []
        self.refs: dict[str, str] = {}
        self.latest: dict[str, Builder] = {}
        self.own = False
        self.looked_back: set[str] = set()
        self.segment: Source | None = None
        self.row: Any = None
        self.rep = 0

    @property
    def order(self) -> Order:
        """The order of the message; who asks for it says what only this message says."""
        self.own = True
        return self._order

    @property
    def message(self) -> str:
        """The identity of the message; as `order`."""
        self.own = True
        return self._message

    def look_back(self, resource_type: str) -> Builder | None:
        """The latest resource of that type that an earlier segment of the group made."""
        self.looked_back.add(resource_type)
        return self.latest.get(resource_type)

    def place(self) -> str:
        """The place that is being mapped, as an HL7 path or `row N, column`."""
        segment, row = self.segment, self.row
        if segment is None:
            return ""
        at = row.place if row is not None else None
        if segment.name == "ROW":
            return f"row {segment.number}" + (f", {at.field}" if at and at.field else "")
        name = segment.name if segment.number == 1 else f"{segment.name}[{segment.number}]"
        if at is None or not at.field:
            return name
        rep = f"[{self.rep}]" if self.rep > 1 else ""
        return f"{name}-{at.field}{rep}" + (f".{at.component}" if at.component else "")

    def issue(self, code: str, detail: str = "", column: str = "") -> None:
        """Note a finding at the place that is being mapped, or at a column of the CSV row; once, though several rules read it."""
        of_row = self.segment is not None and self.segment.name == "ROW"
        place = f"row {self.segment.number}, {column}" if self.segment is not None and column else self.place()
        found = Issue(code=code, place=place, detail=detail)
        if found not in (self.issues if of_row else self.issues[-1:]):
            self.issues.append(found)

    def code(self, table: str, code: str) -> Json | None:
        """The Coding of concept map `table` for a code, the feed's own codes first; shared, never change it."""
        own = self.feed.codes.get(table)
        if own and code in own:
            code = own[code]
            if "|" in code:
                return _coding(code)
        return self.terminology.code(table, code)

    def system(self, namespace: str, universal_id: str = "", universal_type: str = "", kind: str = "") -> str:
        """The URI of an assigning authority, never ''; see functions.registry.Context."""
        authorities = self.feed.authorities
        if authorities:
            found = (authorities.get(f"{namespace}/{kind}") if kind else None) or authorities.get(namespace) \
                or authorities.get(universal_id)
            if found:
                return found
        if kind in KNOWN_KINDS:
            return KNOWN_KINDS[kind]
        if universal_id:
            stated = universal_uri(universal_id, universal_type or "ISO")
            if stated:
                return stated
        name = namespace or universal_id
        return f"{self.local}:{slug(name)}" if name else self.local

    def moment(self, text: str) -> str | None:
        """A DTM as FHIR dateTime; None and an issue where it is none."""
        value = fhir_datetime(text, self.feed.zone)
        if value is None:
            self.issue("bad-date")
        return value

    def day(self, text: str) -> str | None:
        """A DT or DTM as FHIR date; None and an issue where it is none."""
        value = fhir_date(text)
        if value is None:
            self.issue("bad-date")
        return value

    def build(self, resource_type: str, key: str, scope: str) -> Builder:
        """The builder of a resource; the same for the same type, key and (per person) patient."""
        patient = "" if scope == "reference" else key if resource_type == "Patient" else self.patient
        at = (resource_type, key, patient if scope == "person" else "")
        builder = self.builders.get(at)
        if builder is None:
            builder = self.builders[at] = Builder(resource_type, key, scope, patient, self.visit if patient else "")
            stated = self.shared.pop((resource_type, key), None) if scope == "reference" else None
            builder.snapshot.update(stated or {})
        return builder

    def emit(self, resource_type: str, key: str, body: Json) -> str:
        """State a shared resource; its symbolic reference. The body is kept as it is: never change it afterwards."""
        if self.stated is not None:
            self.stated.append((resource_type, key, body))
        return self.state(resource_type, key, body)

    def state(self, resource_type: str, key: str, body: Json) -> str:
        """What `emit` does, told nobody."""
        at = (resource_type, key)
        standing = self.shared.get(at)
        if standing is None:
            builder = self.builders.get((resource_type, key, ""))
            if builder is None:
                self.shared[at] = body
            else:
                builder.snapshot = joined(builder.snapshot, body)
        elif standing is not body:
            self.shared[at] = joined(standing, body)
        return f"{resource_type}?{key}"


def joined(standing: Json, more: Json) -> Json:
    """Two statements about one resource as one: lists put together, single values by the second."""
    both = dict(standing)
    for slot, value in more.items():
        before = both.get(slot)
        if is_array(value) and is_array(before):
            both[slot] = [*before, *(v for v in value if v not in before)]
        else:
            both[slot] = value
    return both


@lru_cache(maxsize=4096)
def _coding(text: str) -> Json:
    """`system|code` of a feed's own codes as Coding."""
    system, _, code = text.rpartition("|")
    return {"system": system, "code": code}
