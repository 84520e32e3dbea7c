"""What the header says of the whole message: identity, event, and its times of meaning."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapter.errors import Defect, Rejected
from adapter.mapping.feed import Feed
from adapter.mapping.times import instant_us
from adapter.mapping.yaml_lines import line_of, load_yaml, without_lines
from adapter.model import Issue, Order
from adapter.parse.er7 import Message

VERSIONS = frozenset((
    "2.0", "2.0D", "2.1", "2.2", "2.3", "2.3.1", "2.3.2", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2",
    "2.9", "2.9.1"))
"""Versions of MSH-12 that are read (HL7 table 0104, up to 2.9)."""

_PROCESSING = frozenset(("P", "T", "D", ""))
AHEAD = 36 * 3600 * 1_000_000
"""How far ahead of arrival a time may lie before it is passed over, in microseconds: our clock may be a day slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One trigger event by events.yaml: its rank among equal times, what it cancels, what it says of numbers.

    alone: the status that a cancel leaves where no other event is known. built: False where the event's effect on status,
    merge or deletion is not built (its segments are kept). identity: `merge|change|move|delete level`, `renumber level`
    (a change if MRG names a number), `link` or `unlink`; level is patient, account or visit. patient: False where a message
    names none (bed status).
    """

    code: str
    rank: int
    cancels: tuple[str, ...] = ()
    alone: str = ""
    identity: tuple[str, ...] = ()
    patient: bool = True
    built: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The header of one ADT message. identity: `MSH-3|MSH-4|MSH-10|sha256 of the bytes`. test: MSH-11 is T or D."""

    identity: str
    sender: str
    application: str
    facility: str
    control_id: str
    event: Event
    version: str
    test: bool
    order: Order


def read_sender(message: Message) -> tuple[str, str, str]:
    """MSH-3.1, MSH-4.1 and MSH-10, for finding the feed; each may be ''."""
    msh = message.msh
    return msh.first(3).get(1), msh.first(4).get(1), msh.first(10).plain()


def load_events(path: Path | None) -> dict[str, Event]:
    """The table of events from events.yaml, empty where a feed has none. Raises Defect (mapping-failed)."""
    if path is None:
        return {}
    table: dict[str, Any] = without_lines(load_yaml(path))
    ranks: dict[str, int] = table["ranks"]
    events: dict[str, Event] = {}
    for code, row in table["events"].items():
        if row["rank"] not in ranks:
            raise Defect("mapping-failed", f"{path.parent.name}/{path.name}:{line_of(path, 'events', code)}",
                         f"{code}: no rank {row['rank']}")
        events[code] = Event(code=code, rank=ranks[row["rank"]], cancels=tuple(row.get("cancels", ())),
                             alone=row.get("alone", ""),
                             identity=tuple(row.get("identity", ())), patient=row.get("patient", True),
                             built=row.get("built", True))
    return events


def read_header(message: Message, raw: bytes, feed: Feed, events: Mapping[str, Event], arrival_us: int,
                issues: list[Issue]) -> Header:
    """The header, checked. Raises Rejected (no-message-type, unsupported-type, unsupported-event, no-control-id ...)."""
    msh, evn = message.msh, message.find("EVN")
    application, facility, control_id = read_sender(message)
    kind, code = msh.first(9).get(1), msh.first(9).get(2)
    code = code or (evn.first(1).get(1) if evn else "")
    if not kind and not code:
        raise Rejected("no-message-type", "MSH-9")
    if kind not in ("ADT", ""):
        raise Rejected("unsupported-type", "MSH-9.1")
    if not code:
        raise Rejected("no-message-type", "MSH-9.2")
    if not control_id:
        raise Rejected("no-control-id", "MSH-10")
    version = msh.first(12).get(1)
    if version not in VERSIONS and version:
        raise Rejected("unknown-version", "MSH-12")
    if not version:
        issues.append(Issue(code="required-missing", place="MSH-12"))
    processing = msh.first(11).get(1)
    if processing not in _PROCESSING:
        raise Rejected("processing-id", "MSH-11")
    if not processing:
        issues.append(Issue(code="required-missing", place="MSH-11"))
    event = events.get(code)
    if event is None:
        raise Rejected("unsupported-event", "MSH-9.2" if msh.first(9).get(2) else "EVN-1")
    if not event.built:
        issues.append(Issue(code="event-without-effect", place="MSH-9.2", detail=code))
    sender = f"{application}|{facility}"
    return Header(
        identity=f"{sender}|{control_id}|{hashlib.sha256(raw).hexdigest()}", sender=sender, application=application,
        facility=facility, control_id=control_id, event=event, version=version, test=processing in ("T", "D"),
        order=_order(message, feed, event, arrival_us, issues))


def _order(message: Message, feed: Feed, event: Event, arrival_us: int, issues: list[Issue]) -> Order:
    evn, msh = message.find("EVN"), message.msh
    stated = _first_time(
        [("EVN-2", evn.first(2).get(1) if evn else ""), ("MSH-7", msh.first(7).get(1))], feed, arrival_us, issues)
    occurred = _first_time([("EVN-6", evn.first(6).get(1) if evn else "")], feed, arrival_us, issues)
    number = msh.first(13).plain()
    return Order(occurred=occurred or stated or arrival_us, stated=stated or arrival_us,
                 sequence=int(number) if number.isascii() and number.isdigit() and len(number) < 19 else 0,
                 rank=event.rank, arrival=arrival_us, occurred_given=occurred is not None, by=feed.order)


def _first_time(candidates: list[tuple[str, str]], feed: Feed, arrival_us: int, issues: list[Issue]) -> int | None:
    for place, text in candidates:
        if not text:
            continue
        moment = instant_us(text, feed.zone)
        if moment is None:
            issues.append(Issue(code="bad-date", place=place))
        elif moment > arrival_us + AHEAD:
            issues.append(Issue(code="time-ahead", place=place))
        else:
            return moment
    return None
