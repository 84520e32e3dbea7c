"""The tables of what is made of resources: gaps and their lives, notices and who asked for them, reports, improvement plans.

Times are microseconds since 1970 UTC (BIGINT). JSON stands as text, written by orjson.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from adapter.store.schema import METADATA, Serial

GAP_STALE = Table(
    "gap_stale", METADATA,
    # key of the main Patient of a person whose gaps are to be looked at; '' for those of organizations
    Column("person", Text, primary_key=True),
)

GAP = Table(
    "gap", METADATA,
    Column("subject", Text, primary_key=True),  # Patient/<id> or Organization/<id>
    Column("rule", Text, primary_key=True),
    Column("item", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("due", BigInteger),
    Column("evidence", Text, nullable=False, default=""),
    Column("responsible_org", Text, nullable=False, default=""),
    Column("responsible_party", Text, nullable=False, default=""),
    Column("since", BigInteger, nullable=False),
    Column("opened", BigInteger),
    Column("assigned", Text, nullable=False, default=""),
    Column("snoozed", BigInteger),
    Column("snooze_reason", Text, nullable=False, default=""),
)
Index("gap_by_due", GAP.c.state, GAP.c.due)
Index("gap_by_snooze", GAP.c.snoozed)
Index("gap_by_organization", GAP.c.responsible_org, GAP.c.state)

GAP_EVENT = Table(
    "gap_event", METADATA,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("subject", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("item", Text, nullable=False),
    Column("what", Text, nullable=False),  # opened, due, closed, missed, reopened, ended, assigned, snoozed, woken, claimed
    Column("state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("why", Text, nullable=False, default=""),
)
Index("gap_event_by_gap", GAP_EVENT.c.subject, GAP_EVENT.c.rule, GAP_EVENT.c.item)

NOTICE = Table(
    "notice", METADATA,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("topic", Text, nullable=False),  # gap-life, encounter-start-end
    Column("what", Text, nullable=False),  # opened, closed, missed ...; admitted, discharged ...
    Column("focus", Text, nullable=False),  # Task/<id>, Encounter/<id>
    Column("subject", Text, nullable=False),  # Patient/<id>, Organization/<id>
    Column("keys", Text, nullable=False),  # JSON: what it can be filtered by, name -> values
)
Index("notice_by_focus", NOTICE.c.focus, NOTICE.c.seq)

SUBSCRIPTION = Table(
    "subscription", METADATA,
    Column("id", Text, primary_key=True),
    Column("body", Text, nullable=False),  # without status and meta
    Column("status", Text, nullable=False),  # requested, active, error, off; deleted
    Column("version", Integer, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("base", Text, nullable=False),  # URL of /fhir, as who subscribed knows it
    Column("events", BigInteger, nullable=False, default=0),  # how many there were since its start
    Column("sent", BigInteger, nullable=False, default=0),  # number of the last event that was delivered
    Column("due", BigInteger),  # when there is something to send; NULL: nothing
    Column("attempts", Integer, nullable=False, default=0),
    Column("error", Text, nullable=False, default=""),
    # whose it is, by commas: numbers of organizations in the network; * the network itself; empty: nobody known
    Column("recipients", Text, nullable=False, default=""),
    Column("withheld", BigInteger, nullable=False, default=0),  # notices that its recipients may not be told of
)
Index("subscription_by_due", SUBSCRIPTION.c.due)

SUBSCRIPTION_EVENT = Table(
    "subscription_event", METADATA,
    Column("subscription", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("notice", BigInteger, nullable=False),
)

REPORT_FREEZE = Table(
    "report_freeze", METADATA,
    Column("report", Text, primary_key=True),
    Column("month", Integer, primary_key=True),  # 12 a year, since the year 0
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
)

REPORT_FROZEN_ROW = Table(
    "report_frozen_row", METADATA,
    Column("report", Text, primary_key=True),
    Column("month", Integer, primary_key=True),
    Column("measure", Text, primary_key=True),
    Column("organization", Text, primary_key=True),
    Column("member_id", Text, primary_key=True),
    Column("area", Text, nullable=False),
    Column("numerator", Integer, nullable=False),
    Column("finding", Text, nullable=False),
    Column("evidence", Text, nullable=False),
)

IMPROVEMENT_EVENT = Table(
    "improvement_event", METADATA,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("plan", Integer, nullable=False),  # number of the plan
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("what", Text, nullable=False),  # opened, acted, reviewed, closed
    Column("organization", Text, nullable=False),  # Organization id
    Column("measure", Text, nullable=False),
    Column("said", Text, nullable=False),  # the goal, the action, what the review found, the result
    Column("owner", Text, nullable=False, default=""),
    Column("review", BigInteger),  # day of the next review, days since 1970
)
Index("improvement_event_by_plan", IMPROVEMENT_EVENT.c.plan, IMPROVEMENT_EVENT.c.seq)
