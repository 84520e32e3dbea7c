"""The feeds of an installation: read and compiled once, found by name or by the sender of a message."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adapter.compose.precedence import Precedence
from adapter.errors import Rejected
from adapter.mapping.feed import Feed, load_feeds
from adapter.mapping.header import load_events, read_sender
from adapter.mapping.message import Compiled, read_message
from adapter.mapping.precedence import load_precedence
from adapter.mapping.rules import compile_feed
from adapter.mapping.terminology import load_terminology
from adapter.model import Received, is_object
from adapter.parse.rows import Binding, bind
from adapter.parse.rows_contract import Contract, load_contract
from adapter.parse.rows_options import CsvOptions, csv_options
from adapter.parse.rows_repeats import Repeats

_SENDERS = 1000
_PLAIN = rb"[ -%'-\[\]_-{}]*"
_HEAD = re.compile(rb"MSH\|\^[^|\r\n]{1,4}\|(" + _PLAIN + rb")(?:\^[^|\r\n]*)?\|(" + _PLAIN + rb")(?:\^[^|\r\n]*)?\|")
"""The beginning of a message with the usual delimiters, MSH-3.1 and MSH-4.1 in ASCII without any other delimiter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feeds:
    """Every feed of an installation, compiled once. declared: whose word counts first, by element. senders: those asked for."""

    compiled: Mapping[str, Compiled]
    declared: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    senders: dict[tuple[str, str], Compiled] = field(default_factory=dict[tuple[str, str], Compiled], repr=False, compare=False)

    def named(self, name: str) -> Compiled:
        """The feed of that name. Raises Rejected (unknown-feed)."""
        if name not in self.compiled:
            raise Rejected("unknown-feed", name)
        return self.compiled[name]

    def of_sender(self, application: str, facility: str) -> Compiled:
        """The HL7 feed of a sender (MSH-3, MSH-4); one that names the sender before one for any. Raises Rejected."""
        if (known := self.senders.get((application, facility))) is not None:
            return known
        best: tuple[int, Compiled] | None = None
        for one in self.compiled.values():
            rated = _fit(one.feed, application, facility)
            if rated >= 0 and (best is None or rated > best[0]):
                best = (rated, one)
        if best is None:
            raise Rejected("unknown-feed", "MSH-3")
        if len(self.senders) < _SENDERS:  # anybody may write any name there
            self.senders[application, facility] = best[1]
        return best[1]

    def precedence(self) -> Precedence:
        """Whose word counts first when sources differ."""
        return Precedence(number=self._number, declared=self.declared, families={
            name: tuple(folder.name for folder in one.feed.folders) for name, one in self.compiled.items()})

    def _number(self, source: str) -> int:
        """Where a source stands for every element: smaller first; unknown ones (servers) as the default."""
        one = self.compiled.get(source.partition("/")[0])
        return one.feed.precedence if one else 100


def _fit(feed: Feed, application: str, facility: str) -> int:
    if feed.format != "hl7v2" or not feed.sender:
        return -1
    rated = 0
    for place, actual in (("MSH-3", application), ("MSH-4", facility)):
        want = feed.sender.get(place, "*")
        if want == "*":
            continue
        if want != actual:
            return -1
        rated += 1
    return rated


def open_feeds(mappings: Path) -> Feeds:
    """Read and compile every feed. Raises Defect (mapping-failed) with file and line."""
    return Feeds(declared=load_precedence(mappings), compiled={
        name: Compiled(feed=feed, rules=compile_feed(feed), terminology=load_terminology(feed.files("conceptmaps/*.json")),
                       events=load_events(feed.file("events.yaml")))
        for name, feed in load_feeds(mappings).items()})


def feed_of(received: Received, feeds: Feeds) -> Compiled:
    """The feed that was named, or that of the message's sender. Raises Rejected."""
    if received.feed:
        return feeds.named(received.feed)
    return feeds.of_sender(*sender_of(received.raw, next(iter(feeds.compiled.values())).feed))


def sender_of(raw: bytes, feed: Feed) -> tuple[str, str]:
    """MSH-3.1 and MSH-4.1; from the header's ASCII bytes alone where that will do. Raises Rejected."""
    head = _HEAD.match(raw)
    if head is not None:
        return head[1].decode("ascii").strip(), head[2].decode("ascii").strip()
    application, facility, _ = read_sender(read_message(raw, feed, []))
    return application, facility


def contract_and_options(feed: Feed) -> tuple[Contract, CsvOptions]:
    """The contract of a CSV feed (its own name, or `contract:`) and how this partner writes it. Raises Rejected, Defect."""
    if feed.format != "csv":
        raise Rejected("unknown-feed", feed.name, "it takes HL7 v2, not CSV")
    return load_contract(feed.options.get("contract", feed.name)), csv_options(
        feed.options.get("csv", {}), charset=feed.charset, zone=feed.zone, codes=feed.codes,
        defaults=feed.options.get("defaults", {}))


def repeats_of(feed: Feed) -> Repeats:
    """Tells rows of a file that have the key of an earlier one; of a file of several senders, of one by the same. As above."""
    contract, _ = contract_and_options(feed)
    snapshot = feed.options.get("snapshot")
    sender = (snapshot["per"],) if contract.key and is_object(snapshot) and "per" in snapshot else ()
    return Repeats((*contract.key, *sender), feed.options.get("stated", "updated_at"), feed.options.get("defaults", {}))


def binding_of(feed: Feed, header: Sequence[str]) -> Binding:
    """Reads single rows of a file with that header. Raises Rejected where the header does not fit (any more)."""
    contract, options = contract_and_options(feed)
    return bind(header, contract, options)
