"""Snapshot files: feeds whose files hold everything the sender has, so that what a file leaves out is over.

feed.yaml: `snapshot: true`, or `snapshot: {per: organization_id, dated: "members_%Y%m%d.csv"}`. per: a file speaks only for the
organizations (values of that column) that have a row in it. dated: the file's name holds the time that the file is of.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import orjson
from sqlalchemy import Connection

from adapter.errors import Defect, Rejected
from adapter.mapping.feed import Feed
from adapter.model import Mapped
from adapter.pipeline import microseconds
from adapter.store import csv_files
from adapter.store.journal import Entry

APART_US = 60_000_000
"""How far apart two snapshot files of a feed arrive, at least: a microsecond for each row, and none of the next file's."""
ROWS_US = 2_000_000
"""The same where files end nothing: a file that comes now must not stand before one that was said to be of a moment ago."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTime:
    """What a file says, and of when. snapshot: what it leaves out is over; as_of: the time it is of, where anybody says so."""

    snapshot: bool
    as_of: datetime | None

    @property
    def mark(self) -> str:
        """What tells it from a file with equal content of another time."""
        return self.as_of.isoformat() if self.as_of else ""


def file_time(feed: Feed, name: str, as_of: datetime | None) -> FileTime:
    """Whether a file of a feed is a snapshot, and of when it is. as_of: said beside the file, before its name.

    Raises Rejected (csv-file-date) for a name without the date that the feed promises, Defect (csv-feed).
    """
    written = feed.options.get("snapshot", False)
    options = cast("dict[str, Any]", written) if isinstance(written, dict) else {}
    if (not isinstance(written, bool) and not options) or options.keys() - {"per", "dated"}:
        raise Defect("csv-feed", f"{feed.name}/feed.yaml", "snapshot is true, or has `per` and `dated`")
    form = options.get("dated", "")
    if as_of is None and form:
        try:
            as_of = datetime.strptime(name, form)  # noqa: DTZ007 reason: the feed's zone is put on below
        except ValueError as error:
            raise Rejected("csv-file-date", "", f"its name is not like {form}") from error
    if as_of is not None and as_of.tzinfo is None:
        as_of = as_of.replace(tzinfo=feed.zone)
    return FileTime(snapshot=written is not False, as_of=as_of)


def arrival_of(connection: Connection, feed: str, of: FileTime, now_us: int) -> int:
    """When a new file counts as arrived (microseconds since 1970 UTC): the time it is of, or now.

    Of files of one time that came with their time said the one that came later counts as later; so of all snapshots.
    """
    arrival = microseconds(of.as_of) if of.as_of else now_us
    if not of.as_of and not of.snapshot:
        return arrival
    apart = APART_US if of.snapshot else ROWS_US
    while (near := csv_files.csv_near(connection, feed, arrival, apart)) is not None:
        arrival = near + apart
    return arrival


def end_entry(feed: str, digest: str, arrival: int, name: str, sources: set[str]) -> Entry:
    """The journal entry that says: this snapshot file of these sources is complete. It stands behind the file's rows."""
    raw = orjson.dumps(sorted(sources))
    return Entry(identity=f"{feed}|{digest}|end", kind="snapshot", feed=feed, source=feed, arrival=arrival, origin=name, raw=raw,
                 state="waiting", control_id="end", sender=digest)


def map_end(entry: Entry) -> Mapped:
    """The end of a snapshot file states nothing itself."""
    return Mapped(identity=entry.identity, feed=entry.feed, source=entry.source, event="", control_id="", contributions=(),
                  issues=())
