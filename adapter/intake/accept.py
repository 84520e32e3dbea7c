"""A message as a journal entry with its acknowledgement: everything about it that is decided before it is stored."""

from __future__ import annotations

import hashlib

from adapter.errors import Defect, Rejected
from adapter.feeds import Feeds
from adapter.intake.ack import acknowledge, code_for, control_id_of
from adapter.mapping.header import read_sender
from adapter.mapping.message import read_message
from adapter.model import Mapped, Received
from adapter.pipeline import map_received, microseconds
from adapter.store.journal import Entry


def entry_of(received: Received, feeds: Feeds) -> tuple[Entry, Mapped | None]:
    """The entry of a message, refused or waiting, and what it was mapped to. Warnings do not go into the acknowledgement:
    receivers take an ERR for a refusal; they stand beside the journal."""
    raw, now = received.raw, received.arrival
    digest = hashlib.sha256(raw).hexdigest()
    try:
        mapped = map_received(received, feeds)
    except (Rejected, Defect) as error:
        code = code_for(error.issue) if isinstance(error, Rejected) else "AE"
        issues = error.issues if isinstance(error, Rejected) else (error.issue,)
        sender, control_id = _sender(raw, feeds), control_id_of(raw)
        return Entry(identity=f"{sender}|{control_id}|{digest}", kind="hl7v2", feed=received.feed or "", source="", sender=sender,
                     control_id=control_id, arrival=microseconds(now), origin=received.origin, raw=raw, state="refused",
                     ack_code=code, issues=issues,
                     ack=acknowledge(raw, issues, code, control_id=digest[:20], now=now)), None
    return Entry(identity=mapped.identity, kind="hl7v2", feed=mapped.feed, source=mapped.source, event=mapped.event,
                 sender=mapped.identity.rsplit("|", 2)[0], control_id=mapped.control_id, arrival=microseconds(now),
                 origin=received.origin, raw=raw, state="test" if mapped.test else "waiting", ack_code="AA",
                 issues=mapped.issues, ack=acknowledge(raw, (), "AA", control_id=digest[:20], now=now),
                 lane=next((c.patient for c in mapped.contributions if c.patient), "")), mapped


def _sender(raw: bytes, feeds: Feeds) -> str:
    """`MSH-3|MSH-4` as far as they can be read."""
    try:
        application, facility, _ = read_sender(read_message(raw, next(iter(feeds.compiled.values())).feed, []))
    except (Rejected, Defect):
        return "|"
    return f"{application}|{facility}"
