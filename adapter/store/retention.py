"""How long raw bytes are kept, and what seals them: purged by age, sealed anew under another key. All SQL of this subject.

An entry's age is told by marks, each noting the last entry that stood at an instant: a file that is loaded today is new, whatever
time its rows are of, and a sender's clock has no say.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from adapter.store.journal import cursor, set_cursor
from adapter.store.schema import JOURNAL, JOURNAL_MARK
from adapter.store.vault import vault_of

AT_ONCE = 500
"""Entries of one transaction."""
SETTLED = ("done", "refused", "test", "withdrawn", "dropped", "replaced")
"""States in which nobody needs the raw bytes any more. What waits, is held or has failed keeps them, however old it is."""
KINDS = ("hl7v2", "csv", "fhir")
"""What others sent. Decisions of operators, and ends of snapshot files, are no raw messages and stay."""
_CURSOR = "purged"


def mark(connection: Connection, now_us: int) -> None:
    """Note the last entry that stands now. A clock that went back does not make entries older."""
    at = max(now_us, connection.scalar(select(func.max(JOURNAL_MARK.c.at))) or 0)
    last = connection.scalar(select(func.max(JOURNAL.c.id))) or 0
    if connection.execute(update(JOURNAL_MARK).where(JOURNAL_MARK.c.at == at).values(journal=last)).rowcount == 0:
        connection.execute(insert(JOURNAL_MARK).values(at=at, journal=last))


def through(connection: Connection, before_us: int) -> int:
    """The last entry that stood at an instant, as far as marks tell; 0 for none."""
    return connection.scalar(select(func.max(JOURNAL_MARK.c.journal)).where(JOURNAL_MARK.c.at <= before_us)) or 0


def forget_marks(connection: Connection, before_us: int) -> None:
    """Delete the marks before an instant, but for the last of them."""
    last = select(func.max(JOURNAL_MARK.c.at)).where(JOURNAL_MARK.c.at <= before_us).scalar_subquery()
    connection.execute(delete(JOURNAL_MARK).where(JOURNAL_MARK.c.at < last))


def purge(connection: Connection, last: int, now_us: int) -> int:
    """Empty the raw bytes of the oldest settled entries up to id `last`; how many: less than AT_ONCE when none is left.

    On SQLite the freed pages are overwritten.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=ON")
    begin = int(cursor(connection, _CURSOR) or 0)
    query = select(JOURNAL.c.id).where(
        JOURNAL.c.id > begin, JOURNAL.c.id <= last, JOURNAL.c.purged.is_(None), JOURNAL.c.state.in_(SETTLED),
        JOURNAL.c.kind.in_(KINDS)).order_by(JOURNAL.c.id).limit(AT_ONCE)
    ids = connection.scalars(query).all()
    if ids:
        connection.execute(update(JOURNAL).where(JOURNAL.c.id.in_(ids)).values(raw=b"", raw_key="", purged=now_us))
    if len(ids) < AT_ONCE:
        set_cursor(connection, _CURSOR, str(_nothing_before(connection, begin, last)))
    return len(ids)


def _nothing_before(connection: Connection, begin: int, last: int) -> int:
    """The id up to which nothing is left that may be purged one day."""
    left = connection.scalar(select(func.min(JOURNAL.c.id)).where(
        JOURNAL.c.id > begin, JOURNAL.c.id <= last, JOURNAL.c.purged.is_(None), JOURNAL.c.kind.in_(KINDS)))
    return left - 1 if left else last


def reseal(connection: Connection, after: int) -> tuple[int, int]:
    """Seal the next entries above id `after` under the vault's first key; (how many, id to go on behind, 0 at the end)."""
    vault = vault_of(connection)
    query = select(JOURNAL.c.id, JOURNAL.c.identity, JOURNAL.c.raw, JOURNAL.c.raw_key).where(
        JOURNAL.c.id > after, JOURNAL.c.raw_key != vault.current, JOURNAL.c.purged.is_(None))
    rows = connection.execute(query.order_by(JOURNAL.c.id).limit(AT_ONCE).with_for_update()).all()
    if not rows:
        return 0, 0
    sealed = [(row.id, *vault.seal(row.identity, vault.unseal(row.identity, row.raw, row.raw_key))) for row in rows]
    anew = update(JOURNAL).where(JOURNAL.c.id == bindparam("at")).values(raw=bindparam("to"), raw_key=bindparam("by"))
    connection.execute(anew, [{"at": at, "to": to, "by": by} for at, to, by in sealed])
    return len(rows), rows[-1].id


def purged(connection: Connection, feed: str) -> set[str]:
    """The identities of a feed's entries whose raw bytes were purged."""
    return set(connection.scalars(select(JOURNAL.c.identity).where(JOURNAL.c.feed == feed, JOURNAL.c.purged.is_not(None))))


def counts(connection: Connection) -> tuple[dict[str, int], int]:
    """How many entries have raw bytes by the key that seals them ('' for none), and how many were purged."""
    held = select(JOURNAL.c.raw_key, func.count()).where(JOURNAL.c.purged.is_(None)).group_by(JOURNAL.c.raw_key)
    purged = select(func.count()).select_from(JOURNAL).where(JOURNAL.c.purged.is_not(None))
    return {row[0]: row[1] for row in connection.execute(held)}, connection.scalar(purged) or 0


def key_of_oldest_waiting(connection: Connection) -> str:
    """The key that seals the oldest entry that waits, '' for none."""
    return connection.scalar(select(JOURNAL.c.raw_key).where(JOURNAL.c.state == "waiting").order_by(JOURNAL.c.id).limit(1)) or ""
