"""All that is known of a person: what each search by patient finds, and what that refers to. Nothing is written.

What is here is what the searches tell who asks them, never more. Source: FHIR R4 Patient-everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from adapter.compose.references import referred
from adapter.engine.disclosed import OF_MANY
from adapter.fhirserver.port import Page
from adapter.fhirserver.query import LARGEST_PAGE
from adapter.fhirserver.search import first_page, next_page
from adapter.model import Json
from adapter.store.keys import Key, key_and_person, of_others
from adapter.store.resources import read_resources, with_meta
from adapter.store.search_index import index_rows, type_of
from adapter.store.search_params import PARAMS

_BEGINNINGS = ("authoredon", "onset-date", "onset", "start-date")
"""Search parameters for the day since which something may go on: a condition, an order, a goal."""
_CARE_DATES = (*_BEGINNINGS, "authored", "authored-on", "sent", "created", "effective", "period", "date")
"""Search parameters for the day of care, the first that a type has. A type without any is told of whatever day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What of a person is asked for. types: empty for all.

    start, end: FHIR dates between which care was given, '' for no end; since: when it changed at the earliest, '' for any time.
    """

    types: frozenset[str] = frozenset()
    start: str = ""
    end: str = ""
    since: str = ""


def everything(connection: Connection, patient_id: str, wanted: Wanted, count: int, after: str = "") -> Page:
    """A page of what is known of a standing Patient: the Patient first, then by type and id. total: of what is the person's own.

    after: `Type/id` that the page before ended with; `next` of the result is that of this one. count: 0 for the total alone.
    Raises Rejected (bad-search).
    """
    patient, own = ("Patient", patient_id), dict(_belonging(connection, patient_id, Wanted()))
    matches = own if wanted in (Wanted(), Wanted(types=wanted.types)) else dict(_belonging(connection, patient_id, wanted))
    included = _referred(connection, patient, own, {name for names in matches.values() for name in names})
    told = sorted((key for key in (*matches, *included) if not wanted.types or key[0] in wanted.types),
                  key=lambda key: (key != patient, key))
    last: Key | None = (after.partition("/")[0], after.partition("/")[2]) if after else None
    rest = [key for key in told if last is None or (key != patient, key) > (last != patient, last)]
    shown = rest[:count]
    found = read_resources(connection, shown)
    bodies = {key: with_meta(one.body, one.version, one.updated) for key, one in found.items() if one.body is not None}
    return Page(resources=tuple(bodies[key] for key in shown if key in matches),
                included=tuple(bodies[key] for key in shown if key not in matches),
                next="/".join(shown[-1]) if shown and len(rest) > count else None,
                total=sum(key in matches for key in told))


def _belonging(connection: Connection, patient_id: str, wanted: Wanted) -> Iterator[tuple[Key, set[str]]]:
    """The person's own of those days and since that change, of whatever type, each with what it refers to."""
    for resource_type, criteria in _searches(patient_id, wanted):
        for body in _all(connection, resource_type, criteria):
            yield (resource_type, body["id"]), referred(body)


def _searches(patient_id: str, wanted: Wanted) -> Iterator[tuple[str, Sequence[tuple[str, str]]]]:
    """The searches that find a person's own; what has no day of care is found whatever the days."""
    changed = [("_lastUpdated", f"ge{wanted.since}")] if wanted.since else []
    yield "Patient", [("_id", patient_id), *changed]
    for resource_type, params in PARAMS.items():
        if "patient" not in params:
            continue
        by = [("patient", f"Patient/{patient_id}"), *changed]
        when = next((name for name in _CARE_DATES if name in params), "")
        begun = "" if when in _BEGINNINGS else wanted.start
        days = [(when, prefix + day) for prefix, day in (("ge", begun), ("le", wanted.end)) if day] if when else []
        yield resource_type, [*by, *days]
        if days:
            yield resource_type, [*by, (f"{when}:missing", "true")]


def _all(connection: Connection, resource_type: str, criteria: Sequence[tuple[str, str]]) -> Iterator[Json]:
    """Every match of a search, page by page."""
    page = first_page(connection, resource_type, criteria, LARGEST_PAGE)
    yield from page.resources
    while page.next:
        page = next_page(connection, page.next)
        yield from page.resources


def _referred(connection: Connection, patient: Key, own: Iterable[Key], names: Iterable[str]) -> set[Key]:
    """What these names lead to, and on from there: nobody's, or the same person's; never another's, and no list of many."""
    _, person = key_and_person(connection, *patient) or ("", "")
    found: set[Key] = set()
    seen = {"/".join(key) for key in own}
    wanted = set(names) - seen
    while wanted:
        seen |= wanted
        wanted -= of_others(connection, wanted, person)
        keys = [key for name in wanted if (key := _key(name))[0] in PARAMS and key[0] not in OF_MANY]
        bodies = {key: one.body for key, one in read_resources(connection, keys).items() if one.body is not None}
        whose = {key: _patients(body) for key, body in bodies.items()}
        others = of_others(connection, {name for names in whose.values() for name in names}, person)
        told = {key for key, names in whose.items() if not names or not names <= others}
        found |= told
        wanted = {name for key in told for name in referred(bodies[key])} - seen
    return found


def _patients(body: Json) -> set[str]:
    """Whose a resource is by its search parameter `patient`: what other clients wrote has no person in the store."""
    param = PARAMS[body["resourceType"]].get("patient")
    rows = index_rows(body) if param else ()
    return {value for name, value, *_ in rows if param and name == param.indexed and type_of(value) == "Patient"}


def _key(name: str) -> Key:
    resource_type, _, resource_id = name.partition("/")
    return resource_type, resource_id
