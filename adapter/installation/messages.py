"""Messages of HL7 v2 into the journal: many in one commit, each answered by what is stored with it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from adapter.errors import Rejected
from adapter.feeds import feed_of
from adapter.installation.entries import Entries
from adapter.installation.installation import Installation, instant
from adapter.intake.accept import LINK, Taken, take, take_at_once
from adapter.intake.ack import acknowledge, code_for
from adapter.intake.arrived import Arrived
from adapter.intake.batch_ack import Batch, answer_batch, batch_of
from adapter.intake.sequence import ANY, Sequences
from adapter.intake.silence import heard
from adapter.model import Issue, Received
from adapter.store import journal
from adapter.store.engine import writing
from adapter.store.journal import Entry

_BETWEEN = (b"\r", b"\n", b"\x0b", b"\x1c")
"""What can stand in front of a message of a batch."""


class Messages:
    """Takes messages and batches of messages, from any door."""

    def __init__(self, here: Installation, entries: Entries) -> None:
        self._here = here
        self._entries = entries

    def accept(self, arrived: Sequence[Arrived], feed: str | None = None) -> list[bytes]:
        """Journal messages in one commit, then answer each, a batch by a batch. Raises Unavailable: nothing was taken.

        feed: what all are of, where that is known otherwise than by their sender.
        """
        parts = [(one, None if one.taken else batch_of(one.raw)) for one in arrived]
        taken = [message for one, batch in parts for message in self._taken(one, batch, feed)]
        try:
            answers = iter(self._journalled(taken))
        except IntegrityError:  # another gateway took one of them in the same moment: now it is known
            answers = iter(self._journalled(taken))
        return [answer_batch(batch, [next(answers) for _ in batch.messages], self._here.clock()) if batch else next(answers)
                for _, batch in parts]

    def look(self, one: Arrived) -> Arrived:
        """The same with its arrival; with what it is journalled as, where that takes no closer look than at its header.

        It may be called long before `accept`, by a thread that has other things to do; never for what is known to be of a feed.
        """
        arrival = self._here.arrivals.reserve(_most(one.raw))
        return Arrived(one.raw, one.origin, one.feeds, arrival, take_at_once(one, arrival, self._here.feeds))

    def refuse(self, arrived: Arrived, issue: Issue) -> bytes | None:
        """What answers a message that could not be accepted; None where its feed has the connection closed instead."""
        now, code = self._here.clock(), code_for(issue)
        if issue.code == "store-unavailable" and self._closes(arrived):
            return None
        batch = batch_of(arrived.raw)
        answers = [acknowledge(raw, [issue], code, control_id=secrets.token_hex(10), now=now)
                   for raw in (batch.messages if batch else (arrived.raw,))]
        return answer_batch(batch, answers, now) if batch else answers[0]

    def _closes(self, arrived: Arrived) -> bool:
        try:
            received = Received(raw=arrived.raw, arrival=self._here.clock(), origin=arrived.origin, feed=None)
            found = feed_of(received, self._here.feeds)
        except Rejected:
            return False
        return found.feed.exchange.when_unavailable == "close"

    def _taken(self, one: Arrived, batch: Batch | None, feed: str | None) -> Iterator[Taken]:
        """The messages of a frame; what the trailers say against a batch stands with its first."""
        if one.taken is not None:
            yield one.taken
            return
        first = self._here.arrivals.reserve(_most(one.raw)) if one.arrival is None else one.arrival
        for n, raw in enumerate(batch.messages if batch else (one.raw,)):
            received = Received(raw=raw, arrival=instant(first + n), feed=feed, origin=one.origin)
            taken = take(received, self._here.feeds, one.feeds)
            if batch and batch.issues and n == 0:
                taken = replace(taken, entry=replace(taken.entry, issues=(*taken.entry.issues, *batch.issues)))
            yield taken

    def _journalled(self, every: Sequence[Taken]) -> list[bytes]:
        """The answers, once everything is committed."""
        with writing(self._here.engine) as connection:
            before, used = _known(connection, [one.entry for one in every])
            every = _in_sequence(connection, every, before)
            entries = [one.entry for one in every]
            journal.retry_refused(connection, [
                e for e in entries if before.get(e.identity, b"") is None and e.state not in ("refused", LINK)])
            journal.append(connection, _new([e for e in entries if e.state != LINK], before, used))
            heard(connection, [one.feed for one in every if one.feed is not None], self._here.now_us())
        known = {i for i, ack in before.items() if ack is not None}
        self._entries.keep([one.mapped for one in every if one.mapped is not None and one.entry.state == "waiting"
                            and one.entry.identity not in known])
        given = {identity: ack for identity, ack in before.items() if ack is not None}
        return [given.setdefault(e.identity, e.ack or b"") if e.identity else e.ack or b"" for e in entries]


def _most(raw: bytes) -> int:
    """As many as the messages of a frame can be, or more: each begins a line."""
    return 1 if raw.startswith(b"MSH") else sum(map(raw.count, _BETWEEN), 1)


def _known(connection: Connection, entries: Sequence[Entry]) -> tuple[dict[str, bytes | None], set[tuple[str, str]]]:
    """Identities that are journalled, with the acknowledgement given (`journal.known`); (sender, MSH-10) that were used."""
    before = journal.known(connection, {e.identity for e in entries if not e.control_id})
    used: set[tuple[str, str]] = set()
    asked = {(e.sender, e.control_id) for e in entries if e.control_id}
    for sender, control_id, identity, ack in journal.of_control_ids(connection, asked):
        before[identity] = ack
        used.add((sender, control_id))
    return before, used


def _new(entries: Sequence[Entry], before: dict[str, bytes | None], used: set[tuple[str, str]]) -> list[Entry]:
    """The entries whose identity is not journalled, each once; flagged where their control id was used for other bytes."""
    new: dict[str, Entry] = {}
    for e in entries:
        if e.identity not in before and e.identity not in new:
            again = bool(e.control_id) and (e.sender, e.control_id) in used
            new[e.identity] = replace(e, issues=(*e.issues, Issue(code="same-id-other-bytes", place="MSH-10"))) if again else e
            used.add((e.sender, e.control_id))
    return list(new.values())


def _in_sequence(connection: Connection, every: Sequence[Taken], before: dict[str, bytes | None]) -> list[Taken]:
    """The messages with those refused whose number is not the next of their sender, where the feed goes by numbers."""
    if not any(one.feed is not None and one.feed.exchange.sequence for one in every):
        return list(every)
    sequences, seen = Sequences(connection), set(before)
    found: list[Taken] = []
    for one in every:
        found.append(_numbered(one, sequences, before, seen))
        seen.add(one.entry.identity)
    return found


def _numbered(one: Taken, sequences: Sequences, before: dict[str, bytes | None], seen: set[str]) -> Taken:
    entry, feed = one.entry, one.feed
    if feed is None or not feed.exchange.sequence or before.get(entry.identity) is not None:
        return one
    sender, now = f"{feed.name}|{entry.sender}", instant(entry.arrival)
    if entry.state == LINK:
        if one.number == ANY:
            sequences.restart(sender)
    elif entry.ack_code == "AR":  # it cannot be kept as a message, so it has no place in the sequence
        return one
    elif fault := sequences.fault(sender, one.number, counted=entry.identity in seen):
        return one.refused(fault, sequences.expected(sender), now)
    else:
        sequences.take(sender, one.number or 0)
    return one.numbered(sequences.expected(sender), now)
