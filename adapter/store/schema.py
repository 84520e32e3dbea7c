"""The one database: journal, contributions, resources with their history, search index, outbox. SQLite or PostgreSQL.

Times are microseconds since 1970 UTC (BIGINT). JSON stands as text, written by orjson.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)

METADATA = MetaData()

Serial = BigInteger().with_variant(Integer, "sqlite")

JOURNAL = Table(
    "journal", METADATA,
    Column("id", Serial, primary_key=True, autoincrement=True),
    # MSH-3|MSH-4|MSH-10|sha256, feed|file|row, server:name|type/id|version
    Column("identity", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),  # hl7v2, csv, snapshot, fhir, operator
    Column("feed", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("event", Text, nullable=False, default=""),
    Column("sender", Text, nullable=False, default=""),  # MSH-3|MSH-4
    Column("control_id", Text, nullable=False, default=""),
    Column("arrival", BigInteger, nullable=False),
    Column("origin", Text, nullable=False, default=""),
    Column("raw", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),  # waiting, done, refused, test, failed, withdrawn, held, dropped, replaced
    Column("ack_code", Text, nullable=False, default=""),
    Column("ack", LargeBinary),
    Column("attempts", Integer, nullable=False, default=0),
    Column("raw_key", Text, nullable=False, default=""),  # what the key that seals raw is called: see store/vault.py
    Column("purged", BigInteger),  # when the raw bytes were emptied by age
    Column("lane", Text, nullable=False, default="", server_default=""),  # what is processed together: see LANE
)
Index("journal_by_state", JOURNAL.c.state, JOURNAL.c.id)
Index("journal_by_control", JOURNAL.c.sender, JOURNAL.c.control_id, sqlite_where=JOURNAL.c.kind == text("'csv'"))
_WAITS = JOURNAL.c.state == text("'waiting'")
_TOLD = text("kind = 'hl7v2' AND state IN ('done', 'refused')")  # as gaps.tables.ARRIVAL asks
Index("journal_by_arrival", JOURNAL.c.state, JOURNAL.c.arrival, postgresql_where=_TOLD, sqlite_where=_TOLD)
Index("journal_by_lane", JOURNAL.c.lane, JOURNAL.c.id, postgresql_where=_WAITS, sqlite_where=_WAITS)

LANE = Table(  # a patient, or a part of a file, of whom something waits in the journal: work is claimed by these
    "lane", METADATA,
    Column("name", Text, primary_key=True),
    Column("feed", Text, nullable=False, server_default=""),  # of rows of files; else ''
    Column("due", BigInteger, nullable=False),  # since when something waits in it; where it is claimed, when that ends
    Column("owner", Text, nullable=False, server_default=""),  # who has claimed it
    Column("added", Integer, nullable=False, server_default="1"),  # entries since it was made
)
Index("lane_by_due", LANE.c.due)

JOURNAL_MARK = Table(
    "journal_mark", METADATA,
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("journal", BigInteger, nullable=False),  # the last entry that stood then
)

CSV_FILE = Table(
    "csv_file", METADATA,
    Column("sha256", Text, primary_key=True),
    Column("feed", Text, primary_key=True),
    Column("name", Text, nullable=False, default=""),
    Column("arrival", BigInteger, nullable=False),
    Column("header", Text, nullable=False),  # JSON list of header cells
    Column("accepted", Integer, nullable=False, default=0),
    Column("refused", Integer, nullable=False, default=0),
    Column("position", Integer, nullable=False, default=0),  # the last record that is journalled: a load goes on behind it
    Column("complete", SmallInteger, nullable=False, default=0),
)
Index("csv_file_by_arrival", CSV_FILE.c.feed, CSV_FILE.c.arrival)

SNAPSHOT = Table(
    "snapshot", METADATA,
    Column("source", Text, primary_key=True),
    Column("arrival", BigInteger, nullable=False),  # what the source said before, and not since, is over
)

FINDING = Table(
    "finding", METADATA,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("journal", BigInteger, nullable=False),  # journal id, 0 for a finding about a composed resource
    Column("subject", Text, nullable=False, default=""),  # Type/id for a finding about a resource
    Column("code", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("detail", Text, nullable=False, default=""),
)
Index("finding_by_journal", FINDING.c.journal)
Index("finding_by_subject", FINDING.c.subject)
Index("finding_by_detail", FINDING.c.code, FINDING.c.detail)

CONTRIBUTION = Table(
    "contribution", METADATA,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("identity", Text, nullable=False, unique=True),  # what is kept once: see store/contributions.py
    Column("source", Text, nullable=False),
    Column("resource_type", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("patient", Text, nullable=False, default=""),
    Column("visit", Text, nullable=False, default=""),
    Column("kind", Text, nullable=False),
    Column("event", Text, nullable=False, default=""),
    Column("occurred", BigInteger, nullable=False),
    Column("occurred_given", SmallInteger, nullable=False, default=1),
    Column("stated", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False, default=0),
    Column("rank", Integer, nullable=False, default=0),
    Column("arrival", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),  # arrival of the latest message, or row, that said it
    Column("order_by", Text, nullable=False, default="event"),
    Column("body", Text, nullable=False),
    Column("cancels", Text, nullable=False, default=""),
    Column("other", Text, nullable=False, default=""),
    Column("message", Text, nullable=False),  # journal identity of the last message that said it
    Column("mapping", Text, nullable=False),
    Column("times", Integer, nullable=False, default=1),
)
Index("contribution_by_key", CONTRIBUTION.c.resource_type, CONTRIBUTION.c.key)
Index("contribution_by_patient", CONTRIBUTION.c.patient, CONTRIBUTION.c.resource_type)
Index("contribution_by_other", CONTRIBUTION.c.other)

RESOURCE = Table(
    "resource", METADATA,
    Column("resource_type", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("key", Text, nullable=False),
    Column("person", Text, nullable=False, default=""),  # key of the person's main Patient; '' for shared data
    Column("version", Integer, nullable=False),
    Column("hash", Text, nullable=False),
    Column("deleted", SmallInteger, nullable=False, default=0),
    Column("updated", BigInteger, nullable=False),
    Column("body", Text, nullable=False),  # without meta.versionId and meta.lastUpdated: see store/resources.py
    Column("sources", Text, nullable=False, default="{}"),  # element, or * for all -> [source, message identity]
    Column("index_first", BigInteger, nullable=False, server_default="0"),  # its rows of the search index: seq from ...
    Column("index_last", BigInteger, nullable=False, server_default="0"),  # ... to; 0: none
    Column("first_version", BigInteger, nullable=False, server_default="0"),  # seq of its first version
)
Index("resource_by_person", RESOURCE.c.person, RESOURCE.c.resource_type)
Index("resource_by_updated", RESOURCE.c.resource_type, RESOURCE.c.updated)

RESOURCE_VERSION = Table(
    "resource_version", METADATA,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("resource_type", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("body", Text),  # NULL: deleted
)
LATER = RESOURCE_VERSION.c.version > text("1")
"""Versions that are not the first of their resource, in the words of their index: most are first ones, which have no entry."""
Index("resource_version_later", RESOURCE_VERSION.c.resource_type, RESOURCE_VERSION.c.id, RESOURCE_VERSION.c.version, unique=True,
      postgresql_where=LATER, sqlite_where=LATER)
Index("resource_version_by_time", RESOURCE_VERSION.c.updated, RESOURCE_VERSION.c.seq)

SEARCH_INDEX = Table(
    "search_index", METADATA,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("resource_type", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("param", Text, nullable=False),
    Column("value", Text, nullable=False, default=""),  # token `code|system`, string folded to lower case, reference `Type/id`
    Column("low", BigInteger),  # dates: first microsecond
    Column("high", BigInteger),  # dates: last microsecond
)
Index("search_by_value", SEARCH_INDEX.c.resource_type, SEARCH_INDEX.c.param, SEARCH_INDEX.c.value)
Index("search_by_date", SEARCH_INDEX.c.resource_type, SEARCH_INDEX.c.param, SEARCH_INDEX.c.low)

OUTBOX = Table(
    "outbox", METADATA,
    Column("target", Text, primary_key=True),
    Column("resource_type", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("lane", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("queued", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("state", Text, nullable=False, default="waiting"),  # waiting, dead, held
    Column("error", Text, nullable=False, default=""),
)
Index("outbox_by_due", OUTBOX.c.target, OUTBOX.c.state, OUTBOX.c.due)

PUSHED = Table(
    "pushed", METADATA,
    Column("target", Text, primary_key=True),
    Column("resource_type", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("hash", Text, nullable=False),
    Column("version", Text, nullable=False),  # the server's version id of what we pushed last
    Column("body", Text),  # what we pushed: base of the difference when others change it; NULL: deleted
)

UNANSWERED = Table(
    "unanswered", METADATA,
    Column("target", Text, primary_key=True),
    Column("resource_type", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("hash", Text, primary_key=True),  # of the content that was sent, and may be committed there late
    Column("base", Text, primary_key=True),  # version id that it was sent on (If-Match), '' for a creation
)

SERVER_ID = Table(
    "server_id", METADATA,
    Column("target", Text, primary_key=True),
    Column("resource_type", Text, primary_key=True),
    Column("server_id", Text, primary_key=True),  # what the server calls it
    Column("id", Text, nullable=False),  # what we call it
    Column("gone", SmallInteger, nullable=False, server_default="0"),  # lost there: never used again
)
Index("server_id_by_id", SERVER_ID.c.target, SERVER_ID.c.resource_type, SERVER_ID.c.id)

TARGET = Table(
    "target", METADATA,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False, server_default=""),  # the process that pushes to it
    Column("until", BigInteger, nullable=False, server_default="0"),  # when another may take over
    Column("failures", Integer, nullable=False, server_default="0"),  # in a row: it was away
    Column("closed", BigInteger, nullable=False, server_default="0"),  # nothing is sent there before this time
)

CURSOR = Table(
    "cursor", METADATA,
    Column("name", Text, primary_key=True),  # history:<server>
    Column("position", Text, nullable=False),
)

PERSON_LIST = Table(
    "person_list", METADATA,
    Column("resource_type", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("stale", SmallInteger, nullable=False),  # something was said of it since it was composed
    Column("due", BigInteger, nullable=False),  # it is not composed again before this time
)
