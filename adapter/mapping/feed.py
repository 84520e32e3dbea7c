"""A feed is one sender or partner: what is special about it, read from `mappings/<feed>/feed.yaml`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adapter.conformance.check import Conformance, place_of
from adapter.conformance.dictionary import PROFILES
from adapter.conformance.profile import Profile, profile_names, profile_of
from adapter.errors import Defect
from adapter.mapping.uris import is_oid
from adapter.mapping.yaml_lines import LINE, load_yaml, without_lines
from adapter.model import OrderBy

MERGED = ("authorities", "codes")
"""Keys of feed.yaml that add to those of the feed it extends; every other key replaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One feed, with what it inherits by `extends` (nearest first in `folders`).

    sender: MSH-3 and MSH-4 that belong to it ('*' any). order: event, sequence or arrival. primary: identifier types in
    order of preference for the record's primary identifier; strong: types that join records of one person.
    visit: fields that hold the visit's key. precedence: smaller comes first where sources differ.
    conformance: whether, and by which profile, messages are held to HL7 v2, and which deviations are not told.
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
    options: dict[str, Any]

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
    place = f"{folder.name}/feed.yaml:{chain[0][1].get(LINE, 1)}"
    if merged.get("order", "event") not in ("event", "sequence", "arrival"):
        raise Defect("mapping-failed", place, "order must be event, sequence or arrival")
    taken = without_lines(merged)
    try:
        zone = ZoneInfo(taken.pop("time_zone", "UTC"))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: a folder of the data base (US, Pacific)
        raise Defect("mapping-failed", place, "time_zone is not a name of the IANA data base") from error
    return Feed(
        name=folder.name, folders=tuple(f for f, _ in chain), zone=zone,
        sender=taken.pop("sender", {}), format=taken.pop("format", "hl7v2"), order=taken.pop("order", "event"),
        charset=taken.pop("charset", "utf-8"), authorities=_authorities(taken.pop("authorities", {}), place),
        primary=tuple(taken.pop("primary", ())), strong=frozenset(taken.pop("strong", ())),
        visit=tuple(_listed(taken.pop("visit_number", ()))), codes=taken.pop("codes", {}),
        precedence=int(taken.pop("precedence", 100)), test=bool(taken.pop("test", False)),
        conformance=_conformance(taken.pop("strict", False), taken.pop("tolerate", []), place), options=taken,
    )


def _conformance(strict: Any, tolerate: Any, place: str) -> Conformance:
    """`strict: true`, or the name of a profile; `tolerate:` a list of deviations."""
    if not isinstance(strict, bool | str):
        raise Defect("mapping-failed", place, "strict is true, false, or the name of a profile in profiles/hl7v2")
    named = [str(one) for one in _listed(tolerate)]
    for one in named:
        if not place_of(one):
            raise Defect("mapping-failed", place, f"tolerate: `{one}` is not a kind (sequence, required, form, value), a place, "
                                                  "or both (`required PV1-3`)")
    return Conformance(strict=bool(strict), profile=_profile(strict, place) if isinstance(strict, str) else None,
                       tolerate=frozenset(named))


def _profile(name: str, place: str) -> Profile:
    path = PROFILES / f"{name}.yaml"
    if name not in profile_names():
        close = difflib.get_close_matches(name, profile_names(), 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise Defect("mapping-failed", place, f"strict: no profile {name} in profiles/hl7v2{hint}")
    try:
        return profile_of(name, without_lines(load_yaml(path)))
    except ValueError as error:
        raise Defect("mapping-failed", f"hl7v2/{path.name}:1", str(error)) from error


def _authorities(written: Mapping[str, str], place: str) -> dict[str, str]:
    """Assigning authority -> system; a bare OID is one of `urn:oid:`. Raises Defect where a system is no absolute URI."""
    found = {name: f"urn:oid:{system}" if is_oid(str(system)) else str(system) for name, system in written.items()}
    for name, system in found.items():
        if not _ABSOLUTE.match(system):
            raise Defect("mapping-failed", place, f"authorities: the system of `{name}` is no absolute URI (urn:oid:...)")
    return found


_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _chain(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    chain: list[tuple[Path, dict[str, Any]]] = []
    current: Path | None = folder
    while current is not None:
        path = current / "feed.yaml"
        if not path.exists():
            known = sorted(p.parent.name for p in current.parent.glob("*/feed.yaml"))
            close = difflib.get_close_matches(current.name, known, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise Defect("mapping-failed", f"{current.name}/feed.yaml:1", f"no such feed{hint}")
        if any(current == f for f, _ in chain):
            raise Defect("mapping-failed", f"{current.name}/feed.yaml:1", "the feed extends itself")
        written = load_yaml(path)
        chain.append((current, written))
        parent = written.get("extends")
        current = folder.parent / parent if parent else None
    return chain


def load_feeds(mappings: Path) -> dict[str, Feed]:
    """Every feed of a mappings folder by name; those marked `abstract: true` are only there to be extended."""
    feeds = [load_feed(path.parent) for path in sorted(mappings.glob("*/feed.yaml"))]
    return {f.name: f for f in feeds if not load_yaml(f.folders[0] / "feed.yaml").get("abstract")}
