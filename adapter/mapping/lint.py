"""`careloop check`: every mapping file against its schema, FHIR's elements, the functions, and hl7apy's dictionaries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from adapter.errors import Defect
from adapter.mapping.feed import Feed, load_feed
from adapter.mapping.header import load_events
from adapter.mapping.lint_csv import close, csv_faults
from adapter.mapping.lint_maps import Known, file_faults
from adapter.mapping.lint_places import place_faults
from adapter.mapping.precedence import precedence_faults
from adapter.mapping.rules import parse_place
from adapter.mapping.terminology import Terminology, load_terminology
from adapter.mapping.yaml_lines import LINE, line_of, load_yaml, without_lines
from adapter.model import is_object
from adapter.parse.charset import codec_of

KEYS = frozenset((
    "acknowledge", "certificate", "sequence", "usual_interval", "when_unavailable",
    "abstract", "authorities", "charset", "codes", "contract", "csv", "defaults", "error_rate", "extends", "format", "order",
    "organization", "patient", "patient_system", "precedence", "primary", "sender", "snapshot", "stated", "strict", "strong",
    "test", "time_zone", "tolerate", "visit_number"))
"""Every key that feed.yaml may have."""


def lint(mappings: Path) -> list[str]:
    """Every mistake, as `feed/file:line: what - what was meant`; empty where all is well."""
    found: list[str] = []
    feeds: list[tuple[Path, Feed]] = []
    for path in sorted(mappings.glob("*/feed.yaml")):
        try:
            feed = load_feed(path.parent)
            terminology = load_terminology(feed.files("conceptmaps/*.json"))
            known = Known(tables=terminology.sources, events=frozenset(load_events(feed.file("events.yaml"))))
            feeds.append((path, feed))
            found += dict.fromkeys([*_keys(path), *_feed(path, feed, terminology, known)])
        except Defect as error:  # its maps are looked at all the same, by what all feeds know together
            known = Known(tables=dict.fromkeys((p.stem for p in mappings.glob("*/conceptmaps/*.json")), ""))
            found += dict.fromkeys([*_keys(path), f"{error.issue.place}: {error.issue.detail}"])
        for file in sorted(path.parent.glob("*.map.yaml")):
            found += file_faults(file, known)
    return [*found, *same_senders(feeds), *precedence_faults(mappings, {p.parent.name for p in mappings.glob("*/feed.yaml")})]


def _at(path: Path, *keys: str) -> str:
    """`feed/feed.yaml:line` of a key."""
    return f"{path.parent.name}/feed.yaml:{line_of(path, *keys)}"


def _keys(path: Path) -> Iterator[str]:
    """Keys of a feed.yaml that mean nothing; none where it is no YAML."""
    try:
        written = load_yaml(path)
    except Defect:
        return
    for key in sorted(written.keys() - KEYS - {LINE}):
        yield f"{_at(path, key)}: no key `{key}`{close(key, KEYS)}"


def _feed(path: Path, feed: Feed, terminology: Terminology, known: Known) -> Iterator[str]:
    """What is wrong with a feed.yaml beside what stops it from being read: each mistake with its line."""
    written = without_lines(load_yaml(path))
    at = partial(_at, path)
    for key in sorted(feed.sender.keys() - {"MSH-3", "MSH-4"}):
        yield f"{at('sender', key)}: a sender is told by MSH-3 and MSH-4, not `{key}`"
    if feed.format not in ("hl7v2", "csv"):
        yield f"{at('format')}: format is hl7v2 or csv"
    if codec_of(feed.charset) is None:
        yield f"{at('charset')}: no charset `{feed.charset}`"
    if feed.options.get("organization") and "|" not in str(feed.options["organization"]):
        yield f"{at('organization')}: organization is written system|value"
    if feed.format == "csv":
        for word, fault in csv_faults(feed, bool(written.get("abstract"))):
            yield f"{path.parent.name}/feed.yaml:{_line_with(path, word)}: {fault}"
    if feed.format == "hl7v2":
        for name in feed.visit:
            for fault in _place_named(name):
                yield f"{at('visit_number', name)}: {fault}"
        for key in sorted({"contract", "csv", "error_rate", "snapshot"} & written.keys()):
            yield f"{at(key)}: `{key}` is for feeds of CSV, and this one's format is hl7v2"
        yield from _codes(path, written.get("codes", {}), terminology, known)


def _codes(path: Path, written: Any, terminology: Terminology, known: Known) -> Iterator[str]:
    """Codes of theirs must become codes that the concept map knows, or `system|code`."""
    for table, codes in sorted(written.items()):
        if table not in known.tables:
            yield f"{_at(path, 'codes', table)}: codes: no concept map `{table}`{known.meant(table)}"
            continue
        for theirs, ours in codes.items() if is_object(codes) else ():
            if "|" not in str(ours) and terminology.code(table, str(ours)) is None:
                meant = close(str(ours), terminology.codes(table)) or "; write a code of the map, or `system|code`"
                yield f"{_at(path, 'codes', table, theirs)}: codes: {table} has no `{ours}`{meant}"


def _line_with(path: Path, word: str) -> int:
    """The first line that holds a word; 1 without any."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((n for n, line in enumerate(lines, 1) if word in line), 1)


def _place_named(name: str) -> Iterator[str]:
    try:
        yield from place_faults(parse_place(name))
    except Defect as error:
        yield error.issue.detail


def same_senders(feeds: Sequence[tuple[Path, Feed]]) -> Iterator[str]:
    """HL7 feeds that two folders claim for one sender."""
    claimed: dict[tuple[str, str], str] = {}
    for path, feed in feeds:
        if feed.format == "hl7v2" and feed.sender:
            sender = (feed.sender.get("MSH-3", "*"), feed.sender.get("MSH-4", "*"))
            if sender in claimed:
                yield f"{_at(path, 'sender')}: the sender is {claimed[sender]}'s already"
            claimed.setdefault(sender, feed.name)
