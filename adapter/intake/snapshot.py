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
from adapter.store import journal
from adapter.store.journal import Entry

APART_US = 60_000_000
"""How far apart two snapshot files of a feed arrive, at least: a microsecond for each row, and none of the next file's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One snapshot file. per: the column whose values it speaks for, '' for all; as_of: the time it is of, where it says so."""

    per: str
    as_of: datetime | None

    @property
    def mark(self) -> str:
        """What tells it from a file with equal content of another day."""
        return self.as_of.isoformat() if self.as_of else ""


def snapshot_of(feed: Feed, name: str, as_of: datetime | None) -> Snapshot | None:
    """What a file of a feed is a snapshot of, None for a feed of deltas. as_of: said beside the file, before its name.

    Raises Rejected (csv-file-date) for a name without the date that the feed promises, Defect (csv-feed).
    """
    written = feed.options.get("snapshot", False)
    if written is False:
        return None
    options = cast("dict[str, Any]", written) if isinstance(written, dict) else {}
    if (written is not True and not options) or options.keys() - {"per", "dated"}:
        raise Defect("csv-feed", f"{feed.name}/feed.yaml", "snapshot is true, or has `per` and `dated`")
    form = options.get("dated", "")
    if as_of is None and form:
        try:
            as_of = datetime.strptime(name, form)  # noqa: DTZ007 reason: the feed's zone is put on below
        except ValueError as error:
            raise Rejected("csv-file-date", "", f"its name is not like {form}") from error
    if as_of is not None and as_of.tzinfo is None:
        as_of = as_of.replace(tzinfo=feed.zone)
    return Snapshot(per=options.get("per", ""), as_of=as_of)


def arrival_of(connection: Connection, feed: str, snapshot: Snapshot | None, now_us: int) -> int:
    """When a new file counts as arrived (microseconds since 1970 UTC): now, or of a snapshot the time it is of.

    Of snapshots of one time the one that came later counts as later.
    """
    if snapshot is None:
        return now_us
    arrival = microseconds(snapshot.as_of) if snapshot.as_of else now_us
    while (near := journal.csv_near(connection, feed, arrival, APART_US)) is not None:
        arrival = near + APART_US
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
