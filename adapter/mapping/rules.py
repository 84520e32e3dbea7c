"""Mapping files, compiled once for a feed: one row, one decision, as in the tables of the v2-to-FHIR guide."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import orjson
from jsonschema import Draft202012Validator

from adapter.errors import Defect
from adapter.home import PROFILES
from adapter.mapping.feed import Feed
from adapter.mapping.functions import FUNCTIONS, Function
from adapter.mapping.yaml_lines import LINE, parse_yaml, without_lines
from adapter.model import is_object
from adapter.validate.facts import is_list

_PLACE = re.compile(r"([A-Z][A-Z0-9]{2})(?:-(\d+)(?:\.(\d+)(?:\.(\d+))?)?)?")
DECIDING = ("authorities", "charset", "codes", "options", "order", "primary", "strong", "visit", "zone")
"""What of feed.yaml decides what a message becomes."""
SCHEMA = PROFILES / "mapping.schema.json"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row reads: an HL7 field, component or subcomponent (0: all of it), or a column of a CSV row."""

    segment: str
    field: int | str
    component: int = 0
    sub: int = 0

    def __str__(self) -> str:
        if isinstance(self.field, str):
            return self.field
        tail = (f".{self.component}" if self.component else "") + (f".{self.sub}" if self.sub else "")
        return f"{self.segment}-{self.field}{tail}" if self.field else self.segment


Condition = tuple[Place | str, str | frozenset[str]]
"""A place (or 'event', or 'after': the last PID, PV1, PR1 or IN1) and what must hold: 'valued', 'empty', or one of some texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One compiled decision. slot: where its value goes (`element#group` for lists), '' for a drop.

    wrap: names that wrap each value of a list item (`communication[].language` -> ("language",)).
    whole: the function takes the whole segment or row; every: it takes all repetitions at once. plain: it only passes each
    repetition of a whole field through a function. kept: what it makes of a field's text may be kept.
    """

    rule: str
    place: Place | None
    target: str = ""
    slot: str = ""
    listed: bool = False
    wrap: tuple[str, ...] = ()
    function: Function | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    constant: Any = None
    ref: str = ""
    url: str = ""
    value: str = ""
    default: Any = None
    drop: str = ""
    effect: frozenset[str] = frozenset()
    when: tuple[Condition, ...] = ()
    whole: bool = False
    every: bool = False
    group: tuple[Place, ...] = ()
    plain: bool = False
    kept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """The rows that make one resource out of one segment (or CSV row). key: patient, visit, account, or parts of a key.

    listed: `patient` or `visit` where the segments of a message are the whole list of it. withdraw: conditions on which
    the resource is taken back. alone: one row of a file alone states this shared resource. by_field: the rows that read a
    field, in HL7's order (columns as the mapping file has them).
    """

    rule: str
    segment: str
    resource: str
    scope: str
    key: tuple[str | tuple[Place | None, ...], ...]
    label: str
    system: str
    when: tuple[Condition, ...]
    by_field: Mapping[int | str, tuple[Row, ...]]
    always: tuple[Row, ...]
    drops: Mapping[int | str, tuple[Row, ...]]
    no_patient: bool = False
    listed: str = ""
    withdraw: tuple[Condition, ...] = ()
    alone: bool = False

    @property
    def in_full(self) -> bool:
        """Whether a CSV row states all that its feed says of the resource, so that an empty cell takes back."""
        return self.scope != "reference" or self.alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All maps of a feed, by segment (`ROW` for CSV). version: hash of everything that decides the result."""

    maps: Mapping[str, tuple[Map, ...]]
    version: str


@cache
def _schema() -> Draft202012Validator:
    return Draft202012Validator(orjson.loads(SCHEMA.read_bytes()))


def compile_feed(feed: Feed) -> Rules:
    """Every map file of a feed (the nearest of each name), compiled. Raises Defect (mapping-failed) with file and line."""
    maps: dict[str, list[Map]] = {}
    digest: list[bytes] = [repr([
        (name, str(getattr(feed, name)) if name == "zone" else sorted(feed.strong) if name == "strong" else getattr(feed, name))
        for name in DECIDING]).encode()]
    for path in feed.files("*.map.yaml"):
        digest.append(path.read_bytes())
        for one in compile_file(path):
            maps.setdefault(one.segment, []).append(one)
    for path in (*feed.files("conceptmaps/*.json"), *feed.files("events.yaml")):
        digest.append(path.read_bytes())
    version = hashlib.sha256(b"\0".join(digest)).hexdigest()[:12]
    return Rules(maps={k: tuple(v) for k, v in maps.items()}, version=version)


def compile_file(path: Path) -> tuple[Map, ...]:
    """The maps of one file, in their order. Raises Defect (mapping-failed) naming the file's line and what was meant."""
    return _compiled(path.read_text(encoding="utf-8"), f"{path.parent.name}/{path.name}")


@lru_cache(maxsize=1024)
def _compiled(text: str, where: str) -> tuple[Map, ...]:
    """Kept, for feeds share files: all hospitals those of `common`."""
    written = parse_yaml(text, where)
    errors = sorted(_schema().iter_errors(without_lines(written)), key=lambda e: list(e.absolute_path))  # pyright: ignore[reportUnknownMemberType]  # jsonschema is untyped here
    if errors:
        at = list(errors[0].absolute_path)
        key = next((f"{step}: " for step in reversed(at) if isinstance(step, str) and step not in ("maps", "rows")), "")
        raise Defect("mapping-failed", f"{where}:{_line_of(written, at)}", key + errors[0].message)
    shared = {k: v for k, v in written.items() if k in ("segment", "csv")}
    return tuple(_map({**shared, **one}, where) for one in written.get("maps", [written]))


def _line_of(written: Any, path: list[Any]) -> int:
    line = 1
    for step in path:
        if is_object(written):
            line = written.get(LINE, line)
        written = written[step]
    return int(written.get(LINE, line) if is_object(written) else line)


def _map(written: Mapping[str, Any], where: str) -> Map:
    segment: str = written.get("segment", "ROW")
    resource: str = written["resource"]
    rule = f"{where}:{written.get(LINE, 1)}"
    lines = [(f"{where}:{r.get(LINE, 0)}", r) for r in written["rows"]]
    rows = [_row(r, resource, _reader(segment, line), line) for line, r in lines]
    place_of = _reader(segment, rule)
    by_field: dict[int | str, list[Row]] = {}
    drops: dict[int | str, list[Row]] = {}
    always: list[Row] = []
    for row in rows:
        if row.place is None or row.whole:
            always.append(row)
        elif row.drop:
            drops.setdefault(row.place.field, []).append(row)
        else:
            by_field.setdefault(row.place.field, []).append(row)
    key = written.get("key", "patient")
    key_parts = [key] if isinstance(key, str) else key
    return Map(
        rule=rule, segment=segment, resource=resource, scope=written.get("scope", "own"),
        key=tuple(_key_part(p, place_of) for p in key_parts),
        label=written.get("label", resource), system=written.get("system", ""),
        when=_conditions(written.get("when", {}), place_of),
        by_field={k: tuple(by_field[k]) for k in (by_field if segment == "ROW" else sorted(by_field))}, always=tuple(always),
        drops={k: tuple(v) for k, v in drops.items()},
        no_patient=written.get("scope") == "reference", listed=written.get("list", ""),
        withdraw=_conditions(written.get("withdraw", {}), place_of), alone=written.get("alone", False))


def _key_part(text: str, place_of: Callable[[str], Place]) -> str | tuple[Place | None, ...]:
    """A named part, a fixed text (`=text`), or places of which the first that is valued counts; `?` makes it optional."""
    if text.startswith("=") or text.rstrip("?") in NAMED_KEYS:
        return text
    places = tuple(place_of(one) for one in text.rstrip("?").split("|"))
    return (*places, None) if text.endswith("?") else places


NAMED_KEYS = frozenset({"patient", "visit", "account", "message", "merged", "latest"})


def parse_place(text: str, rule: str = "") -> Place:
    """`PV1-3.1` as a Place; rule: file and line it is written at. Raises Defect (mapping-failed)."""
    match = _PLACE.fullmatch(text)
    if match is None:
        raise Defect("mapping-failed", rule, f"`{text}`: a place is written like PV1-3 or PV1-3.1")
    return Place(match[1], int(match[2] or 0), int(match[3] or 0), int(match[4] or 0))


def _reader(segment: str, rule: str) -> Callable[[str], Place]:
    """What reads the places of a map or row: columns of CSV rows, else HL7 places."""
    return _column if segment == "ROW" else lambda text: parse_place(text, rule)


def _column(text: str) -> Place:
    return Place("ROW", 0 if text == "ROW" else text)


def _conditions(written: Mapping[str, Any], place_of: Callable[[str], Place]) -> tuple[Condition, ...]:
    return tuple(
        (name if name in ("event", "after") else place_of(name),
         want if want in ("valued", "empty") else frozenset([want] if isinstance(want, str) else want))
        for name, want in written.items() if name != LINE)


def _row(written: Mapping[str, Any], resource: str, place_of: Callable[[str], Place], rule: str) -> Row:
    place = place_of(written["from"]) if "from" in written else None
    when = _conditions(written.get("when", {}), place_of)
    if "drop" in written:
        return Row(rule=rule, place=place, drop=written["drop"], when=when)
    function = None
    if "as" in written:
        function = FUNCTIONS.get(written["as"])
        if function is None:
            raise Defect("mapping-failed", rule, f"no function `{written['as']}`{_close(written['as'], list(FUNCTIONS))}")
    target: str = written["to"]
    element, _, inner = target.partition("[].")
    listed = is_list(resource, element)
    if inner and not listed:
        raise Defect("mapping-failed", rule, f"{resource}.{element} is not a list")
    options = without_lines(written.get("with", {}))
    if "table" in written:
        options["table"] = written["table"]
    group = tuple(place_of(g) for g in written.get("group", []))
    whole, every = place is not None and place.field in (0, "ROW"), bool(written.get("every"))
    origin = str(place) if place else written.get("label", "")
    return Row(
        rule=rule, place=place, target=target, slot=f"{element}#{origin}" if listed else element, listed=listed,
        wrap=tuple(inner.split(".")) if inner else (), function=function, options=options,
        constant=without_lines(written.get("const")), ref=written.get("ref", ""), url=written.get("url", ""),
        value=written.get("value", ""), default=without_lines(written.get("default")),
        effect=frozenset(written.get("effect", [])), when=when, whole=whole, every=every, group=group,
        plain=function is not None and place is not None and not (when or whole or every or group or place.component),
        kept=function is not None and function.kept)


def _close(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean `{close[0]}`?" if close else ""
