"""A feed is one sender or partner: what is special about it, read from `mappings/<feed>/feed.yaml`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adapter.conformance.check import Conformance, place_of
from adapter.conformance.dictionary import PROFILES
from adapter.conformance.profile import Profile, profile_names, profile_of
from adapter.errors import Defect
from adapter.mapping.exchange import Exchange, take_exchange
from adapter.mapping.uris import is_oid
from adapter.mapping.yaml_lines import LINE, line_of, load_yaml, without_lines
from adapter.model import OrderBy, is_object

MERGED = ("authorities", "codes")
"""Keys of feed.yaml that add to those of the feed it extends; every other key replaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One feed, with what it inherits by `extends` (nearest first in `folders`).

    sender: MSH-3 and MSH-4 that belong to it ('*' any). order: event, sequence or arrival. primary: identifier types in
    order of preference for the record's primary identifier; strong: types that join records of one person.
    visit: fields that hold the visit's key. precedence: smaller comes first where sources differ.
    conformance: whether, and by which profile, messages are held to HL7 v2, and which deviations are not told.
    exchange: how messages are acknowledged, and how often they come.
    options: everything else, as written (csv, constants, systems ...).
    """

    name: str
    folders: tuple[Path, ...]
    sender: dict[str, str]
    format: str
    order: OrderBy
    zone: ZoneInfo
    charset: str
    authorities: dict[str, str]
    primary: tuple[str, ...]
    strong: frozenset[str]
    visit: tuple[str, ...]
    codes: dict[str, dict[str, str]]
    precedence: int
    test: bool
    conformance: Conformance
    exchange: Exchange
    options: dict[str, Any]

    @property
    def contract(self) -> str:
        """What it brings: the contract of its rows (profiles/csv), `hl7v2` where it brings messages."""
        return str(self.options.get("contract", self.name)) if self.format == "csv" else "hl7v2"

    @property
    def sent_by(self) -> str | None:
        """The network's id of the organization that sends it, where `organization` names one so."""
        system, _, number = str(self.options.get("organization") or "").rpartition("|")
        return number if system == "urn:x-careloop:organization" else None

    def file(self, name: str) -> Path | None:
        """The nearest file of that name among the feed's folders."""
        for folder in self.folders:
            if (folder / name).exists():
                return folder / name
        return None

    def files(self, pattern: str) -> list[Path]:
        """Files that match, the nearest of each name, sorted by name."""
        found: dict[str, Path] = {}
        for folder in self.folders:
            for path in folder.glob(pattern):
                found.setdefault(path.name, path)
        return [found[name] for name in sorted(found)]


def load_feed(folder: Path) -> Feed:
    """Read one feed and all that it extends. Raises Defect (mapping-failed) with file and line."""
    chain = _chain(folder)
    merged: dict[str, Any] = {}
    for written in reversed([options for _, options in chain]):
        for name, value in written.items():
            merged[name] = {**merged.get(name, {}), **value} if name in MERGED else value
    merged.pop("extends", None)
    place = partial(_place, chain)
    if merged.get("order", "event") not in ("event", "sequence", "arrival"):
        raise Defect("mapping-failed", place("order"), "order must be event, sequence or arrival")
    taken = without_lines(merged)
    try:
        zone = ZoneInfo(str(taken.pop("time_zone", "UTC")))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: a folder of the data base (US, Pacific)
        raise Defect("mapping-failed", place("time_zone"), "time_zone is not a name of the IANA data base") from error
    return Feed(
        name=folder.name, folders=tuple(f for f, _ in chain), zone=zone,
        sender=taken.pop("sender", {}), format=taken.pop("format", "hl7v2"), order=taken.pop("order", "event"),
        charset=taken.pop("charset", "utf-8"), authorities=_authorities(taken.pop("authorities", {}), place),
        primary=tuple(_listed(taken.pop("primary", ()))), strong=frozenset(_listed(taken.pop("strong", ()))),
        visit=tuple(_listed(taken.pop("visit_number", ()))), codes=taken.pop("codes", {}),
        precedence=int(taken.pop("precedence", 100)), test=bool(taken.pop("test", False)),
        conformance=_conformance(taken.pop("strict", False), taken.pop("tolerate", []), place),
        exchange=take_exchange(taken, place), options=taken,
    )


Where = Callable[..., str]
"""Tells `feed/feed.yaml:line` of a key, or of one below it."""


def _place(chain: Sequence[tuple[Path, Mapping[str, Any]]], *keys: str) -> str:
    """Where the nearest feed of a chain says a key; the feed itself where none does."""
    for folder, written in chain:
        if keys[0] in written and (len(keys) == 1 or not is_object(written[keys[0]]) or keys[1] in written[keys[0]]):
            return f"{folder.name}/feed.yaml:{line_of(folder / 'feed.yaml', *keys)}"
    return f"{chain[0][0].name}/feed.yaml:1"


_SHAPES: Mapping[str, tuple[type, str]] = {
    "authorities": (dict, "keys: assigning authority, and its system"),
    "codes": (dict, "keys: concept map or column, and below it a code of theirs with one of ours"),
    "sender": (dict, "keys: MSH-3, MSH-4"), "precedence": (int, "a whole number"), "test": (bool, "true or false"),
    "abstract": (bool, "true or false"),
}
"""What a key of feed.yaml must hold, where another kind of value could not be worked with."""


def _check_shapes(folder: Path, written: Mapping[str, Any]) -> None:
    """Raises Defect at the line of a key that holds something else than it must."""
    for key, (kind, words) in _SHAPES.items():
        if key in written and type(written[key]) is not kind:
            raise Defect("mapping-failed", _place([(folder, written)], key), f"{key} holds {words}")
    for table, codes in written.get("codes", {}).items():
        if table != LINE and not is_object(codes):
            place = _place([(folder, written)], "codes", table)
            raise Defect("mapping-failed", place, f"codes: {table} holds codes and what they mean")


def _conformance(strict: Any, tolerate: Any, place: Where) -> Conformance:
    """`strict: true`, or the name of a profile; `tolerate:` a list of deviations."""
    if not isinstance(strict, bool | str):
        raise Defect("mapping-failed", place("strict"), "strict is true, false, or the name of a profile in profiles/hl7v2")
    named = [str(one) for one in _listed(tolerate)]
    for one in named:
        if not place_of(one):
            raise Defect("mapping-failed", place("tolerate", one),
                         f"tolerate: `{one}` is not a kind (sequence, required, form, value), a place, or both "
                         "(`required PV1-3`)")
    return Conformance(strict=bool(strict), profile=_profile(strict, place) if isinstance(strict, str) else None,
                       tolerate=frozenset(named))


def _profile(name: str, place: Where) -> Profile:
    path = PROFILES / f"{name}.yaml"
    if name not in profile_names():
        close = difflib.get_close_matches(name, profile_names(), 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise Defect("mapping-failed", place("strict"), f"strict: no profile {name} in profiles/hl7v2{hint}")
    try:
        return profile_of(name, without_lines(load_yaml(path)))
    except ValueError as error:
        raise Defect("mapping-failed", f"hl7v2/{path.name}:1", str(error)) from error


def _authorities(written: Mapping[str, str], place: Where) -> dict[str, str]:
    """Assigning authority -> system; a bare OID is one of `urn:oid:`. Raises Defect where a system is no absolute URI."""
    found = {name: f"urn:oid:{system}" if is_oid(str(system)) else str(system) for name, system in written.items()}
    for name, system in found.items():
        if not _ABSOLUTE.match(system):
            raise Defect("mapping-failed", place("authorities", name),
                         f"authorities: the system of `{name}` is no absolute URI (urn:oid:...)")
    return found


_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _chain(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    chain: list[tuple[Path, dict[str, Any]]] = []
    current: Path | None = folder
    named = f"{folder.name}/feed.yaml:1"
    while current is not None:
        path = current / "feed.yaml"
        if not path.exists():
            known = sorted(p.parent.name for p in folder.parent.glob("*/feed.yaml") if p.parent != folder)
            close = difflib.get_close_matches(current.name, known, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise Defect("mapping-failed", named, f"no such feed: {current.name}{hint}")
        if any(current == f for f, _ in chain):
            raise Defect("mapping-failed", named, "the feed extends itself")
        written = load_yaml(path)
        _check_shapes(current, written)
        chain.append((current, written))
        parent = written.get("extends")
        named = _place([(current, written)], "extends")
        current = folder.parent / str(parent) if parent else None
    return chain


def load_feeds(mappings: Path) -> dict[str, Feed]:
    """Every feed of a mappings folder by name; those marked `abstract: true` are only there to be extended."""
    feeds = [load_feed(path.parent) for path in sorted(mappings.glob("*/feed.yaml"))]
    return {f.name: f for f in feeds if not load_yaml(f.folders[0] / "feed.yaml").get("abstract")}
