"""READ FIRST. The way of a message: received -> parsed and mapped -> whose record -> composed -> valid -> Bundle.

`convert` runs it for one message on its own, without a store; `gateway.py` runs the same stages over the journal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from adapter.compose.compose import Network, hashed, target_of
from adapter.compose.kept import composed_of
from adapter.compose.review import reviews
from adapter.compose.settled import records_of, settled
from adapter.compose.shared_plans import shared_plans
from adapter.compose.standing import stand
from adapter.errors import Rejected
from adapter.feeds import Feeds, contract_and_options, feed_of, repeats_of
from adapter.identity.links import Link, link_of
from adapter.identity.persons import resolve
from adapter.mapping.bundle import transaction
from adapter.mapping.ledger import Ledger
from adapter.mapping.message import map_message
from adapter.mapping.rows import map_row
from adapter.model import Composed, Contribution, Issue, Json, Mapped, Received
from adapter.parse.rows import RowError, open_csv
from adapter.validate.check import check
from adapter.validate.profiles import claim

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MEMBER_SYSTEM = "urn:x-careloop:member"
"""Identifiers of the network's own members: a person's main Patient is the one that has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """One message on its own: its transaction Bundle, what was noticed, and (traced) where each value went and came from."""

    bundle: Json
    mapped: Mapped
    composed: tuple[Composed, ...]
    issues: tuple[Issue, ...]
    loss: Json
    explain: Json


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
    repeats = repeats_of(compiled.feed)
    repeated: list[Issue] = []
    for row in file.rows():
        if isinstance(row, RowError):
            refused.extend(() if row.blank else (row,))
        else:
            repeated.extend(repeats.of(row))
            rows.extend(map_row(cells, row.number, f"{identity}|{row.number}", compiled, microseconds(arrival), ledger,
                                file.binding.header.names) for cells in row.every)
    if refused and not rows:
        return None, refused
    mapped = Mapped(identity=identity, feed=feed, source=feed, event="", control_id="", test=compiled.feed.test,
                    contributions=tuple(c for row in rows for c in row.contributions),
                    issues=(*file.issues, *repeated, *(i for row in rows for i in row.issues)))
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
    statements = list(contributions)
    own = [*links, *(link_of(c) for c in statements if c.resource_type == "Link")]
    statements = [c for c in statements if c.resource_type != "Link"]
    statements = settled(statements, own) if own else statements
    records = records_of(statements)
    persons = resolve({c.patient for c in statements if c.patient} | records, own, records, (MEMBER_SYSTEM,))
    network = Network(key=key, persons=persons, precedence=feeds.precedence(), lean=lean)
    statements = shared_plans([*statements, *reviews(persons.values(), own)], lambda patient: network.person(patient).main)
    by_target: dict[tuple[str, str, str], list[Contribution]] = {}
    for c in statements:
        target = target_of(c, network) if c.scope == "person" else (c.resource_type, c.key, "")
        told = by_target.get(target)
        if told is None:
            by_target[target] = [c]
        elif lean and c.body is told[-1].body and _repeats(c, told[-1]):
            if c.order.after(told[-1].order):
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


def microseconds(moment: datetime) -> int:
    """An instant as microseconds since 1970 UTC."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
