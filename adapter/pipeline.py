"""READ FIRST. The way of a message: received -> parsed and mapped -> whose record -> composed -> valid -> Bundle.

`convert` runs it for one message on its own, without a store; `gateway.py` runs the same stages over the journal.
"""

from __future__ import annotations

import gc
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import orjson

from adapter.compose.compose import Network, Target, compose, compose_pieced, hashed, nothing, target_of
from adapter.compose.precedence import Precedence
from adapter.compose.review import reviews
from adapter.compose.settled import records_of, settled
from adapter.compose.shared_plans import shared_plans
from adapter.compose.standing import stand, stand_alone
from adapter.errors import Rejected
from adapter.identity.links import Link, link_of
from adapter.identity.persons import resolve
from adapter.mapping.bundle import transaction
from adapter.mapping.feed import Feed, load_feeds
from adapter.mapping.header import load_events, read_sender
from adapter.mapping.ledger import Ledger
from adapter.mapping.message import Compiled, map_message, read_message
from adapter.mapping.precedence import load_precedence
from adapter.mapping.rows import map_row
from adapter.mapping.rules import compile_feed
from adapter.mapping.terminology import load_terminology
from adapter.model import Composed, Contribution, Issue, Json, Mapped, Order, PiecedBody, Received
from adapter.parse.rows import Binding, RowError, bind, open_csv
from adapter.parse.rows_contract import Contract, load_contract
from adapter.parse.rows_options import CsvOptions, csv_options
from adapter.validate.check import check
from adapter.validate.profiles import claim

_PLAIN = rb"[ -%'-\[\]_-{}]*"
_HEAD = re.compile(rb"MSH\|\^[^|\r\n]{1,4}\|(" + _PLAIN + rb")(?:\^[^|\r\n]*)?\|(" + _PLAIN + rb")(?:\^[^|\r\n]*)?\|")
"""The beginning of a message with the usual delimiters, MSH-3.1 and MSH-4.1 in ASCII without any other delimiter."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MEMBER_SYSTEM = "urn:x-careloop:member"
"""Identifiers of the network's own members: a person's main Patient is the one that has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feeds:
    """Every feed of an installation, compiled once. declared: whose word counts first, by element."""

    compiled: Mapping[str, Compiled]
    declared: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])

    def named(self, name: str) -> Compiled:
        """The feed of that name. Raises Rejected (unknown-feed)."""
        if name not in self.compiled:
            raise Rejected("unknown-feed", name)
        return self.compiled[name]

    def of_sender(self, application: str, facility: str) -> Compiled:
        """The HL7 feed of a sender (MSH-3, MSH-4); one that names the sender before one for any. Raises Rejected."""
        best: tuple[int, Compiled] | None = None
        for one in self.compiled.values():
            rated = _fit(one.feed, application, facility)
            if rated >= 0 and (best is None or rated > best[0]):
                best = (rated, one)
        if best is None:
            raise Rejected("unknown-feed", "MSH-3")
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


def tune_memory() -> None:
    """Let the cycle collector look seldom: what a message makes holds no cycles, and looking took a fifth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """One message on its own: its transaction Bundle, what was noticed, and (traced) where each value went and came from."""

    bundle: Json
    mapped: Mapped
    composed: tuple[Composed, ...]
    issues: tuple[Issue, ...]
    loss: Json
    explain: Json


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


def map_received(received: Received, feeds: Feeds, ledger: Ledger | None = None) -> Mapped:
    """Stages 2 and 3: bytes to contributions. Raises Rejected."""
    compiled = feed_of(received, feeds)
    return map_message(received.raw, compiled, microseconds(received.arrival), ledger)


def convert(received: Received, feeds: Feeds, key: bytes, trace: bool = False) -> Conversion:
    """Stages 2 to 6 for one message on its own. Raises Rejected (nothing-mapped for an empty result)."""
    ledger = Ledger() if trace else None
    mapped = map_received(received, feeds, ledger)
    return finish(mapped, feeds, key, ledger)


def convert_csv(raw: bytes, feed: str, feeds: Feeds, key: bytes, arrival: datetime, *,
                trace: bool) -> tuple[Conversion | None, list[RowError]]:
    """A CSV file on its own: what its good rows state together, None where none is good, and the rows refused.

    Raises Rejected where the file as a whole cannot be read, or where nothing comes out of rows that are good.
    """
    compiled = feeds.named(feed)
    file = open_csv(raw, *contract_and_options(compiled.feed))
    identity = f"{feed}|{hashlib.sha256(raw).hexdigest()}"
    ledger = Ledger() if trace else None
    refused: list[RowError] = []
    rows: list[Mapped] = []
    for row in file.rows():
        if isinstance(row, RowError):
            refused.extend(() if row.blank else (row,))
        else:
            rows.extend(map_row(cells, row.number, f"{identity}|{row.number}", compiled, microseconds(arrival), ledger,
                                file.binding.header.names) for cells in row.every)
    if refused and not rows:
        return None, refused
    mapped = Mapped(identity=identity, feed=feed, source=feed, event="", control_id="", test=compiled.feed.test,
                    contributions=tuple(c for row in rows for c in row.contributions),
                    issues=(*file.issues, *(i for row in rows for i in row.issues)))
    return finish(mapped, feeds, key, ledger), refused


def finish(mapped: Mapped, feeds: Feeds, key: bytes, ledger: Ledger | None) -> Conversion:
    """Stages 4 to 6 for what one message (or file) was mapped to."""
    composed = compose_all(mapped.contributions, (), feeds, key, lambda _: set(), lean=True)
    standing = [c for c in composed if not c.deleted]
    if not standing:
        raise Rejected("nothing-mapped")
    issues = (*mapped.issues, *(i for c in composed for i in c.issues))
    return Conversion(bundle=transaction(standing, mapped), mapped=mapped, composed=tuple(composed), issues=issues,
                      loss=ledger.loss(mapped, standing) if ledger else {},
                      explain=ledger.explain(composed) if ledger else {})


def compose_all(contributions: Iterable[Contribution], links: Sequence[Link], feeds: Feeds, key: bytes,
                exists: Callable[[set[str]], set[str]], *, lean: bool = False) -> list[Composed]:
    """Stages 4 to 6: every resource that these contributions state, as it may stand; in a stable order.

    lean: without hash, and without who said what.
    """
    statements: list[Contribution] = []
    own: list[Link] = list(links)
    for c in contributions:
        if c.resource_type == "Link":
            own.append(link_of(c))
        else:
            statements.append(c)
    statements = settled(statements, own) if own else statements
    records = records_of(statements)
    persons = resolve({c.patient for c in statements if c.patient} | records, own, records, (MEMBER_SYSTEM,))
    network = Network(key=key, persons=persons, precedence=feeds.precedence(), lean=lean)
    statements = shared_plans([*statements, *reviews(persons.values(), own)], lambda patient: network.person(patient).main)
    by_target: dict[tuple[str, str, str], list[Contribution]] = {}
    for c in statements:
        told = by_target.setdefault(target_of(c, network), [])
        if lean and told and _repeats(c, told[-1]):
            if c.order.of_snapshot() > told[-1].order.of_snapshot():
                told[-1] = c
        else:
            told.append(c)
    if lean:
        by_target = {t: told for t, told in by_target.items() if len(told) > 1 or told[0].kind != "withdraw"}
    for record in records:
        main = network.person(record).main
        if main != record:
            by_target.setdefault(("Patient", main, ""), []).extend(c for c in by_target["Patient", record, ""] if c.key == record)
    standing = stand([composed_of(t, by_target[t], network) for t in sorted(by_target)], exists, claim, check)
    said = [c for c in standing if not c.deleted or c.issues]
    return said if lean else [hashed(c) for c in said]


def _repeats(c: Contribution, before: Contribution) -> bool:
    """Whether a snapshot says to the letter what its source said before: rows of a file that name one organization do."""
    return c.body is before.body and c.kind == before.kind == "snapshot" and c.source == before.source


def composed_of(target: Target, said: Sequence[Contribution], network: Network) -> Composed:
    """Stage 5 for one resource. Shared data repeats in every message, so what one statement alone makes is kept."""
    c = said[0]
    if len(said) == 1 and c.kind == "withdraw" and c.resource_type != "Patient":
        return nothing(target, c, network)
    if len(said) > 1 or c.kind != "snapshot" or c.scope == "person":
        return compose(target, said, network)
    if c.scope == "own":
        if isinstance(c.body, PiecedBody) and (c.resource_type != "Patient" or len(network.person(c.patient).members) == 1):
            made = compose_pieced(target, c, c.body.pieces, network)
            return stand_alone(made, frozenset(), claim, check) if network.lean else made
        if not network.lean or c.resource_type in PER_MESSAGE or len(network.person(c.patient).members) > 1:
            return compose(target, said, network)
        return _owned(network.key, c.resource_type, c.key, c.patient, orjson.dumps(c.body))
    kept = _shared(network.key, c.resource_type, c.key, orjson.dumps(c.body))
    return kept if network.lean else replace(kept, sources=dict.fromkeys(kept.sources, (c.source, c.message)))


PER_MESSAGE = frozenset({"MessageHeader", "Provenance"})
"""Resources of the message itself: no other message says the same."""


@lru_cache(maxsize=20_000)
def _shared(key: bytes, resource_type: str, business_key: str, stated: bytes) -> Composed:
    """A shared resource of which one snapshot is all that is known, ready to stand."""
    return _ready(key, resource_type, business_key, "", stated)


@lru_cache(maxsize=2_000)
def _owned(key: bytes, resource_type: str, business_key: str, patient: str, stated: bytes) -> Composed:
    """The same for a resource of a person of whom one number is known: through a stay messages repeat it to the letter."""
    return _ready(key, resource_type, business_key, patient, stated)


def _ready(key: bytes, resource_type: str, business_key: str, patient: str, stated: bytes) -> Composed:
    order = Order(occurred=0, stated=0, sequence=0, rank=0, arrival=0)
    said = Contribution(source="", resource_type=resource_type, key=business_key, scope="own" if patient else "reference",
                        patient=patient, kind="snapshot", event="", order=order, body=orjson.loads(stated), message="",
                        mapping="")
    network = Network(key=key, persons={}, precedence=Precedence(number=lambda _: 0))
    return stand([compose((resource_type, business_key, ""), [said], network)], lambda names: names, claim, check)[0]


def forget(feeds: Feeds) -> None:
    """Forget what was kept of earlier messages; every message is then the first (for measurements)."""
    for one in feeds.compiled.values():
        one.memory.clear()
    _shared.cache_clear()
    _owned.cache_clear()


def microseconds(moment: datetime) -> int:
    """An instant as microseconds since 1970 UTC."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def contract_and_options(feed: Feed) -> tuple[Contract, CsvOptions]:
    """The contract of a CSV feed (its own name, or `contract:`) and how this partner writes it. Raises Rejected, Defect."""
    if feed.format != "csv":
        raise Rejected("unknown-feed", feed.name, "it takes HL7 v2, not CSV")
    return load_contract(feed.options.get("contract", feed.name)), csv_options(
        feed.options.get("csv", {}), charset=feed.charset, zone=feed.zone, codes=feed.codes)


def binding_of(feed: Feed, header: Sequence[str]) -> Binding:
    """Reads single rows of a file with that header. Raises Rejected where the header does not fit (any more)."""
    contract, options = contract_and_options(feed)
    return bind(header, contract, options)
