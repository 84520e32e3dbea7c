"""A message as a journal entry with its acknowledgement: everything about it that is decided before it is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from adapter.errors import Defect, Rejected
from adapter.feeds import Feeds, feed_of
from adapter.intake.ack import accepted, acknowledge, code_for, control_id_of, number_of, wanted
from adapter.intake.ack_mode import wants_application
from adapter.intake.arrived import Arrived
from adapter.intake.plain_header import PlainHeader, Usual, plain_header
from adapter.mapping.feed import Feed
from adapter.mapping.header import read_header, read_sender
from adapter.mapping.message import Compiled, read_message
from adapter.model import Issue, Mapped, Received
from adapter.pipeline import map_received, microseconds
from adapter.store.journal import Entry

STORED = "CA"
"""ack_code of a message in enhanced mode that was acknowledged because it is stored: it is converted afterwards."""
LINK = "link"
"""State of a message that only starts the link (MSH-13 is 0, or -1 to begin anew); it says nothing, and is not journalled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A message on its way into the journal. mapped: what it was converted to, None where it is refused or converted later.

    feed: None where it is of no known one; named: the one that was named for it, whoever sent it. number: MSH-13 where the feed
    goes by it, None where it is no number.
    """

    entry: Entry
    mapped: Mapped | None
    feed: Feed | None
    named: str = ""
    number: int | None = None

    def refused(self, issue: Issue, expected: int, now: datetime) -> Taken:
        """The same, refused for its number. expected: the number that should have come."""
        entry, issues = self.entry, (*self.entry.issues, issue)
        return replace(self, mapped=None, entry=replace(
            entry, feed=self.named, source=self.feed.name if self.feed else "", state="refused", ack_code="AR", issues=issues,
            ack=_ack(entry.raw, (issue,), "AR", now, expected)))

    def numbered(self, expected: int, now: datetime) -> Taken:
        """The same, its acknowledgement telling the number that is expected next."""
        entry = self.entry
        issues = entry.issues if entry.state == "refused" else ()
        code = "AA" if entry.ack_code == STORED else entry.ack_code
        return replace(self, entry=replace(entry, ack=_ack(entry.raw, issues, code, now, expected)))


def take(received: Received, feeds: Feeds, allowed: frozenset[str] | None = None) -> Taken:
    """A message, refused or waiting. allowed: feeds that its connection may send, None for any.

    Warnings do not go into the acknowledgement: receivers take an ERR for a refusal; they stand beside the journal.
    """
    compiled: Compiled | None = None
    number: int | None = None
    if received.feed is None and (alone := _alone(feeds, allowed)) is not None:
        received = replace(received, feed=alone.feed.name)
    named = received.feed or ""
    try:
        compiled = _if_allowed(feed_of(received, feeds), allowed)
        feed = compiled.feed
        number = number_of(received.raw) if feed.exchange.sequence else None
        if number in (0, -1) and not _says_something(received.raw):
            return Taken(entry=_link(replace(received, feed=feed.name), feeds), mapped=None, feed=feed, number=number)
        if feed.exchange.acknowledge == "stored" and not wants_application(*wanted(received.raw)):
            plain, arrival = plain_header(received.raw), microseconds(received.arrival)
            entry, mapped = _stored(received.raw, received.origin, arrival, plain, compiled), None
        else:
            mapped = map_received(replace(received, feed=feed.name), feeds)
            entry = _converted(received, mapped)
    except (Rejected, Defect) as error:
        entry, mapped = _refused(received, error, feeds, compiled), None
    return Taken(entry=entry, mapped=mapped, feed=compiled.feed if compiled else None, named=named, number=number)


def take_at_once(one: Arrived, arrival: int, feeds: Feeds) -> Taken | None:
    """The same of a message that its plain header alone says all about; None of any other. arrival: see Entry."""
    plain = plain_header(one.raw)
    if plain is None:
        return None
    alone = _alone(feeds, one.feeds)
    try:
        compiled = alone or _if_allowed(feeds.of_sender(plain.usual.application, plain.usual.facility), one.feeds)
    except Rejected:
        return None
    exchange = compiled.feed.exchange
    if (exchange.acknowledge != "stored" or exchange.sequence or wants_application(*plain.usual.asks)
            or not _built(plain, compiled)):
        return None
    return Taken(entry=_stored(one.raw, one.origin, arrival, plain, compiled), mapped=None, feed=compiled.feed,
                 named=alone.feed.name if alone else "")


def _built(plain: PlainHeader, compiled: Compiled) -> bool:
    event = compiled.events.get(plain.usual.trigger)
    return event is not None and event.built


def _alone(feeds: Feeds, allowed: frozenset[str] | None) -> Compiled | None:
    """The one feed that a certificate is bound to, where it says whose messages these are."""
    if allowed is None or len(allowed) != 1:
        return None
    [one] = (feeds.named(name) for name in allowed)
    return one if one.feed.exchange.certificates and not one.feed.sender else None


def _if_allowed(found: Compiled, allowed: frozenset[str] | None) -> Compiled:
    if allowed is not None and found.feed.name not in allowed:
        raise Rejected("certificate-other", "MSH-3")
    return found


def _stored(raw: bytes, origin: str, arrival: int, plain: PlainHeader | None, compiled: Compiled) -> Entry:
    """An entry of which the header alone was read. Raises Rejected."""
    digest = hashlib.sha256(raw).hexdigest()
    usual, control_id, patient = plain if plain and _built(plain, compiled) else _closely(raw, compiled, arrival)
    sender = f"{usual.application}|{usual.facility}"
    original = (usual.asks if usual.line else wanted(raw)) == ("", "")
    if usual.line and original:
        ack = accepted(usual.line, control_id, control_id=digest[:20], arrival=arrival)
    else:
        ack = acknowledge(raw, (), "AA", control_id=digest[:20], now=datetime.fromtimestamp(arrival // 1_000_000, UTC))
    return Entry(identity=f"{sender}|{control_id}|{digest}", kind="hl7v2", feed=compiled.feed.name, source="",
                 event=usual.trigger, sender=sender, control_id=control_id, arrival=arrival, origin=origin, raw=raw,
                 state="test" if usual.test and not compiled.feed.test else "waiting",
                 ack_code="AA" if original else STORED, ack=ack,
                 lane=f"{sender}|{patient}" if patient else "")


def _closely(raw: bytes, compiled: Compiled, arrival: int) -> PlainHeader:
    message = read_message(raw, compiled.feed, [])
    header, pid = read_header(message, raw, compiled.feed, compiled.events, arrival, []), message.find("PID")
    usual = Usual(application=header.application, facility=header.facility, trigger=header.event.code, test=header.test)
    return PlainHeader(usual, header.control_id, pid.first(3).get(1) if pid else "")


def _converted(received: Received, mapped: Mapped) -> Entry:
    raw = received.raw
    return Entry(identity=mapped.identity, kind="hl7v2", feed=mapped.feed, source=mapped.source, event=mapped.event,
                 sender=mapped.identity.rsplit("|", 2)[0], control_id=mapped.control_id, arrival=microseconds(received.arrival),
                 origin=received.origin, raw=raw, state="test" if mapped.test else "waiting", ack_code="AA",
                 issues=mapped.issues, ack=_ack(raw, (), "AA", received.arrival),
                 lane=next((c.patient for c in mapped.contributions if c.patient), ""))


def _refused(received: Received, error: Rejected | Defect, feeds: Feeds, compiled: Compiled | None) -> Entry:
    """An entry that is kept for operators. compiled: the feed it is of, where that is known."""
    raw = received.raw
    code = code_for(error.issue) if isinstance(error, Rejected) else "AE"
    issues = error.issues if isinstance(error, Rejected) else (error.issue,)
    sender, control_id = _sender(raw, feeds), control_id_of(raw)
    return Entry(identity=f"{sender}|{control_id}|{hashlib.sha256(raw).hexdigest()}", kind="hl7v2", feed=received.feed or "",
                 source=compiled.feed.name if compiled else "", event=_event(received, compiled) if compiled else "",
                 sender=sender, control_id=control_id, arrival=microseconds(received.arrival),
                 origin=received.origin, raw=raw, state="refused", ack_code=code, issues=issues,
                 ack=_ack(raw, issues, code, received.arrival))


def _event(received: Received, compiled: Compiled) -> str:
    """The event of a message that was refused, '' where its header cannot be read or names none that the feed knows."""
    raw = received.raw
    try:
        return read_header(read_message(raw, compiled.feed, []), raw, compiled.feed, compiled.events,
                           microseconds(received.arrival), []).event.code
    except Rejected:
        return ""


def _says_something(raw: bytes) -> bool:
    """Whether anything stands behind the header."""
    return len(raw.replace(b"\n", b"\r").strip().split(b"\r", 1)) > 1


def _link(received: Received, feeds: Feeds) -> Entry:
    return Entry(identity="", kind="hl7v2", feed=received.feed or "", source="", sender=_sender(received.raw, feeds),
                 arrival=microseconds(received.arrival), raw=received.raw, state=LINK, ack_code="AA")


def _ack(raw: bytes, issues: Sequence[Issue], code: str, now: datetime, expected: int | None = None) -> bytes:
    return acknowledge(raw, issues, code, control_id=hashlib.sha256(raw).hexdigest()[:20], now=now, expected=expected)


def _sender(raw: bytes, feeds: Feeds) -> str:
    """`MSH-3|MSH-4` as far as they can be read."""
    try:
        application, facility, _ = read_sender(read_message(raw, next(iter(feeds.compiled.values())).feed, []))
    except (Rejected, Defect):
        return "|"
    return f"{application}|{facility}"
