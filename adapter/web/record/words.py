"""What the parts of a record share: rows and tables, names for references, days and times in the network's zone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from adapter.model import Json
from adapter.store.search_index import date_range
from adapter.web import people

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One resource in a table. reference: `Type/id`; title: what its link says; cells: the columns behind the first."""

    reference: str
    title: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of a record. none: what is said where it is empty.

    more: the search (below /fhir) that gives all rows, '' where they are here.
    """

    caption: str
    columns: tuple[str, ...]
    rows: Sequence[Row]
    none: str
    more: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading with its tables."""

    heading: str
    tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How references and times are said. names: `Type/id` to what it is called. zone: the network's. now: of the page, UTC."""

    names: Mapping[str, str]
    zone: ZoneInfo
    now: datetime

    def who(self, *references: Json | None) -> str:
        """The names behind these references, each once; what nobody named by its display."""
        found = (self._called(one) for one in references if one)
        return ", ".join(dict.fromkeys(name for name in found if name))

    def _called(self, reference: Json) -> str:
        known = self.names.get(reference.get("reference", ""))
        shown: str = reference.get("display", "") or reference.get("identifier", {}).get("value", "")
        return known or shown

    def day(self, text: str) -> str:
        """The day of a FHIR date or time in the network's zone; a date stays as it is, of whatever precision."""
        at = self.moment(text)
        return f"{at:%Y-%m-%d}" if at else text

    def time(self, text: str) -> str:
        """A FHIR date or time to the minute by the network's clock; a date stays as it is."""
        at = self.moment(text)
        return f"{at:%Y-%m-%d %H:%M %Z}" if at else text

    def moment(self, text: str) -> datetime | None:
        """A FHIR time by the network's clock; None of a date, and of what is neither."""
        span = date_range(text) if "T" in text else None
        return (_EPOCH + timedelta(microseconds=span[0])).astimezone(self.zone) if span else None


def concepts(values: Iterable[Json]) -> str:
    """CodeableConcepts in words, each once."""
    return ", ".join(dict.fromkeys(text for one in values if (text := people.concept(one))))


def coding(value: Json) -> str:
    """A Coding in words: its display, else its code."""
    return value.get("display") or value.get("code", "").replace("-", " ")


def standing(resource: Json) -> str:
    """The status of a resource in words; one that nobody stated is not made up."""
    return plain(resource.get("status", "")) or "not known"


def plain(code: str) -> str:
    """A code of FHIR's own as people write it."""
    return code.replace("-", " ")


def codes(values: Iterable[Json], system: str) -> list[str]:
    """The codes of one system in CodeableConcepts."""
    return [one["code"] for value in values for one in value.get("coding", ()) if one.get("system") == system and one.get("code")]


def named(resource: Json) -> str:
    """`Type/id` of a resource."""
    return f"{resource['resourceType']}/{resource['id']}"

