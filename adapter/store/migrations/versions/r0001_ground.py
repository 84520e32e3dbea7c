"""The first tables: journal, contributions, resources with their history, search index, outbox.

`search_index.value` collates by bytes, so that a range finds what begins with a text on SQLite and PostgreSQL alike.
Rows without a date stand in no index by date: they are nearly all.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, SmallInteger, Text, UniqueConstraint, text
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

_SERIAL = BigInteger().with_variant(Integer, "sqlite")
_BYTES_ORDER = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables of adapter/store/schema.py as they stood in this revision."""
    _intake()
    _contributions()
    _resources()
    _search_index()
    _delivery()


def _intake() -> None:
    op.create_table(
        "journal",
        Column("id", _SERIAL, primary_key=True, autoincrement=True),
        Column("identity", Text, nullable=False, unique=True),
        Column("kind", Text, nullable=False),
        Column("feed", Text, nullable=False),
        Column("source", Text, nullable=False),
        Column("event", Text, nullable=False),
        Column("sender", Text, nullable=False),
        Column("control_id", Text, nullable=False),
        Column("arrival", BigInteger, nullable=False),
        Column("origin", Text, nullable=False),
        Column("raw", LargeBinary, nullable=False),
        Column("state", Text, nullable=False),
        Column("ack_code", Text, nullable=False),
        Column("ack", LargeBinary),
        Column("attempts", Integer, nullable=False),
    )
    op.create_index("journal_by_state", "journal", ["state", "id"])
    op.create_index("journal_by_control", "journal", ["sender", "control_id"])
    op.create_table(
        "csv_file",
        Column("sha256", Text, primary_key=True),
        Column("feed", Text, primary_key=True),
        Column("name", Text, nullable=False),
        Column("arrival", BigInteger, nullable=False),
        Column("header", Text, nullable=False),
        Column("accepted", Integer, nullable=False),
        Column("refused", Integer, nullable=False),
        Column("complete", SmallInteger, nullable=False),
    )
    op.create_table(
        "finding",
        Column("id", _SERIAL, primary_key=True, autoincrement=True),
        Column("journal", BigInteger, nullable=False),
        Column("subject", Text, nullable=False),
        Column("code", Text, nullable=False),
        Column("severity", Text, nullable=False),
        Column("place", Text, nullable=False),
        Column("detail", Text, nullable=False),
    )
    op.create_index("finding_by_journal", "finding", ["journal"])
    op.create_index("finding_by_subject", "finding", ["subject"])


def _contributions() -> None:
    op.create_table(
        "contribution",
        Column("id", _SERIAL, primary_key=True, autoincrement=True),
        Column("identity", Text, nullable=False, unique=True),
        Column("source", Text, nullable=False),
        Column("resource_type", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("scope", Text, nullable=False),
        Column("patient", Text, nullable=False),
        Column("visit", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("event", Text, nullable=False),
        Column("occurred", BigInteger, nullable=False),
        Column("occurred_given", SmallInteger, nullable=False),
        Column("stated", BigInteger, nullable=False),
        Column("sequence", BigInteger, nullable=False),
        Column("rank", Integer, nullable=False),
        Column("arrival", BigInteger, nullable=False),
        Column("order_by", Text, nullable=False),
        Column("body", Text, nullable=False),
        Column("cancels", Text, nullable=False),
        Column("other", Text, nullable=False),
        Column("message", Text, nullable=False),
        Column("mapping", Text, nullable=False),
        Column("times", Integer, nullable=False),
    )
    op.create_index("contribution_by_key", "contribution", ["resource_type", "key"])
    op.create_index("contribution_by_patient", "contribution", ["patient", "resource_type"])
    op.create_index("contribution_by_other", "contribution", ["other"])


def _resources() -> None:
    op.create_table(
        "resource",
        Column("resource_type", Text, primary_key=True),
        Column("id", Text, primary_key=True),
        Column("key", Text, nullable=False),
        Column("person", Text, nullable=False),
        Column("version", Integer, nullable=False),
        Column("hash", Text, nullable=False),
        Column("deleted", SmallInteger, nullable=False),
        Column("updated", BigInteger, nullable=False),
        Column("body", Text, nullable=False),
        Column("sources", Text, nullable=False),
    )
    op.create_index("resource_by_person", "resource", ["person", "resource_type"])
    op.create_index("resource_by_updated", "resource", ["resource_type", "updated"])
    op.create_table(
        "resource_version",
        Column("seq", _SERIAL, primary_key=True, autoincrement=True),
        Column("resource_type", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("version", Integer, nullable=False),
        Column("updated", BigInteger, nullable=False),
        Column("body", Text),
        UniqueConstraint("resource_type", "id", "version"),
    )
    op.create_index("resource_version_by_time", "resource_version", ["updated", "seq"])


def _search_index() -> None:
    op.create_table(
        "search_index",
        Column("resource_type", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("param", Text, nullable=False),
        Column("value", _BYTES_ORDER, nullable=False),
        Column("low", BigInteger),
        Column("high", BigInteger),
    )
    op.create_index("search_by_value", "search_index", ["resource_type", "param", "value"])
    dated = text("low IS NOT NULL")
    op.create_index("search_by_date", "search_index", ["resource_type", "param", "low"],
                    sqlite_where=dated, postgresql_where=dated)
    op.create_index("search_by_resource", "search_index", ["resource_type", "id"])


def _delivery() -> None:
    op.create_table(
        "outbox",
        Column("target", Text, primary_key=True),
        Column("resource_type", Text, primary_key=True),
        Column("id", Text, primary_key=True),
        Column("lane", Text, nullable=False),
        Column("hash", Text, nullable=False),
        Column("queued", BigInteger, nullable=False),
        Column("due", BigInteger, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("state", Text, nullable=False),
        Column("error", Text, nullable=False),
    )
    op.create_index("outbox_by_due", "outbox", ["target", "state", "due"])
    op.create_table(
        "pushed",
        Column("target", Text, primary_key=True),
        Column("resource_type", Text, primary_key=True),
        Column("id", Text, primary_key=True),
        Column("hash", Text, nullable=False),
        Column("version", Text, nullable=False),
        Column("body", Text),
    )
    op.create_table(
        "cursor",
        Column("name", Text, primary_key=True),
        Column("position", Text, nullable=False),
    )
