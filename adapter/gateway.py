"""One installation at work: accepts, journals, composes, delivers; every transaction of it begins and ends here."""

from __future__ import annotations

import random
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import BinaryIO

import orjson
from sqlalchemy import Connection, Engine

from adapter.deliver import others
from adapter.deliver.push import push
from adapter.deliver.read_back import Written, map_written, read_written
from adapter.engine import gap_keeping
from adapter.engine.local import apply
from adapter.engine.provenance import provenances
from adapter.engine.remap import Remapped, remap
from adapter.engine.snapshots import end_left_out, withdraw_feed
from adapter.engine.spoken import spoken
from adapter.errors import Defect, Rejected, Unavailable
from adapter.feeds import Feeds, open_feeds
from adapter.fhirserver.embedded import EmbeddedServer
from adapter.fhirserver.http import new_session
from adapter.fhirserver.naming import NamingServer
from adapter.fhirserver.port import FhirServer, Write
from adapter.fhirserver.upstream import UpstreamServer
from adapter.gaps.life import Happening, Life
from adapter.gaps.tables import prepare
from adapter.intake.accept import entry_of
from adapter.intake.decisions import Decision, Proposals, Withdrawal, entry_of_decision, map_decision
from adapter.intake.definitions import shipped
from adapter.intake.explained import Explained, explain
from adapter.intake.load import LoadReport, Progress, load
from adapter.intake.loaded import write_failed
from adapter.intake.row_errors import RowErrors
from adapter.intake.snapshot import map_end
from adapter.intake.stored_rows import StoredRows
from adapter.logs import log
from adapter.mapping.watch import Watched
from adapter.model import Composed, Contribution, Issue, Json, Mapped, Received
from adapter.pipeline import map_received, microseconds
from adapter.settings import Settings
from adapter.store import journal, outbox
from adapter.store.contributions import chunks
from adapter.store.engine import migrate, open_engine, reading, writing
from adapter.store.gap_lives import stale_count
from adapter.store.journal import Entry

TRIES = 3
"""How often an entry that is the only one waiting is tried before it is set aside."""
BATCH = 50
"""Journal entries that are composed in one transaction while the gateway serves; loading in bulk takes more at once."""
OVERLAP = timedelta(minutes=1)
"""How far before the last version a history is read again: a server may stamp a write before it commits it."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOG = log("gateway")


def utc_now() -> datetime:
    """The present instant in UTC."""
    return datetime.now(UTC)


class Gateway:
    """An installation: its database, feeds and FHIR server. Raises Unavailable where the database is away."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime] = utc_now) -> None:
        self.settings = settings
        self.clock = clock
        if not settings.database_url:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
        self.engine: Engine = open_engine(settings.database())
        migrate(self.engine)
        self.files = Watched(settings.mappings)
        self.feeds: Feeds = open_feeds(settings.mappings)
        self.key = settings.installation_key()
        self.embedded = EmbeddedServer(self.engine, self._accept_writes)
        self.upstream: FhirServer | None = (
            NamingServer(UpstreamServer(settings.fhir_url, new_session()), self.engine) if settings.fhir_url else None)
        self._mapped: OrderedDict[str, Mapped] = OrderedDict()
        self._composing = threading.Lock()
        self._arriving = threading.Lock()
        self._arrived = 0
        self._rng = random.Random()
        with writing(self.engine) as connection:
            prepare(connection)

    @property
    def server(self) -> FhirServer:
        """The FHIR server to which resources are pushed."""
        return self.upstream or self.embedded

    def close(self) -> None:
        """Close the database."""
        self.engine.dispose()

    def now_us(self) -> int:
        """The present instant in microseconds since 1970 UTC."""
        return microseconds(self.clock())

    # --- intake

    def accept(self, batch: Sequence[tuple[bytes, str]], feed: str | None = None) -> list[bytes]:
        """Journal messages (bytes, origin) in one commit, then acknowledge each. Raises Unavailable: nothing was taken."""
        taken = [entry_of(Received(raw=raw, arrival=arrival, feed=feed, origin=origin), self.feeds)
                 for (raw, origin), arrival in zip(batch, self._arrivals(len(batch)), strict=True)]
        entries = [e for e, _ in taken]
        with writing(self.engine) as connection:
            before = journal.known(connection, {e.identity for e in entries})
            journal.retry_refused(connection, [
                e for e in entries if before.get(e.identity, b"") is None and e.state != "refused"])
            used = journal.used_control_ids(connection, {(e.sender, e.control_id) for e in entries if e.control_id})
            new: dict[str, Entry] = {}
            for e in entries:
                if e.identity not in before and e.identity not in new:
                    again = bool(e.control_id) and (e.sender, e.control_id) in used
                    flag = (Issue(code="same-id-other-bytes", place="MSH-10"),) if again else ()
                    new[e.identity] = replace(e, issues=(*e.issues, *flag))
                    used.add((e.sender, e.control_id))
            journal.append(connection, list(new.values()))
        known = {i for i, ack in before.items() if ack is not None}
        self._remember([m for e, m in taken if m is not None and e.state == "waiting" and e.identity not in known])
        return [before.get(e.identity) or e.ack or b"" for e in entries]

    def _arrivals(self, count: int) -> list[datetime]:
        """The present instant for each of some messages, one microsecond after another: no two arrive together."""
        with self._arriving:
            first = max(self.now_us(), self._arrived + 1)
            self._arrived = first + count - 1
        return [_EPOCH + timedelta(microseconds=first + n) for n in range(count)]

    def _remember(self, mapped: Sequence[Mapped]) -> None:
        """Keep what was mapped until it is composed; what is forgotten is mapped again from the journal."""
        for one in mapped:
            self._mapped[one.identity] = one
        while len(self._mapped) > 20 * BATCH:
            self._mapped.popitem(last=False)

    def load(self, feed: str, source: bytes | BinaryIO, name: str = "", *, as_of: datetime | None = None,
             errors: RowErrors | None = None, progress: Progress = lambda _done, _all: None) -> LoadReport:
        """Journal every row of a CSV file; see intake.load. Raises Rejected where the file as a whole is refused."""
        return load(self.engine, self.feeds.named(feed).feed, source, name, self.clock(), as_of=as_of, errors=errors,
                    progress=progress)

    def write_failed(self, feed: str, report: LoadReport, errors: RowErrors) -> int:
        """Add the rows of a loaded file that could not be processed to its errors; how many."""
        return write_failed(self.engine, self.feeds.named(feed).feed, report.file, errors)

    def waiting(self) -> int:
        """How many journal entries wait to be processed."""
        with reading(self.engine) as connection:
            return journal.waiting_count(connection)

    # --- from the journal to standing resources

    def work(self, limit: int = BATCH) -> int:
        """Process the oldest waiting entries in one transaction; how many were processed."""
        with self._composing:
            with reading(self.engine) as connection:
                entries = journal.waiting(connection, limit)
                rows = StoredRows(connection, entries, self.feeds)
            if not entries:
                return 0
            try:
                self._process(entries, rows)
            except Unavailable:
                raise
            except Exception as error:  # one entry that cannot be processed must not hold up the others
                _LOG.error("batch failed", count=len(entries), exc_info=error)
                self._set_aside(entries, rows, error)
            return len(entries)

    def _process(self, entries: Sequence[Entry], rows: StoredRows) -> None:
        said: list[Contribution] = []
        findings: list[tuple[int, str, Issue]] = []
        failed: list[int] = []
        for entry in entries:
            try:
                mapped = self._map(entry, rows)
            except (Rejected, Defect) as error:
                failed.append(entry.id)
                findings.append((entry.id, "", error.issue))
                continue
            said.extend(mapped.contributions)
            if entry.kind != "hl7v2":  # those of a message stand beside it since it was journalled
                findings.extend((entry.id, "", i) for i in mapped.issues)
        with writing(self.engine) as connection:
            self._apply(connection, said)
            written = [read_written(e.raw) for e in entries if e.kind == "fhir"]
            self._answer(connection, written)
            if self.upstream is not None:
                outbox.put_right(connection, self.upstream.name, [(w.resource_type, w.id) for w in written], self.now_us())
            journal.add_findings(connection, findings)
            journal.settle(connection, [e.id for e in entries if e.id not in failed], "done")
            journal.settle(connection, failed, "failed")
            for entry in entries:
                if entry.kind == "snapshot":
                    self._end(connection, entry)

    def _end(self, connection: Connection, entry: Entry) -> None:
        """End what a snapshot file leaves out; nothing where rows of it could not be processed."""
        if failed := journal.failed_rows(connection, entry.sender):
            issue = Issue(code="csv-snapshot-open", place="", detail=f"{failed} rows could not be processed")
            journal.add_findings(connection, [(entry.id, "", issue)])
            journal.settle(connection, [entry.id], "failed")
            return
        end_left_out(connection, entry.feed, orjson.loads(entry.raw), entry.arrival, self.feeds, self.key, self.now_us(),
                     self.upstream.name if self.upstream else "")

    def _set_aside(self, entries: Sequence[Entry], rows: StoredRows, reason: Exception) -> None:
        """Process each alone; those that fail are left for an operator. Where all fail the fault is ours: they wait on.

        An entry that is alone fails after TRIES tries. Raises the reason where nothing could be processed.
        """
        failed: list[tuple[Entry, str]] = []
        for entry in entries:
            try:
                self._process([entry], rows)
            except Unavailable:
                raise
            except Exception as error:
                _LOG.error("entry failed", journal=entry.id, exc_info=error)
                failed.append((entry, type(error).__name__))
        ours = len(failed) == len(entries) and (len(entries) > 1 or entries[0].attempts + 1 < TRIES)
        with writing(self.engine) as connection:
            if not ours:
                journal.add_findings(connection, [(e.id, "", Issue(code="defect", place=place)) for e, place in failed])
            journal.settle(connection, [e.id for e, _ in failed], "waiting" if ours else "failed")
        if ours:
            raise reason

    def _map(self, entry: Entry, rows: StoredRows) -> Mapped:
        if entry.kind == "hl7v2":
            kept = self._mapped.pop(entry.identity, None)
            again = Received(raw=entry.raw, arrival=_EPOCH + timedelta(microseconds=entry.arrival), feed=entry.feed,
                             origin=entry.origin)
            return kept or map_received(again, self.feeds)
        if entry.kind == "operator":
            return map_decision(entry.raw, entry.identity, entry.arrival)
        if entry.kind == "fhir":
            return map_written(read_written(entry.raw), self.key, entry.arrival)
        if entry.kind == "snapshot":
            return map_end(entry)
        return rows.mapped(entry)

    def _apply(self, connection: Connection, said: Sequence[Contribution]) -> list[Composed]:
        return apply(connection, said, self.feeds, self.key, self.now_us(), self.upstream.name if self.upstream else "")

    def publish(self) -> int:
        """State the network's own definitions (questionnaires); how many resources that changed: none but the first time."""
        with self._composing, writing(self.engine) as connection:
            return len(self._apply(connection, shipped(self.now_us(), self.settings.measures)))

    def keep_gaps(self) -> int:
        """Follow the gaps of some of those about whom something was written, or whose gaps time turns; how many."""
        with self._composing, writing(self.engine) as connection:
            return self._kept(connection)

    def _kept(self, connection: Connection) -> int:
        applied = partial(self._apply, connection)
        if stale_count(connection) > gap_keeping.MANY:
            return 1 + gap_keeping.sweep(connection, applied, self.now_us())
        return gap_keeping.look(connection, applied, self.now_us()) or gap_keeping.turn(connection, applied, self.now_us())

    def change_gap(self, key: str, change: Callable[[Life, int], tuple[Life, list[Happening]]]) -> bool:
        """Let an operator change the life of the gap whose Task has this key; whether anything happened. Raises Rejected."""
        with self._composing, writing(self.engine) as connection:
            return gap_keeping.change(connection, key, change, partial(self._apply, connection), self.now_us())

    def sweep(self) -> int:
        """Follow everybody's gaps to the present instant; how many something happened to."""
        with self._composing, writing(self.engine) as connection:
            return gap_keeping.sweep(connection, partial(self._apply, connection), self.now_us())

    def remap(self, feed: str, *, dry_run: bool, everything: bool) -> Remapped:
        """Map and compose a feed anew in one transaction, undone where it is a dry run. Raises Rejected (unknown-feed)."""
        self.feeds.named(feed)
        with self._composing, writing(self.engine) as connection:
            done = remap(connection, feed, partial(self._map_each, connection), self.feeds, self.key, self.now_us(),
                         target=self.upstream.name if self.upstream else "", everything=everything)
            if dry_run:
                connection.rollback()
        return done

    def _map_each(self, connection: Connection, entries: Sequence[Entry]) -> Iterator[Mapped | Issue]:
        rows = StoredRows(connection, entries, self.feeds)
        for entry in entries:
            try:
                yield self._map(entry, rows)
            except (Rejected, Defect) as error:
                yield error.issue

    def decide(self, decision: Decision | Proposals) -> None:
        """Journal what an operator decided about identity, or had searched, and bring it into force, in one transaction."""
        with self._composing, writing(self.engine) as connection:
            entry = entry_of_decision(decision, microseconds(self._arrivals(1)[0]))
            journal.append(connection, [entry])
            self._apply(connection, map_decision(entry.raw, entry.identity, entry.arrival).contributions)

    def withdraw(self, withdrawal: Withdrawal) -> int:
        """End all that a feed has said until now, in one transaction; how many statements. Raises Rejected (unknown-feed)."""
        self.feeds.named(withdrawal.feed)
        with self._composing, writing(self.engine) as connection:
            entry = entry_of_decision(withdrawal, microseconds(self._arrivals(1)[0]))
            journal.append(connection, [entry])
            return withdraw_feed(connection, withdrawal.feed, entry.arrival, self.feeds, self.key, self.now_us(),
                                 self.upstream.name if self.upstream else "")

    def provenances(self, resource_type: str, identifier: str) -> list[Json]:
        """Who said what of a standing resource, as Provenance resources; see engine.provenance."""
        with reading(self.engine) as connection:
            return provenances(connection, resource_type, identifier, self.feeds, self.key)

    def explain(self, resource_type: str, identifier: str) -> list[Explained]:
        """Each element of a standing resource with who said it, and where in its message or row."""
        with reading(self.engine) as connection:
            return explain(connection, spoken(connection, resource_type, identifier, self.feeds, self.key), self.feeds)

    # --- FHIR servers

    def deliver(self) -> int:
        """Push what waits to the upstream server; how many resources it took (0 for the embedded one)."""
        return push(self.engine, self.upstream, self.now_us, self._rng) if self.upstream else 0

    def read_back(self) -> int:
        """Bring in what other clients wrote on the upstream server since the last time; how many writes."""
        if self.upstream is None:
            return 0
        cursor = f"history:{self.upstream.name}"
        with reading(self.engine) as connection:
            since = journal.cursor(connection, cursor)
        last = datetime.fromisoformat(since) if since else None
        count = 0
        for versions in chunks(self.upstream.history(last - OVERLAP if last else None), BATCH):
            with writing(self.engine) as connection:
                for version in versions:
                    count += others.bring_in(connection, version, self.upstream.name, self.now_us())
                    last = max(last or version.last_updated, version.last_updated)
                if last is not None:
                    journal.set_cursor(connection, cursor, last.isoformat())
        return count

    def _accept_writes(self, writes: Sequence[Write]) -> None:
        """Another client's transaction on the embedded server: journalled and composed in one transaction."""
        with self._composing, writing(self.engine) as connection:
            now = self.now_us()
            entries = others.take(connection, writes, self.embedded.name, now)
            written = [read_written(e.raw) for e in entries]
            self._apply(connection, [c for w in written for c in map_written(w, self.key, now).contributions])
            self._answer(connection, written)

    def _answer(self, connection: Connection, written: Sequence[Written]) -> None:
        """Let updates of gaps' Tasks have their say in the life of the gap."""
        applied = partial(self._apply, connection)
        for w in written:
            if w.resource_type == "Task" and w.key:
                gap_keeping.answer(connection, w.key, w.body, f"server:{w.server}", applied, self.now_us())
