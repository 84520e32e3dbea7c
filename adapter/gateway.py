"""One installation at work: what arrives is journalled, and what waits in the journal is composed.

Its other rooms (gaps, FHIR servers, operators, sources) stand in adapter/installation; transactions begin and end there and here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import orjson
from sqlalchemy import Connection, Engine

from adapter.deliver.declared import read_targets
from adapter.deliver.read_back import read_written
from adapter.engine.snapshots import end_left_out
from adapter.errors import Defect, Rejected, Unavailable
from adapter.feeds import Feeds
from adapter.fhirserver.http import new_session
from adapter.fhirserver.naming import NamingServer
from adapter.fhirserver.upstream import UpstreamServer
from adapter.gaps.tables import name_senders, prepare
from adapter.installation.delivery import Delivery
from adapter.installation.disclosing import Disclosing
from adapter.installation.entries import Entries
from adapter.installation.gap_lives import GapLives
from adapter.installation.installation import Arrivals, Installation
from adapter.installation.lists import Lists
from adapter.installation.mappings import Look, Mappings
from adapter.installation.messages import Messages
from adapter.installation.operators import Operators
from adapter.installation.queue import Queue
from adapter.installation.retention import Retention
from adapter.installation.silence import Silence
from adapter.installation.sources import Sources
from adapter.installation.subscriptions import Subscriptions
from adapter.intake.arrived import Arrived
from adapter.intake.definitions import shipped
from adapter.intake.load import LoadReport, Progress, load
from adapter.intake.loaded import Warned, warnings_of_file, write_failed
from adapter.intake.row_errors import RowErrors
from adapter.intake.silence import heard, listen_for
from adapter.intake.stored_rows import StoredRows
from adapter.logs import log
from adapter.memory import tidy
from adapter.model import Contribution, Issue, Outlet
from adapter.settings import Settings
from adapter.store import csv_files, id_key, journal, lanes
from adapter.store import findings as noticed
from adapter.store.engine import migrate, open_engine, reading, writing
from adapter.store.journal import Entry
from adapter.store.lanes import Lane
from adapter.store.vault import Vault

TRIES = 3
"""How often an entry that is the only one waiting is tried before it is set aside."""
BATCH = 50
"""Journal entries that are composed in one transaction while the gateway serves; loading in bulk takes more at once."""
_LOG = log("gateway")


def utc_now() -> datetime:
    """The present instant in UTC."""
    return datetime.now(UTC)


class Gateway:
    """An installation: its database, feeds and rooms. Raises Unavailable: the database is away, or of another key.

    embedded: its own store as a FHIR server; delivery.server: the one to which resources are pushed.
    """

    def __init__(self, settings: Settings, clock: Callable[[], datetime] = utc_now) -> None:
        self.settings = settings
        self.clock = clock
        if not settings.database_url:
            settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.engine: Engine = open_engine(settings.database(), Vault(settings.sealing_keys()))
        migrate(self.engine)
        self.mappings = Mappings(settings.mappings)
        self.key = id_key.held(self.engine, settings.known_key(), settings.installation_key)
        upstream, reader = self._upstream(), self._upstream()
        self._here = here = Installation(engine=self.engine, mappings=self.mappings, key=self.key, clock=clock,
                                         outlet=Outlet(name=upstream.name, messages=settings.push_messages) if upstream else None,
                                         arrivals=Arrivals(clock))
        self._entries = Entries(here)
        self._messages = Messages(here, self._entries)
        self.gaps = GapLives(here)
        self.delivery = Delivery(here, self.gaps, upstream, settings.push_rest, reader)
        self.embedded = self.delivery.embedded
        self.disclosing = Disclosing(here, read_targets(Path(settings.targets)) if settings.targets else ())
        self.lists = Lists(here)
        self.operators = Operators(here, self._entries, self.lists)
        self.queue = Queue(here)
        self.sources = Sources(here)
        self.retention = Retention(here, settings.raw_days)
        self.silence = Silence(here)
        self.subscriptions = Subscriptions(here, settings.notice_hosts, settings.notice_days)
        with writing(self.engine) as connection:
            prepare(connection)
            self.subscriptions.bind(connection)
            lanes.free_ended(connection)
            self._know(connection, self.feeds)

    def _upstream(self) -> NamingServer | None:
        """The server to which resources are pushed, by a connection of its own."""
        url = self.settings.fhir_url
        return NamingServer(UpstreamServer(url, new_session()), self.engine) if url else None

    @property
    def feeds(self) -> Feeds:
        """The feeds in force."""
        return self.mappings.feeds

    def reread(self) -> Look | None:
        """Bring changed mappings into force, as a whole, where they are at rest and sound; what the look came to, if any.

        What was journalled before is mapped by them too if it still waits; the rest stays as it is until it is remapped.
        Raises Unavailable.
        """
        found = self.mappings.look()
        if found is not None and found.feeds is not None:
            with self._here.turn:
                with writing(self.engine) as connection:
                    self._know(connection, found.feeds)
                self.mappings.take(found.feeds)
                self._entries.forget()
        return found

    def _know(self, connection: Connection, feeds: Feeds) -> None:
        """Tell the store whose the feeds are, and which are listened for."""
        known = [one.feed for one in feeds.compiled.values()]
        listen_for(connection, known, self._here.now_us())
        name_senders(connection, [(feed.name, feed.contract, feed.sent_by) for feed in known])

    def close(self) -> None:
        """Close the database."""
        self.engine.dispose()

    # --- intake

    def accept(self, batch: Sequence[Arrived | tuple[bytes, str]], feed: str | None = None) -> list[bytes]:
        """Journal messages (bytes, origin) in one commit, then answer each. Raises Unavailable: nothing was taken."""
        return self._messages.accept([one if isinstance(one, Arrived) else Arrived(*one) for one in batch], feed)

    def look(self, arrived: Arrived) -> Arrived:
        """A message as `accept` takes it at less cost: looked at while it waits for a commit. Its feed is that of its sender."""
        return self._messages.look(arrived)

    def refuse(self, arrived: Arrived, issue: Issue) -> bytes | None:
        """What answers a message that was not accepted; None where its feed has the connection closed instead."""
        return self._messages.refuse(arrived, issue)

    def load(self, feed: str, source: bytes | BinaryIO, name: str = "", *, as_of: datetime | None = None,
             errors: RowErrors | None = None, progress: Progress = lambda _done, _all: None) -> LoadReport:
        """Journal every row of a CSV file; see intake.load. Raises Rejected where the file as a whole is refused."""
        of = self.feeds.named(feed).feed
        with writing(self.engine) as connection:
            heard(connection, [of], self._here.now_us())
        return load(self.engine, of, source, name, self.clock(), as_of=as_of, errors=errors, progress=progress)

    def write_failed(self, feed: str, report: LoadReport, errors: RowErrors) -> int:
        """Add the rows of a loaded file that could not be processed to its errors; how many."""
        return write_failed(self.engine, self.feeds.named(feed).feed, report.file, errors)

    def warnings_of_file(self, feed: str, file: str) -> list[Warned]:
        """What was noticed of the rows of a loaded file that were taken, by code."""
        return warnings_of_file(self.engine, self.feeds.named(feed).feed, file)

    def waiting(self) -> int:
        """How many journal entries wait to be processed."""
        with reading(self.engine) as connection:
            return journal.waiting_count(connection)

    def rows_left(self, file: str) -> bool:
        """Whether rows of a loaded file wait: until they are processed here, or by another process that has claimed them."""
        with reading(self.engine) as connection:
            return csv_files.rows_left(connection, file, ())

    # --- from the journal to standing resources

    def work(self, limit: int = BATCH) -> int:
        """Process the oldest waiting entries in one transaction; how many were processed."""
        with self._here.turn:
            claimed, entries, rows = self._claim(limit)
            if not entries:
                return self.lists.compose_in_turn(rested=True)
            try:
                done = self._process(entries, rows, claimed)
            except Unavailable:
                raise
            except Exception as error:  # one entry that cannot be processed must not hold up the others
                _LOG.error("batch failed", count=len(entries), exc_info=error)
                done = self._set_aside(entries, rows, error, claimed)
            tidy()
            if len(entries) < limit:  # nothing else waits
                self.lists.compose_in_turn(rested=True)
            return done

    def _claim(self, limit: int) -> tuple[Sequence[Lane], Sequence[Entry], StoredRows]:
        """Lanes that nobody else works on, and what waits in them."""
        begin = reading if self.engine.dialect.name == "sqlite" else writing  # there a claim is not written
        with begin(self.engine) as connection:
            claimed = lanes.claim(connection, self._here.owner, self._here.now_us(), self.feeds.compiled, limit)
            entries = journal.of_lanes(connection, [one.name for one in claimed], self.feeds.compiled, limit)
            rows = StoredRows(connection, entries, self.feeds)
        if claimed and not entries:
            with writing(self.engine) as connection:
                lanes.release(connection, self._here.owner, claimed, self._here.now_us())
        return claimed, entries, rows

    def _process(self, entries: Sequence[Entry], rows: StoredRows, claimed: Sequence[Lane] = ()) -> int:
        """Map entries, bring them into force and give back what was claimed, in one transaction; how many there were yet."""
        said: dict[int, Sequence[Contribution]] = {}
        findings: list[tuple[int, str, Issue]] = []
        failed: list[int] = []
        for entry in entries:
            try:
                mapped = self._entries.mapped(entry, rows)
            except (Rejected, Defect) as error:
                failed.append(entry.id)
                findings.append((entry.id, "", error.issue))
                continue
            said[entry.id] = mapped.contributions
            if entry.kind != "hl7v2" or not entry.source:  # what was converted on arrival has both since then
                findings.extend((entry.id, "", i) for i in mapped.issues)
        with self._here.in_turn() as connection:
            mine = journal.still_waiting(connection, [e.id for e in entries])
            early = {e.id for e in entries if e.kind == "snapshot" and csv_files.rows_left(connection, e.sender, mine)}
            mine -= early
            self._here.apply(connection, [c for entry, of_it in said.items() if entry in mine for c in of_it], later=True)
            self.delivery.settle(connection, [read_written(e.raw) for e in entries if e.kind == "fhir" and e.id in mine])
            noticed.add(connection, [one for one in findings if one[0] in mine])
            journal.settle(connection, [n for n in said if n in mine], "done")
            journal.settle(connection, [n for n in failed if n in mine], "failed")
            for entry in entries:
                if entry.kind == "snapshot" and entry.id in mine:
                    self._end(connection, entry)
            lanes.release(connection, self._here.owner, claimed, self._here.now_us())
        return len(mine)

    def _end(self, connection: Connection, entry: Entry) -> None:
        """End what a snapshot file leaves out; nothing where rows of it could not be processed."""
        if failed := csv_files.failed_rows(connection, entry.sender):
            issue = Issue(code="csv-snapshot-open", place="", detail=f"{failed} rows could not be processed")
            noticed.add(connection, [(entry.id, "", issue)])
            journal.settle(connection, [entry.id], "failed")
            return
        end_left_out(connection, entry.feed, orjson.loads(entry.raw), entry.arrival, self.feeds, self.key,
                     self._here.now_us(), self._here.outlet)

    def _set_aside(self, entries: Sequence[Entry], rows: StoredRows, reason: Exception, claimed: Sequence[Lane]) -> int:
        """Process each alone; those that fail are left for an operator. Where all fail the fault is ours: they wait on.

        An entry that is alone fails after TRIES tries. Raises the reason where nothing could be processed; how many were.
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
                noticed.add(connection, [(e.id, "", Issue(code="defect", place=place)) for e, place in failed])
            journal.settle(connection, [e.id for e, _ in failed], "waiting" if ours else "failed")
            lanes.release(connection, self._here.owner, claimed, self._here.now_us())
        if ours:
            raise reason
        return len(entries)

    def publish(self) -> int:
        """State the network's own definitions (questionnaires); how many resources that changed: none but the first time."""
        with self._here.composing() as connection:
            return len(self._here.apply(connection, shipped(self._here.now_us(), self.settings.measures)))
