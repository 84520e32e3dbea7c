"""The lint of one map file: what it reads, what it writes, and what it says of codes must exist and fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from adapter.errors import Defect
from adapter.mapping.lint_csv import close
from adapter.mapping.lint_places import place_faults
from adapter.mapping.rules import Condition, Map, Place, Row, compile_file
from adapter.mapping.values import wrapped
from adapter.model import is_object
from adapter.validate.facts import field as fhir_field
from adapter.validate.facts import fields as fhir_fields
from adapter.validate.facts import reference_targets, resource_types, type_names
from adapter.validate.schema import codes_of, value_faults

_OWN_REFS = {"patient": "Patient", "visit": "Encounter", "account": "Account"}
"""What `ref` may say beside a resource type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a feed's maps may name: concept maps with their source, and trigger events (none: the feed has no table of them)."""

    tables: Mapping[str, str]
    events: frozenset[str] = frozenset()

    def meant(self, table: str) -> str:
        """`; did you mean ...?` where a concept map is written alike, or is of the HL7 table of that number."""
        number = table.removeprefix("HL7").rjust(4, "0")
        of_number = [name for name, source in self.tables.items() if source.endswith(f"/v2-{number}")]
        return f"; did you mean `{of_number[0]}`?" if of_number else close(table, self.tables)


def file_faults(path: Path, known: Known) -> Iterator[str]:
    """Every mistake of a map file, as `feed/file:line: what - what was meant`."""
    try:
        maps = compile_file(path)
    except Defect as error:
        yield f"{error.issue.place}: {error.issue.detail}"
        return
    for one in maps:
        if one.resource not in resource_types():
            yield f"{one.rule}: no resource type {one.resource}{close(one.resource, resource_types())}"
            continue
        for fault in _map(one, known):
            yield f"{one.rule}: {fault}"
        for row in sorted(_rows(one), key=lambda r: int(r.rule.rpartition(":")[2])):
            for fault in dict.fromkeys(_row(one, row, known)):
                yield f"{row.rule}: {fault}"


def _rows(one: Map) -> Iterator[Row]:
    yield from one.always
    for rows in (*one.by_field.values(), *one.drops.values()):
        yield from rows


def _map(one: Map, known: Known) -> Iterator[str]:
    """Key and conditions of a map."""
    for part in one.key:
        for place in part if isinstance(part, tuple) else ():
            if place is not None:
                yield from _read(place, one)
    yield from _conditions((*one.when, *one.withdraw), one, known)


def _read(place: Place, one: Map) -> Iterator[str]:
    """A place must exist, and be of the segment that the map is for."""
    if one.segment == "ROW":
        return
    faults = list(place_faults(place))
    yield from faults
    if place.segment != one.segment and not faults:
        yield f"{place} is of another segment: this map reads {one.segment}; write the row in a map of {place.segment}"


def _conditions(when: tuple[Condition, ...], one: Map, known: Known) -> Iterator[str]:
    for place, want in when:
        if isinstance(place, Place):
            yield from _read(place, one)
        elif place == "event" and isinstance(want, frozenset):
            yield from _events("when", want, known)


def _events(where: str, named: frozenset[str], known: Known) -> Iterator[str]:
    for event in sorted(named - known.events if known.events else ()):
        yield f"{where}: {event} is no ADT event"


def _row(one: Map, row: Row, known: Known) -> Iterator[str]:
    for place in (row.place, *row.group):
        if place is not None:
            yield from _read(place, one)
    yield from _conditions(row.when, one, known)
    if row.drop:
        return
    yield from _events("effect", row.effect, known)
    path = ".".join((row.slot.split("#")[0], *row.wrap))
    if not path.startswith("_") and fhir_field(one.resource, path) is None:
        yield f"{one.resource} has no element {path}"
        return
    yield from _extension(path, row)
    table = row.options.get("table")
    if table and table not in known.tables:
        yield f"no concept map `{table}`{known.meant(str(table))}"
    if row.ref:
        yield from _ref(one.resource, path, row)
    for name, value in (("const", row.constant), ("default", row.default)):
        if value not in (None, {}) and not path.startswith("_"):
            yield from _fixed(name, value, one.resource, path, row)


def _extension(path: str, row: Row) -> Iterator[str]:
    """An extension has a url and one value, unless its function makes the whole of it."""
    if row.url and not row.value:
        yield "`url` without `value`: say which value the extension has, such as `value: valueString`"
    elif row.value and not row.url:
        yield "`value` without `url`: say which extension it is, `url: ...`"
    elif row.url and fhir_field("Extension", row.value) is None:
        yield f"an extension has no `{row.value}`{close(row.value, _extension_values())}"
    elif not row.url and path.rpartition(".")[2] in ("extension", "modifierExtension") and (made := _made(row)) != "Extension":
        yield f"an extension without `url`: add `url: ...` and `value: {_value_of(made)}`"


def _made(row: Row) -> str:
    """The FHIR type that a row's function is named after (`st_string`); Extension where it makes one by itself."""
    if row.function is None:
        return "Extension" if is_object(row.constant) and "url" in row.constant else "string"
    return _types().get(row.function.name.partition("_")[2].replace("_", ""), "Extension")


def _value_of(made: str) -> str:
    name = f"value{made[0].upper()}{made[1:]}"
    return name if name in _extension_values() else "valueString"


@cache
def _types() -> dict[str, str]:
    """FHIR types by their name in lower case."""
    return {name.lower(): name for name in type_names()}


def _ref(resource: str, path: str, row: Row) -> Iterator[str]:
    """A reference names the patient, visit or account, or a resource type that the element may point at."""
    name = row.ref.removeprefix("latest ")
    target = _OWN_REFS.get(name, name)
    if target not in resource_types():
        yield f"ref: no resource type {name}{close(name, [*resource_types(), *_OWN_REFS])}"
        return
    allowed = reference_targets("Extension", row.value) if row.url else reference_targets(resource, path)
    if allowed and target not in allowed:
        yield f"ref: {resource}.{path} points at {', '.join(sorted(allowed))}, not at {target}"


def _fixed(name: str, value: Any, resource: str, path: str, row: Row) -> Iterator[str]:
    """A fixed value must fit its element, codes of a required binding included."""
    owner, where = ("Extension", row.value) if row.url else (resource, path)
    if fhir_field(owner, where) is None:
        return
    values = [value] if row.url or row.wrap else wrapped(row, value)
    for one in values:
        for words in value_faults(owner, where, one):
            code = one if isinstance(one, str) else ""
            yield f"{name}: {words}{close(code, codes_of(owner, where)) if code else ''}"


@cache
def _extension_values() -> list[str]:
    return [one for one in fhir_fields("Extension") if one.startswith("value")]
