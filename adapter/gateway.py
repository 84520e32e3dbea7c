"""One installation at work: accepts, journals, composes, delivers; every transaction of it begins and ends here."""

from __future__ import annotations

import hashlib
import io
import random
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO

import orjson
from sqlalchemy import Connection, Engine

from adapter.deliver.push import push
from adapter.deliver.read_back import Written as OtherWrite
from adapter.deliver.read_back import map_written, moment_of, patient_of, read_written
from adapter.engine.local import apply
from adapter.errors import Defect, Rejected
from adapter.fhirserver.embedded import EmbeddedServer, check_versions
from adapter.fhirserver.port import FhirServer, Version, Write
from adapter.fhirserver.upstream import UpstreamServer
from adapter.gaps.tables import prepare
from adapter.intake.ack import acknowledge, code_for, control_id_of
from adapter.mapping.header import read_sender
from adapter.mapping.message import read_message
from adapter.mapping.rows import map_row
from adapter.model import Contribution, Issue, Mapped, Received
from adapter.parse.rows import RowError, open_csv
from adapter.pipeline import Feeds, binding_of, contract_and_options, map_received, microseconds, open_feeds
from adapter.settings import Settings
from adapter.store import journal, outbox
from adapter.store.engine import migrate, open_engine, reading, writing
from adapter.store.journal import Entry
from adapter.store.resources import key_and_person, read_resource, without_meta

BATCH = 200
"""Journal entries that are composed in one transaction."""
ROWS = 1000
"""CSV rows that are journalled in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What became of a CSV file. repeated: it had been loaded before, to the byte; nothing was done."""

    rows: int
    accepted: int
    refused: list[RowError]
    repeated: bool = False
    issues: tuple[Issue, ...] = ()


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
        self.feeds: Feeds = open_feeds(settings.mappings)
        self.key = settings.installation_key()
        self.embedded = EmbeddedServer(self.engine, self._accept_writes)
        self.upstream: UpstreamServer | None = UpstreamServer(settings.fhir_url) if settings.fhir_url else None
        self._mapped: OrderedDict[str, Mapped] = OrderedDict()
        self._composing = threading.Lock()
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

    # --- intake

    def accept(self, batch: Sequence[tuple[bytes, str]], feed: str | None = None) -> list[bytes]:
        """Journal messages (bytes, origin) in one commit, then acknowledge each. Raises Unavailable: nothing was taken."""
        now = self.clock()
        entries = [self._entry(raw, origin, feed, now) for raw, origin in batch]
        with writing(self.engine) as connection:
            before = journal.known(connection, {e.identity for e in entries})
            used = journal.used_control_ids(connection, {(e.sender, e.control_id) for e in entries if e.control_id})
            new: dict[str, Entry] = {}
            for e in entries:
                if e.identity not in before and e.identity not in new:
                    pair = (e.sender, e.control_id)
                    new[e.identity] = self._flagged(e, pair in used and bool(e.control_id))
                    used.add(pair)
            journal.append(connection, list(new.values()))
        return [before.get(e.identity) or new[e.identity].ack or b"" for e in entries]

    def _entry(self, raw: bytes, origin: str, feed: str | None, now: datetime) -> Entry:
        received = Received(raw=raw, arrival=now, feed=feed, origin=origin)
        digest = hashlib.sha256(raw).hexdigest()
        try:
            mapped = map_received(received, self.feeds)
        except (Rejected, Defect) as error:
            code = code_for(error.issue) if isinstance(error, Rejected) else "AE"
            sender = self._sender(raw)
            return Entry(identity=f"{sender}|{control_id_of(raw)}|{digest}", kind="hl7v2", feed=feed or "", source="", sender=sender,
                         control_id=control_id_of(raw), arrival=microseconds(now), origin=origin, raw=raw, state="refused",
                         ack_code=code, issues=(error.issue,),
                         ack=acknowledge(raw, [error.issue], code, control_id=digest[:20], now=now))
        self._mapped[mapped.identity] = mapped
        while len(self._mapped) > 4 * BATCH:
            self._mapped.popitem(last=False)
        sender = mapped.identity.rsplit("|", 2)[0]
        return Entry(identity=mapped.identity, kind="hl7v2", feed=mapped.feed, source=mapped.source, event=mapped.event,
                     sender=sender, control_id=mapped.control_id, arrival=microseconds(now), origin=origin, raw=raw,
                     state="test" if mapped.test else "waiting", ack_code="AA", issues=mapped.issues,
                     ack=acknowledge(raw, mapped.issues, "AA", control_id=digest[:20], now=now))

    def _sender(self, raw: bytes) -> str:
        """`MSH-3|MSH-4` as far as they can be read."""
        try:
            any_feed = next(iter(self.feeds.compiled.values())).feed
            application, facility, _ = read_sender(read_message(raw, any_feed, []))
        except Rejected:
            return "|"
        return f"{application}|{facility}"

    def _flagged(self, e: Entry, again: bool) -> Entry:
        if not again:
            return e
        from dataclasses import replace

        return replace(e, issues=(*e.issues, Issue(code="same-id-other-bytes", place="MSH-10")))

    def load(self, feed: str, source: bytes | BinaryIO, name: str = "") -> LoadReport:
        """Journal every good row of a CSV file and compose them. Raises Rejected where the file as a whole cannot be read."""
        compiled = self.feeds.named(feed)
        stream = io.BytesIO(source) if isinstance(source, bytes) else source
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        contract, options = contract_and_options(compiled.feed)
        file = open_csv(stream, contract, options)
        with writing(self.engine) as connection:
            known = journal.csv_file(connection, feed, digest)
            if known is not None and known.complete:
                return LoadReport(rows=known.accepted + known.refused, accepted=known.accepted, refused=[], repeated=True)
            arrival = known.arrival if known is not None else microseconds(self.clock())
            journal.save_csv_file(connection, feed, digest, name=name, arrival=arrival,
                                  header=orjson.dumps(list(file.header)).decode())
        refused: list[RowError] = []
        accepted = 0
        pending: list[Entry] = []
        for row in file.rows():
            identity = f"{feed}|{digest}|{row.number}"
            bad = isinstance(row, RowError)
            if bad:
                refused.append(row)
            else:
                accepted += 1
            pending.append(Entry(identity=identity, kind="csv", feed=feed, source=feed, arrival=arrival, origin=name, raw=row.raw,
                                 state="refused" if bad else "waiting", issues=row.issues if bad else (),
                                 control_id=str(row.number), sender=digest))
            if len(pending) >= ROWS:
                self._append_rows(pending)
                pending = []
        self._append_rows(pending)
        with writing(self.engine) as connection:
            journal.save_csv_file(connection, feed, digest, accepted=accepted, refused=len(refused), complete=1)
        return LoadReport(rows=accepted + len(refused), accepted=accepted, refused=refused, issues=file.issues)

    def _append_rows(self, entries: Sequence[Entry]) -> None:
        with writing(self.engine) as connection:
            before = journal.known(connection, {e.identity for e in entries})
            journal.append(connection, [e for e in entries if e.identity not in before])

    # --- from the journal to standing resources

    def work(self, limit: int = BATCH) -> int:
        """Process the oldest waiting entries in one transaction; how many were processed."""
        with self._composing:
            with reading(self.engine) as connection:
                entries = journal.waiting(connection, limit)
                headers = _headers(connection, entries)
            if not entries:
                return 0
            done: list[Entry] = []
            failed: list[tuple[Entry, Issue]] = []
            said: list[Contribution] = []
            noticed: list[tuple[int, str, Issue]] = []
            for entry in entries:
                try:
                    mapped = self._map(entry, headers)
                except (Rejected, Defect) as error:
                    failed.append((entry, error.issue))
                    continue
                done.append(entry)
                said.extend(mapped.contributions)
                if entry.kind != "hl7v2":
                    noticed.extend((entry.id, "", i) for i in mapped.issues)
            with writing(self.engine) as connection:
                self._apply(connection, said)
                journal.add_findings(connection, [*noticed, *((e.id, "", i) for e, i in failed)])
                journal.settle(connection, [e.id for e in done], "done")
                journal.settle(connection, [e.id for e, _ in failed], "failed")
            return len(entries)

    def _map(self, entry: Entry, headers: dict[str, list[str]]) -> Mapped:
        if entry.kind == "hl7v2":
            kept = self._mapped.pop(entry.identity, None)
            return kept or map_received(Received(raw=entry.raw, arrival=_moment(entry.arrival), feed=entry.feed,
                                                 origin=entry.origin), self.feeds)
        if entry.kind == "fhir":
            return map_written(read_written(entry.raw), self.key, entry.arrival)
        compiled = self.feeds.named(entry.feed)
        binding = binding_of(compiled.feed, headers[entry.sender])
        row = binding.row(int(entry.control_id), entry.raw)
        if isinstance(row, RowError):
            raise Rejected(row.issues[0].code, row.issues[0].place, row.issues[0].detail)
        return map_row(row.cells, row.number, entry.identity, compiled, entry.arrival, columns=binding.header.names)

    def _apply(self, connection: Connection, said: Sequence[Contribution]) -> None:
        apply(connection, said, self.feeds, self.key, microseconds(self.clock()), self.upstream.name if self.upstream else "")

    # --- FHIR servers

    def deliver(self) -> int:
        """Push what waits to the upstream server; how many resources it took (0 for the embedded one)."""
        if self.upstream is None:
            return 0
        return push(self.engine, self.upstream, lambda: microseconds(self.clock()), self._rng)

    def read_back(self) -> int:
        """Bring in what other clients wrote on the upstream server since the last time; how many writes."""
        if self.upstream is None:
            return 0
        name = f"history:{self.upstream.name}"
        with reading(self.engine) as connection:
            since = journal.cursor(connection, name)
        last = datetime.fromisoformat(since) if since else None
        count = 0
        for version in self.upstream.history(last):
            count += self._bring_in(version, self.upstream.name)
            last = max(last, version.last_updated) if last else version.last_updated
        if last is not None:
            with writing(self.engine) as connection:
                journal.set_cursor(connection, name, last.isoformat())
        return count

    def _bring_in(self, version: Version, server: str) -> int:
        """Journal one version of another client; 0 where it is ours, or known already."""
        at = (version.resource_type, version.id)
        with writing(self.engine) as connection:
            ours = outbox.pushed(connection, server, [at]).get(at)
            if ours is not None and _number(version.version) <= _number(ours.version):
                return 0
            entry = self._write_entry(connection, server, Write(resource_type=at[0], id=at[1], body=version.body),
                                      version.version, moment_of(version.last_updated), ours.body if ours else None,
                                      ours is not None)
            if journal.known(connection, [entry.identity]):
                return 0
            journal.append(connection, [entry])
            if ours is not None:
                outbox.note_version(connection, server, *at, version.version, version.body)
        return 1

    def _accept_writes(self, writes: Sequence[Write]) -> None:
        """Another client's transaction on the embedded server: journalled and composed in one transaction."""
        with self._composing, writing(self.engine) as connection:
            before = check_versions(connection, writes)
            now = microseconds(self.clock())
            said: list[Contribution] = []
            for w in writes:
                stored = before.get((w.resource_type, w.id))
                if stored is not None and stored.body == (without_meta(w.body) if w.body else None):
                    continue
                version = str(stored.version + 1 if stored else 1)
                entry = self._write_entry(connection, self.embedded.name, w, version, now,
                                          stored.body if stored else None, stored is not None)
                journal.append(connection, [Entry(**{**_fields(entry), "state": "done"})])
                said.extend(map_written(read_written(entry.raw), self.key, now).contributions)
            self._apply(connection, said)

    def _write_entry(self, connection: Connection, server: str, w: Write, version: str, moment: int,
                     base: dict[str, object] | None, ours: bool) -> Entry:
        key, person = (key_and_person(connection, w.resource_type, w.id) or ("", "")) if ours else ("", "")
        about = patient_of(w.body)
        patient = (key_and_person(connection, "Patient", about.removeprefix("Patient/")) or ("", ""))[0] if about else ""
        written = OtherWrite(server=server, resource_type=w.resource_type, id=w.id, version=version, moment=moment, base=base,
                             body=without_meta(w.body) if w.body else None, key=key, person=person, patient=patient)
        return Entry(identity=written.identity, kind="fhir", feed=f"server:{server}", source=f"server:{server}", event="",
                     arrival=microseconds(self.clock()), raw=written.journalled(), state="waiting", origin=server)


def _fields(entry: Entry) -> dict[str, object]:
    return {name: getattr(entry, name) for name in Entry.__slots__}


def _number(version: str) -> int:
    return int(version) if version.isdigit() else 0


def _moment(us: int) -> datetime:
    from datetime import timedelta

    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


def _headers(connection: Connection, entries: Sequence[Entry]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for entry in entries:
        if entry.kind == "csv" and entry.sender not in found:
            row = journal.csv_file(connection, entry.feed, entry.sender)
            found[entry.sender] = orjson.loads(row.header) if row is not None else []
    return found


__all__ = ["BATCH", "Gateway", "LoadReport", "read_resource", "utc_now"]
